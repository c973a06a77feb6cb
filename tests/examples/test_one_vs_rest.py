"""The example of one versus rest counts pictures whose tags are all found, and notices when its claims do not hold."""

import re

import numpy as np
import one_vs_rest

import tinygrad_sm as tg


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
