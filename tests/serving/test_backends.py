"""The faiss back-ends against sorting by hand, with masks, files and chosen effort."""

import faiss
import numpy as np
import pytest

from core.errors import UserError
from serving import backends
from serving.local import LocalIndex
from serving.store import File


def clustered(n, dim=16, seed=0):
    rng = np.random.RandomState(seed)
    x = rng.standard_normal((n // 20 + 1, dim))[np.arange(n) // 20] + 0.3 * rng.standard_normal((n, dim))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def by_hand(vectors, queries, k, allowed):
    far = np.linalg.norm(vectors[None].astype(np.float64) - queries[:, None], axis=2)
    far[:, ~allowed] = np.inf
    return np.argsort(far, axis=1, kind='stable')[:, :k]


@pytest.mark.parametrize('n_queries', [3, 40])
@pytest.mark.parametrize('masked', [False, True])
def test_flat_is_exact(n_queries, masked):
    vectors, allowed = clustered(1000), np.ones(1000, bool)
    if masked:
        allowed[np.random.RandomState(1).choice(1000, 700, replace=False)] = False
    flat = backends.Flat(16)
    flat.build(vectors)
    queries = clustered(n_queries, seed=3)
    found = flat.search(queries, 10, allowed if masked else None)
    assert np.array_equal(found, by_hand(vectors, queries, 10, allowed))


def test_hnsw_finds_no_masked_row_and_nearly_all_others():
    vectors, allowed = clustered(800), np.random.RandomState(1).rand(800) < 0.5
    hnsw = backends.HNSW(16)
    hnsw.build(vectors[:600])
    hnsw.add(vectors[600:])
    found = hnsw.search(vectors[:100], 10, allowed)
    assert allowed[found[found >= 0]].all()
    assert backends.recall(found, by_hand(vectors, vectors[:100], 10, allowed)) > 0.95


@pytest.mark.parametrize('name', ['hnsw', 'ivfpq'])
def test_the_least_effort_that_reaches_the_recall_is_chosen(name, monkeypatch):
    monkeypatch.setattr(backends.IVFPQ, 'smallest', 1000)
    vectors = clustered(1500)
    backend = backends.BACKENDS[name](16)
    backend.build(vectors)
    backend.tune(vectors, np.arange(1500), 0.5)
    easy = backend.effort
    backend.tune(vectors, np.arange(1500), 0.97)
    assert easy <= backend.effort
    assert 0.97 <= backend.recall <= 1.0
    found = backend.search(vectors[:300], 11 * backend.candidates)
    ranked = np.stack([backends.by_distance(vectors, query, rows[rows >= 0])[0][:10]
                       for query, rows in zip(vectors[:300], found)])
    exact = by_hand(vectors, vectors[:300], 10, np.ones(1500, bool))
    assert backends.recall(ranked, exact) == pytest.approx(backend.recall, abs=0.04)


def test_a_backend_comes_back_from_its_file_and_no_other_file_is_taken(tmp_path):
    vectors, path = clustered(500), tmp_path / 'x.faiss'
    hnsw = backends.HNSW(16)
    hnsw.build(vectors)
    checksum = hnsw.save(path)
    again = backends.HNSW(16)
    assert again.load(path, checksum) and again.rows == 500
    again.effort = hnsw.effort
    assert np.array_equal(again.search(vectors[:5], 7), hnsw.search(vectors[:5], 7))
    assert not again.load(path, checksum + 1)
    path.write_bytes(path.read_bytes()[:-1])
    assert not again.load(path, checksum) and not again.load(tmp_path / 'none', checksum)


def test_ivfpq_refuses_what_is_too_few_to_learn_from():
    with pytest.raises(UserError, match='--backend=ivfpq learns its codes from at least 10,000 images; there are 99'):
        backends.IVFPQ(16).build(clustered(99))


def test_exact_neighbours_over_chunks(monkeypatch):
    monkeypatch.setattr(backends, 'CHUNK', 64)
    vectors, rows = clustered(500), np.arange(0, 500, 3)
    allowed = np.isin(np.arange(500), rows)
    queries = clustered(5, seed=9)
    assert np.array_equal(backends.nearest(vectors, queries, 12, rows), by_hand(vectors, queries, 12, allowed))


def test_distances_of_the_same_vector_are_zero():
    vectors = clustered(300, dim=512)
    rows, far = backends.by_distance(vectors, vectors[7], np.array([9, 7, 3]))
    assert rows[0] == 7 and far[0] == 0.0
    assert np.allclose(far[1:], np.sort(np.linalg.norm(vectors[[9, 3]].astype(np.float64) - vectors[7], axis=1)))


def test_many_queries_find_what_each_finds_alone(tmp_path):
    """By products of matrices distances are rounded: near duplicates, 1e-4 apart, must still come in their order."""
    rng = np.random.RandomState(3)
    data = np.repeat(rng.randn(60, 32).astype(np.float32), 5, axis=0)
    data += 1e-4 * rng.randn(*data.shape).astype(np.float32)
    index = LocalIndex(tmp_path / 'x', write=True, about={'dim': 32, 'model': 'm', 'root': '/'}, tell=lambda text: None)
    index.add([File(str(k), '', 1, 1) for k in range(len(data))], data)
    ids, far = index.search(data[::7], 8)
    for row, query in enumerate(data[::7]):
        alone, distance = index.search(query[None], 8)
        exact = np.sqrt(((data - query) ** 2).sum(axis=1))
        assert ids[row].tolist() == alone[0].tolist()
        np.testing.assert_allclose(far[row], np.sort(exact)[:8], atol=1e-6)
    index.close()


@pytest.mark.parametrize('queries, products', [(1, False), (2, False), (3, True), (None, True)])
def test_products_of_matrices_from_three_queries_on(queries, products):
    backends.threads(queries)
    assert (faiss.cvar.distance_compute_blas_threshold == 1) == products
