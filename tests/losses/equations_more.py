"""Losses as slow float64 loops, written from the papers' equations: what the fast code has to agree with."""

import math

import numpy as np


def gradient(function, x, step=1e-6):
    """Central differences of a scalar function at x."""
    x = np.array(x, dtype=np.float64)
    result = np.zeros_like(x)
    for i in np.ndindex(*x.shape):
        for sign in (1, -1):
            moved = x.copy()
            moved[i] += sign * step
            result[i] += sign * function(moved) / (2 * step)
    return result


def length(v):
    return math.sqrt(sum(c * c for c in v))


def squared(a, b):
    return sum((p - q) ** 2 for p, q in zip(a, b))


def dot(a, b):
    return sum(p * q for p, q in zip(a, b))


def softplus(v):
    return max(v, 0.0) + math.log1p(math.exp(-abs(v)))


def heated_softmax(f, label, w, b, s, l2_norm=False, norm_weights=False, smoothing=0.0):
    """Mean cross-entropy of s <f, w> + b; f (n, D), w (C, D)."""
    total = 0.0
    for x, y in zip(f, label):
        x = x / length(x) if l2_norm else x
        rows = [row / length(row) if l2_norm or norm_weights else row for row in w]
        z = [s * dot(x, row) + c for row, c in zip(rows, b)]
        log_sum = max(z) + math.log(sum(math.exp(v - max(z)) for v in z))
        for k, v in enumerate(z):
            target = (1 - smoothing) * (k == y) + smoothing / len(z)
            total -= target * (v - log_sum)
    return total / len(f)


def margin(x, label, triplets, beta, alpha, nu):
    """Margin loss over given triplets; beta (C,)."""
    total, active, regulariser = 0.0, 0, 0.0
    for a, p, n in zip(*triplets):
        boundary = beta[label[a]]
        terms = (math.sqrt(squared(x[a], x[p]) + 1e-8) - boundary + alpha,
                 boundary - math.sqrt(squared(x[a], x[n]) + 1e-8) + alpha)
        total += sum(max(t, 0.0) for t in terms)
        active += sum(t > 0 for t in terms)
        regulariser += nu * boundary
    return (total + regulariser) / active if active else 0.0


def sampling_density(distance, d):
    """Density of the distance of two uniform points of the unit sphere in d dimensions, up to a factor."""
    return distance ** (d - 2) * (1 - distance ** 2 / 4) ** ((d - 3) / 2)


def distance_weights(x, label, cutoff=0.5, limit=1.4):
    """Probabilities of each anchor's negatives, inversely proportional to the density of their distance."""
    weights = np.zeros((len(x), len(x)))
    for i in range(len(x)):
        for j in range(len(x)):
            distance = length(x[i] - x[j])
            if label[i] != label[j] and distance < limit:
                weights[i, j] = 1 / sampling_density(max(distance, cutoff), len(x[i]))
        if weights[i].sum() == 0:
            weights[i] = [float(y != label[i]) for y in label]
        weights[i] /= weights[i].sum()
    return weights


def npair(x, l2_reg, n_inner_pts=0, normalise=False):
    """Multi-class N-pair loss of N anchors and N positives; with synthetic points if asked."""
    half = len(x) // 2

    def points(start, end):
        found = [start]
        for k in range(1, n_inner_pts + 1):
            point = (k * end + (n_inner_pts + 1 - k) * start) / (n_inner_pts + 1)
            found.append(point / length(point) if normalise else point)
        return found

    total = 0.0
    for i in range(half):
        own = dot(x[i], x[half + i])
        inside = 1.0
        for j in range(half):
            if j != i:
                hardest = max(dot(a, p) for a in points(x[i], x[half + i]) for p in points(x[half + j], x[j]))
                inside += math.exp(hardest - own)
        total += math.log(inside)
    return total / half + l2_reg * sum(length(row) for row in x) / len(x)


