"""A network whose trunk keeps its weights, or its first blocks do: what is left to train works on what the rest made of
each picture, computed once."""

from core.contracts import Out
from core.errors import UserError
from core.gluon_internals import children
from core.runtime import gluon
from models.heads import Linear, Pooled, pool


class Part(gluon.HybridBlock):
    """What is left of an EmbeddingNet behind a frozen part; its parameters are the network's own.

    Parameters
    ----------
    net : EmbeddingNet
    """

    def __init__(self, net, **kwargs):
        super().__init__(**kwargs)
        self.ready, self.feature = net.ready, net.feature
        self.head = net.head

    def __call__(self, features):
        self.ready()
        out = super().__call__(features)
        return Out(*out) if isinstance(out, (list, tuple)) else Out(out, None)


class Top(Part):
    """The head of an EmbeddingNet on pooled features.

    Inputs: features float32 (n, F), as EmbeddingNet.pooled gives them. Output: Out(embedding (n, D), feature None or
    (n, F)).

    Parameters
    ----------
    net : EmbeddingNet

    Raises
    ------
    UserError : the head or the criterion needs more than the pooled feature
    """

    draws = False    # its heads have no dropout: MXNet's random stream need not be set for each step

    def __init__(self, net, **kwargs):
        super().__init__(net, **kwargs)
        if not isinstance(net.head, (Linear, Pooled)) or net.feature == 'map':
            raise UserError('--freeze_trunk computes the pooled feature of each picture once, but this loss needs '
                            'whole maps of the trunk. Fix: --freeze_blocks=N, which keeps maps; --base_lr_mult=0 '
                            '--freeze_bn; or a loss with the head l2, linear, bn or pooled')

    def hybrid_forward(self, F, features):
        embedding = self.head(F.reshape(features, shape=(0, 0, 1, 1)))     # (n, F, 1, 1): its average is itself
        return embedding if self.feature is None else (embedding, features)


class Tail(Part):
    """The last blocks of an EmbeddingNet's trunk and its head, on the maps behind its first blocks.

    Inputs: maps float32 (n, C, H, W), as EmbeddingNet.behind gives them. Output: as the network's.

    Parameters
    ----------
    net : EmbeddingNet
    first : blocks of the trunk that are left out

    Raises
    ------
    UserError : the trunk has not so many blocks, or the head takes a map from among the first ones
    """

    def __init__(self, net, first, **kwargs):
        super().__init__(net, **kwargs)
        blocks, levels = children(net.trunk), net.trunk.out_indices
        if first >= len(blocks):
            raise UserError(f'--freeze_blocks={first}: the trunk {net.backbone} has {len(blocks)} blocks. Fix: fewer, '
                            'or --freeze_trunk')
        if levels and min(levels) < first:
            raise UserError(f'--freeze_blocks={first}: the head takes a map behind block {min(levels) + 1} of '
                            f'{net.backbone}. Fix: --freeze_blocks={min(levels)} or fewer')
        self.first, self.levels = first, levels
        for i, block in enumerate(blocks[first:], first):
            self.register_child(block, f'block{i}')

    def hybrid_forward(self, F, x):
        maps = []
        for i, block in enumerate(children(self)[1:], self.first):      # the first child is the head
            x = block(x)
            if i in self.levels:
                maps.append(x)
        embedding = self.head(*maps, x)
        if self.feature is None:
            return embedding
        return embedding, pool(F, x) if self.feature == 'pooled' else x
