"""`python3 main.py` works without activating anything: it goes on in the .venv that scripts/setup.sh made."""

from __future__ import annotations

import importlib.util
import os
import pathlib
import sys


def enter_virtual_environment(module: str | None = None) -> None:
    """Replace this process by the .venv's Python when this Python has no MXNet and there is a .venv that has.

    module : name of the module that `python3 -m` runs, None for a script
    """
    python = pathlib.Path(__file__).resolve().parents[1] / '.venv' / 'bin' / 'python'
    if importlib.util.find_spec('mxnet') is not None:
        return
    what = ['-m', module] if module else [sys.argv[0]]
    try:
        if not os.path.lexists(python.parents[1]) or pathlib.Path(sys.prefix).resolve() == python.parents[1].resolve():
            return
        os.execv(str(python), [str(python)] + what + sys.argv[1:])
    except OSError as error:
        sys.exit(f'error: {python} cannot be run ({error.strerror}). Fix: bash scripts/setup.sh')
