"""Files of weights: reading them, what preprocessing they want, and filling a network with them."""

import json
import pathlib

import numpy as np

from core.errors import UserError
from core.runtime import mx, nd
from models.backbones import Preprocessing

DESCRIBE = '__describe__'     # key under which EmbeddingNet.save keeps its description


def pack(description):
    """A dict as the uint8 array of its JSON."""
    return nd.array(np.frombuffer(json.dumps(description).encode(), dtype=np.uint8), dtype='uint8')


def unpack(arrays):
    """The dict that `pack` stored among `arrays`, or None."""
    packed = arrays.get(DESCRIBE)
    return None if packed is None else json.loads(packed.asnumpy().astype(np.uint8).tobytes().decode())


def load_file(file):
    """name -> NDArray of a parameter file."""
    path = pathlib.Path(file).expanduser()
    if not path.is_file():
        raise UserError(f'--pretrained={file}: there is no such file. Fix: the path of a parameter file, true '
                        '(download) or '
                        'false (random start)')
    try:
        arrays = nd.load(str(path))
    except mx.MXNetError as error:
        raise UserError(f'{path} is not a parameter file of MXNet, or it is damaged. Fix: download or save it '
                        'again') from error
    if not isinstance(arrays, dict) or not arrays:
        raise UserError(f'{path} holds no named parameters. Fix: write it with save_parameters')
    return arrays


def checked(preprocessing, source):
    """`preprocessing`, or a UserError that says what is wrong in `source`."""
    p = preprocessing
    problem = None
    if len(p.mean) != 3 or len(p.std) != 3:
        problem = 'mean and std need 3 numbers each'
    elif not all(np.isfinite(p.mean)) or not all(np.isfinite(p.std)) or min(p.std) <= 0:
        problem = 'std must be positive, mean finite'
    elif p.order not in ('rgb', 'bgr'):
        problem = "order must be 'rgb' or 'bgr'"
    elif p.range not in (1, 255):
        problem = 'range must be 1 or 255'
    elif p.range == 1 and max(p.mean) > 1:
        problem = 'mean {} is larger than the range 1: pixels of 0..255 want range 255 (--pixel_range=255)'.format(
            ','.join(f'{m:g}' for m in p.mean))
    if problem:
        raise UserError(f'preprocessing of {source}: {problem}')
    return p


def read(file, backbone):
    """(arrays, Preprocessing) of a weight file.

    The preprocessing comes from the file itself (written by EmbeddingNet.save), else from FILE.json, else from the
    backbone, and then one line says so.
    """
    arrays = load_file(file)
    described = unpack(arrays)
    side = pathlib.Path(f'{file}.json').expanduser()
    if described is not None:
        return arrays, preprocessing(backbone.preprocessing, described['preprocessing'], file)
    if side.is_file():
        try:
            values = json.loads(side.read_text(encoding='utf-8'))
        except ValueError as error:
            raise UserError(f'{side} is not JSON: {error}') from error
        return arrays, preprocessing(backbone.preprocessing, values, side)
    p = backbone.preprocessing
    print('{} says nothing of its preprocessing: taking that of {} ({}, 0..{}, mean {}, std {}). Other values: --mean, '
          '--std, or {}'.format(pathlib.Path(file).name, backbone.name, p.order.upper(), p.range,
                                ','.join(f'{m:g}' for m in p.mean),
                                ','.join(f'{s:g}' for s in p.std), side.name))
    return arrays, p


def preprocessing(base, values, source):
    """`base` with the dict `values` over it. Raises UserError naming `source`."""
    unknown = sorted(set(values) - set(Preprocessing._fields))
    if unknown:
        raise UserError('{}: unknown key {}. Legal keys: {}'.format(
            source, ', '.join(unknown), ', '.join(Preprocessing._fields)))
    values = dict(values)
    for key in ('mean', 'std'):
        if key in values:
            numbers = values[key] if isinstance(values[key], list) else [values[key]] * 3
            values[key] = tuple(float(v) for v in numbers)
    return checked(base._replace(**values), source)


def _put(params, arrays, file, what):
    """Set each Parameter of `params` (name in the file -> Parameter) from `arrays`."""
    for name, param in params.items():
        if name not in arrays:
            raise UserError('{} has no parameter {}, which {} needs: it belongs to another network. Its first names '
                            'are {}'.format(file, name, what, ', '.join(sorted(arrays)[:3])))
        if tuple(arrays[name].shape) != tuple(param.shape):
            raise UserError(f'{file}: parameter {name} has shape {tuple(arrays[name].shape)}, but {what} needs '
                            f'{tuple(param.shape)}: it belongs to another network')
    for name, param in params.items():
        param.set_data(arrays[name].astype(param.dtype, copy=False))


def fill(net, backbone, arrays, file):
    """Set the trunk from a zoo network's file, or from a file of EmbeddingNet.save (its head is left out)."""
    trunk = {id(param) for param in net.trunk.collect_params().values()}
    if unpack(arrays) is not None:
        source = {name: p for name, p in net._collect_params_with_prefix().items() if id(p) in trunk}
    else:
        source = {name: p for name, p in backbone.zoo._collect_params_with_prefix().items() if id(p) in trunk}
    _put(source, arrays, file, f'--backbone={backbone.name}')


def restore(net, arrays, file):
    """Set every parameter of `net` from a file of EmbeddingNet.save."""
    _put(net._collect_params_with_prefix(), arrays, file, 'its own description')
    net.pretrained = bool((unpack(arrays) or {}).get('pretrained'))
