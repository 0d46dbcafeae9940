"""Reads MXNet's .params files into NumPy arrays, without MXNet and without believing what the file claims.

`nd.load` allocates what a header asks for: one flipped bit in a dimension takes gigabytes. Here every length is held
against the bytes that are left.

Format (little endian): uint64 0x112, uint64 0, uint64 count, the arrays, uint64 count, the names. An array: uint32
magic, int32 storage type (V2, V3), its shape (ndim and int64 dimensions), int32 device type and number, int32 data
type, the data. A name: uint64 length, UTF-8.
"""

import pathlib
import struct

import numpy as np

_LIST = 0x112
_V1, _V2, _V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
_TYPES = {0: 'float32', 1: 'float64', 2: 'float16', 3: 'uint8', 4: 'int32', 5: 'int8', 6: 'int64', 7: 'bool'}


class _Bytes:
    """A file's content and how far it was read."""

    def __init__(self, content):
        self.content, self.at = memoryview(content), 0

    def take(self, count):
        if count > len(self.content) - self.at:
            raise ValueError(f'{count} bytes are announced at byte {self.at}, {len(self.content) - self.at} are left')
        self.at += count
        return self.content[self.at - count:self.at]

    def read(self, layout):
        values = struct.unpack('<' + layout, self.take(struct.calcsize('<' + layout)))
        return values[0] if len(values) == 1 else values


def read_params(file) -> dict:
    """{name: NumPy array} of a file that `nd.save` or `save_parameters` wrote; arrays without names get '0', '1', ...

    Raises
    ------
    ValueError : the file is damaged or no such file; the message says where, not which file
    OSError : it cannot be read
    """
    data = _Bytes(pathlib.Path(file).read_bytes())
    if data.read('QQ')[0] != _LIST:
        raise ValueError('it does not begin as a parameter file of MXNet')
    arrays = [_array(data) for _ in range(_count(data))]
    names = [bytes(data.take(data.read('Q'))).decode('utf-8') for _ in range(_count(data))]
    if data.at != len(data.content):
        raise ValueError(f'{len(data.content) - data.at} bytes follow its end')
    if names and len(names) != len(arrays):
        raise ValueError(f'{len(arrays)} arrays have {len(names)} names')
    return dict(zip(names or map(str, range(len(arrays))), arrays))


def _count(data):
    count = data.read('Q')
    if count > len(data.content) // 8:                 # nothing is smaller than 8 bytes
        raise ValueError(f'it announces {count} arrays')
    return count


def _array(data):
    magic = data.read('I')
    if magic in (_V2, _V3):
        if data.read('i') != 0:
            raise ValueError(f'a sparse array stands at byte {data.at}, or the file is damaged there')
        ndim, one = data.read('i'), 'q'
    elif magic == _V1:
        ndim, one = data.read('I'), 'q'
    else:
        ndim, one = magic, 'I'                         # files from before MXNet 1.0
    if not 0 <= ndim <= 32:
        raise ValueError(f'an array of {ndim} dimensions stands at byte {data.at}')
    shape = [data.read(one) for _ in range(ndim)]
    data.read('ii')                                    # the device that it was on
    kind = data.read('i')
    if kind not in _TYPES or any(side < 0 for side in shape):
        raise ValueError(f'an array of type {kind} and shape {tuple(shape)} stands at byte {data.at}')
    dtype, size = np.dtype(_TYPES[kind]), 1
    for side in shape:
        size *= side                                   # Python's whole numbers: no overflow
    if size * dtype.itemsize > len(data.content) - data.at:
        raise ValueError(f'an array of shape {tuple(shape)} is announced at byte {data.at}, where '
                         f'{len(data.content) - data.at} bytes are left')
    return np.frombuffer(data.take(size * dtype.itemsize), dtype=dtype).reshape(shape).copy()
