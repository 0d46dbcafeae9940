"""Every registered loss: hybridizing, degenerate batches, invariances, names and flags."""

import argparse

import numpy as np
import pytest

import datasets
import evaluation
import losses
import models
from commands import train_flags
from commands.parser import flags_of
from core.errors import UserError
from core.runtime import nd
from tests.losses.harness import CLASSES, DIM, EVERY, FEATURES, applied, build, labels_for, rows, value_and_gradient


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


@pytest.mark.parametrize('name,flags,message', [
    ('hdc', '--hdc_ratios=1,0.5 --hdc_dims=8,8,8', '--hdc_dims has 3 depths and --hdc_ratios 2'),
    ('hdc', '--hdc_ratios=1,0,0.2', '--hdc_ratios=1.0,0.0,0.2'),
    ('heated_softmax', '--learn_norm', '--learn_norm'),
    ('triplet_batchhard', '--margin=hard', 'neither a number from 0'),
])
def test_bad_flags_are_named(name, flags, message):
    with pytest.raises((UserError, SystemExit, argparse.ArgumentError), match=message):
        build(name, flags)


def test_flags_reach_the_losses():
    assert build('hdc', '--hdc_dims=8,16 --hdc_ratios=1,0.5').dims == [8, 16] and build('hdc').dims == [2, 2, 2]
    margin = build('margin', '--nu=0.1 --lr_beta=0.2 --beta=1.1 --margin=0.3')
    assert (margin.nu, margin.lr_beta, margin.margin, margin.beta.shape) == (0.1, 0.2, 0.3, (CLASSES,))
    assert build('triplet_batchhard').margin == 'soft' and build('triplet_batchhard', '--margin=1').margin == 1.0
    heated = build('heated_softmax', '--l2_norm --label_smoothing --alpha=16 --heat_up --nb_hu_epoch=9')
    assert heated.l2_norm and heated.label_smoothing == 0.1 and heated.alpha0 == 16 and heated.heat_up
    assert build('sst', '--normalized').head == 'l2' and build('sst').head == 'linear'
    assert build('npair', '--l2_reg=0.5 --n_inner_pts=2').n_inner_pts == 2
    with pytest.raises(UserError, match='--sampler=local'):
        applied(build('sst'))(nd.array(rows(8)))
