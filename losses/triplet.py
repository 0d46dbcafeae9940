"""The triplet family: semi-hard (FaceNet), batch-hard (In Defense of the Triplet Loss), all of local sampling."""

from core.flags import bounded
from core.gluon_internals import to_device
from losses import expansion, functional, hard_pairs, mining
from losses.arguments import add_normalized, margin_value
from losses.base import Criterion
from losses.sst import flat_index


class Triplet(Criterion):
    """What the family shares: with n_inner_pts (Embedding Expansion) the distance of a negative pair is the smallest
    among the points of both samples, in mining and in the loss.

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

    check_args = staticmethod(expansion.check_args)

    @classmethod
    def from_args(cls, args, num_classes):
        """Build from parsed flags."""
        cls.check_args(args)
        return cls(args.margin, args.n_inner_pts, args.ee_l2norm)

    def inputs(self, out, batch):
        """Check that the rows pair up."""
        expansion.check_batch(self.n_inner_pts, batch.label.shape[0])
        return out.embedding, batch.label

    def pair_distances(self, F, x, rows=None):
        """(positive, negative) distances, (n, n) both. rows : n if it is known."""
        return expansion.pair_distances(F, x, self.n_inner_pts, self.ee_l2norm, self.distance, rows)

    def hinge(self, F, difference):
        """[difference + m]_+, or its softplus."""
        return functional.softplus(F, difference) if self.margin == 'soft' else F.relu(difference + self.margin)


class TripletSemiHard(Triplet):
    r"""Triplet loss with the nearest negative that is farther than the positive.

    .. math:: L = \frac{1}{P} \sum_{(a, p)} \bigl[\|x_a - x_p\|^2 - \|x_a - x_{n(a, p)}\|^2 + m\bigr]_+

    over the P ordered pairs of different samples of one class; n(a, p) is the nearest sample of another class with
    |x_a - x_n| > |x_a - x_p|, or the farthest if there is none.

    Parameters
    ----------
    margin : float, m, on squared distances
    n_inner_pts, ee_l2norm : int, bool, see losses.expansion

    Inputs
    ------
    x = embedding (n, D) of rows of length one, label (n,).

    Returns
    -------
    NDArray (1,): the mean over the pairs, inactive ones included; 0 without one. Step size 1.

    Source
    ------
    Schroff et al., FaceNet (CVPR 2015), equations 3 and 4; the fallback is TensorFlow's, the usual one.

    Example
    -------
    >>> TripletSemiHard().of([[1, 0], [0.8, 0.6], [0, 1], [0.6, 0.8]], [0, 0, 1, 1]).asnumpy().round(4)
    array([0.], dtype=float32)
    """

    @staticmethod
    def add_args(group):
        group.add_argument('--margin', type=bounded(float, 0.0), default=0.2, help='m, on squared distances')
        expansion.add_args(group)

    def inputs(self, out, batch):
        """The ordered positive pairs."""
        x, label = super().inputs(out, batch)
        return (x, label, *mining.pairs_input(label))

    def hybrid_forward(self, F, embedding, label, pairs, valid):
        """embedding (n, D), label (n,), pairs (2, P), valid (P,) -> (1,)."""
        to_positive, to_negative = self.pair_distances(F, embedding, self.batch_size)
        same = functional.same_label(F, label)
        anchor, positive = (F.reshape(F.slice_axis(pairs, axis=0, begin=k, end=k + 1), shape=(-1,)) for k in (0, 1))
        d_ap = F.pick(F.take(to_positive, anchor), positive, axis=1)                          # (P,)
        d_an = hard_pairs.semi_hard_negative(F, to_negative, same, anchor, d_ap)
        usable = valid * F.take(hard_pairs.has_negative(F, same), anchor)
        return F.sum(self.hinge(F, d_ap - d_an) * usable) / F.maximum(F.sum(usable), 1)


class TripletBatchHard(Triplet):
    r"""Triplet loss of the farthest positive and the nearest negative of each sample.

    .. math:: L = \frac{1}{A} \sum_a \bigl[m + \max_p \|x_a - x_p\| - \min_n \|x_a - x_n\|\bigr]_+

    With margin 'soft', the hinge becomes log(1 + exp(max - min)). The A samples are those that have a positive and a
    negative in the batch. Distances are not squared, and at least 1e-6.

    Parameters
    ----------
    margin : float, m, or 'soft'
    n_inner_pts, ee_l2norm : int, bool, see losses.expansion

    Inputs
    ------
    x = embedding (n, D), label (n,).

    Returns
    -------
    NDArray (1,): the mean over the A samples; 0 without one. Step size 1.

    Source
    ------
    Hermans et al., In Defense of the Triplet Loss for Person Re-Identification (arXiv 1703.07737), equation 5.

    Example
    -------
    >>> TripletBatchHard('soft').of([[1, 0], [0.8, 0.6], [0, 1], [0.6, 0.8]], [0, 0, 1, 1]).asnumpy().round(4)
    array([0.7269], dtype=float32)
    """

    distance = staticmethod(functional.euclidean_distances)

    @staticmethod
    def add_args(group):
        group.add_argument('--margin', type=margin_value('soft'), default='soft', help='m, or soft for the softplus')
        expansion.add_args(group)

    def hybrid_forward(self, F, embedding, label):
        """embedding (n, D), label (n,) -> (1,)."""
        to_positive, to_negative = self.pair_distances(F, embedding, self.batch_size)
        same = functional.same_label(F, label)
        others = same * functional.off_diagonal(F, label)
        d_ap = hard_pairs.farthest_positive(F, to_positive, others)
        d_an = hard_pairs.nearest_negative(F, to_negative, same)
        usable = F.max(others, axis=1) * hard_pairs.has_negative(F, same)
        difference = F.where(usable, d_ap - d_an, F.zeros_like(d_ap))
        return F.sum(self.hinge(F, difference) * usable) / F.maximum(F.sum(usable), 1)


class TripletLocal(Triplet):
    r"""Triplet loss over all triplets of the batch whose target is among the anchor's nearest of its class.

    .. math:: L = \frac{1}{T} \sum_{(a,t,i)} \bigl[\|x_a - x_t\|^2 - \|x_a - x_i\|^2 + m\bigr]_+

    over the triplets of `mining.build_triplets`, found in the batch's current embedding: each sample, each of its
    n_targets nearest samples of its class, every sample of another class.

    # DIFFERS: n_targets is the flag's; the original always takes 5 here.

    Parameters
    ----------
    margin : float, m, on squared distances
    n_targets : int, targets of each anchor
    normalized : bool, the head's rows have length one
    n_inner_pts, ee_l2norm : int, bool, see losses.expansion

    Inputs
    ------
    x = embedding (n, D), label (n,). The triplets that the sampler found at the start of the epoch are not used.

    Returns
    -------
    NDArray (1,): the mean over all triplets, inactive ones included; 0 without one. Step size 1.

    Source
    ------
    Nguyen & De Baets, Improved deep embedding learning based on stochastic symmetric triplet loss and local
    sampling (Neurocomputing 2020).

    Example
    -------
    >>> TripletLocal().of([[1, 0], [0.8, 0.6], [0, 1], [0.6, 0.8]], [0, 0, 1, 1]).asnumpy().round(4)
    array([0.13], dtype=float32)
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

    check_args = staticmethod(expansion.check_args)

    @classmethod
    def from_args(cls, args, num_classes):
        cls.check_args(args)
        return cls(args.margin, args.n_targets, args.normalized, args.n_inner_pts, args.ee_l2norm)

    def inputs(self, out, batch):
        """Mine; the equation gets positions in the flattened distance matrices."""
        x, label = super().inputs(out, batch)
        (a, p, n), valid = mining.or_placeholder(mining.build_triplets(x.asnumpy(), label.asnumpy(), self.n_targets))
        index = [flat_index(a, p, len(x)), flat_index(a, n, len(x))]
        return (x, *(to_device(i, x.context, 'int32') for i in index), to_device(valid[:1], x.context))

    def hybrid_forward(self, F, embedding, anchor_positive, anchor_negative, valid):
        """embedding (n, D), positions (T,), valid (1,): 0 if there is no triplet -> (1,)."""
        positive, negative = self.pair_distances(F, embedding, self.batch_size)
        difference = (F.take(F.reshape(positive, shape=(-1,)), anchor_positive)
                      - F.take(F.reshape(negative, shape=(-1,)), anchor_negative))
        return F.mean(self.hinge(F, difference)) * valid
