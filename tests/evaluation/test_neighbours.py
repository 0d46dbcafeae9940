"""Ranks and neighbours: the float32 pass against a float64 sort of everything, ties, duplicates, query and gallery."""

import errno

import numpy as np
import pytest

from core.errors import UserError
from evaluation.neighbours import lists, positives, products, scores, search, sweep
from evaluation.neighbours.scores import Filter, Scores


def brute(x, labels, queries, galleries, metric):
    """(best, positives, average precision, R-precision) of every query and its sorted neighbours, item by item."""
    x = x.astype(np.float64)
    rows, orders = [], []
    for q in queries:
        if metric == 'euclidean':
            score = -((x[galleries] - x[q]) ** 2).sum(axis=1)
        else:
            score = np.einsum('ij,j->i', x[galleries], x[q])
        if metric == 'cosine':
            score /= np.linalg.norm(x[galleries], axis=1) * np.linalg.norm(x[q])
        order = galleries[np.argsort(-score, kind='stable')]
        order = order[order != q]
        hit = labels[order] == labels[q]
        r = hit.sum()
        precision = sum(hit[:i + 1].mean() for i in range(r) if hit[i])
        rows.append((hit.argmax(), r, precision / r, hit[:r].mean()) if r else
                    (len(galleries) - np.isin(queries, galleries).any(), 0, 0, 0))
        orders.append(order)
    return np.array(rows).T, orders


def compare(x, labels, query=None, gallery=None, metric='euclidean', **options):
    labels = np.asarray(labels)
    queries, galleries, _ = search.parts(len(labels), query, gallery)
    (best, positives, precision, hits), orders = brute(x, labels, queries, galleries, metric)
    ranks = search.ranks(x, labels, query, gallery, metric, **options)
    assert np.array_equal(ranks.best, best)
    assert np.array_equal(ranks.positives, positives)
    assert np.allclose(ranks.average_precision, precision, atol=1e-12)
    assert np.allclose(ranks.r_precision, hits, atol=1e-12)
    index, score = search.neighbours(x, 5, query, gallery, metric, **options)
    assert np.array_equal(index, [order[:5] for order in orders])
    assert (np.diff(score, axis=1) <= 0).all()


def clustered(seed, n=440, d=16, classes=110, noise=0.7):
    rng = np.random.RandomState(seed)
    labels = rng.randint(classes, size=n)
    x = rng.randn(classes, d)[labels] + noise * rng.randn(n, d)
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), labels, rng


@pytest.fixture(params=['sorted', 'swept', 'swept in small blocks'])
def options(request, monkeypatch):
    """Every way to the same numbers: sorting in float64, and the float32 pass at several block sizes."""
    if request.param == 'swept in small blocks':
        monkeypatch.setattr(sweep, 'ROWS', 75)
        monkeypatch.setattr(sweep, 'COLUMNS', 136)
        monkeypatch.setattr(sweep, 'COMPILED', 0)
        monkeypatch.setattr(lists, 'LIMIT', 300)
        monkeypatch.setattr(lists, 'SAMPLE', 40)
    return {'small': 10 ** 9 if request.param == 'sorted' else 0}


@pytest.mark.parametrize('shape', [(1, 1), (3, 5), (4, 256), (9, 257), (70, 1030)])
@pytest.mark.parametrize('sides', [1, 2])
def test_the_compiled_comparison_finds_what_numpy_finds(shape, sides):
    """Thresholds that are met exactly, infinite ones, and a block whose width is not that of the array behind it."""
    pytest.importorskip('numba')
    from evaluation.neighbours import compiled
    rng = np.random.RandomState(0)
    block = rng.randint(0, 12, (shape[0], shape[1] + 3)).astype(np.float32)[:, :shape[1]]
    block[rng.rand(*shape) < 0.1] = -np.inf
    thresholds = []
    for n in shape[:sides]:
        low, high = np.sort(rng.choice([-np.inf, 2, 5, 5.5, 9, np.inf], (2, n)), axis=0).astype(np.float32)
        thresholds.append((low, high))
    for (count, entries), (expected, plain) in zip(compiled.compared(block, thresholds, (7, 50)),
                                                   sweep.compared(block, thresholds, (7, 50))):
        assert np.array_equal(count, expected)
        assert sorted(zip(*entries)) == sorted(zip(*plain))
        assert [part.dtype for part in entries] == [np.int32, np.int32, np.float32]


