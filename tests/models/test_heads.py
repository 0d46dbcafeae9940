"""Heads: what they take from the trunk, and the recorded outputs of the originals."""

import json

import numpy as np
import pytest

from core.errors import UserError
from core.gluon_internals import children
from core.runtime import autograd, nd
from models import backbones, heads
from tests.models.building import build, pictures
from tests.shared import SHARED, needs_shared


def test_map_ends_before_pooling_and_the_pooled_feature_is_its_mean():
    net = build('--backbone=mobilenet0.25', '--image_size=96', feature='map', head='linear')
    pooled = build('--backbone=mobilenet0.25', '--image_size=96', feature='pooled', head='linear')
    for ours, theirs in zip(pooled.collect_params().values(), net.collect_params().values()):
        ours.set_data(theirs.data())
    x = pictures(2, 96)
    feature = net(x).feature.copy()
    np.testing.assert_allclose(net.pooled(x).asnumpy(), feature.mean(axis=(2, 3)).asnumpy(), rtol=1e-4, atol=1e-6)
    assert feature.shape == (2, 256, 3, 3)
    np.testing.assert_allclose(pooled(x).feature.asnumpy(), feature.mean(axis=(2, 3)).asnumpy(), rtol=1e-4, atol=1e-6)


def test_cascade_places_depths_side_by_side_and_refuses_too_many():
    net = build('--backbone=googlenet', '--image_size=64', head='cascade', dims=[3, 4, 5])
    blocks = list(children(net.trunk))
    zoo = backbones.get_backbone('googlenet').zoo
    order = list(children(zoo))
    assert list(net.trunk.out_indices) == [order.index(zoo.inception4a), order.index(zoo.inception4d)]
    assert len(blocks) - 1 == order.index(zoo.inception5b)
    out = net(pictures(2, 64)).embedding
    assert out.shape == (2, 12)
    for start, stop in ((0, 3), (3, 7), (7, 12)):
        np.testing.assert_allclose((out[:, start:stop] ** 2).sum(axis=1).asnumpy(), 1, rtol=1e-3)
    with pytest.raises(UserError, match='depths'):
        build('--backbone=googlenet', '--image_size=64', head='cascade', dims=[2] * 9)
    with pytest.raises(UserError, match='dims'):
        build('--backbone=convnet', '--image_size=32', head='cascade')


def test_cascade_without_named_depths_takes_the_last_map_of_each_resolution():
    net = build('--backbone=mobilenet0.25', '--image_size=64', head='cascade', dims=[2, 2, 2])
    shapes = net.trunk.shapes(64)
    assert [shapes[i][2:] for i in net.trunk.out_indices] == [(8, 8), (4, 4)] and shapes[-1][2:] == (2, 2)
    assert all(shapes[i + 1][2:] != shapes[i][2:] for i in net.trunk.out_indices)


def test_ranking_head_of_resnet_v2_takes_the_map_before_the_last_norm():
    net = build('--backbone=resnet18_v2', '--image_size=64', head='two_head', feature='pooled')
    blocks = list(children(net.trunk))
    assert [type(b).__name__ for b in blocks[net.trunk.out_indices[0] + 1:]] == ['BatchNorm', 'Activation']
    assert net.head.dense.weight.shape == (8, 512 * 2 * 2)


def test_heads_are_finite_on_a_zero_map():
    for name in heads.HEADS:
        head = heads.get_head(name, 4, [2, 2])
        head.initialize()
        x = nd.zeros((3, 5, 7, 7))
        x.attach_grad()
        with autograd.record():
            y = head(x, x)
            y.sum().backward()
        assert np.isfinite(y.asnumpy()).all() and np.isfinite(x.grad.asnumpy()).all(), name


def test_bottleneck_batch_norm_has_a_shift_no_scale_and_the_original_s_constants():
    head = heads.get_head('bn', 3)
    head.initialize()
    x = np.random.RandomState(0).randn(6, 4, 1, 1).astype('float32')
    with autograd.record():
        y = head(nd.array(x))
    y.backward(nd.ones_like(y))
    w = head.bottleneck.dense.weight.data().asnumpy()
    z = x[:, :, 0, 0] @ w.T
    np.testing.assert_allclose(y.asnumpy(), (z - z.mean(0)) / np.sqrt(z.var(0) + 1e-3), rtol=1e-4, atol=1e-5)
    norm = head.bottleneck.norm
    assert norm.gamma.grad_req == 'null' and norm.beta.grad_req == 'write' and head.bottleneck.dense.bias is None
    nd.waitall()
    np.testing.assert_allclose(norm.running_mean.data().asnumpy(), 0.05 * z.mean(0), rtol=1e-4, atol=1e-6)
    head.settle()
    np.testing.assert_allclose(norm.running_var.data().asnumpy(), 0.95 + 0.05 * z.var(0, ddof=1), rtol=1e-4)


@needs_shared
@pytest.mark.parametrize('file', sorted((SHARED / 'reference/heated_up_softmax').glob('bottleneck_*'))
                         if SHARED else [None], ids=lambda f: f.stem if f else 'none')
def test_bottleneck_equals_the_original_s_recorded_outputs(file):
    data = np.load(file)
    param = json.loads(str(data['param_json'][0]))
    x = data['in_features']
    x = nd.array(np.ascontiguousarray(x.transpose(0, 3, 1, 2)) if x.ndim == 4 else x[:, :, None, None])
    x.attach_grad()
    head = heads.get_head('bn' if param['use_bn'] else 'linear', 5)
    head.initialize()
    head(x)
    head.bottleneck.dense.weight.set_data(nd.array(data['in_weights'].T))
    if param['use_bn']:
        head.bottleneck.norm.running_mean.set_data(nd.array(data['in_moving_mean']))
        for norm in (head.bottleneck.norm, head.bottleneck.unbiased):
            norm.running_var.set_data(nd.array(data['in_moving_variance']))
    with autograd.record(train_mode=param['is_training']):
        y = head(x)
    y.backward(nd.array(data['in_cotangent']), train_mode=param['is_training'])
    grad = x.grad.asnumpy().transpose(0, 2, 3, 1).reshape(data['grad_features'].shape)
    np.testing.assert_allclose(y.asnumpy(), data['out_embedding'], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(grad, data['grad_features'], rtol=1e-4, atol=1e-6)
    if 'out_moving_variance' in data:
        nd.waitall()
        head.settle()
        norm = head.bottleneck.norm
        np.testing.assert_allclose(norm.running_mean.data().asnumpy(), data['out_moving_mean'], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(norm.running_var.data().asnumpy(), data['out_moving_variance'], rtol=1e-5)


@needs_shared
def test_ranking_head_equals_the_original_s_recorded_embedding():
    data = np.load(SHARED / 'reference/ranking_regularizer/conv_embed_hard_11.npz')
    n, height, width, channels = data['in_features'].shape
    head = heads.get_head('two_head', 6)
    head.initialize()
    x = nd.array(np.ascontiguousarray(data['in_features'].transpose(0, 3, 1, 2)))
    head(x)
    w = data['in_weight'].reshape(height, width, channels, 6).transpose(3, 2, 0, 1)
    head.dense.weight.set_data(nd.array(np.ascontiguousarray(w).reshape(6, -1)))
    head.dense.bias.set_data(nd.array(data['in_bias']))
    np.testing.assert_allclose(head(x).asnumpy(), data['out_embeddings'], rtol=1e-5, atol=1e-6)
