"""Losses as dumb float64 loops, written from the papers. One number an element, no vectorisation, no cleverness.

Embeddings are lists of rows or arrays (n, D), labels lists of int.
"""

import math

import numpy as np


def gradient(function, x, step=1e-6):
    """Central differences of a function of x (any shape) to a number."""
    x = np.array(x, dtype=np.float64)
    result = np.zeros_like(x)
    for i in np.ndindex(*x.shape):
        keep = x[i]
        x[i] = keep + step
        above = function(x)
        x[i] = keep - step
        below = function(x)
        x[i] = keep
        result[i] = (above - below) / (2 * step)
    return result


def squared(a, b):
    return sum((p - q) ** 2 for p, q in zip(a, b))


def euclidean(a, b):
    return math.sqrt(max(squared(a, b), 1e-12))


def inner(a, b):
    return sum(p * q for p, q in zip(a, b))


def points_of(x, i, n, l2_norm):
    """Sample i followed by its n synthetic points on the way to its neighbour."""
    partner = i + 1 if i % 2 == 0 else i - 1
    points = [list(x[i])]
    for k in range(1, n + 1):
        t = k / (n + 1)
        point = [(1 - t) * a + t * b for a, b in zip(x[i], x[partner])]
        if l2_norm:
            length = math.sqrt(inner(point, point) + 1e-10)
            point = [a / length for a in point]
        points.append(point)
    return points


def hphn_parts(x, label, n=0, l2_norm=True):
    """For each sample: hardest positive distance, hardest negative distance, how often the latter is attained."""
    groups = [points_of(x, i, n, l2_norm) for i in range(len(x))]
    result = []
    for i in range(len(x)):
        d_ap = max(euclidean(x[i], x[j]) for j in range(len(x)) if label[j] == label[i])
        negatives = []
        for p in groups[i]:
            distances = [(euclidean(p, q), label[j]) for j in range(len(x)) for q in groups[j]]
            others = [d for d, y in distances if y != label[i]]
            negatives += others if others else [max(d for d, _ in distances)]
        d_an = min(negatives)
        result.append((d_ap, d_an, sum(abs(d - d_an) < 1e-10 for d in negatives)))
    return result


def hphn_triplet(x, label, n=0, l2_norm=True, margin=1e-5, soft=False):
    """One value a sample."""
    return [math.log(1 + math.exp(a - b)) if soft else max(0.0, a - b + margin)
            for a, b, _ in hphn_parts(x, label, n, l2_norm)]


def hardest_distance(x, i, k, n, l2_norm):
    return min(euclidean(p, q) for p in points_of(x, i, n, l2_norm) for q in points_of(x, k, n, l2_norm))


def hardest_similarity(x, i, k, n, l2_norm):
    return max(inner(p, q) for p in points_of(x, i, n, l2_norm) for q in points_of(x, k, n, l2_norm))


def lifted_structure(x, label, margin=1.0, n=0, l2_norm=True):
    """Smooth bound over unordered positive pairs."""
    size, total, count = len(x), 0.0, 0
    for i in range(size):
        for j in range(i + 1, size):
            if label[i] != label[j]:
                continue
            count += 1
            negatives = [math.exp(margin - hardest_distance(x, a, k, n, l2_norm))
                         for a in (i, j) for k in range(size) if label[k] != label[a]]
            if negatives:
                total += max(0.0, math.log(sum(negatives)) + euclidean(x[i], x[j])) ** 2
    return total / (2 * count) if count else 0.0


def multi_similarity(x, label, alpha=2.0, beta=50.0, sigma=1.0, epsilon=0.1, n=0, l2_norm=True):
    """Mining, then soft weighting; a mean over all samples of the batch."""
    size, total = len(x), 0.0
    for i in range(size):
        positives = [inner(x[i], x[k]) for k in range(size) if k != i and label[k] == label[i]]
        negatives = [hardest_similarity(x, i, k, n, l2_norm) for k in range(size) if label[k] != label[i]]
        if not positives or not negatives:
            continue
        pull = [s for s in positives if s < max(negatives) + epsilon]
        push = [s for s in negatives if s > min(positives) - epsilon]
        total += math.log(1 + sum(math.exp(-alpha * (s - sigma)) for s in pull)) / alpha
        total += math.log(1 + sum(math.exp(beta * (s - sigma)) for s in push)) / beta
    return total / size


def cross_entropy(feature, weight, bias, label):
    """Mean over the batch; weight (C, F)."""
    total = 0.0
    for f, y in zip(feature, label):
        z = [inner(f, w) + b for w, b in zip(weight, bias)]
        total += math.log(sum(math.exp(v) for v in z)) - z[y]
    return total / len(label)


def squared_batch_hard(x, label, margin):
    """Mean over the batch, squared distances; margin a number, 'soft' or 'none'."""
    total = 0.0
    for i in range(len(x)):
        positives = [squared(x[i], x[j]) for j in range(len(x)) if label[j] == label[i]]
        negatives = [squared(x[i], x[j]) for j in range(len(x)) if label[j] != label[i]]
        if not negatives:
            continue
        d = max(positives) - min(negatives)
        total += d if margin == 'none' else math.log(1 + math.exp(d)) if margin == 'soft' else max(0.0, d + margin)
    return total / len(x)


def squared_semi_hard(x, label, margin):
    """Mean over ordered positive pairs, squared distances."""
    total, count = 0.0, 0
    for a in range(len(x)):
        negatives = [squared(x[a], x[k]) for k in range(len(x)) if label[k] != label[a]]
        for p in range(len(x)):
            if p == a or label[p] != label[a]:
                continue
            count += 1
            d_ap = squared(x[a], x[p])
            farther = [d for d in negatives if d > d_ap]
            d_an = min(farther) if farther else max(negatives, default=0.0)
            total += max(0.0, margin + d_ap - d_an)
    return total / count if count else 0.0


def center(x, label, centers):
    return 0.5 * sum(squared(a, centers[y]) for a, y in zip(x, label))


def moved_centers(x, label, centers, alpha):
    result = np.array(centers, dtype=np.float64)
    for c in range(len(result)):
        own = [a for a, y in zip(x, label) if y == c]
        for d in range(len(result[c])):
            result[c][d] -= alpha * sum(centers[c][d] - a[d] for a in own) / (1 + len(own))
    return result
