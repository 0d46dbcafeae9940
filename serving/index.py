"""An index of pictures: open it by its name, and bring it up to date with a folder.

Two kinds share one interface, local.LocalIndex (a folder, faiss) and milvus.MilvusIndex (a file of Milvus Lite or a
cluster):

    about, len(index)           what it was made from; number of images
    search(queries, k, labels)  (ids, distances), nearest first
    images(ids), page(after, limit, label), labels(), ids(), vectors(ids)
    files(), add(files, vectors), delete(ids), forget(ids)
    prepare(), refresh(), close()
"""

import pathlib
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from core.errors import UserError
from serving import milvus, photos, schema
from serving.local import LocalIndex

Report = namedtuple('Report', 'added changed vanished unchanged bad')
Report.__doc__ = 'What `update` did: counts of pictures, and bad: list of (path, reason).'


def open_index(name, encoder=None, root=None, source=None, write=False, backend=None, recall=None, tell=print):
    """Open an index, or make it.

    Parameters
    ----------
    name : a folder, NAME.db (Milvus Lite) or http://HOST:PORT (Milvus)
    encoder : what embeds (serving.encoder): an index of another model is refused; None does not ask
    root : folder of pictures; given, the index is made where there is none
    source : dict that tells how to make the encoder again, kept in a new index
    write : whether it will be changed; a local index has one writer at a time
    backend : 'flat', 'ivfpq', 'hnsw'; None: what the index has, flat for a new one
    recall : recall@10 that an inexact local back-end is tuned to; None: that of before, 0.95 for a new one
    tell : function for sentences that the user should read

    Raises
    ------
    UserError : no index there, in use, damaged, of another model or another folder
    """
    about = None
    if root is not None:
        about = {'dim': encoder.dim, 'model': encoder.model, 'root': str(pathlib.Path(root).resolve()),
                 'source': source or {}}
    kind = milvus.MilvusIndex if milvus.is_milvus(name) else LocalIndex
    index = kind(name, write, about, backend, recall, tell)
    try:
        if encoder is not None:
            check_model(index, encoder, name)
        if root is not None and index.about['root'] != about['root']:
            if write and moved(index, about['root']):
                tell(f'note: the photos moved from {index.about["root"]} to {about["root"]}')
                index.set_root(about['root'])
                return index
            raise UserError(f'--index={name} was made from the folder {index.about["root"]}, not {about["root"]}. Fix: '
                            'name that folder with --images, or another --index')
    except BaseException:
        index.close()
        raise
    return index


def moved(index, root):
    """Whether the folder of an index is gone and `root` holds what it held: half of up to 200 pictures, by path."""
    if pathlib.Path(index.about['root']).exists():
        return False
    paths = list(index.files())[:200]
    return bool(paths) and 2 * sum(pathlib.Path(root, path).is_file() for path in paths) >= len(paths)


def read_about(name):
    """What an index was made from, without loading it; None where there is none."""
    if milvus.is_milvus(name):
        try:
            index = milvus.MilvusIndex(name)
        except UserError as error:
            if 'holds no index' in str(error):
                return None
            raise
        index.close()
        return index.about
    return schema.read_about(name)


def check_model(index, encoder, name):
    """UserError unless the encoder is the one that made the index."""
    if encoder.dim != index.about['dim']:
        raise UserError(f'--index={name} holds vectors of {index.about["dim"]} numbers, the model gives {encoder.dim}. '
                        'Fix: give the --checkpoint that it was made with, or make another index')
    if encoder.model != index.about['model']:
        raise UserError(f'--index={name} was made by another model ({index.about["model"][:12]}, this one is '
                        f'{encoder.model[:12]}): distances between the two mean nothing. Fix: give the --checkpoint '
                        'that it was made with, or make another index')


def update(index, encoder, root, batch_size=32, workers=2, progress=None, files=None):
    """Embed what is new or changed in a folder, drop what vanished.

    Each batch is on the disk before the next is embedded, so a killed update goes on where it was.

    Parameters
    ----------
    index : opened with write=True
    encoder : serving.encoder.Encoder
    root : the folder
    workers : threads that read and decode
    progress : None, or function (done, due), called after each batch
    files : what photos.scan found in the folder; None: it is looked at now

    Returns
    -------
    Report
    """
    found = {file.path: file for file in (photos.scan(root) if files is None else files)}
    known = index.files()
    gone = [known[path].id for path in known if path not in found]
    if known and len(gone) == len(known):
        raise UserError(f'none of the {len(known)} indexed pictures is left in {root}: is its disk there? Nothing was '
                        'changed. Fix: to start again, name another --index')
    noted = index.unreadable()
    index.forget(gone)
    index.forget_unreadable([path for path in noted if path not in found])
    due, bad = [], []
    for path, file in found.items():
        stamp = (file.size, file.mtime_ns)
        if path in known and (known[path].size, known[path].mtime_ns) == stamp:
            continue
        if path in noted and noted[path][:2] == stamp:
            bad.append((path, noted[path][2]))
        else:
            due.append(file)
    again = {file.path for file in due if file.path in known}
    unreadable = _embed(index, encoder, root, due, batch_size, workers, progress)
    index.forget([known[path].id for path, _ in unreadable if path in known])     # its old vector shows another picture
    lost = {path for path, _ in unreadable}
    return Report(len(due) - len(again) - len(lost - again), len(again - lost), len(gone),
                  len(found) - len(due) - len(bad), bad + unreadable)


def _embed(index, encoder, root, due, batch_size, workers, progress):
    """Add the files `due`; returns [(path, reason)] of those that cannot be read."""
    unreadable, batches = [], [due[start:start + batch_size] for start in range(0, len(due), batch_size)]
    with ThreadPoolExecutor(max(1, workers)) as pool:

        def read(file):
            return encoder.view(photos.read(root, file.path))

        ahead = []          # of this batch and the next one, so that decoding and embedding overlap
        for k, batch in enumerate(batches):
            while len(ahead) < 2 and k + len(ahead) < len(batches):
                ahead.append([pool.submit(read, file) for file in batches[k + len(ahead)]])
            files, images, lost = [], [], []
            for file, future in zip(batch, ahead.pop(0)):
                try:
                    images.append(future.result())
                    files.append(file)
                except photos.Unreadable as error:
                    lost.append((file, str(error)))
            if files:
                index.add(files, encoder.forward(np.stack(images)))
            index.note_unreadable([file for file, _ in lost], [reason for _, reason in lost])
            unreadable += [(file.path, reason) for file, reason in lost]
            if progress:
                progress(min((k + 1) * batch_size, len(due)), len(due))
    return unreadable
