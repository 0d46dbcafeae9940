"""One pass over all float32 products of queries and gallery items, block by block, in bounded memory.

For every query it counts the products above high[query] and lists those in (low[query], high[query]]. When queries and
gallery are the same rows, the matrix is symmetric: only the upper blocks are multiplied, and each serves the queries of
its rows and those of its columns.

What holds the pass: half the products remain. Each is compared with two thresholds of its row and of its column, in one
compiled loop that takes as long as reading the block (compiled.py); NumPy, six times slower, serves small passes, which
are over before the loop is loaded, and where Numba is missing.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from tqdm import tqdm

from evaluation.neighbours import threads
from evaluation.neighbours.products import Buffer, take

ROWS = 1024           # of a product
COLUMNS = 8192        # of a product
COMPILED = 2 ** 28    # products of a pass that take NumPy about as long as the compiled loop takes to be loaded


def compared(block, thresholds, first) -> list:
    """Counts and lists of a block of products.

    Parameters
    ----------
    block : float32 (n, m)
    thresholds : float32 (low, high) of the queries of the rows (n,) and, where these are queries too, of the columns
        (m,); low is not above high
    first : numbers of the block's first row and column

    Returns
    -------
    for each of these one or two sides (count int64, (query int32, gallery int32, product float32))

    Example
    -------
    >>> low, high = np.float32([[1, 1], [2, 9]])
    >>> [(count, listed)] = compared(np.float32([[0, 2, 3], [0, 2, 3]]), [(low, high)], (10, 20))
    >>> count, [part.tolist() for part in listed]
    (array([1, 0]), [[10, 11, 11], [21, 21, 22], [2.0, 2.0, 3.0]])
    """
    found = []
    for side, of_side in enumerate(thresholds):
        low, high = of_side if side else (threshold[:, None] for threshold in of_side)
        above = block > high
        place = np.nonzero((block > low) ^ above)
        value = block[place]
        place = [np.int32(p + f) for p, f in zip(place, first)]
        found.append((np.count_nonzero(above, axis=1 - side), (place[side], place[1 - side], value)))
    return found


def comparison(products):
    """The function that compares the blocks of a pass over so many products."""
    if products < COMPILED:
        return compared
    try:
        from evaluation.neighbours import compiled
    except ImportError:
        return compared
    return compiled.compared


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
    compare = comparison(products.left.shape[0] * products.right.shape[0])
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
            jobs.append((sides, threads.submit(compare, block[start:start + step], [(low[s], high[s]) for s in sides],
                                               (sides[0].start, columns.start))))
        for sides, job in jobs:
            for side, (found, listed) in zip(sides, job.result()):
                count[side] += found
                lists.append(listed)
        report(lists)
