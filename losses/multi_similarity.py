"""Multi-similarity loss with pair mining, and Embedding Expansion."""

from core.flags import bounded
from losses import expansion, functional
from losses.arguments import margin_value
from losses.base import Criterion


class MultiSimilarity(Criterion):
    r"""Soft weighting of the positive and negative pairs that mining keeps.

    .. math::
        L = \frac{1}{m} \sum_i \Bigl\{
            \frac{1}{\alpha} \log\bigl[1 + \sum_{k \in P_i} e^{-\alpha (S_{ik} - \lambda)}\bigr]
            + \frac{1}{\beta} \log\bigl[1 + \sum_{k \in N_i} e^{\beta (S_{ik} - \lambda)}\bigr] \Bigr\}

    S is the inner product of rows of length 1. Mining keeps the negatives more similar than the least similar positive
    less epsilon, and the positives less similar than the most similar negative plus epsilon:

    .. math::
        N_i: S_{ij} > \min_{y_k = y_i} S_{ik} - \epsilon, \qquad P_i: S_{ij} < \max_{y_k \ne y_i} S_{ik} + \epsilon

    With expansion S_ik of a negative pair is the largest inner product between the points (original and synthetic) of
    i and those of k, in mining as in the loss.

    Parameters
    ----------
    alpha, beta, sigma : float, alpha, beta and the threshold lambda. The defaults 2, 50 and 1 are those of the
        multi-similarity paper. Embedding Expansion's command line declares the three (10, 1.2, 0.5) and reads none.
    epsilon : float, margin of mining (--mining_margin); inf keeps every pair
    n_inner_pts, ee_l2norm : int, bool, see losses.expansion

    Inputs
    ------
    embedding (m, D) of rows of length one, label (m,).

    Returns
    -------
    NDArray (1,): a mean over the batch, in which an anchor without a positive or a negative has no part. Step size 1.

    Raises
    ------
    UserError : rows that do not pair up under expansion

    Source
    ------
    Wang et al., Multi-Similarity Loss with General Pair Weighting (CVPR 2019), section 4; expansion: Ko and
    Gu (CVPR 2020), section 3.

    Example
    -------
    >>> MultiSimilarity().of([[1, 0], [0.8, 0.6], [0, 1], [0.6, 0.8]], [0, 0, 1, 1]).asnumpy().round(4)
    array([0.2295], dtype=float32)
    """

    sampler = 'pk'
    samplers = ('pk', 'pk_ee')

    def __init__(self, alpha=2.0, beta=50.0, sigma=1.0, epsilon=0.1, n_inner_pts=0, ee_l2norm=True, **kwargs):
        super().__init__(**kwargs)
        self.alpha, self.beta, self.sigma, self.epsilon = alpha, beta, sigma, epsilon
        self.n_inner_pts, self.ee_l2norm = n_inner_pts, ee_l2norm

    @staticmethod
    def add_args(group):
        group.add_argument('--alpha', type=bounded(float, 1e-6), default=2.0, help='scale of positives')
        group.add_argument('--beta', type=bounded(float, 1e-6), default=50.0, help='scale of negatives')
        group.add_argument('--sigma', type=bounded(float), default=1.0, help='threshold lambda of the similarities')
        group.add_argument('--mining_margin', type=margin_value('inf'), default=0.1,
                           help='epsilon of pair mining; inf keeps every pair')
        expansion.add_args(group)

    check_args = staticmethod(expansion.check_args)

    @classmethod
    def from_args(cls, args, num_classes):
        cls.check_args(args)
        return cls(args.alpha, args.beta, args.sigma, float(args.mining_margin), args.n_inner_pts, args.ee_l2norm)

    def inputs(self, out, batch):
        expansion.check_batch(self.n_inner_pts, batch.label.shape[0])
        return out.embedding, batch.label

    def hybrid_forward(self, F, embedding, label):
        S, hardest = expansion.pair_similarities(F, embedding, self.n_inner_pts, self.ee_l2norm, self.batch_size)
        same = functional.same_label(F, label)
        negative = 1 - same
        positive = same * functional.off_diagonal(F, label)
        none = 1e9 * F.ones_like(S)
        least = F.min(F.where(positive, S, none), axis=1, keepdims=True)  # no positive: no negative is kept
        most = F.max(F.where(negative, hardest, -none), axis=1, keepdims=True)
        kept_positive = positive * F.broadcast_lesser(S, most + min(self.epsilon, 1e8))
        kept_negative = negative * F.broadcast_greater(hardest, least - min(self.epsilon, 1e8))
        pull = functional.log1p_sum_exp(F, -self.alpha * (S - self.sigma), kept_positive) / self.alpha
        push = functional.log1p_sum_exp(F, self.beta * (hardest - self.sigma), kept_negative) / self.beta
        return F.mean(pull + push)
