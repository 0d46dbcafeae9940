"""Exact nearest neighbours and the ranks of positives, blockwise, in bounded memory.

Score: minus the squared Euclidean distance ('euclidean'), the cosine ('cosine') or the dot product ('dot'), in float64
from the float32 embeddings. Order: the higher score comes first; equal scores come in the order of their rows. An item
is never its own neighbour: it is removed by its row number, so a duplicate of the query stays.

Recall@K needs no list of K neighbours: it follows from the rank of the best positive, the number of gallery items that
come before it. Float32 products count them; where float32 cannot tell, float64 decides (scores.py), so the
result depends neither on the block size, nor the number of threads, nor the device.
"""

from __future__ import annotations

from collections import namedtuple

import numpy as np

from core.errors import UserError
from core.text import count
from evaluation import checks
from evaluation.neighbours import threads
from evaluation.neighbours.lists import Lists
from evaluation.neighbours.positives import best_positives
from evaluation.neighbours.scores import Filter, Scores

Ranks = namedtuple('Ranks', 'best positives average_precision r_precision n_gallery')
Ranks.__doc__ = """Per query (Q,): what Recall@K, mean rank, MAP@R and R-precision need.

best : int64, gallery items that come before the best positive (0: it is the nearest); n_gallery without a positive
positives : int64, R, the number of positives in the gallery (the query itself does not count)
average_precision : float64, (1 / R) sum over i <= R of precision@i [item i is positive], 0 where R = 0
r_precision : float64, share of positives among the first R neighbours, 0 where R = 0
n_gallery : int, the most neighbours that every query has
"""

SMALL = 1024       # galleries up to this size are sorted in float64 at once
# Lists longer than this share of the gallery are not worth a float32 pass: with its margin of error such a list holds
# most of what the pass was to leave out, and one sort of the row in float64 is cheaper.
LONG_SHARE = 64
ROWS = 32          # of a panel that a thread takes at once: a row is sorted in a few microseconds
FEW_QUERIES = 256  # so few lists are made faster by sorting their rows than by a pass with thresholds


def _rows(mask, n, what):
    """Ascending row numbers int64 of a mask (N,) bool, or row numbers as they are."""
    mask = np.asarray(mask)
    if mask.dtype == bool:
        if mask.shape != (n,):
            raise UserError(f'the {what} mask has shape {mask.shape}, expected ({n},) as there are '
                            f'{count(n, "embedding")}')
        return np.flatnonzero(mask)
    rows = mask.astype(np.int64).reshape(-1)
    if len(rows) and (rows.min() < 0 or rows.max() >= n):
        raise UserError(f'{what} row numbers must be from 0 to {n - 1}, got {rows.min()} to {rows.max()}')
    return rows


