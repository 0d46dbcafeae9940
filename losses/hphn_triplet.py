"""Hard-positive hard-negative (HPHN) triplet loss with Embedding Expansion."""

from __future__ import annotations

from core import flags
from core.contracts import Ops, Tensor
from losses import expansion, functional
from losses.base import Criterion


class HPHNTriplet(Criterion):
    r"""Triplet loss of the hardest positive and of the hardest negative among original and synthetic points.

    .. math:: L_i = [\, m + \max_{j: y_j = y_i} d(x_i, x_j)
              - \min_{(p, n) \in \hat N_i} d(p, n) \,]_+

    d is the Euclidean distance, clipped at 1e-6; N_i holds the pairs of a point of sample i (itself and its synthetic
    ones) with a point of another class. With `soft_margin`: log(1 + exp(d_ap - d_an)), without a margin.

    Where the minimum is attained twice (the point at t from a and the one at 1 - t from its partner are the same) each
    occurrence receives the full gradient: the normal case under expansion.

    A batch of one class has no negative: the row maximum stands in for it.

    Parameters
    ----------
    n_inner_pts : int, synthetic points between neighbours 2 i and 2 i + 1 of the batch; 0 for none
    ee_l2norm : bool, normalise the synthetic points
    margin : float, m
    soft_margin : bool

    Inputs
    ------
    embedding (B, D), label (B,).

    Returns
    -------
    NDArray (B,): one value an anchor; their sum is back-propagated. Step size 1.

    Raises
    ------
    UserError : rows that do not pair up, points beyond the memory

    Source
    ------
    Ko and Gu, Embedding Expansion (CVPR 2020), section 3; hard mining after Hermans et al. 2017.

    Example
    -------
    >>> HPHNTriplet(0, margin=0.2).of([[1, 0], [0.8, 0.6], [0, 1], [0.6, 0.8]], [0, 0, 1, 1]).asnumpy().round(4)
    array([0.    , 0.5496, 0.    , 0.5496], dtype=float32)
    """

    sampler = 'pk_ee'
    samplers = ('pk_ee', 'pk')

    def __init__(self, n_inner_pts=2, ee_l2norm=True, margin=1e-5, soft_margin=False, **kwargs):
        super().__init__(**kwargs)
        self.n_inner_pts, self.ee_l2norm, self.margin, self.soft_margin = n_inner_pts, ee_l2norm, margin, soft_margin

    @staticmethod
    def add_args(group):
        expansion.add_args(group, n_inner_pts=2)
        group.add_argument('--margin', type=flags.bounded(float), default=1e-5,
                           help='m of the hinge (default: %(default)s)')
        flags.switch(group, '--soft_margin',
                     help='log(1 + exp(x)) instead of the hinge; --margin then has no part '
                                '(default: %(default)s)')
        for name, words in (('alpha', 'scale of positives'), ('beta', 'scale of negatives'), ('sigma', 'threshold')):
            group.add_argument('--' + name, type=flags.bounded(float), default=None,
                               help=f'{words} of --loss=multi_similarity; HPHN has none and ignores it')

    check_args = staticmethod(expansion.check_args)

    @classmethod
    def from_args(cls, args, num_classes):
        cls.check_args(args)
        return cls(args.n_inner_pts, args.ee_l2norm, args.margin, args.soft_margin)

    @staticmethod
    def notes(args):
        given = [name for name in ('alpha', 'beta', 'sigma') if getattr(args, name) is not None]
        if not given:
            return []
        has, it = ('has', 'it') if len(given) == 1 else ('have', 'them')
        return [f'{", ".join("--" + name for name in given)} {has} no part in --loss=hphn_triplet; '
                f'--loss=multi_similarity reads {it}']

    def inputs(self, out, batch):
        expansion.check_batch(self.n_inner_pts, batch.label.shape[0])
        return out.embedding, batch.label

    def hybrid_forward(self, F, embedding, label):
        d_ap, d_an = self.hardest(F, embedding, label)
        if self.soft_margin:
            # DIFFERS: softplus; the original's log(1 + exp(x)) overflows at differences above 88.
            return functional.softplus(F, d_ap - d_an)
        return F.relu(d_ap - d_an + self.margin)

    def hardest(self, F, x, label):
        """d_ap (B,) and d_an (B,)."""
        n = self.n_inner_pts
        N = expansion.expanded_rows(self.batch_size, n)  # (n + 1) B
        D = published_distances(F, expansion.expand(F, x, n, self.ee_l2norm), N)  # (N, N)
        same = functional.same_label(F, label)  # (B, B)
        d_ap = F.max(F.slice_like(D, same) * same, axis=1)  # the first group are the originals
        same = functional.same_label(F, expansion.expand_labels(F, label, n))  # (N, N)
        row_max = F.max(D, axis=1, keepdims=True)
        row_max = functional.inner_products(F, row_max, F.ones_like(row_max), N)  # (N, N), each row one number
        d_an = F.min(F.where(same, row_max, D), axis=1)  # (N,)
        return d_ap, F.min(F.reshape(d_an, shape=(n + 1, -1)), axis=0)


def published_distances(F: Ops, x: Tensor, rows: int | None = None) -> Tensor:
    """sqrt(clip(|x_i|^2 + |x_j|^2 - 2 x_i . x_j, 1e-12, 1e12)) of the rows of x (N, D): (N, N). rows : N, if known.

    ORIGINAL: operator by operator as published. Which synthetic points tie for the minimum, and so receive the full
    gradient each, is decided by the last bit of these sums: with the faster `functional.euclidean_distances` the
    gradient differs by 5 to 12 % under expansion.
    """
    norms = F.sum(x ** 2, axis=1, keepdims=True)                                         # (N, 1)
    if rows is None:
        apart = F.broadcast_add(norms, F.transpose(norms))
    else:
        apart = (F.broadcast_axis(norms, axis=1, size=rows)
                 + F.transpose(F.broadcast_axis(F.sum(F.square(x), axis=1, keepdims=True), axis=1, size=rows)))
    return F.sqrt(F.clip(apart - 2 * F.dot(x, F.transpose(x)), 1e-12, 1e12))
