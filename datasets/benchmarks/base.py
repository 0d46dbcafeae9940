"""What is known about a benchmark (facts are data), and the parsed lists of one (parts)."""

from collections import namedtuple
from dataclasses import dataclass, field

import numpy as np

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