def parts(n: int, query=None, gallery=None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Who is searched in what.

    Parameters
    ----------
    n : number of embeddings
    query, gallery : None, bool (n,) or row numbers. Without both, everything is searched in everything; `query` alone
        is searched in the rest. The gallery is sorted

    Returns
    -------
    queries, galleries : int64 (Q,), (G,) row numbers
    own : int64 (Q,), position of the query itself in the gallery, or -1

    Raises
    ------
    UserError : no query, no gallery item, or a row that does not exist

    Example
    -------
    >>> parts(4, query=[3, 0], gallery=[0, 1, 2])
    (array([3, 0]), array([0, 1, 2]), array([-1,  0]))
    """
    everything = np.arange(n)
    queries = everything if query is None else _rows(query, n, 'query')
    if gallery is not None:
        galleries = np.unique(_rows(gallery, n, 'gallery'))
    else:
        galleries = everything if query is None else np.setdiff1d(everything, queries)
    if not len(queries) or not len(galleries):
        raise UserError(f'{count(len(queries), "query", "queries")} and {count(len(galleries), "gallery item")}: '
                        'there must be at least one of each')
    position = np.full(n, -1, dtype=np.int64)
    position[galleries] = np.arange(len(galleries))
    return queries, galleries, position[queries]


def most_neighbours(n: int, query=None, gallery=None) -> int:
    """How many neighbours every query has; parameters as those of parts().

    Example
    -------
    >>> most_neighbours(5), most_neighbours(5, query=[0])
    (4, 4)
    """
    _, galleries, own = parts(n, query, gallery)
    return len(galleries) - int((own >= 0).any())


def by_sorting(scores, queries, galleries, own, work) -> None:
    """Call work(query number, float64 scores (G,)) for every query; the score of the query itself is -inf."""
    for start, panel in scores.panels(queries, galleries):
        def some(first, panel=panel, start=start):
            for i in range(first, min(first + ROWS, len(panel))):
                row = panel[i]
                if own[start + i] >= 0:
                    row[own[start + i]] = -np.inf
                work(start + i, row)
        threads.run(some, range(0, len(panel), ROWS))


def _first(row, k):
    """Positions of the k highest scores in their order, equal scores by position."""
    if k < len(row):
        level = np.partition(row, len(row) - k)[len(row) - k]
        kept = np.flatnonzero(row >= level)
        return kept[np.argsort(-row[kept], kind='stable')][:k]
    return np.argsort(-row, kind='stable')


def count_positives(labels, queries, galleries, own) -> np.ndarray:
    """int64 (Q,): gallery items of each query's class, itself left out. labels: int (N,), 0..C-1."""
    return np.bincount(labels[galleries], minlength=labels.max() + 1)[labels[queries]] - (own >= 0)


def ranks(embeddings, labels, query=None, gallery=None, metric: str = 'euclidean', ctx=None,
          small: int = SMALL) -> Ranks:
    """Ranks of the positives of every query.

    Parameters
    ----------
    embeddings : (N, D), used as float32; a memory-mapped float32 array is not read into memory as a whole
    labels : (N,) numbers or names
    query, gallery : None, bool (N,) or row numbers, see parts()
    metric : 'euclidean', 'cosine' or 'dot'
    ctx : MXNet context of the products, the CPU by default
    small : galleries up to this size are sorted in float64

    Returns
    -------
    Ranks

    Raises
    ------
    UserError : embeddings or labels that cannot be scored, rows that do not exist

    Example
    -------
    >>> ranks([[0.0], [1.0], [3.0], [3.5]], [0, 1, 0, 1]).best
    array([1, 2, 2, 1])
    """
    embeddings = np.asarray(embeddings)
    labels = checks.class_numbers(labels, len(embeddings))[1]
    queries, galleries, own = parts(len(labels), query, gallery)
    scores = Scores(embeddings, metric)
    result = empty_ranks(labels, queries, galleries, own)
    sort = for_sorting(result.positives, len(galleries), small)
    swept = np.flatnonzero((result.positives > 0) & ~sort)
    if len(swept):
        sort |= _sweep_ranks(result, scores, labels, queries, galleries, own, swept, ctx)
    rest = np.flatnonzero(sort)
    for field, values in zip(result, sorted_ranks(scores, labels, queries[rest], galleries, own[rest])):
        if field is not result.positives:
            field[rest] = values
    return result


def empty_ranks(labels, queries, galleries, own) -> Ranks:
    """Ranks before anything is found: what queries without a positive keep."""
    most = len(galleries) - int((own >= 0).any())
    return Ranks(np.full(len(queries), most, dtype=np.int64), count_positives(labels, queries, galleries, own),
                 np.zeros(len(queries)), np.zeros(len(queries)), most)


def for_sorting(positives, n_gallery, small) -> np.ndarray:
    """bool (Q,): queries with a positive whose whole row is sorted, see SMALL and LONG_SHARE."""
    return (positives > 0) & ((positives > n_gallery // LONG_SHARE) | (n_gallery <= small))


def sorted_ranks(scores, labels, queries, galleries, own) -> tuple:
    """(best, positives, average_precision, r_precision) of queries that have a positive, by a float64 sort each."""
    best, found = np.zeros(len(queries), dtype=np.int64), np.zeros(len(queries), dtype=np.int64)
    average, share = np.zeros(len(queries)), np.zeros(len(queries))
    gallery_labels = labels[galleries]

    def one(i, row):
        positive = np.flatnonzero(gallery_labels == labels[queries[i]])
        positive = positive[positive != own[i]]
        r = found[i] = len(positive)
        first = positive[np.argmax(row[positive])]
        best[i] = np.count_nonzero(row > row[first]) + np.count_nonzero(row[:first] == row[first])
        hit = gallery_labels[_first(row, r)] == labels[queries[i]]
        average[i] = (hit * np.cumsum(hit) / np.arange(1, r + 1)).sum() / r
        share[i] = hit.mean()
    by_sorting(scores, queries, galleries, own, one)
    return best, found, average, share


def precision_of_lists(row, place, hit, depth) -> tuple[np.ndarray, np.ndarray]:
    """(average_precision, r_precision) float64 (Q,) of lists sorted by query and place, each cut at its depth R.

    row, place : int64 (E,) query and place of an entry; hit : bool (E,), it is a positive; depth : int64 (Q,)
    """
    inside = place < depth[row]
    row, place, hit = row[inside], place[inside], hit[inside]
    total = np.cumsum(hit)
    begin = np.flatnonzero(place == 0)
    before = np.repeat(total[begin] - hit[begin], np.diff(np.append(begin, len(row))))
    precision = hit * (total - before) / (place + 1)
    r = np.maximum(depth, 1)
    return np.bincount(row, precision, minlength=len(depth)) / r, np.bincount(row, hit, minlength=len(depth)) / r


def _sweep_ranks(result, scores, labels, queries, galleries, own, swept, ctx):
    """Fill in the ranks of the swept queries; returns bool (Q,), those that float32 cannot sort."""
    products = Filter(scores, queries, galleries, ctx)
    score, position, floor = best_positives(products, scores, labels, queries, galleries, own, swept)
    depth = np.zeros(len(queries), dtype=np.int64)
    depth[swept] = result.positives[swept]
    lists = Lists(scores, products, queries, galleries, own, depth, (score, position))
    lists.run(floor)
    counted = lists.asked & ~lists.open & ~lists.crowded
    result.best[counted] = lists.count[counted]
    row, column, _, place = lists.nearest()
    hit = (labels[galleries[column]] == labels[queries[row]])
    found = np.flatnonzero(hit)
    rows, first = np.unique(row[found], return_index=True)
    result.best[rows] = place[found[first]]
    result.average_precision[:], result.r_precision[:] = precision_of_lists(row, place, hit, depth)
    return lists.crowded


def neighbours(embeddings, k: int, query=None, gallery=None, metric: str = 'euclidean', ctx=None,
               small: int = SMALL) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest gallery items of every query, nearest first. Parameters as those of ranks().

    Returns
    -------
    index int64 (Q, k), rows of `embeddings`
    score float64 (Q, k): minus the squared distance, the cosine or the dot product

    Raises
    ------
    UserError : a k that not every query has, and what ranks() refuses

    Example
    -------
    >>> neighbours([[0.0], [1.0], [3.0]], 1)
    (array([[1],
           [0],
           [1]]), array([[-1.],
           [-1.],
           [-4.]]))
    """
    scores = Scores(embeddings, metric)
    queries, galleries, own = parts(len(scores.x), query, gallery)
    most = len(galleries) - int((own >= 0).any())
    if not 1 <= k <= most:
        raise UserError(f'k={k}: every query has {count(most, "gallery item")}, so k must be from 1 to {most}')
    return nearest(scores, k, queries, galleries, own, ctx, small)


def nearest(scores: Scores, k: int, queries, galleries, own, ctx=None, small: int = SMALL):
    """What neighbours() returns, of Scores and parts() that exist already."""
    index, values = np.zeros((len(queries), k), dtype=np.int64), np.zeros((len(queries), k))
    sort = np.ones(len(queries), dtype=bool)
    if len(galleries) > small and len(queries) > FEW_QUERIES and k <= len(galleries) // LONG_SHARE:
        lists = Lists(scores, Filter(scores, queries, galleries, ctx), queries, galleries, own,
                      np.full(len(queries), k))
        lists.run(np.full(len(queries), -np.inf, dtype=np.float32))
        row, column, score, place = lists.nearest()
        inside = place < k
        index[row[inside], place[inside]] = galleries[column[inside]]
        values[row[inside], place[inside]] = scores.report(score[inside])
        sort = lists.crowded
    rest = np.flatnonzero(sort)

    def one(i, row):
        first = _first(row, k)
        index[rest[i]], values[rest[i]] = galleries[first], scores.report(row[first])
    by_sorting(scores, queries[rest], galleries, own[rest], one)
    return index, values
