"""Files of weights: reading them, what preprocessing they want, and filling a network with them."""

import json
import os
import pathlib
from collections import namedtuple
from typing import Optional

import numpy as np

from core.errors import UserError
from core.gluon_internals import named_parameters
from core.params_file import read_params
from core.runtime import nd
from models.flags import check_pretrained
from models.preprocessing import described as described_preprocessing
from models.preprocessing import from_dict

DESCRIBE = '__describe__'     # key under which EmbeddingNet.save keeps its description


class Download(namedtuple('Download', 'address sha256')):
    """Weights of a backbone of one's own: a function () -> {name: NumPy array} that fetches a parameter file once.

    address : https address of a file that `save_parameters` wrote
    sha256 : its checksum, in hexadecimal digits; a file with another one is never used
    """

    __slots__ = ()

    def __call__(self):
        from datasets.benchmarks.base import Archive
        from datasets.preparation.download import download
        folder = pathlib.Path(os.environ.get('MXNET_HOME', '~/.mxnet')).expanduser() / 'models'
        name = self.address.rsplit('/', 1)[-1]
        file = folder / f'{self.sha256[:8]}-{name}'
        if not file.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            try:
                download(Archive(name, (self.address,), (f'sha256:{self.sha256}',)), file)
            except UserError as error:
                raise UserError(f'the pretrained weights could not be fetched: {error} Fix: download the file '
                                'elsewhere and give --pretrained=FILE') from error
        return load_file(file)


def pack(description):
    """A dict as the uint8 array of its JSON."""
    return nd.array(np.frombuffer(json.dumps(description).encode(), dtype=np.uint8), dtype='uint8')


def unpack(arrays: dict, file='the file') -> Optional[dict]:
    """The dict that `pack` stored among `arrays`, or None."""
    packed = arrays.get(DESCRIBE)
    if packed is None:
        return None
    try:
        description = json.loads(packed.astype(np.uint8).tobytes().decode())
        return dict(description)
    except (ValueError, TypeError) as error:
        raise UserError(f'{file} is damaged: the description of its network cannot be read ({error}). Fix: download '
                        'or save it again') from error


def load_file(file) -> dict:
    """{name: NumPy array} of a parameter file. Raises UserError naming the file when it is not there or damaged."""
    path = pathlib.Path(file).expanduser()
    check_pretrained(file)
    try:
        arrays = read_params(path)
    except (ValueError, OSError) as error:
        raise UserError(f'{path} is not a parameter file of MXNet, or it is damaged: {error}. Fix: download or save it '
                        'again') from error
    if not arrays or '0' in arrays:
        raise UserError(f'{path} holds no named parameters. Fix: write it with save_parameters')
    return arrays


def read(file, backbone) -> tuple:
    """(arrays, Preprocessing) of a weight file.

    The preprocessing comes from the file itself (written by EmbeddingNet.save), else from FILE.json, else it is None.
    """
    arrays = load_file(file)
    described = unpack(arrays, file)
    side = pathlib.Path(f'{file}.json').expanduser()
    if described is not None:
        return arrays, from_dict(backbone.preprocessing, described.get('preprocessing', {}), file)
    if side.is_file():
        try:
            values = json.loads(side.read_text(encoding='utf-8'))
        except ValueError as error:
            raise UserError(f'{side} is not JSON: {error}. '
                            'Fix: mend it, or remove it and give --mean and --std') from error
        return arrays, from_dict(backbone.preprocessing, values, side)
    return arrays, None


def tell_assumed(file, backbone, preprocessing) -> None:
    """One line on what is taken for a file that `read` found no preprocessing of."""
    given = '' if preprocessing == backbone.preprocessing else ' and the flags'
    name = pathlib.Path(file).name
    print(f'{name} says nothing of its preprocessing: taking that of {backbone.name}{given} '
          f'({described_preprocessing(preprocessing)}). Other values: --mean, --std, or {name}.json')


def _put(params, arrays, file, what):
    """Set each Parameter of `params` (name in the file -> Parameter) from `arrays`."""
    for name, param in params.items():
        if name not in arrays:
            raise UserError(f'{file} has no parameter {name}, which {what} needs: it belongs to another network. Its '
                            f'first names are {", ".join(sorted(arrays)[:3])}. Fix: the file of this network')
        if tuple(arrays[name].shape) != tuple(param.shape):
            raise UserError(f'{file}: parameter {name} has shape {tuple(arrays[name].shape)}, but {what} needs '
                            f'{tuple(param.shape)}: it belongs to another network. Fix: the file of this network')
        if not np.isfinite(arrays[name]).all():
            raise UserError(f'{file}: parameter {name} holds numbers that are not finite: the file is damaged, or the '
                            'training that wrote it had diverged. Fix: another checkpoint or file')
    for name, param in params.items():
        param.set_data(nd.array(arrays[name].astype(param.dtype, copy=False), dtype=param.dtype))


def fill(net, backbone, arrays: dict, file) -> None:
    """Set the trunk from a zoo network's file, or from a file of EmbeddingNet.save (its head is left out)."""
    trunk = {id(param) for param in net.trunk.collect_params().values()}
    names = named_parameters(net if DESCRIBE in arrays else backbone.zoo)
    _put({name: p for name, p in names.items() if id(p) in trunk}, arrays, file, f'--backbone={backbone.name}')


def restore(net, arrays: dict, file) -> None:
    """Set every parameter of `net`, its preprocessing and whether it was pretrained from a file of EmbeddingNet.save.
    """
    params = named_parameters(net)
    for name in params:                  # files from before the unbiased average of the variance was kept
        if '.unbiased.' in name and name not in arrays:
            arrays[name] = arrays.get(name.replace('.unbiased.', '.norm.'), arrays.get(name))
    description = unpack(arrays, file) or {}
    try:
        _put(params, arrays, file, 'its own description')
    except UserError:
        size = description.get('image_size')
        if size in (None, net.size):
            raise
        raise UserError(f'--image_size={net.size}: these weights of {net.backbone} fit pictures of {size} x {size} '
                        f'pixels alone. Fix: --image_size={size}, or leave the flag out') from None
    net.pretrained = bool(description.get('pretrained'))
    if 'preprocessing' in description:
        net.preprocessing = from_dict(net.preprocessing, description['preprocessing'], file)
        net.hybridize(static_alloc=True)     # traced anew: the order of the channels is part of the graph
    net.apply_lr_mult()
