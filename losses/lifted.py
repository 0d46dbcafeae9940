"""Lifted structured loss, with Embedding Expansion."""

from core import flags
from losses import expansion, functional
from losses.base import Criterion


class LiftedStructure(Criterion):
    r"""Each positive pair against all negatives of both of its ends.

    .. math::
        J_{ij} = D_{ij} + \log\Bigl(\sum_{(i,k) \in N} e^{\alpha - D_{ik}}
            + \sum_{(j,l) \in N} e^{\alpha - D_{jl}}\Bigr),
        \qquad J = \frac{1}{2 |P|} \sum_{(i,j) \in P} [J_{ij}]_+^2

    the smooth upper bound of the paper. D is the Euclidean distance; P and N are the positive and negative pairs, alpha
    is the margin. With expansion D_ik of a negative pair is the smallest distance between the points (original and
    synthetic) of i and those of k.

    # DIFFERS: rows of length 1, as in the comparison of the Embedding Expansion paper; Oh Song et al. do not normalise.

    Parameters
    ----------
    margin : float, alpha
    n_inner_pts, ee_l2norm : int, bool, see losses.expansion

    Inputs
    ------
    embedding (B, D), label (B,).

    Returns
    -------
    NDArray (1,): a mean over the positive pairs; 0 without one, or without a negative. Step size 1.

    Raises
    ------
    UserError : rows that do not pair up under expansion

    Source
    ------
    Oh Song et al., Deep Metric Learning via Lifted Structured Feature Embedding (CVPR 2016), equation 4;
    expansion: Ko and Gu (CVPR 2020), section 3.

    Example
    -------
    >>> LiftedStructure().of([[1, 0], [0.8, 0.6], [0, 1], [0.6, 0.8]], [0, 0, 1, 1]).asnumpy().round(4)
    array([2.4825], dtype=float32)
    """

    sampler = 'pk_ee'
    samplers = ('pk_ee', 'pk')

    def __init__(self, margin=1.0, n_inner_pts=0, ee_l2norm=True, **kwargs):
        super().__init__(**kwargs)
        self.margin, self.n_inner_pts, self.ee_l2norm = margin, n_inner_pts, ee_l2norm

    @staticmethod
    def add_args(group):
        group.add_argument('--margin', type=flags.bounded(float, 0), default=1.0, help='alpha of the paper')
        expansion.add_args(group)

    check_args = staticmethod(expansion.check_args)

    @classmethod
    def from_args(cls, args, num_classes):
        cls.check_args(args)
        return cls(args.margin, args.n_inner_pts, args.ee_l2norm)

    def inputs(self, out, batch):
        expansion.check_batch(self.n_inner_pts, batch.label.shape[0])
        return out.embedding, batch.label

    def hybrid_forward(self, F, embedding, label):
        D, nearest = expansion.pair_distances(F, embedding, self.n_inner_pts, self.ee_l2norm,
                                              functional.euclidean_distances, self.batch_size)  # (B, B) each
        same = functional.same_label(F, label)
        positive = same * functional.off_diagonal(F, label)
        has_negative = F.min(same, axis=1, keepdims=True) < 1  # (B, 1)
        # log sum exp over the negatives of each sample; without one a number whose exp is 0
        a = functional.logsumexp(F, F.where(same, -1e4 * F.ones_like(D), self.margin - nearest), axis=1, keepdims=True)
        b = F.transpose(a)  # (1, B)
        either = F.broadcast_add(functional.softplus(F, F.broadcast_sub(a, b)), b)  # log(e^a + e^b), (B, B)
        J = F.broadcast_mul(F.relu(either + D), has_negative)
        # every pair stands in the matrix twice, in the sum as in the count
        return F.sum(F.square(J) * positive) / (2 * F.maximum(F.sum(positive), 1))
