"""Files of embeddings: written whole or not at all, read without taking memory before they are believed."""

from __future__ import annotations

import csv
import functools
import math
import pathlib
import zipfile
from collections import namedtuple

import numpy as np

from core.errors import UserError
from core.files import open_atomic, write_atomic
from core.tables import as_written, harmless, read_table, whole_numbers
from core.text import count, printable

Embeddings = namedtuple('Embeddings', 'embeddings labels query paths names', defaults=(None, None, None))
Embeddings.__doc__ = """Embeddings of a file.

embeddings : float32 (N, D), memory-mapped where the file allows it
labels : (N,) numbers or names
query : None or bool (N,); paths : None or (N,) str; names : None or (N,) str, the name of each item's class
"""
DEFLATE = 1032    # zlib cannot pack better than this: what claims to is damaged or made to fill the memory


def _table(file):
    return pathlib.Path(file).with_suffix('.csv')


def save_embeddings(file, embeddings, labels, paths=None, query=None, names=None) -> str:
    """Write embeddings for others to read.

    Parameters
    ----------
    file : FILE.npz (arrays embeddings, labels, paths, query, names) or FILE.npy (the embeddings alone); both with
        FILE.csv (path, label, name, query) beside it
    embeddings : (N, D), written as float32
    labels : (N,)
    paths : None or N str
    query : None or bool (N,)
    names : None or N str, the name of each item's class

    Returns
    -------
    The names of the files written, as one text

    Raises
    ------
    UserError : another ending, unequal numbers, a folder that cannot be written

    Example
    -------
    >>> import tempfile
    >>> file = tempfile.mkdtemp() + '/birds.npz'
    >>> _ = save_embeddings(file, [[0.0], [1.0]], [0, 1], names=['crow', 'jay'])
    >>> load_embeddings(file).names.tolist()
    ['crow', 'jay']
    """
    file = pathlib.Path(file)
    if file.suffix not in ('.npz', '.npy'):
        raise UserError(f'{printable(file)}: embeddings are written as .npz or .npy. Fix: a name that ends so')
    embeddings, labels = np.asarray(embeddings, dtype=np.float32), np.asarray(labels)
    columns = {'path': [''] * len(labels) if paths is None else [str(path) for path in paths],
               'label': labels.tolist()}
    if names is not None:
        columns['name'] = [str(name) for name in names]
    if query is not None:
        columns['query'] = np.asarray(query, dtype=int).tolist()
    if len({len(embeddings), *map(len, columns.values())}) > 1:
        raise UserError(f'{len(embeddings)} embeddings, '
                        f'{", ".join(f"{len(column)} {name}s" for name, column in columns.items())}: the numbers must '
                        'be equal')
    try:
        if file.suffix == '.npy':
            write_atomic(file, lambda stream: np.save(stream, embeddings))
        else:
            arrays = {'embeddings': embeddings, 'labels': labels, 'paths': np.array(columns['path'], dtype=str)}
            if query is not None:
                arrays['query'] = np.asarray(query, dtype=bool)
            if names is not None:
                arrays['names'] = np.array(columns['name'], dtype=str)
            write_atomic(file, functools.partial(np.savez, **arrays))
        with open_atomic(_table(file), newline='', errors='surrogateescape') as stream:
            writer = csv.writer(stream)
            writer.writerow(columns)
            writer.writerows([harmless(value) for value in row] for row in zip(*columns.values()))
    except OSError as error:
        raise UserError(f'{printable(file)} cannot be written ({error.strerror}). Fix: another file') from error
    return f'{file}, {_table(file)}'


