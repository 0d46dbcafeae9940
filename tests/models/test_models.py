"""Networks: trunks of every zoo, preprocessing, weight files, learning rates, frozen and fused BatchNorm."""

import json

import cv2
import numpy as np
import pytest

import models
from core.errors import UserError
from core.gluon_internals import named_parameters
from core.runtime import autograd, gluon, mx, nd
from models import backbones, fusion, heads, registry, weights
from models.embedding import EmbeddingNet
from models.preprocessing import CAFFE, HALF, IMAGENET
from models.trunk import Backbone, Trunk
from tests.models.building import build, parse, pictures, wish
from tests.shared import SHARED, needs_shared


def test_the_list_of_names_is_that_of_the_zoos():
    assert registry._zoo_names() == backbones.listed_by_zoos(), (
        'write it anew: python3 -c "from models.backbones import *; import textwrap; '
        "print('\\n'.join(textwrap.wrap(' '.join(listed_by_zoos()), 118)))\" > models/zoo_names.txt")
    for name in (*registry.OWN, *registry.GLUON, 'Inception-V1', 'inc3', 'ResNet50_v2', 'bn_inception'):
        assert registry.resolve(name) in registry.names()


@pytest.mark.parametrize('name, size, channels', [
    ('convnet', 32, 256), ('lenet', 28, 500), ('mobilenet0.25', 64, 256), ('resnet18_v1', 64, 512),
    ('googlenet', 64, 1024), ('inception-bn', 64, 1024), ('resnet18_v1b', 64, 512), ('resnet10', 64, 512)])
def test_trunks_of_every_zoo_give_embedding_and_pooled_feature_for_two_batch_sizes(name, size, channels):
    net = build('--backbone=' + name, f'--image_size={size}', feature='pooled')
    for n in (4, 3):
        with autograd.train_mode():             # untrained statistics would let the numbers of a deep trunk vanish
            out = net(pictures(n, size))
        assert out.embedding.shape == (n, 8) and out.feature.shape == (n, channels)
        np.testing.assert_allclose((out.embedding ** 2).sum(axis=1).asnumpy(), 1, rtol=1e-3)


@pytest.mark.parametrize('name, classifier', [
    ('googlenet', 'output'), ('resnet18_v1b', 'fc'), ('mobilenet0.25', 'output'), ('resnest14', 'fc')])
def test_a_cut_network_ends_where_its_own_classifier_begins(name, classifier):
    backbone = backbones.get_backbone(name)
    backbone.zoo.initialize(mx.init.Xavier())
    x = nd.random.uniform(shape=(1, 3, 224, 224))
    expected = backbone.zoo(x).asnumpy()
    feature = backbone.trunk(x)[-1]
    ours = getattr(backbone.zoo, classifier)(feature.mean(axis=(2, 3))).asnumpy()
    np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


def test_a_network_cut_in_its_graph_keeps_the_names_of_its_weight_file(tmp_path):
    zoo = backbones.get_backbone('resnest14').zoo
    zoo.initialize(mx.init.Xavier())
    zoo(nd.zeros((1, 3, 64, 64)))
    zoo.save_parameters(str(tmp_path / 'zoo.params'))
    net = build('--backbone=resnest14', '--image_size=64', '--pretrained={}'.format(tmp_path / 'zoo.params'))
    weight = named_parameters(net)['trunk.0.conv1.0.weight'].data().asnumpy()
    assert (weight == named_parameters(zoo)['conv1.0.weight'].data().asnumpy()).all()
    net.save(tmp_path / 'net.params')
    x = pictures(2, 64)
    assert (models.load_network(tmp_path / 'net.params')(x).embedding.asnumpy() == net(x).embedding.asnumpy()).all()


@pytest.mark.parametrize('criterion', [{}, {'head': 'bn'}, {'head': 'two_head', 'feature': 'pooled'},
                                       {'head': 'cascade', 'dims': [3, 4, 5]}, {'head': 'hdc', 'dims': [3, 4, 5]}])
def test_hybridized_equals_eager_in_value_and_gradient(criterion):
    net = build('--backbone=convnet', '--image_size=32', **criterion)
    for n in (4, 3):
        x, results = pictures(n, 32, seed=n), []
        for active in (True, False):
            net.hybridize(active, static_alloc=active)
            mx.random.seed(0)                         # dropout of the cascade
            with autograd.record():
                loss = (net(x).embedding * nd.arange(n).reshape((n, 1))).sum()
            loss.backward()
            grads = [p.grad().asnumpy() for p in net.collect_params().values() if p.grad_req != 'null']
            results.append((loss.asscalar(), grads))
        assert results[0][0] == pytest.approx(results[1][0], rel=1e-4, abs=1e-4)
        for a, b in zip(results[0][1], results[1][1]):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * max(1, np.abs(b).max()))


