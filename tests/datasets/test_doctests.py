"""The examples in datasets/ run as they are written."""

import doctest
import importlib
import pkgutil

import pytest

import datasets


@pytest.mark.parametrize('name', [module.name for module in pkgutil.walk_packages(datasets.__path__, 'datasets.')]
                         + ['datasets'])
def test_examples(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0
