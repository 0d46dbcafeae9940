"""Hard-aware deeply cascaded embedding (HDC): deeper embeddings train on harder pairs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from core.errors import UserError
from core.flags import bounded, floats, ints
from core.gluon_internals import to_device
from core.lazy import lazy
from losses import functional
from losses.base import Criterion

spatial = lazy('scipy.spatial.distance')


class HDC(Criterion):
    r"""Pair loss at K depths of the network, each on the share of the pairs that are hardest for it.

    .. math:: L = \sum_{k=1}^{K} \frac{1}{c_k} \Bigl(\sum_{(i,j) \in P_k} D^k_{ij}
                  + w \sum_{(i,j) \in N_k} [M - D^k_{ij}]_+\Bigr)

    D^k is the squared Euclidean distance of the embeddings of depth k. P_k are the positive pairs with the largest
    D^k: the share h_k of all whose distance is not exactly zero, rounded down. N_k is the same share of the negative
    pairs, of which every one is entered twice, by its loss. c_k counts the members of P_k and N_k with a loss above 0.

    What is back-propagated is the authors' gradient, (x_i - x_j) / c_k for row i of a positive pair and
    -w (x_i - x_j) / c_k for one of a negative pair, each pair once: half the derivative of L for positives, a quarter
    for negatives.

    # ORIGINAL: the paper's text cascades: depth k chooses among the pairs of depth k - 1 by the loss of depth k - 1.
    # The released code does not, nor does its gradient have the 2 of the square and of the second entry.
    # `mining='previous'` is the cascade of the text, with everything else as released.
    # DIFFERS: without an active pair the loss is 0; the original divides 0 by 0 (its gradient is 0 all the same).

    Parameters
    ----------
    dims : list of int, length of each depth's embedding, shallow first
    ratios : list of float in (0, 1], h_k of each depth
    margin : float, M, on squared distances
    factor : float, w
    mining : 'own', or 'previous' for the cascade of the paper's text
    weights : list of float, one a depth: what the unit embedding of the depth is multiplied with where depths are put
        side by side. The head does it, so that an evaluation sees weighted embeddings; the loss takes it back.

    Inputs
    ------
    embedding (n, sum of dims), the depths side by side; label (n,).

    Returns
    -------
    NDArray (1,). Step size 1.

    Source
    ------
    Yuan et al., Hard-Aware Deeply Cascaded Embedding (ICCV 2017), section 3; the authors' Caffe layers.

    Example
    -------
    >>> HDC(dims=[2], ratios=[1.0]).of([[1, 0], [0.8, 0.6], [0, 1], [0.6, 0.8]], [0, 0, 1, 1]).asnumpy().round(4)
    array([3.4], dtype=float32)
    """

    sampler = 'hdc'
    samplers = ('hdc', 'pk', 'pk_ee', 'blocks', 'random')
    sampler_reason = 'the loss needs batches of labelled images in any order.'
    head = 'hdc'

    def __init__(self, dims=(128, 128, 128), ratios=(1.0, 0.5, 0.2), margin=1.0, factor=10.0, mining='own',
                 weights=None, **kwargs):
        super().__init__(**kwargs)
        weights = weights or [1.0] * len(dims)
        check_depths(dims, ratios, weights)
        self.dims, self.ratios, self.depth_weights = list(dims), list(ratios), list(weights)
        self.margin, self.factor, self.mining = margin, factor, mining

    @staticmethod
    def add_args(group):
        """Declare the loss's flags."""
        group.add_argument('--hdc_dims', type=ints, default=[],
                           help='embedding size of each depth, such as 128,128,128; their sum is the length of the '
                                'embedding. Empty: --embed_dim in equal parts, one for each ratio')
        group.add_argument('--hdc_ratios', type=floats, default=[1.0, 0.5, 0.2],
                           help='share of the pairs, the hardest, that each depth trains on')
        group.add_argument('--hdc_weights', type=floats, default=[],
                           help='weight of each depth in the embedding: the authors take 1,1,2 for CUB-200, 1,2,3 for '
                                'Cars-196 and 1,1,1 for Online Products. Empty: 1 each')
        group.add_argument('--hdc_mining', choices=('own', 'previous'), default='own',
                           help='own: each depth ranks all pairs by its own loss (the released code); previous: among '
                                'the pairs of the depth before, by its loss (the text of the paper)')
        group.add_argument('--hdc_factor', type=bounded(float, 0.0), default=10.0, help='weight of negative pairs')
        group.add_argument('--margin', type=bounded(float, 0.0), default=1.0,
                           help='squared distance from which on a negative pair is far enough')

    @staticmethod
    def check_args(args):
        """One size, one share and one weight for each depth."""
        dims = dims_of(args)
        check_depths(dims, args.hdc_ratios, args.hdc_weights or [1.0] * len(dims))

    @classmethod
    def from_args(cls, args, num_classes):
        """Build from parsed flags."""
        dims = dims_of(args)
        return cls(dims, args.hdc_ratios, args.margin, args.hdc_factor, args.hdc_mining, args.hdc_weights)

    def depths(self, F, embedding):
        """Unit embeddings of each depth: list of (n, D_k). F : nd, sym, or np for arrays."""
        ends = np.cumsum(self.dims).tolist()
        for end, dim, weight in zip(ends, self.dims, self.depth_weights):
            part = (embedding[:, end - dim:end] if F is np
                    else F.slice_axis(embedding, axis=1, begin=end - dim, end=end))
            yield part if weight == 1 else part / weight

    def choose(self, embedding, label):
        """P_k, N_k and c_k of a batch.

        Parameters
        ----------
        embedding : float (n, sum of dims)
        label : int (n,)

        Returns
        -------
        positive : float32 (K, n, n), 1 for the pairs i < j of P_k
        negative : float32 (K, n, n), how often the pair i < j is in N_k with a loss: 0, 1 or 2
        count : float32 (K,), c_k
        """
        distances = [spatial.pdist(part, 'sqeuclidean') for part in self.depths(np, embedding)]  # exactly 0 if equal
        upper = np.triu_indices(len(label), k=1)                                           # in the order of pdist
        same = label[upper[0]] == label[upper[1]]
        # ORIGINAL: positives at no distance leave before the share is taken.
        pairs = (mined(distances, [same & (d != 0) for d in distances], self.ratios, self.mining),
                 mined([-d for d in distances], [~same] * len(distances), self.ratios, self.mining, copies=2))
        chosen = np.zeros((2, len(self.dims), len(label), len(label)), dtype=np.float32)
        for k, distance in enumerate(distances):
            chosen[0, k][upper] = pairs[0][k] * (distance > 0)
            chosen[1, k][upper] = pairs[1][k] * (distance < self.margin)
        return chosen[0], chosen[1], chosen.sum(axis=(0, 2, 3))

    def inputs(self, out, batch):
        """Choose each depth's pairs."""
        x = out.embedding
        chosen = self.choose(x.asnumpy(), batch.label.asnumpy())
        return (x, *(to_device(part, x.context) for part in chosen))

    def hybrid_forward(self, F, embedding, positive, negative, count):
        """embedding (n, sum of dims), positive and negative (K, n, n), count (K,) -> (1,)."""
        distance = F.stack(*[functional.squared_distances(F, part, rows=self.batch_size)
                             for part in self.depths(F, embedding)], axis=0)                  # (K, n, n)
        share = F.reshape(1 / F.maximum(count, 1), shape=(-1, 1, 1))                          # (K, 1, 1)
        loss = F.sum(F.broadcast_mul(positive * distance + self.factor * negative * F.relu(self.margin - distance),
                                     share))
        pull = F.broadcast_mul(positive - self.factor * F.minimum(negative, 1), share)
        slope = F.sum(pull * distance) / 2      # its derivative by x_i is the sum of pull_ij (x_i - x_j)
        return F.BlockGrad(loss) + slope - F.BlockGrad(slope)


