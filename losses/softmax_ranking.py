"""Two heads: softmax classification regularised by a ranking loss on the embedding."""

from __future__ import annotations

from core.contracts import Ops, Tensor
from core.errors import UserError, fold, pick_name
from core.flags import bounded
from core.runtime import autograd, gluon, mx, nd
from losses import functional, hard_pairs, mining
from losses.arguments import margin_value
from losses.base import Criterion


def pairwise_distances(F: Ops, x: Tensor, label: Tensor, squared: bool = True, rows: int | None = None) -> Tensor:
    """|x_i - x_j|^2 or |x_i - x_j| of rows of x (n, D): (n, n), clamped at 0, exactly 0 on the diagonal.

    The gradient of the root is 0 where the distance is 0.
    """
    D = F.relu(functional.squared_distances(F, x, rows=rows)) * functional.off_diagonal(F, label)
    if squared:
        return D
    apart = D > 0
    return F.sqrt(F.where(apart, D, F.ones_like(D))) * apart


def batch_hard(F: Ops, x: Tensor, label: Tensor, margin: float | str, rows: int | None = None) -> Tensor:
    r"""Hardest positive against hardest negative of each anchor: (n,).

    .. math:: L_a = [\, m + \max_{p: y_p = y_a} |x_a - x_p|^2 - \min_{n: y_n \ne y_a} |x_a - x_n|^2 \,]_+

    margin : m; 'soft': log(1 + exp(d_ap - d_an)); 'none': d_ap - d_an. A lone anchor has d_ap = 0; an anchor without a
    negative has loss 0. Tied elements share the gradient.
    Source: Hermans et al., In Defense of the Triplet Loss (arXiv 1703.07737), equation 5.
    """
    # ORIGINAL: squared distances; both papers write the distance itself.
    D = pairwise_distances(F, x, label, rows=rows)
    same = functional.same_label(F, label)
    d_ap, d_an = hard_pairs.farthest_positive(F, D, same), hard_pairs.nearest_negative(F, D, same)
    has_negative = hard_pairs.has_negative(F, same)
    difference = F.where(has_negative, d_ap - d_an, F.zeros_like(d_ap))
    if margin == 'none':
        return difference
    loss = functional.softplus(F, difference) if margin == 'soft' else F.relu(difference + margin)
    # DIFFERS: the original's soft margin subtracts an infinite d_an where there is no negative; the value is this 0.
    return loss * has_negative


def semi_hard(F: Ops, x: Tensor, label: Tensor, margin: float, pairs: Tensor, rows: int | None = None) -> Tensor:
    r"""Mean over the ordered positive pairs (a, p), of the batch, with the semi-hard negative of each: (1,).

    .. math:: L = \frac{1}{|P|} \sum_{(a, p) \in P} [\, m + d_{ap} - d_{an} \,]_+

    with squared distances; d_an is the smallest distance to a negative above d_ap, else the largest to a negative.
    A batch of one class compares with 0. Tied elements share the gradient.
    pairs : int (2, P), see `mining.pairs_input`; without any the pair (0, 0).
    Source: Schroff et al., FaceNet (CVPR 2015), section 3.2.
    """
    D = pairwise_distances(F, x, label, rows=rows)
    same = functional.same_label(F, label)
    anchor, positive = (F.reshape(F.slice_axis(pairs, axis=0, begin=k, end=k + 1), shape=(-1,)) for k in (0, 1))
    d_ap = F.pick(F.take(D, anchor), positive, axis=1)  # (P,)
    # ORIGINAL: without any negative the masked maximum falls back to the row's minimum, the 0 on the diagonal.
    d_an = hard_pairs.semi_hard_negative(F, D, same, anchor, d_ap)
    # DIFFERS: a batch without a positive pair gives 0; the original divides 0 by 0.
    exists = F.cast(anchor != positive, 'float32')
    return F.sum(F.relu(margin + d_ap - d_an) * exists) / F.maximum(F.sum(exists), 1)


def center(F: Ops, x: Tensor, label: Tensor, centers: Tensor) -> Tensor:
    r"""Half the sum over the batch of the squared distances to the centers of the classes: (1,).

    .. math:: L_C = \frac{1}{2} \sum_i |x_i - c_{y_i}|^2

    Source: Wen et al., A Discriminative Feature Learning Approach (ECCV 2016), equation 2.
    """
    # ORIGINAL: a sum over the batch, so the weight of the term grows with the batch size.
    return 0.5 * F.sum(functional.row_distances(F, x, F.take(F.BlockGrad(centers), label)))


