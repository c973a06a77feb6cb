"""The transformer sees nothing that comes later, computes what its formulas say, and learns as in PyTorch."""

import gzip
import hashlib
import re

import language_model
import numpy as np
import pytest
import transformer_2017
from transformer_2017 import Block, Characters, bits_of, maps_of

import tinygrad_sm as tg
from tests.examples.helpers import RUNS, check_run
from tests.helpers import ROOT
from tinygrad_sm import nn

V = 7


@pytest.fixture
def small(monkeypatch):
    """Return a transformer of 7 characters, so small that its numbers can be checked one by one."""
    for name, value in {"CONTEXT": 6, "WIDTH": 4, "HEADS": 2, "LAYERS": 2}.items():
        monkeypatch.setattr(transformer_2017, name, value)
    tg.manual_seed(0)
    return nn.Sequential(Characters(V), Block(), Block(), nn.LayerNorm(4), nn.Linear(4, V))


def test_the_text_is_the_one_that_its_page_describes():
    packed = (ROOT / "datasets/persuasion.txt.gz").read_bytes()
    text = gzip.decompress(packed)
    page = (ROOT / "datasets/PERSUASION.md").read_text("utf-8")
    assert re.findall(r"[0-9a-f]{64}", page) == [hashlib.sha256(data).hexdigest() for data in (packed, text)]
    assert f"{len(packed):,} bytes" in page
    assert f"{len(text):,} characters in {len(text.splitlines()):,} lines" in page
    assert text.startswith(b"Chapter 1\nSir Walter Elliot, of Kellynch Hall, in Somersetshire, was a man who,")
    assert text.endswith(b"national importance.\nFinis\n")
    assert text.count(b"Chapter") == 24
    assert text.isascii()
    assert not re.search(rb"  | \n|\n\n|gutenberg|copyright|licen[cs]e:", text, re.IGNORECASE)


def test_bits_by_hand(small):
    small[-1].weight.data[:], small[-1].bias.data[:] = 0, np.log([1, 2, 4, 1, 1, 1, 6])
    rows = np.array([[0, 0, 1, 2], [6, 2, 1, 1]])  # p of what follows is 1/16, 2/16, 4/16; 4/16, 2/16, 2/16
    assert bits_of(small, rows).item() == pytest.approx((4 + 3 + 2 + 2 + 3 + 3) / 6, rel=1e-6)


def test_what_comes_later_changes_nothing(small):
    one, other = np.array([[3, 1, 4, 1, 5, 2], [3, 1, 4, 2, 2, 6]])
    first, second = small(np.stack([one, other])).numpy()
    np.testing.assert_array_equal(first[:3], second[:3])
    assert (first[3:] != second[3:]).any(axis=1).all()
    np.testing.assert_allclose(small(one[np.newaxis, :4]).numpy()[0], first[:4], rtol=1e-5)


def test_the_weights_of_attention_by_hand(small):
    codes = np.array([3, 1, 4, 1])
    x, maps = small[0](codes[np.newaxis]).numpy()[0], maps_of(small, codes)
    x = (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + 1e-5)
    q, k, _ = np.split(x @ small[1].attention.in_proj_weight.numpy().T, 3, axis=1)
    assert maps.shape == (2, 2, 4, 4)
    for head, columns in enumerate((slice(0, 2), slice(2, 4))):
        exps = np.tril(np.exp(q[:, columns] @ k[:, columns].T / np.sqrt(2)))
        np.testing.assert_allclose(maps[0, head], exps / exps.sum(axis=1, keepdims=True), rtol=1e-4)
    assert not np.triu(maps, 1).any()


def test_the_gradients_of_a_block(small):
    for parameter in small[1].parameters():
        parameter.data = parameter.data.astype(np.float64)
    tg.gradcheck(small[1], [np.random.default_rng(0).normal(size=(1, 3, 4))])


def test_it_writes_on_from_as_many_characters_as_it_may_see():
    seen = []

    def next_is_one_more(codes):
        seen.append(codes.shape[1])
        return tg.Tensor(nn.functional.one_hot((codes[:, -1] + 1) % V, V) * 1000)

    written = language_model.write_on(next_is_one_more, np.array([5]), 0.7, np.random.default_rng(0), 6)
    assert written[:10].tolist() == [5, 6, 0, 1, 2, 3, 4, 5, 6, 0]
    assert seen[:8] == [1, 2, 3, 4, 5, 6, 6, 6]


