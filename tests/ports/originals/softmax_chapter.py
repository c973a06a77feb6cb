"""Softmax regression from scratch: the softmax, its cross-entropy by indexing, the accuracy, minibatch SGD."""

import numpy as np
import torch

NUM_INPUTS, NUM_OUTPUTS = 30, 5


def softmax(X):
    X_exp = torch.exp(X)
    partition = X_exp.sum(1, keepdims=True)
    return X_exp / partition


def cross_entropy(y_hat, y):
    return -torch.log(y_hat[list(range(len(y_hat))), y]).mean()


class SGD:
    def __init__(self, params, lr):
        self.params, self.lr = params, lr

    def step(self):
        for param in self.params:
            param -= self.lr * param.grad

    def zero_grad(self):
        for param in self.params:
            if param.grad is not None:
                param.grad.zero_()


class SoftmaxRegression:
    def __init__(self, W):
        self.W = torch.tensor(W, requires_grad=True)
        self.b = torch.zeros(NUM_OUTPUTS, requires_grad=True)

    def __call__(self, X):
        return softmax(torch.matmul(X.reshape((-1, self.W.shape[0])), self.W) + self.b)

    def loss(self, y_hat, y):
        return cross_entropy(y_hat, y)

    def accuracy(self, y_hat, y):
        preds = y_hat.argmax(axis=1).type(y.dtype)
        compare = (preds == y.reshape(-1)).type(torch.float32)
        return compare.mean()


def batches(X, y, batch_size, rng):
    indices = rng.permutation(len(X))
    for i in range(0, len(indices), batch_size):
        chosen = torch.tensor(indices[i : i + batch_size])
        yield X[chosen], y[chosen]


def main():
    rng = np.random.default_rng(3)
    centers, labels = rng.normal(size=(NUM_OUTPUTS, 5, 6)), rng.integers(0, NUM_OUTPUTS, 200)
    X = torch.tensor(centers[labels] + rng.normal(size=(200, 5, 6)), dtype=torch.float32)
    y = torch.tensor(labels)
    model = SoftmaxRegression(rng.normal(0, 0.01, (NUM_INPUTS, NUM_OUTPUTS)).astype(np.float32))
    optimizer = SGD([model.W, model.b], lr=0.1)
    losses, accuracies = [], []
    for _ in range(4):
        for X_batch, y_batch in batches(X, y, 32, rng):
            loss = model.loss(model(X_batch), y_batch)
            optimizer.zero_grad()
            loss.backward()
            with torch.no_grad():
                optimizer.step()
            losses.append(loss.item())
        accuracies.append(model.accuracy(model(X), y).item())
    return {"losses": losses, "accuracies": accuracies, "b": model.b.tolist()}


if __name__ == "__main__":
    print(main())
