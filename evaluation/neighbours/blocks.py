"""Ranks and precisions cut into blocks of queries x blocks of the gallery, each computed anywhere, merged exactly.

A task takes rows of the embeddings, which may lie in a file, and knows nothing of the others; so galleries may be
larger than the memory, and tasks may run on other machines. Scores are float64 numbers of two rows alone: a block finds
the same ones as a pass over everything, and merging lists by score and position gives the same order, ties included.

Only queries whose class is more than a LONG_SHARE of the gallery, and those that float32 cannot sort, are sorted
against the whole gallery, as search.ranks does: that task holds the gallery in float64.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator

import numpy as np

from evaluation import checks
from evaluation.neighbours import search
from evaluation.neighbours.lists import Lists
from evaluation.neighbours.positives import best_positives
from evaluation.neighbours.scores import Filter, Scores, down

ROWS = 2 ** 14      # queries of a task
COLUMNS = 2 ** 17   # gallery items of a task: 64 MB of float32 with D = 128; a task takes seconds


def here(function, tasks) -> Iterator:
    """Results of function(*task) for every task, one after the other, in this process."""
    return (function(*task) for task in tasks)


class Blocks:
    """What search.ranks and metrics.precision_at_k find, computed block by block.

    Parameters
    ----------
    run : function(function, tasks) -> iterator of the results in the order of the tasks; tasks are tuples that can be
        pickled, made while they are consumed
    share : function(array) -> what stands for it in a task, where it is an array again
    file : None, or an .npz or .npy file that every worker reads by this name; the embeddings are then taken from there
    rows, columns : queries and gallery items of a task

    Example
    -------
    >>> x, labels = np.eye(6)[[0, 1, 2, 3, 1, 0]] + 0.1 * np.eye(6), [0, 1, 0, 0, 1, 0]
    >>> cut = Blocks(rows=2, columns=3).ranks(x, labels, small=0)
    >>> whole = search.ranks(x, labels)
    >>> all(np.array_equal(a, b) for a, b in zip(cut, whole))
    True
    """

    def __init__(self, run=here, share=lambda array: array, file: str | None = None, rows: int = ROWS,
                 columns: int = COLUMNS):
        self.run, self.share, self.file, self.rows, self.columns = run, share, file, rows, columns

    def _prepare(self, embeddings, labels, query, gallery, metric):
        """(what stands for the embeddings, labels, queries, galleries, own) of checked arrays."""
        embeddings = np.asarray(embeddings)
        checks.squared_norms(embeddings, metric)
        labels = checks.class_numbers(labels, len(embeddings))[1]
        source = self.file or self.share(np.asarray(embeddings, dtype=np.float32))
        return (source, labels, *search.parts(len(labels), query, gallery))

    def ranks(self, embeddings, labels, query=None, gallery=None, metric: str = 'euclidean', ctx=None,
              small: int = search.SMALL) -> search.Ranks:
        """What search.ranks returns; parameters as there. `ctx` is each worker's own default."""
        source, labels, queries, galleries, own = self._prepare(embeddings, labels, query, gallery, metric)
        result = search.empty_ranks(labels, queries, galleries, own)
        sort = search.for_sorting(result.positives, len(galleries), small)
        swept = np.flatnonzero((result.positives > 0) & ~sort)
        swept = swept[np.argsort(labels[queries[swept]], kind='stable')]    # a block meets few classes
        groups = [swept[start:start + self.rows] for start in range(0, len(swept), self.rows)]
        by_class = np.argsort(labels[galleries], kind='stable')
        classes = labels[galleries][by_class]

        def first_tasks():
            for group in groups:
                mine = labels[queries[group]]
                span = np.sort(by_class[np.searchsorted(classes, mine[0]):
                                        np.searchsorted(classes, mine[-1], side='right')])
                yield source, metric, queries[group], galleries[span], labels[queries[group]], labels[galleries[span]]
        found = []
        for group, (score, place, least) in zip(groups, self.run(positives_task, first_tasks())):
            mine = labels[queries[group]]
            span = np.sort(by_class[np.searchsorted(classes, mine[0]):
                                    np.searchsorted(classes, mine[-1], side='right')])
            found.append((score, span[place], least))
        pieces = range(0, len(galleries), self.columns)

        def tasks():
            for group, (score, position, least) in zip(groups, found):
                for start in pieces:
                    part = galleries[start:start + self.columns]
                    yield (source, metric, queries[group], part, local(own[group], start, len(part)),
                           result.positives[group], score, position - start, least)
        results = self.run(lists_task, tasks())
        for group in groups:
            parts = [(start, next(results)) for start in pieces]
            sort[group] |= self._merge(result, group, parts, labels[queries[group]], labels[galleries])
        rest = np.flatnonzero(sort)
        step = max(1, min(self.rows, 2 ** 26 // len(galleries)))
        ends = [rest[start:start + step] for start in range(0, len(rest), step)]
        sorted_results = self.run(sorted_task, ((source, metric, queries[group], galleries, labels[queries[group]],
                                                 labels[galleries]) for group in ends))
        for group, (best, average, share) in zip(ends, sorted_results):
            result.best[group], result.average_precision[group], result.r_precision[group] = best, average, share
        return result

    @staticmethod
    def _merge(result, group, parts, mine, gallery_labels):
        """Put the results of all gallery blocks for one group of queries together; bool, those that are crowded."""
        depth = result.positives[group]
        count = sum(part[0] for _, part in parts)
        closed = np.any([part[1] for _, part in parts], axis=0)
        crowded = np.any([part[2] for _, part in parts], axis=0)
        row, column, score = (np.concatenate(columns) for columns in zip(*(
            (part[3], part[4] + start, part[5]) for start, part in parts)))
        keep = ~(closed | crowded)[row]
        row, column, score = row[keep], column[keep], score[keep]
        order = np.lexsort((column, -score, row))
        row, column = row[order], column[order]
        stored = np.bincount(row, minlength=len(group))
        place = np.arange(len(row)) - (np.cumsum(stored) - stored)[row]
        average, share = search.precision_of_lists(row, place, gallery_labels[column] == mine[row], depth)
        result.best[group] = count
        result.average_precision[group], result.r_precision[group] = average, share
        return crowded

    def precision_at_k(self, embeddings, labels, ks, query=None, gallery=None, metric: str = 'euclidean',
                       ctx=None) -> dict[int, float]:
        """What metrics.precision_at_k returns; parameters as there."""
        from evaluation import metrics  # which imports nothing from here

        source, labels, queries, galleries, own = self._prepare(embeddings, labels, query, gallery, metric)
        ks = metrics.check_ks(ks, len(galleries) - int((own >= 0).any()))
        answerable = search.count_positives(labels, queries, galleries, own) > 0
        if not answerable.any():
            return dict.fromkeys(ks, float('nan'))
        k = max(ks)
        columns = max(self.columns, k + 1)
        starts = list(range(0, max(1, len(galleries) - k), columns))    # the last block has more than k items as well
        spans = list(zip(starts, starts[1:] + [len(galleries)]))
        step = max(1, min(self.rows, metrics.LISTED // (k * len(spans))))
        groups = [np.arange(start, min(start + step, len(queries))) for start in range(0, len(queries), step)]
        results = self.run(nearest_task, (
            (source, metric, queries[group], galleries[start:stop], local(own[group], start, stop - start), k)
            for group in groups for start, stop in spans))
        hits = np.zeros(len(ks))
        for group in groups:
            parts = [next(results) for _ in spans]
            index = np.concatenate([index for index, _ in parts], axis=1)
            # blocks come in the order of their positions, so a stable sort orders ties as a pass over everything does
            order = np.argsort(-np.concatenate([score for _, score in parts], axis=1), axis=1, kind='stable')[:, :k]
            hit = labels[np.take_along_axis(index, order, axis=1)] == labels[queries[group]][:, None]
            hits += [hit[answerable[group], :one].sum() for one in ks]
        return {one: float(total / (one * answerable.sum())) for one, total in zip(ks, hits)}


def local(own, start, size) -> np.ndarray:
    """Positions of the queries in a piece of the gallery, -1 for those that are not in it."""
    return np.where((own >= start) & (own < start + size), own - start, -1)


@functools.lru_cache(maxsize=1)
def _opened(file, changed):
    """The embeddings of a file, memory-mapped; a worker opens it once."""
    from evaluation.embeddings import load_embeddings
    return load_embeddings(file).embeddings


def rows_of(source, rows) -> np.ndarray:
    """float32 rows of embeddings that are an array, or lie in a file."""
    if isinstance(source, str):
        source = _opened(source, os.path.getmtime(source))
    return np.ascontiguousarray(source[rows], dtype=np.float32)


def _scores(source, metric, queries, galleries):
    """Scores of the rows of a task, and where queries and galleries stand among them; each row is read once."""
    rows, place = np.unique(np.concatenate([galleries, queries]), return_inverse=True)
    return Scores(rows_of(source, rows), metric), place[len(galleries):], place[:len(galleries)]


def positives_task(source, metric, queries, galleries, query_labels, gallery_labels) -> tuple:
    """(score, position, least) of queries that all have a positive among these galleries.

    score float64 (Q,) and position int64 (Q,) among the galleries of the best positive; least float64 (Q,): no positive
    scores less
    """
    scores, mine, others = _scores(source, metric, queries, galleries)
    labels = np.zeros(len(scores.x), dtype=np.int64)
    labels[others], labels[mine] = gallery_labels, query_labels
    own = _own(mine, others)
    products = Filter(scores, mine, others)
    score, position, floor = best_positives(products, scores, labels, mine, others, own, np.arange(len(mine)))
    return score, position, floor - products.shift - products.error


def _own(queries, galleries):
    """Position of each query among ascending galleries, or -1."""
    place = np.minimum(np.searchsorted(galleries, queries), len(galleries) - 1)
    return np.where(galleries[place] == queries, place, -1)


def lists_task(source, metric, queries, galleries, own, depth, best, position, least) -> tuple:
    """What a piece of the gallery adds to the ranks of some queries.

    Returns
    -------
    count int64 (Q,), items that come before the best positive; closed, crowded bool (Q,), see Lists;
    row, column, score of the `depth` nearest items of queries that are neither
    """
    scores, mine, others = _scores(source, metric, queries, galleries)
    products = Filter(scores, mine, others)
    lists = Lists(scores, products, mine, others, own, depth, (best, position))
    lists.run(down(least + products.shift - products.error))
    row, column, score, place = lists.nearest()
    before = (score > best[row]) | ((score == best[row]) & (column < position[row]))
    count = np.where(lists.open, np.bincount(row[before], minlength=len(queries)), lists.count)
    keep = place < depth[row]
    closed = lists.asked & ~lists.open & ~lists.crowded
    return count, closed, lists.crowded, row[keep], column[keep], score[keep]


def sorted_task(source, metric, queries, galleries, query_labels, gallery_labels) -> tuple:
    """(best, average_precision, r_precision) of queries that have a positive, by a float64 sort of the whole row."""
    scores, mine, others = _scores(source, metric, queries, galleries)
    labels = np.zeros(len(scores.x), dtype=np.int64)
    labels[others], labels[mine] = gallery_labels, query_labels
    best, _, average, share = search.sorted_ranks(scores, labels, mine, others, _own(mine, others))
    return best, average, share


def nearest_task(source, metric, queries, galleries, own, k) -> tuple:
    """(index int64 (Q, k) rows of the embeddings, score float64 (Q, k)) of the k nearest in a piece of the gallery."""
    scores, mine, others = _scores(source, metric, queries, galleries)
    index, score = search.nearest(scores, k, mine, others, own)
    back = np.zeros(len(scores.x), dtype=np.int64)
    back[others] = galleries
    return back[index], score
