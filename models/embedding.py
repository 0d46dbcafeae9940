"""The network that is trained: uint8 pictures in, Out(embedding, feature) out."""

import hashlib
import json

import numpy as np

from core.contracts import Out
from core.errors import UserError
from core.gluon_internals import children, named_parameters, on_cpu
from core.runtime import autograd, gluon, nd
from models import fusion, heads, weights
from models.trunk import Trunk

FEATURES = (None, 'pooled', 'map')


class EmbeddingNet(gluon.HybridBlock):
    """net(image) -> Out(embedding, feature).

    Inputs: uint8 (or float 0..255) (n, S, S, 3) RGB on any device.
    Outputs: Out.embedding (n, D); Out.feature None, (n, F) pooled trunk output, or (n, F, H, W) its last map.

    The first operations, on the device, are the trunk's own preprocessing: channel order, range, mean, std. The network
    is hybridized with static memory: a result is overwritten by the next call, so copy it (`asnumpy`) to keep it.

    Parameters
    ----------
    backbone : models.trunk.Backbone
    head : heads.Head
    feature : what Out.feature holds: None, 'pooled' or 'map'
    preprocessing : Preprocessing
    size : side of the pictures in pixels, which chooses depths of a cascade
    transform : name of the test view (datasets.transforms) that its pictures went through, kept with the weights
    """

    def __init__(self, backbone, head, feature, preprocessing, size, transform='none', **kwargs):
        super().__init__(**kwargs)
        if feature not in FEATURES:
            raise UserError(f'criterion.feature={feature!r} is unknown. Legal values: None, pooled, map')
        self.backbone = backbone.name
        self.feature = feature
        self.preprocessing = preprocessing
        self.size = size
        self.transform = transform
        self.pretrained = False              # True once weights of another training filled the trunk
        self.multipliers = {}                # as apply_lr_mult was last told
        self._moving = False                 # True while a training step may still write running statistics
        per_channel = 255.0 / preprocessing.range
        with self.name_scope():
            self.trunk = backbone.trunk
            self.head = head
            # In units of the uint8 picture: (x - offset) / scale.
            self.offset = self.params.get_constant('offset', _channels(preprocessing.mean, per_channel))
            self.scale = self.params.get_constant('scale', _channels(preprocessing.std, per_channel))
        self.trunk.out_indices = backbone.out_indices(head.levels, size)

    @property
    def mean(self) -> tuple:
        """Mean of each channel, in units of preprocessing.range and in preprocessing.order."""
        return self.preprocessing.mean

    @property
    def std(self) -> tuple:
        """Standard deviation of each channel, as `mean`."""
        return self.preprocessing.std

    def ready(self):
        """Before a pass: note that training moves running statistics, or let evaluation read them."""
        if autograd.is_training():
            self._moving = True
        else:
            self.settle()

    def __call__(self, image):
        self.ready()
        out = super().__call__(image)
        return Out(*out) if isinstance(out, (list, tuple)) else Out(out, None)

    def hybrid_forward(self, F, x, offset, scale):
        return heads.outputs(F, self.head, self.trunk(self.normalise(F, x, offset, scale)), self.feature)

    def normalise(self, F, x, offset, scale):
        """Pictures (n, S, S, 3) as the trunk takes them: float32 (n, 3, S, S), its order, mean and std."""
        x = F.transpose(F.cast(x, 'float32'), axes=(0, 3, 1, 2))
        if self.preprocessing.order == 'bgr':
            x = F.reverse(x, axis=1)
        return F.broadcast_div(F.broadcast_sub(x, offset), scale)

    def settle(self) -> None:
        """Wait until BatchNorm's running statistics are final, and bring them where evaluation reads them.

        The fused operator (fusion.fuse) writes them in its backward pass without telling MXNet's scheduler, so who
        reads them, in evaluation or for a file, must wait for the last training step to be done.
        """
        if self._moving:
            nd.waitall()
            self.head.settle()
            self._moving = False

    def pooled(self, image):
        """(n, F): global average of the trunk's last map, whatever head and feature the network has."""
        self.settle()
        device = image.context
        maps = self.trunk(self.normalise(nd, image, self.offset.data(device), self.scale.data(device)))
        return heads.pool(nd, maps[-1])

    def behind(self, image, first: int):
        """(n, C, H, W): the map behind the first `first` blocks of the trunk."""
        self.settle()
        device = image.context
        x = self.normalise(nd, image, self.offset.data(device), self.scale.data(device))
        for block in children(self.trunk)[:first]:
            x = block(x)
        return x

    def fuse(self, active: bool = True) -> None:
        """Let BatchNorm compute the ReLU behind it (fusion.fuse); `fuse(False)` before an export or a move to a GPU."""
        fusion.fuse(self.trunk, active, rows=(Trunk,))
        self.hybridize(static_alloc=True)

    def optimize(self) -> None:
        """Compute convolution, BatchNorm and activation as one operator, for inference on a CPU.

        oneDNN's subgraphs fold BatchNorm into the weights once and keep the result: before the weights change, and
        before training, call `hybridize(static_alloc=True)`. Embeddings differ by rounding alone.
        """
        if fusion.possible(self.offset.list_ctx()):
            self.settle()
            self.fuse(False)
            self.hybridize(backend='MKLDNN', static_alloc=True)

    def apply_lr_mult(self, **multipliers: float) -> None:
        """Set the multipliers of learning rate and weight decay of every parameter; without any, set them again.

        Parameters
        ----------
        base : on the learning rate of the trunk
        head : of the head
        conv : of trunk parameters with 'conv' in their name, times `base`, only when the trunk is pretrained
        bias_lr, bias_wd : of biases, on learning rate (times the others) and weight decay
        """
        self.multipliers = {'base': 1.0, 'head': 1.0, 'conv': 1.0, 'bias_lr': 1.0, 'bias_wd': 1.0,
                            **(multipliers or self.multipliers)}
        m = self.multipliers
        for part, factor in ((self.trunk, m['base']), (self.head, m['head'])):
            for name, param in part.collect_params().items():
                slow = m['conv'] if part is self.trunk and self.pretrained and 'conv' in name else 1.0
                bias = name.endswith('bias')
                param.lr_mult = factor * slow * (m['bias_lr'] if bias else 1.0)
                if bias:
                    param.wd_mult = m['bias_wd']

    def describe(self) -> dict:
        """What `load_network` needs beside the parameters to build this network again: a dict that JSON can hold."""
        return {'backbone': self.backbone, 'head': self._head_name(), 'embed_dim': self.head.dim,
                'dims': self.head.dims, 'feature': self.feature, 'image_size': self.size, 'transform': self.transform,
                'pretrained': self.pretrained, 'preprocessing': dict(self.preprocessing._asdict())}

    def fingerprint(self, trunk_only: bool = False, first: int | None = None) -> str:
        """SHA-256 of what decides an embedding: weights, architecture, preprocessing and test view.

        trunk_only : of what decides the trunk's maps, whatever the head
        first : of the trunk's parameters those of the first so many blocks alone; None: all
        """
        self.settle()
        left_out = ('pretrained', 'head', 'embed_dim', 'dims', 'feature') if trunk_only else ('pretrained',)
        description = {key: value for key, value in self.describe().items() if key not in left_out}
        digest = hashlib.sha256(json.dumps(description, sort_keys=True).encode())
        for name, param in sorted(named_parameters(self.trunk if trunk_only else self).items()):
            if first is not None and int(name.partition('.')[0]) >= first:
                continue
            digest.update(name.encode() + np.ascontiguousarray(on_cpu(param).asnumpy()).tobytes())
        return digest.hexdigest()

    def _head_name(self):
        return next(name for name, kind in heads.HEADS.items() if type(self.head) is kind)

    def save(self, file) -> None:
        """Write parameters, architecture and preprocessing to one file (read by `load` and `--pretrained=FILE`)."""
        self.settle()
        arrays = {name: on_cpu(param) for name, param in named_parameters(self).items()}
        arrays[weights.DESCRIBE] = weights.pack(self.describe())
        nd.save(str(file), arrays)


def _channels(values, factor):
    return nd.array(np.asarray(values, dtype=np.float64) * factor).reshape((1, -1, 1, 1))