@pytest.mark.parametrize('p', [IMAGENET, CAFFE, HALF])
def test_preprocessing_is_the_formula_of_its_docstring(p):
    trunk = Trunk([gluon.nn.HybridLambda(lambda F, x: F.identity(x))])
    backbone = Backbone('identity', trunk, trunk, p, None, ())
    net = EmbeddingNet(backbone, heads.get_head('linear', 2), 'map', p, 5)
    net.initialize()
    net.hybridize()
    image = pictures(2, 5)
    x = image.asnumpy().astype(np.float64).transpose(0, 3, 1, 2) * p.range / 255
    x = x[:, ::-1] if p.order == 'bgr' else x
    expected = (x - np.reshape(p.mean, (1, 3, 1, 1))) / np.reshape(p.std, (1, 3, 1, 1))
    np.testing.assert_allclose(net(image).feature.asnumpy(), expected, rtol=1e-5, atol=1e-5)


def test_half_range_is_that_of_inception_v1():
    p = backbones.get_backbone('lenet').preprocessing
    for pixel in (0, 100, 255):
        assert (pixel / 255 - p.mean[0]) / p.std[0] == pytest.approx((pixel / 255 - 0.5) * 2)


def test_flags_override_preprocessing():
    net = build('--backbone=convnet', '--image_size=32', '--mean=.502', '--std=.5,.4,.3', '--channel_order=bgr')
    assert net.mean == (0.502,) * 3 and net.std == (0.5, 0.4, 0.3) and net.preprocessing.order == 'bgr'
    np.testing.assert_allclose(net.offset.data().asnumpy().ravel(), 128.01, rtol=1e-6)


@pytest.mark.parametrize('flags, words', [
    (['--mean=104,117,128'], ['--pixel_range=255', '104,117,128']),
    (['--mean=.1,.2'], ['--mean', '2 numbers']),
    (['--std=0'], ['std must be positive']),
    (['--backbone=googlnet'], ['--backbone=googlnet', 'Did you mean googlenet']),
    (['--backbone=dla34'], ['dla34', 'no pooling']),
    (['--pretrained=true'], ['convnet', '--pretrained=false']),
    (['--pretrained=nowhere.params'], ['--pretrained=nowhere.params', 'no such file']),
    (['--backbone=inceptionv3', '--image_size=32'], ['inceptionv3', '32x32', '--image_size=299'])])
def test_bad_flags_name_the_flag_and_the_fix(flags, words):
    with pytest.raises(UserError) as error:
        build('--backbone=convnet', '--image_size=32', *flags)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize('criterion', [{'head': 'bn', 'feature': 'pooled'}, {'head': 'cascade', 'dims': [2, 3]}])
def test_save_and_load_give_the_same_network(tmp_path, criterion):
    net = build('--backbone=convnet', '--image_size=32', '--mean=.3', '--std=.4', **criterion)
    x = pictures(4, 32)
    with autograd.record():
        net(x).embedding.sum().backward()       # moves the BatchNorm statistics
    net.save(tmp_path / 'net.params')
    again = models.load_network(tmp_path / 'net.params')
    assert again.describe() == net.describe() and again.mean == (0.3,) * 3
    assert again.pretrained is False
    for ours, theirs in zip(again(x), net(x)):
        assert (ours is None and theirs is None) or (ours.asnumpy() == theirs.asnumpy()).all()


def test_saved_file_serves_as_pretrained_weights_with_its_preprocessing(tmp_path):
    net = build('--backbone=convnet', '--image_size=32', '--mean=.3', '--std=.4')
    net.save(tmp_path / 'net.params')
    tuned = build('--backbone=convnet', '--embed_dim=5', '--pretrained={}'.format(tmp_path / 'net.params'))
    assert tuned.mean == (0.3,) * 3 and tuned.std == (0.4,) * 3
    expected = net.trunk(nd.ones((1, 3, 32, 32)))[-1].asnumpy()
    assert (tuned.trunk(nd.ones((1, 3, 32, 32)))[-1].asnumpy() == expected).all()


