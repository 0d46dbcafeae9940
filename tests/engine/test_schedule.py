"""Schedules, optimizers and averages against closed formulas."""

import numpy as np
import pytest

from core.errors import UserError
from core.runtime import autograd, gluon, mx, nd
from engine import forms, optimizers, schedule


def test_multifactor_iteration_applies_the_factor_after_the_step():
    at = schedule.multifactor_iteration(1.0, 0.5, [10, 20])
    assert [at(i) for i in (0, 10, 11, 20, 21)] == [1.0, 1.0, 0.5, 0.5, 0.25]


def test_multifactor_epoch_applies_the_factor_at_the_step():
    at = schedule.multifactor_epoch(0.1, 0.5, [12, 14])
    assert [at(e) for e in (11, 12, 13, 14)] == [0.1, 0.05, 0.05, 0.025]


def test_poly_is_linear_and_then_constant():
    at = schedule.poly(1.0, 0.2, 10)
    np.testing.assert_allclose([at(0), at(5), at(10), at(99)], [1.0, 0.6, 0.2, 0.2], rtol=1e-12)


def test_plateau_halves_after_more_than_patience_bad_epochs_and_restores():
    plateau, rates = schedule.get_schedule('plateau', 1.0, factor=0.5, patience=2), []
    for loss in (3.0, 3.0, 3.0, 3.0, 1.0, 1.0):
        again = schedule.get_schedule('plateau', 1.0, factor=0.5, patience=2)
        again.restore(plateau.state())
        again.after_epoch(loss)
        plateau = again
        rates.append(plateau.lr(None))
    assert rates == [1.0, 1.0, 1.0, 0.5, 0.5, 0.5]


def rates(name, lengths, **options):
    """Learning rate of every iteration of epochs of these lengths."""
    falling, found = schedule.get_schedule(name, 1.0, epochs=len(lengths), **options), []
    for epoch, steps in enumerate(lengths):
        for step in range(steps):
            found.append(falling.lr(schedule.Position(len(found), epoch, step, steps)))
    return found


def test_iteration_schedules_equal_their_formulas_where_epochs_are_equally_long():
    stepped = rates('multifactor_iteration', [3, 3, 3], factor=0.5, decay_epochs=[1, 2])
    assert stepped == [1] * 4 + [0.5] * 3 + [0.25] * 2
    np.testing.assert_allclose(rates('poly', [3, 3]), 1 - np.arange(6) / 6, rtol=1e-12)
    np.testing.assert_allclose(rates('poly', [3, 3], train_iters=4, end_lr=0.2), [1, 0.8, 0.6, 0.4, 0.2, 0.2])
    assert rates('multifactor_epoch', [2, 2], decay_epochs=[1]) == [1, 1, 0.5, 0.5]
    assert rates('constant', [2]) == [1, 1]


def test_where_epochs_differ_in_length_poly_ends_with_the_last_and_steps_stay_at_their_epochs():
    np.testing.assert_allclose(rates('poly', [4, 2]), [1, 0.875, 0.75, 0.625, 0.5, 0.25], rtol=1e-12)
    assert rates('multifactor_iteration', [2, 3, 1], factor=0.5, decay_epochs=[1]) == [1, 1, 1, 0.5, 0.5, 0.5]


def test_early_stopping_counts_from_the_best():
    stopping = schedule.EarlyStopping(2)
    assert [stopping.after_epoch(loss) for loss in (2.0, 1.0, 1.5, 1.0)] == [False, False, False, True]
    assert stopping.reached and not schedule.EarlyStopping(0).reached


def test_average_is_weighted():
    average = schedule.Average()
    average.add(1.0, 3)
    assert average.add(5.0, 1) == 2.0


