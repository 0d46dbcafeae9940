"""Command lines that need no network answer without the packages that a network needs."""

import os
import pathlib
import subprocess
import sys

import pytest

import main
from commands.cli import COMMANDS

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEAVY = set('mxnet gluoncv pandas faiss sklearn matplotlib cv2 scipy requests tensorboardX PIL'.split())


def start(code, *argv):
    return subprocess.run([sys.executable, '-c', code, *argv], cwd=ROOT, capture_output=True, text=True,
                          env=dict(os.environ, OMP_NUM_THREADS='1'))


@pytest.mark.parametrize('line', [
    '--help', '--version', 'help', '--loss=margin --dry_run', '--data_name=cub200 --loss=sst --dry_run', '--lr=abc',
    '--no_such_flag=1', '--loss=nothing', 'evaluate --help', 'evaluate /nowhere', 'embed /nowhere', 'prepare --help',
    'report --help', 'report /nowhere', 'evaluate', 'embed', 'export /nowhere', 'serve --index=/nowhere',
    'compare --losses=margin,npair --dry_run', 'rows cub200 --list', 'index --help',
    '--from=local_sampling --data Cub -a bninception --dry_run'])
def test_nothing_heavy_is_imported(line):
    done = start('import sys, main\ntry:\n    main.main(sys.argv[1:])\nexcept SystemExit:\n    pass\n'
                 'print("LOADED", *sorted(sys.modules))', *line.split())
    loaded = set(done.stdout.rpartition('LOADED')[2].split())
    assert loaded and not HEAVY & loaded, done.stderr


def test_the_help_of_every_command_imports_nothing_heavy():
    code = ('import sys, main\nfor name in sys.argv[1:]:\n    try:\n        main.main([name, "--help"])\n'
            '    except SystemExit:\n        pass\n    print("LOADED", name, *sorted(sys.modules))')
    lines = [line.split()[1:] for line in start(code, *COMMANDS).stdout.splitlines() if line.startswith('LOADED')]
    assert [line[0] for line in lines] == list(COMMANDS)
    assert {line[0]: HEAVY & set(line) for line in lines if HEAVY & set(line)} == {}


def test_a_report_needs_no_mxnet(tmp_path):
    assert main.main(['--loss=npair', '--data_name=glyphs', '--glyphs_classes=6', '--glyphs_instances=4',
                      '--batch_size=8', '--train_iters=1', '--gpu_idx=cpu', '--figures=false',
                      f'--save_dir={tmp_path / "run"}']) == 0
    done = start('import sys\nsys.modules["mxnet"] = None\nimport main\nsys.exit(main.main(sys.argv[1:]))', 'report',
                 str(tmp_path / 'run'))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / 'run' / 'report.html').stat().st_size > 1000
