"""The two files beside an index's database: the lock of its writer, and the vectors."""

import contextlib
import fcntl
import os
import pathlib
import shlex
import sys
import zlib

import numpy as np

from core.errors import UserError


def take_lock(folder):
    """The open lock file of an index; closing it, or the end of the process, gives the lock back.

    Raises UserError, naming the process that holds it, when another one does.
    """
    try:
        file = open(pathlib.Path(folder, 'lock'), 'a+', encoding='utf-8')       # noqa: SIM115
    except OSError as error:
        raise UserError(f'{folder} cannot be written: {error.strerror}. '
                        'Fix: free some space, or another --index') from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        holder = file.read().strip() or 'another process'
        file.close()
        raise UserError(f'{folder} is being written by {holder}. Fix: wait for it or stop it, then run this '
                        'again') from None
    with contextlib.suppress(OSError):      # who holds it is a kindness: a full disk is no reason to stop here
        file.truncate(0)
        file.write(f'process {os.getpid()} ({shlex.join(sys.argv)[:200]})')
        file.flush()
    return file


class Vectors:
    """A file of float32 rows that is only ever appended to.

    Parameters
    ----------
    path : str or Path
    dim : numbers in a row
    rows : how many rows count; what the file holds beyond them was never acknowledged
    write : True opens it for `append`, and makes it where it is not there
    """

    def __init__(self, path, dim, rows, write=False):
        self.path, self.dim, self.rows = pathlib.Path(path), dim, rows
        self.width = 4 * dim
        self._file = open(self.path, 'a+b', buffering=0) if write else None      # noqa: SIM115

    def matrix(self, first=0, last=None):
        """float32 (n, D): the rows `first` to `last`, as a view of the file."""
        last = self.rows if last is None else last
        if last <= first:
            return np.zeros((0, self.dim), np.float32)
        view = np.memmap(self.path, np.float32, 'r', offset=first * self.width, shape=(last - first, self.dim))
        return np.asarray(view)         # as a plain array: a row of a memmap costs more than its checksum

    def damaged(self, checksums):
        """Those rows of `checksums`, an iterable of (row, checksum), that the file does not hold as written."""
        size = self.path.stat().st_size if self.path.exists() else 0
        whole = min(size // self.width, self.rows)
        data = self.matrix(0, whole)
        return [row for row, checksum in checksums if row >= whole or zlib.crc32(data[row]) != checksum]

    def append(self, vectors):
        """Write rows and flush them to the disk. They count once `rows` is raised."""
        data = memoryview(np.ascontiguousarray(vectors, np.float32)).cast('B') if len(vectors) else b''
        while data:
            data = data[self._file.write(data):]
        os.fsync(self._file.fileno())

    def cut(self, rows=None):
        """Drop what lies behind the rows that count."""
        self.rows = self.rows if rows is None else rows
        os.ftruncate(self._file.fileno(), self.rows * self.width)

    def copy(self, rows, path):
        """Write these rows of the file to another one, flushed to the disk."""
        data = self.matrix()
        with open(path, 'wb') as file:
            for start in range(0, len(rows), 4096):
                file.write(np.ascontiguousarray(data[rows[start:start + 4096]]))
            file.flush()
            os.fsync(file.fileno())

    def close(self):
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def checksum(vector):
    """CRC-32 of a row's bytes."""
    return zlib.crc32(np.ascontiguousarray(vector, np.float32))
