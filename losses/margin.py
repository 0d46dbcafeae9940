"""Margin loss with distance-weighted sampling."""

import numpy as np

from core.flags import bounded
from core.gluon_internals import to_device
from core.runtime import mx
from losses import functional, mining
from losses.base import Criterion

SAMPLINGS = {'distance': mining.distance_weighted, 'random': mining.random_negatives,
             'semihard': mining.semi_hard_negatives}


class Margin(Criterion):
    r"""A boundary beta between positive and negative distances, learned for each class.

    .. math:: L = \frac{\sum_t [D_{ap} - \beta_{y_a} + \alpha]_+ + [\beta_{y_a} - D_{an} + \alpha]_+ + \nu \beta_{y_a}}
                       {|\{t : \text{first term} > 0\}| + |\{t : \text{second term} > 0\}|}

    over triplets t = (a, p, n): every ordered positive pair with one negative, drawn by `mining.distance_weighted`.
    D = sqrt(|x - y|^2 + 1e-8). alpha is `margin`. The count has no gradient; with no active term the loss is 0.

    The original divides the gradient by the batch size once more. beta has its own SGD with momentum 0.9; with lr_beta
    0 it is constant and nu has no effect.

    Parameters
    ----------
    num_classes : int, C
    margin, beta, nu : float, alpha, the initial beta, the weight of beta
    lr_beta : float, learning rate of beta, 0 for a constant
    sampling : distance, random or semihard: how the negative of a pair is chosen
    rng : numpy RandomState of the sampling; the global one if left out, which the training loop seeds at every step

    Inputs
    ------
    embedding (n, D) of rows of length one, label (n,). Own parameter: beta (C).

    Returns
    -------
    NDArray (1,): the sum over the triplets divided by the number of active terms. Step size n.

    Source
    ------
    Wu et al., Sampling Matters in Deep Embedding Learning (ICCV 2017), equations 4-6.

    Example
    -------
    >>> Margin(num_classes=2).of([[1, 0], [0.8, 0.6], [0, 1], [0.6, 0.8]], [0, 0, 1, 1]).shape
    (1,)
    """

    sampler = 'pk'
    samplers = ('pk', 'pk_ee', 'blocks')
    sampler_reason = 'the loss needs several images of each class in a batch.'
    head = 'l2'

    def __init__(self, num_classes, margin=0.2, beta=1.2, nu=0.0, lr_beta=0.1, sampling='distance', rng=None, **kwargs):
        super().__init__(**kwargs)
        self.num_classes, self.margin, self.lr_beta = num_classes, margin, lr_beta
        self.nu, self.mine = nu if lr_beta else 0.0, SAMPLINGS[sampling]
        self.rng = np.random if rng is None else rng
        with self.name_scope():
            self.beta = self.params.get('beta', shape=(num_classes,), init=mx.init.Constant(beta),
                                        grad_req='write' if lr_beta else 'null')

    @staticmethod
    def add_args(group):
        """Flags of the original under their names."""
        group.add_argument('--margin', type=bounded(float, 0.0), default=0.2, help='alpha of the paper')
        group.add_argument('--beta', type=bounded(float, 0.0), default=1.2, help='boundary of every class at the start')
        group.add_argument('--nu', type=bounded(float, 0.0), default=0.0, help='weight of beta in the loss')
        group.add_argument('--lr_beta', type=bounded(float, 0.0), default=0.1,
                           help='learning rate of beta; 0: one constant beta')
        group.add_argument('--margin_sampling', default='distance', choices=tuple(SAMPLINGS),
                           help='how the negative of a pair is chosen: by the inverse density of its distance, '
                                'uniformly, or the nearest that is farther than the positive')

    @classmethod
    def from_args(cls, args, num_classes):
        """Build from parsed flags."""
        return cls(num_classes, args.margin, args.beta, args.nu, args.lr_beta, args.margin_sampling)

    def inputs(self, out, batch):
        """Choose the negatives."""
        x = out.embedding
        triplets = self.mine(x.asnumpy(), batch.label.asnumpy(), self.rng)
        triplets, valid = mining.or_placeholder(triplets)
        anchor, positive, negative = (to_device(row, x.context, 'int32') for row in triplets)
        return x, batch.label, anchor, positive, negative, to_device(valid, x.context)

    def hybrid_forward(self, F, embedding, label, anchor, positive, negative, valid, beta):
        """embedding (n, D), label (n,), anchor, positive, negative and valid (T,) -> (1,)."""
        _, _, positive_term, negative_term, count, beta_a = self.terms(
            F, embedding, label, anchor, positive, negative, beta, valid)
        # ORIGINAL: without an active term nu is left out too. The maximum only keeps 0 / 0 away.
        total = F.sum(positive_term + negative_term) + self.nu * F.sum(beta_a * valid) * (count > 0)
        return total / F.maximum(count, 1)

    def terms(self, F, embedding, label, anchor, positive, negative, beta, valid=1.0):
        """D_ap, D_an, first and second term, number of active terms, beta of each anchor."""
        x_a = F.take(embedding, anchor)
        d_ap = F.sqrt(functional.row_distances(F, x_a, F.take(embedding, positive), 1e-8))
        d_an = F.sqrt(functional.row_distances(F, x_a, F.take(embedding, negative), 1e-8))
        beta_a = F.take(beta, F.take(label, anchor))
        first, second = F.relu(d_ap - beta_a + self.margin) * valid, F.relu(beta_a - d_an + self.margin) * valid
        count = F.BlockGrad(F.sum(first > 0) + F.sum(second > 0))
        return d_ap, d_an, first, second, count, beta_a

    def step_size(self, n):
        """# ORIGINAL: the loss is a mean already, yet the batch size is passed to Trainer.step."""
        return n

    def own_optimizer(self):
        """SGD of beta, without weight decay."""
        return ('sgd', {'learning_rate': self.lr_beta, 'momentum': 0.9, 'wd': 0.0}) if self.lr_beta else None

    def stats(self):
        """Mean and spread of beta over the classes."""
        beta = self.beta.data().asnumpy()
        return {'beta/mean': float(beta.mean()), 'beta/std': float(beta.std())}
