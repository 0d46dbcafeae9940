"""Retrieval, clustering and classification metrics."""

from __future__ import annotations

import numpy as np

from core.errors import UserError
from core.lazy import lazy
from core.text import count
from evaluation import checks
from evaluation.neighbours import search
from evaluation.neighbours.scores import Scores

sk = lazy('sklearn.metrics')

LISTED = 2 ** 23    # entries of neighbour lists at a time: a million queries with K = 1000 would take 16 GB


def check_ks(ks, n_gallery: int) -> list[int]:
    """The K of Recall@K as a list of int, or UserError.

    Example
    -------
    >>> check_ks('1', 4), check_ks([1, 4], 4)
    ([1], [1, 4])
    """
    ks = [int(k) for k in np.atleast_1d(ks)]
    bad = [k for k in ks if not 1 <= k <= n_gallery]
    if bad or not ks:
        fix = ','.join(str(k) for k in (1, 2, 4, 8) if k <= n_gallery) or 1
        raise UserError(f'--recallk={",".join(map(str, ks))}: each K must be from 1 to {n_gallery}, the number of '
                        f'gallery items of a query. Fix: --recallk={fix}')
    return ks


def recall_from_ranks(ranks: search.Ranks, ks) -> dict[int, float]:
    """{K: share of queries with a positive among their K nearest}. Queries without a positive count as misses.

    Source
    ------
    Recall@K as in Song et al. 2016, "Deep metric learning via lifted structured feature embedding", section 5.

    Example
    -------
    >>> recall_from_ranks(search.ranks([[0.0], [1.0], [3.0], [3.5]], [0, 1, 0, 1]), [1, 2, 3])
    {1: 0.0, 2: 0.5, 3: 1.0}
    """
    return {k: float(np.mean(ranks.best < k)) for k in check_ks(ks, ranks.n_gallery)}


def recall_at_k(embeddings, labels, ks, query=None, gallery=None, metric: str = 'euclidean',
                ctx=None) -> dict[int, float]:
    """Recall@K as {K: value}; parameters and the tie rule as of search.ranks, see recall_from_ranks."""
    return recall_from_ranks(search.ranks(embeddings, labels, query, gallery, metric, ctx), ks)