@pytest.fixture
def zoo_file(tmp_path):
    """(a zoo network with random weights, its parameter file)."""
    zoo = gluon.model_zoo.vision.get_model('mobilenet0.25')
    zoo.initialize(mx.init.Xavier())
    zoo(nd.zeros((1, 3, 64, 64)))
    zoo.save_parameters(str(tmp_path / 'zoo.params'))
    return zoo, tmp_path / 'zoo.params'


def test_pretrained_file_fills_the_trunk_and_says_when_preprocessing_is_assumed(zoo_file, capsys):
    zoo, file = zoo_file
    flags = ['--backbone=mobilenet0.25', '--image_size=64', f'--pretrained={file}']
    net = build(*flags, feature='pooled')
    told = capsys.readouterr().out
    assert 'zoo.params says nothing of its preprocessing' in told and '0.485' in told and told.count('\n') == 1
    build(*flags, '--mean=0.502', '--std=0.25')       # what is in effect, not what it would be without the flags
    told = capsys.readouterr().out
    assert 'of mobilenet0.25 and the flags (' in told and 'mean 0.502' in told and '0.485' not in told
    x = pictures(2, 64)
    z = (x.astype('float32').transpose((0, 3, 1, 2)) / 255 - nd.array(net.mean).reshape((1, 3, 1, 1)))
    expected = zoo.features(z / nd.array(net.std).reshape((1, 3, 1, 1)))
    np.testing.assert_allclose(net(x).feature.asnumpy(), expected.asnumpy(), rtol=1e-3, atol=1e-4)

    side = file.with_name('zoo.params.json')
    side.write_text(json.dumps({'mean': 0.502, 'std': [0.5, 0.5, 0.5], 'order': 'bgr', 'size': 160}))
    net = build(*flags)
    assert capsys.readouterr().out == '' and net.mean == (0.502,) * 3 and net.preprocessing.order == 'bgr'
    assert build(*flags, '--std=.25').std == (0.25,) * 3
    side.write_text('{"meen": 1}')
    with pytest.raises(UserError, match='meen'):
        build(*flags)


def test_wrong_weight_files_name_the_parameter(zoo_file, tmp_path):
    _, file = zoo_file
    with pytest.raises(UserError, match=r'features\.0\.weight has shape \(8, 3, 3, 3\).*\(16, 3, 3, 3\)'):
        build('--backbone=mobilenet0.5', '--image_size=64', f'--pretrained={file}')
    with pytest.raises(UserError, match=r'no parameter features\.3\.out\.0\.weight'):
        build('--backbone=mobilenetv2_0.25', '--image_size=64', f'--pretrained={file}')
    (tmp_path / 'broken.params').write_bytes(file.read_bytes()[:1000])
    with pytest.raises(UserError, match='damaged'):
        weights.load_file(tmp_path / 'broken.params')
    with pytest.raises(UserError, match='no description'):
        models.load_network(file)


def test_unreachable_download_is_an_error_and_not_a_random_start(monkeypatch, tmp_path):
    monkeypatch.setenv('MXNET_GLUON_REPO', 'http://127.0.0.1:9/')
    model_store = mx.gluon.model_zoo.model_store
    fetch = model_store.get_model_file
    monkeypatch.setattr(model_store, 'get_model_file', lambda name, root: fetch(name, root=str(tmp_path)))
    with pytest.raises(UserError, match='--pretrained=FILE'):
        build('--backbone=mobilenet0.25', '--pretrained=true')