def moved_centers(centers: Tensor, x: Tensor, label: Tensor, alpha: float) -> Tensor:
    """The centers (C, D) after the samples x (n, D): c_j - alpha sum_{i: y_i = j} (c_j - x_i) / (1 + count of j).

    Source: Wen et al., equation 4.
    """
    belongs = nd.one_hot(label, centers.shape[0]).T  # (C, n)
    count = functional.row_sums(nd, belongs).expand_dims(1)  # (C, 1)
    gain = alpha / (1 + count)
    return (1 - gain * count) * centers + functional.inner_products(nd, gain * belongs, x.T, x.shape[1])


MOBILENET_STD = 0.09    # of all weights of TF-slim's MobileNet, its classifier included
MODES = {'vanilla': 'vanilla', 'semi_hard': 'semi_hard', 'hard': 'hard', 'center': 'center', 'cntr': 'center'}


def mode_of(train_mode: str, margin: float | str) -> str:
    """The name in MODES that --train_mode means. Raises UserError for another, or a margin that does not fit it."""
    mode = MODES[pick_name('--train_mode', train_mode, MODES)]
    if mode == 'semi_hard' and isinstance(margin, str):
        raise UserError(f'--margin={margin} does not fit --train_mode=semi_hard. Fix: a number such as 0.2, or '
                        '--train_mode=hard')
    return mode


