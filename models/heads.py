"""Heads: feature maps of the trunk -> embedding.

Every head takes the list of maps that its `taps` asked of the trunk (the last one is the trunk's end) and returns the
embedding (n, D). New layers start from Xavier(magnitude=2), the gain of the originals.
"""

from core.errors import UserError, pick
from core.runtime import gluon, mx

nn = gluon.nn
XAVIER = mx.init.Xavier(magnitude=2)


def pool(F, x):
    """Global average: (n, C, H, W) -> (n, C)."""
    return F.flatten(F.Pooling(x, global_pool=True, pool_type='avg', kernel=(1, 1)))


def unit(F, x, eps=1e-10):
    """Rows of length one, x * rsqrt(max(sum(x^2), eps)): (n, D) -> (n, D). A zero row stays zero."""
    return F.broadcast_mul(x, F.rsqrt(F.maximum(F.sum(F.square(x), axis=1, keepdims=True), eps)))


class Bottleneck(gluon.HybridBlock):
    """Linear map of Heated-Up Softmax Embedding's last layer: (n, F) -> (n, D).

    Parameters
    ----------
    dim : D
    bn : False: Dense with bias. True: Dense without bias, then BatchNorm with a shift and no scale
        (eps 1e-3, moving averages with decay 0.95)

    # DIFFERS: the original's fused kernel moves the variance average by the unbiased variance, n/(n-1) times that of
    # the batch; MXNet's CPU BatchNorm takes the biased one. Outputs and gradients in training are equal. In evaluation
    # every coordinate about its mean is longer by the same sqrt(n/(n-1)) (1.6 % for n = 32), which changes no ranking.
    """

    def __init__(self, dim, bn=False, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.dense = nn.Dense(dim, use_bias=not bn, weight_initializer=XAVIER)
            self.norm = nn.BatchNorm(scale=False, epsilon=1e-3, momentum=0.95) if bn else None

    def hybrid_forward(self, F, x):
        x = self.dense(x)
        return x if self.norm is None else self.norm(x)


class Head(gluon.HybridBlock):
    """Base class. `taps` says which maps of the trunk the head takes beside the last: None, 'map' or a number."""

    taps = None

    def __init__(self, dim, **kwargs):
        super().__init__(**kwargs)
        self.dim = dim


class Linear(Head):
    """Global average pooling, Dense with bias."""

    def __init__(self, dim, bn=False, **kwargs):
        super().__init__(dim, **kwargs)
        with self.name_scope():
            self.bottleneck = Bottleneck(dim, bn=bn)

    def hybrid_forward(self, F, *maps):
        return self.bottleneck(pool(F, maps[-1]))


class L2(Linear):
    """Global average pooling, Dense with bias, rows of length one."""

    def hybrid_forward(self, F, *maps):
        return F.L2Normalization(self.bottleneck(pool(F, maps[-1])), mode='instance')


class Pooled(Head):
    """Global average pooling, rows of length one: the trunk's own feature, without a layer to train.

    `dim` is ignored: the embedding is as long as the trunk has channels.
    """

    def hybrid_forward(self, F, *maps):
        return F.L2Normalization(pool(F, maps[-1]), mode='instance')


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

    taps = 'map'

    def __init__(self, dim, **kwargs):
        super().__init__(dim, **kwargs)
        with self.name_scope():
            self.dense = nn.Dense(dim, weight_initializer=XAVIER)

    def hybrid_forward(self, F, *maps):
        return unit(F, self.dense(maps[0]))


class Cascade(Head):
    """Embeddings of several depths side by side (Hard-Aware Deeply Cascaded Embedding, Yuan et al., ICCV 2017).

    Each depth: global average pooling, Dense(dims[k]), rows of length one. Output (n, sum(dims)), shallow depths first.
    """

    def __init__(self, dims, **kwargs):
        super().__init__(sum(dims), **kwargs)
        self.dims = list(dims)
        self.taps = len(dims)
        with self.name_scope():
            for k, dim in enumerate(dims):
                self.register_child(nn.Dense(dim, weight_initializer=XAVIER, prefix=f'level{k}_'),
                                    f'level{k}')

    def hybrid_forward(self, F, *maps):
        parts = [F.L2Normalization(dense(pool(F, x)), mode='instance')
                 for dense, x in zip(self._children.values(), maps)]
        return F.concat(*parts, dim=1)


HEADS = {'l2': L2, 'linear': Linear, 'bn': BatchNormed, 'pooled': Pooled, 'two_head': Flat, 'cascade': Cascade}


def get_head(name, dim, dims=None):
    """The head `name` with `dim` outputs; `dims`, a list, for the cascade. Raises UserError for an unknown name."""
    head = pick('head', name, HEADS)
    if head is not Cascade:
        return head(dim, prefix='head_')
    if not dims:
        raise UserError('the cascade head needs the dimension of each depth: the criterion must define dims, '
                        'such as [128, 128, 128]')
    return head(list(dims), prefix='head_')
