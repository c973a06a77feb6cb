"""The one-page engine is right by itself: its gradients are those of difference quotients, and it learns MNIST."""

import micro
import numpy as np


def test_gradients_agree_with_difference_quotients():
    random = np.random.default_rng(0)
    images, labels = random.random((6, 4)), np.array([0, 2, 1, 1, 0, 2])
    weight, bias = random.standard_normal((3, 4)), random.standard_normal(3)

    def loss_of(weight, bias):
        hidden = micro.tanh(micro.add(micro.matmul(images, micro.transpose(weight)), bias))
        return micro.cross_entropy(micro.divide(micro.relu(hidden), 0.5), labels)

    W, b = micro.Value(weight), micro.Value(bias)
    loss_of(W, b).backward()
    h = 1e-6
    for x, grad in ((weight, W.grad), (bias, b.grad)):
        for i in np.ndindex(x.shape):
            at = x[i]
            x[i] = at + h
            up = loss_of(micro.Value(weight), micro.Value(bias)).data
            x[i] = at - h
            down = loss_of(micro.Value(weight), micro.Value(bias)).data
            x[i] = at
            np.testing.assert_allclose(grad[i], (up - down) / (2 * h), rtol=1e-6, atol=1e-9)


def test_it_learns_mnist():
    weight, bias = np.zeros((10, 784), np.float32), np.zeros(10, np.float32)
    micro.train(*micro.mnist("train"), weight, bias, steps=400)
    images, labels = micro.mnist("t10k")
    assert np.mean((images @ weight.T + bias).argmax(axis=1) == labels) > 0.88