def join(values: Iterable) -> str:
    """1,2,3 of a list."""
    return ','.join(map(str, values))


def mined(losses: list[np.ndarray], kinds: list[np.ndarray], ratios: Sequence[float], mining: str,
          copies: int = 1) -> np.ndarray:
    """How often each depth takes each pair.

    Parameters
    ----------
    losses : list of K arrays (pairs,), in the order of the loss at each depth
    kinds : list of K bool (pairs,), the pairs in question
    ratios : list of K shares
    mining : 'own' or 'previous'
    copies : int, how often every pair is entered

    Returns
    -------
    int (K, pairs), 0 to `copies`

    Example
    -------
    >>> import numpy as np
    >>> mined([np.array([4.0, 1.0, 3.0, 2.0])], [np.ones(4, bool)], [0.4], 'own', copies=2)
    array([[2, 0, 1, 0]])
    """
    taken = np.zeros((len(losses), len(kinds[0])), dtype=np.int64)
    among = np.flatnonzero(kinds[0])
    for k, (ratio, kind) in enumerate(zip(ratios, kinds)):
        loss = losses[max(k - 1, 0)] if mining == 'previous' else losses[k]
        if mining == 'own':
            among = np.flatnonzero(kind)
        entries = int(copies * len(among) * ratio)
        for copy in range(copies):             # the copies of a pair have one loss, so the last pair may have fewer
            taken[k, among[largest(loss[among], (entries + copies - 1 - copy) // copies)]] += 1
        among = np.flatnonzero(taken[k])
    return taken


def largest(values: np.ndarray, count: int) -> np.ndarray:
    """Positions of the `count` largest values, ascending; of equal ones the first. Without sorting them all.

    >>> import numpy as np
    >>> largest(np.array([3, 1, 3, 2]), 2)
    array([0, 2])
    """
    if count <= 0:
        return np.zeros(0, dtype=np.int64)
    least = np.partition(values, -count)[-count]
    above = values > least
    equal = np.flatnonzero(values == least)[:count - above.sum()]
    above[equal] = True
    return np.flatnonzero(above)


def dims_of(args: Any) -> list[int]:
    """Embedding size of each depth: --hdc_dims, else --embed_dim in equal parts."""
    depths = max(1, len(args.hdc_ratios))
    return args.hdc_dims or [(args.embed_dim + k) // depths for k in range(depths)]


def check_depths(dims: Sequence[int], ratios: Sequence[float], weights: Sequence[float]) -> None:
    """Raise UserError unless every depth has a size, a share of the pairs and a weight."""
    if not dims or any(dim < 1 for dim in dims):
        raise UserError(f'--hdc_dims={join(dims)} is wrong. Legal values: one positive size for each depth. '
                        'Fix: --hdc_dims=128,128,128')
    for flag, values in (('--hdc_ratios', ratios), ('--hdc_weights', weights)):
        if len(dims) != len(values):
            raise UserError(f'--hdc_dims has {len(dims)} depths and {flag} {len(values)}. Fix: one number for each '
                            'depth')
    if not all(0 < ratio <= 1 for ratio in ratios):
        raise UserError(f'--hdc_ratios={join(ratios)} is wrong. Legal values: shares of the pairs, above 0 and at '
                        'most 1')
    if not all(weight > 0 for weight in weights):
        raise UserError(f'--hdc_weights={join(weights)} is wrong. Legal values: above 0, they scale the embedding of '
                        'each depth')
