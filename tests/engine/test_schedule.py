"""Schedules, optimizers and averages against closed formulas."""

import types

import numpy as np
import pytest

from core.errors import UserError
from core.runtime import autograd, gluon, mx, nd
from engine import optimizers, schedule


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
    plateau = schedule.Plateau(1.0, 0.5, patience=2)
    rates = [plateau.after_epoch(loss) for loss in (3.0, 3.0, 3.0)]
    again = schedule.Plateau(1.0, 0.5, patience=2)
    again.restore(plateau.state())
    rates += [again.after_epoch(loss) for loss in (3.0, 1.0, 1.0)]
    assert rates == [1.0, 1.0, 1.0, 0.5, 0.5, 0.5]


def test_early_stopping_counts_from_the_best():
    stopping = schedule.EarlyStopping(2)
    assert [stopping.after_epoch(loss) for loss in (2.0, 1.0, 1.5, 1.0)] == [False, False, False, True]


def test_average_is_weighted():
    average = schedule.Average()
    average.add(1.0, 3)
    assert average.add(5.0, 1) == 2.0


def test_tf_rmsprop_follows_its_definition():
    w, grads = np.array([1.0, -2.0]), [np.array([0.5, 1.0]), np.array([-1.0, 2.0]), np.array([3.0, 0.1])]
    parameter = gluon.Parameter('w', shape=(2,))
    parameter.initialize(init=mx.init.Constant(nd.array(w)))
    trainer = gluon.Trainer([parameter], 'tfrmsprop',
                            {'learning_rate': 0.1, 'decay': 0.9, 'momentum': 0.8, 'epsilon': 0.5})
    s, v = np.ones(2), np.zeros(2)
    for g in grads:
        with autograd.record():
            loss = (parameter.data() * nd.array(g)).sum()
        loss.backward()
        trainer.step(2)
        s = 0.9 * s + 0.1 * (g / 2) ** 2
        v = 0.8 * v + 0.1 * (g / 2) / np.sqrt(s + 0.5)
        w = w - v
    np.testing.assert_allclose(parameter.data().asnumpy(), w, rtol=1e-5)


def test_unknown_optimizer_lists_the_legal_ones():
    args = types.SimpleNamespace(optim='adma', lr=0.1, wd=0, momentum=0.9, epsilon=None)
    with pytest.raises(UserError, match='--optim=adma.*adam, sgd'):
        optimizers.settings(args)