def semi_hard(x, label, m):
    """FaceNet with the nearest negative beyond the positive, or the farthest negative."""
    losses = []
    for a in range(len(x)):
        negatives = [squared(x[a], x[j]) for j in range(len(x)) if label[j] != label[a]]
        for p in range(len(x)):
            if p != a and label[p] == label[a] and negatives:
                d = squared(x[a], x[p])
                beyond = [v for v in negatives if v > d]
                losses.append(max(d - (min(beyond) if beyond else max(negatives)) + m, 0.0))
    return sum(losses) / len(losses) if losses else 0.0


def batch_hard(x, label, m):
    """In Defense of the Triplet Loss; m a number or 'soft'."""
    losses = []
    for a in range(len(x)):
        positives = [length(x[a] - x[j]) for j in range(len(x)) if j != a and label[j] == label[a]]
        negatives = [length(x[a] - x[j]) for j in range(len(x)) if label[j] != label[a]]
        if positives and negatives:
            difference = max(positives) - min(negatives)
            losses.append(softplus(difference) if m == 'soft' else max(difference + m, 0.0))
    return sum(losses) / len(losses) if losses else 0.0


def local_triplets(x, label, n_target):
    """Anchor, target, impostor of local sampling, in the original's order."""
    triplets = []
    for c in sorted(set(label)):
        members = [i for i in range(len(x)) if label[i] == c]
        for a in members:
            others = sorted((i for i in members if i != a), key=lambda i, a=a: squared(x[a], x[i]))
            for t in others[:n_target]:
                triplets += [(a, t, i) for i in range(len(x)) if label[i] != c]
    return triplets


def sst(x, triplets):
    """Stochastic symmetric triplet loss."""
    terms = [softplus(squared(x[t], x[a]) - (squared(x[i], x[a]) + squared(x[i], x[t])) / 2) for a, t, i in triplets]
    return sum(terms) / len(terms) if terms else 0.0


def triplet_local(x, label, n_target, m):
    """Hinge over all triplets of local sampling."""
    terms = [max(squared(x[a], x[t]) + m - squared(x[a], x[i]), 0.0) for a, t, i in local_triplets(x, label, n_target)]
    return sum(terms) / len(terms) if terms else 0.0


def contrastive(x, label, m):
    """Contrastive loss over all ordered pairs, the pair of a sample with itself included."""
    total = 0.0
    for i in range(len(x)):
        for j in range(len(x)):
            distance = sum((p - q + 1e-6) ** 2 for p, q in zip(x[i], x[j]))
            total += distance if label[i] == label[j] else max(m - distance, 0.0)
    return total / len(x)


def hdc(x, label, dims, ratios, margin, factor, mining='own'):
    """Loss and the authors' gradient: each depth's hardest pairs, negatives twice, one divisor."""
    grad, total, ends = np.zeros_like(x), 0.0, np.cumsum(dims)
    before = [None, None]
    for k, ratio in enumerate(ratios):
        columns = slice(ends[k] - dims[k], ends[k])
        kept = []
        for same, copies in ((True, 1), (False, 2)):
            def hardness(pair, k=k, same=same):
                at = slice(ends[k] - dims[k], ends[k])
                distance = squared(x[pair[0], at], x[pair[1], at])
                return distance if same else margin - distance

            pairs = [(i, j) for i in range(len(x)) for j in range(i + 1, len(x)) if (label[i] == label[j]) == same]
            if mining == 'previous' and k:
                pairs = before[same]
            rank = (lambda pair, k=k, h=hardness: h(pair, max(k - 1, 0))) if mining == 'previous' else hardness
            entries = sorted(pairs * copies, key=rank, reverse=True)[:int(copies * len(pairs) * ratio)]
            before[same] = sorted(set(entries))
            kept += [(pair, hardness(pair), same) for pair in entries if hardness(pair) > 0]
        if kept:
            total += sum(h if same else factor * h for _, h, same in kept) / len(kept)
            for (i, j), same in {(pair, same) for pair, _, same in kept}:
                step = (x[i, columns] - x[j, columns]) * (1 if same else -factor) / len(kept)
                grad[i, columns] += step
                grad[j, columns] -= step
    return total, grad
