"""Steps of a causal transformer, forward, backward and AdamW: 4 layers, width 128, 4 heads, 16 texts of 64 characters.

Its blocks normalise first: x + attention(norm(x)), and then x + MLP(norm(x)), the MLP four times as wide. All begin
with the same parameters and see the same texts; a run returns the mean loss of the steps.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.random import default_rng

from benchmarks.data import training_step
from benchmarks.harness import installed, median_ratio, report, time_rounds, verdict

WIDTH, HEADS, LENGTH, BATCH, CHARACTERS = 128, 4, 64, 16, 65
LAYERS, STEPS = 4, 5
LR, WEIGHT_DECAY = 1e-3, 0.1
LIMIT, COMPILED_LIMIT = 1.3, 1.1  # × PyTorch


def texts(steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the characters of each step, (BATCH, LENGTH), and those that follow them, in one row."""
    characters = default_rng(0).integers(0, CHARACTERS, (steps, BATCH, LENGTH + 1))
    return characters[:, :, :-1], characters[:, :, 1:].reshape(steps, -1)


def transformer(nn: Any, layers: int, causal: dict[str, Any], places: Any, activation: str) -> Any:
    """Return the model, made of the modules of either framework, which have the same names.

    causal : the arguments that let no place attend to later ones.
    """

    class Block(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
            self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
            act = nn.ReLU() if activation == "relu" else nn.GELU(approximate="tanh")
            self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), act, nn.Linear(4 * WIDTH, WIDTH))

        def forward(self, x: Any) -> Any:
            h = self.norm1(x)
            x = x + self.attention(h, h, h, need_weights=False, **causal)[0]
            return x + self.mlp(self.norm2(x))

    class Transformer(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.characters, self.places = nn.Embedding(CHARACTERS, WIDTH), nn.Embedding(LENGTH, WIDTH)
            self.blocks = nn.Sequential(*[Block() for _ in range(layers)])
            self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, CHARACTERS)

        def forward(self, characters: Any) -> Any:
            x = self.blocks(self.characters(characters) + self.places(places))
            return self.head(self.norm(x)).reshape(-1, CHARACTERS)

    return Transformer()


def ours(layers: int, activation: str) -> Any:
    """Return the framework's model; its first parameters are those of all."""
    import tinygrad_sm as tg
    from tinygrad_sm import nn

    tg.keep_freed_memory()
    tg.manual_seed(0)
    return transformer(nn, layers, {"is_causal": True}, np.arange(LENGTH), activation)


def tinygrad_sm(layers: int, steps: int, activation: str, is_compiled: bool = False) -> Callable[[], float]:
    """Take the framework's own modules, loss and optimizer."""
    import tinygrad_sm as tg
    from tinygrad_sm import nn

    model = ours(layers, activation)
    state, (x, y) = model.state_dict(), texts(steps)
    optimizer = nn.optim.AdamW(model.parameters(), lr=LR, weight_decay=WEIGHT_DECAY)
    first = optimizer.state_dict()
    step = training_step(model, nn.CrossEntropyLoss(), optimizer)
    if is_compiled:
        step = tg.compiled(step)
        for _ in range(3):
            step(x[0], y[0])

    def run() -> float:
        model.load_state_dict(state)
        optimizer.load_state_dict(first)
        return sum(step(*batch).item() for batch in zip(x, y, strict=True)) / steps

    return run


def compiled(layers: int, steps: int, activation: str) -> Callable[[], float]:
    """Let the step run as a program, which is recorded before."""
    return tinygrad_sm(layers, steps, activation, is_compiled=True)


def pytorch(layers: int, steps: int, activation: str) -> Callable[[], float]:
    """Take PyTorch's, eager."""
    import torch

    is_hidden = torch.ones(LENGTH, LENGTH, dtype=torch.bool).triu(1)
    causal = {"is_causal": True, "attn_mask": is_hidden}
    model = transformer(torch.nn, layers, causal, torch.arange(LENGTH), activation)
    state = {name: torch.from_numpy(data) for name, data in ours(layers, activation).state_dict().items()}
    x, y = map(torch.from_numpy, texts(steps))

    def run() -> float:
        model.load_state_dict(state)
        optimizer = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=WEIGHT_DECAY)
        step = training_step(model, torch.nn.CrossEntropyLoss(), optimizer)
        return sum(step(*batch).item() for batch in zip(x, y, strict=True)) / steps

    return run


ALTERNATIVES = {"tinygrad_sm": tinygrad_sm, "tinygrad_sm, compiled": compiled, "PyTorch": pytorch}


def benchmark(threads: list[int], rounds: int) -> None:
    """Compare the time of the steps with either activation, for each number of threads."""
    alternatives = installed(ALTERNATIVES)
    for n in threads:
        for activation in ("relu", "gelu"):
            setting = {"layers": LAYERS, "steps": STEPS, "activation": activation}
            times = time_rounds(alternatives, n, rounds, tolerance=1e-4, **setting)
            report(f"{STEPS} steps of a transformer, {activation}, threads: {n}", "ms", times, "PyTorch")
            verdict(f"tinygrad_sm at most {LIMIT} × PyTorch", LIMIT, median_ratio(times, "tinygrad_sm", "PyTorch"))
            ratio = median_ratio(times, "tinygrad_sm, compiled", "PyTorch")
            verdict(f"compiled at most {COMPILED_LIMIT} × PyTorch", COMPILED_LIMIT, ratio)
