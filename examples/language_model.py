"""A language model: predict the next character from the k before it, and let it write on from a prompt.

    python examples/language_model.py
    python examples/language_model.py --text book.txt --prompt "it was " --temperature 0.7

A language model gives every text a probability, as a chain: p(x₁ ... x_n) = Π p(x_t | x_{t−k} ... x_{t−1}). Its classes
are the V characters, its features the k previous ones, each one-hot, one after the other. The labels cost nothing: they
are the text itself, shifted by one. So it is softmax regression, and with a hidden layer a small network. To write, it
draws the next character from its own probabilities, appends it, and goes on from there. The output is fluent by the
statistics of the text, the more so the larger the model, but not true: the model knows which letters follow which, and
nothing of what they say. It hallucinates by construction. By default the text is what Python's help() says about the
language.

Responsible use: the same loop with larger models drives writing assistants, dialogue systems, translation and speech
recognition, and just as well fake news, impersonation, spam and phishing without end. It writes whatever is likely, in
anybody's style, with the same ease whether it is so or not. Check what a model writes before you rely on it, say that a
model wrote it, and leave the voice of other people to them.
"""

import argparse
import pathlib
import re
import sys
import textwrap
from pydoc_data.topics import topics  # what help() says about the language

import numpy as np
import pictures
from mnist_softmax import number

import tinygrad_sm as tg
from tinygrad_sm import nn
from tinygrad_sm.datasets import DataLoader

K = 5  # how many characters to look back
LENGTH = 300  # how many to write


def clean(text):
    """Return the text in lower case, with every run of characters other than letters and . , ' - as one space.

    Several hyphens are a ruled line, and become a space too.
    """
    return re.sub(r"(\s|[^\w.,'-]|[\d_]|--+)+", " ", text.lower())


class OneHot(nn.Module):
    """Make the numbers of k characters, shape (N, k), into their one-hot vectors side by side, shape (N, k·V)."""

    def __init__(self, V):
        self.V = V

    def forward(self, codes):
        """Return ones at the characters, zeros elsewhere."""
        return nn.functional.one_hot(codes.reshape(-1), self.V).reshape(len(codes), -1)


def pairs(codes):
    """Return what to learn from: K characters, shape (N, K), and the one that follows, shape (N,)."""
    windows = np.lib.stride_tricks.sliding_window_view(codes, K + 1).copy()  # rows in a row are quicker to take
    return windows[:, :K], windows[:, K]


def train(model, codes, held_out, epochs, lr=0.005, batch_size=512):
    """Train with Adam, the learning rate falling to 0; return the loss on the held-out text after each epoch."""
    loader = DataLoader(pairs(codes), batch_size, shuffle=True)
    optimizer = nn.optim.Adam(model.parameters(), lr=lr)
    schedule = nn.schedules.CosineAnnealingLR(optimizer, T_max=epochs * len(loader))
    losses = []
    for _ in range(epochs):
        for contexts, following in loader:
            loss = nn.functional.cross_entropy(model(contexts), following)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        losses.append(-log_probability(model, held_out) / (len(held_out) - K))
    return losses


def log_probability(model, codes):
    """Return ln p(x₁ ... x_n), given the first K: by the chain it is the sum of all ln p(next | K before it)."""
    contexts, following = pairs(codes)
    with tg.no_grad():
        return -nn.functional.cross_entropy(model(contexts), following, reduction="sum").item()


def next_probabilities(model, context, temperature=1.0):
    """Return the probability of each next character: low temperatures favour the likely ones, high ones level all."""
    with tg.no_grad():
        logits = model(context[np.newaxis]).numpy()[0].astype(np.float64)
    return tg.softmax(logits / temperature)


def write_on(model, prompt, temperature, random, k=K):
    """Return the prompt and what follows: each character is drawn, appended, and then part of the context."""
    codes = list(prompt)
    for _ in range(LENGTH):
        p = next_probabilities(model, np.array(codes[-k:]), temperature)
        codes.append(random.choice(len(p), p=p))
    return np.array(codes)


def count_pairs(codes, V):
    """Return how often each character (column) follows each other (row), shape (V, V)."""
    return np.bincount(V * codes[:-1] + codes[1:], minlength=V * V).reshape(V, V)


def entropy(counts):
    """Return the mean of −ln p over what was counted, p the shares in its row: the least that a table can reach."""
    p = counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1)
    return -(counts * np.log(np.where(counts > 0, p, 1))).sum() / counts.sum()


def fit_pairs(counts, steps=2000):
    """Return p(next | previous) of softmax regression with k = 1 after long descent, a row for each row of counts.

    A one-hot vector times W is a row of W: it holds the logits after one character. Equal pairs are counted together.
    """
    W = nn.Parameter(np.zeros(counts.shape))
    optimizer = nn.optim.Adam([W], lr=0.1)
    schedule = nn.schedules.CosineAnnealingLR(optimizer, steps)  # Adam's steps do not become small by themselves
    for _ in range(steps):
        optimizer.zero_grad()
        (-(tg.log_softmax(W) * counts).sum() / counts.sum()).backward()
        optimizer.step()
        schedule.step()
    return tg.softmax(W.numpy())


