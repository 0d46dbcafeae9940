"""The triplet family: semi-hard (FaceNet), batch-hard (In Defense of the Triplet Loss), all of local sampling."""

import argparse

from core.flags import bounded
from core.runtime import autograd, nd
from losses import expansion, functional, mining
from losses.base import Criterion
from losses.sst import add_normalized, flat_index


def number_or_soft(text):
    """Type of --margin: a number >= 0, or the word soft."""
    if str(text).lower() == 'soft':
        return 'soft'
    try:
        return bounded(float, 0.0)(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f'{text!r} is neither a number from 0 on nor the word soft') from None


class MinedTriplets(Criterion):
    """What the family shares: triplets mined from the batch's own distances, then a mean over them.

    A subclass says which distance it means and which triplets it takes. With n_inner_pts (Embedding Expansion) the
    distance of a negative pair is the smallest among the points of both samples, in mining and in the loss.

    Parameters
    ----------
    margin : number, or 'soft' where the subclass knows it
    n_inner_pts, ee_l2norm : synthetic points between neighbours of the batch, see losses.expansion
    """

    samplers = ('pk', 'pk_ee', 'blocks')
    sampler_reason = 'the loss needs several images of each class in a batch.'
    distance = staticmethod(functional.squared_distances)

    def __init__(self, margin=0.2, n_inner_pts=0, ee_l2norm=True, **kwargs):
        super().__init__(**kwargs)
        self.margin, self.n_inner_pts, self.ee_l2norm = margin, n_inner_pts, ee_l2norm

    @classmethod
    def from_args(cls, args, num_classes):
        expansion.check_batch(args.n_inner_pts, args.batch_size, args.num_instances)
        return cls(args.margin, args.n_inner_pts, args.ee_l2norm)

    def mine(self, x, label):
        """int (3, T): anchor, positive, negative, from embedding x (n, D) and label, a numpy array (n,)."""
        raise NotImplementedError(f'{type(self).__name__} must define mine()')

    def pair_distances(self, F, x, rows=None):
        """(positive, negative) distances, (n, n) both. rows : n if it is known."""
        return expansion.pair_distances(F, x, self.n_inner_pts, self.ee_l2norm, self.distance, rows)

    def distances_now(self, x):
        """pair_distances as numpy arrays, outside the gradient."""
        with autograd.pause():
            return [d.asnumpy() for d in self.pair_distances(nd, x, len(x))]

    def inputs(self, out, batch):
        """Mine; the equation gets positions in the flattened distance matrices."""
        x, label = out.embedding, batch.label.asnumpy()
        expansion.check_batch(self.n_inner_pts, len(label))
        (a, p, n), valid = mining.or_placeholder(self.mine(x, label))
        index = [flat_index(a, p, len(label)), flat_index(a, n, len(label))]
        return (x, *(nd.array(i, ctx=x.context, dtype='int32') for i in index), nd.array(valid[:1], ctx=x.context))

    def hybrid_forward(self, F, embedding, anchor_positive, anchor_negative, valid):
        """embedding (n, D), positions (T,), valid (1,): 0 if there is no triplet -> (1,)."""
        positive, negative = self.pair_distances(F, embedding, self.rows)
        difference = (F.take(F.reshape(positive, shape=(-1,)), anchor_positive)
                      - F.take(F.reshape(negative, shape=(-1,)), anchor_negative))
        if self.margin == 'soft':
            return F.mean(functional.softplus(F, difference)) * valid
        return F.mean(F.relu(difference + self.margin)) * valid


