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


def length(v):
    return math.sqrt(inner(v, v))


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


def softplus(v):
    return max(v, 0.0) + math.log1p(math.exp(-abs(v)))


def heated_softmax(f, label, w, b, s, l2_norm=False, norm_weights=False, smoothing=0.0):
    """Mean cross-entropy of s <f, w> + b; f (n, D), w (C, D)."""
    total = 0.0
    for x, y in zip(f, label):
        x = x / length(x) if l2_norm else x
        rows = [row / length(row) if l2_norm or norm_weights else row for row in w]
        z = [s * inner(x, row) + c for row, c in zip(rows, b)]
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
        own = inner(x[i], x[half + i])
        inside = 1.0
        for j in range(half):
            if j != i:
                hardest = max(inner(a, p) for a in points(x[i], x[half + i]) for p in points(x[half + j], x[j]))
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
