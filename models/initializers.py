"""Initial weights by name. Which one a paper starts from belongs to its recipe (--head_init, --trunk_init)."""

import math

from core.errors import pick
from core.gluon_internals import children
from core.runtime import gluon, mx, nd
from models.registry import STARTS


@mx.init.register
class TruncatedNormal(mx.init.Initializer):
    """Normal numbers of standard deviation sqrt(1.3 size / fan_in), those beyond two of them drawn again.

    Cutting takes 23 % of the variance, which 1.3 gives back: the variance is size / fan_in.
    Source: variance_scaling_initializer of TensorFlow 1's contrib.layers, whose defaults are size 2 and fan-in (He et
    al. 2015).
    """

    def __init__(self, size=2.0):
        super().__init__(size=size)
        self.size = size

    def _init_weight(self, name, array):
        fan_in = array.size // array.shape[0]
        within = math.erf(2 / math.sqrt(2))                       # share of a normal within two deviations
        uniform = nd.random.uniform(-within, within, shape=array.shape)
        array[:] = math.sqrt(2 * 1.3 * self.size / fan_in) * nd.erfinv(uniform)


def initializer(name: str, flag: str = '--head_init'):
    """The mx.init.Initializer of weights called `name`. Raises UserError naming `flag`."""
    start = pick(flag, name, STARTS)
    if start.kind == 'truncated':
        return TruncatedNormal(start.size)
    return mx.init.Xavier('uniform', start.kind, start.size)


def randomise_biases(block) -> None:
    """Draw every bias of the Dense layers in `block`, whose shapes are known, from U(-1/sqrt(F), 1/sqrt(F))."""
    for child in children(block):
        randomise_biases(child)
    if isinstance(block, gluon.nn.Dense) and block.bias is not None:
        reach = 1 / math.sqrt(block.weight.shape[1])
        block.bias.set_data(nd.random.uniform(-reach, reach, shape=block.bias.shape))