def test_it_learns_as_it_does_in_pytorch(small):
    torch = pytest.importorskip("torch")
    twin = in_pytorch(torch)
    twin.load_state_dict({name: torch.tensor(value) for name, value in small.state_dict().items()})
    codes = np.random.default_rng(1).integers(V, size=200)
    _, training, held_out = transformer_2017.train(small, codes, codes[:50], 20)

    rows = np.lib.stride_tricks.sliding_window_view(codes, 7).copy()
    optimizer = torch.optim.AdamW(twin.parameters(), lr=0.002)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20)

    def bits(rows):
        logits, following = twin(torch.tensor(rows[:, :-1])), torch.tensor(rows[:, 1:])
        return torch.nn.functional.cross_entropy(logits.reshape(-1, V), following.reshape(-1)) / np.log(2)

    random, losses = np.random.default_rng(0), []
    for _ in range(20):
        loss = bits(rows[random.integers(len(rows), size=16)])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    np.testing.assert_allclose(training, np.reshape(losses, (10, 2)).mean(axis=1), rtol=2e-4)
    np.testing.assert_allclose(held_out[-1], bits(rows[:44:6]).item(), rtol=2e-4)
    assert held_out[-1] < held_out[0]


def in_pytorch(torch):
    """Return the small transformer of PyTorch's layers, with the same names."""

    class Characters(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.what, self.where = torch.nn.Embedding(V, 4), torch.nn.Embedding(6, 4)

        def forward(self, codes):
            return self.what(codes) + self.where(torch.arange(codes.shape[1]))

    class Block(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.norm_1, self.norm_2 = torch.nn.LayerNorm(4), torch.nn.LayerNorm(4)
            self.attention = torch.nn.MultiheadAttention(4, 2, batch_first=True)
            self.network = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.ReLU(), torch.nn.Linear(16, 4))

        def forward(self, x):
            h, hidden = self.norm_1(x), torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
            x = x + self.attention(h, h, h, attn_mask=hidden, need_weights=False)[0]
            return x + self.network(self.norm_2(x))

    return torch.nn.Sequential(Characters(), Block(), Block(), torch.nn.LayerNorm(4), torch.nn.Linear(4, V))


def test_it_runs_and_draws(run, folder):
    options, pictures = RUNS["transformer_2017"]
    check_run(*run(transformer_2017, *options), folder, pictures)


@pytest.mark.parametrize("prompt", ["", "Où ?"])
def test_a_prompt_of_other_characters_is_refused(prompt, run):
    message, *_ = run(transformer_2017, "--quick", "--prompt", prompt)
    assert re.match(r"--prompt: expected characters of the text, which has '\\n !.*', got ", message)
    assert message.endswith(repr(prompt))


def test_it_checks_what_it_reads_and_what_it_learns(run, monkeypatch):
    steps = range(1, 11)
    monkeypatch.setattr(language_model, "train", lambda *args, **options: [2.0])  # nats
    for bits, options, table in ((3.0, [], "2.885"), (np.nan, [], "2.885"), (4.5, ["--quick"], r"4\.[34]\d\d")):
        monkeypatch.setattr(transformer_2017, "train", lambda *args, bits=bits: (steps, steps, [bits] * 10))
        message, *_ = run(transformer_2017, *options)
        assert re.fullmatch(rf"expected fewer bits per character than {table}, got {bits:.3f}", message)
    monkeypatch.setattr(transformer_2017, "train", lambda *args: (steps, steps, [2.0] * 10))
    for maps in (np.full((1, 1, 2, 2), 0.5), np.eye(2)[np.newaxis, np.newaxis] * 0.9):
        monkeypatch.setattr(transformer_2017, "maps_of", lambda *args, maps=maps: maps)
        assert run(transformer_2017)[0].startswith("expected weights that add up to 1 over the characters so far, got")
    monkeypatch.setattr(transformer_2017, "SHA256", "0" * 64)
    assert run(transformer_2017)[0].startswith("persuasion.txt.gz: expected the SHA-256 0000")
