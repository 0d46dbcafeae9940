"""Errors that a user can act on."""

from __future__ import annotations

import difflib
import errno
import os
import pathlib
from collections.abc import Iterable
from typing import Any

from core.text import printable

ROOT = pathlib.Path(__file__).resolve().parents[1]


def fold(name) -> str:
    """A name as it is compared: lower case, `-` as `_`.

    >>> fold('CUB-200-2011')
    'cub_200_2011'
    """
    return str(name).lower().replace('-', '_')


ADVICE = ('Fix:', 'Legal values:', 'Legal keys:', 'Help:')      # words of a message that says what to do
COPY = 'Fix: copy it again from where it was written, or make it anew'      # of a damaged file


class UserError(ValueError):
    """Bad input. main.py prints the message alone, without a traceback, and exits with status 2."""


def advised(error: BaseException | str, fix: str) -> str:
    """The message of an error, with what to do unless it says so itself.

    Parameters
    ----------
    error : a UserError, or its message, from a place that knows what is wrong but not what a user can do
    fix : what a user can do, without a full stop

    Example
    -------
    >>> advised(UserError('a.txt lists nothing'), 'copy it again')
    'a.txt lists nothing. Fix: copy it again'
    >>> advised(UserError('k=0. Legal values: from 1'), 'copy it again')
    'k=0. Legal values: from 1'
    """
    said = str(error)
    return said if any(word in said for word in ADVICE) else f'{said.rstrip(".")}. Fix: {fix}'


def explain(error: BaseException) -> str | None:
    """The sentence for an error that comes from outside the program; None for a fault of the program itself.

    Parameters
    ----------
    error : what was raised: bad input, a file or folder that cannot be used, a missing package, too little memory

    Example
    -------
    >>> explain(PermissionError(13, 'Permission denied', '/photos/x'))
    '/photos/x: Permission denied. Fix: give another folder, or change its permissions'
    >>> explain(ModuleNotFoundError('No module named cv2', name='cv2'))
    'the package cv2 is not installed. Fix: bash scripts/setup.sh'
    >>> explain(ZeroDivisionError()) is None
    True
    """
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, ModuleNotFoundError) and not _ours(error.name):
        return missing(error.name)
    if isinstance(error, OSError):
        what = error.strerror or str(error)
        where = f'{printable(os.fsdecode(error.filename))}: ' if isinstance(error.filename, (str, bytes)) else ''
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return (f'{where}the disk is full. What was saved before is intact. Fix: free some space, then go on with '
                    '--resume=RUN')
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return f'{where}{what}. Fix: give another folder, or change its permissions'
        return f'{where}{what}'
    if isinstance(error, MemoryError) or _memory(error):
        return ('there is not enough memory for this batch. Fix: a smaller --batch_size, --image_size or '
                '--n_inner_pts, or a smaller --backbone; --caffe_iter_size=N adds up N small batches')
    return None


def missing(package: str) -> str:
    """The sentence for a package that is not installed."""
    return f'the package {package.split(".")[0]} is not installed. Fix: bash scripts/setup.sh'


def _ours(module):
    """Whether a module that was not found would be one of this project."""
    top = str(module).split('.')[0]
    return (ROOT / top).is_dir() or (ROOT / (top + '.py')).exists()


def _memory(error):
    """Whether MXNet, which raises one class for everything, says that memory ran out."""
    text = str(error).lower()
    return type(error).__name__ == 'MXNetError' and any(
        words in text for words in ('out of memory', 'bad_alloc', 'memory allocation', 'failed to allocate',
                                    'malloc failed', 'cudamalloc', 'std::length_error', 'exceeds the limit'))


def pick(kind: str, name: str, table: dict) -> Any:
    """table[name], or a UserError that lists close matches and every legal name; see pick_name."""
    return table[pick_name(kind, name, table)]


def pick_name(kind: str, name: str, table: Iterable[str]) -> str:
    """The key of `table` that `name` means, or a UserError that lists close matches and every legal name.

    `-` and `_` are equal and case does not matter. `kind` is the flag or thing that was asked for, as in `--loss`.
    """
    folded = {fold(key): key for key in table}
    key = folded.get(fold(name))
    if key is not None:
        return key
    close = difflib.get_close_matches(fold(name), folded, n=3, cutoff=0.5)
    hint = f' Did you mean {" or ".join(folded[c] for c in close)}?' if close else ''
    legal = sorted(table)
    shown = ', '.join(legal) if len(legal) <= 60 else ', '.join(legal[:60]) + f', ... ({len(legal)} names)'
    raise UserError(f'{kind}={name} is unknown.{hint} Legal values: {shown}')
