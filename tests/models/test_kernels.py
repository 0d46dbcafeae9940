"""The products that stand in for slow operators of MXNet: values and gradients against float64, for any size."""

import numpy as np
import pytest

from core.runtime import autograd, gluon, nd
from losses import expansion, functional, hdc


class Kernel(gluon.HybridBlock):
    """sum of fn(x) * weight."""

    def __init__(self, fn):
        super().__init__()
        self.fn = fn

    def hybrid_forward(self, F, x, weight):
        return F.sum(self.fn(F, x) * weight)


def gradient(fn, x, weight, hybridize):
    block, x = Kernel(fn), nd.array(x)
    if hybridize:
        block.hybridize(static_alloc=True)
    x.attach_grad()
    with autograd.record():
        total = block(x, nd.array(weight))
    total.backward()
    return x.grad.asnumpy()


@pytest.mark.parametrize('hybridize', [False, True])
@pytest.mark.parametrize('known', [False, True])
@pytest.mark.parametrize('n,dim', [(1, 1), (1, 5), (2, 1), (7, 3), (8, 6), (33, 17), (128, 9)])
def test_squared_distances_and_their_gradient(n, dim, known, hybridize):
    rng = np.random.RandomState(n + dim)
    x, weight, offset = rng.randn(n, dim), rng.randn(n, n), 0.5
    rows = n if known else None
    for fn, other in ((lambda F, v: functional.squared_distances(F, v, rows=rows), x),
                      (lambda F, v: functional.squared_distances(F, v, v - offset, rows), x - offset)):
        apart = x[:, None] - other[None]
        np.testing.assert_allclose(fn(nd, nd.array(x)).asnumpy(), np.square(apart).sum(axis=2), rtol=1e-4, atol=1e-4)
        slope = 2 * apart * weight[:, :, None]
        expected = slope.sum(axis=1) - slope.sum(axis=0)
        scale = np.abs(slope).sum()
        np.testing.assert_allclose(gradient(fn, x, weight, hybridize), expected, rtol=1e-4, atol=1e-5 * scale ** 0.5)


def test_rows_have_no_distance_from_themselves_or_their_copies():
    x = np.random.RandomState(0).randn(40, 300).astype(np.float32)
    distance = functional.squared_distances(nd, nd.array(np.concatenate([x, x])), rows=80).asnumpy()
    assert (np.diag(distance) == 0).all() and (np.diag(distance, 40) == 0).all()
    assert (distance >= 0).all()


@pytest.mark.parametrize('n,dim', [(1, 1), (5, 1), (9, 300)])
def test_row_sums(n, dim):
    x = np.random.RandomState(n).rand(n, dim)
    np.testing.assert_allclose(functional.row_sums(nd, nd.array(x)).asnumpy(), x.sum(axis=1), rtol=1e-5)
    weight = np.arange(n, dtype=np.float64)
    slope = gradient(functional.row_sums, x, weight, True)
    np.testing.assert_allclose(slope, np.repeat(weight[:, None], dim, axis=1), rtol=1e-6)


def test_partner_swaps_neighbours_and_their_gradients():
    x = np.arange(12.0).reshape(6, 2)
    swapped = [1, 0, 3, 2, 5, 4]
    assert (expansion.partner(nd, nd.array(x)).asnumpy() == x[swapped]).all()
    assert (gradient(expansion.partner, x, x, True) == x[swapped]).all()


def test_largest_takes_the_first_of_equal_values():
    values = np.array([3, 1, 3, 2, 3, 0, 2])
    for count in range(1, 8):
        assert sorted(np.argsort(-values, kind='stable')[:count]) == hdc.largest(values, count).tolist()
