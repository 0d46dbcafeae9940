"""Trunks by name: any classification network of the Gluon, GluonCV and gluoncv2 model zoos, cut before its pooling.

Preprocessing travels with a network: `Preprocessing` says how its weights want uint8 RGB pictures.
"""

import functools
import json
from collections import namedtuple

from core.errors import UserError, pick
from core.runtime import gluon, mx
from models.convnet import convnet
from models.lenet import lenet

nn = gluon.nn

Preprocessing = namedtuple('Preprocessing', 'mean std order range size')
Preprocessing.__doc__ = """(picture * range / 255 - mean) / std, channels in `order` ('rgb' or 'bgr').

mean, std : one number a channel, in units of `range` and in `order`
range : 1 or 255, the largest pixel value before the mean is taken off
size : side of the square pictures in pixels that the weights were trained with
"""

IMAGENET = Preprocessing((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 'rgb', 1, 224)
CAFFE = Preprocessing((104.0, 117.0, 128.0), (1.0, 1.0, 1.0), 'bgr', 255, 224)
HALF = Preprocessing((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), 'rgb', 1, 224)

# Names of the zoo inside MXNet (its get_model does not publish them).
GLUON = tuple(f'{stem}{tail}' for stem, tails in (
    ('resnet', ('18_v1', '34_v1', '50_v1', '101_v1', '152_v1', '18_v2', '34_v2', '50_v2', '101_v2', '152_v2')),
    ('vgg', ('11', '13', '16', '19', '11_bn', '13_bn', '16_bn', '19_bn')), ('alexnet', ('',)),
    ('densenet', ('121', '161', '169', '201')), ('squeezenet', ('1.0', '1.1')), ('inceptionv3', ('',)),
    ('mobilenet', ('1.0', '0.75', '0.5', '0.25')), ('mobilenetv2_', ('1.0', '0.75', '0.5', '0.25'))) for tail in tails)

OWN = {'convnet': (convnet, HALF._replace(size=48)), 'lenet': (lenet, HALF._replace(size=28))}

# Names that the papers use for networks of the zoos.
ALIASES = {'inception_bn': 'bninception', 'bn_inception': 'bninception', 'inceptionv1': 'googlenet',
           'inception_v1': 'googlenet', 'inception_v3': 'inceptionv3', 'inception_v4': 'inceptionv4',
           'inc3': 'inceptionv3', 'inc4': 'inceptionv4', 'mobile': 'mobilenet1.0', 'mobilenet': 'mobilenet1.0',
           'dmlgoogle': 'inceptionv3'}

PREPROCESSING = {'bninception': CAFFE, 'inceptionv3': IMAGENET._replace(size=299),
                 'inceptionv4': HALF._replace(size=299), 'inceptionresnetv2': HALF._replace(size=299)}

# Depths of the cascade where the paper names them; else the last map of each resolution is taken.
CASCADE = {'googlenet': ('inception4a', 'inception4d', 'inception5b')}

_POOLS = (nn.GlobalAvgPool2D, nn.GlobalMaxPool2D, nn.AvgPool2D, nn.Dropout)


class Trunk(gluon.HybridBlock):
    """Blocks in a row; returns the maps after the blocks `taps` and, last, the map after the last block."""

    def __init__(self, blocks, **kwargs):
        super().__init__(**kwargs)
        self.taps = ()
        for i, block in enumerate(blocks):
            self.register_child(block, str(i))

    def hybrid_forward(self, F, x):
        maps = []
        for i, block in enumerate(self._children.values()):
            x = block(x)
            if i in self.taps:
                maps.append(x)
        return (*maps, x)

    def shapes(self, size):
        """Shape (1, C, H, W) of the map after each block for a picture of `size` x `size`."""
        x, outputs = mx.sym.var('data'), []
        for block in self._children.values():
            x = block(x)
            outputs.append(x)
        return mx.sym.Group(outputs).infer_shape(data=(1, 3, size, size))[1]


class Backbone(namedtuple('Backbone', 'name zoo trunk preprocessing map_tap cascade')):
    """A trunk with what belongs to it.

    name : canonical name
    zoo : the whole network as its zoo makes it (names of its parameters are those of weight files), or the trunk
    trunk : Trunk, all but pooling and classifier
    preprocessing : Preprocessing
    map_tap : number of the block whose map the ranking head takes, None: the last
    cascade : numbers of the blocks of a cascade, () where the paper names none
    """

    __slots__ = ()

    def taps(self, wish, size):
        """Numbers of the blocks to tap: None -> (), 'map' -> ranking map, number K -> K depths without the last."""
        if wish is None:
            return ()
        if wish == 'map':
            return () if self.map_tap is None else (self.map_tap,)
        shapes = self.trunk.shapes(size)
        last = len(shapes) - 1
        depths = self.cascade or [i for i, shape in enumerate(shapes)
                                  if i == last or (len(shape) == 4 and shapes[i + 1][2:] != shape[2:])]
        if wish > len(depths):
            raise UserError(f'--backbone={self.name} has {len(depths)} depths for a cascade, {wish} are asked for. '
                            'Fix: fewer dimensions in the '
                            'cascade, or another backbone')
        return tuple(depths[len(depths) - wish:-1])


# Parts of names in the zoos that are no ImageNet classifiers: detection, segmentation, pose, video, small pictures.
_OTHER_TASKS = ('coco', 'voc', 'ade', 'citys', 'mhp', 'cifar', 'svhn', 'kinetics', 'ucf101', 'hmdb51', 'sthsth', 'ssd_',
                'yolo', 'rcnn', 'pose', 'siamrpn', 'custom', 'int8', 'monodepth', 'celeba', 'widerface', 'jasper',
                'quartznet')


def _classifiers(listed):
    return [name for name in listed if not any(part in name for part in _OTHER_TASKS)]


def _maker(name):
    """Function **kwargs -> whole network of a zoo, or None. The order of the zoos is MXNet, GluonCV, gluoncv2."""
    if name in GLUON:
        return functools.partial(gluon.model_zoo.vision.get_model, name)
    from gluoncv import model_zoo
    if name in _classifiers(model_zoo.get_model_list()):
        return functools.partial(_gluoncv, model_zoo.get_model, name)
    from gluoncv2 import model_provider
    if name in _classifiers(model_provider._models):
        return functools.partial(model_provider.get_model, name)
    return None


def _gluoncv(get_model, name, **kwargs):
    """Some of GluonCV's networks fetch weights of their base unless told not to, the others do not know the flag."""
    for flags in ({'pretrained_base': False}, {}, {'pretrained': False}):
        try:
            return get_model(name, **dict(flags, **kwargs))
        except (TypeError, KeyError, Warning) as error:
            refused = error
    raise refused


def names():
    """Every legal --backbone."""
    from gluoncv import model_zoo
    from gluoncv2 import model_provider
    return sorted({*OWN, *ALIASES, *GLUON, *_classifiers(model_zoo.get_model_list()),
                   *_classifiers(model_provider._models)})


def _cut(name, net):
    """The blocks of a whole network up to the last feature map."""
    features = getattr(net, 'features', None)
    if features is None and type(net).__name__ in ('GoogLeNet', 'ResNetV1b'):
        features = net                       # their blocks were made in the order in which they are applied
    if features is None or not getattr(features, '_children', None):
        return [_traced(name, net)]
    blocks = []
    for block in features._children.values():
        if isinstance(block, (nn.GlobalAvgPool2D, nn.Flatten, nn.Dense)) or block is getattr(net, 'head', None):
            break
        blocks.append(block)
    while blocks and isinstance(blocks[-1], _POOLS):
        blocks.pop()
    return blocks


class Traced(gluon.SymbolBlock):
    """A whole network up to one of its operators. Its parameters keep the names that they have in the network."""

    def __init__(self, output, data, net):
        super().__init__(output, data, params=net.collect_params())
        used = {id(param) for param in self.collect_params().values()}
        self._names = {name: param for name, param in net._collect_params_with_prefix().items() if id(param) in used}

    def _collect_params_with_prefix(self, prefix=''):
        return {prefix + '.' + name if prefix else name: param for name, param in self._names.items()}


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
                            'for '
                            'example googlenet, resnet50_v1 or mobilenet1.0')
    internals, wanted = output.get_internals(), nodes[node]['name']
    same_name = [i for i, out in enumerate(internals.list_outputs()) if out == wanted + '_output']
    earlier = sum(other['name'] == wanted for other in nodes[:node])          # blocks that are applied several times
    return Traced(internals[same_name[earlier]], data, net)