def precision_at_k(embeddings, labels, ks, query=None, gallery=None, metric: str = 'euclidean',
                   ctx=None) -> dict[int, float]:
    """Precision@K as {K: mean share of positives among the K nearest}.

    Queries without a positive in the gallery are left out; all of them lacking one gives nan.

    Parameters
    ----------
    embeddings, labels, query, gallery, metric, ctx : as of search.ranks
    ks : whole numbers from 1 to the size of the gallery

    Raises
    ------
    UserError : a K outside that range, and what search.ranks refuses

    Example
    -------
    >>> precision_at_k([[0.0], [1.0], [3.0], [9.0]], ['a', 'a', 'a', 'b'], [1, 3])
    {1: 1.0, 3: 0.6666666666666666}
    """
    embeddings = np.asarray(embeddings)
    labels = checks.class_numbers(labels, len(embeddings))[1]
    queries, galleries, own = search.parts(len(labels), query, gallery)
    ks = check_ks(ks, search.most_neighbours(len(labels), query, gallery))
    answerable = np.flatnonzero(search.count_positives(labels, queries, galleries, own) > 0)
    if not len(answerable):
        return dict.fromkeys(ks, float('nan'))
    scores = Scores(embeddings, metric)
    # one pass where that fits into memory: it serves both sides of a pair
    whole = len(queries) * max(ks) <= LISTED
    step = len(queries) if whole else max(1, LISTED // max(ks))
    hits, wanted = np.zeros(len(ks)), np.zeros(len(queries), dtype=bool)
    wanted[answerable] = True
    for start in range(0, len(queries), step):
        part = slice(start, start + step)
        index, _ = search.nearest(scores, max(ks), queries[part], galleries, own[part], ctx)
        hit = (labels[index] == labels[queries[part]][:, None])[wanted[part]]
        hits += [hit[:, :k].sum() for k in ks]
    return {k: float(total / (k * len(answerable))) for k, total in zip(ks, hits)}


def nmi(labels, clusters, average: str = 'arithmetic') -> float:
    """Normalised mutual information of two labelings (N,): mutual information over the mean of the entropies.

    Parameters
    ----------
    labels, clusters : (N,)
    average : 'arithmetic' (Local Sampling; scikit-learn since 0.22), 'geometric' (scikit-learn before 0.22: Heated-Up
        Softmax, DeepEmbedding), 'min' or 'max'

    Returns
    -------
    0 to 1. Both labelings constant: 1; one constant: 0

    Example
    -------
    >>> nmi([0, 0, 1, 1], [5, 5, 3, 3]), nmi([0, 0, 1, 1], [0, 1, 0, 1])
    (1.0, 0.0)
    """
    return float(sk.normalized_mutual_info_score(labels, clusters, average_method=average))


def ami(labels, clusters) -> float:
    """Adjusted mutual information (arithmetic mean) of two labelings (N,): 0 in expectation for random clusters.

    Source
    ------
    Vinh, Epps & Bailey 2010, "Information theoretic measures for clusterings comparison", JMLR 11.

    Example
    -------
    >>> ami([0, 0, 1, 1], [1, 1, 0, 0])
    1.0
    """
    return float(sk.adjusted_mutual_info_score(labels, clusters))


def pairwise_f1(labels, clusters) -> float:
    """F1 of the pairs of items put into one cluster against the pairs of one class, both labelings (N,).

    Source
    ------
    Song et al. 2016, "Deep metric learning via lifted structured feature embedding", section 5.

    Example
    -------
    >>> pairwise_f1([0, 0, 1], [0, 0, 0])    # 1 of 3 pairs is right, 1 of 1 is found
    0.5
    """
    table = sk.cluster.contingency_matrix(labels, clusters, sparse=True)
    together = _pairs(table.data)
    total = _pairs(table.sum(axis=0)) + _pairs(table.sum(axis=1))
    return 2.0 * together / total if total else 1.0


def _pairs(counts):
    counts = np.asarray(counts, dtype=np.float64)
    return float((counts * (counts - 1.0)).sum() / 2.0)


def clustering(labels, clusters) -> dict[str, float]:
    """{'nmi_arithmetic', 'nmi_geometric', 'f1', 'ami'} of clusters (N,) against labels (N,).

    Example
    -------
    >>> clustering([0, 0, 1, 1], [1, 1, 0, 0])
    {'nmi_arithmetic': 1.0, 'nmi_geometric': 1.0, 'f1': 1.0, 'ami': 1.0}
    """
    return {'nmi_arithmetic': nmi(labels, clusters), 'nmi_geometric': nmi(labels, clusters, 'geometric'),
            'f1': pairwise_f1(labels, clusters), 'ami': ami(labels, clusters)}


def confusion_matrix(labels, predictions, num_classes: int | None = None) -> np.ndarray:
    """int64 (C, C): rows are the truth, columns the prediction.

    Parameters
    ----------
    labels, predictions : int (N,), 0..C-1
    num_classes : C; None: one more than the largest that occurs

    Raises
    ------
    UserError : labels and predictions of unequal number, or a class that is not 0..C-1

    Example
    -------
    >>> confusion_matrix([0, 0, 1], [0, 1, 1]).tolist()
    [[1, 1], [0, 1]]
    """
    labels, predictions = np.asarray(labels, dtype=np.int64), np.asarray(predictions, dtype=np.int64)
    if labels.shape != predictions.shape or not labels.size:
        raise UserError(f'{labels.shape} labels but {predictions.shape} predictions: there must be one for each item')
    classes = num_classes or int(max(labels.max(), predictions.max())) + 1
    low, high = int(min(labels.min(), predictions.min())), int(max(labels.max(), predictions.max()))
    if low < 0 or high >= classes:
        raise UserError(f'classes run from {low} to {high}, but there are {count(classes, "class", "classes")}: '
                        f'0 to {classes - 1}')
    return np.bincount(labels * classes + predictions, minlength=classes * classes).reshape(classes, classes)


def accuracy(confusion) -> float:
    """Share of correct predictions, from a confusion matrix (C, C).

    Example
    -------
    >>> accuracy([[3, 1], [0, 4]])
    0.875
    """
    confusion = np.asarray(confusion, dtype=np.float64)
    return float(np.trace(confusion) / confusion.sum())


def macro_accuracy(confusion) -> float:
    """Mean of the classes' accuracies, from a confusion matrix (C, C); classes without items are left out.

    Example
    -------
    >>> macro_accuracy([[3, 1, 0], [0, 4, 0], [0, 0, 0]])
    0.875
    """
    confusion = np.asarray(confusion, dtype=np.float64)
    totals = confusion.sum(axis=1)
    return float((np.diag(confusion)[totals > 0] / totals[totals > 0]).mean())
