"""The package: one version, one list of requirements, usable from any folder."""

import pathlib
import re
import subprocess
import sys

import core

ROOT = pathlib.Path(__file__).resolve().parents[1]


def project():
    return (ROOT / 'pyproject.toml').read_text(encoding='utf-8')


def test_the_version_stands_in_one_place():
    assert re.fullmatch(r'\d+\.\d+\.\d+', core.__version__)
    assert 'version = { attr = "core.__version__" }' in project()
    assert f'version: {core.__version__}' in (ROOT / 'CITATION.cff').read_text(encoding='utf-8')
    newest = re.search(r'^## (\S+)', (ROOT / 'CHANGELOG.md').read_text(encoding='utf-8'), re.M).group(1)
    assert newest == core.__version__


def test_the_cpu_extra_is_the_cpu_runtime():
    extra = re.search(r'^cpu = \["(.*)"\]$', project(), re.M).group(1)
    assert extra in (ROOT / 'requirements-cpu.txt').read_text(encoding='utf-8').splitlines()


def test_every_folder_of_code_is_packaged():
    listed = set(re.findall(r'"(\w+)\*"', project().split('include =')[1].split(']')[0]))
    found = {path.parent.name for path in ROOT.glob('*/__init__.py')} - {'tests', 'scripts', 'examples'}
    assert found <= listed


def test_the_lock_pins_what_the_ranges_allow_with_hashes():
    lock = (ROOT / 'requirements-lock-cpu.txt').read_text(encoding='utf-8')
    pinned = {name.lower().replace('_', '-'): version for name, version in
              re.findall(r'^([A-Za-z0-9_.-]+)(?:\[.*\])?==(\S+)', lock, re.M)}
    wanted = [re.match(r'[A-Za-z0-9_.-]+', line).group(0).lower().replace('_', '-')
              for file in ('requirements-common.txt', 'requirements-cpu.txt')
              for line in (ROOT / file).read_text(encoding='utf-8').splitlines() if line and line[0] not in '#-']
    assert [name for name in wanted if name not in pinned] == []
    assert pinned['mxnet'] == '1.9.1' and pinned['numpy'] == '1.26.4'
    assert lock.count('--hash=sha256:') >= len(pinned)
    assert 'index-url' not in lock and 'http' not in re.sub(r'^ *#.*$', '', lock, flags=re.M)


def test_the_libraries_import_from_any_folder(tmp_path):
    code = f'import sys; sys.path.append({str(ROOT)!r}); import losses, evaluation; print(sorted(losses.LOSSES)[0])'
    done = subprocess.run([sys.executable, '-c', code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == 'contrastive'
