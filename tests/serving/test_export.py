"""Export: the same embeddings without MXNet, in a file whose graph can be folded."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip('onnx')
pytest.importorskip('onnxruntime')
import onnx  # noqa: E402

import models  # noqa: E402
from commands import cli  # noqa: E402
from core.errors import UserError  # noqa: E402
from core.runtime import autograd, gluon, nd  # noqa: E402
from serving import engines, export  # noqa: E402
from serving.onnx_file import read_metadata  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]


def network(name='convnet', head='l2', size=32, **options):
    """A network whose BatchNorm statistics are no longer those of the start."""
    net = models.build(name, 6, head, image_size=size, transform='margin', **options)
    batch = pictures(6, size, seed=1)
    with autograd.record():
        net(nd.array(batch, dtype='uint8')).embedding.sum().backward()
    net.settle()
    return net


def pictures(count, size, seed=0):
    return np.random.RandomState(seed).randint(0, 256, (count, size, size, 3)).astype(np.uint8)


@pytest.mark.parametrize('options, norms', [
    ({}, 0), ({'head': 'bn'}, 0), ({'head': 'linear', 'channel_order': 'bgr', 'mean': [.3], 'std': [.2]}, 0),
    ({'head': 'two_head', 'feature': 'pooled'}, 0), ({'head': 'cascade', 'dims': [2, 3]}, 0), ({'head': 'pooled'}, 0),
    ({'head': 'hdc', 'dims': [2, 2], 'size': 48}, 0), ({'name': 'lenet', 'head': 'linear', 'size': 28}, 0),
    ({'name': 'resnet18_v2', 'size': 64}, 10), ({'name': 'efficientnet_lite0', 'size': 33, 'head': 'pooled'}, 0)])
def test_the_exported_network_is_the_gluon_network(tmp_path, options, norms):
    net = network(**options)
    file = tmp_path / 'net.onnx'
    expected = {n: net(nd.array(pictures(n, net.size, n), dtype='uint8')).embedding.asnumpy().copy() for n in (1, 5)}
    hashed = net.fingerprint()
    assert export.export_onnx(net, file, pictures(4, net.size), {'loss': 'margin'}) <= 1e-5
    engine = engines.open_engine(file, 'onnxruntime')
    for n, embedding in expected.items():
        np.testing.assert_allclose(engine.forward(pictures(n, net.size, n)), embedding, rtol=1e-4, atol=1e-5)
    assert (engine.dim, engine.image_size, engine.transform) == (embedding.shape[1], net.size, 'margin')
    assert engine.model_hash == hashed == net.fingerprint()
    model = onnx.load(str(file))
    (image,) = model.graph.input
    side = [d.dim_param or d.dim_value for d in image.type.tensor_type.shape.dim]
    assert image.name == 'image' and side == ['N', net.size, net.size, 3]
    assert image.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert [node.op_type for node in model.graph.node].count('BatchNormalization') == norms
    assert json.loads(read_metadata(file)['run']) == {'loss': 'margin'}


def test_a_norm_behind_two_uses_or_a_shared_weight_is_not_folded():
    from serving.onnx_graph import _fold_norms
    make, one = onnx.helper.make_node, np.ones(2, np.float32)
    constants = {'w': np.ones((2, 1, 1, 1), np.float32), **{name: one.copy() for name in 'gbmv'}}
    norm = make('BatchNormalization', ['y', *'gbmv'], ['z'], epsilon=0.0)
    for nodes in ([make('Conv', ['x', 'w'], ['y']), norm, make('Add', ['y', 'z'], ['out'])],
                  [make('Conv', ['x', 'w'], ['y']), norm, make('Conv', ['z', 'w'], ['out'])]):
        assert [n.op_type for n in _fold_norms(nodes, constants)] == [n.op_type for n in nodes]
    constants.update(g=one * 3, b=one * 5, m=one * 7, v=one * 4)
    (conv,) = _fold_norms([make('Conv', ['x', 'w'], ['y']), norm], constants)
    assert constants['w'].ravel().tolist() == [1.5, 1.5] and constants[conv.input[2]].tolist() == [-5.5, -5.5]
    assert list(conv.output) == ['z']


def test_a_network_that_differs_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(export, 'difference', lambda *_: 2e-5)
    (tmp_path / 'net.onnx').write_text('before')
    with pytest.raises(UserError, match='differ by 2e-05'):
        export.export_onnx(network(), tmp_path / 'net.onnx', pictures(2, 32))
    assert [p.name for p in tmp_path.iterdir()] == ['net.onnx'] and (tmp_path / 'net.onnx').read_text() == 'before'


def test_symbol_and_npz_hold_the_network(tmp_path):
    net = network(head='bn')
    batch = pictures(3, 32)
    expected = net(nd.array(batch, dtype='uint8')).embedding.asnumpy().copy()
    files, _ = export.export(net, tmp_path / 'net', 'symbol')
    block = gluon.SymbolBlock.imports(files[0], ['image'], files[1])
    np.testing.assert_allclose(block(nd.array(batch, dtype='uint8')).asnumpy(), expected, rtol=1e-5, atol=1e-6)
    assert json.loads(Path(files[2]).read_text())['model_hash'] == net.fingerprint()
    export.export(net, tmp_path / 'net.npz', 'npz')
    arrays = np.load(tmp_path / 'net.npz')
    assert (arrays['head.bottleneck.dense.weight'] == net.head.bottleneck.dense.weight.data().asnumpy()).all()
    assert json.loads(str(arrays['__metadata__']))['transform'] == 'margin'


WITHOUT = '''
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in ('mxnet', 'gluoncv', 'gluoncv2', 'onnx', 'sklearn', 'faiss', 'pandas'):
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Blocked())
import numpy as np
from serving.engines import open_engine
engine = open_engine(sys.argv[1], sys.argv[2])
np.save(sys.argv[3], np.concatenate([engine.embed(sys.argv[4:]), engine.embed(np.zeros((2, 9, 9, 3), np.uint8))]))
print(engine.describe())
'''


@pytest.mark.parametrize('engine', ['auto', 'onnxruntime', 'openvino'])
def test_paths_and_arrays_are_embedded_without_mxnet(tmp_path, engine):
    if engine == 'openvino':
        pytest.importorskip('openvino')
    net = network(mean=[.4], std=[.3])
    export.export_onnx(net, tmp_path / 'net.onnx', pictures(2, 32))
    files = [str(tmp_path / f'{i}.png') for i in range(3)]
    for i, file in enumerate(files):
        cv2.imwrite(file, pictures(1, 40 + i, i)[0])
    done = subprocess.run([sys.executable, '-c', WITHOUT, str(tmp_path / 'net.onnx'), engine,
                           str(tmp_path / 'out.npy'), *files], cwd=ROOT, capture_output=True, text=True,
                          env={**os.environ, 'PYTHONPATH': str(ROOT)}, check=False)
    assert done.returncode == 0, done.stderr
    assert 'through the view margin, 6 numbers' in done.stdout
    expected = models.Embedder(net)([*files, *np.zeros((2, 9, 9, 3), np.uint8)])
    np.testing.assert_allclose(np.load(tmp_path / 'out.npy'), expected, rtol=1e-3, atol=2e-5)


def test_metadata_are_read_without_a_package_and_damage_is_said(tmp_path):
    file = tmp_path / 'net.onnx'
    export.export_onnx(network(), file, pictures(2, 32), {'note': 'é' * 300})
    whole = file.read_bytes()
    assert read_metadata(file) == {e.key: e.value for e in onnx.load(str(file)).metadata_props}
    for length in (0, 1, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r'net\.onnx'):
            engines.open_engine(file, 'onnxruntime')
    model = onnx.load_from_string(whole)
    del model.metadata_props[:]
    onnx.save(model, str(file))
    with pytest.raises(UserError, match='main.py export'):
        engines.open_engine(file)


class Fake(engines.Engine):
    def __init__(self, seconds, off):
        super().__init__(2, 8, 'none', '')
        self.seconds, self.off = seconds, off

    def forward(self, batch):
        import time
        time.sleep(self.seconds)
        return np.full((len(batch), 2), 0.5 ** 0.5, np.float32) + self.off


def test_the_fastest_engine_that_is_exact_is_taken():
    exact, quick, wrong = Fake(.02, 0), Fake(.001, 1e-5), Fake(0, 1e-3)
    assert engines.fastest([exact, quick, wrong]) is quick


def test_a_run_is_exported_once_for_the_other_engines(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    (tmp_path / 'run/last').mkdir(parents=True)
    network().save(tmp_path / 'run/last/net.params')
    exact = engines.open_engine(tmp_path / 'run', 'mxnet')
    for kind in ('onnxruntime', 'auto'):
        engine = engines.open_engine(tmp_path / 'run', kind)
        np.testing.assert_allclose(engine.forward(pictures(3, 32)), exact.forward(pictures(3, 32)), atol=1e-5)
        assert engine.model_hash == exact.model_hash
    assert [p.name for p in (tmp_path / 'cache/gluon-dml').iterdir()] == [f'{exact.model_hash}.onnx']


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """Run on a folder of 8 classes of 6 pictures, each class of its own colour."""
    root, rng = tmp_path_factory.mktemp('export'), np.random.RandomState(0)
    for c in range(8):
        (root / f'photos/class{c}').mkdir(parents=True)
        for i in range(6):
            picture = np.full((40, 44, 3), 25 * c + 20)
            cv2.imwrite(str(root / f'photos/class{c}/{i}.png'), picture + rng.randint(-15, 16, picture.shape))
    assert cli.run(['--data_name=folder', f'--data_dir={root}/photos', '--epochs=1', f'--save_dir={root}/run',
                    '--figures=false', '--embed_dim=16', '--backbone=convnet', '--pretrained=false',
                    '--image_size=32', '--batch_size=8', '--num_instances=2', '--recallk=1']) == 0
    return root / 'run'


@pytest.mark.parametrize('precision', ['float32', 'int8', 'bfloat16'])
def test_the_command_exports_a_run_and_says_what_precision_costs(trained, tmp_path, capsys, precision):
    if precision == 'bfloat16':
        pytest.importorskip('openvino')
    if precision == 'int8':
        pytest.importorskip('ml_dtypes')
    file = tmp_path / 'net.onnx'
    assert cli.run(['export', f'--checkpoint={trained}', f'--output={file}', f'--precision={precision}']) == 0
    told = capsys.readouterr().out
    assert 'differ by' in told and f'-> {file}' in told
    assert ('Recall@1 on the 24 test images: float32 ' in told) == (precision != 'float32')
    engine = engines.open_engine(file)
    assert engine.precision == precision and engine.name == 'openvino' or precision != 'bfloat16'
    run = json.loads(read_metadata(file)['run'])
    assert run['loss'] == 'hphn_triplet' and run['recall']['1'] > 0


@pytest.mark.parametrize('flags, words', [
    (['--output=x.bin'], 'must end in .onnx'), (['--format=npz', '--precision=int8'], '--format=onnx'),
    (['--format=tflite'], 'onnx'), (['--images=.'], 'no picture')])
def test_the_command_names_the_flag(trained, tmp_path, monkeypatch, flags, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=words):
        cli.run(['export', f'--checkpoint={trained}', *flags])


ALONE = '''
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] in ('mxnet', 'gluoncv', 'gluoncv2', 'onnx'):
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Blocked())
from commands import cli
sys.exit(cli.run(sys.argv[1:]))
'''


def test_evaluate_and_embed_run_from_the_file_alone_and_find_what_the_run_found(trained, tmp_path, capsys):
    file = tmp_path / 'net.onnx'
    cli.run(['export', f'--checkpoint={trained}', f'--output={file}'])
    cli.run(['evaluate', f'--checkpoint={trained}', '--figures=false', f'--save_dir={tmp_path}/mxnet', '--nmi'])
    cli.run(['embed', f'--checkpoint={trained}', f'--output={tmp_path}/mxnet.npz'])
    for command in (['evaluate', f'--checkpoint={file}', '--figures=false', '--nmi'],
                    ['embed', f'--checkpoint={file}']):
        done = subprocess.run([sys.executable, '-c', ALONE, *command], cwd=ROOT, capture_output=True, text=True,
                              env={**os.environ, 'PYTHONPATH': str(ROOT)}, check=False)
        assert done.returncode == 0, done.stderr
    ours, theirs = (json.loads((tmp_path / name / 'result.json').read_text()) for name in ('net_evaluation', 'mxnet'))
    for key in ('recall', 'map_at_r', 'nmi_geometric'):
        assert ours[key] == theirs[key], key
    assert 'float32, 32 px' in ours['model']
    ours, theirs = (np.load(tmp_path / name) for name in ('net_embeddings.npz', 'mxnet.npz'))
    np.testing.assert_allclose(ours['embeddings'], theirs['embeddings'], atol=2e-5)
    assert (ours['paths'] == theirs['paths']).all()
    with pytest.raises(UserError, match='--transform=margin is not what'):
        cli.run(['embed', f'--checkpoint={file}', '--transform=margin'])
    capsys.readouterr()


def test_a_run_is_scored_by_another_engine(trained, tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    assert cli.run(['evaluate', f'--checkpoint={trained}', '--engine=onnxruntime', '--figures=false']) == 0
    result = json.loads((trained / 'evaluation_onnxruntime_float32/result.json').read_text())
    assert result['recall'] == json.loads((trained / 'result.json').read_text())['recall']
