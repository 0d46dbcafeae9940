"""Docstrings of losses and samplers: one shape, examples that run, and the page that is generated from them."""

import doctest
import importlib
import inspect
import pathlib

import pytest

import losses
from scripts import loss_pages

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODULES = sorted(f'{folder}.{path.stem}' for folder in ('losses', 'samplers') for path in (ROOT / folder).glob('*.py')
                 if path.stem != '__init__')


@pytest.mark.parametrize('name', MODULES)
def test_examples_run(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize('loss', losses.LOSSES)
def test_a_loss_says_what_it_takes_gives_and_where_it_is_from(loss):
    doc = inspect.getdoc(losses.get_loss(loss))
    assert loss_pages.equations(doc)
    for title in ('Parameters', 'Inputs', 'Returns', 'Source'):
        assert loss_pages.section(doc, title), title
    assert '>>> ' in loss_pages.section(doc, 'Example')


def test_every_public_function_has_a_docstring():
    without = [f'{name}.{key}' for name in MODULES for key, value in vars(importlib.import_module(name)).items()
               if inspect.isfunction(value) and value.__module__ == name and key[0] != '_' and not value.__doc__]
    assert without == []


def test_public_functions_of_the_losses_are_annotated():
    without = [f'{name}.{key}' for name in MODULES if name.startswith('losses.')
               for key, value in vars(importlib.import_module(name)).items()
               if inspect.isfunction(value) and value.__module__ == name and key[0] != '_'
               and set(inspect.signature(value).parameters) | {'return'} != set(value.__annotations__)]
    assert without == []


def test_the_list_of_losses_is_current():
    assert loss_pages.PAGE.read_text() == loss_pages.render(), 'run python3 -m scripts.loss_pages'
