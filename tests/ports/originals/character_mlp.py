"""A character model with an embedding table and batch normalisation, trained by a loop that writes every step out."""

import numpy as np
import torch
from torch.nn import functional as F

NAMES = "anna ben clara david emma felix greta hans ida jonas karla leon mia nils olga paul rosa simon tina uwe"
CONTEXT, EMBEDDING, HIDDEN, BATCH = 3, 4, 20, 16


def build_dataset(words, stoi):
    X, Y = [], []
    for word in words:
        context = [0] * CONTEXT
        for c in word + ".":
            X.append(context)
            Y.append(stoi[c])
            context = context[1:] + [stoi[c]]
    return torch.tensor(X), torch.tensor(Y)


def main():
    rng = np.random.default_rng(1)
    words = NAMES.split()
    chars = sorted(set("".join(words)))
    stoi = {c: i for i, c in enumerate([".", *chars])}
    V = len(stoi)
    X, Y = build_dataset(words, stoi)

    def randn(*shape):
        return torch.from_numpy(rng.standard_normal(shape)).float()

    C = randn(V, EMBEDDING)
    W1 = randn(CONTEXT * EMBEDDING, HIDDEN) * (5 / 3) / (CONTEXT * EMBEDDING) ** 0.5
    W2 = randn(HIDDEN, V) * 0.01
    b2 = torch.zeros(V)
    bngain, bnbias = torch.ones((1, HIDDEN)), torch.zeros((1, HIDDEN))
    running_mean, running_std = torch.zeros((1, HIDDEN)), torch.ones((1, HIDDEN))
    parameters = [C, W1, W2, b2, bngain, bnbias]
    for p in parameters:
        p.requires_grad = True

    losses = []
    for i in range(60):
        ix = rng.integers(0, X.shape[0], BATCH)
        emb = F.one_hot(X[ix], num_classes=V).float() @ C
        hpreact = emb.view(BATCH, -1) @ W1
        mean = hpreact.mean(0, keepdim=True)
        std = hpreact.std(0, keepdim=True)
        h = torch.tanh(bngain * (hpreact - mean) / (std + 1e-5) + bnbias)
        loss = F.cross_entropy(h @ W2 + b2, Y[ix])
        with torch.no_grad():
            running_mean = 0.9 * running_mean + 0.1 * mean
            running_std = 0.9 * running_std + 0.1 * std
        for p in parameters:
            p.grad = None
        loss.backward()
        lr = 0.5 if i < 40 else 0.05
        for p in parameters:
            p.data += -lr * p.grad
        losses.append(loss.log10().item())

    with torch.no_grad():
        h = torch.tanh(bngain * (C[X].view(len(X), -1) @ W1 - running_mean) / (running_std + 1e-5) + bnbias)
        whole = F.cross_entropy(h @ W2 + b2, Y)
    return {"log10 of losses": losses, "loss of all": whole.item(), "gains": bngain.tolist()}


if __name__ == "__main__":
    print(main())
