"""Nearest-neighbour structures of faiss behind one interface: exact Flat, IVF-PQ and HNSW.

They hold copies of the rows of an index's file of vectors and name a neighbour by its row. What they find are
candidates: serving.local orders them by exact distance. Rows that are dead or filtered out are masked, because HNSW
cannot remove any.
"""

import functools
import zlib

import faiss
import numpy as np

from core.errors import UserError
from core.files import open_atomic

CHUNK = 65536           # rows given to faiss at a time
FEW = 3                 # queries from which products of matrices beat comparing one by one
EFFORTS = tuple(2 ** k for k in range(13))


class Backend:
    """Rows of dimension `dim` that can be searched.

    Attributes
    ----------
    index : of faiss
    rows : how many rows were added
    effort : how much of the structure a search looks at (nprobe, efSearch); more is slower and finds more
    candidates : how many rows to fetch for k neighbours, as a factor, before they are ordered by exact distance
    """

    name = ''
    cached = True           # worth a file of its own
    candidates = 1

    def __init__(self, dim):
        self.dim = dim
        self.index = None
        self.effort = 0
        self.recall = None

    @property
    def rows(self):
        return self.index.ntotal if self.index is not None else 0

    def build(self, vectors):
        """Make the structure of float32 (n, D)."""
        self.index = self.make(vectors)
        self.add(vectors)

    def add(self, vectors):
        """Append rows."""
        for start in range(0, len(vectors), CHUNK):
            self.index.add(np.ascontiguousarray(vectors[start:start + CHUNK]))

    def search(self, queries, k, allowed=None):
        """int64 (q, k): rows of the nearest, -1 where there are not as many.

        allowed : None, or bool (rows,): the rows that may be found
        """
        selector = None if allowed is None else faiss.IDSelectorBitmap(np.packbits(allowed, bitorder='little'))
        threads(len(queries))
        return self.index.search(np.ascontiguousarray(queries, np.float32), k, params=self.parameters(selector, k))[1]

    def make(self, vectors):
        """An empty index of faiss, trained on the vectors."""
        raise NotImplementedError

    def parameters(self, selector, k):
        """Search parameters of faiss."""
        raise NotImplementedError

    def tune(self, vectors, rows, wanted, k=10, n_queries=200, seed=0):
        """Choose the least effort that reaches a recall, and set `recall` to what is reached.

        Recall@k: the share of the k exact nearest among the k found, of sampled rows (without themselves).

        Parameters
        ----------
        vectors : float32 (n, D) of the structure
        rows : int64, the rows that live
        wanted : recall in 0..1
        """
        if len(rows) <= k:
            return
        allowed = np.zeros(self.rows, bool)
        allowed[rows] = True
        sample = np.sort(np.random.RandomState(seed).choice(rows, min(n_queries, len(rows)), replace=False))
        queries = np.ascontiguousarray(vectors[sample])
        exact = without(nearest(vectors, queries, k + 1, rows), sample, k)
        for effort in [e for e in EFFORTS if e >= self.least(k)] or EFFORTS[-1:]:
            self.effort = effort
            fetched = min((k + 1) * self.candidates, len(rows))
            found = self.search(queries, fetched, None if allowed.all() else allowed)
            ranked = np.full((len(sample), k + 1), -1)
            for i, candidates in enumerate(found):
                best = by_distance(vectors, queries[i], candidates[candidates >= 0])[0][:k + 1]
                ranked[i, :len(best)] = best
            self.recall = recall(without(ranked, sample, k), exact)
            if self.recall >= wanted or effort >= self.most():
                return

    def least(self, k):
        """The smallest effort that makes sense."""
        return 1

    def most(self):
        """The effort beyond which nothing more is found."""
        return 1

    def save(self, path):
        """Write the structure to a file; returns the file's CRC-32."""
        checksum = 0

        def write(data):
            nonlocal checksum
            checksum = zlib.crc32(data, checksum)
            return file.write(data)

        with open_atomic(path, 'wb') as file:
            faiss.write_index(self.index, faiss.PyCallbackIOWriter(write))
        return checksum

    def load(self, path, checksum):
        """Read what `save` wrote; False when the file is missing, cut off or another."""
        found = 0
        try:
            with open(path, 'rb') as file:
                for block in iter(functools.partial(file.read, 2 ** 22), b''):
                    found = zlib.crc32(block, found)
        except OSError:
            return False
        if found != checksum:
            return False
        self.index = faiss.read_index(str(path))
        return True


class Flat(Backend):
    """Every vector is compared: exact. Its own file would be a copy of the vectors, so it has none."""

    name, cached = 'flat', False

    def make(self, vectors):
        return faiss.IndexFlatL2(self.dim)

    def parameters(self, selector, k):
        return None if selector is None else faiss.SearchParameters(sel=selector)

    def tune(self, vectors, rows, wanted, **options):
        self.recall = 1.0