def load_embeddings(file) -> Embeddings:
    """Embeddings of a file.

    Parameters
    ----------
    file : .npz with the arrays `embeddings` (N, D), `labels` (N,) and, if there are, `query`, `paths`, `names` (N,);
        or .npy beside a .csv of the same name with the column `label` and, if there are, `query`, `path`, `name`

    Returns
    -------
    Embeddings

    Raises
    ------
    UserError : no such file, no such arrays, arrays of other shapes, or larger ones than the file can hold

    Example
    -------
    >>> import tempfile
    >>> file = tempfile.mkdtemp() + '/x.npy'
    >>> _ = save_embeddings(file, [[0.5, 1.0]], ['crow'])
    >>> load_embeddings(file).labels
    array(['crow'], dtype='<U4')
    """
    file = pathlib.Path(file)
    if not file.is_file():
        raise UserError(f'--embeddings={printable(file)}: there is no such file. Fix: one that `embed` wrote')
    try:
        if file.suffix == '.npy':
            arrays = {'embeddings': _map_array(file, 0, file.stat().st_size)}
        else:
            arrays = _read_npz(file)
    except (ValueError, OSError, EOFError, KeyError, MemoryError, zipfile.BadZipFile, NotImplementedError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f'--embeddings={printable(file)}: not a NumPy .npz or .npy file of plain arrays '
                        f'({printable(error)}). Fix: a file that `embed` or numpy.savez wrote') from error
    if file.suffix == '.npy':
        arrays.update(_read_columns(_table(file)))
    for name in ('embeddings', 'labels'):
        if name not in arrays:
            raise UserError(f'--embeddings={printable(file)}: the array `{name}` is missing. Fix: embeddings (N, D) '
                            'and labels (N)')
    x = arrays['embeddings']
    if x.ndim != 2 or x.dtype.kind not in 'fiu':
        raise UserError(f'--embeddings={printable(file)}: `embeddings` is {x.dtype} {x.shape}, expected numbers. '
                        'Fix: an array (N, D)')
    for name in Embeddings._fields[1:]:
        if name in arrays and arrays[name].shape != (len(x),):
            raise UserError(f'--embeddings={printable(file)}: `{name}` has shape {arrays[name].shape}, expected '
                            f'({len(x)},) as there are {count(len(x), "embedding")}. Fix: one for each')
    query = arrays.get('query')
    if query is not None and query.dtype.kind not in 'biuf':
        raise UserError(f'--embeddings={printable(file)}: `query` holds {query.dtype}, expected booleans. '
                        'Legal values: true, false')
    return Embeddings(np.asarray(x, dtype=np.float32), arrays['labels'],
                      None if query is None else query.astype(bool), arrays.get('paths'), arrays.get('names'))


def _header(stream, room):
    """(shape, dtype, in Fortran's order, bytes of the header) of an .npy stream that holds `room` bytes in all."""
    version = np.lib.format.read_magic(stream)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f'version {version} of the format')
    shape, fortran, dtype = read(stream)
    if dtype.hasobject:
        raise ValueError('it holds Python objects')
    begin = stream.tell()
    if math.prod(shape) * dtype.itemsize > room - begin:
        raise ValueError(f'it claims {shape} {dtype}, which is {math.prod(shape) * dtype.itemsize:,} bytes, but holds '
                         f'{max(0, room - begin):,}')
    return shape, dtype, fortran, begin


def _map_array(file, offset, room):
    """The array of the .npy data at `offset` of a file, memory-mapped."""
    with open(file, 'rb') as stream:
        stream.seek(offset)
        part = _Part(stream, offset)
        shape, dtype, fortran, begin = _header(part, room)
    if not math.prod(shape):
        return np.zeros(shape, dtype)
    return np.memmap(file, dtype, 'r', offset + begin, shape, 'F' if fortran else 'C')


class _Part:
    """A stream whose positions count from an offset."""

    def __init__(self, stream, offset):
        self.stream, self.offset = stream, offset

    def read(self, n):
        return self.stream.read(n)

    def tell(self):
        return self.stream.tell() - self.offset


def _read_npz(file):
    """{name: array} of an .npz file; what lies unpacked in it is memory-mapped, and nothing is read that cannot be."""
    arrays = {}
    with zipfile.ZipFile(file) as archive:
        for name in Embeddings._fields:
            if name + '.npy' not in archive.namelist():
                continue
            member = archive.getinfo(name + '.npy')
            if member.file_size > member.compress_size * (DEFLATE if member.compress_type else 1):
                raise ValueError(f'`{name}` claims {member.file_size:,} bytes in {member.compress_size:,}')
            if member.compress_type == zipfile.ZIP_STORED and name == 'embeddings':
                with open(file, 'rb') as stream:    # the name and the extra field stand before the data once more
                    stream.seek(member.header_offset + 26)
                    lengths = np.frombuffer(stream.read(4), '<u2')
                begin = member.header_offset + 30 + int(lengths.sum())
                arrays[name] = _map_array(file, begin, member.file_size)
                continue
            with archive.open(member) as stream:
                _header(stream, member.file_size)
            with archive.open(member) as stream:
                arrays[name] = np.lib.format.read_array(stream, allow_pickle=False)
    return arrays


def _read_columns(file):
    """{name: array} of the CSV file beside an .npy file."""
    if not file.is_file():
        raise UserError(f'--embeddings: the labels are expected in {printable(file)}, which is missing. '
                        'Fix: a file with the column label beside it')
    table = read_table(file, ('label',))
    columns = {'labels': whole_numbers([as_written(label) for label in table['label']])}
    for name, array in (('path', 'paths'), ('name', 'names')):
        if name in table:
            columns[array] = np.array([as_written(value) for value in table[name]])
    if 'query' in table:
        columns['query'] = table.booleans('query')
    return columns
