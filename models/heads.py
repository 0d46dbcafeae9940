"""Heads: feature maps of the trunk -> embedding.

Every head takes the maps that its `levels` ask of the trunk (the last one is the trunk's end) and returns the embedding
(n, D). `init` names the initial weights of its layers (models.registry.STARTS).
"""

from core.errors import UserError, pick
from core.normalize import l2_normalize
from core.runtime import gluon, nd
from models.initializers import initializer

nn = gluon.nn
TF_FLOOR = 1e-10              # tf.nn.l2_normalize(x, 1, 1e-10) of Ranking Regularizer


def pool(F, x):
    """Global average: (n, C, H, W) -> (n, C)."""
    return F.flatten(F.Pooling(x, global_pool=True, pool_type='avg', kernel=(1, 1)))


def outputs(F, head, maps, feature):
    """What a network returns of the trunk's maps: the embedding and, if asked for, the last map or its average."""
    embedding = head(*maps)
    if feature is None:
        return embedding
    return embedding, pool(F, maps[-1]) if feature == 'pooled' else maps[-1]


class Bottleneck(gluon.HybridBlock):
    """Linear map of Heated-Up Softmax Embedding's last layer: (n, F) -> (n, D).

    With bn, TensorFlow moves the average of the variance by the unbiased variance, n/(n-1) times that of the batch,
    MXNet by the batch's own. A second BatchNorm, fed with x sqrt(n/(n-1)) and without effect on the output, keeps the
    unbiased average; `settle` puts it where evaluation reads it.

    Parameters
    ----------
    dim : D
    bn : False: Dense with bias. True: Dense without bias, then BatchNorm with a shift and no scale (eps 1e-3)
    decay : of BatchNorm's moving averages
    init : name in models.registry.STARTS
    """

    def __init__(self, dim, bn=False, decay=0.95, init='xavier', **kwargs):
        super().__init__(**kwargs)
        self.tracks = bn
        with self.name_scope():
            self.dense = nn.Dense(dim, use_bias=not bn, weight_initializer=initializer(init))
            self.norm = nn.BatchNorm(scale=False, epsilon=1e-3, momentum=decay) if bn else None
            self.unbiased = nn.BatchNorm(scale=False, center=False, momentum=decay) if bn else None

    def hybrid_forward(self, F, x):
        x = self.dense(x)
        if self.norm is None:
            return x
        y = self.norm(x)
        if self.tracks:
            count = F.sum(F.ones_like(F.slice_axis(x, axis=1, begin=0, end=1)))           # (1,): n
            factor = F.reshape(F.sqrt(count / F.maximum(count - 1, 1)), shape=(1, 1))
            y = y + 0 * self.unbiased(F.broadcast_mul(x, factor))
        return y

    def settle(self) -> None:
        """Let evaluation read the unbiased average of the variance. Call it when the last training step is done."""
        if self.norm is not None:
            for ours, average in zip(self.norm.running_var.list_data(), self.unbiased.running_var.list_data()):
                average.copyto(ours)


class Head(gluon.HybridBlock):
    """Base class. `levels` says which maps of the trunk the head takes beside the last: None, 'map' or a number.

    Parameters
    ----------
    dim : length of the embedding
    """

    levels = None
    dims = None

    def __init__(self, dim, **kwargs):
        super().__init__(**kwargs)
        self.dim = dim

    def settle(self) -> None:
        """Bring statistics that training moved into the place where evaluation reads them."""


class Linear(Head):
    """Global average pooling, Dense with bias."""

    def __init__(self, dim, bn=False, bn_decay=0.95, init='xavier', **kwargs):
        super().__init__(dim, **kwargs)
        with self.name_scope():
            self.bottleneck = Bottleneck(dim, bn, bn_decay, init)

    def hybrid_forward(self, F, *maps):
        return self.bottleneck(pool(F, maps[-1]))

    def settle(self) -> None:
        self.bottleneck.settle()


class L2(Linear):
    """Global average pooling, Dense with bias, rows of length one."""

    def hybrid_forward(self, F, *maps):
        return l2_normalize(F, self.bottleneck(pool(F, maps[-1])))


class Pooled(Head):
    """Global average pooling, rows of length one: the trunk's own feature, without a layer to train.

    `dim` is ignored: the embedding is as long as the trunk has channels.
    """

    def __init__(self, dim=None, init='xavier', **kwargs):
        super().__init__(dim, **kwargs)

    def hybrid_forward(self, F, *maps):
        return l2_normalize(F, pool(F, maps[-1]))


class BatchNormed(Linear):
    """Global average pooling, Dense without bias, BatchNorm without scale."""

    def __init__(self, dim, **kwargs):
        super().__init__(dim, bn=True, **kwargs)


class Flat(Head):
    """Ranking head of Taha et al. (WACV 2020): the whole feature map -> Dense -> rows of length one.

    The map is flattened, so the picture's size is fixed by the first batch.
    # DIFFERS: the original flattens height, width, channel; here channel comes first. The Dense weight starts random
    # (or is permuted when it is carried over), so this is the same function class.
    """

    levels = 'map'

    def __init__(self, dim, init='xavier', **kwargs):
        super().__init__(dim, **kwargs)
        with self.name_scope():
            self.dense = nn.Dense(dim, weight_initializer=initializer(init))

    def hybrid_forward(self, F, *maps):
        return l2_normalize(F, self.dense(maps[0]), floor=TF_FLOOR)