def main():
    """Train both models, compare them with tables of counts, write on, draw; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--text", type=pathlib.Path, help="a file in UTF-8 to learn from, instead of Python's help")
    add("--prompt", default="machine learning is the scientific ", help="how the text begins that is written on")
    add("--temperature", type=number(float, 0.01), default=0.7, help="how boldly to draw; near 0, always the likeliest")
    add("--epochs", type=number(int, 1), default=3, help="how often to go through the text")
    add("--output", type=pathlib.Path, default="runs/language_model", help="folder for the pictures")
    args = parser.parse_args()
    text = clean(args.text.read_text("utf-8") if args.text else "\n".join(topics.values()))[:200_000]
    alphabet, prompt = np.array(sorted(set(text))), clean(args.prompt).rjust(K)
    if len(text) < 10_000:
        return f"--text: expected at least 10,000 characters, got {len(text):,}"
    if strange := set(prompt) - set(alphabet):
        return f"--prompt: expected characters that the text has too, got {sorted(strange)}"

    V, encode = len(alphabet), lambda characters: np.searchsorted(alphabet, list(characters))
    codes, held_out = np.split(encode(text), [9 * len(text) // 10])
    print(f"{len(text):,} characters of {V} kinds, the last tenth held out")
    contexts, following = pairs(codes)
    shown = ", ".join(f"“{''.join(alphabet[contexts[t]])}” → “{alphabet[following[t]]}”" for t in range(3))
    print(f"the text and the same shifted by one: {shown}, ...\n")
    if not np.array_equal(contexts[1:, -1], following[:-1]):
        return f"expected each context to end with the label of the one before, got {shown}"
    counts = count_pairs(codes, V)
    counts = counts[counts.any(axis=1)]
    difference = np.abs(fit_pairs(counts) - counts / counts.sum(axis=1, keepdims=True)).max()
    print(f"softmax regression with k = 1 is the table of counts, to {difference:.0e}\n")
    if not difference < 1e-3:
        return f"expected softmax regression with k = 1 to be the table of counts, got p that differ by {difference}"

    tg.manual_seed(0)
    linear = nn.Sequential(OneHot(V), nn.Linear(K * V, V))
    network = nn.Sequential(OneHot(V), nn.Linear(K * V, 128), nn.ReLU(), nn.Linear(128, V))
    losses = {
        "table of characters": entropy(np.bincount(held_out)),
        "table of pairs": entropy(count_pairs(held_out, V)),
        "softmax regression": train(linear, codes, held_out, args.epochs),
        "one hidden layer": train(network, codes, held_out, args.epochs),
    }
    print(f"on the held-out text, k = {K}   nats per character   perplexity")  # the tables are the best for that text
    ends = {name: np.ravel(values)[-1] for name, values in losses.items()}
    for name, loss in ends.items():
        print(f"{name:<28}  {loss:>18.4f}  {np.exp(loss):>11.2f}")
    of_characters, _, of_linear, of_network = ends.values()
    if not of_characters > of_linear > of_network:
        return f"expected losses that fall from {of_characters:.4f}, got {of_linear:.4f} and {of_network:.4f}"

    random = np.random.default_rng(0)
    likely, unlikely = (log_probability(network, x) for x in (held_out[:200], random.permutation(held_out[:200])))
    print(f"\nln p of 200 characters of it by the chain: {likely:.0f}; of the same ones shuffled: {unlikely:.0f}")
    if not likely > unlikely:
        return f"expected the text to be likelier than its characters shuffled, got ln p {likely} and {unlikely}"

    codes = write_on(network, encode(prompt), args.temperature, random)
    surprise = -log_probability(network, codes) / (len(codes) - K)
    if args.temperature <= 1 and not surprise < of_characters:
        return f"expected the model to write what it finds likelier than {of_characters:.2f} nats, got {surprise:.2f}"
    written = "".join(alphabet[codes])
    words, known = written[:-1].split()[:-1], set(text.split())
    share = sum(word in known for word in words) / max(len(words), 1)
    print(
        f"\n{textwrap.fill(written, 100)}\n\n{share:.0%} of these words are in the text. What they say, nobody has said"
    )

    title = "Predicting the next character of held-out text, beside the best tables there can be"
    pictures.curves(args.output / "loss.png", {"nats per character": losses}, title)
    panels = {}
    for so_far in (prompt, "the functio", "is th"):
        if set(so_far) <= set(alphabet):
            p = next_probabilities(network, encode(so_far)[-K:])
            panels[f"after “{so_far[-14:]}”"] = {f"“{alphabet[c]}”": p[c] for c in np.argsort(-p)[:5]}
    pictures.bars(args.output / "next.png", panels, "What may come next: the five likeliest characters", "probability")
    print(f"\nthe losses:      {args.output / 'loss.png'}\nwhat comes next: {args.output / 'next.png'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