class TripletSemiHard(MinedTriplets):
    r"""Triplet loss with the nearest negative that is farther than the positive.

    .. math:: L = \frac{1}{P} \sum_{(a, p)} \bigl[\|x_a - x_p\|^2 - \|x_a - x_{n(a, p)}\|^2 + m\bigr]_+

    over the P ordered pairs of different samples of one class; n(a, p) is the nearest sample of another class with
    |x_a - x_n| > |x_a - x_p|, or the farthest if there is none.

    Symbols: x (n, D) rows of length one, label (n,), m = margin.
    Reduction: mean over the pairs, inactive ones included, NDArray (1,); 0 without a pair. Step size 1. Sampler: pk.
    Source: Schroff et al., FaceNet (CVPR 2015), equations 3 and 4; the fallback is TensorFlow's, the usual one.
    """

    @staticmethod
    def add_args(group):
        group.add_argument('--margin', type=bounded(float, 0.0), default=0.2, help='m, on squared distances')
        expansion.add_args(group)

    def mine(self, x, label):
        positive, negative = self.distances_now(x)
        return mining.semi_hard(positive, label, negative)


class TripletBatchHard(MinedTriplets):
    r"""Triplet loss of the farthest positive and the nearest negative of each sample.

    .. math:: L = \frac{1}{A} \sum_a \bigl[m + \max_p \|x_a - x_p\| - \min_n \|x_a - x_n\|\bigr]_+

    With margin 'soft', the hinge becomes log(1 + exp(max - min)). The A samples are those that have a positive and a
    negative in the batch. Distances are not squared, and at least 1e-6.

    Symbols: x (n, D), label (n,), m = margin.
    Reduction: mean over the samples, NDArray (1,); 0 without any. Step size 1. Sampler: pk.
    Source: Hermans et al., In Defense of the Triplet Loss for Person Re-Identification (arXiv 1703.07737), equation 5.
    """

    distance = staticmethod(functional.euclidean_distances)

    @staticmethod
    def add_args(group):
        group.add_argument('--margin', type=number_or_soft, default='soft', help='m, or soft for the softplus')
        expansion.add_args(group)

    def mine(self, x, label):
        positive, negative = self.distances_now(x)
        return mining.batch_hard(positive, label, negative)


class TripletLocal(MinedTriplets):
    r"""Triplet loss over all triplets of the batch whose target is among the anchor's nearest of its class.

    .. math:: L = \frac{1}{T} \sum_{(a,t,i)} \bigl[\|x_a - x_t\|^2 - \|x_a - x_i\|^2 + m\bigr]_+

    over the triplets of `mining.build_triplets`, found in the batch's current embedding: each sample, each of its
    n_targets nearest samples of its class, every sample of another class.

    Symbols: x (n, D), label (n,), m = margin.
    Reduction: mean over all triplets, inactive ones included, NDArray (1,); 0 without any. Step size 1.
    Sampler: local; the triplets that it found at the start of the epoch are not used.
    Source: Nguyen & De Baets, Improving Deep Metric Learning with Local Sampling (Neurocomputing 2020).

    # DIFFERS: n_targets is the flag's; the original always takes 5 here.
    """

    sampler = 'local'
    samplers = ('local', 'pk', 'pk_ee', 'blocks')
    head = 'linear'

    def __init__(self, margin=0.2, n_targets=5, normalized=False, n_inner_pts=0, ee_l2norm=True, **kwargs):
        super().__init__(margin, n_inner_pts, ee_l2norm, **kwargs)
        self.n_targets = n_targets
        self.head = 'l2' if normalized else 'linear'

    @staticmethod
    def add_args(group):
        add_normalized(group)
        group.add_argument('--margin', type=bounded(float, 0.0), default=0.2, help='m, on squared distances')
        group.add_argument('--n_targets', type=bounded(int, 1), default=5,
                           help='targets of each anchor: its nearest samples of its class')
        expansion.add_args(group)

    @classmethod
    def from_args(cls, args, num_classes):
        expansion.check_batch(args.n_inner_pts, args.batch_size, getattr(args, 'num_instances', None))
        return cls(args.margin, args.n_targets, args.normalized, args.n_inner_pts, args.ee_l2norm)

    def mine(self, x, label):
        return mining.build_triplets(x.asnumpy(), label, self.n_targets)
