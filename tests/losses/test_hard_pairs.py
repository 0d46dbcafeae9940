"""The hardest pairs of a batch inside the graph."""

import numpy as np

from core.runtime import autograd, nd
from losses import functional, hard_pairs


def on_a_line(position, label):
    """Distances of points on a line, and where labels are equal, as hard_pairs takes them."""
    position, label = np.asarray(position), np.asarray(label)
    return nd.array(np.abs(position[:, None] - position)), nd.array(label[:, None] == label, dtype='float32')


def test_semi_hard_choices():
    """Anchor 0 at 0: positive at 2, negatives at 1, 3, 5 -> 3; positive at 6 -> the farthest, 5; no negative: 0."""
    D, same = on_a_line([0.0, 2, 6, 1, 3, 5], [0, 0, 0, 1, 1, 1])
    found = hard_pairs.semi_hard_negative(nd, D, same, nd.array([0, 0], dtype='int32'), nd.array([2.0, 6.0]))
    assert found.asnumpy().tolist() == [3.0, 5.0]
    alone = hard_pairs.semi_hard_negative(nd, D, nd.ones_like(D), nd.array([0], dtype='int32'), nd.array([2.0]))
    assert alone.asnumpy().tolist() == [0.0]


def test_batch_hard_choices():
    D, same = on_a_line([0.0, 2, 6, 1, 3, 50], [0, 0, 0, 1, 1, 2])        # 5 is alone in its class
    assert hard_pairs.farthest_positive(nd, D, same).asnumpy().tolist() == [6, 4, 6, 2, 2, 0]
    assert hard_pairs.nearest_negative(nd, D, same).asnumpy().tolist() == [1, 1, 3, 1, 1, 44]
    assert (hard_pairs.nearest_negative(nd, D, nd.ones_like(D)).asnumpy() == hard_pairs.FAR).all()
    assert hard_pairs.has_negative(nd, same).asnumpy().all()
    assert not hard_pairs.has_negative(nd, nd.ones_like(D)).asnumpy().any()


def test_ties_share_the_gradient_equally():
    x = nd.array([[1, 3, 3, 2], [5, 5, 5, 5]])
    x.attach_grad()
    with autograd.record():
        top = functional.tied_max(nd, x, axis=1)
    top.backward(nd.array([1, 2]))
    assert top.asnumpy().tolist() == [3, 5]
    assert x.grad.asnumpy().tolist() == [[0, 0.5, 0.5, 0], [0.5, 0.5, 0.5, 0.5]]
