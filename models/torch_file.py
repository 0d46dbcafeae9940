"""Reads tensors from a PyTorch checkpoint (the format before 1.6) without PyTorch, and executes nothing of the file.

Such a file is five pickles (magic number, version, facts of the machine, the object, keys of its storages) and then
each storage: int64 count, the numbers. The unpickler knows ordered dicts, dense tensors and storages, and refuses all
else.
"""

import collections
import pathlib
import pickle

import numpy as np

_MAGIC = 0x1950A86A20F9469CFC6C
_STORAGES = {'FloatStorage': '<f4', 'DoubleStorage': '<f8', 'HalfStorage': '<f2', 'LongStorage': '<i8',
             'IntStorage': '<i4', 'ByteStorage': 'u1'}

_Lazy = collections.namedtuple('_Lazy', 'key offset shape stride')


def _rebuild(storage, offset, shape, stride, *_):
    return _Lazy(storage, offset, tuple(shape), tuple(stride))


class _Unpickler(pickle.Unpickler):
    """Plain data, ordered dicts, tensors and storages."""

    def find_class(self, module, name):
        if (module, name) == ('collections', 'OrderedDict'):
            return collections.OrderedDict
        if (module, name) == ('torch._utils', '_rebuild_tensor_v2'):
            return _rebuild
        if module == 'torch' and name in _STORAGES:
            return name
        raise pickle.UnpicklingError(f'it asks for {module}.{name}, which is no tensor')

    def persistent_load(self, pid):
        kind, storage, key, _, count = pid[:5]
        if kind != 'storage' or storage not in _STORAGES or not isinstance(count, int):
            raise pickle.UnpicklingError('it holds something that is no storage')
        return key, storage, count


def read_torch(file) -> dict:
    """{name: NumPy array} of the tensors in a PyTorch state dict.

    Raises
    ------
    ValueError : the file is damaged, of another format, or holds something else than tensors; OSError : unreadable
    """
    with open(pathlib.Path(file), 'rb') as stream:
        try:
            if _Unpickler(stream).load() != _MAGIC:
                raise ValueError('it does not begin as a PyTorch checkpoint')
            _Unpickler(stream).load(), _Unpickler(stream).load()
            found, keys = _Unpickler(stream).load(), _Unpickler(stream).load()
        except (pickle.UnpicklingError, EOFError, KeyError, IndexError, AttributeError, TypeError,
                UnicodeDecodeError) as error:
            raise ValueError(str(error) or type(error).__name__) from error
        tensors = {name: value for name, value in found.items() if isinstance(value, _Lazy)}
        kinds = {lazy.key[0]: lazy.key[1:] for lazy in tensors.values()}
        content = memoryview(stream.read())
    storages, at = {}, 0
    for key in keys:
        kind, count = kinds[key]
        dtype = np.dtype(_STORAGES[kind])
        if len(content) - at < 8 + count * dtype.itemsize or np.frombuffer(content[at:at + 8], '<i8')[0] != count:
            raise ValueError(f'storage {key} is cut off')
        storages[key] = np.frombuffer(content[at + 8:], dtype=dtype, count=count)
        at += 8 + count * dtype.itemsize
    return {name: _tensor(storages[lazy.key[0]], lazy) for name, lazy in tensors.items()}


def _tensor(storage, lazy):
    numbers = (lazy.offset, *lazy.shape, *lazy.stride)
    if len(lazy.shape) != len(lazy.stride) or not all(isinstance(n, int) and n >= 0 for n in numbers):
        raise ValueError(f'a tensor has the shape {lazy.shape} and the strides {lazy.stride}')
    last = lazy.offset + sum((side - 1) * stride for side, stride in zip(lazy.shape, lazy.stride))
    if 0 in lazy.shape or last >= len(storage) or np.prod(lazy.shape, dtype=object) > len(storage):
        raise ValueError(f'a tensor of shape {lazy.shape} does not lie in its storage of {len(storage)} numbers')
    strides = [stride * storage.itemsize for stride in lazy.stride]
    return np.ascontiguousarray(np.lib.stride_tricks.as_strided(storage[lazy.offset:], lazy.shape, strides))
