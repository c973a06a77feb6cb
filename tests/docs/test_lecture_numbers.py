"""Every number and every equality that the lecture notes print holds here, on the framework's public names."""

import math

import numpy as np
import pytest

import tinygrad_sm as tg
from tinygrad_sm import nn
from tinygrad_sm.datasets import DataLoader, mnist, toys

F = nn.functional
IMAGES, LABELS, CLASSES = mnist("test")


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def softmax_by_hand(z):
    """Return exp(z_j) / Σ_k exp(z_k) of a list of numbers, by the math module."""
    return [math.exp(z_j) / sum(math.exp(z_k) for z_k in z) for z_j in z]


def test_mnist_has_nearly_6000_images_of_each_class():
    labels = mnist("train", scale=None).labels
    counts = np.bincount(labels)
    assert (len(labels), len(LABELS), len(CLASSES)) == (60_000, 10_000, 10)
    assert counts.mean() == 6000
    assert (counts.min(), counts.argmin()) == (5421, 5)  # "balanced, 6000 each" is the mean, not the truth
    assert (counts.max(), counts.argmax()) == (6742, 1)


def test_a_mini_batch_is_nchw_and_an_image_is_784_features():
    images, labels = next(iter(DataLoader((IMAGES, LABELS), batch_size=128)))
    N, C, H, W = images.shape
    assert (N, C, H, W) == (128, 1, 28, 28)
    assert labels.shape == (128,)
    assert images[0].ndim == 3  # one image, channel first; a batch of them has four axes
    assert nn.Flatten()(images).shape == (128, 784)
    assert nn.Sequential(nn.Flatten(), nn.Linear(784, 10))(images).shape == (128, 10)


def test_rows_of_an_image_are_joined_one_after_the_other():
    green, blue, red = [1, 2, 3], [4, 5, 6], [7, 8, 9]
    image = np.array([[[green, blue, red]]])
    assert nn.Flatten()(image).tolist() == [[*green, *blue, *red]]
    vector = nn.Flatten()(IMAGES[:1])[0]
    assert [float(x) for x in vector] == [float(IMAGES[0, 0, row, column]) for row in range(28) for column in range(28)]


def test_pixels_are_scaled_to_0_to_1_and_centred():
    stored, unit, centred = (mnist("test", scale).images for scale in (None, "unit", "center"))
    assert (stored.min(), stored.max()) == (0, 255)
    assert (unit.min(), unit.max()) == (0, 1)
    assert (centred.min(), centred.max()) == (-0.5, 0.5)
    assert {float(p) for p in unit[stored == 51]} == {np.float32(51 / 255)}
    np.testing.assert_allclose(centred, unit - 0.5, atol=1e-7)


def test_standardising_changes_the_scale_and_not_the_shape_of_the_distribution():
    def skewness(x):
        deviations = x - x.mean(dtype=np.float64)
        return (deviations**3).mean() / (deviations**2).mean() ** 1.5

    standard = mnist("test", "standard").images
    np.testing.assert_allclose([standard.mean(), standard.std()], [0, 1], atol=0.02)  # exactly so in the training set
    assert skewness(IMAGES) > 2  # a normal distribution has skewness 0
    np.testing.assert_allclose(skewness(standard), skewness(IMAGES), rtol=1e-4)
    assert (standard == standard.min()).mean() == (IMAGES == 0).mean() > 0.8  # and no value that most pixels have


def test_one_hot_rows_of_the_labels_0_1_3_2():
    assert F.one_hot([0, 1, 3, 2], 4).tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]


def test_labels_that_are_counted_from_1_lose_1():
    y = np.array([1, 2, 3])
    encoded = F.one_hot(y - 1, 3)
    assert encoded.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert all(encoded[i, m - 1] == (y[i] == m) for i in range(3) for m in (1, 2, 3))
    with pytest.raises(IndexError, match="expected 0..2 for 3 classes, got 3 in row 2"):
        F.one_hot(y, 3)


