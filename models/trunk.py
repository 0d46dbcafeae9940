"""A trunk: the layers of a classification network up to its last feature map.

Words used in this folder: the *backbone* is a network as its zoo names it, with its preprocessing; the *trunk* is the
part of it that is kept; *levels* are the maps that a head takes from inside the trunk.
"""

import json
from collections import namedtuple

from core.errors import UserError
from core.gluon_internals import NamedSymbolBlock, children
from core.runtime import gluon, mx

nn = gluon.nn


class Trunk(gluon.HybridBlock):
    """Blocks in a row; returns the maps after the blocks `out_indices` and, last, the map after the last block."""

    def __init__(self, blocks, **kwargs):
        super().__init__(**kwargs)
        self.out_indices = ()
        for i, block in enumerate(blocks):
            self.register_child(block, str(i))

    def hybrid_forward(self, F, x):
        maps = []
        for i, block in enumerate(children(self)):
            x = block(x)
            if i in self.out_indices:
                maps.append(x)
        return (*maps, x)

    def shapes(self, size: int) -> list:
        """Shape (1, C, H, W) of the map after each block for a picture of `size` x `size`."""
        x, outputs = mx.sym.var('data'), []
        for block in children(self):
            x = block(x)
            outputs.append(x)
        return mx.sym.Group(outputs).infer_shape(data=(1, 3, size, size))[1]


class Backbone(namedtuple('Backbone', 'name zoo trunk preprocessing map_index cascade')):
    """A trunk with what belongs to it.

    name : canonical name
    zoo : the whole network as its zoo makes it (names of its parameters are those of weight files), or the trunk
    trunk : Trunk, all but pooling and classifier
    preprocessing : Preprocessing
    map_index : number of the block whose map the ranking head takes, None: the last
    cascade : numbers of the blocks of a cascade, () where the paper names none
    """

    __slots__ = ()

    def out_indices(self, levels, size: int) -> tuple:
        """Numbers of the blocks whose maps a head takes beside the last one.

        levels : None: none; 'map': the ranking head's; a number K: K depths, the last of which is the trunk's end
        """
        if levels is None:
            return ()
        if levels == 'map':
            return () if self.map_index is None else (self.map_index,)
        shapes = self.trunk.shapes(size)
        last = len(shapes) - 1
        depths = self.cascade or [i for i, shape in enumerate(shapes)
                                  if i == last or (len(shape) == 4 and shapes[i + 1][2:] != shape[2:])]
        if levels > len(depths):
            raise UserError(f'--backbone={self.name} has {len(depths)} depths for a cascade, {levels} are asked for. '
                            'Fix: fewer dimensions in the cascade, or another backbone')
        return tuple(depths[len(depths) - levels:-1])


_POOLS = (nn.GlobalAvgPool2D, nn.GlobalMaxPool2D, nn.AvgPool2D, nn.Dropout)


def cut(name: str, net) -> list:
    """The blocks of a whole network up to the last feature map, in a list."""
    if hasattr(net, 'trunk_blocks'):
        return net.trunk_blocks()
    features = getattr(net, 'features', None)
    if features is None and type(net).__name__ in ('GoogLeNet', 'ResNetV1b'):
        features = net                       # their blocks were made in the order in which they are applied
    if features is None or not isinstance(features, gluon.Block) or not children(features):
        return [_traced(name, net)]
    blocks = []
    for block in children(features):
        if isinstance(block, (nn.GlobalAvgPool2D, nn.Flatten, nn.Dense)) or block is getattr(net, 'head', None):
            break
        blocks.append(block)
    while blocks and isinstance(blocks[-1], _POOLS):
        blocks.pop()
    return blocks


_POOLING = ('Pooling', '_contrib_AdaptiveAvgPooling2D', 'mean')
_BEHIND_POOLING = ('FullyConnected', 'Convolution', 'BatchNorm', 'Activation', 'Flatten', 'Reshape', 'Dropout', '_copy')


def _traced(name, net):
    """The network up to its last pooling, cut in its graph, for networks that are no row of blocks."""
    data = mx.sym.var('data', dtype='float32')
    output = net(data)
    output = output[0] if isinstance(output, (list, tuple)) else output       # the others are auxiliary classifiers
    graph = json.loads(output.tojson())
    nodes, node = graph['nodes'], graph['heads'][0][0]
    for passed in (_BEHIND_POOLING, (*_POOLING, 'Dropout')):
        while nodes[node]['op'] in passed:
            node = nodes[node]['inputs'][0][0]
        if passed is _BEHIND_POOLING and nodes[node]['op'] not in _POOLING:
            raise UserError(f'--backbone={name} has no pooling before its classifier, so it cannot be a trunk. Fix: '
                            'for example googlenet, resnet50_v1 or mobilenet1.0')
    internals, wanted = output.get_internals(), nodes[node]['name']
    same_name = [i for i, out in enumerate(internals.list_outputs()) if out == wanted + '_output']
    earlier = sum(other['name'] == wanted for other in nodes[:node])          # blocks that are applied several times
    return NamedSymbolBlock(internals[same_name[earlier]], data, net)
