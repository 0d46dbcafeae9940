"""The flags of the network; read without MXNet."""

import argparse

from core.flags import boolean, bounded, floats, switch


def pretrained(text):
    """Type of --pretrained: True, False, or the path of a file."""
    try:
        return boolean(text)
    except argparse.ArgumentTypeError:
        return str(text)


def add_args(group):
    """Declare the network's flags."""
    group.add_argument('--backbone', '--model', '--arch', '--net', '--base_network', default='googlenet',
                       metavar='NAME',
                       help='trunk: googlenet, inception_bn, resnet50_v1, resnet50_v2, densenet161, inceptionv3, '
                            'inceptionv4, mobilenet0.5, mobilenetv2_1.0, convnet (from scratch, 28 to 64 px), lenet, '
                            'or any classification network of the Gluon, GluonCV and gluoncv2 zoos')
    group.add_argument('--pretrained', '--use_pretrained', type=pretrained, nargs='?', const=True, default=False,
                       metavar='true|false|FILE',
                       help='ImageNet weights: true downloads them, FILE reads parameters saved by save_parameters or '
                            'by this program; FILE.json beside it may hold mean, std, order, range, size')
    group.add_argument('--embed_dim', '--embedding_dim', '--emb_dim', '--outdim', type=bounded(int, 1), default=512,
                       metavar='D', help='length of the embedding')
    group.add_argument('--base_lr_mult', type=bounded(float, 0), default=1.0, metavar='X',
                       help='factor on the learning rate of all trunk parameters')
    group.add_argument('--head_lr_mult', type=bounded(float, 0), default=1.0, metavar='X',
                       help='factor on the learning rate of the head; 10 is common for a new last layer')
    group.add_argument('--conv_lr_mult', type=bounded(float, 0), default=1.0, metavar='X',
                       help="factor on trunk parameters with 'conv' in their name, only with pretrained weights")
    switch(group, '--freeze_bn', default=False,
           help="BatchNorm layers of the trunk keep the weights' statistics; for small batches")
    group.add_argument('--mean', type=floats, metavar='R,G,B',
                       help="channel means, overriding the trunk's own; in its order and range unless given too")
    group.add_argument('--std', type=floats, metavar='R,G,B', help='channel standard deviations, as --mean')
    group.add_argument('--channel_order', choices=('rgb', 'bgr'), help="overrides the trunk's own channel order")
    group.add_argument('--pixel_range', type=int, choices=(1, 255),
                       help='largest pixel value before --mean is taken off')