class IVFPQ(Backend):
    """Cells of k-means, and each vector as codes of one byte for 4 to 8 numbers: small, for millions of images.

    Source: Jegou, Douze, Schmid, "Product Quantization for Nearest Neighbor Search", PAMI 2011.
    """

    name, candidates, smallest = 'ivfpq', 20, 10000

    def make(self, vectors):
        n = len(vectors)
        if n < self.smallest:
            raise UserError(f'--backend=ivfpq learns its codes from at least {self.smallest:,} images; there are '
                            f'{n:,}. Fix: --backend=flat, which is exact and as fast at this size')
        cells = int(min(4 * np.sqrt(n), n / 39))
        codes = next(m for m in range(max(1, self.dim // 4), 0, -1) if self.dim % m == 0)
        # np: without polysemous codes, which take minutes to learn and are of no use here
        index = faiss.index_factory(self.dim, f'IVF{cells},PQ{codes}x8np')
        sample = np.random.RandomState(0).choice(n, min(n, max(64 * cells, 65536)), replace=False)
        threads(None)
        index.train(np.ascontiguousarray(vectors[np.sort(sample)]))
        self.effort = max(1, cells // 16)
        return index

    def parameters(self, selector, k):
        return faiss.SearchParametersIVF(nprobe=min(self.effort, self.most()), sel=selector)

    def most(self):
        return self.index.nlist


class HNSW(Backend):
    """A graph of near vectors: fast and nearly exact, at about 1.3 times the memory of the vectors.

    Source: Malkov, Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical Navigable
    Small World graphs", PAMI 2018.
    """

    name, links, construction = 'hnsw', 32, 80

    def make(self, vectors):
        index = faiss.IndexHNSWFlat(self.dim, self.links)
        index.hnsw.efConstruction = self.construction
        threads(None)
        self.effort = 64
        return index

    def add(self, vectors):
        threads(None)
        super().add(vectors)

    def parameters(self, selector, k):
        return faiss.SearchParametersHNSW(efSearch=max(self.effort, k), sel=selector)

    def least(self, k):
        return 16

    def most(self):
        return 4096


BACKENDS = {kind.name: kind for kind in (Flat, IVFPQ, HNSW)}
PROCESSORS = faiss.omp_get_max_threads()
NEVER = 2 ** 31 - 1     # faiss 1.15 has a threshold of 128,000 queries, which is never reached


def threads(queries):
    """How faiss searches in this process from now on: as many threads as there are queries, and from FEW queries on by
    products of matrices (100,000 x 512, two threads: 16 queries in 38 instead of 175 ms, one in 27 instead of 31).

    queries : how many; None: many
    """
    faiss.omp_set_num_threads(PROCESSORS if queries is None else min(max(1, queries), PROCESSORS))
    faiss.cvar.distance_compute_blas_threshold = 1 if queries is None or queries >= FEW else NEVER


def distances(vectors, query, rows):
    """float32 (n,): Euclidean distances of a query to some rows, without the rounding of ||a||^2 + ||b||^2 - 2ab."""
    return np.sqrt(np.square(np.asarray(vectors[rows]) - query).sum(axis=1))


def by_distance(vectors, query, rows):
    """(rows, their distances), nearest first; of equal ones the lower row."""
    rows = np.sort(rows)
    found = distances(vectors, query, rows)
    order = np.argsort(found, kind='stable')
    return rows[order], found[order]


def nearest(vectors, queries, k, rows):
    """int64 (q, k): exact nearest rows among `rows`, chunk by chunk."""
    best, far = np.full((len(queries), 0), -1), np.zeros((len(queries), 0), np.float32)
    threads(len(queries))
    for start in range(0, len(rows), CHUNK):
        part = rows[start:start + CHUNK]
        found, at = faiss.knn(queries, np.ascontiguousarray(vectors[part]), min(k, len(part)))
        best, far = np.hstack([best, part[at]]), np.hstack([far, found])
        order = np.argsort(far, axis=1, kind='stable')[:, :k]
        best, far = np.take_along_axis(best, order, 1), np.take_along_axis(far, order, 1)
    return best


def without(found, own, k):
    """int64 (q, k): each row of `found` without its own number."""
    return np.stack([row[row != mine][:k] for row, mine in zip(found, own)])


def recall(found, exact):
    """Share of the exact neighbours that were found.

    Example
    -------
    >>> recall(np.array([[1, 2], [3, 9]]), np.array([[2, 1], [3, 4]]))
    0.75
    """
    return float(np.mean([len(np.intersect1d(a, b)) / len(b) for a, b in zip(found, exact)]))
