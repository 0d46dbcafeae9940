"""Verification of pairs: same or different (Labeled Faces in the Wild, View 2; Huang et al. 2007)."""

from __future__ import annotations

import numpy as np

from core.errors import UserError
from core.lazy import lazy
from core.text import count
from evaluation.neighbours.scores import Scores

sk = lazy('sklearn.metrics')

FARS = (1e-1, 1e-2, 1e-3)


def best_threshold(scores: np.ndarray, same: np.ndarray) -> float:
    """The threshold t with the most correct decisions `same if score >= t`; between two scores, the lowest if equal.

    Parameters
    ----------
    scores : float (P,), higher for pairs that look alike
    same : bool (P,)

    Example
    -------
    >>> best_threshold(np.array([0.0, 1.0, 2.0, 3.0]), np.array([False, False, True, True]))
    1.5
    """
    order = np.argsort(scores, kind='stable')
    ordered, same = scores[order], same[order]
    # cut i: the i lowest scores are called different
    correct = np.append(same.sum(), same.sum() + np.cumsum(np.where(same, -1, 1)))
    allowed = np.concatenate([[True], ordered[1:] > ordered[:-1], [True]])
    cut = int(np.argmax(np.where(allowed, correct, -1)))
    if cut == 0:
        return float(ordered[0])
    if cut == len(ordered):
        return float(np.nextafter(ordered[-1], np.inf))
    return float(0.5 * (ordered[cut - 1] + ordered[cut]))


def verify_pairs(embeddings, a, b, same, folds=10, metric: str = 'euclidean', fars=FARS) -> dict:
    """Accuracy over folds, area under the ROC curve and true accept rate at false accept rates.

    The threshold of each fold is the best one of the other folds.

    Parameters
    ----------
    embeddings : (N, D), used as float32
    a, b : int (P,) rows of the pairs
    same : bool (P,)
    folds : a number of consecutive equal parts, or the fold of each pair (P,); one fold alone, as in View 1, is cut
        into ten, pair by pair
    metric : 'euclidean', 'cosine' or 'dot'
    fars : false accept rates at which the true accept rate is reported

    Returns
    -------
    dict with accuracy (mean over folds), accuracy_se (its standard error, ddof 1), accuracy_folds, thresholds, auc,
    tar_at_far {str(far): value}, n_pairs

    Raises
    ------
    UserError : pairs of one kind only, less pairs than folds, embeddings that cannot be scored

    Source
    ------
    Huang, Ramesh, Berg & Learned-Miller 2007, "Labeled Faces in the Wild", section III (View 2).

    Example
    -------
    >>> x = [[0.0], [0.1], [5.0], [5.1]]
    >>> found = verify_pairs(x, [0, 0, 2, 1], [1, 2, 3, 3], [True, False, True, False], folds=2)
    >>> found['accuracy'], found['auc']
    (1.0, 1.0)
    """
    a, b, same = np.asarray(a), np.asarray(b), np.asarray(same, dtype=bool)
    if not len(a) == len(b) == len(same):
        raise UserError(f'{len(a)}, {len(b)} rows and {len(same)} decisions: pairs need one of each')
    if np.ndim(folds) == 0:
        if not 2 <= folds <= len(a):
            raise UserError(f'{folds} folds of {count(len(a), "pair")}: there must be from 2 folds to one for each '
                            'pair')
        folds = np.arange(len(a)) * int(folds) // len(a)
    folds = np.asarray(folds)
    if len(np.unique(folds)) == 1:
        folds = np.arange(len(a)) % 10
    if same.all() or not same.any():
        raise UserError('verification needs pairs of the same and of different identities')
    scorer = Scores(embeddings, metric)
    scores = scorer.report(scorer.pairs(a, b))
    accuracies, thresholds = [], []
    for fold in np.unique(folds):
        test = folds == fold
        thresholds.append(best_threshold(scores[~test], same[~test]))
        accuracies.append(float(np.mean((scores[test] >= thresholds[-1]) == same[test])))
    fpr, tpr, _ = sk.roc_curve(same, scores, drop_intermediate=False)
    return {
        'accuracy': float(np.mean(accuracies)),
        'accuracy_se': float(np.std(accuracies, ddof=1) / np.sqrt(len(accuracies))),
        'accuracy_folds': accuracies, 'thresholds': thresholds, 'auc': float(sk.roc_auc_score(same, scores)),
        'tar_at_far': {f'{far:g}': float(tpr[fpr <= far].max()) for far in fars}, 'n_pairs': len(same),
    }
