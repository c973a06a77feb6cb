"""One model, three times: from raw tensors to Module and Parameter, and to layers, optimizers and loaders."""

import math

import numpy as np

import tinygrad_sm as tg
import tinygrad_sm.nn.functional as F
from tinygrad_sm import nn
from tinygrad_sm.datasets import DataLoader
from tinygrad_sm.nn import optim

LR, BS, EPOCHS = 0.1, 32, 3


class Mnist_Logistic(nn.Module):
    def __init__(self, start):
        super().__init__()
        self.weights = nn.Parameter(start / math.sqrt(20))
        self.bias = nn.Parameter(tg.zeros(4))

    def forward(self, xb):
        return xb @ self.weights + self.bias


def log_softmax(x):
    return x - x.exp().sum(-1).log()[..., None]


def nll(input, target):
    return -input[range(target.shape[0]), target].mean()


def accuracy(out, yb):
    preds = tg.argmax(out, axis=1)
    return (preds == yb).mean()


def loss_batch(model, loss_func, xb, yb, opt=None):
    loss = loss_func(model(xb), yb)
    if opt is not None:
        loss.backward()
        opt.step()
        opt.zero_grad()
    return loss.item(), len(xb)


def fit(epochs, model, loss_func, opt, train_dl, valid_dl):
    history = []
    for _ in range(epochs):
        model.train()
        for xb, yb in train_dl:
            loss_batch(model, loss_func, xb, yb, opt)
        model.eval()
        with tg.no_grad():
            losses, nums = zip(*[loss_batch(model, loss_func, xb, yb) for xb, yb in valid_dl], strict=True)
        history.append(np.sum(np.multiply(losses, nums)) / np.sum(nums))
    return history


def main():
    rng = np.random.default_rng(2)
    centers, y = rng.normal(size=(4, 20)), rng.integers(0, 4, 256)
    x = (centers[y] + rng.normal(size=(256, 20))).astype(np.float32)
    start = rng.normal(size=(20, 4)).astype(np.float32)
    x, y, start = map(tg.Tensor, (x, y, start))

    weights = (start / math.sqrt(20)).requires_grad_()
    bias = tg.zeros(4, requires_grad=True)
    for i in range(len(x) // BS):
        xb, yb = x[i * BS : (i + 1) * BS], y[i * BS : (i + 1) * BS]
        loss = nll(log_softmax(xb @ weights + bias), yb)
        loss.backward()
        with tg.no_grad():
            weights -= weights.grad * LR
            bias -= bias.grad * LR
            weights.grad = None
            bias.grad = None
    by_hand = [loss.item(), accuracy(xb @ weights + bias, yb).item()]

    model = Mnist_Logistic(start)
    opt = optim.SGD(model.parameters(), lr=LR, momentum=0.9)
    train_ds, valid_ds = (x[:192], y[:192]), (x[192:], y[192:])
    train_dl, valid_dl = DataLoader(train_ds, batch_size=BS), DataLoader(valid_ds, batch_size=2 * BS)
    history = fit(EPOCHS, model, F.cross_entropy, opt, train_dl, valid_dl)
    return {"by hand": by_hand, "history": history, "bias": model.bias.tolist()}


if __name__ == "__main__":
    print(main())