@needs_shared
def test_pretrained_mobilenet_tells_birds_apart():
    """Weights, their preprocessing and the cut fit together: photos find their own species among eight."""
    file = SHARED / 'weights/mobilenet0.5_imagenet.params'
    net = build('--backbone=mobilenet0.5', '--image_size=128', f'--pretrained={file}', '--mean=.502',
                '--std=.502', feature='pooled')
    species = sorted((SHARED / 'data/cub200_2010/images').iterdir())[100::12][:8]
    files = [path for folder in species for path in sorted(folder.iterdir())[:8]]
    photos = [cv2.imread(str(path))[16:208, 16:208, ::-1] for path in files]
    x = nd.array(np.stack([cv2.resize(photo, (128, 128)) for photo in photos]), dtype='uint8')
    feature = net(x).feature.asnumpy()
    feature /= np.linalg.norm(feature, axis=1, keepdims=True)
    near = (feature @ feature.T - 2 * np.eye(len(x))).argmax(axis=1)
    assert (near // 8 == np.arange(len(x)) // 8).mean() > 0.6


def test_lr_multipliers_reach_trunk_conv_and_head(zoo_file):
    _, file = zoo_file
    args = parse('--backbone=mobilenet0.25', '--image_size=64', '--base_lr_mult=.5', '--head_lr_mult=10',
                 '--conv_lr_mult=.01')
    net = models.from_args(args, wish())
    assert {p.lr_mult for p in net.trunk.collect_params().values()} == {0.5}      # random start: no slow convolutions
    assert {p.lr_mult for p in net.head.collect_params().values()} == {10}
    args.pretrained = str(file)
    net = models.from_args(args, wish())
    mults = {name: p.lr_mult for name, p in net.trunk.collect_params().items()}
    assert {m for name, m in mults.items() if 'conv' in name} == {0.005}
    assert {m for name, m in mults.items() if 'conv' not in name} == {0.5}


@pytest.mark.parametrize('name', ['convnet', 'resnest14'])      # a row of blocks, and a network cut in its graph
def test_frozen_batch_norm_keeps_its_statistics(name):
    net = build('--backbone=' + name, '--image_size=32', '--freeze_bn')
    before = {n: p.data().asnumpy() for n, p in net.collect_params('.*running.*').items()}
    x = pictures(4, 32)
    with autograd.record():
        trained = net(x).embedding
        trained.sum().backward()
    nd.waitall()
    assert before and all((p.data().asnumpy() == before[n]).all() for n, p in net.collect_params('.*running.*').items())
    np.testing.assert_allclose(trained.asnumpy(), net(x).embedding.asnumpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('name, pairs', [('convnet', 4), ('mobilenet0.25', 27), ('resnet18_v1', 9), ('googlenet', 57)])
def test_fusing_batch_norm_and_relu_changes_no_number(name, pairs):
    net = build('--backbone=' + name, '--image_size=64', feature='pooled')
    names, start = list(named_parameters(net)), {}
    for param in named_parameters(net).values():
        start[param] = param.data().copy()
    results = []
    for active in (True, False):
        for param, value in start.items():
            param.set_data(value)
        net.fuse(active)
        assert list(named_parameters(net)) == names
        with autograd.record():
            loss = (net(pictures(4, 64)).embedding * nd.arange(8)).sum()
        loss.backward()
        nd.waitall()
        grads = [p.grad().asnumpy() for p in start if p.grad_req != 'null']
        moved = [p.data().asnumpy() for p in start if 'running' in p.name]
        operators = net._cached_graph[1].tojson().count('"op": "_contrib_BatchNormWithReLU"')
        assert operators == (pairs if active else 0)
        results.append((loss.asscalar(), grads, moved, net(pictures(2, 64)).feature.asnumpy()))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-4)
    for a, b in zip([*results[0][1], *results[0][2], results[0][3]], [*results[1][1], *results[1][2], results[1][3]]):
        np.testing.assert_allclose(a, b, rtol=1e-2, atol=2e-3 * max(1e-3, np.abs(b).max()))


def test_batch_norm_that_is_not_behind_a_convolution_is_not_fused():
    nn, x = gluon.nn, nd.random.uniform(shape=(4, 16, 14, 14))
    half = nn.HybridLambda(lambda F, x: F.slice_axis(x, axis=1, begin=0, end=16))
    row = nn.HybridSequential()
    row.add(nn.Conv2D(32, 1), half, nn.BatchNorm(), nn.Activation('relu'), nn.Conv2D(16, 3), nn.BatchNorm(),
            nn.Activation('relu'), nn.Conv2D(16, 3))
    row.initialize(mx.init.Xavier())
    row(x)
    gradients = []
    for active in (False, True):
        fusion.fuse(row, active)
        row.hybridize(static_alloc=True)
        with autograd.record():
            loss = (row(x) ** 2).sum()
        loss.backward()
        gradients.append(row[0].weight.grad().asnumpy())
    assert [type(block).__name__ for block in row].count('Fused') == 1
    np.testing.assert_allclose(*gradients, rtol=1e-4, atol=1e-5)


def test_same_seed_same_start():
    values = []
    for _ in range(2):
        mx.random.seed(3)
        net = build('--backbone=convnet', '--image_size=32')
        values.append(net(pictures(1, 32)).embedding.asnumpy().copy())
    assert (values[0] == values[1]).all()


def test_lenet_is_the_original_s_network_of_one_channel():
    net = build('--backbone=lenet', '--image_size=28', head='linear')
    shapes = [p.shape for p in net.collect_params('.*weight').values()]
    assert shapes == [(32, 1, 5, 5), (64, 32, 5, 5), (500, 3136), (8, 500)]
