"""Softmax with a ranking regulariser: its terms, its centres, its classifier."""

import argparse

import numpy as np
import pytest

import losses
from core.errors import UserError
from core.runtime import nd
from losses import mining, softmax_ranking
from tests.losses import equations
from tests.losses.harness import FEATURES, NEIGHBOURS, build, check, rows, value_and_gradient


@pytest.mark.parametrize('margin', [0.2, 2.0, 'soft', 'none'])
def test_batch_hard_of_squared_distances(margin):
    check(lambda v: softmax_ranking.batch_hard(nd, v, nd.array(NEIGHBOURS), margin).mean(),
          lambda x: equations.squared_batch_hard(x, NEIGHBOURS, margin), rows(8, 5))


@pytest.mark.parametrize('margin', [0.2, 2.0])
def test_semi_hard_of_squared_distances(margin):
    pairs = mining.pairs_input(nd.array(NEIGHBOURS))[0]
    check(lambda v: softmax_ranking.semi_hard(nd, v, nd.array(NEIGHBOURS), margin, pairs),
          lambda x: equations.squared_semi_hard(x, NEIGHBOURS, margin), rows(8, 6))


def test_semi_hard_compares_a_single_class_with_zero():
    x = rows(6, 7)
    pairs = mining.pairs_input(nd.zeros(6))[0]
    ours = softmax_ranking.semi_hard(nd, nd.array(x), nd.zeros(6), 0.2, pairs).asscalar()
    assert ours == pytest.approx(equations.squared_semi_hard(x, [0] * 6, 0.2), rel=1e-5)
    assert ours > 1


def test_still_centers_stay_and_moving_ones_move():
    x, label = rows(8), np.arange(8) % 3
    for flags, moves in (('--centers=still', False), ('', True)):
        criterion = build('softmax_ranking', '--train_mode=center ' + flags)
        before = criterion.centers.data().asnumpy()
        value_and_gradient(criterion, x, label)
        criterion.after_step()
        assert (criterion.centers.data().asnumpy() != before).any() == moves


@pytest.mark.parametrize('backbone,flags,std', [
    ('resnet50_v2', '', (2 / 400) ** 0.5), ('mobilenet1.0', '', 0.09 * 0.88),
    ('mobilenet1.0', '--classifier_std=0.01', 0.0088)])
def test_classifier_starts_from_a_truncated_normal(backbone, flags, std):
    cls = losses.get_loss('softmax_ranking')
    parser = argparse.ArgumentParser()
    parser.set_defaults(embed_dim=4, backbone=backbone)
    cls.add_args(parser)
    criterion = cls.from_args(parser.parse_args(flags.split()), 50)
    criterion.initialize()
    criterion.classifier(nd.ones((1, 400)))
    weight = criterion.classifier.weight.data().asnumpy()
    assert weight.std() == pytest.approx(std, rel=0.02) and np.abs(weight).max() < 2.3 * std


@pytest.mark.parametrize('mode,weight', [('vanilla', 1.0), ('hard', 0.5), ('semi_hard', 2.0), ('center', 0.003)])
def test_softmax_ranking_adds_the_weighted_terms(mode, weight):
    criterion = build('softmax_ranking', f'--train_mode={mode} --triplet_loss_lambda={weight}')
    x, feature = rows(8, 8), rows(8, 9, FEATURES)
    value, _ = value_and_gradient(criterion, x, NEIGHBOURS, feature)
    weights, bias = (p.data().asnumpy() for p in (criterion.classifier.weight, criterion.classifier.bias))
    expected = equations.cross_entropy(feature, weights, bias, NEIGHBOURS)
    if mode == 'hard':
        expected += 0.5 * equations.squared_batch_hard(x, NEIGHBOURS, 0.2)
    elif mode == 'semi_hard':
        expected += 2.0 * equations.squared_semi_hard(x, NEIGHBOURS, 0.2)
    elif mode == 'center':
        expected += 0.003 * equations.center(x, NEIGHBOURS, criterion.centers.data().asnumpy())
    assert value[0] == pytest.approx(expected, rel=1e-5)


def test_centers_move_after_each_step_by_the_batches_since():
    criterion = build('softmax_ranking', '--train_mode=center')
    x, other = rows(8, 8), rows(8, 9)
    before = criterion.centers.data().asnumpy()
    value_and_gradient(criterion, x, NEIGHBOURS)
    assert (criterion.centers.data().asnumpy() == before).all()
    criterion.after_step()
    expected = equations.moved_centers(x, NEIGHBOURS, before, 0.5)
    np.testing.assert_allclose(criterion.centers.data().asnumpy(), expected, rtol=1e-5, atol=1e-6)
    assert (expected[3:] == before[3:]).all() and (expected[:3] != before[:3]).all()
    value_and_gradient(criterion, x, NEIGHBOURS)           # two batches for one step, as --caffe_iter_size makes them
    value_and_gradient(criterion, other, NEIGHBOURS)
    criterion.after_step()
    expected = equations.moved_centers(other, NEIGHBOURS, equations.moved_centers(x, NEIGHBOURS, expected, 0.5), 0.5)
    np.testing.assert_allclose(criterion.centers.data().asnumpy(), expected, rtol=1e-5, atol=1e-6)
    criterion.after_step()
    np.testing.assert_allclose(criterion.centers.data().asnumpy(), expected, rtol=1e-5, atol=1e-6)


def test_the_softmax_baseline_pays_for_no_second_head():
    assert build('softmax_ranking').head == 'pooled'
    assert build('softmax_ranking', '--train_mode=cntr').head == 'two_head'


@pytest.mark.parametrize('flags,message', [
    ('--train_mode=semi_hard --margin=soft', '--margin=soft does not fit --train_mode=semi_hard'),
    ('--train_mode=hard_awtl', '--train_mode=hard_awtl is unknown.*Did you mean hard'),
])
def test_ranking_modes_that_do_not_exist_are_refused(flags, message):
    with pytest.raises(UserError, match=message):
        build('softmax_ranking', flags)
