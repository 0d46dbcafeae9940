"""What a sweep over float32 products reports, reduced in bounded memory to exact ranks and exact nearest lists."""

from __future__ import annotations

import numpy as np

from evaluation.neighbours import threads
from evaluation.neighbours.scores import down, up
from evaluation.neighbours.sweep import sweep

# Any value of these gives the same result; they bound memory and time.
SAMPLE = 512         # gallery items that give the first thresholds: a sixteenth of the columns of one product
LIMIT = 2 ** 18      # stored entries above which the lists are condensed: 3 MB, a processor's own cache
SAMPLED_ROWS = 4096  # queries of one product with the sample: 8 MB of float32
PIECE = 512          # of these in one thread: 1 MB

# A query is crowded when more entries than CROWD * depth + galleries / CROWD_SHARE + CROWD_LEAST lie between its
# thresholds. An open list needs room for a few times its depth before it is condensed; from about a hundredth of the
# gallery on, one row of float64 products costs less than storing, sorting and scoring so many entries one by one.
CROWD, CROWD_SHARE, CROWD_LEAST = 4, 128, 256


def _key(row, value):
    """uint64 that sorts by row, then by descending float32 value: one key sorts several times faster than two."""
    bits = (-value).view(np.uint32)
    bits ^= np.where(bits >> 31, np.uint32(0xffffffff), np.uint32(0x80000000))
    return (row.astype(np.uint64) << np.uint64(32)) | bits


