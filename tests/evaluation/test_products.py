"""Without MXNet the products come from NumPy, and no rank, list or cluster changes."""

import numpy as np
import pytest

from core.runtime import nd
from evaluation.neighbours import products, scores, search


@pytest.fixture(params=['mxnet', 'numpy'])
def library(request, monkeypatch):
    monkeypatch.setattr(products, 'has_mxnet', lambda: request.param == 'mxnet')
    return request.param


@pytest.mark.parametrize('metric', ['euclidean', 'cosine', 'dot'])
def test_ranks_and_neighbours_are_the_same_with_and_without_mxnet(metric, monkeypatch):
    rng = np.random.RandomState(0)
    x = (rng.randn(700, 12) + 1).astype(np.float32)
    x[7] = x[3]                                                     # a tie
    labels = rng.randint(0, 200, len(x))
    found, used = [], []
    kept = products.to_device
    monkeypatch.setattr(scores, 'to_device', lambda *args: used.append(kept(*args)) or used[-1])
    for installed in (True, False):
        monkeypatch.setattr(products, 'has_mxnet', lambda installed=installed: installed)
        ranks = search.ranks(x, labels, metric=metric, small=0)
        found.append([*ranks[:4], *search.neighbours(x, 5, metric=metric, small=0)])
    assert {type(array) for array in used} == {nd.NDArray, np.ndarray}
    for with_mxnet, without in zip(*found):
        assert (with_mxnet == without).all()


def test_products_buffers_and_rows(library):
    rng = np.random.RandomState(1)
    a, b, bias = rng.randn(6, 4), rng.randn(9, 4), rng.randn(9)
    left, right, shift = (products.to_device(x) for x in (a, b, bias))
    assert isinstance(left, np.ndarray) == (library == 'numpy')
    for take in (slice(1, 4), np.array([5, 0])):
        ours = products.to_numpy(products.product(products.take(left, take), right, shift))
        np.testing.assert_allclose(ours, a[take] @ b.T + bias, rtol=1e-5, atol=1e-5)
    buffer = products.Buffer(100, left)
    np.testing.assert_allclose(buffer.product(left, right), a @ b.T, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(buffer.product(right, left), b @ a.T, rtol=1e-5, atol=1e-5)


def test_clusters_do_not_depend_on_the_library(monkeypatch):
    from evaluation.clustering import kmeans
    x = np.random.RandomState(2).randn(60, 3).astype(np.float32) + 9 * np.repeat(np.eye(3), 20, axis=0)
    found = []
    for installed in (True, False):
        monkeypatch.setattr(products, 'has_mxnet', lambda installed=installed: installed)
        found.append(kmeans(x, 3))
    assert (found[0] == found[1]).all() and isinstance(products.to_device(x), np.ndarray)
