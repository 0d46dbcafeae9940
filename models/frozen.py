"""A network whose trunk keeps its weights: what is left to train works on pooled features that were computed once."""

from core.contracts import Out
from core.errors import UserError
from core.runtime import gluon
from models.heads import Linear, Pooled


class Top(gluon.HybridBlock):
    """The head of an EmbeddingNet on pooled features; its parameters are the network's own.

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
        super().__init__(**kwargs)
        if not isinstance(net.head, (Linear, Pooled)) or net.feature == 'map':
            raise UserError('--freeze_trunk computes the pooled feature of each picture once, but this loss needs '
                            'whole maps of the trunk. Fix: --base_lr_mult=0 --freeze_bn instead, or a loss with '
                            'the head l2, linear, bn or pooled')
        self.ready, self.feature = net.ready, net.feature
        self.head = net.head

    def __call__(self, features):
        self.ready()
        out = super().__call__(features)
        return Out(*out) if isinstance(out, (list, tuple)) else Out(out, None)

    def hybrid_forward(self, F, features):
        embedding = self.head(F.reshape(features, shape=(0, 0, 1, 1)))     # (n, F, 1, 1): its average is itself
        return embedding if self.feature is None else (embedding, features)
