"""The folder of a run: what was asked for, what happened, what came out."""

import contextlib
import datetime
import fcntl
import functools
import json
import os
import pathlib
import platform
import shlex
import shutil
import socket
import subprocess
import time

from core.errors import UserError
from core.files import append_log, read_json, read_log, write_atomic, write_json
from engine import board, checkpoint

ROOT = pathlib.Path(__file__).resolve().parents[1]
WAITING = 100000    # log lines that wait for space before the oldest are given up


@functools.cache
def commit():
    """Commit of the code, with '-dirty' when files differ from it, those of docs/ aside, where results are written;
    'unknown' outside a git checkout. Asked once: what changes later is not the code that runs."""
    def git(*words):
        return subprocess.run(['git', *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    try:
        changed = git('status', '--porcelain', '--untracked-files=no', '--', '.', ':(exclude)docs')
        return git('rev-parse', '--short=12', 'HEAD') + ('-dirty' if changed else '')
    except (OSError, subprocess.CalledProcessError):
        return 'unknown'


def environment(mx):
    """Versions and machine facts that a number depends on."""
    import numpy
    return {'python': platform.python_version(), 'mxnet': mx.__version__, 'numpy': numpy.__version__,
            'platform': platform.platform(), 'processor': platform.machine(),
            'processors': len(os.sched_getaffinity(0)), 'OMP_NUM_THREADS': os.environ.get('OMP_NUM_THREADS', '')}


def new_folder(parent, name):
    """Make and return parent/NAME-TIME; of several in one second, each gets a folder of its own."""
    stem = f'{name}-{datetime.datetime.now():%Y%m%d-%H%M%S}'
    for number in range(1, 1000):
        folder = pathlib.Path(parent, stem if number == 1 else f'{stem}-{number}')
        with contextlib.suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder
    raise UserError(f'{parent} already holds 999 runs called {stem}. Fix: --save_dir')


class Run:
    """A run folder that this process alone writes.

    Parameters
    ----------
    folder : path; made when it is not there
    settings : dict of the flags in effect, for args.json and for every checkpoint
    argv : words of the command line
    resumed : whether the run goes on; `rewind` then says from where
    new : whether the folder was made for this run a moment ago

    Raises
    ------
    UserError : the folder holds a run already, another process writes it, or it cannot be written
    """

    def __init__(self, folder, settings, argv=(), resumed=False, new=False):
        self.folder, self.pending, self.warned, self.lock = pathlib.Path(folder), [], False, None
        self.settings, self.argv, self.history, self.words = dict(settings), list(argv), [], list(argv)
        self.before = set(os.listdir(self.folder)) if self.folder.is_dir() and not new else None
        self.lacking = [parent for parent in self.folder.absolute().parents if not parent.exists()]
        if not resumed:
            checkpoint.check_unused(self.folder)
        try:
            (self.folder / 'figures').mkdir(parents=True, exist_ok=True)
            self.lock = lock(self.folder)
            if not resumed:    # what a start left that never came to a checkpoint
                for path in self.folder.glob('tensorboard/events.*'):
                    path.unlink()
                (self.folder / 'log.jsonl').unlink(missing_ok=True)
                self.record(None)
        except OSError as error:
            if self.lock is not None:
                os.close(self.lock)
            raise UserError(f'--save_dir={self.folder}: cannot write there ({error.strerror}). Fix: another '
                            '--save_dir') from error
        self.board = board.Board(str(self.folder / 'tensorboard'))

    def record(self, state):
        """Write args.json: the flags in effect, the first command line (argv) and `history`, one entry for each time
        that the run went on with other flags.

        state : None for a new run, else that of the checkpoint from which this one goes on
        """
        before, path = {}, self.folder / 'args.json'
        if state is not None and path.exists():
            before = read_json(path)
            self.argv, self.history = told(before, path)
        same = {'resume', 'save_dir', 'dry_run', 'argv', 'history', 'allow_pickle'}
        changed = {key: [before.get(key), value] for key, value in self.settings.items()
                   if before and key not in same and json.dumps(before.get(key), default=str)
                   != json.dumps(value, default=str)}
        if changed:
            self.history = [*self.history, {'epoch': state['epoch'], 'iteration': state['iteration'],
                                            'argv': self.words, 'changed': changed}]
        write_json(path, dict(self.settings, argv=self.argv, history=self.history))

    @property
    def command(self):
        """The command lines that lead to this run: the first, and those that went on with other flags."""
        first = list(map(str, self.argv))
        if self.history and not any(word.startswith('--save_dir') for word in first):
            first.append(f'--save_dir={self.folder}')
        return ' && '.join(shlex.join(['python3', 'main.py', *map(str, argv)])
                           for argv in (first, *(entry['argv'] for entry in self.history)))

    def write_json(self, name, value):
        """Write a JSON file, whole or not at all."""
        return write_json(self.folder / name, value)

    def log(self, kind, **values):
        """Append one line to log.jsonl. What a full disk refuses waits for the next line."""
        self.pending = (self.pending + [dict(kind=kind, **values)])[-WAITING:]
        self.write_pending()

    def write_pending(self):
        """Write the lines that wait."""
        try:
            while self.pending:
                append_log(self.folder / 'log.jsonl', self.pending[0])
                self.pending.pop(0)
            self.warned = False
        except OSError as error:
            if not self.warned:
                print(f'note: log.jsonl cannot be written ({error.strerror}); its lines wait in memory', flush=True)
            self.warned = True

    def rewind(self, state):
        """Drop what was logged after a checkpoint: training goes on from there and logs it once more.

        state : the checkpoint's, with 'epoch', 'iteration' and 'time'
        """
        path = self.folder / 'log.jsonl'
        if path.exists():
            kept = [line for line in read_log(path) if line.get('step', 0) <= state['iteration']]
            write_atomic(path, ''.join(json.dumps(line) + '\n' for line in kept))
        board.rewind(self.folder / 'tensorboard', state.get('time', time.time()), keep=self.board.file)
        self.record(state)

    def flush(self):
        """Bring every point to the disk."""
        self.write_pending()
        self.board.flush()

    def discard(self):
        """Remove what a start that failed before the first step has made, and nothing else."""
        self.close()
        if checkpoint.find(self.folder) or (self.folder / 'log.jsonl').exists():
            return
        if self.before is None:
            shutil.rmtree(self.folder, ignore_errors=True)
        for path in self.folder.iterdir() if self.before is not None else ():
            if path.name not in self.before:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        with contextlib.suppress(OSError):      # somebody else has put something there
            for parent in self.lacking:
                parent.rmdir()

    def close(self):
        """Bring every point to the disk and let others write the folder."""
        self.write_pending()
        self.board.close()
        if self.lock is not None:
            with contextlib.suppress(OSError):
                os.truncate(self.lock, 0)
            os.close(self.lock)
        self.lock = None


def told(args, path):
    """(argv, history) of a run's args.json. UserError when they are not what `Run.record` wrote."""
    argv, history = args.get('argv', []), args.get('history', [])
    lines = [argv] + [entry.get('argv') if isinstance(entry, dict) else None
                      for entry in (history if isinstance(history, list) else [None])]
    if not all(isinstance(words, list) and all(isinstance(word, str) for word in words) for words in lines):
        raise UserError(f'{path} is damaged: argv and history are no command lines. Fix: remove the file')
    return argv, history


def lock(folder):
    """An open file (its number) that holds the right to write a run folder until it is closed or the process ends.

    Raises UserError when another process has it.
    """
    path = pathlib.Path(folder, '.lock')
    held = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(held)
        raise UserError(f'{folder} is being written by another process ({path.read_text().strip() or "unknown"}). '
                        'Fix: wait for it, stop it, or give another --save_dir') from None
    except OSError:
        return held    # a file system without locks
    os.truncate(held, 0)
    os.write(held, f'process {os.getpid()} on {socket.gethostname()}\n'.encode())
    return held