class Lists:
    """The `depth` nearest items of every query, or less of those whose best positive is further away than that.

    Every query that is asked for is in one of three states::

                                  `depth` items are certainly better
                                  than the best positive
        open ------------------------------------------------------> closed
          |  lists all items that may be                               |  lists only items that may tie with the best
          |  among its `depth` nearest                                 |  positive; certainly better ones are counted
          |                                                            |
          |  more than `most` entries lie so close                     |
          +----------------> crowded <---------------------------------+
             together that float32                left to the caller, who sorts in float64
             cannot tell them apart

    Parameters
    ----------
    scores : Scores of the embeddings
    products : Filter of the same queries and galleries
    queries, galleries : int64 (Q,), (G,) rows of the embeddings
    own : int64 (Q,) position of the query in the gallery, or -1
    depth : int64 (Q,), 0 for queries that are not asked for
    target : None or (score float64 (Q,), position int64 (Q,)) of the best positive; a position outside 0..G-1 is one
        before or after this gallery

    Attributes
    ----------
    asked, open, crowded : bool (Q,), the states; asked and neither of the others: closed
    count : int64 (Q,), of closed queries: items that come before the best positive
    """

    def __init__(self, scores, products, queries, galleries, own, depth, target=None):
        self.scores, self.products = scores, products
        self.queries, self.galleries, self.own, self.depth = queries, galleries, own, depth
        self.target = target
        self.asked = depth > 0
        self.open = self.asked.copy()
        self.crowded = np.zeros(len(queries), dtype=bool)
        self.count = np.zeros(len(queries), dtype=np.int64)
        self.most = CROWD * depth + len(galleries) // CROWD_SHARE + CROWD_LEAST
        self.limit = LIMIT + 2 * int(depth.sum())
        self.store = [(np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.float32))]
        self.stored = 0
        never = np.full(len(queries), np.inf, dtype=np.float32)
        if target is None:
            self.target_low, self.target_high = never, never
        else:
            level = target[0] + products.shift
            self.target_low = np.where(self.asked, down(level - products.error), never)
            self.target_high = np.where(self.asked, up(level + products.error), never)
        self.low, self.high = never.copy(), never.copy()

    def run(self, floor):
        """Sweep over all products.

        Parameters
        ----------
        floor : float32 (Q,), at least `depth` products of a query are not below it; -inf where nothing is known
        """
        self._first_thresholds(floor)
        sweep(self.products, self.low, self.high, self.own, self.count, self._report)
        self._condense(final=True)

    def _first_thresholds(self, floor):
        """First thresholds, from the scores of a sample of the gallery."""
        galleries = len(self.galleries)
        size = min(galleries, max(SAMPLE, 8 * int(self.depth.max())))
        sample = np.unique(np.linspace(0, galleries - 1, size).astype(np.int64))
        self.low[self.open] = -np.inf
        self._raise_threshold(np.flatnonzero(self.open), floor[self.open])
        for start in range(0, len(self.queries), SAMPLED_ROWS):
            part = np.arange(start, min(start + SAMPLED_ROWS, len(self.queries)))
            values = self.products.product(slice(start, start + len(part)), sample)
            place = np.minimum(np.searchsorted(sample, self.own[part]), len(sample) - 1)
            itself = np.flatnonzero(sample[place] == self.own[part])
            values[itself, place[itself]] = -np.inf
            pieces = [slice(s, s + PIECE) for s in range(0, len(part), PIECE)]
            threads.run(self._judge_by_sample, [part[s] for s in pieces], [values[s] for s in pieces])
        self._mark_crowded(self.crowded)

    def _judge_by_sample(self, rows, values):
        """What products (n, S) of these queries with a sample of the gallery tell."""
        galleries, size = len(self.galleries), values.shape[1]
        above, near = (np.add.reduce((values > target[rows, None]).view(np.uint8), axis=1, dtype=np.int32)
                       for target in (self.target_high, self.target_low))
        self.crowded[rows] = (near - above) * (galleries / size) > 2 * self.most[rows]
        self._close(rows[(above >= self.depth[rows]) & self.asked[rows]])
        rest = np.flatnonzero(self.open[rows] & (self.depth[rows] <= size))
        ordered = np.sort(values[rest], axis=1)
        self._raise_threshold(rows[rest], ordered[np.arange(len(rest)), size - self.depth[rows[rest]]])

    def _raise_threshold(self, rows, reached):
        """`depth` products of these open queries are at least `reached`: what is surely below is no longer listed."""
        cut = np.maximum(self.low[rows], down(reached - 2.0 * self.products.error[rows]))
        self.low[rows] = np.minimum(cut, self.target_low[rows])

    def _close(self, rows):
        self.open[rows] = False
        self.low[rows], self.high[rows] = self.target_low[rows], self.target_high[rows]

    def _mark_crowded(self, rows):
        self.crowded |= rows
        self.open &= ~rows
        self.low[rows] = self.high[rows] = np.inf

    def _report(self, lists):
        self.store += lists
        self.stored += sum(len(entries[0]) for entries in lists)
        if self.stored > self.limit:
            self._condense()

    def _condense(self, final=False):
        """Keep of the store only what may still matter; raise thresholds; find queries that are closed or crowded."""
        row, column, value = (np.concatenate(parts) for parts in zip(*self.store))
        still = self.open[row]
        row, column, value = self._sort_and_prune(row[still], column[still], value[still], row[~still], column[~still])
        still = self.open[row]
        if final or len(row) > self.limit // 2:
            self._count_listed(row[~still], column[~still])
            row, column, value = row[still], column[still], value[still]
        self.store, self.stored = [(row, column, value)], len(row)

    def _sort_and_prune(self, row, column, value, closed_row, closed_column):
        """Raise the thresholds of open queries by what they have listed, and leave out what no threshold lets pass."""
        order = np.argsort(_key(row, value))
        row, column, value = row[order], column[order], value[order]
        stored = np.bincount(row, minlength=len(self.queries))
        first = np.cumsum(stored) - stored
        full = np.flatnonzero(self.open & (stored >= self.depth))
        if len(full):
            self._raise_threshold(full, value[first[full] + self.depth[full] - 1])
        if self.target is not None:
            above = np.bincount(row[value > self.target_high[row]], minlength=len(self.queries))
            done = np.flatnonzero(self.open & (above >= self.depth))
            self.count[done] += above[done]
            self._close(done)
        keep = (value > self.low[row]) & (value <= self.high[row])
        row = np.concatenate([row[keep], closed_row])
        column = np.concatenate([column[keep], closed_column])
        value = np.concatenate([value[keep], np.zeros(len(closed_row), dtype=np.float32)])
        self._mark_crowded(np.bincount(row, minlength=len(self.queries)) > self.most)
        keep = ~self.crowded[row]
        return row[keep], column[keep], value[keep]

    def _count_listed(self, row, column):
        """Count the listed items of closed queries that come before the best positive."""
        if not len(row):
            return
        score = self.scores.pairs(self.queries[row], self.galleries[column])
        best, position = self.target[0][row], self.target[1][row]
        before = (score > best) | ((score == best) & (column < position))
        self.count += np.bincount(row[before], minlength=len(self.queries))

    def nearest(self):
        """The lists of the open queries, sorted by query and place.

        Returns
        -------
        query int64 (E,), position int64 (E,) in the gallery, score float64 (E,), place int64 (E,), 0 for the nearest
        """
        row, column, _ = self.store[0]
        score = self.scores.pairs(self.queries[row], self.galleries[column])
        order = np.lexsort((column, -score, row))
        row, column, score = row[order].astype(np.int64), column[order].astype(np.int64), score[order]
        stored = np.bincount(row, minlength=len(self.queries))
        place = np.arange(len(row)) - (np.cumsum(stored) - stored)[row]
        return row, column, score, place