def test_losses_of_the_probability_of_the_true_class():
    p = np.array([[0.90, 0.03, 0.07], [0.12, 0.68, 0.20], [0.01, 0.95, 0.04]])
    labels = np.array([2, 2, 2]) - 1  # M = 3, y = 2
    losses = F.nll_loss(np.log(p), labels, reduction="none")
    assert losses.round(2).tolist() == [3.51, 0.39, 0.05]
    assert losses.round(4).tolist() == [3.5066, 0.3857, 0.0513]
    np.testing.assert_allclose(F.cross_entropy(np.log(p), labels, reduction="none"), losses)


Z = np.array([[-0.3, -0.5, -0.5], [-0.4, -0.1, -0.5], [-0.3, -0.94, -0.5], [-0.99, -0.88, -0.5]])
Y = np.array([0, 1, 2, 2])


def test_the_worked_cross_entropy():
    np.testing.assert_allclose(tg.softmax(Z), [softmax_by_hand(row) for row in Z.tolist()], rtol=1e-14)
    np.testing.assert_allclose(tg.softmax(Z)[0], [0.3791, 0.3104, 0.3104], atol=6e-5)
    for target in (Y, np.eye(3)[Y]):  # labels, and the matrix of one-hot rows
        losses = F.cross_entropy(Z, target, reduction="none")
        np.testing.assert_allclose(losses, [0.9698, 0.8801, 1.0527, 0.8314], atol=5e-5)
        np.testing.assert_allclose(F.cross_entropy(Z, target), 0.9335, atol=5e-5)
        np.testing.assert_allclose(F.cross_entropy(Z, target, reduction="sum"), 3.7340, atol=5e-5)


def test_a_sum_is_n_times_the_mean_and_so_is_its_gradient():
    gradients = {}
    for reduction in ("sum", "mean"):
        logits = tg.Tensor(Z, requires_grad=True)
        nn.CrossEntropyLoss(reduction=reduction)(logits, Y).backward()
        gradients[reduction] = logits.grad
    np.testing.assert_allclose(gradients["sum"], 4 * gradients["mean"], rtol=1e-14)
    np.testing.assert_allclose(gradients["sum"][0], np.subtract(softmax_by_hand(Z[0]), [1, 0, 0]), rtol=1e-14)


def test_the_biases_gradient_is_summed_over_the_samples_and_not_over_the_classes():
    model = nn.Linear(5, 3)
    nn.CrossEntropyLoss(reduction="sum")(model(normal(4, 5)), Y).backward()
    a = tg.softmax(model(normal(4, 5)).numpy())
    np.testing.assert_allclose(model.bias.grad, (a - np.eye(3)[Y]).sum(axis=0), atol=1e-6)
    assert np.abs(model.bias.grad).max() > 0.1  # summed over the classes too it would be 0


def test_logistic_and_softmax_regression_have_one_learning_rule():
    x, y = normal(20, 4), np.arange(20) % 2
    logistic, softmax = nn.Linear(4, 1), nn.Linear(4, 2)
    softmax.weight.assign(np.vstack([np.zeros((1, 4)), logistic.weight.numpy()]))
    softmax.bias.assign(np.hstack([[0.0], logistic.bias.numpy()]))
    nn.BCEWithLogitsLoss()(logistic(x)[:, 0], y.astype(np.float64)).backward()
    nn.CrossEntropyLoss()(softmax(x), y).backward()
    w, b = logistic.weight.numpy()[0], logistic.bias.item()
    a = 1 / (1 + np.exp(-(x @ w + b)))
    rule = -((y - a) @ x) / 20  # −(y − a)x, the mean over the samples
    np.testing.assert_allclose(logistic.weight.grad[0], rule, rtol=1e-5)
    np.testing.assert_allclose(softmax.weight.grad, [-rule, rule], rtol=1e-5)
    np.testing.assert_allclose(softmax.bias.grad, np.mean(y - a) * np.array([1, -1]), rtol=1e-5)


