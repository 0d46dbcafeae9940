"""Exact nearest neighbours and the ranks of positives, blockwise, in bounded memory.

Score: minus the squared Euclidean distance ('euclidean'), the cosine ('cosine') or the dot product ('dot'), in float64
from the float32 embeddings. Order: the higher score comes first; equal scores come in the order of their rows. An item
is never its own neighbour: it is removed by its row number, so a duplicate of the query stays.

Recall@K needs no list of K neighbours: it follows from the rank of the best positive, the number of gallery items that
come before it. Float32 products count them; where float32 cannot tell, float64 decides (scores.py), so the
result depends neither on the block size, nor the number of threads, nor the device.
"""

from collections import namedtuple

import numpy as np

from core.errors import UserError
from evaluation.neighbours.lists import Lists
from evaluation.neighbours.scores import POOL, Filter, Scores, down, product, take

Ranks = namedtuple('Ranks', 'best positives average_precision r_precision n_gallery')
Ranks.__doc__ = """Per query (Q,): what Recall@K, mean rank, MAP@R and R-precision need.

best : int64, gallery items that come before the best positive (0: it is the nearest); n_gallery without a positive
positives : int64, R, the number of positives in the gallery (the query itself does not count)
average_precision : float64, (1 / R) sum over i <= R of precision@i [item i is positive], 0 where R = 0
r_precision : float64, share of positives among the first R neighbours, 0 where R = 0
n_gallery : int, the most neighbours that every query has
"""

SMALL = 1024       # galleries up to this size are sorted in float64 at once
PAIRS = 2 ** 16    # at most about so many pairs wait for their float64 scores


def _rows(mask, n, what):
    """Ascending row numbers int64 of a mask (N,) bool, or row numbers as they are."""
    mask = np.asarray(mask)
    if mask.dtype == bool:
        if mask.shape != (n,):
            raise UserError(f'the {what} mask has shape {mask.shape}, expected ({n},) as there are {n} embeddings')
        return np.flatnonzero(mask)
    rows = mask.astype(np.int64).reshape(-1)
    if len(rows) and (rows.min() < 0 or rows.max() >= n):
        raise UserError(f'{what} row numbers must be from 0 to {n - 1}, got {rows.min()} to {rows.max()}')
    return rows


def parts(n, query=None, gallery=None):
    """Row numbers (queries, galleries, own): own is the position of the query itself in the gallery, or -1.

    query, gallery : None, bool (n,) or row numbers. Without both, everything is searched in everything; `query` alone
    is searched in the rest. The gallery is sorted.
    """
    everything = np.arange(n)
    queries = everything if query is None else _rows(query, n, 'query')
    if gallery is not None:
        galleries = np.unique(_rows(gallery, n, 'gallery'))
    else:
        galleries = everything if query is None else np.setdiff1d(everything, queries)
    if not len(queries) or not len(galleries):
        raise UserError(f'{len(queries)} queries and {len(galleries)} gallery items: there must be at least one of '
                        'each')
    position = np.full(n, -1, dtype=np.int64)
    position[galleries] = np.arange(len(galleries))
    return queries, galleries, position[queries]


def most_neighbours(n, query=None, gallery=None):
    """How many neighbours every query has."""
    _, galleries, own = parts(n, query, gallery)
    return len(galleries) - int((own >= 0).any())


def join(query_embeddings, query_labels, gallery_embeddings, gallery_labels):
    """(embeddings, labels, query mask) of separate query and gallery arrays."""
    mask = np.arange(len(query_labels) + len(gallery_labels)) < len(query_labels)
    return np.concatenate([query_embeddings, gallery_embeddings]), np.concatenate([query_labels, gallery_labels]), mask


def _by_sorting(scores, queries, galleries, own, work):
    """Call work(query number, positions in the order of their scores, scores) for every query, by float64 panels."""
    for start, panel in scores.panels(queries, galleries):
        def one(i, panel=panel, start=start):
            row = panel[i]
            if own[start + i] >= 0:
                row[own[start + i]] = -np.inf
            work(start + i, row)
        list(POOL.map(one, range(len(panel))))


def _first(row, count):
    """Positions of the `count` highest scores in their order, equal scores by position."""
    if count < len(row):
        level = np.partition(row, len(row) - count)[len(row) - count]
        kept = np.flatnonzero(row >= level)
        return kept[np.argsort(-row[kept], kind='stable')][:count]
    return np.argsort(-row, kind='stable')


