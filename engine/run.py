"""The folder of a run: what was asked for, what happened, what came out."""

import datetime
import json
import os
import pathlib
import platform
import subprocess
import sys

import tensorboardX

from core.errors import UserError

ROOT = pathlib.Path(__file__).resolve().parents[1]


def commit():
    """Commit of the code, with '-dirty' when files differ from it; 'unknown' outside a git checkout."""
    try:
        head = subprocess.run(['git', 'rev-parse', '--short=12', 'HEAD'], cwd=ROOT, capture_output=True, text=True,
                              check=True).stdout.strip()
        dirty = subprocess.run(['git', 'status', '--porcelain', '--untracked-files=no'], cwd=ROOT, capture_output=True,
                               text=True, check=True).stdout.strip()
        return head + ('-dirty' if dirty else '')
    except (OSError, subprocess.CalledProcessError):
        return 'unknown'


def environment(mx):
    """Versions and machine facts that a number depends on."""
    import numpy
    return {'python': platform.python_version(), 'mxnet': mx.__version__, 'numpy': numpy.__version__,
            'platform': platform.platform(), 'processor': platform.machine(),
            'processors': len(os.sched_getaffinity(0)), 'OMP_NUM_THREADS': os.environ.get('OMP_NUM_THREADS', '')}


class Run:
    """A run folder.

    Parameters
    ----------
    args : parsed flags; --save_dir says where, empty means runs/DATA-LOSS-TIME
    resume : True when the folder is continued and must exist already
    """

    def __init__(self, args, resume=False):
        name = f'{args.data_name}-{args.loss}-{datetime.datetime.now():%Y%m%d-%H%M%S}'
        self.folder = pathlib.Path(args.save_dir or pathlib.Path('runs', name))
        if not resume and (self.folder / 'args.json').exists():
            raise UserError(f'--save_dir={self.folder} already holds a run. Fix: --resume={self.folder} goes on with '
                            'it, '
                            'another --save_dir starts a new one')
        try:
            (self.folder / 'figures').mkdir(parents=True, exist_ok=True)
            if not resume:
                self.write_json('args.json', dict(vars(args), argv=sys.argv[1:]))
        except OSError as error:
            raise UserError(f'--save_dir={self.folder}: cannot write there ({error.strerror})') from error
        self.board = tensorboardX.SummaryWriter(str(self.folder / 'tensorboard'), flush_secs=10)

    def write_json(self, name, value):
        """Write a JSON file aside and rename it."""
        aside = self.folder / (name + '.new')
        aside.write_text(json.dumps(value, indent=1, sort_keys=True, default=str) + '\n')
        aside.replace(self.folder / name)

    def log(self, kind, **values):
        """Append one line to log.jsonl."""
        with open(self.folder / 'log.jsonl', 'a') as file:
            file.write(json.dumps(dict(kind=kind, **values)) + '\n')

    def rewind(self, iteration):
        """Drop log lines after `iteration` steps: training goes on from a checkpoint older than the log's end."""
        path = self.folder / 'log.jsonl'
        if not path.exists():
            return
        kept = [line for line in path.read_text().splitlines() if line and json.loads(line).get('step', 0) <= iteration]
        aside = self.folder / 'log.jsonl.new'
        aside.write_text(''.join(line + '\n' for line in kept))
        aside.replace(path)

    def close(self):
        """Flush TensorBoard."""
        self.board.close()


def read_log(folder):
    """List of dicts of log.jsonl (empty when there is none)."""
    path = pathlib.Path(folder) / 'log.jsonl'
    return [json.loads(line) for line in path.read_text().splitlines() if line] if path.exists() else []

