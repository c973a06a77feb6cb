"""The language model learns what follows a text, multiplies probabilities, and refuses a text that teaches nothing."""

import re

import language_model
import numpy as np
import pytest

from tinygrad_sm import nn

LETTERS = np.random.default_rng(0).choice(list("abcdefg "), 12_000)


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
