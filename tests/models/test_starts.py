"""Initial weights, decay of moving averages and multipliers: what a paper's recipe chooses."""

import argparse
import types

import numpy as np
import pytest

import models
from core.gluon_internals import options
from core.runtime import autograd, gluon, mx, nd
from models import heads


@pytest.mark.parametrize('name, deviation, largest', [
    ('xavier', (4 / 600 / 3) ** .5, (4 / 600) ** .5), ('glorot_uniform', (6 / 600 / 3) ** .5, (6 / 600) ** .5),
    ('caffe_uniform', (3 / 400 / 3) ** .5, (3 / 400) ** .5), ('torch_linear', (1 / 400 / 3) ** .5, 400 ** -.5),
    ('he_truncated', (2 / 400) ** .5, 2 * (2.6 / 400) ** .5)])
def test_initial_weights_have_the_spread_and_the_bounds_of_their_formula(name, deviation, largest):
    """400 inputs, 200 outputs."""
    mx.random.seed(1)
    net = models.build('convnet', 200, 'linear', image_size=32, head_init=name)
    dense = heads.Bottleneck(200, init=name).dense
    dense.initialize()
    dense(nd.zeros((1, 400)))
    weight = dense.weight.data().asnumpy()
    assert weight.std() == pytest.approx(deviation, rel=0.02)
    assert 0.98 * largest < np.abs(weight).max() <= largest * 1.0001
    bias = net.head.bottleneck.dense.bias.data().asnumpy()
    assert (np.abs(bias).max() > 0.9 / 16) == (name == 'torch_linear') and np.abs(bias).max() <= 1 / 16


def test_the_trunk_starts_as_told():
    mx.random.seed(0)
    first = models.build('lenet', 2, 'linear', trunk_init='he_truncated').trunk.collect_params('.*conv0_weight')
    weight = next(iter(first.values())).data().asnumpy()
    assert weight.std() == pytest.approx((2 / 25) ** .5, rel=0.05)


def test_decays_of_moving_averages():
    net = models.build('mobilenet0.25', 4, 'bn', image_size=32, bn_decay=0.8, trunk_bn_decay=0.997)
    found = set()
    net.trunk.apply(lambda block: found.add(options(block)['momentum'])
                    if isinstance(block, gluon.nn.BatchNorm) else None)
    assert found == {0.997} and options(net.head.bottleneck.norm)['momentum'] == 0.8
    before = net.head.bottleneck.unbiased.running_var.data().asnumpy()
    with autograd.record():
        net(nd.random.uniform(0, 255, (4, 32, 32, 3))).embedding.sum().backward()
    net.settle()
    after = net.head.bottleneck.norm.running_var.data().asnumpy()
    assert (after != before).any() and (after > 0.8 - 1e-6).all()


def test_moving_variance_is_unbiased_over_steps_of_several_sizes():
    rng = np.random.RandomState(0)
    head = heads.get_head('bn', 3, bn_decay=0.9)
    head.initialize()
    head.hybridize(static_alloc=True)
    mean, variance = np.zeros(3), np.ones(3)
    for n in (6, 6, 2, 1):
        x = rng.randn(n, 4, 1, 1).astype(np.float32)
        with autograd.record():
            y = head(nd.array(x))
        y.backward()
        nd.waitall()
        z = x[:, :, 0, 0] @ head.bottleneck.dense.weight.data().asnumpy().T
        mean, variance = 0.9 * mean + 0.1 * z.mean(0), 0.9 * variance + 0.1 * z.var(0) * n / max(n - 1, 1)
    head.settle()
    norm = head.bottleneck.norm
    np.testing.assert_allclose(norm.running_mean.data().asnumpy(), mean, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(norm.running_var.data().asnumpy(), variance, rtol=1e-4)
    x = rng.randn(2, 4, 1, 1).astype(np.float32)
    z = x[:, :, 0, 0] @ head.bottleneck.dense.weight.data().asnumpy().T
    np.testing.assert_allclose(head(nd.array(x)).asnumpy(), (z - mean) / np.sqrt(variance + 1e-3), rtol=1e-3, atol=1e-5)


def test_multipliers_of_biases_and_a_frozen_head():
    net = models.build('convnet', 4, image_size=32, head_lr_mult=10, bias_lr_mult=2, bias_wd_mult=0)
    dense = net.head.bottleneck.dense
    assert (dense.weight.lr_mult, dense.bias.lr_mult) == (10, 20)
    assert (dense.weight.wd_mult, dense.bias.wd_mult) == (1, 0)
    assert models.build('convnet', 4, image_size=32, head_lr_mult=0).head.bottleneck.dense.weight.lr_mult == 0


def test_hdc_heads_have_the_layers_of_the_released_network():
    net = models.build('googlenet', head='hdc', dims=[4, 4, 4], head_init='caffe_uniform')
    shapes = [p.shape for name, p in net.head.collect_params().items() if name.endswith('weight')]
    assert shapes == [(128, 512, 1, 1), (1024, 2048), (4, 1024), (128, 528, 1, 1), (1024, 2048), (4, 1024), (4, 1024)]
    rates = []
    net.head.apply(lambda block: rates.append(block._rate) if isinstance(block, gluon.nn.Dropout) else None)
    assert rates == [0.7, 0.7, 0.4]


def flags(*argv):
    parser = argparse.ArgumentParser()
    models.add_args(parser)
    return parser.parse_args(argv)


def test_building_reads_flags_and_changes_none():
    args = flags('--backbone=convnet', '--pretrained=nowhere.params', '--head_init=torch_linear')
    args.image_size, before = 32, dict(vars(args), image_size=32)
    models.from_args(args, types.SimpleNamespace(head='linear', feature=None), restored=True)
    assert vars(args) == before


def test_resnet50_is_version_2_in_ranking_regularizer_s_spelling_alone():
    assert flags('--net=resnet50').backbone == flags('--net', 'ResNet50').backbone == 'resnet50_v2'
    assert flags('--backbone=resnet50').backbone == 'resnet50' and flags('--net=inc4').backbone == 'inc4'
