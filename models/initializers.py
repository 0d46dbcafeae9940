"""Initial weights by name. Which one a paper starts from belongs to its recipe (--head_init, --trunk_init)."""

from __future__ import annotations

import math

from core.errors import pick
from core.gluon_internals import children
from core.initializers import TruncatedNormal
from core.runtime import gluon, mx, nd
from models.registry import STARTS


def initializer(name: str, flag: str = '--head_init') -> mx.init.Initializer:
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
