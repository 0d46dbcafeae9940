"""Verification of pairs: same or different (Labeled Faces in the Wild, View 2; Huang et al. 2007)."""

import numpy as np

from core.errors import UserError
from core.lazy import lazy
from evaluation.neighbours.scores import Scores

sk = lazy('sklearn.metrics')

FARS = (1e-1, 1e-2, 1e-3)


def best_threshold(scores, same):
    """The threshold t with the most correct decisions `same if score >= t`; between two scores, the lowest if equal."""
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


def lfw(embeddings, a, b, same, folds=10, metric='euclidean', fars=FARS):
    """Accuracy over folds, area under the ROC curve and true accept rate at false accept rates.

    Parameters
    ----------
    embeddings : float32 (N, D); a, b : int (P,) rows of the pairs; same : bool (P,)
    folds : a number of consecutive equal parts, or the fold of each pair (P,)
    metric : 'euclidean', 'cosine' or 'dot'
    fars : false accept rates at which the true accept rate is reported

    The threshold of each fold is the best one of the other folds.

    Returns
    -------
    dict with accuracy (mean over folds), accuracy_se (its standard error, ddof 1), accuracy_folds, thresholds, auc,
    tar_at_far {str(far): value}, n_pairs
    """
    a, b, same = np.asarray(a), np.asarray(b), np.asarray(same, dtype=bool)
    if not len(a) == len(b) == len(same):
        raise UserError(f'{len(a)}, {len(b)} rows and {len(same)} decisions: pairs need one of each')
    if np.ndim(folds) == 0:
        if not 2 <= folds <= len(a):
            raise UserError(f'{folds} folds of {len(a)} pairs: there must be from 2 folds to one for each pair')
        folds = np.arange(len(a)) * int(folds) // len(a)
    folds = np.asarray(folds)
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