@pytest.mark.parametrize('error', [OSError(errno.ENOSPC, 'no space left'), RuntimeError('no locator available')])
def test_a_disk_that_keeps_no_machine_code_does_not_end_an_evaluation(monkeypatch, error):
    caching = pytest.importorskip('numba.core.caching')
    from evaluation.neighbours import compiled

    def refuse(*args):
        raise error
    monkeypatch.setattr(caching.Cache, 'load_overload', lambda *args: None)
    monkeypatch.setattr(caching.Cache, 'save_overload', refuse)
    add = compiled.machine_code(compiled.COUNTS)(lambda x: x[0] + x[1])
    assert add(np.float32([1, 2])) == 3 and len(add.signatures) == 1


@pytest.mark.parametrize('metric', ['euclidean', 'cosine', 'dot'])
@pytest.mark.parametrize('split', ['all', 'query', 'overlap'])
def test_equals_a_sort_of_all_scores(options, metric, split):
    for seed, noise in ((0, 0.5), (1, 2.0), (2, 50.0)):
        x, labels, rng = clustered(seed, noise=noise)
        x *= 1.0 + 0.5 * (seed == 1) * rng.rand(len(x), 1).astype(np.float32)
        query = None if split == 'all' else rng.rand(len(x)) < 0.4
        gallery = rng.permutation(len(x))[:330] if split == 'overlap' else None
        compare(x, labels, query, gallery, metric, **options)


@pytest.mark.parametrize('metric', ['euclidean', 'cosine', 'dot'])
@pytest.mark.parametrize('case', ['planted duplicates', 'signs', 'grid', 'all equal', 'two points', 'far away'])
def test_ties_are_ordered_by_row(options, metric, case):
    x, labels, rng = clustered(3, n=300, classes=80)
    if case == 'planted duplicates':
        x[rng.permutation(300)[:60]] = x[7]
        x[rng.permutation(300)[:30]] = x[8]
    elif case == 'signs':
        x = np.where(rng.rand(300, 12) < 0.5, -1, 1).astype(np.float32)
    elif case == 'grid':
        x = rng.randint(1, 4, size=(300, 5)).astype(np.float32)
    elif case == 'all equal':
        x = np.ones((300, 8), dtype=np.float32)
    elif case == 'two points':
        x = np.where(rng.rand(300, 1) < 0.5, -1, 1).astype(np.float32) * np.ones((1, 8), dtype=np.float32)
    else:
        x = (1e3 + rng.randn(300, 8)).astype(np.float32)
    if (metric, case) == ('cosine', 'grid'):
        x[:, 0] = 0    # quotients of equal value but unequal rounding are not ties: keep vectors of one norm
        x = np.eye(5, dtype=np.float32)[rng.randint(5, size=300)]
    compare(x, labels, metric=metric, **options)
    compare(x, labels, rng.rand(300) < 0.3, metric=metric, **options)


def test_self_is_removed_by_row_and_duplicates_stay():
    x = np.array([[0, 0], [0, 0], [3, 0], [1, 0]], dtype=np.float32)
    ranks = search.ranks(x, [0, 1, 1, 0])
    assert ranks.best.tolist() == [1, 2, 2, 0] and ranks.n_gallery == 3
    index, score = search.neighbours(x, 2)
    assert index.tolist() == [[1, 3], [0, 3], [3, 0], [0, 1]]
    assert score[0].tolist() == [0, -1]


