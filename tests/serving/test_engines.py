"""Engines: one interface over MXNet, ONNX Runtime and OpenVINO."""

import numpy as np
import pytest

import models
from core.errors import UserError
from serving import engines


def photos(count, seed=0):
    rng = np.random.RandomState(seed)
    return [rng.randint(0, 256, (40 + i, 60, 3)).astype(np.uint8) for i in range(count)]


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    net = models.build('convnet', 6, image_size=32, transform='margin')
    (tmp_path / 'run/last').mkdir(parents=True)
    net.save(tmp_path / 'run/last/net.params')
    return tmp_path / 'run'


def test_the_mxnet_engine_is_the_run(run):
    engine = engines.open_engine(run, 'mxnet')
    assert (engine.name, engine.dim, engine.image_size, engine.transform) == ('mxnet', 6, 32, 'margin')
    vectors = engine.embed(photos(5), batch_size=2)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, models.load(run)(photos(5)), rtol=1e-4, atol=1e-5)
    assert engine.model_hash == engines.open_engine(run / 'last', 'mxnet').model_hash and len(engine.model_hash) == 64
    other = models.build('convnet', 6, image_size=32, transform='margin')
    assert engines.MXNet(other).model_hash != engine.model_hash
    assert engines.MXNet(models.load(run).net, 'none').transform == 'none'


@pytest.mark.parametrize('source, flags, words', [
    ('none.onnx', {}, 'no such file'), ('none.onnx', {'engine': 'mxnet'}, 'no such file'),
    ('run', {'engine': 'tensorrt'}, 'tensorrt is unknown'), ('nothing', {}, 'no such file or folder'),
    ('run', {'precision': 'bfloat16', 'engine': 'mxnet'}, 'engine=openvino')])
def test_what_does_not_fit_is_said_with_the_fix(run, source, flags, words):
    with pytest.raises(UserError, match=words):
        engines.open_engine(run.parent / source, **flags)


def test_an_engine_that_is_not_installed_is_named_with_the_command(run, monkeypatch):
    find = engines.importlib.util.find_spec
    monkeypatch.setattr(engines.importlib.util, 'find_spec', lambda name: None if name in (
        'onnxruntime', 'openvino') else find(name))
    with pytest.raises(UserError, match='pip install openvino'):
        engines.open_engine(run, 'openvino')
    assert engines.open_engine(run).name == 'mxnet'
    assert engines.installed() == ['mxnet']
