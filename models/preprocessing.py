"""How weights want their pictures. Preprocessing travels with a network; this module needs no MXNet."""

from collections import namedtuple

import numpy as np

from core.errors import UserError

Preprocessing = namedtuple('Preprocessing', 'mean std order range size')
Preprocessing.__doc__ = """(picture * range / 255 - mean) / std, channels in `order` ('rgb' or 'bgr').

mean, std : one number a channel, in units of `range` and in `order`
range : 1 or 255, the largest pixel value before the mean is taken off
size : side of the square pictures in pixels that the weights were trained with
"""

IMAGENET = Preprocessing((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 'rgb', 1, 224)
CAFFE = Preprocessing((104.0, 117.0, 128.0), (1.0, 1.0, 1.0), 'bgr', 255, 224)
HALF = Preprocessing((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), 'rgb', 1, 224)
LITE = Preprocessing((127.0, 127.0, 127.0), (128.0, 128.0, 128.0), 'rgb', 255, 224)


def checked(preprocessing: Preprocessing, source: str) -> Preprocessing:
    """`preprocessing`, or a UserError that says what is wrong in `source`.

    Example
    -------
    >>> checked(IMAGENET._replace(order='bgr'), 'net.json').order
    'bgr'
    """
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
        problem = (f'mean {_listed(p.mean)} is larger than the range 1: pixels of 0..255 want range 255 '
                   '(--pixel_range=255)')
    if problem:
        raise UserError(f'preprocessing of {source}: {problem}. Fix: the values that the weights were trained with')
    return p


def override(base: Preprocessing, mean=None, std=None, channel_order=None, pixel_range=None) -> Preprocessing:
    """`base` with what is not None in its place.

    Parameters
    ----------
    mean, std : one number, or one for each of the 3 channels
    channel_order : 'rgb' or 'bgr'
    pixel_range : 1 or 255
    """
    changes = {key: value for key, value in (('order', channel_order), ('range', pixel_range)) if value}
    for flag, values in (('mean', mean), ('std', std)):
        if values is None:
            continue
        if len(values) not in (1, 3):
            raise UserError(f'--{flag}={_listed(values)} has {len(values)} numbers. Fix: give one, or one for each of '
                            'the 3 channels')
        changes[flag] = tuple(values) * (3 // len(values))
    return checked(base._replace(**changes), 'the flags --mean, --std, --channel_order and --pixel_range')


def from_dict(base: Preprocessing, values: dict, source: str) -> Preprocessing:
    """`base` with the dict `values` (of a JSON file) over it. Raises UserError naming `source`."""
    try:
        unknown = sorted(set(values) - set(Preprocessing._fields))
        if unknown:
            raise UserError(f'{source}: unknown key {", ".join(unknown)}. Legal keys: '
                            f'{", ".join(Preprocessing._fields)}')
        values = dict(values)
        for key in ('mean', 'std'):
            if key in values:
                numbers = values[key] if isinstance(values[key], list) else [values[key]] * 3
                values[key] = tuple(float(v) for v in numbers)
    except (TypeError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f'{source}: mean and std are neither ({error}). Legal values: numbers, lists of 3') from error
    return checked(base._replace(**values), source)


def described(p: Preprocessing) -> str:
    """In one line, for people.

    Example
    -------
    >>> described(HALF)
    'RGB, 0..1, mean 0.5,0.5,0.5, std 0.5,0.5,0.5'
    """
    return f'{p.order.upper()}, 0..{p.range}, mean {_listed(p.mean)}, std {_listed(p.std)}'


def _listed(values):
    return ','.join(f'{v:g}' for v in values)
