"""What a loss refuses in one sentence instead of computing something else."""

import argparse
from types import SimpleNamespace

import numpy as np
import pytest

import losses
import samplers
from core.contracts import Batch, Out
from core.errors import UserError
from core.runtime import nd
from losses import expansion
from losses.heated_softmax import HeatedSoftmax
from losses.margin import Margin
from losses.npair import NPair
from losses.softmax_ranking import SoftmaxRanking

EVERY = [(loss, sampler) for loss, kind in losses.LOSSES.items() for sampler in kind.samplers]


def flags_of(loss, sampler, *words):
    parser = argparse.ArgumentParser(conflict_handler='resolve')
    parser.add_argument('--loss')
    samplers.add_args(parser)
    losses.get_loss(loss).add_args(parser)
    samplers.get_sampler(sampler).add_args(parser)
    return parser.parse_args(['--loss=' + loss, '--sampler=' + sampler, *words])


@pytest.mark.parametrize('loss,sampler', EVERY)
def test_batches_of_one_class_are_refused_where_the_loss_compares_classes(loss, sampler):
    modes = ('vanilla', 'center', 'hard', 'semi_hard') if loss == 'softmax_ranking' else (None,)
    for mode in modes:
        words = ['--train_mode=' + mode] if mode else []
        has_k = 'num_instances' in vars(flags_of(loss, sampler))
        words += ['--batch_size=8', '--num_instances=8'] if has_k else ['--batch_size=2']
        args = flags_of(loss, sampler, *words)
        needed = losses.get_loss(loss).needs_negatives(args)
        assert needed == (loss != 'heated_softmax' and mode not in ('vanilla', 'center'))
        if needed and (has_k or sampler == 'pairs'):
            with pytest.raises(UserError, match=f'one class.*--loss={loss}.*Fix: --batch_size=(16|4)'):
                samplers.check_negatives(args, needed)
        else:
            samplers.check_negatives(args, needed)
        if has_k:
            samplers.check_negatives(flags_of(loss, sampler, *words, '--num_instances=4'), needed)


@pytest.mark.parametrize('make', [lambda: Margin(4), lambda: HeatedSoftmax(4, 3), lambda: SoftmaxRanking(4, 3)])
@pytest.mark.parametrize('label', [[0, 1, 2, 4], [0, 1, 2, -1]])
def test_a_label_without_weights_is_refused(make, label):
    criterion = make()
    criterion.initialize()
    batch = Batch(None, nd.array(label, dtype='int32'), None, None)
    with pytest.raises(UserError, match='num_classes=4, labels 0 to 3'):
        criterion(Out(nd.ones((4, 3)), nd.ones((4, 3))), batch)


def test_losses_without_weights_take_any_label():
    loss = NPair()
    loss.initialize()
    batch = Batch(None, nd.array([7, 900, 7, 900], dtype='int32'), None, None)
    assert np.isfinite(loss(Out(nd.ones((4, 3)), None), batch).asscalar())


def test_synthetic_points_beyond_the_memory_are_refused_with_the_number_that_fits():
    with pytest.raises(UserError, match='--n_inner_pts=10000 makes 1,280,128 points.*52,439 GB.*has 16. Fix: '
                                        '--n_inner_pts=173 or less'):
        expansion.check_memory(10000, 128, memory=16e9)
    expansion.check_memory(173, 128, memory=16e9)
    with pytest.raises(UserError, match='174'):
        expansion.check_memory(174, 128, memory=16e9)
    with pytest.raises(UserError, match='--n_inner_pts=100000'):
        losses.get_loss('hphn_triplet').from_args(SimpleNamespace(
            n_inner_pts=100000, batch_size=128, num_instances=32, ee_l2norm=True, margin=0, soft_margin=False), 4)
