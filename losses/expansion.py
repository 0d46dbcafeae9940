"""Embedding Expansion: synthetic points between positives, and the hardest pair among original and synthetic points.

Ko and Gu, Embedding Expansion: Augmentation in Embedding Space for Deep Metric Learning, CVPR 2020, sections 3.1, 3.2.

Layout of an expanded batch: n + 1 groups of B rows. Group 0 is the batch; row i of group k is the point k / (n + 1) of
the way from x_i to its partner, so rows i, i + B, i + 2 B, ... are "the points of sample i". A pair loss takes the
distances of positives from the originals and, for a negative pair (i, j), the hardest distance between the points of
i and the points of j (`pair_distances`, `pair_similarities`).

# DIFFERS: the paper writes the set of negative pairs by class (every point of class y_i against every point of class
# y_j); the authors' published loss searches the points of sample i alone, and so do we everywhere: one rule for all
# losses, cost O(N^2), and every sample takes part in the gradient. With two samples a class both are the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from core import flags
from core.contracts import Ops, Tensor
from core.errors import UserError
from core.normalize import l2_normalize
from losses import functional


def add_args(group: Any, n_inner_pts: int = 0) -> None:
    """Add --n_inner_pts (default given by the loss) and --ee_l2norm."""
    group.add_argument('--n_inner_pts', type=flags.bounded(int, 0), default=n_inner_pts, metavar='N',
                       help='synthetic points between two positives (Embedding Expansion); 0: none. More points cost '
                            'memory with (N + 1)^2; the paper uses 2 (default: %(default)s)')
    flags.switch(group, '--ee_l2norm', default=True,
                 help='normalise the synthetic points to length 1 (default: %(default)s)')


COPIES = 8     # matrices of all distances that a step holds at once, about: forward, masks, backward


def physical_memory() -> float:
    """Bytes of memory of this machine; infinite where the system does not say."""
    try:
        return os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
    except (AttributeError, ValueError, OSError):
        return float('inf')


def check_memory(n_inner_pts: int, batch_size: int, memory: float | None = None) -> None:
    """Raise UserError when the distances of all original and synthetic points do not fit into `memory` bytes.

    memory : None: that of this machine
    """
    memory = physical_memory() if memory is None else memory
    points = (n_inner_pts + 1) * batch_size
    needed = COPIES * 4 * points ** 2
    if n_inner_pts and needed > memory:
        most = max(int((memory / (COPIES * 4)) ** 0.5 / batch_size) - 1, 0)
        raise UserError(f'--n_inner_pts={n_inner_pts} makes {points:,} points of a batch of {batch_size}, whose '
                        f'distances take about {needed / 1e9:,.0f} GB of memory; this machine has {memory / 1e9:,.0f}. '
                        f'Fix: --n_inner_pts={most} or less (the paper: 2), or a smaller --batch_size')


def check_batch(n_inner_pts: int, batch_size: int, num_instances: int | None = None) -> None:
    """Raise UserError unless the rows of a batch pair up and all of its points fit into memory."""
    check_memory(n_inner_pts, batch_size)
    if n_inner_pts and batch_size % 2:
        raise UserError(f'--n_inner_pts={n_inner_pts} pairs the rows of a batch, but --batch_size={batch_size} is '
                        'odd. Fix: an even batch '
                        'size, or --n_inner_pts=0')
    if n_inner_pts and num_instances is not None and num_instances % 2:
        raise UserError(f'--n_inner_pts={n_inner_pts} pairs neighbouring images of a class, but '
                        f'--num_instances={num_instances} is odd. Fix: an '
                        'even number, or --n_inner_pts=0')


def check_args(args: Any) -> None:
    """`check_batch` of parsed flags; Criterion.check_args of the losses that expand."""
    check_batch(args.n_inner_pts, args.batch_size, getattr(args, 'num_instances', None))


def partner(F: Ops, x: Tensor) -> Tensor:
    """The rows of x (B, D) with 2 i and 2 i + 1 swapped: sample i's partner. B must be even."""
    # ORIGINAL: the paper expands every positive pair; the published code, which all its results come from, expands
    # neighbours alone and does not look at their labels, so the sampler has to keep a class together.
    index = F.contrib.arange_like(x, axis=0)  # (B,)
    return F.take(x, index + 1 - 2 * (index % 2))


def between(F: Ops, a: Tensor, b: Tensor, n: int, l2_norm: bool = True) -> list[Tensor]:
    """The n points that divide each segment a_i b_i into n + 1 equal parts, nearest to a first.

    a, b : (B, D). Returns a list of n tensors (B, D): (k b + (n + 1 - k) a) / (n + 1), k = 1..n, normalised if asked.
    """
    points = [(k * b + (n + 1 - k) * a) / (n + 1) for k in range(1, n + 1)]
    return [l2_normalize(F, point) for point in points] if l2_norm else points


def expand(F: Ops, x: Tensor, n: int, l2_norm: bool = True) -> Tensor:
    """The batch followed by n synthetic groups: (B, D) -> ((n + 1) B, D)."""
    return F.concat(x, *between(F, x, partner(F, x), n, l2_norm), dim=0) if n else x


def expand_labels(F: Ops, label: Tensor, n: int) -> Tensor:
    """Labels of the expanded batch: (B,) -> ((n + 1) B,)."""
    return F.concat(*[label] * (n + 1), dim=0) if n else label


def expanded_rows(rows: int | None, n: int) -> int | None:
    """Rows of the expanded batch; None stays None."""
    return None if rows is None else rows * (n + 1)


def nearest(F: Ops, distance: Tensor, groups: int) -> Tensor:
    """Smallest distance between the points of sample i and those of sample j: (groups B, groups B) -> (B, B).

    Equal points of neighbours attain it together; they share the gradient, so it is that of the equation.
    """
    if groups == 1:
        return distance
    blocks = F.reshape(distance, shape=(-4, groups, -1, -4, groups, -1))  # (groups, B, groups, B)
    return functional.tied_min(F, blocks, axis=(0, 2))


def most_similar(F: Ops, similarity: Tensor, groups: int) -> Tensor:
    """As `nearest` for similarities: the largest, (groups B, groups B) -> (B, B)."""
    return -nearest(F, -similarity, groups)


def pair_distances(F: Ops, x: Tensor, n: int, l2_norm: bool = True,
                   distance: Callable[..., Tensor] = functional.squared_distances,
                   rows: int | None = None) -> tuple[Tensor, Tensor]:
    """Distances that a pair loss needs of a batch x (B, D): (positive, negative), both (B, B).

    positive_ij is the distance of the originals, negative_ij the smallest between the points of i and those of j.
    `distance(F, x, rows=N)` gives the (N, N) distances of N rows; rows: B if it is known (Criterion.batch_size).
    """
    every = distance(F, expand(F, x, n, l2_norm), rows=expanded_rows(rows, n))
    negative = nearest(F, every, n + 1)
    return (F.slice_like(every, negative) if n else every), negative


def pair_similarities(F: Ops, x: Tensor, n: int, l2_norm: bool = True,
                      rows: int | None = None) -> tuple[Tensor, Tensor]:
    """As `pair_distances` with the inner products x_i . x_j, of which the largest is the hardest negative."""
    points = expand(F, x, n, l2_norm)
    every = functional.inner_products(F, points, points, expanded_rows(rows, n))
    negative = most_similar(F, every, n + 1)
    return (F.slice_like(every, negative) if n else every), negative
