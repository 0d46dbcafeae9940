"""What the folders hand to one another: a batch as planned, a batch as read, what the network returned."""

from collections import namedtuple
from typing import Any

Tensor = Any    # mxnet.nd.NDArray, or mxnet.sym.Symbol while a block is traced
Ops = Any       # F of hybrid_forward: the module mxnet.nd or mxnet.sym

Plan = namedtuple('Plan', 'index seed extra')
Plan.__doc__ = """One batch, decided before any image is read.

index : int64 (n,), rows of the data set
seed : uint32 (n,), the augmentation of item i draws from RandomState(seed[i]) and from nothing else
extra : None, or a callable without arguments: it is called when the batch is loaded and its result handed to the
    criterion (SST: int64 (3, T) anchors, targets, impostors within the batch, too many to keep for a whole epoch)
"""

Batch = namedtuple('Batch', 'image label index extra')
Batch.__doc__ = """What the loader hands over: image uint8 (n, S, S, 3) RGB, label int (n,), index (n,), extra."""

Out = namedtuple('Out', 'embedding feature')
Out.__doc__ = """What the network returns: embedding (n, D); feature as the criterion asked (see Criterion.feature)."""
