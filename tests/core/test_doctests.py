"""The examples in core/ run as they are written."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import core


@pytest.mark.parametrize('name', [module.name for module in pkgutil.iter_modules(core.__path__)])
def test_examples(name):
    failed, _ = doctest.testmod(importlib.import_module('core.' + name))
    assert failed == 0


@pytest.mark.parametrize('name', [module.name for module in pkgutil.iter_modules(core.__path__)])
def test_public_functions_say_what_they_do_and_return(name):
    module = importlib.import_module('core.' + name)
    functions = [one for one in vars(module).values() if inspect.isfunction(one) and one.__module__ == module.__name__
                 and not one.__name__.startswith('_') and '<locals>' not in one.__qualname__]
    assert [one.__name__ for one in functions if not one.__doc__ or 'return' not in one.__annotations__] == []
