"""Commands that run commands: main.py once more, in a process of its own or in this one."""

import pathlib
import shlex
import signal
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
STOPPED = (130, 143, -signal.SIGINT, -signal.SIGTERM)


def onward(words, folder):
    """The words that go on with the training in a run folder; `words`, which begin it, where nothing can be resumed.

    A training that ended before its first checkpoint, such as on a full disk, begins anew.
    """
    from engine import checkpoint
    return [f'--resume={folder}'] if checkpoint.find(folder) else words


def call(words):
    """Run `main.py WORDS` in the project's folder. An interruption reaches it once, and it saves before it stops.

    Parameters
    ----------
    words : list of str, with absolute paths

    Returns
    -------
    int : its exit status; one of STOPPED after an interruption
    """
    print('python3 main.py ' + shlex.join(words), flush=True)
    child = subprocess.Popen([sys.executable, str(ROOT / 'main.py'), *words], cwd=ROOT)
    # a terminal sends SIGINT to both; SIGTERM comes to this process alone
    before = {signal.SIGINT: signal.signal(signal.SIGINT, lambda number, frame: None),
              signal.SIGTERM: signal.signal(signal.SIGTERM, lambda number, frame: child.send_signal(number))}
    try:
        return child.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def here(words):
    """Run `main.py WORDS` in this process, which spares its start: for hundreds of short trainings.

    Parameters
    ----------
    words : list of str, with absolute paths

    Returns
    -------
    int : its exit status; one of STOPPED after an interruption

    Raises
    ------
    UserError : what the command refuses
    """
    from commands import cli
    print('python3 main.py ' + shlex.join(words), flush=True)
    before, sys.argv = sys.argv, [sys.argv[0], *words]       # a run folder keeps its command line
    try:
        return cli.run(list(words))
    finally:
        sys.argv = before
