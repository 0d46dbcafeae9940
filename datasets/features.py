"""Rows that were computed before in the place of pictures: a loader of them, and files that keep them."""

import contextlib
import functools
import hashlib
import os
import pathlib
import zipfile

import numpy as np

from core.contracts import Batch
from core.files import write_atomic


def name_of(split, *facts):
    """Text that changes when one of `facts` does, or how the split's pictures are read: the name of a file of rows."""
    cut = split.crop_box or split.read_cut
    stored = split.reader is not None      # of photos larger than it keeps a store has other pixels
    return hashlib.sha256(repr((facts, cut, stored)).encode()).hexdigest()[:24]


def marks_of(split):
    """bytes (N,): a mark of each picture, another one when its file changes; None for images without files."""
    cut, marks = split.crop_box or split.read_cut, []
    for i in range(len(split)):
        try:
            status = os.stat(split.path(i))
        except OSError:
            return None
        facts = split.path(i), status.st_size, status.st_mtime_ns, split.boxes[i].tolist() if cut else None
        marks.append(hashlib.sha256(repr(facts).encode('utf-8', 'surrogateescape')).hexdigest()[:24].encode())
    return np.array(marks)


def kept(folder, name, marks, compute):
    """The rows of pictures, from FOLDER/NAME.npz as far as they were computed before; a folder that cannot be written
    is no hindrance.

    Parameters
    ----------
    folder, name : see `name_of`
    marks : see `marks_of`; None: nothing is kept
    compute : function int64 (n,) -> array (n, F): the rows of these pictures

    Returns
    -------
    array (N, F)
    """
    if marks is None:
        return compute(None)
    file = pathlib.Path(folder, name + '.npz')
    known, rows = np.zeros(0, 'S24'), None
    with contextlib.suppress(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile), \
            np.load(file, allow_pickle=False) as found:
        known, rows = found['marks'], found['rows']
    missing = np.flatnonzero(~np.isin(marks, known))
    if len(missing):
        new = compute(missing)
        known = np.concatenate([known, marks[missing]])
        rows = new if rows is None else np.concatenate([rows, new])
        with contextlib.suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(file, functools.partial(np.savez, marks=known, rows=rows))
    place = {mark: row for row, mark in enumerate(known.tolist())}
    return rows[[place[mark] for mark in marks.tolist()]]


class FeatureLoader:
    """Calling it with plans iterates Batch(image float32 (n, F), label int32 (n,), index int64 (n,), extra).

    Parameters
    ----------
    split : datasets.records.Split
    features : float32 (N, F), one row for each image of the split
    share : as in datasets.loader.Loader
    """

    wait_seconds = 0.0

    def __init__(self, split, features, share=None):
        self.split, self.features, self.share = split, features, share

    def __call__(self, plans):
        for plan in plans:
            index = np.array(plan.index, dtype=np.int64)
            own = slice(0, len(index)) if self.share is None else self.share(len(index))
            extra = None if plan.extra is None else plan.extra()
            yield Batch(self.features[index[own]], self.split.labels[index].astype(np.int32), index, extra)
