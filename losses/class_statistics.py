"""Statistics of embeddings against their classes, as the Heated-Up Softmax original logs them. Plain NumPy, float64.

embeddings (N, D), labels (N,) in 0..C-1, weights (C, D) of a classifier. Source: Zhang et al., arXiv 1809.04157.
"""

from __future__ import annotations

import numpy as np

from core import normalize

EPSILON = 1e-4


def unit_rows(x: np.ndarray) -> np.ndarray:
    """x / sqrt(sum_d x_d^2 + 1e-4) of each row, float64: slightly shorter than one."""
    return normalize.unit_rows(np.asarray(x, dtype=np.float64), eps=EPSILON)


def category_mean(embeddings: np.ndarray, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """Mean embedding of each class, of length one: (C, D). A class without a sample gets zeros.

    The statistics take unit embeddings, better_init takes the raw ones.
    """
    labels = np.asarray(labels)
    total = np.zeros((num_classes, np.shape(embeddings)[1]))
    np.add.at(total, labels, np.asarray(embeddings, dtype=np.float64))
    count = np.bincount(labels, minlength=num_classes)[:, None]
    return unit_rows(total / np.maximum(count, 1))


def norms(embeddings: np.ndarray) -> np.ndarray:
    """Euclidean length of each row: (N,)."""
    return np.sqrt(np.square(np.asarray(embeddings, dtype=np.float64)).sum(axis=1))


def own_cosines(embeddings: np.ndarray, labels: np.ndarray, rows: int | None) -> np.ndarray:
    """Cosine of each embedding with the row of its class, such as its weight or its mean: (N,)."""
    return (unit_rows(embeddings) * unit_rows(rows)[np.asarray(labels)]).sum(axis=1)


def pairwise_cosines(rows: int | None) -> np.ndarray:
    """Cosine of every two different rows, once each: (C(C-1)/2,). Low values mean separated classes."""
    unit = unit_rows(rows)
    return (unit @ unit.T)[np.triu_indices(len(unit), k=1)]


def mean_weight_difference(mean: np.ndarray, weights: np.ndarray) -> float:
    """Squared distance of all class means (C, D) to the unit class weights, one number."""
    return float(np.square(mean - unit_rows(weights)).sum())


def accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Share of samples whose largest logit (N, C) is that of their class."""
    return float((np.argmax(logits, axis=1) == np.asarray(labels)).mean())


def summary(embeddings: np.ndarray, labels: np.ndarray, weights: np.ndarray, logits: np.ndarray,
            num_classes: int) -> dict[str, dict]:
    """What the original logs of the training set after an epoch: {'scalars': ..., 'histograms': ...}."""
    length = norms(embeddings)
    mean = category_mean(unit_rows(embeddings), labels, num_classes)
    cosine = own_cosines(embeddings, labels, weights)
    return {
        'scalars': {
            'All Training acc': accuracy(logits, labels),
            'Train Norm Mean': float(length.mean()), 'Train Norm Var': float(length.var()),
            'Train Cos Mean': float(cosine.mean()), 'Train Cos Var': float(cosine.var()),
            'Weights Norm Mean': float(norms(weights).mean()),
            'Mean Weights Diff': mean_weight_difference(mean, weights),
        },
        'histograms': {
            'Norm': length, 'Cos Distance to Weight': cosine,
            'Cos Distance to Mean': own_cosines(embeddings, labels, mean),
            'Training Seperateness': pairwise_cosines(weights), 'Training Mean Seperateness': pairwise_cosines(mean),
        },
    }
