"""Which images of a data set can be read, known before the first epoch and the same for everything that follows.

With on_bad_image='error' the header and the end of every file are looked at: what is missing, empty, cut off, too large
or no picture stops the run with its name before anything is trained. With 'skip' somebody expects bad files, so every
image is decoded once, and those that cannot be have no row in the data set: not in training, evaluation, figures,
stores or files of embeddings. What was found good is kept in .prepared/readable.npz by path, size and time of the file.
"""

import hashlib
import os
import pathlib
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from tqdm import tqdm

from core.errors import UserError
from core.files import write_atomic
from core.text import printable
from datasets.pictures import BadImage, check_header, read_image
from datasets.preparation.download import writable
from datasets.threads import default_workers

HEADER, DECODED = 1, 2      # how well a file was looked at
WORTH_KEEPING = 2.0         # seconds of work below which nothing is written into the folder of the photos
SHOWN = 10                  # bad files named in an error
PORTION = 64                # files that a thread takes at once
LOOKED = {}                 # {key: (size, time, level)} of files that this process found good


def readable(data, on_bad_image='error', threads=None):
    """The Data without the images that cannot be read.

    Parameters
    ----------
    data : datasets.records.Data
    on_bad_image : 'error' or 'skip', see above
    threads : that look at files; None: one for each processor

    Returns
    -------
    Data; `unreadable` holds (path, reason) of what was left out, and pairs of which one image is missing are gone

    Raises
    ------
    UserError : images cannot be read, and on_bad_image is 'error'; or a part has none that can
    """
    if on_bad_image not in ('error', 'skip'):
        raise UserError(f'--on_bad_image={on_bad_image} is unknown. Legal values: error, skip')
    splits = {name: getattr(data, name) for name in ('train', 'test', 'val')}
    splits = {name: split for name, split in splits.items() if split is not None and split.reader is None}
    paths = sorted({split.path(row) for split in splits.values() for row in range(len(split))})
    root = next((split.root for split in splits.values()), '')
    bad = look(paths, DECODED if on_bad_image == 'skip' else HEADER, root, threads)
    if not bad:
        return data
    if on_bad_image == 'error':
        shown = '\n  '.join(f'{printable(path)}: {reason}' for path, reason in list(bad.items())[:SHOWN])
        more = f'\n  ... and {len(bad) - SHOWN:,} more' if len(bad) > SHOWN else ''
        raise UserError(f'{len(bad):,} of {len(paths):,} images cannot be read:\n  {shown}{more}\nFix or remove '
                        f'{"it" if len(bad) == 1 else "them"}, or leave out what cannot be read with '
                        '--on_bad_image=skip')
    return without(data, bad)


def without(data, bad):
    """The Data without the rows whose paths are keys of `bad` {path: reason}."""
    kept = {}
    for name in ('train', 'test', 'val'):
        split = getattr(data, name)
        if split is None or split.reader is not None:
            continue
        kept[name] = np.array([split.path(row) not in bad for row in range(len(split))])
        if not kept[name].any():
            path = split.path(0)
            raise UserError(f'no image of the {name} part can be read, such as {printable(path)}: {bad[path]}. '
                            'Fix: copy the data set again')
    notes, changed = list(data.notes), {}
    if data.protocol == 'classification' and 'train' in kept:     # both parts count the same classes
        classes = np.unique(data.train.class_id[kept['train']])
        known = np.isin(data.test.class_id, classes)
        if (kept['test'] & ~known).any():
            notes.append(f'{int((kept["test"] & ~known).sum())} test images are left out: no training image of their '
                         'classes can be read')
        kept['test'] &= known
        changed = {name: getattr(data, name).subset(kept[name], classes) for name in kept}
    for name, rows in kept.items():
        changed.setdefault(name, getattr(data, name).subset(rows))
    if data.pairs is not None and 'test' in kept:
        row_of = np.cumsum(kept['test']) - 1
        whole = kept['test'][data.pairs['a']] & kept['test'][data.pairs['b']]
        pairs = {key: values[whole] for key, values in data.pairs.items()}
        changed['pairs'] = dict(pairs, a=row_of[pairs['a']], b=row_of[pairs['b']])
        if not whole.all():
            notes.append(f'{int((~whole).sum()):,} of {len(whole):,} pairs have an image that cannot be read and are '
                         'not scored')
    return data._replace(notes=tuple(notes), unreadable=tuple(bad.items()), **changed)


def look(paths, level, root='', threads=None):
    """{path: reason} of the files that cannot be read, in the order of `paths`.

    level : HEADER or DECODED
    root : folder of the data set, in whose .prepared/ good files are remembered
    """
    cache = pathlib.Path(root or '.', '.prepared', 'readable.npz')
    remembered, todo, stamps = _remembered(cache), [], {}
    known = {**remembered, **LOOKED}
    for path in paths:
        try:
            status = os.stat(path)
        except (OSError, ValueError):
            todo.append(path)
            continue
        key = _key(path)
        stamps[path] = key, status.st_size, status.st_mtime_ns
        if known.get(key, (0, 0, 0))[:2] != stamps[path][1:] or known[key][2] < level:
            todo.append(path)
    started = time.monotonic()
    check = check_header if level == HEADER else read_image
    portions = [todo[start:start + PORTION] for start in range(0, len(todo), PORTION)]
    bad = {}
    with ThreadPoolExecutor(threads or default_workers()) as pool, \
            tqdm(total=len(todo), desc='looking at images', unit='image', leave=False,
                 disable=not sys.stderr.isatty()) as bar:
        for portion, reasons in zip(portions, pool.map(partial(_reasons, check), portions)):
            bad.update({path: reason for path, reason in zip(portion, reasons) if reason is not None})
            bar.update(len(portion))
    good = {stamps[path][0]: stamps[path][1:] + (level,) for path in todo if path not in bad and path in stamps}
    if good and time.monotonic() - started > WORTH_KEEPING:
        _remember(cache, {**remembered, **good})
    LOOKED.update(good)
    return bad


def _reasons(check, paths):
    """[None, or why the file cannot be read]."""
    reasons = []
    for path in paths:
        try:
            check(path)
            reasons.append(None)
        except BadImage as error:
            reasons.append(error.reason)
    return reasons


def _key(path):
    return hashlib.blake2b(os.path.abspath(path).encode('utf-8', 'surrogateescape'), digest_size=12).digest()


def _remembered(cache):
    """{key: (size, time, level)} of files that were found good."""
    try:
        with np.load(cache, allow_pickle=False) as file:
            keys, facts = file['keys'], file['facts']
        return {key.tobytes(): tuple(row) for key, row in zip(keys, facts.tolist())}
    except Exception:       # there is none, or it is damaged: the files are looked at again
        return {}


def _remember(cache, known):
    """Write what `_remembered` reads; a folder that may not be written is left alone."""
    if not (writable(cache.parent) if cache.parent.exists() else writable(cache.parent.parent)):
        return
    keys = np.frombuffer(b''.join(known), dtype='V12')
    facts = np.array(list(known.values()), dtype=np.int64)
    try:
        write_atomic(cache, partial(np.savez, keys=keys, facts=facts))
    except OSError:
        return
