"""The warning about weight decay: against norms by hand, silent where it should be, and without effect on training."""

import types

import numpy as np
import pytest

import main
from core.runtime import autograd, gluon, mx, nd
from engine import checkpoint
from engine.decay import DecayWatch
from engine.update import Update

COMMON = ['--data_name=glyphs', '--glyphs_classes=4', '--glyphs_instances=4', '--batch_size=8', '--num_instances=4',
          '--loss=margin', '--epochs=2', '--figures=0', '--train_stats=0', '--num_workers=0', '--gpu_idx=cpu']


class Alone:
    """A criterion without parameters."""

    def own_optimizer(self):
        return None

    def _collect_params_with_prefix(self, prefix=''):
        return {}


def watched(optimizer, devices=1, workers=None, **constants):
    """(DecayWatch, Dense layer with the weight (3, 4), whose gradient is (8, 6) on each device)."""
    net, ctx = gluon.nn.Dense(1, use_bias=False, in_units=2), [mx.cpu(number) for number in range(devices)]
    net.initialize(ctx=ctx)
    net.weight.set_data(nd.array([[3, 4]]))
    update = Update(net, Alone(), (optimizer, {'learning_rate': 0.1, **constants}), workers=workers)
    with autograd.record():
        losses = [net(nd.array([[8, 6]], ctx=device)) for device in ctx]
    autograd.backward(losses)
    return DecayWatch(update), net


def test_what_several_devices_and_workers_have_is_counted_once():
    assert watched('sgd', devices=2, wd=0.5)[0].norms(4) == pytest.approx((5, 2.5))    # each has that of its images
    watch, _ = watched('sgd', devices=2, workers=types.SimpleNamespace(size=2), wd=0.5)
    assert watch.norms(4) == pytest.approx((2.5, 2.5))                                 # each has that of all images


def test_norms_are_what_the_optimizer_sees():
    watch, net = watched('sgd', wd=0.5)
    assert watch.norms(4) == pytest.approx((2.5, 2.5))              # |(8, 6)| / 4 and 0.5 |(3, 4)|
    net.weight.wd_mult = 2
    assert watch.norms(1) == pytest.approx((10, 5))
    net.weight.lr_mult = 0                                          # never moves, so nothing can drown it
    assert watch.norms(1) == (0, 0)
    watch, _ = watched('adam', wd=0.5, clip_gradient=1.0)
    assert watch.norms(4) == pytest.approx((np.hypot(1, 1), 2.5))   # (2, 1.5) is clipped to (1, 1)


@pytest.mark.parametrize('optimizer, wd, n, words', (
    ('sgd', 0.5, 8, 'warning: over the first updates weight decay is stronger than the loss: --wd=0.5 adds a term of '
                    'norm 2.5 to a gradient of norm 1.25, so that weights shrink rather than learn. Fix: a smaller '
                    '--wd, such as 1e-02, or 0\n'),
    ('adam', 0.5, 2, ''), ('adam', 0, 8, ''), ('adagrad', 0.5, 8, ''), ('adadelta', 0.5, 8, '')))
def test_it_warns_once_after_a_hundred_updates(optimizer, wd, n, words, capsys):
    watch, _ = watched(optimizer, wd=wd)
    for number in range(1, 100):
        watch.look(number, n)
    assert capsys.readouterr().out == '' and len(watch.seen) in (0, 10)
    for number in range(100, 300):
        watch.look(number, n)
    watch.report()
    assert capsys.readouterr().out == words


def test_a_training_warns_at_its_end_and_learns_the_same(tmp_path, monkeypatch, capsys):
    def weights(name, *words):
        assert main.main([*COMMON, *words, f'--data_dir={tmp_path}/letters', f'--save_dir={tmp_path}/{name}']) == 0
        return nd.load(str(checkpoint.locate(tmp_path / name) / 'net.params')), capsys.readouterr().out
    drowned, said = weights('drowned', '--wd=0.5')
    assert said.count('weight decay is stronger') == 1 and '--wd=0.5 adds' in said
    assert 'weight decay' not in weights('free', '--wd=1e-6')[1]
    monkeypatch.setattr(DecayWatch, 'look', lambda *args: None)
    unwatched, said = weights('unwatched', '--wd=0.5')
    assert 'weight decay' not in said
    for name, array in drowned.items():
        np.testing.assert_array_equal(array.asnumpy(), unwatched[name].asnumpy(), err_msg=name)
