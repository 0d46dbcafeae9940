"""The network's flags, read without MXNet, and the network that they ask for."""

import argparse
import os

from core.errors import UserError, fold
from core.flags import boolean, bounded, floats, switch
from models.registry import OWN, STARTS

NAME_FLAGS = ('backbone', 'model', 'arch', 'net', 'base_network')


def pretrained(text):
    """Type of --pretrained: True, False, or the path of a file."""
    try:
        return boolean(text)
    except argparse.ArgumentTypeError:
        return str(text)


def check_pretrained(value) -> None:
    """UserError unless --pretrained is true, false or a file that is there."""
    value = pretrained(value)
    if isinstance(value, str) and not os.path.isfile(os.path.expanduser(value)):
        raise UserError(f'--pretrained={value}: there is no such file. Fix: the path of a parameter file, true '
                        '(ImageNet weights) or false (random start)')


class _Backbone(argparse.Action):
    """Stores the name; under Ranking Regularizer's own spelling `--net`, resnet50 is that program's, version 2."""

    def __call__(self, parser, namespace, values, option_string=None):
        theirs = option_string == '--net' and fold(values) == 'resnet50'
        setattr(namespace, self.dest, 'resnet50_v2' if theirs else values)


def add_args(group) -> None:
    """Declare the network's flags."""
    own = ', '.join(f'{name} ({entry.summary})' for name, entry in sorted(OWN.items()))
    group.add_argument(*('--' + name for name in NAME_FLAGS), default='googlenet',
                       metavar='NAME', action=_Backbone,
                       help=f'trunk: {own}, googlenet, inception_bn, resnet50_v1, resnet50_v2, densenet161, '
                            'inceptionv3, inceptionv4, mobilenet0.5, mobilenetv2_1.0, or any classification network '
                            "of the Gluon, GluonCV and gluoncv2 zoos. --net=resnet50 is Ranking Regularizer's name of "
                            'resnet50_v2')
    group.add_argument('--pretrained', '--use_pretrained', type=pretrained, nargs='?', const=True, default=False,
                       metavar='true|false|FILE',
                       help='ImageNet weights: true downloads them (efficientnet_lite0: reads them from its package), '
                            'FILE reads parameters saved by save_parameters or by this program; FILE.json beside it '
                            'may hold mean, std, order, range, size')
    group.add_argument('--embed_dim', '--embedding_dim', '--emb_dim', '--outdim', type=bounded(int, 1, 65536),
                       default=512, metavar='D', help='length of the embedding')
    group.add_argument('--base_lr_mult', type=bounded(float, 0), default=1.0, metavar='X',
                       help='factor on the learning rate of all trunk parameters')
    group.add_argument('--head_lr_mult', type=bounded(float, 0), default=1.0, metavar='X',
                       help='factor on the learning rate of the head; 10 is common for a new last layer, 0 leaves it '
                            'as it started')
    group.add_argument('--conv_lr_mult', type=bounded(float, 0), default=1.0, metavar='X',
                       help="factor on trunk parameters with 'conv' in their name, only with pretrained weights")
    group.add_argument('--bias_lr_mult', type=bounded(float, 0), default=1.0, metavar='X',
                       help='factor on the learning rate of biases; 2 in Caffe')
    group.add_argument('--bias_wd_mult', type=bounded(float, 0), default=1.0, metavar='X',
                       help='factor on the weight decay of biases; 0 in Caffe')
    group.add_argument('--trunk_init', choices=tuple(STARTS), default='xavier',
                       help='initial weights of a trunk without pretrained ones')
    group.add_argument('--head_init', choices=tuple(STARTS), default='xavier',
                       help='initial weights of the head')
    switch(group, '--freeze_trunk',
           help='train the head alone, on pooled features that are computed once from the test view of each picture: '
                'many times faster, without augmentation. They are kept in --store_dir, or runs/features')
    group.add_argument('--freeze_blocks', type=bounded(int, 0), default=0, metavar='N',
                       help='as --freeze_trunk, but only the first N blocks of the trunk keep their weights, and the '
                            'map behind them is computed once: the last layers and the head are trained, for any loss')
    switch(group, '--freeze_bn',
           help="BatchNorm layers of the trunk keep the weights' statistics; for small batches")
    group.add_argument('--bn_decay', type=bounded(float, 0, 1), default=0.95, metavar='X',
                       help="decay of the moving averages in the BatchNorm of the head `bn`")
    group.add_argument('--trunk_bn_decay', type=bounded(float, 0, 1), default=None, metavar='X',
                       help='decay of the moving averages in the BatchNorm layers of the trunk; default: 0.9')
    group.add_argument('--mean', type=floats, metavar='R,G,B',
                       help="channel means, overriding the trunk's own; in its order and range unless given too")
    group.add_argument('--std', type=floats, metavar='R,G,B', help='channel standard deviations, as --mean')
    group.add_argument('--channel_order', choices=('rgb', 'bgr'), help="overrides the trunk's own channel order")
    group.add_argument('--pixel_range', type=int, choices=(1, 255),
                       help='largest pixel value before --mean is taken off')


# Flags whose names are those of `build`.
SAME = ('backbone', 'embed_dim', 'mean', 'std', 'channel_order', 'pixel_range', 'freeze_bn', 'bn_decay',
        'trunk_bn_decay', 'trunk_init', 'head_init', 'base_lr_mult', 'head_lr_mult', 'conv_lr_mult', 'bias_lr_mult',
        'bias_wd_mult')


def from_args(args, criterion, ctx=None, restored=False):
    """The network that the flags and the criterion ask for.

    Parameters
    ----------
    args : parsed flags; read, never changed
    criterion : says what the paper puts on the trunk: `head`, `feature` and, for a cascade, `dims` and `depth_weights`
    ctx : MXNet context or list of them
    restored : True: a checkpoint will fill every weight, so --pretrained is not looked at
    """
    from models.assembly import build
    dims = getattr(criterion, 'dims', None)
    return build(head=criterion.head, feature=criterion.feature, dims=dims,
                 depth_weights=getattr(criterion, 'depth_weights', None),
                 pretrained=False if restored else pretrained(args.pretrained),
                 image_size=getattr(args, 'image_size', None), transform=getattr(args, 'transform', 'none'), ctx=ctx,
                 **{name: getattr(args, name) for name in SAME})
