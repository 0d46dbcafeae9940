"""The comparison of a block of products with its thresholds as two compiled loops, as fast as the memory is read.

Numba compiles them when this module is imported, and keeps the machine code beside this file or in the user's cache.
Everything is counted in float32, exact up to 2^24, as numbers of one width are what a processor's vectors take; four
rows share each threshold of a column that was read.
"""

from __future__ import annotations

import numba
import numpy as np

ROWS, COLUMNS = 4, 32    # of a cell; the loops below are written for four rows
ONE, ZERO = np.float32(1), np.float32(0)


def given(dimensions):
    """A float32 array that is only read."""
    return numba.types.Array(numba.float32, dimensions, 'C', readonly=True)


def machine_code(*arguments):
    """Compile the function under it for arguments of these types; kept for the next process where that can be written.

    Compiling waits for no first call, so that a full disk is met here, and not by an evaluation.
    """
    def compiled(function):
        options = {'nogil': True, 'fastmath': {'reassoc', 'nsz'}}    # sums of ones may be taken in any order
        try:
            return numba.njit([arguments], cache=True, **options)(function)
        except (RuntimeError, OSError):    # no folder for it, or no room
            return numba.njit([arguments], **options)(function)
    return compiled


THRESHOLDS = (given(1),) * 4
COUNTS, NUMBERS = numba.float32[::1], numba.int32[::1]


@machine_code(given(2), *THRESHOLDS, COUNTS, COUNTS, numba.float32[:, ::1])
def count(block, row_low, row_high, column_low, column_high, above_row, above_column, listed):
    """Add to the counts of products above `high`, and write how many of each cell lie in (low, high] into `listed`.

    block : float32 (n, m) of whole cells down; row_* and above_row float32 (n,)
    column_* and above_column : float32 (m,); listed : float32 (cells down, cells across)
    """
    m = block.shape[1]
    for cell in range(listed.shape[0]):
        i = cell * ROWS
        low0, low1, low2, low3 = row_low[i], row_low[i + 1], row_low[i + 2], row_low[i + 3]
        high0, high1, high2, high3 = row_high[i], row_high[i + 1], row_high[i + 2], row_high[i + 3]
        for across in range(listed.shape[1]):
            part = slice(across * COLUMNS, min(across * COLUMNS + COLUMNS, m))
            low, high, above = column_low[part], column_high[part], above_column[part]
            row0, row1, row2, row3 = block[i, part], block[i + 1, part], block[i + 2, part], block[i + 3, part]
            total0, total1, total2, total3, either = ZERO, ZERO, ZERO, ZERO, ZERO
            for j in range(len(low)):
                v0, v1, v2, v3 = row0[j], row1[j], row2[j], row3[j]
                total0 += ONE if v0 > high0 else ZERO
                total1 += ONE if v1 > high1 else ZERO
                total2 += ONE if v2 > high2 else ZERO
                total3 += ONE if v3 > high3 else ZERO
                of_column = (((ONE if v0 > high[j] else ZERO) + (ONE if v1 > high[j] else ZERO)) +
                             ((ONE if v2 > high[j] else ZERO) + (ONE if v3 > high[j] else ZERO)))
                above[j] += of_column
                either += ((((ONE if v0 > low0 else ZERO) + (ONE if v1 > low1 else ZERO)) +
                            ((ONE if v2 > low2 else ZERO) + (ONE if v3 > low3 else ZERO))) +
                           (((ONE if v0 > low[j] else ZERO) + (ONE if v1 > low[j] else ZERO)) +
                            ((ONE if v2 > low[j] else ZERO) + (ONE if v3 > low[j] else ZERO)))) - of_column
            above_row[i] += total0
            above_row[i + 1] += total1
            above_row[i + 2] += total2
            above_row[i + 3] += total3
            listed[cell, across] = either - (total0 + total1 + total2 + total3)


@machine_code(given(2), *THRESHOLDS, given(2), NUMBERS, NUMBERS, COUNTS, numba.boolean[::1])
def entries(block, row_low, row_high, column_low, column_high, listed, row, column, value, of_column):
    """Write the listed products of the cells that have some: where they stand, and whether the column lists them."""
    m = block.shape[1]
    k = 0
    for cell in range(listed.shape[0]):
        for across in range(listed.shape[1]):
            if listed[cell, across] == 0:
                continue
            part = slice(across * COLUMNS, min(across * COLUMNS + COLUMNS, m))
            low, high = column_low[part], column_high[part]
            for i in range(cell * ROWS, cell * ROWS + ROWS):
                products, low_here, high_here, some = block[i, part], row_low[i], row_high[i], ZERO
                for j in range(len(low)):    # without a branch, so that vectors are compared
                    v = products[j]
                    some += (((ONE if v > low_here else ZERO) - (ONE if v > high_here else ZERO)) +
                             ((ONE if v > low[j] else ZERO) - (ONE if v > high[j] else ZERO)))
                if some == 0:
                    continue
                for j in range(len(low)):
                    v = products[j]
                    if low_here < v <= high_here:
                        row[k], column[k], value[k], of_column[k] = i, part.start + j, v, False
                        k += 1
                    if low[j] < v <= high[j]:
                        row[k], column[k], value[k], of_column[k] = i, part.start + j, v, True
                        k += 1


def compared(block, thresholds, first) -> list:
    """What evaluation.neighbours.sweep.compared returns, its entries in another order."""
    n, m = block.shape
    rest = n % ROWS
    parts = [(slice(0, n - rest), np.ascontiguousarray(block[:n - rest]))]
    if rest:    # a cell is filled up with products that nothing lets pass
        parts.append((slice(n - rest, n), np.full((ROWS, m), -np.inf, dtype=np.float32)))
        parts[1][1][:rest] = block[n - rest:]
    never = np.full(m, np.inf, dtype=np.float32)
    columns = thresholds[1] if len(thresholds) == 2 else (never, never)
    above = np.zeros(n + ROWS, dtype=np.float32), np.zeros(m, dtype=np.float32)
    found = []
    for part, cells in parts:
        rows = [np.full(len(cells), np.inf, dtype=np.float32) for _ in range(2)]
        for to, of_row in zip(rows, thresholds[0]):
            to[:part.stop - part.start] = of_row[part]
        listed = np.empty((len(cells) // ROWS, -(-m // COLUMNS)), dtype=np.float32)
        count(cells, *rows, *columns, above[0][part.start:part.start + len(cells)], above[1], listed)
        size = int(listed.sum(dtype=np.float64))
        row, column = np.empty(size, dtype=np.int32), np.empty(size, dtype=np.int32)
        value, of_column = np.empty(size, dtype=np.float32), np.empty(size, dtype=bool)
        entries(cells, *rows, *columns, listed, row, column, value, of_column)
        found.append((row + np.int32(part.start + first[0]), column + np.int32(first[1]), value, of_column))
    row, column, value, of_column = (np.concatenate(part) for part in zip(*found))
    result = []
    for side, place in enumerate([(row, column), (column, row)][:len(thresholds)]):
        mine = of_column == bool(side)
        result.append((above[side][:block.shape[side]].astype(np.int64),
                       (place[0][mine], place[1][mine], value[mine])))
    return result
