"""Modules that come when they are used."""

import subprocess
import sys

import pytest

from core.errors import UserError
from core.lazy import lazy

HEAVY = {'mxnet', 'pandas', 'faiss', 'sklearn', 'matplotlib', 'cv2', 'scipy', 'PIL', 'requests', 'tensorboardX'}


@pytest.mark.parametrize('module', ['core.runtime', 'losses', 'samplers', 'recipes', 'datasets', 'models',
                                    'evaluation.protocols', 'commands.train_flags'])
def test_flags_are_read_without_heavy_packages(module):
    code = f'import sys, {module}; print(*sorted(sys.modules))'
    loaded = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout.split()
    assert not HEAVY & set(loaded)


def test_what_is_set_on_a_lazy_module_is_set_in_the_module(monkeypatch):
    import colorsys
    monkeypatch.setattr(lazy('colorsys'), 'hue', 3, raising=False)
    assert colorsys.hue == 3
    monkeypatch.undo()
    assert not hasattr(colorsys, 'hue')


def test_a_package_that_is_not_installed_names_the_fix():
    with pytest.raises(UserError, match='nowhere is not installed. Fix: bash scripts/setup.sh'):
        _ = lazy('nowhere.at_all').thing


def test_a_loss_is_a_gluon_block_once_it_is_built():
    import losses
    from core.runtime import gluon
    criterion = losses.LOSSES['npair']()
    assert isinstance(criterion, gluon.HybridBlock) and isinstance(criterion, losses.LOSSES['npair'])
    assert type(criterion).__name__ == 'NPair' and type(losses.LOSSES['npair']()) is type(criterion)
