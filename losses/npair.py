"""Multi-class N-pair loss."""

from __future__ import annotations

from core.contracts import Ops, Tensor
from core.flags import bounded
from core.runtime import nd
from losses import expansion, functional
from losses.base import Criterion


class NPair(Criterion):
    r"""Cross-entropy of each anchor over the positives of all pairs of the batch.

    .. math:: L = \frac{1}{N} \sum_i \log\Bigl(1 + \sum_{j \ne i} e^{f_i^\top f_j^+ - f_i^\top f_i^+}\Bigr)
                  + \frac{\lambda}{2N} \sum_{m=1}^{2N} \|f_m\|

    # ORIGINAL: the regulariser is the norm, not the paper's squared norm. Only the direction anchor -> positive.

    With `n_inner_pts` = n (Embedding Expansion), f_i^T f_j^+ of a negative pair becomes the largest inner product of
    {f_i and the n points from f_i towards f_i^+} with {f_j^+ and the n points from f_j^+ towards f_j}.

    Parameters
    ----------
    l2_reg : float, lambda, weight of the regulariser
    n_inner_pts : int, synthetic points between an anchor and its positive, 0 for none
    ee_l2norm : bool, normalise the synthetic points; off by default, as the embeddings have any length

    Inputs
    ------
    embedding (2N, D): f, N anchors, then f+, their N positives, of N different classes; of any length.

    Returns
    -------
    NDArray (1,): the mean over the N anchors. Step size 1.

    Source
    ------
    Sohn, Improved Deep Metric Learning with Multi-class N-pair Loss Objective (NIPS 2016), equations 3 and 9.

    Example
    -------
    >>> NPair().of([[1, 0], [0, 1], [0.8, 0.6], [0.6, 0.8]], [0, 1, 0, 1]).asnumpy().round(4)
    array([0.6011], dtype=float32)
    """

    sampler = 'pairs'
    samplers = ('pairs',)
    sampler_reason = 'the loss needs a batch of N anchors followed by their N positives.'
    head = 'linear'

    def __init__(self, l2_reg=3e-3, n_inner_pts=0, ee_l2norm=False, **kwargs):
        super().__init__(**kwargs)
        self.l2_reg, self.n_inner_pts, self.ee_l2norm = l2_reg, n_inner_pts, ee_l2norm

    @staticmethod
    def add_args(group):
        """Flags of the original under their names."""
        group.add_argument('--l2_reg', type=bounded(float, 0.0), default=3e-3, help='weight of the mean norm')
        expansion.add_args(group)

    @classmethod
    def from_args(cls, args, num_classes):
        """Build from parsed flags."""
        return cls(args.l2_reg, args.n_inner_pts, args.ee_l2norm)

    def inputs(self, out, batch):
        """Row i of the first half belongs to row i of the second."""
        half = out.embedding.shape[0] // 2
        return out.embedding, nd.arange(half, ctx=out.embedding.context)

    def hybrid_forward(self, F, embedding, target):
        """embedding (2N, D), target (N,): the positive of each anchor -> (1,)."""
        pairs = F.reshape(embedding, shape=(-4, 2, -1, 0))                        # (2, N, D)
        anchor = F.reshape(F.slice_axis(pairs, axis=0, begin=0, end=1), shape=(-3, 0))
        positive = F.reshape(F.slice_axis(pairs, axis=0, begin=1, end=2), shape=(-3, 0))
        similarity = self.similarities(F, anchor, positive, target)               # (N, N)
        # The paper's form: near a solution it has a gradient where 1 - softmax rounds to 0.
        others = similarity - 1e30 * positive_of(F, target)
        to_others = functional.logsumexp(F, others, axis=1)
        loss = F.mean(functional.softplus(F, to_others - F.pick(similarity, target, axis=1)))
        return loss + self.l2_reg * self.mean_norm(F, embedding)

    def mean_norm(self, F, embedding):
        """Mean length of the rows, with gradient 0 at a zero row: (1,)."""
        return F.mean(F.sqrt(F.maximum(functional.row_sums(F, F.square(embedding)), 1e-24)))

    def similarities(self, F, anchor, positive, target):
        """f_i^T f_j^+, or its hardest counterpart where j is not the positive of i: (N, N)."""
        n, pairs = self.n_inner_pts, None if self.batch_size is None else self.batch_size // 2
        plain = functional.inner_products(F, anchor, positive, pairs)
        if not n:
            return plain
        around_anchor = F.concat(anchor, *expansion.between(F, anchor, positive, n, self.ee_l2norm), dim=0)
        around_positive = F.concat(positive, *expansion.between(F, positive, anchor, n, self.ee_l2norm), dim=0)
        every = functional.inner_products(F, around_anchor, around_positive, expansion.expanded_rows(pairs, n))
        hardest = expansion.most_similar(F, every, n + 1)
        own = positive_of(F, target)
        return own * plain + (1 - own) * hardest


def positive_of(F: Ops, target: Tensor) -> Tensor:
    """1 where column j is the positive of row i, else 0: target (N,) -> (N, N)."""
    return functional.same_label(F, target, F.contrib.arange_like(target, axis=0))
