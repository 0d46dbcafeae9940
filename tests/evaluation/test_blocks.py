"""Blocks merged give what one pass gives, bit for bit: ranks, lists, precisions, ties, lone classes, one query."""

import numpy as np
import pytest

from evaluation import metrics, protocols
from evaluation.embeddings import save_embeddings
from evaluation.neighbours import blocks, search
from tests.evaluation.test_neighbours import clustered


def equal(a, b):
    return all(np.array_equal(one, other) for one, other in zip(a, b))


def cases():
    for seed, noise in ((0, 0.5), (1, 2.0), (2, 50.0)):
        yield clustered(seed, noise=noise)[:2]
    x, labels, rng = clustered(3, n=300, classes=80)
    same = x.copy()
    same[rng.permutation(300)[:60]] = x[7]
    same[rng.permutation(300)[:30]] = x[8]
    yield same, labels
    yield np.where(rng.rand(300, 12) < 0.5, -1, 1).astype(np.float32), labels
    yield rng.randint(1, 4, size=(300, 5)).astype(np.float32), labels
    yield np.ones((300, 8), dtype=np.float32), labels
    yield (1e3 + rng.randn(300, 8)).astype(np.float32), rng.randint(5, size=300)    # classes that are always sorted
    yield x, np.arange(300) // 2 * (np.arange(300) % 7 > 0)


@pytest.mark.parametrize('metric', ['euclidean', 'dot'])
@pytest.mark.parametrize('size', [(149, 37), (1000, 128)])
@pytest.mark.parametrize('small', [0, search.SMALL])
def test_ranks_and_precisions_are_those_of_one_pass(metric, size, small):
    for number, (x, labels) in enumerate(cases()):
        rng = np.random.RandomState(number)
        query = None if (number + size[0]) % 2 else rng.rand(len(x)) < 0.3
        cut = blocks.Blocks(rows=size[0], columns=size[1])
        whole = search.ranks(x, labels, query, metric=metric, small=small)
        assert equal(cut.ranks(x, labels, query, metric=metric, small=small), whole), (number, query is None)
        assert small or cut.precision_at_k(x, labels, [1, 5, 20], query, metric=metric) == metrics.precision_at_k(
            x, labels, [1, 5, 20], query, metric=metric)


def test_overlapping_queries_and_gallery():
    x, labels, rng = clustered(4)
    query, gallery = rng.permutation(440)[:200], rng.permutation(440)[:300]
    cut = blocks.Blocks(rows=33, columns=70)
    assert equal(cut.ranks(x, labels, query, gallery, small=0), search.ranks(x, labels, query, gallery, small=0))


def test_the_protocol_is_the_same_from_a_file(tmp_path):
    x, labels, _ = clustered(5)
    save_embeddings(tmp_path / 'x.npz', x, labels)
    engine = blocks.Blocks(rows=100, columns=128, file=str(tmp_path / 'x.npz'))
    assert protocols.retrieval(x, labels, [1, 10], extended=True, engine=engine) == protocols.retrieval(
        x, labels, [1, 10], extended=True)
