"""HDC against its loops: chosen pairs, value, the authors' gradient."""

import numpy as np
import pytest

from losses.hdc import HDC, mined
from tests.losses.equations import hdc
from tests.reference.backward import prepare, through_batch

LABEL = np.array([0, 0, 1, 1, 2, 2, 0, 0, 1])


def three_depths(seed=0):
    rng = np.random.RandomState(seed)
    parts = [rng.normal(size=(len(LABEL), d)) for d in (3, 4, 5)]
    return np.concatenate([x / np.linalg.norm(x, axis=1, keepdims=True) for x in parts], axis=1).astype(np.float32)


@pytest.mark.parametrize('mining', ['own', 'previous'])
@pytest.mark.parametrize('ratios', [(1.0, 0.5, 0.2), (0.7, 1.0, 0.4)])
@pytest.mark.parametrize('factor', [1.0, 10.0])
def test_value_and_the_authors_gradient(mining, ratios, factor):
    x = three_depths()
    value, expected = hdc(x.astype(float), LABEL, (3, 4, 5), ratios, 1.1, factor, mining)
    criterion = prepare(HDC((3, 4, 5), ratios, 1.1, factor, mining))
    for hybrid in (False, True):
        criterion.hybridize(hybrid)
        loss, grad = through_batch(criterion, x, LABEL)
        assert loss.asscalar() == pytest.approx(value, rel=1e-5)
        np.testing.assert_allclose(grad.asnumpy(), expected, rtol=1e-4, atol=1e-5)


def test_the_two_minings_choose_differently_and_own_ignores_other_depths():
    x = three_depths()
    own, previous = (HDC((3, 4, 5), mining=mining).choose(x, LABEL) for mining in ('own', 'previous'))
    np.testing.assert_array_equal(own[0][0], previous[0][0])
    assert (own[0][1] != previous[0][1]).any() and (own[1][2] != previous[1][2]).any()
    alone = HDC((5,), (0.2,)).choose(x[:, 7:], LABEL)
    np.testing.assert_array_equal(own[0][2], alone[0][0])
    np.testing.assert_array_equal(own[1][2], alone[1][0])
    inside = (previous[0] > 0).astype(int)
    assert (inside[1] <= inside[0]).all() and (inside[2] <= inside[1]).all()


def test_positives_at_no_distance_leave_before_the_share_is_taken():
    """4 of 10 positive pairs of one class have no distance: int(6 x 0.5) = 3 stay; without the rule it were 5."""
    x = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [0, 1]], dtype=np.float32)
    assert HDC((2,), (0.5,)).choose(x, np.zeros(5, int))[0].sum() == 3


def test_weights_of_the_depths_do_not_change_loss_or_pull():
    x = three_depths()
    scaled = x * np.repeat([1, 2, 3], (3, 4, 5)).astype(np.float32)
    plain, weighted = (prepare(HDC((3, 4, 5), weights=weights)) for weights in (None, (1, 2, 3)))
    (loss, grad), (same, steeper) = through_batch(plain, x, LABEL), through_batch(weighted, scaled, LABEL)
    assert loss.asscalar() == pytest.approx(same.asscalar(), rel=1e-6)
    np.testing.assert_allclose(steeper.asnumpy() * np.repeat([1, 2, 3], (3, 4, 5)), grad.asnumpy(), rtol=1e-4,
                               atol=1e-5)


def test_no_active_pair_is_zero_without_a_gradient():
    x = np.eye(4, dtype=np.float32)
    loss, grad = through_batch(prepare(HDC((4,), (0.5,))), x, np.arange(4))
    assert loss.asscalar() == 0 and not grad.asnumpy().any()


def test_an_odd_number_of_entries_leaves_one_pair_with_a_single_copy():
    loss, every = np.array([5.0, 1.0, 4.0, 3.0, 2.0]), [np.ones(5, bool)]
    assert mined([loss], every, [0.3], 'own', copies=2).tolist() == [[2, 0, 1, 0, 0]]
    assert mined([loss, -loss], every * 2, [0.6, 0.5], 'previous').tolist() == [[1, 0, 1, 1, 0], [1, 0, 0, 0, 0]]
