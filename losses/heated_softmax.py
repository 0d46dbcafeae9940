"""Heated-Up Softmax: normalised softmax with a temperature that is raised at the end of training."""

from __future__ import annotations

from core.contracts import Ops, Out, Tensor
from core.errors import UserError
from core.flags import bounded, switch
from core.normalize import l2_normalize
from core.runtime import mx, nd
from losses import class_statistics, functional
from losses.base import Criterion

TF_FLOOR = 1e-12    # least squared length of tf.nn.l2_normalize


class HeatedSoftmax(Criterion):
    r"""Cross-entropy of a softmax whose inputs are scaled by alpha, the inverse temperature.

    .. math:: z_{ij} = s \, \hat f_i^\top \hat w_j + b_j, \qquad
              L = -\frac{1}{n} \sum_i \sum_j t_{ij} \log \frac{e^{z_{ij}}}{\sum_k e^{z_{ik}}}

    t is one-hot, or 1 - label_smoothing of it plus label_smoothing / C. The hats stand for division by the norm:
    of f and of w with l2_norm, of w alone with norm_weights. s = alpha, or the learned scalar norm_feature.

    Parameters
    ----------
    num_classes, embed_dim : int, C and D
    alpha : float above 0, the initial inverse temperature: small is hot, large is cold
    l2_norm, norm_weights, learn_norm, bn : bool, see the flags
    label_smoothing : float, from 0 (off) to below 1
    alpha_decay, heat_up, nb_hu_epoch : bool, bool, int: schedule of alpha and of the learning rate
    better_init : bool, start from class means
    warm_up : bool, one pass over the training set before the first epoch, which moves the BatchNorm statistics

    Inputs
    ------
    f = embedding (n, D), label (n,). Own parameters: w (C, D), b (C) and alpha or norm_feature.

    Returns
    -------
    NDArray (1,): the mean over the batch. Step size 1.

    Raises
    ------
    UserError : learn_norm without a normalisation

    Source
    ------
    Zhang et al., Heated-Up Softmax Embedding (arXiv 1809.04157), equations 2 and 8; the schedule: section 3.3.

    Example
    -------
    >>> HeatedSoftmax(2, 2, alpha=16, l2_norm=True).of([[1, 0], [0.8, 0.6], [0, 1], [0.6, 0.8]], [0, 0, 1, 1]).shape
    (1,)
    """

    sampler = 'random'
    samplers = ('random', 'sequential', 'pk', 'pk_ee', 'blocks')
    head = 'linear'                      # 'bn' for an instance built with bn=True
    warm_up = True

    def __init__(self, num_classes, embed_dim, alpha=1.0, l2_norm=False, norm_weights=False, learn_norm=False, bn=False,
                 label_smoothing=0.0, alpha_decay=False, heat_up=False, nb_hu_epoch=20, better_init=False,
                 warm_up=True, **kwargs):
        from core.initializers import TruncatedNormal
        super().__init__(**kwargs)
        check_norm(learn_norm, l2_norm or norm_weights)
        self.num_classes, self.embed_dim, self.label_smoothing = num_classes, embed_dim, label_smoothing
        self.l2_norm, self.norm_weights, self.learn_norm = l2_norm, norm_weights or l2_norm, learn_norm
        self.alpha_decay, self.heat_up, self.nb_hu_epoch = alpha_decay, heat_up, nb_hu_epoch
        self.better_init, self.warm_up = better_init, warm_up
        # A BatchNorm bottleneck has features of norm about sqrt(D), which alpha makes up for.
        self.alpha0 = alpha / embed_dim ** 0.5 if bn else alpha
        self.head = 'bn' if bn else 'linear'
        with self.name_scope():
            self.weight = self.params.get('weight', shape=(num_classes, embed_dim),
                                          init=TruncatedNormal(size=1))
            # ORIGINAL: the bias stays, and is added after scaling, in the normalised variants too.
            self.bias = self.params.get('bias', shape=(num_classes,), init='zeros')
            if learn_norm:
                self.scale = self.params.get('norm_feature', shape=(1,), init='ones')
            else:  # a Parameter because hybridize() freezes attributes; the schedule writes it
                self.scale = self.params.get('alpha', shape=(1,), init=mx.init.Constant(self.alpha0), grad_req='null')

    @staticmethod
    def add_args(group):
        """Flags of the original under their names."""
        switches = (('l2_norm', 'normalise features and class weights'),
                    ('norm_weights', 'normalise the class weights alone'),
                    ('learn_norm', 'learn the scale norm_feature instead of alpha (needs a normalisation)'),
                    ('bn', 'bottleneck = linear without bias + BatchNorm without gamma; divides alpha by sqrt(D)'),
                    ('better_init', 'class weights start as the mean embedding of their class'),
                    ('alpha_decay', 'every 10 epochs alpha / 1.41 and learning rate x 0.562'),
                    ('heat_up', 'last epochs with alpha x 0.25 and learning rate x 0.1'))
        for name, text in switches:
            switch(group, '--' + name, help=text)
        switch(group, '--warm_up', default=True,
               help='before the first epoch one pass without an update moves the BatchNorm statistics (the retrieval '
                    'program; MNIST has none)')
        group.add_argument('--alpha', type=bounded(float, 1e-6), default=1.0,
                           help='scale of the logits, the inverse temperature')
        group.add_argument('--nb_hu_epoch', type=bounded(int, 0), default=20,
                           help='heat up after the epoch with this many epochs to go')
        group.add_argument('--label_smoothing', type=bounded(float, 0.0, 0.999), nargs='?', const=0.1, default=0.0,
                           help='share of the target spread over all classes; without a value 0.1')

    @staticmethod
    def check_args(args):
        """The heating up has to come before the end, and a norm that is learned needs vectors of length one."""
        check_norm(args.learn_norm, args.l2_norm or args.norm_weights)
        if args.heat_up:
            check_epochs(args.nb_hu_epoch, args.epochs)

    @classmethod
    def from_args(cls, args, num_classes):
        """Build from parsed flags."""
        cls.check_args(args)
        return cls(num_classes, args.embed_dim, alpha=args.alpha, l2_norm=args.l2_norm, norm_weights=args.norm_weights,
                   learn_norm=args.learn_norm, bn=args.bn, label_smoothing=args.label_smoothing,
                   alpha_decay=args.alpha_decay, heat_up=args.heat_up, nb_hu_epoch=args.nb_hu_epoch,
                   better_init=args.better_init, warm_up=args.warm_up)

    @staticmethod
    def needs_negatives(args):
        """No: the other classes are in the weights."""
        return False

    def hybrid_forward(self, F, embedding, label, weight, bias, scale):
        """embedding (n, D), label (n,) -> (1,)."""
        z = self.scaled_logits(F, embedding, weight, bias, scale)
        log_p = F.log_softmax(z, axis=1)
        loss = -F.mean(F.pick(log_p, label, axis=1))
        if not self.label_smoothing:
            return loss
        return (1 - self.label_smoothing) * loss - self.label_smoothing * F.mean(log_p)

    def scaled_logits(self, F, embedding, weight, bias, scale):
        """z of the equation: (n, C)."""
        # f^ w^ = (f w) / (|f| |w|): the norms divide the products, not the long vectors
        z = functional.inner_products(F, embedding, weight, self.num_classes)  # (n, C)
        if self.l2_norm:
            f, w = inverse_norms(F, embedding), inverse_norms(F, weight)
            z = z * functional.inner_products(F, f, w, self.num_classes)
        elif self.norm_weights:
            z = F.broadcast_mul(z, F.transpose(inverse_norms(F, weight)))
        return F.broadcast_add(F.broadcast_mul(z, F.expand_dims(scale, 0)), F.expand_dims(bias, 0))

    def schedule(self, epoch, epochs):
        """(alpha, factor on the learning rate) of epoch `epoch` of `epochs`, as Python floats."""
        if self.heat_up:
            check_epochs(self.nb_hu_epoch, epochs)
        alpha, factor = self.alpha0, 1.0
        if self.alpha_decay:
            alpha, factor = alpha / 1.41 ** (epoch // 10), 0.562 ** (epoch // 10)
        # ORIGINAL: the change comes after the epoch numbered epochs - nb_hu_epoch: one hot epoch fewer than it says.
        if self.heat_up and epoch > epochs - self.nb_hu_epoch:
            alpha, factor = alpha * 0.25, factor * 0.1
        return alpha, factor

    def on_progress(self, epoch, epochs):
        """Write alpha of this epoch; returns the factor on the learning rate."""
        alpha, factor = self.schedule(epoch, epochs)
        if not self.learn_norm:
            self.scale.set_data(nd.array([alpha]))
        return factor

    def init_from(self, embed_fn, labels):
        """better_init: the class weights become the mean embeddings of the classes, of length one.

        ORIGINAL: the mean of the embeddings as the network returns them, not of unit ones.
        """
        if self.better_init:
            mean = class_statistics.category_mean(embed_fn(), labels, self.num_classes)
            self.weight.set_data(nd.array(mean))

    def stats(self):
        """alpha, or the learned norm `nf` in its place."""
        return {'nf' if self.learn_norm else 'alpha': float(self.scale.data().asscalar())}

    def epoch_stats(self, embeddings, labels, num_classes):
        """The statistics that the original logs; embeddings (N, D) as the network returns them."""
        weight = self.weight.data()
        logits = self.logits(Out(nd.array(embeddings, ctx=weight.context), None))
        return class_statistics.summary(embeddings, labels, weight.asnumpy(), logits.asnumpy(), num_classes)

    def logits(self, out):
        """z of the equation at the current alpha: (n, C)."""
        return self.scaled_logits(nd, out.embedding, self.weight.data(), self.bias.data(), self.scale.data())

    def class_weights(self):
        """The class weights (C, D), of length 1 where the loss normalises them."""
        weight = self.weight.data()
        return (l2_normalize(nd, weight, floor=TF_FLOOR) if self.norm_weights else weight).asnumpy()


def check_norm(learn_norm: bool, normalised: bool) -> None:
    """Raise UserError when the norm to learn would be that of vectors which keep their own."""
    if learn_norm and not normalised:
        raise UserError('--learn_norm=true learns the norm of normalised vectors, but nothing is normalised. '
                        'Fix: add --l2_norm or --norm_weights, or drop --learn_norm')


def check_epochs(nb_hu_epoch: int, epochs: int) -> None:
    """Raise UserError when the heating up lies before the first epoch. As many epochs as there are leave a cold one."""
    if nb_hu_epoch > epochs:
        raise UserError(f'--nb_hu_epoch={nb_hu_epoch} is more than --epochs={epochs}: the softmax would never be '
                        f'heated up. Fix: --nb_hu_epoch={epochs} or less')


def inverse_norms(F: Ops, x: Tensor) -> Tensor:
    """1 / sqrt(max(|x|^2, 1e-12)) of each row of x (n, D): (n, 1). A row of zeros gets 1e6, without a gradient."""
    return F.expand_dims(F.rsqrt(F.maximum(functional.row_sums(F, F.square(x)), TF_FLOOR)), 1)
