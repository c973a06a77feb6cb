"""The examples from linear regression to language models run, draw and hold; and their checks fail when they should."""

import gzip
import hashlib
import pathlib
import re
import shutil
import struct
import subprocess
import sys

import fashion_mnist
import language_model
import linear_regression
import logistic_regression
import mnist_mlp
import numpy as np
import one_vs_rest
import pytest

import tinygrad_sm as tg
from tinygrad_sm import nn
from tinygrad_sm.datasets import IdxFile, download, fashion, mnist

EXAMPLES = pathlib.Path(linear_regression.__file__).parent
LETTERS = np.random.default_rng(0).choice(list("abcdefg "), 12_000)


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Return a function that runs the main of an example, and gives its status, its output and its errors."""

    def run(example, *options):
        monkeypatch.setattr(sys, "argv", [example.__name__, "--output", str(tmp_path / "runs"), *map(str, options)])
        status = example.main()
        return status, *capsys.readouterr()

    return run


def check_run(status, text, errors, folder, pictures):
    """Check that a run has ended well, fits a terminal, and has drawn the pictures that it names."""
    assert (status, errors) == (0, "")
    assert max(len(line) for line in text.replace(str(folder), "").splitlines()) <= 100
    named = re.findall(r"\S+\.png", text)
    assert sorted(named) == sorted(str(folder / "runs" / name) for name in pictures)
    assert all(pathlib.Path(name).read_bytes().startswith(b"\x89PNG") for name in named)
    assert len(list((folder / "runs").iterdir())) == len(pictures)


RUNS = {
    linear_regression: ([], ["fit.png", "loss.png"]),
    logistic_regression: ([], ["regions.png", "sigmoid.png", "threshold.png"]),
    one_vs_rest: ([], ["percentages.png", "car.png", "stack.png"]),
    mnist_mlp: (["--quick"], ["curves.png", "confusion.png", "mistakes.png", "network.png"]),
    language_model: (["--epochs", "1"], ["loss.png", "next.png"]),
}


@pytest.mark.parametrize("example", RUNS, ids=lambda example: example.__name__)
def test_an_example_runs_and_draws(example, run, tmp_path):
    options, pictures = RUNS[example]
    check_run(*run(example, *options), tmp_path, pictures)


def test_examples_run_where_they_were_copied_to(tmp_path):
    shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-W", "error", "examples/linear_regression.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "runs/linear_regression/fit.png").exists()


def test_a_failed_check_is_status_1_and_says_why(tmp_path):
    command = [sys.executable, str(EXAMPLES / "mnist_mlp.py"), "--quick", "--epochs", "1", "--hidden", "2"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert re.fullmatch(r"expected a test accuracy of at least 90.0 %, got \d+\.\d\d %\n", done.stderr)


def test_linear_regression_checks_where_the_descent_ends(run, monkeypatch):
    descend = linear_regression.descend
    monkeypatch.setattr(linear_regression, "descend", lambda x, y: descend(x, y, steps=20))
    assert re.match("ŷ = W₁x .*: expected gradient descent to end at the closed form's θ", run(linear_regression)[0])
    monkeypatch.setattr(linear_regression, "descend", descend)
    monkeypatch.setattr(linear_regression, "written_out", lambda W, b, x: W[0, 0] * x[0])
    assert re.match(r"ŷ = W₁x .*: expected Wx \+ b to equal", run(linear_regression)[0])


def test_the_normal_equations_give_what_lstsq_gives():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(20, 3)), random.normal(size=(20, 1))
    expected = np.linalg.lstsq(np.hstack([np.ones((20, 1)), x]), y)[0][:, 0]
    np.testing.assert_allclose(linear_regression.normal_equations(x, y), expected, rtol=1e-10)


def test_logistic_regression_checks_its_claims(run, monkeypatch):
    train = logistic_regression.train
    monkeypatch.setattr(logistic_regression, "train", lambda x, y: train(x, y, steps=30))
    assert re.match("expected gradient descent to end where Newton's method does", run(logistic_regression)[0])
    monkeypatch.setattr(logistic_regression, "train", train)
    monkeypatch.setattr(logistic_regression, "judged", lambda a, y, threshold: (0.5, 0.5))
    assert re.match("expected a higher γ to raise the precision", run(logistic_regression)[0])


def test_the_regions_of_logistic_regression_are_those_of_its_thresholds(run, monkeypatch):
    drawn = {}
    monkeypatch.setattr(
        logistic_regression.pictures, "decision_regions", lambda path, panels, title: drawn.update(panels)
    )
    text = run(logistic_regression)[1]
    for gamma in ("0.2", "0.5", "0.8"):
        predict, points, labels, _ = drawn[f"γ = {gamma}"]
        said = predict(points) > 0.5
        precision, recall = labels[said].mean(), said[labels == 1].mean()
        assert re.search(rf"^ *{gamma} .* {precision:.1%} +{recall:.1%}$", text, re.MULTILINE)


def test_precision_and_recall_by_hand():
    a, y = np.array([0.9, 0.6, 0.5, 0.4, 0.1]), np.array([1, 0, 1, 1, 0])
    assert logistic_regression.judged(a, y, 0.5) == (2 / 3, 2 / 3)  # of 3 said to be 1 two are right, of 3 two found
    assert logistic_regression.judged(a, y, 0.7) == (1, 1 / 3)


def test_one_vs_rest_checks_its_claims(run, monkeypatch):
    train = one_vs_rest.train
    with monkeypatch.context() as patch:
        patch.setattr(tg, "softmax", tg.sigmoid)
        assert re.match("expected 10 %, 20 %, 70 % with sum 1, got", run(one_vs_rest)[0])
    with monkeypatch.context() as patch:
        patch.setattr(tg, "jacobian", lambda f, z: tg.Tensor(np.diag([0.2211, 0.24, 0.21])))
        assert re.match("expected the softmax's Jacobian to be diag", run(one_vs_rest)[0])
    with monkeypatch.context() as patch:  # a stack that looks at the mean of the classes, not at each
        patch.setattr(
            one_vs_rest, "train", lambda x, y, loss: train(x, y + 0.1 * (y.mean(axis=1, keepdims=True)), loss)
        )
        assert re.match("expected the stack to be its three models trained alone", run(one_vs_rest)[0])
    with monkeypatch.context() as patch:
        patch.setattr(one_vs_rest, "share_found", lambda a, tags: 0.9)
        assert re.match("expected more than 95 % by the stack", run(one_vs_rest)[0])


def test_the_share_of_pictures_of_which_all_tags_are_found():
    tags = np.array([[1, 1, 0], [1, 1, 1], [0, 1, 1], [1, 0, 0]])
    a = np.array([[0.9, 0.8, 0.9], [0.9, 0.9, 0.4], [0.0, 0.6, 0.6], [0.1, 0.1, 0.1]])
    assert one_vs_rest.share_found(a, tags) == 2 / 3  # the last has one tag only, and does not count


def test_the_formulas_of_the_network_by_hand():
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 2), nn.ReLU(), nn.Linear(2, 2))
    for parameter, value in zip(model.parameters(), (0, [1, -1], [[1, 5], [0, 5]], [0, 0]), strict=True):
        parameter.assign(np.broadcast_to(np.float32(value), parameter.shape).copy())
    e = np.e  # the hidden units are 1 and relu(−1) = 0, the net inputs 1 and 0
    y = mnist_mlp.by_the_formulas(model, np.ones((1, 1, 28, 28), np.float32))
    np.testing.assert_allclose(y, [[e / (1 + e), 1 / (1 + e)]], rtol=1e-6)


def put(folder, file, array):
    """Put the array as a gzipped IDX file where that of Fashion-MNIST is looked for; return what names it."""
    plain = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    packed = gzip.compress(plain, compresslevel=1, mtime=0)
    folder.mkdir(exist_ok=True)
    (folder / file.name).write_bytes(packed)
    hashes = hashlib.sha256(packed).hexdigest(), hashlib.sha256(plain).hexdigest()
    return IdxFile(file.name, len(packed), hashes[0], len(plain), hashes[1])


@pytest.fixture
def digits_for_clothes(tmp_path, monkeypatch):
    """Put some of MNIST's images where Fashion-MNIST's are looked for."""
    monkeypatch.setenv("TINYGRAD_SM_DATA", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    for split, files in fashion.FILES.items():
        images, labels, _ = mnist(split, scale=None)
        arrays = images[:4000, 0], labels[:4000].astype(np.uint8)
        pair = tuple(put(tmp_path / "data/fashion-mnist", *both) for both in zip(files, arrays, strict=True))
        monkeypatch.setitem(fashion.FILES, split, pair)


def test_fashion_mnist_runs_and_draws(run, tmp_path, digits_for_clothes):
    pictures = ["classes.png", "curves.png", "confusion.png", "mistakes.png"]
    check_run(*run(fashion_mnist, "--epochs", 10), tmp_path, pictures)


def test_fashion_mnist_asks_for_accuracy(run, digits_for_clothes, monkeypatch):
    message = r"softmax regression: expected a test accuracy of at least 82.0 %, got \d+\.\d\d %"
    assert re.fullmatch(message, run(fashion_mnist, "--epochs", 1)[0])
    linear, _ = fashion_mnist.models()["softmax regression"]
    narrow = nn.Sequential(nn.Flatten(), nn.Linear(784, 1), nn.ReLU(), nn.Linear(1, 10))
    monkeypatch.setattr(fashion_mnist, "models", lambda: {"linear": (linear, 50.0), "narrow": (narrow, 0.0)})
    assert re.match("expected the hidden layer to help, got", run(fashion_mnist, "--epochs", 1)[0])


def test_without_files_fashion_mnist_says_how_to_get_them(run, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("no network in this test")

    monkeypatch.setenv("TINYGRAD_SM_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(download, "_receive", refuse)
    status, text, errors = run(fashion_mnist)
    assert (status, text) == (3, "")
    assert errors.startswith("Fashion-MNIST is not here, and could not be fetched.\n")
    assert "by hand, or let the environment variable TINYGRAD_SM_DATA name the folder" in errors
    assert not (tmp_path / "runs").exists()


@pytest.fixture
def small_model():
    """Return a language model of 4 characters with weights drawn at random."""
    model = nn.Sequential(language_model.OneHot(4), nn.Linear(4 * language_model.K, 4, bias=False))
    model[1].weight.assign(np.random.default_rng(0).normal(size=(4, 4 * language_model.K)).astype(np.float32))
    return model


def test_text_is_cleaned():
    assert language_model.clean("It's  A\ntest_of 12 (things).\n\n>>> x, y") == "it's a test of things . x, y"
    assert language_model.clean("a well-known\n-------- line") == "a well-known line"


def test_what_is_learned_is_the_text_shifted_by_one():
    codes = np.arange(8)
    contexts, following = language_model.pairs(codes)
    assert contexts.tolist() == [[0, 1, 2, 3, 4], [1, 2, 3, 4, 5], [2, 3, 4, 5, 6]]
    assert following.tolist() == [5, 6, 7]
    assert language_model.OneHot(3)(np.array([[2, 0]])).tolist() == [[0, 0, 1, 1, 0, 0]]


def test_entropies_by_hand():
    assert language_model.entropy(np.array([2, 2])) == pytest.approx(np.log(2))
    counts = language_model.count_pairs(np.array([0, 1, 0, 1, 0, 0]), 3)
    assert counts.tolist() == [[1, 2, 0], [2, 0, 0], [0, 0, 0]]
    uncertain = np.log(3) / 3 + 2 / 3 * np.log(3 / 2)  # after 0; after 1 nothing is uncertain
    assert language_model.entropy(counts) == pytest.approx(3 / 5 * uncertain)


def test_the_chain_multiplies_conditional_probabilities(small_model):
    codes, K = np.array([0, 1, 2, 3, 2, 1, 0, 0, 3]), language_model.K
    product = 1.0
    for t in range(K, len(codes)):
        product *= language_model.next_probabilities(small_model, codes[t - K : t])[codes[t]]
    assert language_model.log_probability(small_model, codes) == pytest.approx(np.log(product), rel=1e-5)


def test_what_was_written_is_read_again(small_model, monkeypatch):
    monkeypatch.setattr(language_model, "LENGTH", 20)
    prompt, random = np.array([3, 1, 0, 2, 2, 1]), np.random.default_rng(0)
    written = language_model.write_on(small_model, prompt, 1e-6, random)
    assert written[:6].tolist() == prompt.tolist()
    for t in range(6, 26):  # so cold that the likeliest is drawn
        assert written[t] == small_model(written[np.newaxis, t - 5 : t]).argmax()
    assert len(set(written[6:].tolist())) > 1
    drawn = [language_model.write_on(small_model, prompt, 10.0, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert drawn[0].tolist() == drawn[1].tolist() != drawn[2].tolist()


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("too short", [], "--text: expected at least 10,000 characters, got 9"),
        ("".join(LETTERS), ["--prompt", "add z"], r"--prompt: expected characters that the text has too, got \['z'\]"),
        ("".join(LETTERS), ["--prompt", "add"], r"expected losses that fall from 2\.07\d\d, got 2"),  # pure chance
    ],
)
def test_a_text_that_teaches_nothing_is_refused(text, options, message, run, tmp_path):
    (tmp_path / "text").write_text(text)
    assert re.match(message, run(language_model, "--text", tmp_path / "text", "--epochs", 1, *options)[0])


def test_the_language_model_checks_what_it_learns_and_what_it_writes(run, monkeypatch):
    pairs = language_model.pairs
    with monkeypatch.context() as patch:
        patch.setattr(language_model, "pairs", lambda codes: (pairs(codes)[0], np.roll(pairs(codes)[1], 7)))
        assert re.match("expected each context to end with the label of the one before", run(language_model)[0])
    with monkeypatch.context() as patch:
        patch.setattr(language_model, "next_probabilities", lambda *_: np.full(31, 1 / 31))
        assert re.match("expected the model to write what it finds likelier", run(language_model, "--epochs", 1)[0])


def test_the_language_model_checks_the_table_of_counts(run, monkeypatch):
    fit_pairs = language_model.fit_pairs
    monkeypatch.setattr(language_model, "fit_pairs", lambda counts: fit_pairs(counts, steps=20))
    assert re.match("expected softmax regression with k = 1 to be the table of counts", run(language_model)[0])
