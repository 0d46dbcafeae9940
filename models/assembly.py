"""A network from named values, or from the file that it was saved to."""

import pathlib
from collections.abc import Sequence
from typing import Optional, Union

from core.errors import COPY, UserError, pick
from core.gluon_internals import has_data
from core.runtime import autograd, mx, nd
from models import backbones, fusion, heads, weights
from models.embedding import EmbeddingNet
from models.initializers import initializer, randomise_biases
from models.preprocessing import from_dict, override
from models.registry import OWN, STARTS, resolve


def build(backbone: str = 'googlenet', embed_dim: int = 512, head: str = 'l2', pretrained: Union[bool, str] = False, *,
          image_size: Optional[int] = None, feature: Optional[str] = None, dims: Optional[Sequence[int]] = None,
          depth_weights: Optional[Sequence[float]] = None,
          transform: str = 'none', mean: Optional[Sequence[float]] = None, std: Optional[Sequence[float]] = None,
          channel_order: Optional[str] = None, pixel_range: Optional[int] = None, freeze_bn: bool = False,
          trunk_bn_decay: Optional[float] = None, bn_decay: float = 0.95, trunk_init: str = 'xavier',
          head_init: str = 'xavier', base_lr_mult: float = 1.0, head_lr_mult: float = 1.0, conv_lr_mult: float = 1.0,
          bias_lr_mult: float = 1.0, bias_wd_mult: float = 1.0, ctx=None) -> EmbeddingNet:
    """An embedding network with all its parameters, hybridized.

    Parameters
    ----------
    backbone : name of a network (`registry.names()` lists them)
    embed_dim : D, length of the embedding; the head `pooled` ignores it, a cascade takes `dims`
    head : l2, linear, bn, pooled, two_head, cascade or hdc (models.heads)
    pretrained : True: ImageNet weights of the backbone; a path: a parameter file; False: a random start
    image_size : side of the square pictures in pixels; None: that of the backbone's weights
    feature : what Out.feature holds: None, 'pooled' (n, F) or 'map' (n, F, H, W)
    dims : of each depth, for a cascade
    depth_weights : for the head `hdc`: factor on the embedding of each depth; None: 1 each
    transform : name of the test view that the pictures will have gone through, kept with the weights
    mean, std, channel_order, pixel_range : override the preprocessing of the weights (models.preprocessing)
    freeze_bn : BatchNorm layers of the trunk keep the statistics of the weights
    trunk_bn_decay : decay of the moving averages in the trunk; None: the zoo's 0.9
    bn_decay : decay of the moving averages in the head `bn`
    trunk_init, head_init : initial weights, names in models.registry.STARTS
    base_lr_mult, head_lr_mult, conv_lr_mult, bias_lr_mult, bias_wd_mult : see EmbeddingNet.apply_lr_mult
    ctx : MXNet context or list of them; None: the CPU

    Raises
    ------
    UserError : an unknown name, weights that cannot be had or that do not fit, pictures too small for the network

    Example
    -------
    >>> net = build('convnet', embed_dim=8, image_size=32)
    >>> net(nd.zeros((2, 32, 32, 3), dtype='uint8')).embedding.shape
    (2, 8)
    """
    file = None if isinstance(pretrained, bool) else str(pretrained)
    start = initializer(trunk_init, '--trunk_init')
    own = OWN.get(resolve(backbone))
    kept = backbones.get_backbone(backbone, pretrained is True, image_size, trunk_bn_decay, freeze_bn)
    described, arrays = None, None
    if file is not None:
        arrays, described = weights.read(file, kept)
    elif pretrained and own:
        arrays = own.weights()
    preprocessing = override(described or kept.preprocessing, mean, std, channel_order, pixel_range)
    if file is not None and described is None:
        weights.tell_assumed(file, kept, preprocessing)
    head = heads.get_head(head, embed_dim, dims, head_init, bn_decay, depth_weights)
    net = _assemble(kept, head, feature, preprocessing, image_size or preprocessing.size, transform, start, ctx)
    if pick('--head_init', head_init, STARTS).random_bias:
        randomise_biases(net.head)
    if arrays is not None:
        weights.fill(net, kept, arrays, file or f'the weights of {kept.name}')
    net.pretrained = pretrained is not False
    net.apply_lr_mult(base=base_lr_mult, head=head_lr_mult, conv=conv_lr_mult, bias_lr=bias_lr_mult,
                      bias_wd=bias_wd_mult)
    if fusion.possible(net.offset.list_ctx()):
        net.fuse()
    return net


def _assemble(backbone, head, feature, preprocessing, size, transform, start, ctx):
    net = EmbeddingNet(backbone, head, feature, preprocessing, size, transform, prefix='')
    ctx = ctx if isinstance(ctx, (list, tuple)) else [ctx or mx.cpu()]
    for param in net.collect_params().values():
        if has_data(param):
            param.reset_ctx(ctx)
        else:
            param.initialize(ctx=ctx, default_init=start)
    # One picture fixes the shapes that layers left open, so that all parameters exist from here on.
    try:
        with autograd.pause(train_mode=False):
            net(nd.zeros((1, size, size, 3), dtype='uint8', ctx=ctx[0]))[0].wait_to_read()
    except (mx.MXNetError, ValueError) as error:      # ValueError: from the layers' deferred initialisation
        reason = str(error).split('Check failed:')[-1].strip().splitlines()[0]
        raise UserError(f'--backbone={net.backbone} cannot take pictures of {size}x{size} pixels: {reason}. Fix: '
                        f'--image_size={preprocessing.size}') from error
    net.hybridize(static_alloc=True)
    return net


def load_network(file, ctx=None) -> EmbeddingNet:
    """The network that EmbeddingNet.save wrote to `file`, on `ctx`, not fused. Raises UserError for any other file."""
    arrays = weights.load_file(file)
    described = weights.unpack(arrays, file)
    if described is None:
        raise UserError(f'{pathlib.Path(file).name} holds no description of its network: it was not written by this '
                        f'program. Fix: train with --pretrained={file}')
    try:
        size = described['image_size']
        for key, most in (('image_size', 4096), ('embed_dim', 65536)):      # what the flags take
            if not isinstance(described[key], int) or not 1 <= described[key] <= most:
                raise UserError(f'{file} is damaged: the description of its network says {key}={described[key]!r}. '
                                f'{COPY}')
        backbone = backbones.get_backbone(described['backbone'], size=size)
        head = heads.get_head(described['head'], described['embed_dim'], described['dims'])
        preprocessing = from_dict(backbone.preprocessing, described['preprocessing'], file)
        net = _assemble(backbone, head, described['feature'], preprocessing, size, described.get('transform', 'none'),
                        initializer('xavier'), ctx)
    except (AttributeError, KeyError, TypeError) as error:
        raise UserError(f'{file} is damaged: the description of its network lacks {error}. Fix: download or save it '
                        'again') from error
    weights.restore(net, arrays, file)
    return net
