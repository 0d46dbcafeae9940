"""Stochastic symmetric triplet loss of local sampling."""

from __future__ import annotations

import numpy as np

from core.errors import UserError
from core.gluon_internals import to_device
from losses import functional, mining
from losses.arguments import add_normalized
from losses.base import Criterion


def flat_index(row: np.ndarray, column: np.ndarray, n: int) -> np.ndarray:
    """Positions of (row, column) in a flattened matrix with n columns, int32."""
    return (np.asarray(row, dtype=np.int64) * n + column).astype(np.int32)


class SST(Criterion):
    r"""The target is nearer to the anchor than both are to the impostor, softly and symmetrically.

    .. math:: L = \frac{1}{T} \sum_{(a,t,i)} \log\Bigl(1 + \exp\bigl(\|t - a\|^2
                  - \tfrac{1}{2} (\|i - a\|^2 + \|i - t\|^2)\bigr)\Bigr)

    over the T triplets (anchor, target, impostor) that the sampler found in the epoch's embedding.

    Parameters
    ----------
    normalized : bool, the head's rows have length one

    Inputs
    ------
    embedding (n, D), whose rows are a, t, i; batch.extra int (3, T) of batch positions.

    Returns
    -------
    NDArray (1,): the mean over the triplets; 0 without one. Step size 1. There is no margin.

    Raises
    ------
    UserError : a batch without triplets

    Source
    ------
    Nguyen & De Baets, Improved deep embedding learning based on stochastic symmetric triplet loss and local
    sampling (Neurocomputing 2020).

    Example
    -------
    >>> SST().of([[1, 0], [0.8, 0.6], [0, 1], [0.6, 0.8]], [0, 0, 1, 1], extra=[[0], [1], [2]]).asnumpy().round(4)
    array([0.3133], dtype=float32)
    """

    sampler = 'local'
    samplers = ('local',)
    sampler_reason = 'the loss needs the triplets that the sampler local builds.'
    head = 'linear'

    def __init__(self, normalized=False, **kwargs):
        super().__init__(**kwargs)
        self.head = 'l2' if normalized else 'linear'

    @staticmethod
    def add_args(group):
        """Flags of the original under their names."""
        add_normalized(group)

    @classmethod
    def from_args(cls, args, num_classes):
        """Build from parsed flags."""
        return cls(args.normalized)

    def inputs(self, out, batch):
        """Where the three distances of each triplet stand in the flattened distance matrix."""
        if batch.extra is None:
            raise UserError('--loss=sst got a batch without triplets. Fix: --sampler=local')
        x = out.embedding
        (anchor, target, impostor), valid = mining.or_placeholder(batch.extra)
        index = [flat_index(row, column, len(x)) for row, column in
                 ((target, anchor), (impostor, anchor), (impostor, target))]
        return (x, *(to_device(i, x.context, 'int32') for i in index), to_device(valid[:1], x.context))

    def hybrid_forward(self, F, embedding, target_anchor, impostor_anchor, impostor_target, valid):
        """embedding (n, D); valid (1,): 0 if there is no triplet; the others (T,) -> (1,)."""
        distance = F.reshape(functional.squared_distances(F, embedding, rows=self.batch_size), shape=(-1,))    # (n * n)
        p = F.take(distance, target_anchor)
        n = 0.5 * (F.take(distance, impostor_anchor) + F.take(distance, impostor_target))
        return F.mean(functional.softplus(F, p - n)) * valid
