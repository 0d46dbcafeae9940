"""Reading the lists of benchmarks: whatever is wrong with one, the error names the file and the line."""

import functools
import json
import os
import pathlib
import subprocess
import sys

import numpy as np

from core.errors import UserError
from core.text import printable

READER = pathlib.Path(__file__).with_name('matlab.py')
PATIENCE = 300      # seconds for a MATLAB file; the largest of a benchmark takes two


class Missing(UserError):
    """A file of the benchmark is not in the folder."""


class Rows(list):
    """Rows of a list, each a list of str, that know where they stand.

    Attributes
    ----------
    path : the file
    lines : number of each row in it
    word : what that number counts, 'line' or 'entry'
    """

    def __init__(self, rows, path, lines, word='line'):
        super().__init__(rows)
        self.path, self.lines, self.word = path, lines, word

    def error(self, row, message):
        """UserError that names the file and the line of a row."""
        return UserError(f'{printable(self.path)}, {self.word} {self.lines[row]}: {message}')

    def take(self, index):
        """The rows `index`, in that order."""
        return Rows([self[k] for k in index], self.path, [self.lines[k] for k in index], self.word)

    def integers(self, column):
        """int64 (N,) of a column."""
        return self._convert([column], int, np.int64, 'a whole number')[:, 0]

    def floats(self, *columns):
        """float32 (N, columns), finite."""
        return self._convert(columns, float, np.float32, 'a number')

    def _convert(self, columns, kind, dtype, wanted):
        out = np.empty((len(self), len(columns)), dtype=dtype)
        with np.errstate(over='ignore'):
            for k, row in enumerate(self):
                for j, column in enumerate(columns):
                    try:
                        if isinstance(row[column], (list, dict, bool)):
                            raise TypeError
                        value = kind(row[column])
                        if value != row[column] and not isinstance(row[column], str):
                            raise ValueError
                        out[k, j] = value
                        good = np.isfinite(out[k, j])
                    except (ValueError, TypeError, OverflowError):
                        good = False
                    if not good:
                        raise self.error(k, f'{printable(row[column])[:80]!r} where {wanted} is expected')
        return out

    def paths(self, column, prefix=''):
        """[prefix + path] of a column; each must stay below the folder of the data set."""
        for k, row in enumerate(self):
            path = row[column]
            if (not isinstance(path, str) or not path or '\0' in path or path.startswith('/')
                    or '..' in path.split('/')):
                raise self.error(k, f'{printable(path)[:80]!r} is no path of an image inside the folder')
        return [prefix + row[column] for row in self]


def find(root, *names):
    """The first of `names` (relative paths) that exists below root, as a Path; Missing if none does."""
    for name in names:
        path = pathlib.Path(root, name)
        if path.exists():
            return path
    raise Missing(f'{" or ".join(names)} is not in {printable(root)}')


def inner(root, marker, *folders):
    """(base, prefix): the folder that holds the file `marker`, one of root/folders or root; prefix leads from root."""
    base = find(root, *[f'{folder}/{marker}' for folder in folders], marker).parent
    relative = base.relative_to(root).as_posix()
    return base, '' if relative == '.' else relative + '/'


def table(path, columns, header=0, separator=None):
    """Rows of a list that is separated by blanks; the last column keeps its blanks.

    Parameters
    ----------
    path : Path
    columns : how many each line has
    header : lines at the head that are skipped
    separator : None for blanks, or a character
    """
    rows, lines = [], []
    try:
        with open(path, encoding='utf-8-sig', errors='surrogateescape', newline='\n') as file:
            for number, line in enumerate(file, 1):
                if number <= header or not line.strip():
                    continue
                row = [value.strip() for value in line.strip().split(separator, columns - 1)]
                if len(row) != columns:
                    raise UserError(f'{printable(path)}, line {number}: expected {columns} columns, found {len(row)}: '
                                    f'{printable(line.strip())[:80]!r}')
                rows.append(row)
                lines.append(number)
    except OSError as error:
        raise Missing(f'{printable(path)} cannot be read: {error.strerror}') from error
    if not rows:
        raise UserError(f'{printable(path)} lists nothing')
    return Rows(rows, path, lines)


def keyed(path, columns, ids):
    """Rows of a list whose first column is a key, in the order of `ids`; UserError when a key is missing or doubled."""
    rows = table(path, columns)
    found = {}
    for k, row in enumerate(rows):
        before = found.setdefault(row[0], k)
        if before != k and rows[before] != row:
            raise rows.error(k, f'{printable(row[0])} has another line already, {rows.lines[before]}')
    lost = [key for key in ids if key not in found]
    if lost:
        raise UserError(f'{printable(path)} has no line for {len(lost)} of {len(ids)} images, such as '
                        f'{printable(lost[0])}')
    return rows.take([found[key] for key in ids])


def names_of(rows):
    """{whole number: name} of rows `number name`."""
    return dict(zip(rows.integers(0).tolist(), (printable(row[1]) for row in rows)))


def load_mat(path):
    """{variable: value} of a MATLAB file.

    Arrays and cells become lists, structs {field: list}. SciPy's reader can bring down its process on a damaged file:
    it works in one of its own.
    """
    try:
        status = os.stat(path)
    except OSError as error:
        raise Missing(f'{printable(path)} cannot be read: {error.strerror}') from error
    return _load_mat(str(path), status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=8)     # each protocol of a set reads the same files
def _load_mat(path, size, time):
    try:
        done = subprocess.run([sys.executable, '-I', str(READER), path], capture_output=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        raise UserError(f'{printable(path)} is damaged: it is not read to its end in {PATIENCE} seconds') from None
    if done.returncode:
        lines = done.stderr.decode('utf-8', 'replace').strip().splitlines()
        reason = lines[-1] if lines else f'the reader ended with status {done.returncode}'
        raise UserError(f'{printable(path)} is damaged: {printable(reason)}')
    return json.loads(done.stdout)


def entries(path, **columns):
    """Rows of lists that stand beside each other in a MATLAB file, one entry for each value."""
    lengths = {name: len(values) for name, values in columns.items() if isinstance(values, list)}
    if len(lengths) != len(columns) or len(set(lengths.values())) != 1 or 0 in lengths.values():
        found = ', '.join(f'{name} with {lengths.get(name, "no")} values' for name in columns)
        raise UserError(f'{printable(path)} must hold lists of one length; found {found}')
    rows = [list(row) for row in zip(*columns.values())]
    return Rows(rows, path, range(1, len(rows) + 1), 'entry')


def load_json(path):
    """A JSON file; UserError names it, and the line, when it is damaged."""
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except OSError as error:
        raise Missing(f'{printable(path)} cannot be read: {error.strerror}') from error
    except (ValueError, RecursionError) as error:
        raise UserError(f'{printable(path)} is damaged: {error}') from error


def folder_names(path):
    """Sorted names of the folders in a folder; hidden ones are left out."""
    try:
        with os.scandir(path) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith('.'))
    except OSError as error:
        raise Missing(f'{printable(path)} cannot be read: {error.strerror}') from error


def image_files(folder, suffixes=('.jpg', '.jpeg', '.png', '.bmp', '.webp')):
    """Sorted image file names of one folder."""
    return sorted(entry.name for entry in os.scandir(folder)
                  if entry.name.lower().endswith(suffixes) and not entry.name.startswith('.') and entry.is_file())