def test_the_softmax_in_three_notations():
    model, X = nn.Linear(4, 3), normal(5, 4)
    W, b = model.weight.numpy().astype(np.float64), model.bias.numpy().astype(np.float64)
    assert (W.size, b.size) == (12, 3)
    written_out = []
    for x1, x2, x3, x4 in X:
        o = [x1 * W[j, 0] + x2 * W[j, 1] + x3 * W[j, 2] + x4 * W[j, 3] + b[j] for j in range(3)]
        written_out.append(softmax_by_hand(o))
    np.testing.assert_allclose([tg.softmax(W @ x + b) for x in X], written_out, rtol=1e-12)  # y = softmax(Wx + b)
    np.testing.assert_allclose(tg.softmax(X @ W.T + b), written_out, rtol=1e-12)  # Ŷ = softmax(XW + b), row by row
    np.testing.assert_allclose(tg.softmax(model(X)).numpy(), written_out, rtol=1e-5)


def test_the_layouts_agree():
    X, model = normal(6, 4), nn.Linear(4, 3)
    assert (model.weight.shape, model.bias.shape) == ((3, 4), (3,))  # h×m: a row for each class
    nets = model(X).numpy()
    for x, z in zip(X, nets, strict=True):
        np.testing.assert_allclose((model.weight @ x + model.bias).numpy(), z, rtol=1e-5)
    W = nn.Parameter(model.weight.numpy().T)  # d×q: a column for each class
    np.testing.assert_allclose((X @ W + model.bias.reshape(1, 3)).numpy(), nets, rtol=1e-5)
    without_bias = nn.Linear(4, 3, bias=False)
    without_bias.weight.assign(model.weight)
    for k in range(3):
        w_k = W.numpy()[:, k]
        np.testing.assert_allclose(without_bias(X).numpy()[:, k], [x @ w_k for x in X], rtol=1e-5)
        e = np.exp(X @ W.numpy())
        np.testing.assert_allclose(tg.softmax(without_bias(X)).numpy()[:, k], e[:, k] / e.sum(axis=1), rtol=1e-5)


def test_the_shapes_of_a_network_with_two_layers():
    p, U = 5, 7
    W1, b1, W2, b2 = nn.Sequential(nn.Linear(p, U), nn.Sigmoid(), nn.Linear(U, 1)).parameters()
    assert (W1.shape, b1.shape, W2.shape, b2.shape) == ((U, p), (U,), (1, U), (1,))


def test_activations_are_elementwise():
    z = normal(4)
    for h, formula in ((tg.sigmoid, lambda x: math.exp(x) / (1 + math.exp(x))), (tg.relu, lambda x: max(0.0, x))):
        np.testing.assert_allclose(h(z), [formula(x) for x in z], rtol=1e-12)
        jacobian = tg.jacobian(h, z).numpy()
        assert (jacobian[~np.eye(4, dtype=bool)] == 0).all()
        assert np.abs(np.diag(jacobian)).max() > 0.1
    assert (tg.jacobian(tg.softmax, z).numpy()[~np.eye(4, dtype=bool)] < 0).all()  # −a_i a_j: the softmax is not


def test_independent_percentages_need_not_sum_to_1_and_those_of_a_softmax_do():
    independent = tg.sigmoid(np.log([33 / 67, 40 / 60, 70 / 30]))
    np.testing.assert_allclose(independent, [0.33, 0.40, 0.70])
    np.testing.assert_allclose(1 - independent, [0.67, 0.60, 0.30])
    assert abs(independent.sum() - 1) > 0.4
    exclusive = tg.softmax(np.log([1.0, 2.0, 7.0]))
    np.testing.assert_allclose(exclusive, [0.10, 0.20, 0.70])
    assert exclusive.argmax() + 1 == 3  # the position of the highest value, counted from 1


def test_the_probability_of_class_0_is_what_class_1_leaves():
    z = np.linspace(-30, 30, 61)
    np.testing.assert_allclose(tg.sigmoid(-z), 1 - tg.sigmoid(z), atol=1e-15)
    assert (tg.sigmoid(z) >= 0.5).tolist() == (z >= 0).tolist()  # the threshold 0.5


