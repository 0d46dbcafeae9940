"""Miners: from embeddings and labels to indices. Plain NumPy, outside the gradient, no loop over anchors.

Every miner returns int64 rows (anchor, positive, negative) of batch positions; with nothing to return it gives an
array of shape (3, 0). A criterion turns that into inputs of its equation with `or_placeholder`.
"""

from __future__ import annotations

import numpy as np

from core.contracts import Tensor
from core.gluon_internals import to_device


def squared_distances(x: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances (n, n) of the rows of x in float64, never negative, exactly 0 on the diagonal."""
    x = np.asarray(x, dtype=np.float64)
    x = x - x.mean(axis=0)                                     # less cancellation when all rows share an offset
    square = (x * x).sum(axis=1)
    distance = np.maximum(square[:, None] + square[None, :] - 2.0 * (x @ x.T), 0.0)
    np.fill_diagonal(distance, 0.0)
    return distance


def positive_pairs(label: np.ndarray) -> np.ndarray:
    """Ordered pairs (anchor, positive) of equal label, anchor != positive, row by row: int64 (2, P)."""
    label = np.asarray(label)
    same = label[:, None] == label[None, :]
    np.fill_diagonal(same, False)
    return np.stack(np.nonzero(same))


def or_placeholder(index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(index, valid): MXNet has no empty arrays, so no column at all becomes one column of zeros with valid 0."""
    index = np.asarray(index, dtype=np.int32)
    if index.shape[1]:
        return index, np.ones(index.shape[1], dtype=np.float32)
    return np.zeros((index.shape[0], 1), dtype=np.int32), np.zeros(1, dtype=np.float32)


def pairs_input(label: Tensor) -> tuple[Tensor, Tensor]:
    """(pairs, valid) of a batch for an equation: NDArray int32 (2, P) and float32 (P,), see `or_placeholder`.

    Parameters
    ----------
    label : NDArray (n,)
    """
    pairs, valid = or_placeholder(positive_pairs(label.asnumpy()))
    return to_device(pairs, label.context, 'int32'), to_device(valid, label.context)


def distance_weights(embedding: np.ndarray, label: np.ndarray, cutoff: float = 0.5,
                     nonzero_loss_cutoff: float = 1.4) -> np.ndarray:
    """Probability of each negative of each anchor, (n, n) float32; the rows of `distance-weighted sampling`.

    .. math:: q(D) \\propto D^{d-2} (1 - D^2/4)^{(d-3)/2}, \\quad w_{ij} = 1/q(\\max(D_{ij}, cutoff))

    with w = 0 for the anchor's class and for D >= nonzero_loss_cutoff; rows are normalised. An anchor without any
    weight draws uniformly from the other classes; one that has no other class at all keeps a row of zeros.

    Parameters: embedding float32 (n, d) on the unit sphere; label (n,).
    Source: Wu et al., Sampling Matters in Deep Embedding Learning (ICCV 2017), equations 2-4.
    """
    x = np.asarray(embedding, dtype=np.float32)
    n, d = x.shape
    square = (x * x).sum(axis=1, keepdims=True)
    # ORIGINAL: float32, and the diagonal is 1; it belongs to the maximum below.
    distance = square + square.T - 2.0 * (x @ x.T) + np.eye(n, dtype=np.float32)
    # DIFFERS: duplicates give -1e-7 here, whose square root made the original's whole matrix NaN.
    distance = np.maximum(np.sqrt(np.maximum(distance, 0.0)), np.float32(cutoff))
    with np.errstate(divide='ignore', invalid='ignore'):
        log_weight = np.float32(2 - d) * np.log(distance) - np.float32((d - 3) / 2) * np.log(
            1.0 - 0.25 * distance * distance)
    other = np.asarray(label)[:, None] != np.asarray(label)[None, :]
    # DIFFERS: antipodal points (D = 2) have no finite weight. The original raises; the paper never draws them.
    finite = np.isfinite(log_weight)
    # ORIGINAL: one maximum for the whole matrix, so far rows may underflow to 0 and become uniform.
    highest = log_weight[finite].max() if finite.any() else np.float32(0)
    weight = np.zeros_like(log_weight)
    allowed = finite & other & (distance < nonzero_loss_cutoff)
    weight[allowed] = np.exp(log_weight[allowed] - highest)
    weight = np.where(weight.sum(axis=1, keepdims=True) > 0, weight, other.astype(np.float32))
    total = weight.sum(axis=1, keepdims=True)
    return np.divide(weight, total, out=np.zeros_like(weight), where=total > 0)


def draw(probability: np.ndarray, row: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """One column index for each entry of `row`, drawn with the probabilities of that row: int64 (T,).

    The same indices as `rng.choice(n, size, p=probability[i])` row after row: inverse distribution function in
    float64 on the same uniform numbers, all drawn at once.
    """
    cdf = np.cumsum(np.asarray(probability, dtype=np.float64), axis=1)
    cdf /= np.where(cdf[:, -1:] > 0, cdf[:, -1:], 1.0)
    uniform = rng.random_sample(len(row))
    return (cdf[row] <= uniform[:, None]).sum(axis=1)


def distance_weighted(embedding: np.ndarray, label: np.ndarray, rng: np.random.RandomState, cutoff: float = 0.5,
                      nonzero_loss_cutoff: float = 1.4) -> np.ndarray:
    """Each ordered positive pair with one negative drawn by `distance_weights`: int64 (3, n(k-1)).

    For k images a class these are k-1 negatives an anchor, with replacement, paired positionally with the anchor's
    positives. Anchors without another class in the batch are left out.
    """
    probability = distance_weights(embedding, label, cutoff, nonzero_loss_cutoff)
    anchor, positive = positive_pairs(label)
    usable = probability[anchor].any(axis=1)
    anchor, positive = anchor[usable], positive[usable]
    if not len(anchor):
        return np.zeros((3, 0), dtype=np.int64)
    return np.stack([anchor, positive, draw(probability, anchor, rng)])


def random_negatives(embedding: np.ndarray, label: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """Each ordered positive pair with one negative drawn uniformly: int64 (3, P).

    Anchors without another class in the batch are left out. Source: Wu et al. (ICCV 2017), section 3.
    """
    other = np.asarray(label)[:, None] != np.asarray(label)[None, :]
    anchor, positive = positive_pairs(label)
    usable = other[anchor].any(axis=1)
    anchor, positive = anchor[usable], positive[usable]
    return np.stack([anchor, positive, draw(other, anchor, rng)]) if len(anchor) else np.zeros((3, 0), dtype=np.int64)


def semi_hard_negatives(embedding: np.ndarray, label: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """Each ordered positive pair with the nearest negative that is farther than the positive: int64 (3, P).

    Where there is none, the farthest negative. Anchors without another class are left out; nothing is drawn. Source:
    Schroff et al., FaceNet (CVPR 2015), equation 4, as Wu et al. (ICCV 2017), section 3, set it beside their sampling.
    """
    other = np.asarray(label)[:, None] != np.asarray(label)[None, :]
    anchor, positive = positive_pairs(label)
    usable = other[anchor].any(axis=1)
    anchor, positive = anchor[usable], positive[usable]
    if not len(anchor):
        return np.zeros((3, 0), dtype=np.int64)
    distance = squared_distances(embedding)
    beyond = other[anchor] & (distance[anchor] > distance[anchor, positive][:, None])
    nearest = np.where(beyond, distance[anchor], np.inf).argmin(axis=1)
    farthest = np.where(other[anchor], distance[anchor], -np.inf).argmax(axis=1)
    return np.stack([anchor, positive, np.where(beyond.any(axis=1), nearest, farthest)])


def target_pairs(features: np.ndarray, label: np.ndarray, n_target: int) -> np.ndarray:
    """Each sample with its min(n_target, n_c - 1) nearest samples of its class, nearest first: int64 (2, P).

    Anchors in ascending order of label, then of index. Ties go to the lower index.
    """
    label = np.asarray(label)
    distance = squared_distances(features)
    same = label[:, None] == label[None, :]
    np.fill_diagonal(same, False)
    anchor = np.argsort(label, kind='stable')
    nearest = np.where(same, distance, np.inf)[anchor].argsort(axis=1, kind='stable')[:, :n_target]
    exists = np.arange(nearest.shape[1])[None, :] < same.sum(axis=1)[anchor][:, None]
    row, column = np.nonzero(exists)
    return np.stack([anchor[row], nearest[row, column]])


class Triplets:
    """The triplets of one batch, unexpanded: calling it gives int64 (3, T), rows anchor, target, impostor.

    Every pair (anchor, target) meets every image of another class, so T is about n * n_target * n: 200,000 for a batch
    of 200, and half a gigabyte for the 300 batches of an epoch. Kept are the pairs (16 KB a batch); the loader expands
    them when the batch is due.

    Parameters
    ----------
    pairs : int (2, P), see `target_pairs`
    labels : int (n,), from 0 on
    """

    def __init__(self, pairs, labels):
        self.pairs, self.labels = np.stack(pairs), labels

    def __call__(self):
        anchor, target = self.pairs
        pair, impostor = np.nonzero(self.labels[anchor][:, None] != self.labels[None, :])
        return np.stack([anchor[pair], target[pair], impostor])

    def __len__(self):
        """T, without expanding."""
        others = len(self.labels) - np.bincount(self.labels)
        return int(others[self.labels[self.pairs[0]]].sum())


def build_triplets(features: np.ndarray, label: np.ndarray, n_target: int) -> np.ndarray:
    """Triplets of local sampling.

    Each pair of `target_pairs` with every sample of the other classes, in ascending order; no margin and no locality
    filter on the impostors. A class with one member, or a single class, gives none.

    Parameters
    ----------
    features : float (n, D)
    label : int (n,)
    n_target : int, at least 1

    Returns
    -------
    int64 (3, T), rows anchor, target, impostor

    Source: Nguyen & De Baets, Improving deep metric learning with local sampling (2020), section 3.
    """
    return Triplets(target_pairs(features, label, n_target), np.asarray(label))()
