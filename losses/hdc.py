"""Hard-aware deeply cascaded embedding: deeper levels train on harder pairs."""

import numpy as np

from core.errors import UserError
from core.flags import bounded, floats, ints
from core.runtime import autograd, nd
from losses import functional
from losses.base import Criterion


class HDC(Criterion):
    r"""Contrastive loss at K depths of the network, each on the pairs that the depth before found hardest.

    .. math:: L = \sum_{k=1}^{K} \frac{1}{|P_k|} \sum_{(i,j) \in P_k} D^k_{ij}
                  + \frac{1}{|N_k|} \sum_{(i,j) \in N_k} [M - D^k_{ij}]_+

    D^k is the Euclidean distance of the embeddings of depth k. P_0 and N_0 are all positive and all negative pairs
    of the batch. P_k is the share h_k of P_{k-1} whose loss at depth k - 1 is largest, and N_k likewise: the two kinds
    are ranked apart, negatives without a loss by their distance. Depth 1 takes its share h_1 by its own loss; with the
    paper's h = 100 %, 50 %, 20 % that is all.

    Symbols: embedding (n, sum_k D_k), the depths side by side; label (n,); M = margin; h = hdc_ratios.
    Reduction: mean over each set, summed over both kinds and the depths, NDArray (1,). Step size 1. Sampler: pk.
    Source: Yuan et al., Hard-Aware Deeply Cascaded Embedding (ICCV 2017), section 3.

    # DIFFERS: the paper sums over the pairs; means keep the two kinds and the depths in balance for any batch size.

    Parameters
    ----------
    dims : list of int, D_k of each depth, shallow first
    ratios : list of float in (0, 1], h_k of each depth
    margin : M
    """

    sampler = 'pk'
    samplers = ('pk', 'pk_ee', 'blocks', 'random')
    sampler_reason = 'the loss needs batches of labelled images in any order.'
    head = 'cascade'

    def __init__(self, dims=(128, 128, 128), ratios=(1.0, 0.5, 0.2), margin=1.0, **kwargs):
        super().__init__(**kwargs)
        if not dims or any(dim < 1 for dim in dims):
            raise UserError('--hdc_dims={} must name one positive size for each depth, such as 128,128,128'.format(
                ','.join(map(str, dims))))
        if len(dims) != len(ratios):
            raise UserError(f'--hdc_dims has {len(dims)} depths and --hdc_ratios {len(ratios)}. Fix: one ratio for '
                            'each depth')
        if not all(0 < ratio <= 1 for ratio in ratios):
            raise UserError('--hdc_ratios={} must lie above 0 and at most 1: they are shares of the pairs'.format(
                ','.join(map(str, ratios))))
        self.dims, self.ratios, self.margin = list(dims), list(ratios), margin

    @staticmethod
    def add_args(group):
        group.add_argument('--hdc_dims', type=ints, default=[],
                           help='embedding size of each depth, such as 128,128,128; their sum then is --embed_dim. '
                                'Empty: --embed_dim in equal parts, one for each ratio')
        group.add_argument('--hdc_ratios', type=floats, default=[1.0, 0.5, 0.2],
                           help='share of the pairs that each depth keeps of those of the depth before')
        group.add_argument('--margin', type=bounded(float, 0.0), default=1.0,
                           help='distance from which on a negative pair is far enough')

    @classmethod
    def from_args(cls, args, num_classes):
        depths = max(1, len(args.hdc_ratios))
        dims = args.hdc_dims or [(args.embed_dim + k) // depths for k in range(depths)]
        args.embed_dim = sum(dims)
        return cls(dims, args.hdc_ratios, args.margin)

    def levels(self, F, embedding, rows):
        """Distances of each depth: list of (n, n). rows : n."""
        ends = np.cumsum(self.dims).tolist()
        parts = [F.slice_axis(embedding, axis=1, begin=end - dim, end=end) for dim, end in zip(self.dims, ends)]
        return [functional.euclidean_distances(F, part, rows=rows) for part in parts]

    def inputs(self, out, batch):
        """Choose each depth's pairs: weights (K, n, n), 1 / |P_k| or 1 / |N_k| where a pair is chosen."""
        x, label = out.embedding, batch.label.asnumpy()
        with autograd.pause():
            distances = [d.asnumpy() for d in self.levels(nd, x, len(x))]
        same = label[:, None] == label[None, :]
        upper = np.triu(np.ones_like(same), k=1)                              # each unordered pair once
        positive = cascade(distances, np.nonzero(upper & same), self.ratios)
        negative = cascade([-d for d in distances], np.nonzero(upper & ~same), self.ratios)
        return x, nd.array(positive, ctx=x.context), nd.array(negative, ctx=x.context)

    def hybrid_forward(self, F, embedding, positive, negative):
        """embedding (n, sum D_k), positive and negative weights (K, n, n) -> (1,)."""
        distance = F.stack(*self.levels(F, embedding, self.rows), axis=0)     # (K, n, n)
        return F.sum(positive * distance + negative * F.relu(self.margin - distance))


def cascade(losses, pairs, ratios):
    """Weights (K, n, n) float32: which pairs each depth trains on, weights of one depth summing to 1 (or 0).

    losses : list of K arrays (n, n), in the order of the loss; pairs : two index arrays; ratios : K shares.
    Depth k keeps ceil(share * count) of the pairs of depth k - 1, those with the largest loss at depth k - 1.
    """
    weights = np.zeros((len(losses), *losses[0].shape), dtype=np.float32)
    row, column = pairs
    for k, ratio in enumerate(ratios):
        if not len(row):
            break
        count = max(1, int(np.ceil(ratio * len(row) - 1e-9)))
        if count < len(row):
            keep = largest(losses[max(k - 1, 0)][row, column], count)
            row, column = row[keep], column[keep]
        weights[k, row, column] = 1.0 / len(row)
    return weights


def largest(values, count):
    """Positions of the `count` largest values, ascending; of equal ones the first. Without sorting them all."""
    least = np.partition(values, -count)[-count]
    above = values > least
    equal = np.flatnonzero(values == least)[:count - above.sum()]
    above[equal] = True
    return np.flatnonzero(above)