def test_a_softmax_of_two_is_a_sigmoid_of_the_difference():
    x, first, second = normal(50, 3), nn.Linear(3, 1), nn.Linear(3, 1)
    of_two = tg.softmax(tg.concatenate([first(x), second(x)], axis=1), axis=1).numpy()[:, 0]
    unit = nn.Linear(3, 1)
    unit.weight.assign(first.weight.numpy() - second.weight.numpy())
    unit.bias.assign(first.bias.numpy() - second.bias.numpy())
    np.testing.assert_allclose(tg.sigmoid(unit(x)).numpy()[:, 0], of_two, rtol=1e-5)


def test_log_odds_are_linear_in_x_and_probabilities_are_not():
    model, start, step = nn.Linear(2, 3), normal(2), normal(2, seed=1)
    line = np.array([start + t * step for t in range(5)])
    p = tg.softmax(model(line).numpy().astype(np.float64))
    curvature = np.diff(np.log(p[:, 0] / p[:, 1]), n=2)
    np.testing.assert_allclose(curvature, 0, atol=1e-5)
    assert np.abs(np.diff(p, n=2, axis=0)).max() > 1e-3


def test_the_softmax_comes_from_linear_log_odds():
    z = normal(6, 4)
    Z_i = 1 / np.exp(z).sum(axis=1, keepdims=True)  # g_m = Z e^{z_m} and Σ g_m = 1
    np.testing.assert_allclose(tg.softmax(z), Z_i * np.exp(z), rtol=1e-13)
    np.testing.assert_allclose(tg.log_softmax(z) - np.log(Z_i), z, atol=1e-13)
    np.testing.assert_allclose(tg.logsumexp(z, axis=1, keepdims=True), -np.log(Z_i), atol=1e-13)


def test_maximum_likelihood_is_the_least_cross_entropy():
    z, labels = normal(6, 3), np.array([0, 2, 1, 1, 0, 2])
    p = [softmax_by_hand(row) for row in z]
    likelihood = math.prod(p[i][label] for i, label in enumerate(labels))  # independent examples: a product
    total = F.nll_loss(tg.log_softmax(z), labels, reduction="sum")
    np.testing.assert_allclose(total, -math.log(likelihood), rtol=1e-12)
    by_class = [sum(math.log(p[i][m]) for i in range(6) if labels[i] == m) for m in range(3)]
    np.testing.assert_allclose(total, -sum(by_class), rtol=1e-12)
    encoded = F.one_hot(labels, 3)
    np.testing.assert_allclose(F.cross_entropy(z, labels, reduction="sum"), -(encoded * np.log(p)).sum(), rtol=1e-12)


def test_exp_boosts_the_higher_logits():
    z = np.array([1.0, 2.0, 4.0])
    p = tg.softmax(z)
    np.testing.assert_allclose([p[1] / p[0], p[2] / p[1]], [math.e, math.e**2])  # a lead in z is a factor in p
    assert p[2] > z[2] / z.sum()


def test_no_gradient_passes_the_argmax():
    z = tg.Tensor(normal(4, 3), requires_grad=True)
    classes = z.argmax(axis=1)
    assert type(classes) is np.ndarray
    np.testing.assert_array_equal(classes, tg.softmax(z).argmax(axis=1))  # the max logit has the max probability
    with pytest.raises(tg.GradientError):
        tg.Tensor(F.one_hot(classes, 3)).sum().backward()


def test_numbers_for_labels_claim_an_order_and_one_hot_vectors_do_not():
    names = toys.cat_chicken_dog(3).classes
    encoded = dict(zip(names, F.one_hot([0, 1, 2], 3), strict=True))
    assert {name: row.tolist() for name, row in encoded.items()} == {
        "cat": [1, 0, 0],
        "chicken": [0, 1, 0],
        "dog": [0, 0, 1],
    }
    number = {"dog": 1, "cat": 2, "chicken": 3}
    assert number["dog"] < number["cat"] < number["chicken"]
    pairs = [("cat", "chicken"), ("cat", "dog"), ("chicken", "dog")]
    assert {abs(number[a] - number[b]) for a, b in pairs} == {1, 2}
    distances = {name: [float(tg.norm(row - other)) for other in encoded.values()] for name, row in encoded.items()}
    assert all(sorted(row) == pytest.approx([0, 2**0.5, 2**0.5]) for row in distances.values())
