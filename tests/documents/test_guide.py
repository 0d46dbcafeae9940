"""CONTRIBUTING.md: its diffs, applied as they are to a copy of the program, pass the tests that they concern."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
GUIDE = ROOT / 'CONTRIBUTING.md'
LEFT_OUT = ('.git', '.venv', 'runs', 'data', 'shared', '__pycache__', '.pytest_cache', '.ruff_cache', 'dist', 'build')
# What a contributor of a loss, a sampler or a data set is asked to run.
FILES = ['tests/losses', 'tests/samplers', 'tests/datasets/test_stripes.py', 'tests/datasets/test_facts.py',
         'tests/documents/test_docs.py', 'tests/recipes/test_defaults.py', 'tests/commands/test_cli.py',
         'tests/test_structure.py']
ABOUT = 'proxy_nca or by_class or stripes or test_facts or every_tag or belongs or structure'


@pytest.fixture(scope='module')
def copy(tmp_path_factory):
    """A copy of the program with the three diffs of the guide."""
    folder = tmp_path_factory.mktemp('guide') / 'program'
    shutil.copytree(ROOT, folder, ignore=lambda path, names: [
        name for name in names if name in LEFT_OUT and (pathlib.Path(path) == ROOT or name == '__pycache__')])
    diffs = re.findall(r'^```diff\n(.*?)^```', GUIDE.read_text(), flags=re.M | re.S)
    assert len(diffs) == 3
    if shutil.which('git') is None:
        pytest.skip('git is not installed')
    for diff in diffs:
        done = subprocess.run(['git', 'apply', '-'], cwd=folder, input=diff, text=True, capture_output=True,
                              env={**os.environ, 'GIT_CEILING_DIRECTORIES': str(folder.parent)})
        assert done.returncode == 0, f'{done.stderr}\n{diff}'
    return folder


def run(folder, *words):
    """Output of a Python module that must succeed in a folder."""
    done = subprocess.run([sys.executable, '-m', *words], cwd=folder, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    return done.stdout


def test_the_diffs_are_in_style(copy):
    pytest.importorskip('ruff')
    run(copy, 'ruff', 'check', *re.findall(r'^\+\+\+ b/(.*)', GUIDE.read_text(), flags=re.M))


def test_the_diffs_pass_the_tests_that_they_concern(copy):
    out = run(copy, 'pytest', '-o', 'addopts=', '-p', 'no:cacheprovider', *FILES, '-k', ABOUT)
    assert int(re.search(r'(\d+) passed', out)[1]) >= 20, out[-2000:]


def test_what_the_guide_adds_is_used_by_name(copy):
    out = run(copy, 'main', '--loss=heated_softmax', '--sampler=by_class', '--data_name=stripes', '--dry_run')
    assert '"sampler": "by_class"' in out and '"data_name": "stripes"' in out
