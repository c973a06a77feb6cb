"""A transformer: each character looks at those before it, finds the ones that matter, and foretells the next.

    python examples/transformer_2017.py              # two minutes; with --quick a few steps, and less to reach

What changed in 2017: networks had read a text character by character, and knew of the past what one vector had kept.
"Attention Is All You Need" (Vaswani et al.) left the recurrence out. Each place t asks with a query q_t, and each place
s ≤ t answers with a key k_s and a value v_s, all three linear in what stands there:

    y_t = Σ_s a_ts v_s        a_ts = softmax over s ≤ t of q_t · k_s / √d        in each of several heads of width d

So any two places are one step apart, and a text of T characters is T examples, learned at once as matrix products.
Here, as is usual since, a norm stands before each part, not behind it, and the vectors of the places are learned.

What the engine needed for it: products of stacks of matrices, one for each text and head; a softmax with −∞ where
s > t, whose gradient there is 0, not NaN; rows of a table, with gradients that add up where a row is taken twice.

The text is Jane Austen's "Persuasion", its last tenth held out. The network of language_model.py learns from it too.
"""

import argparse
import gzip
import hashlib
import pathlib
import sys
import textwrap

import language_model
import numpy as np
import pictures
from threadpoolctl import threadpool_limits

import tinygrad_sm as tg
from tinygrad_sm import nn

SHA256 = "60fb61356b465cfb1720a819520f3f37ea2c577780bc58acb37ed93bb8f755ad"  # of the packed text
CONTEXT, WIDTH, HEADS, LAYERS = 64, 64, 4, 2


class Characters(nn.Module):
    """From the numbers of characters, shape (N, T), to vectors of what stands where, shape (N, T, WIDTH)."""

    def __init__(self, V):
        self.what, self.where = nn.Embedding(V, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        for table in (self.what, self.where):
            nn.init.normal_(table.weight, std=0.02)  # so small that what the blocks add counts from the start

    def forward(self, codes):
        return self.what(codes) + self.where(np.arange(codes.shape[1]))


class Block(nn.Module):
    """Attention, by which places read each other, then a network for each place alone. Both add to what comes in."""

    def __init__(self):
        self.norm_1, self.norm_2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.attention = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.network = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.ReLU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x):
        h = self.norm_1(x)
        x = x + self.attention(h, h, h, need_weights=False, is_causal=True)[0]
        return x + self.network(self.norm_2(x))


def maps_of(model, codes):
    """Return the weights a_ts of all heads for one text, shape (LAYERS, HEADS, T, T)."""
    x, maps = codes[np.newaxis], []
    for layer in model:
        if isinstance(layer, Block):
            h = layer.norm_1(x)
            maps.append(layer.attention(h, h, h, is_causal=True, average_attn_weights=False)[1].numpy()[0])
        x = layer(x)
    return np.array(maps)


def bits_of(model, rows):
    """Return the bits per character: the mean of −log₂ p of all but the first of a row, each given those before it."""
    logits = model(rows[:, :-1])
    return nn.functional.cross_entropy(logits.reshape(-1, logits.shape[-1]), rows[:, 1:].reshape(-1)) / np.log(2)


def train(model, codes, held_out, steps, lr=0.002, batch_size=16, seed=0):
    """Train with AdamW, lr falling to 0; return ten steps, the bits in training before them, and of the held-out."""
    optimizer = nn.optim.AdamW(model.parameters(), lr=lr)
    schedule = nn.schedules.CosineAnnealingLR(optimizer, T_max=steps)

    @tg.compiled  # three quarters of the time
    def step(rows):
        bits = bits_of(model, rows)
        optimizer.zero_grad()
        bits.backward()
        optimizer.step()
        return bits.detach()

    rows, test = (np.lib.stride_tricks.sliding_window_view(text, CONTEXT + 1) for text in (codes, held_out))
    random, bits, history = np.random.default_rng(seed), [], []
    for t in range(1, steps + 1):
        bits.append(step(rows[random.integers(len(rows), size=batch_size)]).item())
        schedule.step()
        if t % (steps // 10) == 0:
            with tg.no_grad():
                history.append((t, np.mean(bits[-steps // 10 :]), bits_of(model, test[::CONTEXT]).item()))
            print("step {:5,}  training {:.3f}  held out {:.3f} bits per character".format(*history[-1]), flush=True)
    return zip(*history, strict=True)


@threadpool_limits.wrap(limits=1, user_api="blas")  # of products so small, two threads wait for each other
def main():
    """Train both networks, compare, check, write on, draw; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompt", default="She looked at him, and ", help="how the text begins that is written on")
    parser.add_argument("--quick", action="store_true", help="train for 100 steps, on a tenth of the text")
    parser.add_argument("--output", type=pathlib.Path, default="runs/transformer_2017", help="folder for the pictures")
    args = parser.parse_args()
    packed = pathlib.Path(tg.datasets.__file__).with_name("persuasion.txt.gz").read_bytes()
    if (found := hashlib.sha256(packed).hexdigest()) != SHA256:
        return f"persuasion.txt.gz: expected the SHA-256 {SHA256}, got {found}"
    text = gzip.decompress(packed).decode()[: 46_000 if args.quick else None]
    alphabet, K = np.array(sorted(set(text))), language_model.K
    if not args.prompt or not set(args.prompt) <= set(alphabet):
        return f"--prompt: expected characters of the text, which has {''.join(alphabet)!r}, got {args.prompt!r}"
    V, encode = len(alphabet), lambda characters: np.searchsorted(alphabet, list(characters))
    codes, held_out = np.split(encode(text), [9 * len(text) // 10])

    tg.manual_seed(0)
    network = nn.Sequential(language_model.OneHot(V), nn.Linear(K * V, 128), nn.ReLU(), nn.Linear(128, V))
    other = language_model.train(network, codes, held_out, epochs=3)[-1] / np.log(2)
    wanted = language_model.entropy(np.bincount(held_out)) / np.log(2) if args.quick else other  # or of a table
    print(f"{len(held_out):,} characters held out; language_model.py: {other:.3f} bits per character", flush=True)
    model = nn.Sequential(Characters(V), *[Block() for _ in range(LAYERS)], nn.LayerNorm(WIDTH), nn.Linear(WIDTH, V))
    steps, training, tested = train(model, codes, held_out, 100 if args.quick else 4000)
    if not tested[-1] < wanted:
        return f"expected fewer bits per character than {wanted:.3f}, got {tested[-1]:.3f}"

    maps = maps_of(model, encode(args.prompt)[:CONTEXT])
    if np.triu(maps, 1).any() or np.abs(maps.sum(axis=-1) - 1).max() > 1e-5:
        return f"expected weights that add up to 1 over the characters so far, got {maps}"
    random, last = np.random.default_rng(0), lambda x: model(x)[:, -1]
    written = language_model.write_on(last, encode(args.prompt), 0.7, random, CONTEXT)
    print(f"\n{textwrap.fill(''.join(alphabet[written]), 100)}\n")

    curves = {"training": (steps, training), "held out": (steps, tested), f"a network that sees {K} characters": other}
    pictures.lines(args.output / "loss.png", {"bits per character": curves}, "A transformer learns", "step")
    title = "How much each character (row) looks at those so far (column): white is 0, dark blue 1"
    pictures.attention_maps(args.output / "heads.png", maps, args.prompt[:CONTEXT], title)
    print(f"the losses: {args.output / 'loss.png'}\nthe heads:  {args.output / 'heads.png'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