def trained(name, constants, grads, rates=(0.1, 0.1, 0.02), size=2):
    """Weights after three steps of an optimizer from (1, -2), the gradient divided by `size`."""
    parameter = gluon.Parameter('w', shape=(2,))
    parameter.initialize(init=mx.init.Constant(nd.array([1.0, -2.0])))
    trainer = gluon.Trainer([parameter], forms.create(name, constants))
    for g, rate in zip(grads, rates):
        with autograd.record():
            loss = (parameter.data() * nd.array(g)).sum()
        loss.backward()
        trainer.set_learning_rate(rate)
        trainer.step(size)
    return parameter.data().asnumpy()


GRADS = [np.array([0.5, 1.0]), np.array([-1.0, 2.0]), np.array([3.0, 0.1])]


@pytest.mark.parametrize('clip', [None, 0.3])
def test_tf_rmsprop_follows_its_definition(clip):
    w, s, v = np.array([1.0, -2.0]), np.ones(2), np.zeros(2)
    for g, rate in zip(GRADS, (0.1, 0.1, 0.02)):
        g = (g / 2 if clip is None else np.clip(g / 2, -clip, clip)) + 0.01 * w
        s = 0.9 * s + 0.1 * g ** 2
        v = 0.8 * v + rate * g / np.sqrt(s + 0.5)
        w = w - v
    constants = {'decay': 0.9, 'momentum': 0.8, 'epsilon': 0.5, 'wd': 0.01, 'clip_gradient': clip}
    found = trained('tfrmsprop', constants, GRADS)
    np.testing.assert_allclose(found, w, rtol=1e-5)


def test_a_new_rate_acts_on_the_velocity_in_tensorflow_and_not_in_mxnet():
    w, a = np.array([1.0, -2.0]), np.zeros(2)
    inside, b = w.copy(), np.zeros(2)
    for g, rate in zip(GRADS, (0.1, 0.1, 0.02)):
        a = 0.9 * a + g / 2 + 0.01 * w
        w = w - rate * a
        b = 0.9 * b - rate * (g / 2 + 0.01 * inside)
        inside = inside + b
    constants = {'momentum': 0.9, 'wd': 0.01}
    np.testing.assert_allclose(trained('tfmomentum', constants, GRADS), w, rtol=1e-5)
    np.testing.assert_allclose(trained('sgd', constants, GRADS), inside, rtol=1e-5)
    assert np.abs(w - inside).max() > 0.01


def test_torch_adam_follows_its_definition():
    w, m, v = np.array([1.0, -2.0]), np.zeros(2), np.zeros(2)
    for t, (g, rate) in enumerate(zip(GRADS, (0.1, 0.1, 0.02)), 1):
        g = g / 2 + 0.01 * w
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g ** 2
        w = w - rate / (1 - 0.9 ** t) * m / (np.sqrt(v / (1 - 0.999 ** t)) + 1e-3)
    np.testing.assert_allclose(trained('torchadam', {'epsilon': 1e-3, 'wd': 0.01}, GRADS), w, rtol=1e-5)


def test_every_optimizer_can_be_made_with_every_constant_that_flags_set():
    for name in optimizers.OPTIMIZERS:
        moved = trained(*optimizers.settings(name, 0.1, 0.01, 0.8, epsilon=1e-3, grad_clip=0.3), GRADS)
        assert np.isfinite(moved).all() and (moved != [1.0, -2.0]).all(), name


def test_a_paper_names_the_form_of_its_framework():
    constants = {'sgd': {'form': 'tfmomentum', 'momentum': 0.5}}
    assert optimizers.settings('sgd', 0.1, constants=constants) == (
        'tfmomentum', {'learning_rate': 0.1, 'wd': 0.0, 'momentum': 0.5})
    assert optimizers.settings('adam', 0.1, constants=constants)[0] == 'adam'
    assert constants['sgd']['form'] == 'tfmomentum'


def test_unknown_optimizer_lists_the_legal_ones():
    with pytest.raises(UserError, match='--optim=adma.*adam, sgd'):
        optimizers.settings('adma')
    with pytest.raises(UserError, match='--lr=1e.300'):
        optimizers.settings('sgd', 1e300)
