"""Files of embeddings."""

import contextlib
import csv
import pathlib
import zipfile
from collections import namedtuple

import numpy as np

from core.errors import UserError

Embeddings = namedtuple('Embeddings', 'embeddings labels query paths')
Embeddings.__doc__ = """embeddings float32 (N, D); labels (N,); query None or bool (N,); paths None or N str."""


def _table(file):
    return pathlib.Path(file).with_suffix('.csv')


def save_embeddings(file, embeddings, labels, paths=None, query=None):
    """Write FILE.npz (arrays embeddings, labels, paths, query) or FILE.npy, and FILE.csv (path, label, query).

    Returns the names of the files written, as one text.
    """
    file = pathlib.Path(file)
    if file.suffix not in ('.npz', '.npy'):
        raise UserError(f'{file}: embeddings are written as .npz or .npy')
    embeddings, labels = np.asarray(embeddings, dtype=np.float32), np.asarray(labels)
    paths = [''] * len(labels) if paths is None else [str(path) for path in paths]
    if not len(embeddings) == len(labels) == len(paths):
        raise UserError(f'{len(embeddings)} embeddings, {len(labels)} labels, {len(paths)} paths: the numbers must '
                        'be equal')
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == '.npy':
        np.save(file, embeddings)
    else:
        arrays = {'embeddings': embeddings, 'labels': labels, 'paths': np.array(paths, dtype=str)}
        if query is not None:
            arrays['query'] = np.asarray(query, dtype=bool)
        np.savez(file, **arrays)
    with open(_table(file), 'w', newline='', encoding='utf-8') as stream:
        writer = csv.writer(stream)
        writer.writerow(['path', 'label'] + (['query'] if query is not None else []))
        columns = [paths, labels.tolist()] + ([np.asarray(query, dtype=int).tolist()] if query is not None else [])
        writer.writerows(zip(*columns))
    return f'{file}, {_table(file)}'


def load_embeddings(file):
    """Embeddings of an .npz file with the arrays `embeddings` (N, D), `labels` (N,) and, if there are, `query` (N,)
    and `paths` (N,); or of an .npy file beside a .csv of the same name with a column `label`."""
    file = pathlib.Path(file)
    if not file.is_file():
        raise UserError(f'--embeddings={file}: there is no such file')
    try:
        arrays = np.load(file, allow_pickle=False)
        if isinstance(arrays, np.ndarray):
            arrays = {'embeddings': arrays, **_read_table(_table(file))}
        arrays = {name: arrays[name] for name in Embeddings._fields if name in arrays}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f'--embeddings={file}: not a NumPy .npz or .npy file of plain arrays ({error})') from error
    for name in ('embeddings', 'labels'):
        if name not in arrays:
            raise UserError(f'--embeddings={file}: the array `{name}` is missing. It needs embeddings (N, D) and '
                            'labels (N)'
                            )
    x, labels = arrays['embeddings'], arrays['labels']
    if x.ndim != 2 or x.dtype.kind not in 'fiu':
        raise UserError(f'--embeddings={file}: `embeddings` is {x.dtype} {x.shape}, expected numbers (N, D)')
    for name in ('labels', 'query', 'paths'):
        if name in arrays and arrays[name].shape != (len(x),):
            raise UserError(f'--embeddings={file}: `{name}` has shape {arrays[name].shape}, expected ({len(x)},) as '
                            f'there are {len(x)} embeddings')
    query = arrays.get('query')
    return Embeddings(x.astype(np.float32), labels, None if query is None else query.astype(bool), arrays.get('paths'))


def _read_table(file):
    if not file.is_file():
        raise UserError(f'--embeddings: the labels are expected in {file}, which is missing')
    with open(file, newline='', encoding='utf-8') as stream:
        rows = list(csv.DictReader(stream))
    if not rows or rows[0].get('label') is None:
        raise UserError(f'{file}: expected a header with the column `label`, and rows')
    labels = [row['label'] for row in rows]
    with contextlib.suppress(ValueError):    # names of classes serve as well
        labels = [int(label) for label in labels]
    columns = {'labels': np.array(labels),
               'paths': np.array([row.get('path') or '' for row in rows])}
    if rows[0].get('query') is not None:
        columns['query'] = np.array([row['query'].lower() in ('1', 'true') for row in rows])
    return columns
