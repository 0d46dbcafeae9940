"""Files that are whole or not there: one way to write a file, one to write and read a log of JSON lines."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import pathlib
import secrets
import tempfile
from collections.abc import Callable, Iterator
from typing import IO, Any

from core.errors import COPY, UserError


@contextlib.contextmanager
def open_atomic(path: str | pathlib.Path, mode: str = 'w', **options) -> Iterator[IO]:
    """A file to write that appears under `path` only when the block ends well.

    It is written beside `path`, flushed to the disk and renamed; what `path` held before stays until then, and stays
    for good when the block raises.

    Parameters
    ----------
    path : str or Path, the file to write; its folder is made when it is not there
    mode : 'w' (text, UTF-8) or 'wb'
    options : for `open`, such as newline=''

    Raises
    ------
    OSError : naming `path`, not the file beside it

    Example
    -------
    >>> import tempfile, pathlib
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> with open_atomic(folder / 'table.csv', newline='') as file:
    ...     _ = file.write('a,b')
    >>> [path.name for path in folder.iterdir()]
    ['table.csv']
    """
    target = pathlib.Path(os.path.realpath(path))
    aside = target.with_name(f'{target.name[:200]}.{secrets.token_hex(4)}.new')
    if 'b' not in mode:
        options.setdefault('encoding', 'utf-8')
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(aside, mode, **options) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, target)
        sync_folder(target.parent)
    except OSError as error:
        if error.filename in (None, str(aside)):
            error.filename = str(path)
        raise
    finally:
        with contextlib.suppress(OSError):
            os.remove(aside)


def write_atomic(path: str | pathlib.Path, content: str | bytes | Callable[[IO], Any]) -> pathlib.Path:
    """Write a whole file or leave what was there.

    Parameters
    ----------
    path : str or Path, the file to write
    content : str (written as UTF-8), bytes, or a function that writes into the binary file that it is given

    Returns
    -------
    Path : of the file

    Raises
    ------
    OSError : naming `path`; the file is then what it was

    Example
    -------
    >>> import tempfile, numpy, functools
    >>> path = write_atomic(tempfile.mkdtemp() + '/x.npz', functools.partial(numpy.savez, x=[1, 2]))
    >>> numpy.load(path)['x']
    array([1, 2])
    """
    if isinstance(content, str):
        content = content.encode('utf-8', 'surrogateescape')
    with open_atomic(path, 'wb') as file:
        content(file) if callable(content) else file.write(content)
    return pathlib.Path(path)


def write_json(path: str | pathlib.Path, value: Any) -> pathlib.Path:
    """Write a JSON file that people can read: sorted keys, one a line; what JSON does not know is written as text.

    Example
    -------
    >>> import tempfile
    >>> write_json(tempfile.mkdtemp() + '/a.json', {'b': 1, 'a': pathlib.Path('x')}).read_text()
    '{\\n "a": "x",\\n "b": 1\\n}\\n'
    """
    return write_atomic(path, json.dumps(value, indent=1, sort_keys=True, default=str) + '\n')


def read_json(path: str | pathlib.Path) -> dict:
    """The dict of a JSON file.

    Raises
    ------
    UserError : naming a file that is missing, damaged, or holds something else

    Example
    -------
    >>> import tempfile
    >>> read_json(write_json(tempfile.mkdtemp() + '/a.json', {'b': 1}))
    {'b': 1}
    """
    try:
        value = json.loads(pathlib.Path(path).read_text(encoding='utf-8'))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f'{path} is damaged or cannot be read ({error}). {COPY}') from error
    if not isinstance(value, dict):
        raise UserError(f'{path} is damaged: it holds no JSON object. {COPY}')
    return value


def sync_folder(folder: str | pathlib.Path) -> None:
    """Ask the disk to keep the names in a folder; a file system that cannot is left alone."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def check_writable(path: str | pathlib.Path, flag: str, folder: bool = False) -> None:
    """UserError, before any work is done, when a file or folder could not be written.

    Parameters
    ----------
    path : str or Path, what will be written
    flag : str, the flag that names another place, such as '--output'
    folder : whether a folder will be written

    Example
    -------
    >>> check_writable('/dev/null/x/y', '--output')
    Traceback (most recent call last):
    core.errors.UserError: /dev/null/x/y cannot be written: /dev/null is no folder. Fix: another --output
    """
    path = pathlib.Path(path).absolute()
    try:
        there = next(parent for parent in (path, *path.parents) if parent.exists())
        if there == path and not there.is_dir() and not folder:
            there = path.parent    # a file is replaced by one that is written beside it
        elif not there.is_dir() or (there == path and not folder):
            what = 'it is a folder' if there.is_dir() else f'{there} is no folder'
            raise UserError(f'{path} cannot be written: {what}. Fix: another {flag}')
        # permissions do not tell all of it: not on /proc, on a read-only mount, on an immutable folder
        tempfile.TemporaryDirectory(dir=there, prefix='.writable-').cleanup()
    except OSError as error:
        read_only = error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
        reason = f'{there} is read-only' if read_only else f'{error.strerror} in {there}'
        raise UserError(f'{path} cannot be written: {reason}. Fix: another {flag}') from error


def append_log(path: str | pathlib.Path, record: dict) -> None:
    """Append one line of JSON to a log; after a line that was cut off (a full disk) it starts a new one."""
    line = (json.dumps(record, default=str) + '\n').encode()
    with open(path, 'ab+', buffering=0) as file:
        if file.seek(0, os.SEEK_END) and (file.seek(-1, os.SEEK_END), file.read(1))[1] != b'\n':
            line = b'\n' + line
        size = file.seek(0, os.SEEK_END)
        if file.write(line) != len(line):    # a full disk takes the beginning and says nothing
            with contextlib.suppress(OSError):
                file.truncate(size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def read_log(path: str | pathlib.Path) -> list[dict]:
    """The records of a log of JSON lines.

    A line that a crash or a full disk cut off is left out, wherever it stands.

    Parameters
    ----------
    path : str or Path, the log; one that does not exist is empty

    Returns
    -------
    list of dict

    Example
    -------
    >>> import tempfile
    >>> log = pathlib.Path(tempfile.mkdtemp(), 'log.jsonl')
    >>> append_log(log, {'step': 1})
    >>> _ = log.write_text(log.read_text() + '{"step": 2, "lo')
    >>> read_log(log)
    [{'step': 1}]
    >>> append_log(log, {'step': 3})
    >>> read_log(log)
    [{'step': 1}, {'step': 3}]
    """
    path = pathlib.Path(path)
    records = []
    for line in path.read_text(encoding='utf-8', errors='replace').splitlines() if path.exists() else ():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            records.append(record)
    return records
