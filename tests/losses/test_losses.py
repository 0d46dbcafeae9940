"""Every registered loss: hybridizing, degenerate batches, invariances; the equations of half of them, as loops."""

import argparse

import numpy as np
import pytest

import datasets
import evaluation
import losses
import models
from commands import train_flags
from commands.parser import flags_of
from core.contracts import Batch, Out
from core.errors import UserError
from core.runtime import autograd, mx, nd
from losses import expansion, functional, mining, softmax_ranking
from tests.losses import equations

DIM, FEATURES, CLASSES = 6, 5, 16
# Beside its defaults, what else of a loss takes another path through the code.
VARIANTS = {
    'hphn_triplet': ['--n_inner_pts=0', '--n_inner_pts=3 --ee_l2norm=false', '--soft_margin --margin=0.2'],
    'lifted_structure': ['--n_inner_pts=2', '--n_inner_pts=1 --ee_l2norm=false'],
    'multi_similarity': ['--n_inner_pts=2', '--mining_margin=inf'],
    'softmax_ranking': ['--train_mode=hard', '--train_mode=hard --margin=soft', '--train_mode=hard --margin=none',
                        '--train_mode=semi_hard', '--train_mode=center'],
    'triplet_batchhard': ['--n_inner_pts=2', '--margin=0.3'],
    'triplet_semihard': ['--n_inner_pts=2'],
    'heated_softmax': ['--l2_norm --alpha=16', '--norm_weights --learn_norm --label_smoothing'],
    'margin': ['--lr_beta=0', '--nu=0.1'],
}
EVERY = [(name, flags) for name in losses.LOSSES for flags in ['', *VARIANTS.get(name, [])]]


def build(name, flags='', size=8):
    """A criterion from its own flags, initialised."""
    cls = losses.get_loss(name)
    parser = argparse.ArgumentParser(conflict_handler='resolve')
    parser.add_argument('--batch_size', default=size)
    parser.add_argument('--num_instances', default=2)
    parser.add_argument('--embed_dim', default=DIM)
    parser.add_argument('--epochs', default=60)
    cls.add_args(parser)
    mx.random.seed(3)
    criterion = cls.from_args(parser.parse_args(flags.split()), CLASSES)
    criterion.initialize()
    return criterion