def side_by_side(F, parts, weights=None):
    """Rows of length one of each depth, times its weight (1, 1), side by side: list of (n, D_k) -> (n, sum of D_k)."""
    parts = [l2_normalize(F, part) for part in parts]
    if weights is not None:
        parts = [F.broadcast_mul(part, weight) for part, weight in zip(parts, weights)]
    return F.concat(*parts, dim=1)


class Cascade(Head):
    """Embeddings of several depths side by side (Hard-Aware Deeply Cascaded Embedding, Yuan et al., ICCV 2017).

    Each depth: global average pooling, Dense(dims[k]), rows of length one. Output (n, sum(dims)), shallow depths first.
    """

    def __init__(self, dims, init='xavier', **kwargs):
        super().__init__(sum(dims), **kwargs)
        self.dims = list(dims)
        self.levels = len(dims)
        self._depths = []
        with self.name_scope():
            for k, dim in enumerate(dims):
                self._depths.append(self._depth(k, dim, initializer(init)))
                self.register_child(self._depths[-1], f'level{k}')

    def _depth(self, k, dim, weight):
        return nn.Dense(dim, weight_initializer=weight, prefix=f'level{k}_')

    def _feature(self, F, k, x):
        return pool(F, x)

    def _parts(self, F, maps):
        return [depth(self._feature(F, k, x)) for k, (depth, x) in enumerate(zip(self._depths, maps))]

    def hybrid_forward(self, F, *maps):
        return side_by_side(F, self._parts(F, maps))


class AuxiliaryPool(gluon.HybridBlock):
    """Average pooling 5x5 with stride 3; a map smaller than that is averaged as a whole."""

    window = 5

    def forward(self, x, *args):
        if isinstance(x, nd.NDArray):            # before the first trace: the size of the pictures belongs to a network
            self.window = min(5, *x.shape[2:])
        return super().forward(x, *args)

    def hybrid_forward(self, F, x):
        return F.Pooling(x, kernel=(self.window, self.window), stride=(3, 3), pool_type='avg')


class AuxiliaryCascade(Cascade):
    """Cascade with the heads of HDC's released networks.

    All depths but the last: average pooling 5x5 with stride 3, convolution 1x1 to 128, ReLU, Dense 1024, ReLU, dropout
    0.7, Dense(dims[k]); the last: global average pooling, dropout 0.4, Dense; each with rows of length one, times the
    depth's weight. The embedding is not normalised again: its rows have the length sqrt(sum of the squared weights).

    Parameters
    ----------
    weights : list of float, one a depth; None: 1 each. They are saved with the parameters.

    # DIFFERS: the authors' 1x1 convolutions and Dense 1024 start from the auxiliary classifiers of BVLC GoogLeNet,
    # which the zoos' networks with BatchNorm do not have: here they start as `init` says.
    # DIFFERS: rows are divided by sqrt(|x|^2 + 1e-10), the authors' layer gives NaN for a row of zeros.
    # DIFFERS: a map smaller than 5x5 (small pictures) is averaged as a whole; the authors' have 14x14.
    """

    def __init__(self, dims, init='xavier', weights=None, **kwargs):
        super().__init__(dims, init, **kwargs)
        with self.name_scope():
            self.weights = self.params.get_constant('weights', nd.array(weights or [1.0] * len(dims)).reshape((1, -1)))

    def hybrid_forward(self, F, *maps, weights):
        each = [F.slice_axis(weights, axis=1, begin=k, end=k + 1) for k in range(len(maps))]
        return side_by_side(F, self._parts(F, maps), each)

    def _depth(self, k, dim, weight):
        block = nn.HybridSequential(prefix=f'level{k}_')
        with block.name_scope():
            if k < self.levels - 1:
                block.add(AuxiliaryPool(), nn.Conv2D(128, 1, weight_initializer=weight),
                          nn.Activation('relu'), nn.Dense(1024, weight_initializer=weight), nn.Activation('relu'),
                          nn.Dropout(0.7))
            else:
                block.add(nn.Dropout(0.4))
            block.add(nn.Dense(dim, weight_initializer=weight))
        return block

    def _feature(self, F, k, x):
        return pool(F, x) if k == self.levels - 1 else x


HEADS = {'l2': L2, 'linear': Linear, 'bn': BatchNormed, 'pooled': Pooled, 'two_head': Flat, 'cascade': Cascade,
         'hdc': AuxiliaryCascade}


def get_head(name: str, dim: int, dims=None, init: str = 'xavier', bn_decay: float = 0.95, weights=None) -> Head:
    """The head `name`.

    Parameters
    ----------
    dim : length of the embedding
    dims : for `cascade` and `hdc`: length of each depth, shallow first
    init : initial weights, a name in models.registry.STARTS
    bn_decay : for `bn`: decay of its moving averages
    weights : for `hdc`: what the embedding of each depth is multiplied with, None: 1 each

    Raises
    ------
    UserError : an unknown name, or a cascade without `dims`
    """
    head = pick('head', name, HEADS)
    if issubclass(head, Cascade):
        if not dims:
            raise UserError('the cascade head needs the dimension of each depth. Fix: a criterion with dims, '
                            'such as [128, 128, 128]')
        options = {'weights': weights} if head is AuxiliaryCascade else {}
        return head(list(dims), init=init, prefix='head_', **options)
    options = {'bn_decay': bn_decay} if issubclass(head, Linear) else {}
    return head(dim, init=init, prefix='head_', **options)
