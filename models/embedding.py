"""The network that is trained: uint8 pictures in, Out(embedding, feature) out."""

import pathlib

import numpy as np

from core.contracts import Out
from core.errors import UserError
from core.runtime import autograd, gluon, mx, nd
from models import backbones, fusion, heads, weights
from models.flags import pretrained

FEATURES = (None, 'pooled', 'map')


class EmbeddingNet(gluon.HybridBlock):
    """net(image) -> Out(embedding, feature).

    Inputs: uint8 (or float 0..255) (n, S, S, 3) RGB on any device.
    Outputs: Out.embedding (n, D); Out.feature None, (n, F) pooled trunk output, or (n, F, H, W) its last map.

    The first operations, on the device, are the trunk's own preprocessing: channel order, range, mean, std. The network
    is hybridized with static memory: a result is overwritten by the next call, so copy it (`asnumpy`) to keep it.

    Parameters
    ----------
    backbone : backbones.Backbone
    head : heads.Head
    feature : what Out.feature holds: None, 'pooled' or 'map'
    preprocessing : Preprocessing
    size : side of the pictures in pixels, which chooses depths of a cascade
    """

    def __init__(self, backbone, head, feature, preprocessing, size, **kwargs):
        super().__init__(**kwargs)
        if feature not in FEATURES:
            raise UserError(f'criterion.feature={feature!r} is unknown. Legal values: None, pooled, map')
        self.backbone = backbone.name
        self.feature = feature
        self.preprocessing = preprocessing
        self.size = size
        self.pretrained = False              # True once weights of another training filled the trunk
        self._moving = False                 # True while a training step may still write running statistics
        per_channel = 255.0 / preprocessing.range
        with self.name_scope():
            self.trunk = backbone.trunk
            self.head = head
            # In units of the uint8 picture: (x - offset) / scale.
            self.offset = self.params.get_constant('offset', _channels(preprocessing.mean, per_channel))
            self.scale = self.params.get_constant('scale', _channels(preprocessing.std, per_channel))
        self.trunk.taps = backbone.taps(head.taps, size)

    @property
    def mean(self):
        """Mean of each channel, in units of preprocessing.range and in preprocessing.order."""
        return self.preprocessing.mean

    @property
    def std(self):
        """Standard deviation of each channel, as `mean`."""
        return self.preprocessing.std

    def __call__(self, image):
        if autograd.is_training():
            self._moving = True
        else:
            self.settle()
        out = super().__call__(image)
        return Out(*out) if isinstance(out, (list, tuple)) else Out(out, None)

    def hybrid_forward(self, F, x, offset, scale):
        maps = self.trunk(self._normalise(F, x, offset, scale))
        embedding = self.head(*maps)
        if self.feature is None:
            return embedding
        return embedding, heads.pool(F, maps[-1]) if self.feature == 'pooled' else maps[-1]

    def _normalise(self, F, x, offset, scale):
        x = F.transpose(F.cast(x, 'float32'), axes=(0, 3, 1, 2))
        if self.preprocessing.order == 'bgr':
            x = F.reverse(x, axis=1)
        return F.broadcast_div(F.broadcast_sub(x, offset), scale)

    def settle(self):
        """Wait until BatchNorm's running statistics are final.

        The fused operator (fusion.fuse) writes them in its backward pass without telling MXNet's scheduler, so who
        reads them, in evaluation or for a file, must wait for the last training step to be done.
        """
        if self._moving:
            nd.waitall()
            self._moving = False

    def pooled(self, image):
        """(n, F): global average of the trunk's last map, whatever head and feature the network has."""
        self.settle()
        device = image.context
        maps = self.trunk(self._normalise(nd, image, self.offset.data(device), self.scale.data(device)))
        return heads.pool(nd, maps[-1])

    def fuse(self, active=True):
        """Let BatchNorm compute the ReLU behind it (fusion.fuse); `fuse(False)` before an export or a move to a GPU."""
        fusion.fuse(self.trunk, active, rows=(backbones.Trunk,))
        self.hybridize(static_alloc=True)

    def apply_lr_mult(self, args):
        """Set lr_mult of every parameter from --base_lr_mult, --head_lr_mult and, if pretrained, --conv_lr_mult."""
        for name, param in self.trunk.collect_params().items():
            slow = args.conv_lr_mult if self.pretrained and 'conv' in name else 1.0
            param.lr_mult = args.base_lr_mult * slow
        for param in self.head.collect_params().values():
            param.lr_mult = args.head_lr_mult

    def describe(self):
        """What `load` needs beside the parameters to build this network again: a dict that JSON can hold."""
        return {'backbone': self.backbone, 'head': self._head_name(), 'embed_dim': self.head.dim,
                'dims': list(self.head.dims) if isinstance(self.head, heads.Cascade) else None,
                'feature': self.feature, 'image_size': self.size, 'pretrained': self.pretrained,
                'preprocessing': dict(self.preprocessing._asdict())}

    def _head_name(self):
        return next(name for name, kind in heads.HEADS.items() if type(self.head) is kind)

    def save(self, file):
        """Write parameters, architecture and preprocessing to one file (read by `load` and `--pretrained=FILE`)."""
        self.settle()
        arrays = {name: param._reduce() for name, param in self._collect_params_with_prefix().items()}
        arrays[weights.DESCRIBE] = weights.pack(self.describe())
        nd.save(str(file), arrays)


