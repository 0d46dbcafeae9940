"""Embedding Expansion: the synthetic points and their distances."""

import numpy as np
import pytest

from core.errors import UserError
from core.runtime import nd
from losses import expansion, functional, get_loss
from tests.losses.harness import build, rows, value_and_gradient
from tests.reference.backward import prepare, through_batch


def test_expanded_points_divide_the_segment_of_neighbours():
    x = np.array([[0, 0], [3, 6], [1, 1], [1, 4]], dtype=np.float32)
    points = expansion.expand(nd, nd.array(x), 2, l2_norm=False).asnumpy()
    assert points.tolist() == [[0, 0], [3, 6], [1, 1], [1, 4],
                               [1, 2], [2, 4], [1, 2], [1, 3],
                               [2, 4], [1, 2], [1, 3], [1, 2]]
    assert expansion.expand_labels(nd, nd.array([5, 5, 7, 7]), 2).asnumpy().tolist() == [5, 5, 7, 7] * 3


@pytest.mark.parametrize('l2_norm', [False, True])
def test_equal_points_have_bitwise_equal_distances(l2_norm):
    """The doubled gradient rests on it: the point at t from a is the point at 1 - t from its partner."""
    for size, dim, n in ((8, 4, 1), (30, 33, 2), (64, 64, 4), (128, 512, 2)):
        points = expansion.expand(nd, nd.array(rows(size, size, dim)), n, l2_norm)
        D = functional.euclidean_distances(nd, points, rows=len(points)).asnumpy()
        partner = np.arange(size) ^ 1
        for k in range(1, n + 1):
            assert (D[:, k * size:(k + 1) * size] == D[:, (n + 1 - k) * size + partner]).all()


def test_a_batch_that_does_not_pair_up_is_refused():
    with pytest.raises(UserError, match='--n_inner_pts=2.*--batch_size=7 is odd'):
        value_and_gradient(build('hphn_triplet'), rows(7), np.zeros(7, int))
    with pytest.raises(UserError, match='--num_instances=5 is odd'):
        expansion.check_batch(2, 70, 5)
    expansion.check_batch(0, 7, 5)


@pytest.mark.parametrize('name', ['triplet_semihard', 'triplet_batchhard', 'triplet_local'])
def test_expansion_moves_negatives_nearer(name):
    """With synthetic points negatives are at most as far, and the loss at least as large."""
    x, label = rows(12, 11, 4), np.repeat(np.arange(3), 4)
    with_points, without = (prepare(get_loss(name)(2.0, n_inner_pts=n)) for n in (2, 0))
    if name != 'triplet_semihard':                                    # whose negative may become a farther one
        assert through_batch(with_points, x, label)[0].asscalar() > through_batch(without, x, label)[0].asscalar()
    positive, negative = with_points.pair_distances(nd, nd.array(x))
    assert (negative.asnumpy() <= positive.asnumpy() + 1e-6).all() and (negative.asnumpy() < positive.asnumpy()).any()