def get_backbone(name, weights=False):
    """The Backbone `name`. weights=True: with the ImageNet weights that the zoo's own downloader fetches.

    Raises UserError with close matches for an unknown name, and when weights cannot be had.
    """
    key = str(name).lower().replace('-', '_')
    key = ALIASES.get(key, key)
    if key in OWN:
        make, preprocessing = OWN[key]
        if weights:
            raise UserError(f'--backbone={key} has no pretrained weights. Fix: --pretrained=false')
        net = make(prefix=key + '_')
        return Backbone(key, net, Trunk(net._children.values()), preprocessing, None, ())
    make = _maker(key)
    if make is None:
        key = pick('--backbone', name, {n: ALIASES.get(n, n) for n in names()})
        make = _maker(key)
    try:
        net = make(pretrained=True) if weights else make()
    except Exception as error:
        if not weights:
            raise
        reason = '{}: {}'.format(type(error).__name__, (str(error).splitlines() or [''])[0][:200])
        raise UserError(f'the pretrained weights of --backbone={key} could not be fetched ({reason}). Fix: connect '
                        'to the '
                        'network, set MXNET_GLUON_REPO to a mirror, or download the file elsewhere and give '
                        '--pretrained=FILE') from error
    blocks = _cut(key, net)
    preprocessing = PREPROCESSING.get(key, IMAGENET._replace(size=getattr(net, 'in_size', (224,))[0]))
    map_tap = None
    if key.startswith('densenet') or (key.startswith(('resnet', 'se_resnet')) and key.endswith('_v2')):
        map_tap = _before_final_norm(blocks)
    elif key == 'inceptionv4':
        map_tap = 2                          # init block, stage 1 (A), stage 2 (reduction and B: ends with Mixed_6h)
    cascade = [blocks.index(getattr(net, part)) for part in CASCADE.get(key, ())]
    return Backbone(key, net, Trunk(blocks), preprocessing, map_tap, tuple(cascade))


def _before_final_norm(blocks):
    """Number of the last block before the closing BatchNorm and ReLU (one block or two)."""
    last = len(blocks) - 1
    if isinstance(blocks[last], nn.Activation):
        last -= 1
    return last - 1
