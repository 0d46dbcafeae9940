"""Margin loss against its loop, and its distance-weighted draws against closed formulas."""

import numpy as np
import pytest

from losses import mining
from losses.margin import Margin
from tests.losses import equations
from tests.losses.harness import LABEL, agrees, rows
from tests.reference.backward import prepare, through_batch

RNG = np.random.RandomState


class FixedDraws:
    """A random state that starts again at every draw."""

    def __init__(self, x, seed):
        self.seed = seed

    def random_sample(self, size):
        return np.random.RandomState(self.seed).random_sample(size)


@pytest.mark.parametrize('lr_beta,nu', [(0.1, 0.0), (0.1, 0.05), (0.0, 0.05)])
def test_margin_is_its_equation(lr_beta, nu):
    beta = np.array([0.9, 1.2, 1.0], dtype=np.float32)
    x = rows(8, 3, 5)
    triplets = mining.distance_weighted(x, LABEL, np.random.RandomState(7))
    criterion = prepare(Margin(3, nu=nu, lr_beta=lr_beta, rng=FixedDraws(x, 7)), beta=beta)
    agrees(criterion, x, LABEL, lambda v: equations.margin(v, LABEL, triplets, beta.astype(float), 0.2,
                                                           nu if lr_beta else 0.0))
    if lr_beta:
        expected = equations.gradient(lambda b: equations.margin(x.astype(float), LABEL, triplets, b, 0.2, nu), beta)
        np.testing.assert_allclose(criterion.beta.grad().asnumpy(), expected, atol=1e-5)
    assert criterion.step_size(70) == 70
    assert (criterion.own_optimizer() is None) == (lr_beta == 0)


def test_margin_without_an_active_pair_is_zero():
    x = np.repeat(np.eye(3, dtype=np.float32), 2, axis=0)[[0, 1, 2, 3, 4, 5]]
    loss, grad = through_batch(prepare(Margin(3, margin=0.05, nu=0.5)), x, [0, 0, 1, 1, 2, 2])
    assert loss.asscalar() == 0 and not grad.asnumpy().any()


def test_margin_pulls_beta_to_its_own_learning_rate():
    assert Margin(3, lr_beta=0.3).own_optimizer() == ('sgd', {'learning_rate': 0.3, 'momentum': 0.9, 'wd': 0.0})


def test_distance_weights_are_the_inverse_density():
    label = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2])
    for d in (3, 4, 16):
        x = rows(9, d, d)
        expected = equations.distance_weights(x.astype(float), label)
        np.testing.assert_allclose(mining.distance_weights(x, label), expected, rtol=2e-4, atol=1e-6)


def test_distance_weights_without_any_weight_are_uniform():
    x = np.eye(6, dtype=np.float32)                                   # all at sqrt(2) > 1.4
    label = np.array([0, 0, 1, 1, 2, 2])
    expected = (label[:, None] != label) / 4.0
    np.testing.assert_allclose(mining.distance_weights(x, label), expected)


def test_draws_are_those_of_numpy_choice():
    rng = np.random.RandomState(0)
    probability = rng.random_sample((6, 40)).astype(np.float32) ** 8
    probability[:, ::3] = 0
    probability /= probability.sum(axis=1, keepdims=True)
    one_by_one = np.random.RandomState(5)
    expected = np.concatenate([one_by_one.choice(40, 7, p=row) for row in probability])
    row = np.repeat(np.arange(6), 7)
    np.testing.assert_array_equal(mining.draw(probability, row, np.random.RandomState(5)), expected)


def test_distance_weighted_counts():
    """n (k - 1) triplets; positives are the anchor's class, negatives are not; frequencies follow the weights."""
    x, label = rows(12, 13, 3), np.repeat(np.arange(4), 3)
    a, p, n = mining.distance_weighted(x, label, np.random.RandomState(0))
    assert len(a) == 12 * 2 and (label[a] == label[p]).all() and (label[a] != label[n]).all() and (a != p).all()
    weights = mining.distance_weights(x, label)
    rng = np.random.RandomState(1)
    seen = np.zeros_like(weights)
    for _ in range(2000):
        a, _, n = mining.distance_weighted(x, label, rng)
        np.add.at(seen, (a, n), 1 / 4000)
    np.testing.assert_allclose(seen, weights, atol=0.04)


def test_negatives_at_random_are_uniform_over_the_other_classes():
    label, x = np.array([0, 0, 1, 1, 2]), rows(5, 4, 3)
    drawn = np.concatenate([mining.random_negatives(x, label, RNG(seed)) for seed in range(500)], axis=1)
    assert set(map(tuple, drawn[:2].T)) == {(0, 1), (1, 0), (2, 3), (3, 2)}
    for anchor, others in ((0, [2, 3, 4]), (3, [0, 1, 4])):
        counts = np.bincount(drawn[2, drawn[0] == anchor], minlength=5)
        assert counts.sum() == 500 == counts[others].sum() and counts[others].min() > 130
    assert mining.random_negatives(x[:2], [0, 0], np.random.RandomState(0)).shape == (3, 0)


def test_semi_hard_negatives_are_the_nearest_beyond_the_positive_or_the_farthest():
    x, label = np.array([[0.0], [2.0], [1.0], [3.0], [5.0]]), np.array([0, 0, 1, 1, 1])
    found = mining.semi_hard_negatives(x, label, None)
    assert found[:, :2].tolist() == [[0, 1], [1, 0], [3, 4]]          # of 1 at distance 2: only 4 is farther
    assert found.T.tolist()[2:] == [[2, 3, 0], [2, 4, 0], [3, 2, 0], [3, 4, 0], [4, 2, 0], [4, 3, 1]]
    assert mining.semi_hard_negatives(x[:2], [0, 0], None).shape == (3, 0)


@pytest.mark.parametrize('sampling', ['random', 'semihard'])
def test_margin_is_its_equation_on_other_negatives(sampling):
    beta, x = np.array([0.9, 1.2, 1.0], dtype=np.float32), rows(8, 3, 5)
    triplets = getattr(mining, {'random': 'random_negatives', 'semihard': 'semi_hard_negatives'}[sampling])(
        x, LABEL, np.random.RandomState(7))
    criterion = prepare(Margin(3, rng=FixedDraws(x, 7), sampling=sampling), beta=beta)
    agrees(criterion, x, LABEL, lambda v: equations.margin(v, LABEL, triplets, beta.astype(float), 0.2, 0.0))