class SoftmaxRanking(Criterion):
    r"""Cross-entropy of a classifier plus a ranking loss of the embedding.

    .. math:: L = -\frac{1}{n} \sum_i \log \mathrm{softmax}(W^\top f_i + b)_{y_i} + \lambda L_R(x)

    f (n, F) is the pooled feature, x (n, D) the embedding: the whole feature map, flattened, through a Dense layer, to
    length 1 (head `two_head`). L_R by train_mode: none (vanilla); the mean of `batch_hard` (hard); `semi_hard`;
    `center`, whose weight is center_lambda.

    # DIFFERS: the centers move (`moving_centers=False`: the original's never did, because its script compares a string
    # with an Enum).

    Parameters
    ----------
    num_classes, embed_dim : int, C, D
    train_mode : vanilla, semi_hard, hard, center
    triplet_loss_lambda : float, lambda of semi_hard and hard
    margin : float, or for hard 'soft' or 'none'
    center_lambda, center_alpha : float, weight of the center loss, step of the centers
    moving_centers : bool; False: they stay at the random numbers that they start from
    classifier_std : None: the classifier starts from He's truncated normal; a number: from one of this deviation

    Inputs
    ------
    embedding (n, D), feature (n, F), label (n,). Own parameters: the classifier (C, F), trained by the network's
    optimizer, and for center the centers (C, D), which have no gradient and move after each step.

    Returns
    -------
    NDArray (1,): a mean over the batch. Step size 1.

    Raises
    ------
    UserError : an unknown train_mode, or a margin that it does not take

    Source
    ------
    Taha et al., Boosting Standard Classification Architectures Through a Ranking Regularizer (WACV 2020),
    section 3.

    Example
    -------
    >>> SoftmaxRanking(2, 2, train_mode='hard').of([[1, 0], [0.8, 0.6], [0, 1], [0.6, 0.8]], [0, 0, 1, 1],
    ...                                            feature=[[1, 2, 3]] * 4).shape
    (1,)
    """

    sampler = 'ranking'
    samplers = ('ranking', 'pk', 'pk_ee', 'random')
    head = 'two_head'
    feature = 'pooled'

    def __init__(self, num_classes, embed_dim=256, train_mode='vanilla', triplet_loss_lambda=1.0, margin=0.2,
                 center_lambda=0.003, center_alpha=0.5, moving_centers=True, classifier_std=None, **kwargs):
        from core.initializers import TruncatedNormal
        super().__init__(**kwargs)
        self.train_mode = mode_of(train_mode, margin)
        self.num_classes = num_classes
        self.triplet_loss_lambda, self.margin = triplet_loss_lambda, margin
        self.center_lambda, self.center_alpha = center_lambda, center_alpha
        self.moving_centers, self.seen = moving_centers, []
        if self.train_mode == 'vanilla':
            # Softmax alone pays for no second head; images are searched by the feature that it classifies.
            self.head = 'pooled'
        with self.name_scope():
            self.classifier = gluon.nn.Dense(num_classes, weight_initializer=TruncatedNormal(std=classifier_std),
                                             prefix='classifier_')
            if self.train_mode == 'center':
                # ORIGINAL: normal(0, 1), far outside the unit sphere of the embeddings.
                self.centers = self.params.get('centers', shape=(num_classes, embed_dim), grad_req='null',
                                               init=mx.init.Normal(1.0))

    @staticmethod
    def add_args(group):
        group.add_argument('--train_mode', default='vanilla', metavar='MODE',
                           help='vanilla (softmax alone), semi_hard, hard or center (cntr). The paper\'s best: hard')
        group.add_argument('--triplet_loss_lambda', type=bounded(float, 0), default=1.0, metavar='L',
                           help='weight of the semi_hard and hard terms')
        group.add_argument('--margin', type=margin_value('soft', 'none'), default=0.2, metavar='M',
                           help='a number, soft, or none (hard only; none has no lower bound)')
        group.add_argument('--center_lambda', type=bounded(float, 0), default=0.003, metavar='L',
                           help='weight of the center loss')
        group.add_argument('--center_alpha', type=bounded(float, 0, 1), default=0.5, metavar='A',
                           help='step of the centers')
        group.add_argument('--centers', choices=('moving', 'still'), default='moving',
                           help='still: as the original trained, whose centers never moved')
        group.add_argument('--classifier_std', type=bounded(float, 1e-6), default=None, metavar='S',
                           help='standard deviation of the initial class weights, a truncated normal. Left out: He et '
                                'al., and 0.09 for MobileNet, as in TF-slim')

    @classmethod
    def from_args(cls, args, num_classes):
        std = args.classifier_std
        if std is None and str(getattr(args, 'backbone', '')).lower().startswith('mobile'):
            std = MOBILENET_STD
        return cls(num_classes, args.embed_dim, args.train_mode, args.triplet_loss_lambda, args.margin,
                   args.center_lambda, args.center_alpha, args.centers == 'moving', std)

    @staticmethod
    def check_args(args):
        """The mode is one of the paper's, and its margin fits it."""
        mode_of(args.train_mode, args.margin)

    @staticmethod
    def notes(args):
        vanilla = MODES.get(fold(args.train_mode)) == 'vanilla'
        if vanilla and args.sampler != 'random':
            return ['the paper\'s softmax baseline shuffles single images: --sampler=random']
        if not vanilla and args.sampler == 'random':
            return [f'--sampler=random leaves few positive pairs to --train_mode={args.train_mode}; the paper draws '
                    '4 images of each class: --sampler=ranking']
        return []

    @staticmethod
    def needs_negatives(args):
        """Only the two ranking terms that compare images."""
        return MODES.get(fold(args.train_mode)) in ('hard', 'semi_hard')

    def inputs(self, out, batch):
        if self.train_mode == 'vanilla':
            return out.feature, batch.label
        if self.train_mode == 'center' and self.moving_centers and autograd.is_training():
            self.seen.append((out.embedding.detach().copy(), batch.label))
        if self.train_mode == 'semi_hard':
            return out.feature, batch.label, out.embedding, mining.pairs_input(batch.label)[0]
        return out.feature, batch.label, out.embedding

    def hybrid_forward(self, F, feature, label, embedding=None, pairs=None, centers=None):
        log_p = F.log_softmax(self.classifier(feature), axis=1)
        loss = -F.mean(F.pick(log_p, label, axis=1))
        if self.train_mode == 'hard':
            hard = batch_hard(F, embedding, label, self.margin, self.batch_size)
            return loss + self.triplet_loss_lambda * F.mean(hard)
        if self.train_mode == 'semi_hard':
            return loss + self.triplet_loss_lambda * semi_hard(F, embedding, label, self.margin, pairs, self.batch_size)
        if self.train_mode == 'center':
            return loss + self.center_lambda * center(F, embedding, label, centers)
        return loss

    def after_step(self):
        """Move the centers by the batches since the last step."""
        for embedding, label in self.seen:
            before = self.centers.data(embedding.context)
            self.centers.set_data(moved_centers(before, embedding, label, self.center_alpha))
        self.seen = []

    def pending(self):
        return {f'{name}_{i}': array for i, pair in enumerate(self.seen)
                for name, array in zip(('embedding', 'label'), pair)}

    def restore_pending(self, arrays):
        self.seen = [(arrays[f'embedding_{i}'], arrays[f'label_{i}']) for i in range(len(arrays) // 2)]

    def logits(self, out):
        """Scores of the classes, (n, C)."""
        return self.classifier(out.feature)
