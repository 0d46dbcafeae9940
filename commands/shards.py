"""Embeddings in shards: each written under its own name by whoever computes it, joined when all are there."""

import argparse
import contextlib
import functools
import io
import json
import pathlib
import re
import zipfile

import numpy as np

from commands.results import NOT_IN_NAMES
from core.errors import UserError
from core.files import write_atomic
from core.text import count
from engine import checkpoint
from evaluation.embeddings import save_embeddings

IMAGES = 2048    # of a shard on a cluster: a worker that dies loses at most so many
NAME = re.compile(r'(\d+)-of-(\d+)\.npz')


def folder_of(output):
    """Path of the folder that holds the shards of an embeddings file."""
    return pathlib.Path(str(output) + '.shards')


def file_of(folder, i, n):
    """Path of shard i (from 1) of n."""
    return folder / f'{i:05d}-of-{n:05d}.npz'


def bounds(i, n, images):
    """(start, stop) of shard i (from 1) of n.

    Example
    -------
    >>> [bounds(i, 3, 10) for i in (1, 2, 3)]
    [(0, 3), (3, 6), (6, 10)]
    """
    return (i - 1) * images // n, i * images // n


def parse(text):
    """'3/8' -> (3, 8)."""
    match = re.fullmatch(r'\s*(\d+)\s*/\s*(\d+)\s*', text)
    i, n = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 <= i <= n:
        raise UserError(f'--shard={text} is no shard. Legal values: 1/8, 2/8, ... 8/8 for eight of them')
    return i, n


def fingerprint(args, source):
    """Text that is the same for shards that may be joined: checkpoint and every flag that changes an embedding."""
    flags = {key: value for key, value in vars(args).items() if key not in NOT_IN_NAMES}
    files = sorted(path for path in pathlib.Path(source).iterdir() if path.suffix == '.params')
    sums = {path.name: checkpoint.checksum(path) for path in files}
    return json.dumps([flags, args.part, sums], sort_keys=True, default=str)


def is_done(file, mark):
    """Whether a file is a whole shard with this fingerprint."""
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return str(arrays['mark']) == mark
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return False


def write(session, split, file, start, stop, mark):
    """Embed the rows start..stop of a Split and write them, with all that is known of them, as one file."""
    rows = np.arange(start, stop)
    embeddings = np.zeros((0, 0), dtype=np.float32)
    if len(rows):
        embeddings = session.embed(split.subset(rows), layer=session.args.layer)
    arrays = {'embeddings': embeddings, 'labels': split.labels[rows], 'start': start, 'images': len(split),
              'paths': np.array([split.path(i) for i in rows], dtype=str),
              'names': np.array([split.names[label] for label in split.labels[rows]], dtype=str), 'mark': mark}
    if split.query is not None:
        arrays['query'] = split.query[rows]
    write_atomic(file, functools.partial(np.savez, **arrays))


@functools.lru_cache(maxsize=1)
def _session(flags, source):
    """The network of a worker, built once."""
    from commands.session import Session
    with contextlib.redirect_stdout(io.StringIO()):
        return Session(argparse.Namespace(**json.loads(flags)), source)


def task(flags, source, part, file, start, stop, mark):
    """What a worker does for one shard."""
    try:
        session = _session(flags, source)
        write(session, getattr(session.data, part), pathlib.Path(file), start, stop, mark)
    except UserError as error:    # some kinds of it cannot be sent as they are
        raise UserError(str(error)) from None
    return stop - start


def on_cluster(cluster, args, source, split, output, progress):
    """Embed a Split by the workers of a Cluster, shard by shard; those that are there already are left alone."""
    folder, mark = folder_of(output), fingerprint(args, source)
    n = max(1, -(-len(split) // IMAGES))
    missing = [i for i in range(1, n + 1) if not is_done(file_of(folder, i, n), mark)]
    flags = json.dumps(dict(vars(args), num_workers=1), default=str)
    tasks = [(flags, str(source), args.part, str(file_of(folder, i, n)), *bounds(i, n, len(split)), mark)
             for i in missing]
    done = sum(np.subtract(*bounds(i, n, len(split))[::-1]) for i in set(range(1, n + 1)) - set(missing))
    progress.update(int(done))
    for images in cluster.run(task, tasks):
        progress.update(images)
    return join(folder, output)


def join(folder, output):
    """Write the embeddings file of a folder of shards; returns (number of embeddings, names of the files written)."""
    folder = pathlib.Path(folder)
    found = {path: NAME.fullmatch(path.name) for path in (sorted(folder.iterdir()) if folder.is_dir() else ())}
    sizes = sorted({int(match[2]) for match in found.values() if match})
    if not sizes:
        raise UserError(f'{folder} holds no shards. Fix: python3 main.py embed --checkpoint=RUN --shard=1/8')
    if len(sizes) > 1:
        raise UserError(f'{folder} holds shards of {" and of ".join(map(str, sizes))}: they cannot be joined. Fix: '
                        'remove those of one kind')
    files = [file_of(folder, i, sizes[0]) for i in range(1, sizes[0] + 1)]
    lacking = [str(i) for i, file in enumerate(files, 1) if not file.exists()]
    if lacking:
        raise UserError(f'{folder} lacks {count(len(lacking), "shard")} of {sizes[0]}: {", ".join(lacking[:20])}. Fix: '
                        f'python3 main.py embed ... --shard={lacking[0]}/{sizes[0]}')
    parts, marks = [], set()
    for file in files:
        try:
            with np.load(file, allow_pickle=False) as arrays:
                parts.append({name: arrays[name] for name in arrays.files})
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise UserError(f'{file} is damaged ({error}). Fix: remove it and make this shard again') from error
        marks.add(str(parts[-1].get('mark')))
    if len(marks) > 1:
        raise UserError(f'{folder} holds shards of different checkpoints, data or flags. Fix: remove the older ones')
    parts = [part for part in parts if len(part['labels'])]
    columns = {name: np.concatenate([part[name] for part in parts])
               for name in ('embeddings', 'labels', 'paths', 'names', 'query') if name in parts[0]}
    if len(columns['labels']) != int(parts[0]['images']):
        raise UserError(f'{folder} holds {count(len(columns["labels"]), "image")} of {int(parts[0]["images"])}. '
                        'Fix: remove it and '
                        'embed again')
    files = save_embeddings(output, columns['embeddings'], columns['labels'], columns['paths'],
                            columns.get('query'), columns['names'])
    return len(columns['labels']), files