def labels_for(name, size):
    """Two of each class: side by side, or as anchors and positives."""
    pairs = np.arange(size // 2)
    return np.tile(pairs, 2) if losses.get_loss(name).sampler == 'pairs' else np.repeat(pairs, 2)


def rows(size, seed=0, dim=DIM):
    x = np.random.RandomState(seed).randn(size, dim)
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def value_and_gradient(criterion, x, label, feature=None):
    """The loss as an array, the gradient of its sum for the embedding (or, without one, for the feature)."""
    np.random.seed(5)
    feature = rows(len(x), 1, FEATURES) if feature is None else feature
    triplets = mining.build_triplets(x, label, 2)
    x, feature = nd.array(x), nd.array(feature)
    x.attach_grad()
    feature.attach_grad()
    with autograd.record():
        loss = criterion(Out(x, feature), Batch(None, nd.array(label, dtype='int32'), None, triplets))
    loss.backward()
    return loss.asnumpy(), np.concatenate([x.grad.asnumpy().ravel(), feature.grad.asnumpy().ravel()])


@pytest.mark.parametrize('name,flags', EVERY)
def test_eager_equals_hybridized_for_two_batch_sizes_in_a_row(name, flags):
    criterion = build(name, flags)
    batches = [(rows(size, seed), labels_for(name, size)) for seed, size in enumerate((8, 12, 8))]
    eager = [value_and_gradient(criterion, x, label) for x, label in batches]
    criterion.hybridize(static_alloc=True)
    for (x, label), (value, grad) in zip(batches, eager):
        ours, ours_grad = value_and_gradient(criterion, x, label)
        np.testing.assert_allclose(ours, value, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(ours_grad, grad, rtol=1e-4, atol=1e-5 * np.abs(grad).max())
    assert max(np.abs(grad).max() for _, grad in eager) > 0


DEGENERATE = {
    'identical embeddings': (np.ones((8, DIM)) / DIM ** 0.5, None),
    'zero vectors': (np.zeros((8, DIM)), None),
    'one zero vector': (rows(8) * (np.arange(8) != 3)[:, None], None),
    'one class': (rows(8), np.zeros(8, int)),
    'no positive pair': (rows(8), np.arange(8)),
    'identical embeddings of one class': (np.ones((8, DIM)) / DIM ** 0.5, np.zeros(8, int)),
    'opposite embeddings': (np.repeat([[1.0], [-1.0]], 4, axis=0) * np.eye(1, DIM), None),
}


@pytest.mark.parametrize('case', DEGENERATE)
@pytest.mark.parametrize('name,flags', EVERY)
def test_degenerate_batches_are_finite(name, flags, case):
    x, label = DEGENERATE[case]
    label = labels_for(name, 8) if label is None else label
    value, grad = value_and_gradient(build(name, flags), x.astype(np.float32), label)
    assert np.isfinite(value).all() and np.isfinite(grad).all()


@pytest.mark.parametrize('name,flags', [(n, f) for n, f in EVERY if n not in ('margin', 'npair')])
def test_order_of_the_pairs_does_not_matter(name, flags):
    """margin draws at random, npair is told what the pairs are; everything else sees a set of pairs of neighbours."""
    criterion, x, label, feature = build(name, flags), rows(8), labels_for(name, 8), rows(8, 1, FEATURES)
    order = np.array([4, 5, 0, 1, 6, 7, 2, 3])
    value, grad = value_and_gradient(criterion, x, label, feature)
    moved, moved_grad = value_and_gradient(criterion, x[order], label[order], feature[order])
    np.testing.assert_allclose(moved.sum(), value.sum(), rtol=1e-5, atol=1e-6)
    cut = x.size
    np.testing.assert_allclose(moved_grad[:cut].reshape(8, -1), grad[:cut].reshape(8, -1)[order], rtol=1e-3, atol=1e-5)


def test_names_fold_and_unknown_ones_list_the_legal():
    assert losses.get_loss('HPHN-Triplet') is losses.LOSSES['hphn_triplet']
    with pytest.raises(UserError, match=r'--loss=hphn_triple.*Did you mean hphn_triplet'):
        losses.get_loss('hphn_triple')


@pytest.mark.parametrize('name', losses.LOSSES)
def test_no_flag_of_a_loss_hides_one_that_all_runs_have(name):
    """The parser lets a later flag replace an earlier one of the same name, so a clash would go unseen."""
    common = set().union(*(flags_of(module.add_args) for module in (datasets, models, train_flags, evaluation)))
    assert not (flags_of(losses.get_loss(name).add_args) & common) - {'-h', '--help'}


# ---- the equations

LABEL = np.array([0, 0, 1, 1, 1, 1, 2, 2])


def check(ours, equation, x, rtol=1e-4):
    """Value and gradient of ours(nd x) -> NDArray against equation(x) -> float."""
    v = nd.array(x)
    v.attach_grad()
    with autograd.record():
        loss = ours(v).sum()
    loss.backward()
    np.testing.assert_allclose(loss.asscalar(), equation(x.astype(np.float64)), rtol=1e-5, atol=1e-5)
    expected = equations.gradient(equation, x)
    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(v.grad.asnumpy(), expected, rtol=rtol, atol=rtol * np.abs(expected).max())


def applied(criterion, label=LABEL):
    return lambda v: criterion(Out(v, None), Batch(None, nd.array(label), None, None))


@pytest.mark.parametrize('n,l2_norm', [(0, True), (1, False), (2, True), (3, False)])
@pytest.mark.parametrize('margin,soft', [(1e-5, False), (0.3, False), (0.3, True)])
def test_hphn_triplet_counts_each_tied_negative(n, l2_norm, margin, soft):
    """The value is the equation's; its gradient takes the negative as often as the minimum is attained."""
    x = rows(8, 2)
    criterion = losses.get_loss('hphn_triplet')(n, l2_norm, margin, soft)
    expected = equations.hphn_triplet(x.astype(np.float64), LABEL, n, l2_norm, margin, soft)
    np.testing.assert_allclose(applied(criterion)(nd.array(x)).asnumpy(), expected, rtol=1e-5, atol=1e-5)
    fixed = equations.hphn_parts(x.astype(np.float64), LABEL, n, l2_norm)
    assert n == 0 or any(ties == 2 for _, _, ties in fixed)

    def slope(d_ap, d_an):
        return 1 / (1 + np.exp(d_an - d_ap)) if soft else float(d_ap - d_an + margin > 0)

    def counted(x):
        parts = equations.hphn_parts(x, LABEL, n, l2_norm)
        return sum(slope(a0, b0) * (a - ties * b) for (a, b, _), (a0, b0, ties) in zip(parts, fixed))

    v = nd.array(x)
    v.attach_grad()
    with autograd.record():
        loss = applied(criterion)(v)
    loss.backward()
    grad = equations.gradient(counted, x)
    np.testing.assert_allclose(v.grad.asnumpy(), grad, rtol=1e-4, atol=1e-4 * np.abs(grad).max())


@pytest.mark.parametrize('n,l2_norm', [(0, True), (1, False), (2, True)])
@pytest.mark.parametrize('margin', [0.2, 1.0])
def test_lifted_structure(n, l2_norm, margin):
    criterion = losses.get_loss('lifted_structure')(margin, n, l2_norm)
    check(applied(criterion), lambda x: equations.lifted_structure(x, LABEL, margin, n, l2_norm), rows(8, 3))


@pytest.mark.parametrize('n,l2_norm', [(0, True), (1, False), (2, True)])
@pytest.mark.parametrize('values', [(2, 50, 1, 0.1), (10, 1.2, 0.5, 0.1), (2, 50, 0.5, 0), (2, 5, 0.5, float('inf'))])
def test_multi_similarity(n, l2_norm, values):
    criterion = losses.get_loss('multi_similarity')(*values, n, l2_norm)
    check(applied(criterion), lambda x: equations.multi_similarity(x, LABEL, *values, n, l2_norm), rows(8, 4), 5e-4)


@pytest.mark.parametrize('margin', [0.2, 2.0, 'soft', 'none'])
def test_batch_hard_of_squared_distances(margin):
    check(lambda v: softmax_ranking.batch_hard(nd, v, nd.array(LABEL), margin).mean(),
          lambda x: equations.squared_batch_hard(x, LABEL, margin), rows(8, 5))


@pytest.mark.parametrize('margin', [0.2, 2.0])
def test_semi_hard_of_squared_distances(margin):
    pairs = mining.pairs_input(nd.array(LABEL))[0]
    check(lambda v: softmax_ranking.semi_hard(nd, v, nd.array(LABEL), margin, pairs),
          lambda x: equations.squared_semi_hard(x, LABEL, margin), rows(8, 6))


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


def test_heated_class_weights_have_variance_one_over_d():
    criterion = losses.get_loss('heated_softmax')(200, 100)
    criterion.initialize()
    weight = criterion.weight.data().asnumpy()
    assert weight.std() == pytest.approx(0.1, rel=0.02) and np.abs(weight).max() < 0.23


@pytest.mark.parametrize('mode,weight', [('vanilla', 1.0), ('hard', 0.5), ('semi_hard', 2.0), ('center', 0.003)])
def test_softmax_ranking_adds_the_weighted_terms(mode, weight):
    criterion = build('softmax_ranking', f'--train_mode={mode} --triplet_loss_lambda={weight}')
    x, feature = rows(8, 8), rows(8, 9, FEATURES)
    value, _ = value_and_gradient(criterion, x, LABEL, feature)
    weights, bias = (p.data().asnumpy() for p in (criterion.classifier.weight, criterion.classifier.bias))
    expected = equations.cross_entropy(feature, weights, bias, LABEL)
    if mode == 'hard':
        expected += 0.5 * equations.squared_batch_hard(x, LABEL, 0.2)
    elif mode == 'semi_hard':
        expected += 2.0 * equations.squared_semi_hard(x, LABEL, 0.2)
    elif mode == 'center':
        expected += 0.003 * equations.center(x, LABEL, criterion.centers.data().asnumpy())
    assert value[0] == pytest.approx(expected, rel=1e-5)


def test_centers_move_after_each_step_by_the_batches_since():
    criterion = build('softmax_ranking', '--train_mode=center')
    x, other = rows(8, 8), rows(8, 9)
    before = criterion.centers.data().asnumpy()
    value_and_gradient(criterion, x, LABEL)
    assert (criterion.centers.data().asnumpy() == before).all()
    criterion.after_step()
    expected = equations.moved_centers(x, LABEL, before, 0.5)
    np.testing.assert_allclose(criterion.centers.data().asnumpy(), expected, rtol=1e-5, atol=1e-6)
    assert (expected[3:] == before[3:]).all() and (expected[:3] != before[:3]).all()
    value_and_gradient(criterion, x, LABEL)           # two batches for one step, as --caffe_iter_size makes them
    value_and_gradient(criterion, other, LABEL)
    criterion.after_step()
    expected = equations.moved_centers(other, LABEL, equations.moved_centers(x, LABEL, expected, 0.5), 0.5)
    np.testing.assert_allclose(criterion.centers.data().asnumpy(), expected, rtol=1e-5, atol=1e-6)
    criterion.after_step()
    np.testing.assert_allclose(criterion.centers.data().asnumpy(), expected, rtol=1e-5, atol=1e-6)


def test_the_softmax_baseline_pays_for_no_second_head():
    assert build('softmax_ranking').head == 'pooled'
    assert build('softmax_ranking', '--train_mode=cntr').head == 'two_head'


# ---- kernels

def test_ties_share_the_gradient_equally():
    x = nd.array([[1, 3, 3, 2], [5, 5, 5, 5]])
    x.attach_grad()
    with autograd.record():
        top = functional.tied_max(nd, x, axis=1)
    top.backward(nd.array([1, 2]))
    assert top.asnumpy().tolist() == [3, 5]
    assert x.grad.asnumpy().tolist() == [[0, 0.5, 0.5, 0], [0.5, 0.5, 0.5, 0.5]]


def test_expanded_points_divide_the_segment_of_neighbours():
    x = np.array([[0, 0], [3, 6], [1, 1], [1, 4]], dtype=np.float32)
    points = expansion.expand(nd, nd.array(x), 2, l2_norm=False).asnumpy()
    assert points.tolist() == [[0, 0], [3, 6], [1, 1], [1, 4],
                               [1, 2], [2, 4], [1, 2], [1, 3],
                               [2, 4], [1, 2], [1, 3], [1, 2]]
    assert expansion.expand_labels(nd, nd.array([5, 5, 7, 7]), 2).asnumpy().tolist() == [5, 5, 7, 7] * 3


@pytest.mark.parametrize('l2_norm', [False, True])
def test_equal_points_have_bitwise_equal_distances(l2_norm):
    """The doubled gradient rests on it: the point at t from a is the point at 1 - t from its partner."""
    for size, dim, n in ((8, 4, 1), (30, 33, 2), (64, 64, 4), (128, 512, 2)):
        points = expansion.expand(nd, nd.array(rows(size, size, dim)), n, l2_norm)
        D = functional.euclidean_distances(nd, points, rows=len(points)).asnumpy()
        partner = np.arange(size) ^ 1
        for k in range(1, n + 1):
            assert (D[:, k * size:(k + 1) * size] == D[:, (n + 1 - k) * size + partner]).all()


def test_a_batch_that_does_not_pair_up_is_refused():
    with pytest.raises(UserError, match='--n_inner_pts=2.*--batch_size=7 is odd'):
        value_and_gradient(build('hphn_triplet'), rows(7), np.zeros(7, int))
    with pytest.raises(UserError, match='--num_instances=5 is odd'):
        expansion.check_batch(2, 70, 5)
    expansion.check_batch(0, 7, 5)


def test_flags_that_hphn_does_not_read_are_named():
    cls = losses.get_loss('hphn_triplet')
    parser = argparse.ArgumentParser()
    cls.add_args(parser)
    assert cls.notes(parser.parse_args([])) == []
    note, = cls.notes(parser.parse_args(['--alpha=10', '--sigma=0.5']))
    assert '--alpha, --sigma' in note and '--beta' not in note and 'multi_similarity' in note


@pytest.mark.parametrize('flags,message', [
    ('--train_mode=semi_hard --margin=soft', '--margin=soft does not fit --train_mode=semi_hard'),
    ('--train_mode=hard_awtl', '--train_mode=hard_awtl is unknown.*Did you mean hard'),
])
def test_ranking_modes_that_do_not_exist_are_refused(flags, message):
    with pytest.raises(UserError, match=message):
        build('softmax_ranking', flags)
