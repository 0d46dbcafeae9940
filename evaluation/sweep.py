"""One pass over all float32 products of queries and gallery items, block by block, in bounded memory.

For every query it counts the products above high[query] and lists those in (low[query], high[query]]. When queries and
gallery are the same rows, the matrix is symmetric: only the upper blocks are multiplied, and each serves the queries of
its rows and those of its columns.
"""

import numpy as np

from engine.runtime import nd
from evaluation.scores import POOL, product, take

ROWS = 1024     # of a product
COLUMNS = 8192  # of a product: NumPy's comparison with one threshold for each row is fast on long rows only
TILE = 32       # rows that a thread treats at a time, 1 MB; at most 255, as counts are added in bytes


class _Buffer:
    """Room for a product, and what NumPy sees of it: on a CPU the memory itself, else a copy."""

    def __init__(self, size, ctx):
        self.array = nd.zeros((size,), ctx=ctx)
        self.array.wait_to_read()
        self.view = np.from_dlpack(_Capsule(self.array)) if ctx.device_type == 'cpu' else None

    def product(self, left, right):
        """left . right^T as float32 (n, m), valid until the next call."""
        shape = left.shape[0], right.shape[0]
        out = product(left, right, out=self.array[:shape[0] * shape[1]].reshape(shape))
        if self.view is None:
            return out.asnumpy()
        out.wait_to_read()
        return self.view[:shape[0] * shape[1]].reshape(shape)


class _Capsule:
    """NumPy's protocol around the DLPack capsule of an NDArray in CPU memory."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.to_dlpack_for_read()

    @staticmethod
    def __dlpack_device__():
        return 1, 0


def _words(mask):
    return mask.view(np.uint64)


def _count_rows(mask):
    """Trues per row of a bool mask (T, W), W a multiple of 16: eight byte counters added in one word."""
    sums = np.add.reduce(_words(mask).reshape(-1, 128), axis=1)
    return sums.view(np.uint8).reshape(len(mask), -1).sum(axis=1, dtype=np.int64)


def _count_columns(mask):
    """Trues per column of a bool mask (T <= 255, W), W a multiple of 8."""
    return np.add.reduce(_words(mask), axis=0).view(np.uint8)


def _listed(low_mask, high_mask, block):
    """(row, column, value) where low_mask and not high_mask. Both are compared by words of eight."""
    low, high = _words(low_mask), _words(high_mask)
    row, word = np.divmod(np.flatnonzero(low != high), low.shape[1])
    differs = (low[row, word] ^ high[row, word]).view(bool).reshape(-1, 8)
    i, byte = np.nonzero(differs)
    row, column = row[i], 8 * word[i] + byte
    return row.astype(np.int32), column.astype(np.int32), block[row, column]


def _tiles(block, rows, columns, symmetric):
    """Counts and lists of some rows of a block. rows, columns: (low, high) thresholds of their queries."""
    width = -(-block.shape[1] // 1024) * 1024
    low, high = np.zeros((2, min(TILE, len(block)), width), dtype=bool)
    row_count = np.zeros(len(block), dtype=np.int64)
    column_count = np.zeros(block.shape[1], dtype=np.int64)
    row_lists, column_lists = [], []
    for start in range(0, len(block), TILE):
        part = slice(start, start + TILE)
        tile = block[part]
        n, m = tile.shape
        l, h = low[:n], high[:n]  # noqa: E741
        np.greater(tile, rows[1][part, None], out=h[:, :m])
        np.greater(tile, rows[0][part, None], out=l[:, :m])
        row_count[part] = _count_rows(h)
        i, j, value = _listed(l, h, tile)
        row_lists.append((i + np.int32(start), j, value))
        if symmetric:
            np.greater(tile, columns[1], out=h[:, :m])
            np.greater(tile, columns[0], out=l[:, :m])
            column_count += _count_columns(h)[:m]
            i, j, value = _listed(l, h, tile)
            column_lists.append((j, i + np.int32(start), value))
    return row_count, column_count, row_lists, column_lists


def sweep(products, low, high, own, count, report):
    """Pass over all products of a Filter.

    low, high : float32 (Q,), may be changed by `report` between two blocks
    own : int64 (Q,), position of the query itself in the gallery, -1 if it is not there; it is left out
    count : int64 (Q,), the products above `high` are added to it
    report : called after each block with lists of (query int32, gallery int32, product float32) arrays
    """
    queries, galleries = products.left.shape[0], products.right.shape[0]
    buffer = _Buffer(min(ROWS, queries) * min(max(ROWS, COLUMNS), galleries), products.left.context)
    threads = POOL._max_workers
    for i in range(0, queries, ROWS):
        rows = slice(i, min(i + ROWS, queries))
        left = take(products.left, rows)
        if products.symmetric:    # the square on the diagonal serves its rows; what is right of it, rows and columns
            parts = [(i, rows.stop)] + [(j, min(j + COLUMNS, galleries)) for j in range(rows.stop, galleries, COLUMNS)]
        else:
            parts = [(j, min(j + COLUMNS, galleries)) for j in range(0, galleries, COLUMNS)]
        for j, end in parts:
            columns = slice(j, end)
            block = buffer.product(left, take(products.right, columns))
            here = np.flatnonzero((own[rows] >= j) & (own[rows] < end))
            if len(here):
                block = block.copy()
                block[here, own[rows][here] - j] = -np.inf
            both = products.symmetric and j > i
            of_columns = (low[columns], high[columns]) if both else None
            step = -(-len(block) // threads)
            jobs = [POOL.submit(_tiles, block[s:s + step], (low[rows][s:s + step], high[rows][s:s + step]),
                                of_columns, both) for s in range(0, len(block), step)]
            lists = []
            for s, job in zip(range(0, len(block), step), jobs):
                row_count, column_count, row_lists, column_lists = job.result()
                count[i + s:i + s + len(row_count)] += row_count
                lists += [(q + np.int32(i + s), g + np.int32(j), value) for q, g, value in row_lists if len(q)]
                if both:
                    count[columns] += column_count
                    lists += [(q + np.int32(j), g + np.int32(i + s), value) for q, g, value in column_lists if len(q)]
            report(lists)
