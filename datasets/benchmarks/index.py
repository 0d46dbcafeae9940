"""The parsed lists of a benchmark in one file, so that a large set starts in a moment."""

import functools
import json
import os
import pathlib

import numpy as np

from core.files import write_atomic
from datasets.benchmarks.base import Parsed, Part

VERSION = 1
ARRAYS = ('class_id', 'query', 'boxes', 'super_label')


def folder(root):
    """Where prepare keeps what it makes for the data set in `root`: index, state, store, half-unpacked archives."""
    return pathlib.Path(root, '.prepared')


def unfinished(root, benchmark):
    """The file that stands as long as a benchmark is half unpacked."""
    return folder(root) / f'unfinished-{benchmark.name}'


def signature(root, lists):
    """JSON of the list files' names, sizes and times: an index made from other lists is stale."""
    rows = []
    for path in lists:
        status = os.stat(path)
        rows.append([os.path.relpath(path, root), status.st_size, status.st_mtime_ns])
    return json.dumps(rows)


def pack(texts):
    return np.frombuffer('\0'.join(texts).encode('utf-8', 'surrogateescape'), dtype=np.uint8)


def unpack(blob):
    return blob.tobytes().decode('utf-8', 'surrogateescape').split('\0')


def save(root, name, parsed):
    """Write .prepared/index-NAME.npz. OSError when the folder cannot be written."""
    arrays = {'version': VERSION, 'signature': signature(root, parsed.lists), 'notes': json.dumps(parsed.notes)}
    for split in ('train', 'test'):
        part = getattr(parsed, split)
        if part is None:
            continue
        arrays[split + '/paths'] = pack(part.paths)
        ids = np.unique(part.class_id)
        named = [c for c in ids.tolist() if c in part.class_names]
        arrays[split + '/name_id'] = np.array(named, dtype=np.int64)
        arrays[split + '/name'] = pack([str(part.class_names[c]) for c in named])
        arrays.update({f'{split}/{key}': getattr(part, key) for key in ARRAYS
                       if getattr(part, key) is not None})
    arrays.update({'pairs/' + key: value for key, value in (parsed.pairs or {}).items()})
    path = folder(root) / f'index-{name}.npz'
    write_atomic(path, functools.partial(np.savez, **arrays))


def load(root, name):
    """Parsed of the index of `name`, or None if there is none, it is damaged, or the lists have changed since."""
    try:
        with np.load(folder(root) / f'index-{name}.npz', allow_pickle=False) as file:
            return _parsed(root, dict(file))
    except Exception:       # whatever is wrong with it (zlib.error, KeyError, ...): the lists are read again
        return None


def _parsed(root, arrays):
    """Parsed of the arrays of an index, None if they are of another version or of other lists."""
    if int(arrays['version']) != VERSION:
        return None
    written = str(arrays['signature'])
    lists = [pathlib.Path(root, row[0]) for row in json.loads(written)]
    if signature(root, lists) != written:
        return None
    parts = {}
    for split in ('train', 'test'):
        if split + '/paths' not in arrays:
            parts[split] = None
            continue
        ids = arrays[split + '/name_id'].tolist()
        parts[split] = Part(unpack(arrays[split + '/paths']),
                            class_names=dict(zip(ids, unpack(arrays[split + '/name']))) if ids else {},
                            **{key: arrays.get(f'{split}/{key}') for key in ARRAYS})
    pairs = {key[len('pairs/'):]: value for key, value in arrays.items() if key.startswith('pairs/')}
    return Parsed(parts['train'], parts['test'], pairs or None, lists, json.loads(str(arrays['notes'])))