def _channels(values, factor):
    return nd.array(np.asarray(values, dtype=np.float64) * factor).reshape((1, 3, 1, 1))


def resolve_preprocessing(base, args):
    """`base` with what the flags --mean, --std, --channel_order and --pixel_range override."""
    changes = {key: value for key, value in (('order', args.channel_order), ('range', args.pixel_range)) if value}
    for flag in ('mean', 'std'):
        values = getattr(args, flag)
        if values is None:
            continue
        if len(values) not in (1, 3):
            raise UserError('--{}={} has {} numbers. Fix: give one, or one for each of the 3 channels'.format(
                flag, ','.join(f'{v:g}' for v in values), len(values)))
        changes[flag] = tuple(values) * (3 // len(values))
    return weights.checked(base._replace(**changes), 'the flags --mean, --std, --channel_order and --pixel_range')


def build(args, criterion, ctx=None):
    """The network that `args` and the criterion ask for, with parameters on `ctx` (default CPU), hybridized.

    criterion : has `head`, `feature` and, for the cascade, `dims`
    Raises UserError for an unknown name, weights that cannot be had or that do not fit.
    """
    source = pretrained(args.pretrained)
    backbone = backbones.get_backbone(args.backbone, weights=source is True)
    preprocessing, arrays = backbone.preprocessing, None
    if isinstance(source, str):
        arrays, preprocessing = weights.read(source, backbone)
    preprocessing = resolve_preprocessing(preprocessing, args)
    head = heads.get_head(criterion.head, args.embed_dim, getattr(criterion, 'dims', None))
    size = getattr(args, 'image_size', None) or preprocessing.size
    net = _assemble(backbone, head, criterion.feature, preprocessing, size, ctx)
    if arrays is not None:
        weights.fill(net, backbone, arrays, source)
    net.pretrained = source is not False
    if args.freeze_bn:
        net.trunk.apply(_use_global_statistics)
    if fusion.possible(net.offset.list_ctx()):
        net.fuse()
    return net


def _use_global_statistics(block):
    if isinstance(block, gluon.nn.BatchNorm):
        block._kwargs['use_global_stats'] = True


def _assemble(backbone, head, feature, preprocessing, size, ctx):
    net = EmbeddingNet(backbone, head, feature, preprocessing, size, prefix='')
    ctx = ctx if isinstance(ctx, (list, tuple)) else [ctx or mx.cpu()]
    for param in net.collect_params().values():
        if param._data is None:
            param.initialize(ctx=ctx, default_init=heads.XAVIER)
        else:
            param.reset_ctx(ctx)
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


def load(file, ctx=None):
    """The network that EmbeddingNet.save wrote to `file`, on `ctx`. Raises UserError for any other file."""
    arrays = weights.load_file(file)
    described = weights.unpack(arrays)
    if described is None:
        raise UserError(f'{pathlib.Path(file).name} holds no description of its network: it was not written by this '
                        'program. Fix: train with '
                        f'--pretrained={file}')
    backbone = backbones.get_backbone(described['backbone'])
    head = heads.get_head(described['head'], described['embed_dim'], described['dims'])
    preprocessing = weights.preprocessing(backbone.preprocessing, described['preprocessing'], file)
    net = _assemble(backbone, head, described['feature'], preprocessing, described['image_size'], ctx)
    weights.restore(net, arrays, file)
    return net
