"""The best positive of every query: the gallery item of its class that comes first."""

from __future__ import annotations

import numpy as np

from evaluation.neighbours.products import product, take, to_numpy
from evaluation.neighbours.scores import Filter, Scores, down

# Queries of one product. In the order of their classes they meet their positives in one short stretch of the gallery:
# a larger block makes the stretch longer and multiplies more pairs of different classes, a smaller one makes the
# products too small to be fast.
ROWS = 256
PAIRS = 2 ** 16    # at most about so many pairs wait for their float64 scores


def best_positives(products: Filter, scores: Scores, labels: np.ndarray, queries: np.ndarray, galleries: np.ndarray,
                   own: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What the wanted queries' positives score.

    Parameters
    ----------
    products : Filter of queries and galleries; a device that multiplies more coarsely than its bound says widens it
    scores : Scores of the embeddings
    labels : int (N,) of the embeddings
    queries, galleries, own : as of evaluation.neighbours.search.parts
    wanted : int64 (W,) positions in `queries`, each with a positive in the gallery

    Returns
    -------
    score float64 (Q,) and position int64 (Q,) of the best positive, -inf and -1 for other queries;
    floor float32 (Q,), the product of the worst one, inf for other queries
    """
    score, position = np.full(len(queries), -np.inf), np.full(len(queries), -1, dtype=np.int64)
    floor = np.full(len(queries), np.inf, dtype=np.float32)
    by_class = np.argsort(labels[galleries], kind='stable')
    classes = labels[galleries][by_class]
    turn = wanted[np.argsort(labels[queries[wanted]], kind='stable')]
    found, size = [], 0
    for start in range(0, len(turn), ROWS):
        rows = turn[start:start + ROWS]
        mine = labels[queries[rows]]
        span = by_class[np.searchsorted(classes, mine[0]):np.searchsorted(classes, mine[-1], side='right')]
        values = to_numpy(product(take(products.left, rows), take(products.right, span)))
        positive = (labels[galleries[span]][None, :] == mine[:, None]) & (span[None, :] != own[rows][:, None])
        floor[rows] = np.where(positive, values, np.inf).min(axis=1)
        values = np.where(positive, values, -np.inf)
        i, j = np.nonzero(values >= down(values.max(axis=1) - 2.0 * products.error[rows])[:, None])
        found.append((rows[i], span[j], values[i, j]))
        size += len(i)
        if size < PAIRS and start + ROWS < len(turn):
            continue
        row, column, value = (np.concatenate(part) for part in zip(*found))
        exact = scores.pairs(queries[row], galleries[column])
        off = np.abs(value - exact - products.shift[row]) / products.error[row]
        if off.max() > 1.0:    # a device that multiplies in less than float32: believe it less and start again
            products.error *= 2.0 * float(off.max())
            return best_positives(products, scores, labels, queries, galleries, own, wanted)
        order = np.lexsort((column, -exact, row))
        first = order[np.unique(row[order], return_index=True)[1]]
        score[row[first]], position[row[first]] = exact[first], column[first]
        found, size = [], 0
    return score, position, floor
