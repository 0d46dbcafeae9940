"""Imports run one way: every folder may use what is below it and nothing else."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]

# folder -> folders whose modules it may import; a module name instead of a folder allows that module alone
MAY_IMPORT = {
    'core': (),
    'recipes': (),
    'losses': ('core',),
    'datasets': ('core',),
    'evaluation': ('core',),
    'models': ('core', 'datasets'),     # datasets: the reading of pictures, for models.load
    'samplers': ('core', 'losses.mining', 'losses.functional'),
    'engine': ('core', 'datasets', 'models'),
    'serving': ('core', 'datasets', 'models', 'evaluation', 'engine.inference'),
    'commands': ('core', 'recipes', 'losses', 'datasets', 'evaluation', 'models', 'samplers', 'engine', 'serving'),
    'main.py': ('core', 'commands'),
}
OURS = {name.removesuffix('.py') for name in MAY_IMPORT} | {'tests', 'scripts', 'examples'}


def imported(path):
    """Dotted names of our modules that a file imports, also inside functions."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [f'{node.module}.{alias.name}' for alias in node.names]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return [name for name in names if name.split('.')[0] in OURS]


def allowed(name, folder):
    own = folder.removesuffix('.py')
    return any(name == part or name.startswith(part + '.') for part in (own, *MAY_IMPORT[folder]))


def files(folder):
    return [ROOT / folder] if folder.endswith('.py') else sorted((ROOT / folder).rglob('*.py'))


@pytest.mark.parametrize('folder', sorted(MAY_IMPORT))
def test_imports_run_one_way(folder):
    upward = {str(path.relative_to(ROOT)): [name for name in imported(path) if not allowed(name, folder)]
              for path in files(folder)}
    assert {path: names for path, names in upward.items() if names} == {}


def test_there_is_no_circle():
    order, left = [], {folder: {part.split('.')[0] for part in parts} for folder, parts in MAY_IMPORT.items()}
    while left:
        free = [folder for folder, parts in left.items() if parts <= set(order)]
        assert free, f'a circle among {sorted(left)}'
        order += free
        left = {folder: parts for folder, parts in left.items() if folder not in free}


def test_every_folder_with_code_has_its_line():
    found = {path.parent.relative_to(ROOT).parts[0] for path in ROOT.glob('*/__init__.py')}
    assert found <= set(MAY_IMPORT) | {'tests', 'scripts', 'examples'}
