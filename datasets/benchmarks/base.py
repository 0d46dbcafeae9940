"""What is known about a benchmark (facts are data), and the parsed lists of one (parts)."""

import json
import os
import pathlib
from collections import namedtuple
from dataclasses import dataclass, field

import numpy as np

from core.errors import UserError

Count = namedtuple('Count', 'name part what value confidence source')
Count.__doc__ = """One number that the files must agree with.

name : data name, such as cub200_classification: one set has one name for each protocol
what : 'images', 'classes', 'query', 'gallery' of a part; 'pairs', 'folds' of the part 'pairs'
confidence : 'read' (seen in the named source: a mismatch is an error) or 'recalled' (a mismatch is a warning)
"""


def counts(name, source, confidence='read', **parts):
    """Counts of one data name: counts('cub200', 'paper X', train={'images': 5864, 'classes': 100}, ...)."""
    return tuple(Count(name, part, what, value, confidence, source)
                 for part, values in parts.items() for what, value in values.items())


class Missing(UserError):
    """A file of the benchmark is not in the folder."""


@dataclass(frozen=True)
class Archive:
    """A file that a benchmark is downloaded as.

    name : file name
    urls : mirrors, tried in this order; none: the user has to fetch the file (see Benchmark.manual)
    digests : accepted checksums, 'md5:...' or 'sha256:...'; one match is enough; none: no checksum is known
    size : bytes, or None
    unpack : False: the file itself is used and goes to `into`
    into : folder below the data set's root
    """
    name: str
    urls: tuple = ()
    digests: tuple = ()
    size: int = None
    unpack: bool = True
    into: str = ''


@dataclass(frozen=True)
class Benchmark:
    """A data set and its protocols; `read(root, name)` returns Parsed or raises Missing / UserError.

    sources : alternatives; each is the tuple of Archives that together make the data set
    protocols : data name -> protocol (see records.Data); the first name is that of the folder below data/
    aliases : other spelling -> data name
    manual : what the user has to fetch, and where from; '{root}' stands for the data set's folder
    max_bytes : what the unpacked files may take at most
    repeats : an image may be listed more than once (several products on one photo)
    """
    title: str
    protocols: dict
    read: object
    sources: tuple = ()
    counts: tuple = ()
    aliases: dict = field(default_factory=dict)
    manual: str = ''
    max_bytes: int = 20 * 2 ** 30
    repeats: bool = False

    @property
    def name(self):
        return next(iter(self.protocols))


@dataclass
class Part:
    """One part (train or test) as its lists say. Paths are relative to the data set's root.

    class_id int64 (N,); class_names: id -> name; query bool (N,) or None; boxes float32 (N, 4) x y w h or None;
    super_label int64 (N,) or None; images uint8 (N, H, W) when there are no image files (MNIST).
    """
    paths: list
    class_id: np.ndarray
    class_names: dict = field(default_factory=dict)
    query: np.ndarray = None
    boxes: np.ndarray = None
    super_label: np.ndarray = None
    images: np.ndarray = None

    def take(self, index):
        """The rows `index` (int array or bool mask)."""
        index = np.flatnonzero(index) if np.asarray(index).dtype == bool else np.asarray(index, dtype=np.int64)

        def rows(values):
            return None if values is None else values[index]
        return Part([self.paths[i] for i in index], self.class_id[index], self.class_names, rows(self.query),
                    rows(self.boxes), rows(self.super_label), rows(self.images))


@dataclass
class Parsed:
    """train and test Part (train None: evaluation only); pairs: dict of arrays a, b, same, fold, or None; lists: files
    whose change makes an index stale; notes: sentences for the user."""
    train: Part
    test: Part
    pairs: dict = None
    lists: list = field(default_factory=list)
    notes: list = field(default_factory=list)


def find(root, *names):
    """The first of `names` (relative paths) that exists below root, as a Path; Missing if none does."""
    for name in names:
        path = pathlib.Path(root, name)
        if path.exists():
            return path
    raise Missing('{} is not in {}'.format(' or '.join(names), root))


def inner(root, marker, *folders):
    """(base, prefix): the folder that holds the file `marker`, one of root/folders or root; prefix leads from root."""
    base = find(root, *[f'{folder}/{marker}' for folder in folders], marker).parent
    relative = base.relative_to(root).as_posix()
    return base, '' if relative == '.' else relative + '/'


def table(path, columns, header=0):
    """Rows of a blank-separated list; the last column keeps its blanks. UserError names the file and the line."""
    rows = []
    try:
        with open(path, encoding='utf-8', errors='surrogateescape') as lines:
            for number, line in enumerate(lines, 1):
                if number <= header or not line.strip():
                    continue
                row = line.strip().split(None, columns - 1)
                if len(row) != columns:
                    raise UserError(f'{path}, line {number}: expected {columns} columns, found {len(row)}: '
                                    f'{line.strip()[:80]!r}')
                rows.append(row)
    except OSError as error:
        raise Missing(f'{path} cannot be read: {error.strerror}') from error
    if not rows:
        raise UserError(f'{path} lists nothing')
    return rows


def numbers(values, path, kind=np.int64):
    """A column as an array; UserError names the list."""
    try:
        return np.array(values, dtype=kind)
    except (ValueError, OverflowError) as error:
        raise UserError(f'{path}: a number was expected: {error}') from error


def keyed(path, columns, ids, kind=str):
    """Columns 2.. of a list whose first column is a key, in the order of `ids`; UserError when a key is missing."""
    found = {row[0]: row[1:] for row in table(path, columns)}
    lost = [key for key in ids if key not in found]
    if lost:
        raise UserError(f'{path} has no line for {len(lost)} of {len(ids)} images, such as {lost[0]}')
    return [[kind(value) for value in found[key]] for key in ids]


def load_mat(path):
    """Variables of a MATLAB file; UserError names it when it is damaged."""
    import scipy.io
    try:
        return scipy.io.loadmat(str(path), squeeze_me=True)
    except OSError as error:
        raise Missing(f'{path} cannot be read: {error.strerror}') from error
    except Exception as error:  # scipy raises ValueError, TypeError, MatReadError and zlib.error on damaged files
        raise UserError(f'{path} is damaged: {error}') from error


def load_json(path):
    """A JSON file; UserError names it when it is damaged."""
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise UserError(f'{path} is damaged: {error}') from error


def image_files(folder, suffixes=('.jpg', '.jpeg', '.png', '.bmp', '.webp')):
    """Sorted image file names of one folder."""
    return sorted(entry.name for entry in os.scandir(folder)
                  if entry.name.lower().endswith(suffixes) and not entry.name.startswith('.') and entry.is_file())
