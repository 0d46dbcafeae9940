"""The examples in core/ run as they are written."""

import doctest
import importlib
import pkgutil

import pytest

import core


@pytest.mark.parametrize('name', [module.name for module in pkgutil.iter_modules(core.__path__)])
def test_examples(name):
    failed, _ = doctest.testmod(importlib.import_module('core.' + name))
    assert failed == 0
