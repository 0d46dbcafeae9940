"""Exact nearest neighbours and the ranks of positives, blockwise.

Score: minus the squared Euclidean distance ('euclidean'), the cosine ('cosine') or the dot product ('dot'), in float64
from the float32 embeddings. Order: the higher score comes first; equal scores come in the order of their rows. An item
is never its own neighbour: it is removed by its row number, so a duplicate of the query stays.
"""

from collections import namedtuple

import numpy as np

from engine.errors import UserError, pick

METRICS = {name: name for name in ('euclidean', 'cosine', 'dot')}

Ranks = namedtuple('Ranks', 'best positives average_precision r_precision n_gallery')
Ranks.__doc__ = """Per query (Q,): what Recall@K, mean rank, MAP@R and R-precision need.

best : int64, gallery items that come before the best positive (0: it is the nearest); n_gallery without a positive
positives : int64, R, the number of positives in the gallery (the query itself does not count)
average_precision : float64, average precision of the first R neighbours, 0 where R = 0
r_precision : float64, share of positives among the first R neighbours, 0 where R = 0
n_gallery : int, the most neighbours that any query has
"""


def rows(mask, n, default):
    """Row numbers int64 of a mask (N,) bool or an index array; `default` where it is None."""
    if mask is None:
        return default
    mask = np.asarray(mask)
    if mask.dtype == bool:
        if mask.shape != (n,):
            raise UserError('query/gallery mask has shape {}, expected ({},)'.format(mask.shape, n))
        return np.flatnonzero(mask)
    return mask.astype(np.int64)


def parts(n, query=None, gallery=None):
    """Row numbers (query, gallery): everything against everything, or the mask `query` against the rest."""
    everything = np.arange(n)
    queries = rows(query, n, everything)
    rest = everything if query is None else np.setdiff1d(everything, queries)
    galleries = rows(gallery, n, rest)
    if not len(queries) or not len(galleries):
        raise UserError('{} queries and {} gallery items: both must be at least 1'.format(len(queries), len(galleries)))
    return queries, galleries


def _scores(x, y, metric):
    if metric == 'cosine':
        x, y = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in (x, y))
    product = x @ y.T
    if metric == 'euclidean':
        return 2 * product - (x * x).sum(1)[:, None] - (y * y).sum(1)[None, :]
    return product


def _panels(embeddings, queries, galleries, metric, size=256):
    metric = pick('--metric', metric, METRICS)
    x = np.asarray(embeddings, dtype=np.float64)
    for start in range(0, len(queries), size):
        index = queries[start:start + size]
        scores = _scores(x[index], x[galleries], metric)
        scores[index[:, None] == galleries[None, :]] = -np.inf
        yield start, index, scores


def ranks(embeddings, labels, query=None, gallery=None, metric='euclidean', ctx=None):
    """Ranks of the positives of every query.

    embeddings (N, D), labels (N,); query, gallery: None, bool (N,) or row numbers. Without `query` every item is a
    query against all others; with it the gallery is the rest, unless `gallery` says otherwise.
    """
    labels = np.asarray(labels)
    queries, galleries = parts(len(labels), query, gallery)
    n_gallery = len(galleries) - int(np.isin(queries, galleries).all())
    best = np.full(len(queries), n_gallery, dtype=np.int64)
    positives = np.zeros(len(queries), dtype=np.int64)
    precision, hits = np.zeros(len(queries)), np.zeros(len(queries))
    for start, index, scores in _panels(embeddings, queries, galleries, metric):
        order = np.argsort(-scores, axis=1, kind='stable')
        same = labels[galleries][order] == labels[index][:, None]
        same &= galleries[order] != index[:, None]
        for row, hit in enumerate(same, start):
            found = np.flatnonzero(hit)
            positives[row] = r = len(found)
            if r:
                best[row] = found[0]
                inside = found[found < r]
                precision[row] = (np.arange(1, len(inside) + 1) / (inside + 1)).sum() / r
                hits[row] = len(inside) / r
    return Ranks(best, positives, precision, hits, n_gallery)


def neighbours(embeddings, k, query=None, gallery=None, metric='euclidean', ctx=None):
    """The k nearest gallery items of every query, nearest first.

    Returns index int64 (Q, k), rows of `embeddings`, and score float64 (Q, k): minus the squared distance, the cosine
    or the dot product.
    """
    queries, galleries = parts(len(embeddings), query, gallery)
    most = len(galleries) - int(np.isin(queries, galleries).any())
    if not 1 <= k <= most:
        raise UserError('k={}: the gallery offers each query {} items; k must be from 1 to {}'.format(k, most, most))
    index = np.empty((len(queries), k), dtype=np.int64)
    values = np.empty((len(queries), k))
    for start, _, scores in _panels(embeddings, queries, galleries, metric):
        order = np.argsort(-scores, axis=1, kind='stable')[:, :k]
        index[start:start + len(order)] = galleries[order]
        values[start:start + len(order)] = np.take_along_axis(scores, order, axis=1)
    return index, values
