"""Retrieval, clustering and classification metrics."""

import numpy as np

from core.errors import UserError
from core.lazy import lazy
from evaluation.neighbours import search as knn

sk = lazy('sklearn.metrics')


def check_ks(ks, n_gallery):
    """The K of Recall@K as a list of int, or UserError."""
    ks = [int(k) for k in np.atleast_1d(ks)]
    bad = [k for k in ks if not 1 <= k <= n_gallery]
    if bad or not ks:
        raise UserError('--recallk={}: each K must be from 1 to {}, the number of gallery items of a query'.format(
            ','.join(map(str, ks)), n_gallery))
    return ks


def recall_from_ranks(ranks, ks):
    """{K: share of queries with a positive among their K nearest}. Queries without a positive count as misses."""
    return {k: float(np.mean(ranks.best < k)) for k in check_ks(ks, ranks.n_gallery)}


def recall_at_k(embeddings, labels, ks, query=None, gallery=None, metric='euclidean', ctx=None):
    """Recall@K as {K: value}; see knn.ranks for query, gallery and the tie rule."""
    return recall_from_ranks(knn.ranks(embeddings, labels, query, gallery, metric, ctx), ks)


def precision_at_k(embeddings, labels, ks, query=None, gallery=None, metric='euclidean', ctx=None):
    """Precision@K as {K: mean share of positives among the K nearest}."""
    labels = np.asarray(labels)
    queries, _, _ = knn.parts(len(labels), query, gallery)
    ks = check_ks(ks, knn.most_neighbours(len(labels), query, gallery))
    index, _ = knn.neighbours(embeddings, max(ks), query, gallery, metric, ctx)
    hit = labels[index] == labels[queries][:, None]
    return {k: float(hit[:, :k].mean()) for k in ks}


def nmi(labels, clusters, average='arithmetic'):
    """Normalised mutual information of two labelings (N,): mutual information over the mean of the entropies.

    average: 'arithmetic' (Local Sampling; scikit-learn since 0.22), 'geometric' (scikit-learn before 0.22: Heated-Up
    Softmax, DeepEmbedding), 'min' or 'max'. Both labelings constant: 1; one constant: 0.
    """
    return float(sk.normalized_mutual_info_score(labels, clusters, average_method=average))


def ami(labels, clusters):
    """Adjusted mutual information (arithmetic mean): 0 in expectation for random clusters."""
    return float(sk.adjusted_mutual_info_score(labels, clusters))


def pairwise_f1(labels, clusters):
    """F1 of the pairs of items put into one cluster against the pairs of one class (Song et al. 2016)."""
    table = sk.cluster.contingency_matrix(labels, clusters, sparse=True)
    together = _pairs(table.data)
    total = _pairs(table.sum(axis=0)) + _pairs(table.sum(axis=1))
    return 2.0 * together / total if total else 1.0


def _pairs(counts):
    counts = np.asarray(counts, dtype=np.float64)
    return float((counts * (counts - 1.0)).sum() / 2.0)


def clustering(labels, clusters):
    """{'nmi_arithmetic', 'nmi_geometric', 'f1', 'ami'} of clusters (N,) against labels (N,)."""
    return {'nmi_arithmetic': nmi(labels, clusters), 'nmi_geometric': nmi(labels, clusters, 'geometric'),
            'f1': pairwise_f1(labels, clusters), 'ami': ami(labels, clusters)}


def confusion_matrix(labels, predictions, num_classes=None):
    """int64 (C, C): rows are the truth, columns the prediction."""
    labels, predictions = np.asarray(labels, dtype=np.int64), np.asarray(predictions, dtype=np.int64)
    if labels.shape != predictions.shape:
        raise UserError(f'{labels.shape} labels but {predictions.shape} predictions')
    count = num_classes or int(max(labels.max(), predictions.max())) + 1
    return np.bincount(labels * count + predictions, minlength=count * count).reshape(count, count)


def accuracy(confusion):
    """Share of correct predictions, from a confusion matrix."""
    confusion = np.asarray(confusion, dtype=np.float64)
    return float(np.trace(confusion) / confusion.sum())


def macro_accuracy(confusion):
    """Mean of the classes' accuracies, from a confusion matrix; classes without items are left out."""
    confusion = np.asarray(confusion, dtype=np.float64)
    totals = confusion.sum(axis=1)
    return float((np.diag(confusion)[totals > 0] / totals[totals > 0]).mean())
