"""The hardest pairs of a batch inside the graph. Elements that tie for an extremum share its gradient.

D (n, n) distances with rows as anchors, any monotone distance; same (n, n) 1 where two samples have one label.
"""

from __future__ import annotations

from core.contracts import Ops, Tensor
from losses import functional

FAR = 1e12    # stands for "no such pair" in a minimum


def farthest_positive(F: Ops, D: Tensor, same: Tensor) -> Tensor:
    """Largest distance to another sample of the anchor's class: (n,); 0 without one. `same` or D is 0 on the diagonal.

    Source: Hermans et al., In Defense of the Triplet Loss (arXiv 1703.07737), equation 5.
    """
    return functional.tied_max(F, D * same, axis=1)


def nearest_negative(F: Ops, D: Tensor, same: Tensor) -> Tensor:
    """Smallest distance to a sample of another class: (n,); without one FAR.

    Source: Hermans et al., equation 5.
    """
    return functional.tied_min(F, F.where(same, FAR * F.ones_like(D), D), axis=1)


def semi_hard_negative(F: Ops, D: Tensor, same: Tensor, anchor: Tensor, d_ap: Tensor) -> Tensor:
    """Of each pair (a, p), the smallest distance from a to a negative that is larger than d_ap; if there is none, the
    largest to a negative; without a negative at all 0.

    Parameters
    ----------
    D : (n, n) distances of negatives
    same : (n, n)
    anchor : int (P,)
    d_ap : (P,)

    Returns
    -------
    (P,)

    Source: Schroff et al., FaceNet (CVPR 2015), section 3.2; the fallback is TensorFlow's.
    """
    to_all = F.take(D, anchor)                                                                   # (P, n)
    farther = F.broadcast_greater(to_all, F.expand_dims(d_ap, 1)) * F.take(1 - same, anchor)
    outside = functional.tied_min(F, F.where(farther, to_all, FAR * F.ones_like(farther)), axis=1)
    inside = F.relu(functional.tied_max(F, F.where(same, -F.ones_like(D), D), axis=1))           # (n,)
    return F.where(F.max(farther, axis=1), outside, F.take(inside, anchor))


def has_negative(F: Ops, same: Tensor) -> Tensor:
    """1 for each anchor that has a sample of another class in the batch: (n,)."""
    return F.min(same, axis=1) < 1
