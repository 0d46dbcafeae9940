"""k-means on faiss, or on scikit-learn where the setting of an original asks for it."""

import contextlib
import io
from collections import namedtuple

import numpy as np
from tqdm import tqdm

from core.errors import UserError, pick
from core.lazy import lazy
from core.runtime import mx, nd
from evaluation.neighbours.scores import POOL

sk_cluster = lazy('sklearn.cluster')
sparse = lazy('scipy.sparse')

Setting = namedtuple('Setting', 'library n_init iterations random_state')
Setting.__doc__ = """random_state: None takes the seed of the run."""

# The originals all used scikit-learn's KMeans (k-means++, 300 iterations at most).
# DIFFERS: fast_kmeans, which Heated-Up Softmax uses for Stanford Online Products, runs on faiss: scikit-learn needs
# hours for 11,316 clusters. It is one initialisation in both.
SETTINGS = {
    'fast': Setting('faiss', 1, 20, None),
    'heated_up': Setting('sklearn', 10, 300, None),
    'fast_kmeans': Setting('faiss', 1, 20, None),
    'deep_embedding': Setting('sklearn', 10, 300, None),
    'local_sampling': Setting('sklearn', 20, 300, 0),
}


PLUS_PLUS = 2000    # up to so many clusters k-means++ chooses the start; it takes k passes over the data


class _Points:
    """What faiss.contrib.clustering.kmeans asks of a data set; the nearest centre comes from MXNet's product."""

    def __init__(self, x, ctx, rows=2048, done=lambda: None):
        self.x, self.ctx, self.rows, self.done = x, ctx, rows, done
        self.start = None    # centres to begin with; None: those that faiss draws
        self.squares = np.einsum('ij,ij->i', x, x)
        self.device = nd.array(x, ctx=ctx)

    def count(self):
        return self.x.shape[0]

    def dim(self):
        return self.x.shape[1]

    def get_subset(self, indices):
        return self.x[indices] if self.start is None else self.start

    def assign_to(self, centroids, weights=None):
        """(nearest centroid int64 (N,), squared distance (N,), sum of the points of each centroid (k, D))."""
        half = -0.5 * np.einsum('ij,ij->i', centroids, centroids)
        centres, half = nd.array(centroids, ctx=self.ctx), nd.array(half, ctx=self.ctx)
        n, k = self.count(), len(centroids)
        nearest, closeness = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.float32)
        # no more than 2^24 products at a time: 64 MB
        rows = max(1, min(self.rows, 2 ** 24 // k))

        def choose(start, block):
            part = slice(start, start + len(block))
            nearest[part] = block.argmax(axis=1)
            closeness[part] = block[np.arange(len(block)), nearest[part]]
        for start in range(0, n, rows):
            block = nd.FullyConnected(self.device[start:start + rows], centres, half, num_hidden=k).asnumpy()
            step = -(-len(block) // POOL._max_workers)
            list(POOL.map(lambda s, block=block, step=step, start=start: choose(start + s, block[s:s + step]),
                          range(0, len(block), step)))
        self.done()
        member = sparse.csr_matrix((np.ones(n, dtype=np.float32), (nearest, np.arange(n))), shape=(k, n))
        return nearest, np.maximum(self.squares - 2.0 * closeness, 0.0), member @ self.x


def kmeans(embeddings, k, seed=0, n_init=1, iterations=20, library='faiss', ctx=None):
    """Cluster of each item, int64 (N,), by k-means on float32 (N, D).

    n_init : the best of so many runs by the sum of squared distances, seeded seed, seed + 1, ...
    iterations : of Lloyd's algorithm; scikit-learn stops earlier when nothing moves
    library : 'faiss' (empty clusters are split, products on ctx; the start is k-means++ up to PLUS_PLUS clusters and
        random above) or 'sklearn' (k-means++)
    """
    x = np.ascontiguousarray(embeddings, dtype=np.float32)
    if not 1 <= k <= len(x):
        raise UserError(f'k-means with k={k} on {len(x)} items: k must be from 1 to the number of items')
    if library == 'sklearn':
        found = sk_cluster.KMeans(k, n_init=n_init, max_iter=iterations, random_state=seed).fit_predict(x)
        return found.astype(np.int64)
    from faiss.contrib import clustering
    best, lowest = None, np.inf
    with tqdm(total=n_init * (iterations + 1), desc='k-means', unit='pass', disable=None, leave=False, delay=2) as bar:
        points = _Points(x, ctx or mx.cpu(), done=bar.update)
        for run in range(n_init):
            if k <= PLUS_PLUS:
                points.start = sk_cluster.kmeans_plusplus(x, k, random_state=seed + run)[0]
            with contextlib.redirect_stdout(io.StringIO()):    # it prints whatever `verbose` says
                centroids = clustering.kmeans(k, points, niter=iterations, seed=seed + run, verbose=False)
            nearest, distance, _ = points.assign_to(centroids)
            if distance.sum() < lowest:
                best, lowest = nearest, distance.sum()
    return best


def cluster(embeddings, k, name='fast', seed=0, ctx=None):
    """k-means with a setting of SETTINGS, by name."""
    setting = pick('--clustering', name, SETTINGS)
    return kmeans(embeddings, k, seed if setting.random_state is None else setting.random_state, setting.n_init,
                  setting.iterations, setting.library, ctx)
