"""Tapes without values, of the shapes that real ones have: networks, attention, neurons in scalars, random programs."""

import numpy as np


class Tape:
    """What a recording knows of a tape's form: values in the order of recording, and who is an operand of whom."""

    def __init__(self):
        self.nodes, self.edges = [], []

    def value(self, *operands):
        """Record an operation, or a leaf if there are no operands; return its number."""
        self.nodes.append(len(self.nodes))
        self.edges += [(operand, self.nodes[-1]) for operand in operands]
        return self.nodes[-1]

    def chain(self, x, length=1):
        for _ in range(length):
            x = self.value(x)
        return x

    def linear(self, x):
        """Record x Wᵀ + b."""
        weight = self.value()
        return self.value(self.value(x, self.chain(weight)), self.value())

    def softmax(self, x):
        """Record it unfolded: e = exp(x − max x), e / Σ e."""
        shifted = self.value(self.value(x, self.value(x)))
        return self.value(shifted, self.value(shifted))

    def norm(self, x):
        """Record (x − mean) / √(mean (x − mean)² + ε) ⊙ γ + β."""
        centred = self.value(x, self.value(x))
        deviation = self.value(self.value(self.chain(centred, 2), self.value()))
        return self.value(self.value(self.value(centred, deviation), self.value()), self.value())

    def loss(self, x):
        """Record minus the mean of the logarithms at the labels."""
        return self.chain(self.value(self.value(x), self.value()), 2)

    def attention(self, x, heads=1):
        found = []
        for _ in range(heads):
            q, k, v = (self.value(x, self.value()) for _ in range(3))
            scores = self.value(self.value(q, self.chain(k)), self.value())
            found.append(self.value(self.softmax(scores), v))
        return found[0] if heads == 1 else self.value(*found)


def mlp(random):
    tape = Tape()
    x = tape.value()
    for _ in range(random.integers(1, 6)):
        x = tape.chain(tape.linear(x))
        if random.random() < 0.2:
            x = tape.value(x, tape.value())  # dropout's mask
    tape.loss(tape.softmax(tape.linear(x)))
    return tape


def transformer(random):
    tape = Tape()
    x = tape.value(tape.value(), tape.value())
    for _ in range(random.integers(1, 3)):
        x = tape.value(x, tape.value(tape.attention(tape.norm(x), random.integers(1, 4)), tape.value()))
        x = tape.value(x, tape.linear(tape.chain(tape.linear(x))))
    tape.loss(x)
    return tape


def residual_network(random):
    tape = Tape()
    x = tape.linear(tape.value())
    for _ in range(random.integers(2, 6)):
        branch = x
        for _ in range(random.integers(1, 4)):
            branch = tape.value(branch, tape.value()) if random.random() < 0.6 else tape.chain(branch)
        shortcut = x if random.random() < 0.7 else tape.value(x, tape.value())
        x = tape.chain(tape.value(shortcut, branch), random.integers(0, 2))
    tape.loss(x)
    return tape


def recurrent_network(random):
    """Return a tape with the same weights at every step: leaves with many uses, far apart."""
    tape = Tape()
    state, inner, outer, bias = (tape.value() for _ in range(4))
    losses = []
    for _ in range(random.integers(2, 6)):
        state = tape.chain(tape.value(tape.value(tape.value(tape.value(), outer), tape.value(state, inner)), bias))
        if random.random() < 0.4:
            losses.append(tape.loss(state))
    tape.value(*losses, state)
    return tape


def neurons(random):
    """Return a network of scalars, as one draws it to learn: each input goes to each neuron of a layer."""
    tape = Tape()
    values = [tape.value() for _ in range(random.integers(1, 5))]
    for width in [*random.integers(1, 5, random.integers(1, 3)), 1]:
        layer = []
        for _ in range(width):
            terms = [tape.value(x, tape.value()) for x in values]
            if random.random() < 0.6:
                terms.append(tape.value())  # a bias
            total = terms[0]
            for term in terms[1:]:
                total = tape.value(total, term)
            layer.append(tape.chain(total, random.integers(0, 2)))
        values = layer
    tape.chain(tape.value(values[0], tape.value()), 2)
    return tape


def program(random):
    """Return a tape of any operations, mostly of recent values; a few values have many uses, and a few results none."""
    tape = Tape()
    values = [tape.value() for _ in range(random.integers(1, 4))]
    length, sharing = random.integers(5, 61), random.uniform(0, 0.5)
    while len(tape.nodes) < length:
        recent = values[-1 - min(int(random.exponential(1.5)), len(values) - 1)]
        kind = random.random()
        if kind < 0.3:
            values.append(tape.value(recent))
        elif kind < 0.3 + sharing:
            values.append(tape.value(recent, values[random.integers(len(values))]))
        elif kind < 0.95:
            values.append(tape.value(recent, tape.value()))
        else:
            parts = [tape.value(recent) for _ in range(random.integers(3, 9))]
            values.append(tape.value(*parts))
    return tape


KINDS = (program, mlp, program, transformer, residual_network, recurrent_network, program, neurons)


def drawn(seed):
    """Return the tape of a seed, of 5 to 60 values."""
    random = np.random.default_rng(seed)
    while True:
        tape = KINDS[seed % len(KINDS)](random)
        if 5 <= len(tape.nodes) <= 60:
            return tape
