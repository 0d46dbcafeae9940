"""Rows that were computed before in the place of pictures: a loader of them, and files that keep them."""

import contextlib
import functools
import hashlib
import os
import pathlib

import numpy as np

from core.contracts import Batch
from core.files import write_atomic


def key_of(split, *facts):
    """Text that changes when a file of the split, its order or one of `facts` does; None for images without files."""
    cut = split.crop_box or split.read_cut
    stored = split.reader is not None      # of photos larger than it keeps a store has other pixels
    digest = hashlib.sha256(repr((facts, cut, stored)).encode() + (split.boxes.tobytes() if cut else b''))
    for i in range(len(split)):
        try:
            status = os.stat(split.path(i))
        except OSError:
            return None
        digest.update(repr((split.path(i), status.st_size, status.st_mtime_ns)).encode('utf-8', 'surrogateescape'))
    return digest.hexdigest()[:24]


def kept(folder, key, compute):
    """The array of `compute()`, from FOLDER/KEY.npy if it was computed before; a folder that cannot be written is no
    hindrance. key None: it is not kept."""
    if key is None:
        return compute()
    file = pathlib.Path(folder, key + '.npy')
    with contextlib.suppress(OSError, ValueError):
        return np.load(file, allow_pickle=False)
    array = compute()
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, functools.partial(np.save, arr=array))
    return array


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