def _best_positive(products, scores, labels, queries, galleries, own, wanted):
    """Score, position of the best positive and float32 product of the worst one, for the wanted queries.

    Queries are taken in the order of their classes, so that a block of queries meets all its positives in one block of
    the gallery.
    """
    score, position = np.full(len(queries), -np.inf), np.full(len(queries), -1, dtype=np.int64)
    floor = np.full(len(queries), np.inf, dtype=np.float32)
    by_class = np.argsort(labels[galleries], kind='stable')
    classes = labels[galleries][by_class]
    turn = wanted[np.argsort(labels[queries[wanted]], kind='stable')]
    left, right = take(products.left, turn), take(products.right, by_class)
    found, size = [], 0
    for start in range(0, len(turn), 256):
        rows = turn[start:start + 256]
        mine = labels[queries[rows]]
        span = slice(np.searchsorted(classes, mine[0]), np.searchsorted(classes, mine[-1], side='right'))
        values = product(left[start:start + 256], right[span]).asnumpy()
        span = by_class[span]
        positive = (labels[galleries[span]][None, :] == mine[:, None]) & (span[None, :] != own[rows][:, None])
        floor[rows] = np.where(positive, values, np.inf).min(axis=1)
        values = np.where(positive, values, -np.inf)
        i, j = np.nonzero(values >= down(values.max(axis=1) - 2.0 * products.error[rows])[:, None])
        found.append((rows[i], span[j], values[i, j]))
        size += len(i)
        if size < PAIRS and start + 256 < len(turn):
            continue
        row, column, value = (np.concatenate(part) for part in zip(*found))
        exact = scores.pairs(queries[row], galleries[column])
        off = np.abs(value - exact - products.shift[row]) / products.error[row]
        if off.max() > 1.0:    # a device that multiplies in less than float32: believe it less and start again
            products.error *= 2.0 * float(off.max())
            return _best_positive(products, scores, labels, queries, galleries, own, wanted)
        order = np.lexsort((column, -exact, row))
        first = order[np.unique(row[order], return_index=True)[1]]
        score[row[first]], position[row[first]] = exact[first], column[first]
        found, size = [], 0
    return score, position, floor


def ranks(embeddings, labels, query=None, gallery=None, metric='euclidean', ctx=None, small=SMALL):
    """Ranks of the positives of every query, as Ranks.

    Parameters
    ----------
    embeddings : float32 (N, D); labels : int (N,)
    query, gallery : None, bool (N,) or row numbers, see parts()
    metric : 'euclidean', 'cosine' or 'dot'
    ctx : MXNet context of the products, the CPU by default
    small : galleries up to this size are sorted in float64
    """
    labels = np.asarray(labels)
    if labels.shape != (len(embeddings),):
        raise UserError(f'{len(embeddings)} embeddings but labels of shape {labels.shape}: there must be one label '
                        'for each')
    labels = np.unique(labels, return_inverse=True)[1]
    queries, galleries, own = parts(len(labels), query, gallery)
    scores = Scores(embeddings, metric)
    n, most = len(galleries), len(galleries) - int((own >= 0).any())
    positives = np.bincount(labels[galleries], minlength=labels.max() + 1)[labels[queries]] - (own >= 0)
    result = Ranks(np.full(len(queries), most, dtype=np.int64), positives, np.zeros(len(queries)),
                   np.zeros(len(queries)), most)
    sort = (positives > 0) & ((positives > n // 64) | (n <= small))
    swept = np.flatnonzero((positives > 0) & ~sort)
    if len(swept):
        sort |= _sweep_ranks(result, scores, labels, queries, galleries, own, swept, ctx)
    rest = np.flatnonzero(sort)
    gallery_labels = labels[galleries]

    def one(i, row):
        q = rest[i]
        r = positives[q]
        positive = np.flatnonzero(gallery_labels == labels[queries[q]])
        positive = positive[positive != own[q]]
        best = positive[np.argmax(row[positive])]
        result.best[q] = np.count_nonzero(row > row[best]) + np.count_nonzero(row[:best] == row[best])
        hit = gallery_labels[_first(row, r)] == labels[queries[q]]
        result.average_precision[q] = (hit * np.cumsum(hit) / np.arange(1, r + 1)).sum() / r
        result.r_precision[q] = hit.mean()
    _by_sorting(scores, queries[rest], galleries, own[rest], one)
    return result


def _sweep_ranks(result, scores, labels, queries, galleries, own, swept, ctx):
    """Fill in the ranks of the swept queries; returns bool (Q,), those that float32 cannot sort."""
    products = Filter(scores, queries, galleries, ctx)
    score, position, floor = _best_positive(products, scores, labels, queries, galleries, own, swept)
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
    inside = place < depth[row]
    row, place, hit = row[inside], place[inside], hit[inside]
    total = np.cumsum(hit)
    begin = np.flatnonzero(place == 0)
    before = np.repeat(total[begin] - hit[begin], np.diff(np.append(begin, len(row))))
    precision = hit * (total - before) / (place + 1)
    r = np.maximum(depth, 1)
    result.average_precision[:] = np.bincount(row, precision, minlength=len(queries)) / r
    result.r_precision[:] = np.bincount(row, hit, minlength=len(queries)) / r
    return lists.crowded


def neighbours(embeddings, k, query=None, gallery=None, metric='euclidean', ctx=None, small=SMALL):
    """The k nearest gallery items of every query, nearest first.

    Returns index int64 (Q, k), rows of `embeddings`, and score float64 (Q, k): minus the squared distance, the cosine
    or the dot product. Parameters as those of ranks().
    """
    queries, galleries, own = parts(len(embeddings), query, gallery)
    most = len(galleries) - int((own >= 0).any())
    if not 1 <= k <= most:
        raise UserError(f'k={k}: every query has {most} gallery items, so k must be from 1 to {most}')
    scores = Scores(embeddings, metric)
    index, values = np.zeros((len(queries), k), dtype=np.int64), np.zeros((len(queries), k))
    sort = np.ones(len(queries), dtype=bool)
    if len(galleries) > small and len(queries) > 256 and k <= len(galleries) // 64:
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
    _by_sorting(scores, queries[rest], galleries, own[rest], one)
    return index, values
