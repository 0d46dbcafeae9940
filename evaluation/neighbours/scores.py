"""Scores of pairs: in float64, which decide, and as float32 products with a known error, which filter.

The score s of a query and a gallery item is the dot product, the cosine, or minus half the squared Euclidean distance;
it is a float64 number computed from the float32 embeddings. Scoring every pair that way would be slow, so Filter offers
f = left[query] . right[item] in float32 with |f - (s + shift[query])| <= error[query]: what is further from a threshold
than the error is settled by f, and the few pairs between are scored in float64.
"""

from __future__ import annotations

import numpy as np

from core.errors import pick_name
from core.lazy import lazy
from evaluation import checks
from evaluation.neighbours import threads
from evaluation.neighbours.products import product, take, to_device, to_numpy
from evaluation.settings import METRICS

blas = lazy('scipy.linalg.blas')


def down(values) -> np.ndarray:
    """float32 numbers certainly below `values`."""
    return np.nextafter(np.float32(values), np.float32(-np.inf))


def up(values) -> np.ndarray:
    """float32 numbers certainly above `values`."""
    return np.nextafter(np.float32(values), np.float32(np.inf))


class Scores:
    """Exact scores of pairs of embeddings.

    Parameters
    ----------
    x : (N, D) embeddings, used as float32; a memory-mapped float32 array stays on the disk
    metric : one of METRICS

    Raises
    ------
    UserError : embeddings that cannot be scored, see evaluation.checks.squared_norms

    Example
    -------
    >>> scores = Scores([[0.0, 0.0], [3.0, 4.0]], 'euclidean')
    >>> scores.pairs(np.array([0]), np.array([1]))
    array([-12.5])
    >>> scores.report(-12.5)
    -25.0
    """

    chunk = 1024    # pairs at a time: two chunks of D = 512 stay in a processor's own cache

    def __init__(self, x, metric: str = 'euclidean'):
        self.metric = pick_name('--metric', metric, METRICS)
        self.x = np.ascontiguousarray(x, dtype=np.float32)
        self.squares = checks.squared_norms(self.x, self.metric)
        self.norms = np.sqrt(self.squares)

    def pairs(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Scores float64 (n,) of the pairs of rows a[i], b[i]. Equal vectors give equal bits."""
        out = np.empty(len(a))

        def work(start):
            part = slice(start, start + self.chunk)
            p, q = self.x[a[part]], self.x[b[part]]
            if self.metric == 'euclidean':
                p = q = np.subtract(p, q, dtype=np.float64)
            else:
                p, q = p.astype(np.float64), q.astype(np.float64)
            out[part] = np.einsum('ij,ij->i', p, q)    # given a dtype, it might add the same row in another order
        threads.run(work, range(0, len(a), self.chunk))
        if self.metric == 'euclidean':
            out *= -0.5
        if self.metric == 'cosine':
            out /= self.norms[a] * self.norms[b]
        return out

    def panels(self, queries, galleries, entries=2 ** 22):
        """Yield (start, float64 (n, G)): the scores of queries[start:start + n] against all galleries."""
        if not len(queries):
            return
        x = self.x[galleries].astype(np.float64)
        # Two equal vectors must score the same whatever the order in which a matrix product adds: copy from the first.
        _, first, inverse = np.unique(self.x[galleries].view(np.dtype((np.void, 4 * x.shape[1]))).ravel(),
                                      return_index=True, return_inverse=True)
        first = first[inverse]
        distinct = bool((first == np.arange(len(first))).all())
        size = max(1, entries // len(galleries))
        for start in range(0, len(queries), size):
            part = queries[start:start + size]
            # SciPy's BLAS is newer than NumPy 1.26's and several times as fast on recent processors
            scores = blas.dgemm(1.0, x.T, self.x[part].astype(np.float64).T, trans_a=True).T
            if self.metric == 'cosine':
                scores /= self.norms[part][:, None] * self.norms[galleries][None, :]
            elif self.metric == 'euclidean':
                scores -= 0.5 * self.squares[part][:, None]
                scores -= 0.5 * self.squares[galleries][None, :]
            yield start, scores if distinct else scores[:, first]

    def report(self, scores):
        """float64: what users see for a score: minus the squared distance, the cosine or the dot product."""
        return 2.0 * scores if self.metric == 'euclidean' else scores


class Filter:
    """float32 products that tell the scores of queries (Q,) against galleries (G,) up to a bound.

    Parameters
    ----------
    scores : Scores of the embeddings
    queries, galleries : int64 (Q,), (G,) rows of the embeddings
    ctx : MXNet context of the products, the CPU by default

    Attributes
    ----------
    left, right : (Q, K), (G, K) on ctx (products.to_device), K = D or D + 2
    symmetric : queries and galleries are the same rows: f[i, j] is the score of j for i and of i for j
    shift, error : float64 (Q,)

    Source
    ------

    The bound on a float32 sum of K products is min(K, 8 sqrt K) 2^-24 |a| |b|: the first holds always; the second fails
    with a chance below 1e-13 for one pair (Higham & Mary 2019, "A new approach to probabilistic rounding error
    analysis", SIAM J. Sci. Comput. 41). 4 more units pay for the rounding of left and right themselves.
    """

    def __init__(self, scores, queries, galleries, ctx=None):
        metric, x = scores.metric, scores.x
        self.symmetric = np.array_equal(queries, galleries)
        rows = galleries if self.symmetric else np.concatenate([galleries, queries])
        z = x if np.array_equal(rows, np.arange(len(x))) else x[rows]
        squares = scores.squares[rows]
        if metric == 'cosine':
            z = (z / scores.norms[rows, None]).astype(np.float32)
            squares = np.ones(len(z))
        mean = z.mean(axis=0, dtype=np.float64)
        level = squares.mean()
        same_norm = np.abs(squares - level).max() <= 1e-6 * level
        if metric == 'dot' or (same_norm and mean @ mean <= 0.5 * level):
            left = right = z
            extra = 0.0
            shift = np.zeros(len(z))
            if metric == 'euclidean':    # a . b = -|a - b|^2 / 2 + |a|^2 / 2 + |b|^2 / 2, where |b|^2 hardly varies
                shift = 0.5 * squares + 0.5 * level
                extra = 0.5 * np.abs(squares - level).max()
            norms = np.sqrt(squares)
            size = norms * norms[:len(galleries)].max()
        else:    # -|a - b|^2 / 2 as one product: (a, -|a|^2 / 2, 1) . (b, 1, -|b|^2 / 2), small once the mean is away
            z = (z - mean).astype(np.float32)
            half = -0.5 * np.einsum('ij,ij->i', z, z, dtype=np.float64)[:, None]
            one = np.ones_like(half)
            left = np.concatenate([z, half, one], axis=1, dtype=np.float32)
            right = np.concatenate([z, one, half], axis=1, dtype=np.float32)
            extra = 0.0
            shift = np.full(len(z), -1.0 if metric == 'cosine' else 0.0)
            norms = np.sqrt(-2.0 * half[:, 0])
            size = 0.5 * (norms + norms[:len(galleries)].max()) ** 2
        k = left.shape[1]
        error = (min(k, 8.0 * np.sqrt(k)) + 4.0) * 2.0 ** -24 * size + extra + 1e-30
        first = 0 if self.symmetric else len(galleries)
        self.right = to_device(right[:len(galleries)], ctx)
        self.left = self.right if left is right and self.symmetric else to_device(left[first:], ctx)
        self.shift, self.error = shift[first:], error[first:]

    def product(self, queries, galleries):
        """f as float32 (n, m) NumPy array for positions (index arrays or slices) of queries and galleries."""
        return to_numpy(product(take(self.left, queries), take(self.right, galleries)))
