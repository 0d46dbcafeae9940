"""One pass over all float32 products of queries and gallery items, block by block, in bounded memory.

For every query it counts the products above high[query] and lists those in (low[query], high[query]]. When queries and
gallery are the same rows, the matrix is symmetric: only the upper blocks are multiplied, and each serves the queries of
its rows and those of its columns.

What holds the pass: half the products remain, and each is compared with two thresholds of its row and of its column.
These comparisons are bound by memory; tiles of 16 to 64 rows and products of 256 to 1024 rows take the same time
within the noise of a measurement. One compiled loop over a product, in place of NumPy's four, is left to gain.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from tqdm import tqdm

from evaluation.neighbours import threads
from evaluation.neighbours.products import Buffer, take

ROWS = 1024     # of a product
COLUMNS = 8192  # of a product: NumPy's comparison with one threshold for each row is fast on long rows only
TILE = 64       # rows that a thread treats at a time, 2 MB; at most 255, as counts are added in bytes


def tiles(block, thresholds, first) -> list:
    """Counts and lists of some rows of a block, a tile at a time: a tile stays in a processor's own cache.

    thresholds : (low, high) of the queries of the rows and, where these are queries too, of the columns
    first : numbers of the block's first row and column
    Returns for each of these one or two sides (count int64, (query int32, gallery int32, product float32)).

    Calls of NumPy are few and large, as the threads share Python's lock: masks are treated as words of eight.
    """
    height, m = block.shape
    width = -(-m // 1024) * 1024
    low, high = (np.zeros((min(TILE, height), len(thresholds), width), dtype=bool) for _ in range(2))
    differs = np.zeros(low.shape[:2] + (width // 8,), dtype=bool)
    sums = (np.zeros((height, width // 1024), dtype=np.uint64),
            np.zeros((-(-height // TILE), width // 8), dtype=np.uint64))[:len(thresholds)]
    counted = [bool((t[1] < np.inf).any()) for t in thresholds]    # no product is above an infinite threshold
    hits, bits = [], []    # words in which a product is listed, by their number, and which of their eight
    for i, start in enumerate(range(0, height, TILE)):
        part = slice(start, start + TILE)
        tile = block[part]
        n = len(tile)
        for side, of_side in enumerate(thresholds):
            for mask, threshold in zip((low, high)[:1 + counted[side]], of_side):
                np.greater(tile, threshold if side else threshold[part, None], out=mask[:n, side, :m])
        low_words, high_words = low[:n].view(np.uint64), high[:n].view(np.uint64)
        # Eight counters of a byte in each word: 128 words of a row, or the words of at most 255 rows, do not overflow.
        if counted[0]:
            np.add.reduce(high_words[:, 0].reshape(n, -1, 128), axis=2, out=sums[0][part])
        if counted[-1] and len(sums) == 2:
            np.add.reduce(high_words[:, 1], axis=0, out=sums[1][i])
        listed = np.not_equal(low_words, high_words if any(counted) else 0, out=differs[:n])
        hit = np.flatnonzero(listed)
        hits.append(hit + start * differs[0].size)
        bits.append(low_words.reshape(-1)[hit] ^ high_words.reshape(-1)[hit])
    i, byte = np.nonzero(np.concatenate(bits).view(bool).reshape(-1, 8))
    row, side, word = np.unravel_index(np.concatenate(hits)[i], (height,) + differs.shape[1:])
    column = 8 * word + byte
    value = block[row, column]
    place = (row + first[0]).astype(np.int32), (column + first[1]).astype(np.int32)
    found = []
    for s, (total, axis) in enumerate(zip(sums, (1, 0))):
        mine = side == s
        found.append((total.view(np.uint8).sum(axis=axis, dtype=np.int64)[:block.shape[s]],
                      (place[s][mine], place[1 - s][mine], value[mine])))
    return found


def blocks_of(queries, galleries, symmetric) -> Iterator[tuple[slice, slice]]:
    """(rows, columns) slices of the products that are needed.

    Of a symmetric matrix: a square on the diagonal, which serves its rows, and what is right of it.
    """
    for i in range(0, queries, ROWS):
        rows = slice(i, min(i + ROWS, queries))
        if symmetric:
            yield rows, rows
        for j in range(rows.stop if symmetric else 0, galleries, COLUMNS):
            yield rows, slice(j, min(j + COLUMNS, galleries))


def sweep(products, low, high, own, count, report) -> None:
    """Pass over all products of a Filter.

    Parameters
    ----------
    products : Filter
    low, high : float32 (Q,), may be changed by `report` between two blocks
    own : int64 (Q,), position of the query itself in the gallery, -1 if it is not there; it is left out
    count : int64 (Q,), the products above `high` are added to it
    report : called after each block with lists of (query int32, gallery int32, product float32) arrays
    """
    blocks = list(blocks_of(products.left.shape[0], products.right.shape[0], products.symmetric))
    buffer = Buffer(max((r.stop - r.start) * (c.stop - c.start) for r, c in blocks), products.left)
    for rows, columns in tqdm(blocks, desc='neighbours', unit='block', disable=None, leave=False, delay=2):
        block = buffer.product(take(products.left, rows), take(products.right, columns))
        here = np.flatnonzero((own[rows] >= columns.start) & (own[rows] < columns.stop))
        if len(here):
            block = block.copy()
            block[here, own[rows][here] - columns.start] = -np.inf
        step = -(-len(block) // threads.count())
        jobs, lists = [], []
        for start in range(0, len(block), step):
            sides = [slice(rows.start + start, min(rows.start + start + step, rows.stop))]
            if products.symmetric and columns != rows:
                sides.append(columns)
            jobs.append((sides, threads.submit(tiles, block[start:start + step], [(low[s], high[s]) for s in sides],
                                               (sides[0].start, columns.start))))
        for sides, job in jobs:
            for side, (found, listed) in zip(sides, job.result()):
                count[side] += found
                lists.append(listed)
        report(lists)