def test_a_collapsed_network_scores_chance_not_100_percent():
    labels = np.arange(2000) % 100
    ranks = search.ranks(np.ones((2000, 4), dtype=np.float32), labels)
    assert np.mean(ranks.best < 1) == pytest.approx(0.01, abs=0.001)


def test_every_rank_is_right_when_float32_cannot_tell(options):
    # 300 items within 1e-7 of each other around a point far from the origin: float32 products are all alike
    rng = np.random.RandomState(0)
    x = np.concatenate([1 + 1e-7 * rng.randint(1, 99, size=(300, 6)), rng.randn(200, 6)]).astype(np.float32)
    compare(x, rng.randint(60, size=500), metric='dot', **options)
    compare(x, rng.randint(60, size=500), metric='euclidean', **options)


@pytest.mark.parametrize('metric', ['euclidean', 'cosine', 'dot'])
def test_products_keep_their_bound(metric):
    for spread, offset in ((0.0, 0.0), (0.5, 0.0), (0.5, 3.0)):
        x, _, rng = clustered(5)
        x = (x * (1 + spread * rng.rand(len(x), 1)) + offset).astype(np.float32)
        queries, galleries = np.arange(100), np.arange(50, 440)
        exactly = Scores(x, metric)
        filtered = Filter(exactly, queries, galleries)
        f = filtered.product(slice(0, 100), slice(0, 390)).astype(np.float64)
        exact = exactly.pairs(np.repeat(queries, 390), np.tile(galleries, 100)).reshape(100, 390)
        off = np.abs(f - exact - filtered.shift[:, None]) / filtered.error[:, None]
        assert 0.001 < off.max() < 1.0


def test_a_device_that_multiplies_coarsely_is_noticed(monkeypatch):
    # products of 10 bits, as from half-precision units: the bound is widened, the ranks stay right
    exact = products.product

    def coarse(left, right, bias=None, out=None):
        rounded = exact(left, right).astype('float16').astype('float32')
        return rounded if out is None else rounded.copyto(out)
    monkeypatch.setattr(scores, 'product', coarse)
    monkeypatch.setattr(products, 'product', coarse)
    monkeypatch.setattr(positives, 'product', coarse)
    x, labels, _ = clustered(6)
    expected = search.ranks(x, labels, small=10 ** 9)
    found = search.ranks(x, labels, small=0)
    assert np.array_equal(found.best, expected.best)


def test_lone_classes_and_one_query():
    x = np.arange(5, dtype=np.float32)[:, None]
    ranks = search.ranks(x, [0, 1, 2, 2, 3])
    assert ranks.positives.tolist() == [0, 0, 1, 1, 0]
    assert ranks.best.tolist() == [4, 4, 1, 0, 4]    # rows 1 and 3 are equally far from row 2: row 1 comes first
    one = search.ranks(x, [0, 1, 2, 2, 3], query=[2])
    assert one.best.tolist() == [1] and one.n_gallery == 4


@pytest.mark.parametrize('call, words', [
    (lambda: search.neighbours(np.ones((3, 2)), 3), 'k must be from 1 to 2'),
    (lambda: search.ranks(np.ones((3, 2)), [0, 1]), 'one label for each'),
    (lambda: search.ranks(np.array([[0, 1], [np.nan, 0.0]]), [0, 0]), 'row 1'),
    (lambda: search.ranks(np.zeros((3, 2)), [0, 0, 1], metric='cosine'), 'zero vector'),
    (lambda: search.ranks(np.ones((3, 2)), [0, 0, 1], metric='manhattan'), 'euclidean'),
    (lambda: search.ranks(np.ones((3, 2)), [0, 0, 1], query=np.ones(2, dtype=bool)), 'query mask'),
    (lambda: search.ranks(np.ones((3, 2)), [0, 0, 1], query=np.ones(3, dtype=bool)), 'at least one of each'),
    (lambda: search.ranks(np.ones((3, 2)), [0, 0, 1], query=[3]), 'from 0 to 2'),
])
def test_bad_input_is_named(call, words):
    with pytest.raises(UserError, match=words):
        call()
