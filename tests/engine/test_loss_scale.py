"""--loss_scale: a factor on the loss that the update takes back, and steps that are left out."""

import argparse
import types

import numpy as np
import pytest

from core.files import read_log
from core.gluon_internals import named_parameters
from core.runtime import nd
from engine import loss_scale
from engine.loss_scale import LossScale
from tests.engine.test_resume import batches, check, train, what_is_left

MARGIN = ['--loss=margin', *batches('pk', 'margin')]


def test_halved_where_it_overflows_and_doubled_after_many_steps():
    scale = LossScale('dynamic')
    assert [scale.after(good) for good in (True, False, False)] == [True, False, False]
    assert scale.state() == {'value': 2.0 ** 14, 'good': 0, 'left_out': 2}
    for _ in range(loss_scale.PATIENCE):
        scale.after(True)
    assert scale.value == 2.0 ** 15
    for _ in range(100):
        scale.after(False)
    assert scale.value == loss_scale.SMALLEST
    fixed = LossScale(8.0)
    fixed.after(False)
    fixed.restore({'value': 4.0, 'good': 3, 'left_out': 5})
    assert fixed.value == 8.0 and fixed.stats() == {'loss_scale': 8.0, 'steps_left_out': 5}


def test_a_gradient_with_one_infinite_number_does_not_pass():
    gradients = [nd.ones((3, 2)) for _ in range(250)]
    parameter = types.SimpleNamespace(list_grad=lambda: gradients)
    scale = LossScale('dynamic')
    assert scale.passes([parameter])
    gradients[220][1, 0] = np.inf
    assert not scale.passes([parameter]) and scale.left_out == 1
    assert LossScale(None).passes([parameter]) and not LossScale(None).stats()


def test_a_power_of_two_changes_no_bit(tmp_path):
    plain, scaled = (what_is_left(train(tmp_path / name, [*MARGIN, *words]))
                     for name, words in (('plain', []), ('scaled', ['--loss_scale=dynamic'])))
    for name, array in plain.items():
        np.testing.assert_array_equal(scaled[name], array, err_msg=name)


@pytest.mark.parametrize('gathered', (1, 2))
def test_overflowing_steps_are_left_out_and_a_resumed_run_goes_on_with_the_scale(tmp_path, monkeypatch, gathered):
    monkeypatch.setattr(loss_scale, 'finite', lambda arrays: all(array.abs().max().asscalar() < 65504
                                                                 for array in arrays))    # where float16 ends
    monkeypatch.setattr(loss_scale, 'START', 2.0 ** 20)
    words = [*MARGIN, '--loss_scale=dynamic', f'--caffe_iter_size={gathered}', '--optim=sgd']
    check(tmp_path, words, end=5)
    steps = [line for line in read_log(tmp_path / 'whole/log.jsonl') if line['kind'] == 'step']
    left_out = [line['steps_left_out'] for line in steps]
    assert left_out[0] == 2 - gathered and 1 <= left_out[-1] < len(steps) // gathered
    assert steps[-1]['loss_scale'] == 2.0 ** (20 - left_out[-1])
    assert steps[-1]['loss'] != steps[0]['loss'] and all(np.isfinite(line['loss']) for line in steps)


def test_a_step_that_is_left_out_moves_nothing(tmp_path, monkeypatch):
    words = [*MARGIN, '--loss_scale=8', '--optim=sgd']
    start = weights(train(tmp_path / 'still', [*words, '--lr=0', '--lr_beta=1e-30']))
    moved = weights(train(tmp_path / 'moved', words))
    monkeypatch.setattr(loss_scale, 'finite', lambda arrays: False)
    trainer = train(tmp_path / 'left_out', words)
    assert trainer.scale.left_out == trainer.state['iteration'] > 3
    assert not trainer.update.description()[0]['num_update']
    for name, array in weights(trainer).items():
        np.testing.assert_array_equal(array, start[name], err_msg=name)
        assert not np.array_equal(array, moved[name]), name


def weights(trainer):
    """What has a gradient."""
    found = {**named_parameters(trainer.net), **named_parameters(trainer.criterion)}
    return {name: parameter.data().asnumpy() for name, parameter in found.items() if parameter.grad_req != 'null'}


@pytest.mark.parametrize('text', ('0', '1e30', 'nan', 'auto'))
def test_what_is_no_scale_is_refused(text):
    assert loss_scale.kind('dynamic') == 'dynamic' and loss_scale.kind('1024') == 1024.0
    with pytest.raises(argparse.ArgumentTypeError, match='out of range|not a'):
        loss_scale.kind(text)
