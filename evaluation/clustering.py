"""k-means on faiss, or on scikit-learn where the setting of an original asks for it."""

from __future__ import annotations

import contextlib
import io

import numpy as np
from tqdm import tqdm

from core.errors import UserError, pick
from core.lazy import lazy
from evaluation import checks
from evaluation.neighbours import threads
from evaluation.neighbours.products import product, to_device, to_numpy
from evaluation.settings import CLUSTERING

sk_cluster = lazy('sklearn.cluster')
sparse = lazy('scipy.sparse')

PLUS_PLUS = 2000        # up to so many clusters k-means++ chooses the start; it takes k passes over the data
ROWS = 2048             # points of one product with the centres: more do not make it faster
PRODUCTS = 2 ** 24      # no more than so many products at a time: 64 MB


class Points:
    """What faiss.contrib.clustering.kmeans asks of a data set; the nearest centre comes from one product."""

    def __init__(self, x, ctx, done=lambda: None):
        self.x, self.ctx, self.done = x, ctx, done
        self.start = None    # centres to begin with; None: those that faiss draws
        self.squares = np.einsum('ij,ij->i', x, x)
        self.device = to_device(x, ctx)

    def count(self):
        return self.x.shape[0]

    def dim(self):
        return self.x.shape[1]

    def get_subset(self, indices):
        return self.x[indices] if self.start is None else self.start

    def assign_to(self, centroids, weights=None):
        """(nearest centroid int64 (N,), squared distance (N,), sum of the points of each centroid (k, D))."""
        half = -0.5 * np.einsum('ij,ij->i', centroids, centroids)
        centres, half = to_device(centroids, self.ctx), to_device(half, self.ctx)
        n, k = self.count(), len(centroids)
        nearest, closeness = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.float32)
        rows = max(1, min(ROWS, PRODUCTS // k))

        def choose(start, block):
            part = slice(start, start + len(block))
            nearest[part] = block.argmax(axis=1)
            closeness[part] = block[np.arange(len(block)), nearest[part]]
        for start in range(0, n, rows):
            block = to_numpy(product(self.device[start:start + rows], centres, half))
            step = -(-len(block) // threads.count())
            threads.run(lambda s, block=block, step=step, start=start: choose(start + s, block[s:s + step]),
                        range(0, len(block), step))
        self.done()
        member = sparse.csr_matrix((np.ones(n, dtype=np.float32), (nearest, np.arange(n))), shape=(k, n))
        return nearest, np.maximum(self.squares - 2.0 * closeness, 0.0), member @ self.x


def kmeans(embeddings, k: int, seed: int = 0, n_init: int = 1, iterations: int = 20, library: str = 'faiss',
           ctx=None) -> np.ndarray:
    """Clusters by k-means.

    Parameters
    ----------
    embeddings : (N, D), used as float32
    k : number of clusters, 1 to N
    seed : of the first run; the others take seed + 1, ...
    n_init : the best of so many runs by the sum of squared distances is kept
    iterations : of Lloyd's algorithm; scikit-learn stops earlier when nothing moves
    library : 'faiss' (empty clusters are split, products on ctx; the start is k-means++ up to PLUS_PLUS clusters and
        random above) or 'sklearn' (k-means++)
    ctx : MXNet context of the products of 'faiss', the CPU by default

    Returns
    -------
    int64 (N,), the cluster of each item

    Raises
    ------
    UserError : a k outside 1 to N, embeddings with NaN or infinite numbers

    Source
    ------
    Arthur & Vassilvitskii 2007, "k-means++: the advantages of careful seeding".

    Example
    -------
    >>> clusters = kmeans([[0.0], [0.1], [9.0], [9.1]], 2)
    >>> bool(clusters[0] == clusters[1] != clusters[2] == clusters[3])
    True
    """
    x = np.ascontiguousarray(embeddings, dtype=np.float32)
    checks.squared_norms(x)
    if not 1 <= k <= len(x):
        raise UserError(f'k-means with k={k} on {len(x)} items: k must be from 1 to the number of items')
    if library == 'sklearn':
        found = sk_cluster.KMeans(k, n_init=n_init, max_iter=iterations, random_state=seed).fit_predict(x)
        return found.astype(np.int64)
    from faiss.contrib import clustering
    best, lowest = None, np.inf
    with tqdm(total=n_init * (iterations + 1), desc='k-means', unit='pass', disable=None, leave=False, delay=2) as bar:
        points = Points(x, ctx, done=bar.update)
        for run in range(n_init):
            if k <= PLUS_PLUS:
                points.start = sk_cluster.kmeans_plusplus(x, k, random_state=seed + run)[0]
            with contextlib.redirect_stdout(io.StringIO()):    # it prints whatever `verbose` says
                centroids = clustering.kmeans(k, points, niter=iterations, seed=seed + run, verbose=False)
            nearest, distance, _ = points.assign_to(centroids)
            if distance.sum() < lowest:
                best, lowest = nearest, distance.sum()
    return best


def cluster(embeddings, k: int, name: str = 'fast', seed: int = 0, ctx=None) -> np.ndarray:
    """k-means with a setting of evaluation.settings.CLUSTERING, by name; the rest as of `kmeans`.

    Example
    -------
    >>> len(set(cluster([[0.0], [0.1], [9.0], [9.1]], 2, 'heated_up').tolist()))
    2
    """
    setting = pick('--clustering', name, CLUSTERING)
    return kmeans(embeddings, k, seed if setting.random_state is None else setting.random_state, setting.n_init,
                  setting.iterations, setting.library, ctx)
