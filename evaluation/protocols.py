"""What is measured and how: the one protocol of all papers. Arrays in, a dict of numbers out."""

from __future__ import annotations

import numpy as np

from core.errors import UserError
from core.text import count
from evaluation import checks, metrics
from evaluation import clustering as kmeans
from evaluation.neighbours import search
from evaluation.settings import TITLES, metric_title


def check_embeddings(embeddings, labels, metric: str = 'euclidean') -> list[str]:
    """What is odd about embeddings.

    Parameters
    ----------
    embeddings : (N, D)
    labels : (N,) numbers or names
    metric : 'euclidean', 'cosine' or 'dot'

    Returns
    -------
    list of sentences

    Raises
    ------
    UserError : they cannot be scored: other shapes, NaN, infinite numbers, labels that are NaN or empty, zero vectors
        under the cosine

    Example
    -------
    >>> check_embeddings([[0.0, 0.0], [1.0, 0.0]], [0, 1])
    ['zero vectors in row 0']
    """
    squares = checks.squared_norms(embeddings, metric)
    checks.class_numbers(labels, len(squares))
    zero = np.flatnonzero(squares == 0)
    return [f'zero vectors in {checks.listed(zero)}'] if len(zero) else []


def check_labels(labels, ks, query=None) -> list[str]:
    """What is odd about labels, before anything is embedded.

    Parameters
    ----------
    labels : (N,) numbers or names
    ks : K of Recall@K
    query : None or bool (N,), as of `retrieval`

    Returns
    -------
    list of sentences

    Raises
    ------
    UserError : no Recall@K can follow: one class, no query that could be answered, a K beyond the gallery

    Example
    -------
    >>> check_labels(['a', 'a', 'b'], [1])[0][:49]
    '1 of 3 queries has no other item of its class; Re'
    """
    values, number = checks.class_numbers(labels)
    if len(values) < 2:
        raise UserError(f'all {count(len(number), "item")} have the label {values[0]}: retrieval needs at least two '
                        'classes. Fix: more classes' if len(number) else 'there is nothing to score. Fix: more images')
    metrics.check_ks(ks, search.most_neighbours(len(number), query))
    queries, galleries, own = search.parts(len(number), query)
    lone = int((search.count_positives(number, queries, galleries, own) == 0).sum())
    where = '' if query is None else ' in the gallery'
    if lone == len(queries):
        raise UserError(f'no query has another item of its class{where}: nothing can be retrieved. '
                        'Fix: two images of a class')
    if lone:
        have, their, them = ('has', 'its', 'it') if lone == 1 else ('have', 'their', 'them')
        return [f'{lone} of {count(len(queries), "query", "queries")} {have} no other item of {their} class{where}; '
                f'Recall@K counts {them} as a miss, the other metrics leave {them} out']
    return []


def retrieval(embeddings, labels, ks, query=None, metric: str = 'euclidean', clustering: str | None = None,
              seed: int = 0, extended: bool = False, ctx=None, engine=None) -> dict:
    """Retrieval metrics of one set of embeddings.

    Parameters
    ----------
    embeddings : (N, D), used as float32
    labels : (N,) numbers or names
    ks : K of Recall@K, each from 1 to the size of the gallery
    query : None: every item is searched in all others; bool (N,): True items are searched in the False ones
    metric : 'euclidean', 'cosine' or 'dot'; ties and the removal of the query itself: see evaluation.neighbours.search
    clustering : None, or a setting of evaluation.settings.CLUSTERING: adds NMI, F1 and AMI of k-means with k = classes
    seed : of k-means
    extended : also Precision@K
    ctx : MXNet context of the products
    engine : None, or what computes ranks and precisions elsewhere, see evaluation.neighbours.blocks

    Returns
    -------
    dict: recall {str(K): value}, map_at_r, r_precision, mean_rank (of the nearest positive, from 1), lone_queries (no
    positive: misses for Recall@K as in the originals, left out of the others), n_query, n_gallery, metric, warnings

    Raises
    ------
    UserError : embeddings or labels that cannot be scored

    Source
    ------
    MAP@R and R-precision: Musgrave, Belongie & Lim 2020, "A metric learning reality check", section 3.2.

    Example
    -------
    >>> result = retrieval([[0.0], [1.0], [4.0], [4.5], [9.0]], [0, 0, 1, 1, 0], ks=[1, 4])
    >>> result['recall'], round(result['map_at_r'], 4), result['n_gallery']
    ({'1': 0.8, '4': 1.0}, 0.6, 4)
    """
    embeddings = np.asarray(embeddings)
    warnings = check_embeddings(embeddings, labels, metric) + check_labels(labels, ks, query)
    classes, labels = checks.class_numbers(labels)
    ks = [int(k) for k in ks]
    ranks = (engine.ranks if engine else search.ranks)(embeddings, labels, query, metric=metric, ctx=ctx)
    found = ranks.positives > 0
    result = {
        'recall': {str(k): value for k, value in metrics.recall_from_ranks(ranks, ks).items()},
        'map_at_r': float(ranks.average_precision[found].mean()),
        'r_precision': float(ranks.r_precision[found].mean()),
        'mean_rank': float(ranks.best[found].mean() + 1),
        'n_query': len(found), 'n_gallery': ranks.n_gallery, 'lone_queries': int((~found).sum()),
        'metric': metric, 'warnings': warnings,
    }
    if extended:
        precision = (engine or metrics).precision_at_k(embeddings, labels, ks, query, metric=metric, ctx=ctx)
        result['precision'] = {str(k): value for k, value in precision.items()}
    if clustering:
        clusters = kmeans.cluster(embeddings, len(classes), clustering, seed, ctx)
        result.update(metrics.clustering(labels, clusters), clustering=clustering)
    return result


def classification(logits, labels) -> dict:
    """How often a classifier is right.

    Parameters
    ----------
    logits : (N, C), or predicted classes int (N,)
    labels : int (N,), 0..C-1

    Returns
    -------
    {'accuracy', 'macro_accuracy', 'n', 'num_classes'}

    Raises
    ------
    UserError : NaN or infinite logits, named by row

    Example
    -------
    >>> classification([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]], [0, 1, 1])['accuracy']
    0.6666666666666666
    """
    logits = np.asarray(logits)
    if logits.ndim == 2:
        checks.squared_norms(logits, what='logits')
    confusion = metrics.confusion_matrix(labels, logits.argmax(axis=1) if logits.ndim == 2 else logits,
                                         logits.shape[1] if logits.ndim == 2 else None)
    return {'accuracy': metrics.accuracy(confusion), 'macro_accuracy': metrics.macro_accuracy(confusion),
            'n': int(confusion.sum()), 'num_classes': len(confusion)}


def table(result: dict) -> str:
    """The numbers of a result as lines of text.

    Example
    -------
    >>> print(table({'recall': {'1': 0.5}, 'map_at_r': 0.25, 'n_query': 1, 'n_gallery': 3, 'metric': 'dot'}))
    1 query, 3 gallery items each, dot
    Recall@1                         0.5000
    MAP@R                            0.2500
    """
    lines = [f'{count(result["n_query"], "query", "queries")}, {count(result["n_gallery"], "gallery item")} each, '
             f'{result["metric"]}'] if 'n_query' in result else []
    rows = [(metric_title(f'{kind}@{k}'), value) for kind in ('recall', 'precision')
            for k, value in result.get(kind, {}).items()]
    rows += [(title, result[key]) for key, title in TITLES.items() if key in result]
    lines += [f'{title:<28} {value:10.4f}' for title, value in rows]
    return '\n'.join(lines + ['note: ' + text for text in result.get('warnings', [])])
