"""k-means: its quality beside scikit-learn's, seeds, every setting of an original, empty clusters."""

import numpy as np
import pytest

from core.errors import UserError
from evaluation import clustering, metrics
from evaluation.settings import CLUSTERING


def blobs(seed=0, n=600, k=30, d=8, noise=0.35):
    rng = np.random.RandomState(seed)
    labels = rng.randint(k, size=n)
    return (rng.randn(k, d)[labels] + noise * rng.randn(n, d)).astype(np.float32), labels


def cost(x, clusters):
    return sum(((x[clusters == c] - x[clusters == c].mean(axis=0)) ** 2).sum() for c in np.unique(clusters))


@pytest.mark.parametrize('seed', range(3))
def test_as_good_as_scikit_learn(seed):
    x, _ = blobs(seed)
    ours, theirs = (clustering.kmeans(x, 30, seed, library=library) for library in ('faiss', 'sklearn'))
    assert cost(x, ours) == pytest.approx(cost(x, theirs), rel=0.005)    # the same start, the same algorithm


def test_the_best_of_several_runs_is_kept():
    x, _ = blobs(1)
    runs = [cost(x, clustering.kmeans(x, 30, seed)) for seed in range(3)]
    assert cost(x, clustering.kmeans(x, 30, 0, n_init=3)) == min(runs) < max(runs)


def test_every_item_is_in_the_nearest_cluster():
    x, _ = blobs(1, n=300, k=12)
    points = clustering.Points(x, None)
    centres = x[:12]
    nearest, distance, sums = points.assign_to(centres)
    exact = ((x[:, None, :] - centres[None]) ** 2).sum(axis=2)
    assert np.array_equal(nearest, exact.argmin(axis=1)) and np.allclose(distance, exact.min(axis=1), atol=1e-4)
    assert np.allclose(sums[3], x[nearest == 3].sum(axis=0), atol=1e-4)


@pytest.mark.parametrize('many', [False, True])
def test_the_seed_decides(many, monkeypatch):
    if many:
        monkeypatch.setattr(clustering, 'PLUS_PLUS', 0)
    x, _ = blobs(2)
    runs = [clustering.kmeans(x, 30, seed=seed) for seed in (0, 0, 1)]
    assert np.array_equal(runs[0], runs[1]) and not np.array_equal(runs[0], runs[2])


@pytest.mark.parametrize('name', sorted(CLUSTERING))
def test_settings_by_name(name, capsys):
    x, labels = blobs(3)
    clusters = clustering.cluster(x, 30, name)
    assert clusters.dtype == np.int64 and clusters.shape == (600,)
    assert metrics.nmi(labels, clusters) > 0.9
    assert capsys.readouterr().out == ''


def test_settings_of_the_originals():
    x, _ = blobs(4)
    settings = CLUSTERING
    assert (settings['heated_up'].n_init, settings['deep_embedding'].n_init, settings['local_sampling'].n_init) == (
        10, 10, 20)
    assert settings['fast_kmeans'].n_init == 1
    # Local Sampling fixes random_state 0 whatever the seed of the run
    assert np.array_equal(clustering.cluster(x, 30, 'local_sampling', seed=5),
                          clustering.cluster(x, 30, 'local_sampling', seed=6))


def test_as_many_clusters_as_items_and_one():
    x, _ = blobs(5, n=40)
    assert len(np.unique(clustering.kmeans(x, 40))) == 40
    assert not clustering.kmeans(x, 1).any()
    assert len(clustering.kmeans(np.ones((50, 3)), 5)) == 50


@pytest.mark.parametrize('k', [0, 41])
def test_bad_k(k):
    with pytest.raises(UserError, match='from 1 to'):
        clustering.kmeans(np.ones((40, 3)), k)


def test_bad_name():
    with pytest.raises(UserError, match='local_sampling'):
        clustering.cluster(np.ones((40, 3)), 3, 'local_samplin')
