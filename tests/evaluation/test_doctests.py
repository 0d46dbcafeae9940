"""The examples in the docstrings of evaluation/ are true, and its public functions have one shape of docstring."""

import ast
import doctest
import importlib
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODULES = sorted('.'.join(path.relative_to(ROOT).with_suffix('').parts).removesuffix('.__init__')
                 for path in (ROOT / 'evaluation').rglob('*.py'))


@pytest.mark.parametrize('name', MODULES)
def test_examples_hold(name):
    found = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.failed == 0


@pytest.mark.parametrize('name', MODULES)
def test_public_functions_say_what_they_take(name):
    path = ROOT / (name.replace('.', '/') + '.py')
    tree = ast.parse((path if path.exists() else path.with_suffix('') / '__init__.py').read_text())
    nodes = [node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))]
    lacking = [node.name for node in nodes if not node.name.startswith('_') and not ast.get_docstring(node)]
    assert not lacking
