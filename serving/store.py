"""Where a local index keeps its images: vectors in an append-only file, everything else in SQLite.

    FOLDER/vectors.GENERATION.f32   float32 rows; a changed or deleted image leaves a dead row
    FOLDER/images.sqlite            ids, paths, labels, sizes, times, the row and checksum of each vector, the model
    FOLDER/lock                     held by the one process that may write

An image is acknowledged when `add` returns: its vector was flushed to the disk first, then the SQLite transaction that
names the row. A process killed in between leaves rows that nothing names; the next writer cuts them off.
"""

import contextlib
import errno
import json
import os
import pathlib
import sqlite3
import threading
import time
from collections import namedtuple

import numpy as np

from core.errors import UserError
from core.files import sync_folder
from evaluation.checks import squared_norms
from serving import disk
from serving.schema import COLUMNS, SCHEMA, VERSION

Image = namedtuple('Image', COLUMNS.replace(',', ''))
Image.__doc__ = 'An indexed picture: path is relative to the indexed folder, label the name of its class or empty.'
Known = namedtuple('Known', 'id size mtime_ns deleted')
Known.__doc__ = 'What an index knows of a path: enough to see whether the file changed since.'
File = namedtuple('File', 'path label size mtime_ns')
File.__doc__ = 'A picture to add: path relative to the indexed folder.'


def checked(vectors, count, dim, place):
    """float32 (count, dim) of what a model gave for an index at `place`. Raises UserError for anything else."""
    vectors = np.ascontiguousarray(vectors, np.float32)
    if vectors.shape != (count, dim):
        raise UserError(f'{place} holds vectors of {dim} numbers, the model gives '
                        f'{vectors.shape[-1] if vectors.ndim == 2 else vectors.shape}: they do not belong together. '
                        'Fix: the checkpoint that the index was made with, or another --index')
    if count:
        squared_norms(vectors, what='nothing was added: the vectors of the model')
    return vectors


class Damaged(UserError):
    """The index lost vectors that it had acknowledged; `index` embeds those images again."""


class Store:
    """One local index on the disk.

    Parameters
    ----------
    folder : str or Path, the index
    write : True takes the lock, mends what a killed process left, and allows changes
    about : dict with dim, model and root, to make the index when it does not exist; None: it has to exist

    Attributes
    ----------
    about : dict as given, with version and created
    vectors : disk.Vectors
    lost : number of images whose vectors were damaged; with write=True they were dropped, so that they count as new

    Raises
    ------
    UserError : no index there, another process is writing, or the disk is full
    Damaged : without write, when vectors are missing or changed
    """

    def __init__(self, folder, write=False, about=None):
        self.folder = pathlib.Path(folder)
        self.write = write
        self.lost = 0
        self._guard = threading.RLock()
        self._lock = self._sql = self.vectors = None
        if not (self.folder / 'images.sqlite').is_file():
            if about is None:
                raise UserError(f'{self.folder} holds no index. Fix: python3 main.py index --images=PHOTOS '
                                f'--index={self.folder}')
            self._make_room()
        try:
            if write:
                self._lock = disk.take_lock(self.folder)
            with self._plain_errors():
                self._connect(about)
                self._open_vectors()
        except BaseException:
            self.close()
            raise

    # ---- opening

    def _make_room(self):
        if self.folder.is_file() or (self.folder.is_dir() and set(os.listdir(self.folder)) - {'lock'}):
            raise UserError(f'--index={self.folder} is there already and is no index. Fix: name a new folder')
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f'--index={self.folder} cannot be made: {error.strerror}. Fix: another folder') from error

    def _connect(self, about):
        self._sql = self._open_database(self.folder / 'images.sqlite')
        if not self._sql.execute("select count(*) from sqlite_master where name = 'about'").fetchone()[0]:
            if about is None:
                raise UserError(f'{self.folder} holds no finished index. Fix: python3 main.py index '
                                f'--images=PHOTOS --index={self.folder}')
            self._sql.execute('begin immediate')
            for statement in SCHEMA.split(';')[:-1]:
                self._sql.execute(statement)
            for key, value in (('about', dict(about, version=VERSION, created=time.time())), ('generation', 0)):
                self._sql.execute('insert into about values (?, ?)', (key, json.dumps(value)))
            self._sql.commit()
            sync_folder(self.folder)
        self.about = self.get('about')
        if self.about.get('version') != VERSION:
            raise UserError(f'{self.folder} was made by another version of this program (its layout is '
                            f'{self.about.get("version")}, this reads {VERSION}). Fix: make it again')

    def _open_database(self, path):
        modes = ('rwc',) if self.write else ('rw', 'ro', 'ro&immutable=1')  # the last: a medium that is read-only
        for mode in modes:
            try:
                sql = sqlite3.connect(f'{path.absolute().as_uri()}?mode={mode}', uri=True, timeout=30,
                                      check_same_thread=False)
                if self.write:
                    sql.execute('pragma journal_mode = wal')
                    sql.execute('pragma synchronous = full')
                sql.execute('select count(*) from sqlite_master').fetchone()
                return sql
            except sqlite3.OperationalError:
                if mode == modes[-1]:
                    raise
        return None

    def _open_vectors(self):
        self.generation = self.get('generation')
        path = self.folder / f'vectors.{self.generation}.f32'
        if not path.exists() and self.get('generation') != self.generation:     # moved by its writer this moment
            return self._open_vectors()
        self.vectors = disk.Vectors(path, int(self.about['dim']), self._count_rows(), self.write)
        wrong = self.vectors.damaged(self._sql.execute(
            'select row, checksum from images where row is not null order by row'))
        if wrong and not self.write:
            raise Damaged(f'{path} is damaged: {len(wrong)} of {len(self)} images lost their vectors. Fix: python3 '
                          f'main.py index --images={self.about["root"]} --index={self.folder}, which embeds them '
                          'again')
        if self.write:
            self._change('delete from images where row = ?', [(row,) for row in wrong])
            self.lost = len(wrong)
            self.vectors.cut(self._count_rows())
            for other in self.folder.glob('vectors.*.f32'):
                if other != path:
                    other.unlink()
        return None

    def _count_rows(self):
        return self._sql.execute('select coalesce(max(row) + 1, 0) from images').fetchone()[0]

    # ---- reading

    def _select(self, statement, values=()):
        with self._guard, self._plain_errors():
            return self._sql.execute(statement, values).fetchall()

    def __len__(self):
        return self._select('select count(*) from images where row is not null')[0][0]

    def living(self, first=0):
        """(rows, ids, labels) of the living images from row `first` on, by row: int64, int64, list of str."""
        found = self._select('select row, id, label from images where row >= ? order by row', (first,))
        rows, ids, labels = zip(*found) if found else ((), (), ())
        return np.array(rows, np.int64), np.array(ids, np.int64), list(labels)

    def images(self, ids):
        """{id: Image} of those ids that live."""
        found = {}
        for i in ids:
            for row in self._select(f'select {COLUMNS} from images where id = ? and row is not null', (int(i),)):
                found[row[0]] = Image(*row)
        return found

    def page(self, after=0, limit=100, label=None):
        """Up to `limit` living images with ids above `after`, in the order of their ids, as a list of Image."""
        where, values = ('', ()) if label is None else ('and label = ?', (label,))
        return [Image(*row) for row in self._select(
            f'select {COLUMNS} from images where row is not null and id > ? {where} order by id limit ?',
            (int(after), *values, int(limit)))]

    def files(self):
        """{path: Known} of everything that was added and did not vanish, deleted images too."""
        return {path: Known(*rest) for path, *rest in self._select(
            'select path, id, size, mtime_ns, deleted from images')}

    def labels(self):
        """{label: number of living images}, by name."""
        return dict(self._select('select label, count(*) from images where row is not null group by label '
                                 'order by label'))

    def unreadable(self):
        """{path: (size, mtime_ns, reason)} of files that could not be embedded."""
        return {path: tuple(rest) for path, *rest in self._select(
            'select path, size, mtime_ns, reason from unreadable order by path')}

    def version(self):
        """A number that changes when another process changed the index."""
        return self._select('pragma data_version')[0][0]

    def get(self, key, default=None):
        """A value that `set` kept."""
        found = self._select('select value from about where key = ?', (key,))
        return json.loads(found[0][0]) if found else default

    def refresh(self):
        """Count the rows that another process added; True if it wrote them to a new file, so that rows moved."""
        with self._guard:
            if self.get('generation') != self.generation:
                self._open_vectors()
                return True
            self.vectors.rows = self._count_rows()
            return False

    # ---- changing

    def add(self, files, vectors):
        """Add pictures or, where the path is known, replace them; on the disk when this returns.

        Parameters
        ----------
        files : list of File
        vectors : float32 (len(files), D)

        Returns
        -------
        list of int : the ids, in order; a path keeps its id

        Raises
        ------
        UserError : another dimension, a value that is no number, a full disk; the index is then what it was
        """
        vectors = checked(vectors, len(files), self.vectors.dim, self.folder)
        with self._guard, self._plain_errors():
            first = self.vectors.rows
            try:
                self.vectors.append(vectors)
                self._sql.executemany(
                    'insert into images (path, label, size, mtime_ns, added, row, checksum) values (?, ?, ?, ?, ?, ?, '
                    '?) on conflict (path) do update set label = excluded.label, size = excluded.size, mtime_ns = '
                    'excluded.mtime_ns, row = excluded.row, checksum = excluded.checksum, deleted = 0',
                    [(*file, time.time(), first + k, disk.checksum(vectors[k])) for k, file in enumerate(files)])
                self._sql.executemany('delete from unreadable where path = ?', [(file.path,) for file in files])
                self._sql.commit()
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._sql.rollback()
                with contextlib.suppress(OSError):
                    self.vectors.cut()
                raise
            self.vectors.rows = first + len(files)
            return [self._select('select id from images where path = ?', (file.path,))[0][0] for file in files]

    def delete(self, ids):
        """Delete images for good: the path is remembered, and `index` leaves it out until the file changes."""
        self._change('update images set deleted = 1, row = null, checksum = null where id = ?',
                     [(int(i),) for i in ids])

    def forget(self, ids):
        """Drop images whose files are gone."""
        self._change('delete from images where id = ?', [(int(i),) for i in ids])

    def note_unreadable(self, files, reasons):
        """Remember files that cannot be embedded, so that they are not tried again before they change."""
        self._change('insert or replace into unreadable values (?, ?, ?, ?)',
                     [(file.path, file.size, file.mtime_ns, reason) for file, reason in zip(files, reasons)])

    def forget_unreadable(self, paths):
        """Drop such notes."""
        self._change('delete from unreadable where path = ?', [(path,) for path in paths])

    def set(self, key, value):
        """Keep a small value, as JSON."""
        self._change('insert or replace into about values (?, ?)', [(key, json.dumps(value))])

    def _change(self, statement, rows):
        if rows:
            with self._guard, self._plain_errors():
                try:
                    self._sql.executemany(statement, rows)
                    self._sql.commit()
                except BaseException:
                    with contextlib.suppress(sqlite3.Error):
                        self._sql.rollback()
                    raise

    def compact(self):
        """Write the living rows to a new file and drop the old one; returns the number of dead rows that it held."""
        with self._guard, self._plain_errors():
            rows, ids, _ = self.living()
            dead = self.vectors.rows - len(rows)
            target = self.folder / f'vectors.{self.generation + 1}.f32'
            try:
                self.vectors.copy(rows, target)
                self._sql.execute('update images set row = -1 - row where row is not null')    # unique meanwhile
                self._sql.executemany('update images set row = ? where id = ?',
                                      [(k, int(i)) for k, i in enumerate(ids)])
                self._sql.execute("update about set value = ? where key = 'generation'", (str(self.generation + 1),))
                self._sql.commit()
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._sql.rollback()
                with contextlib.suppress(OSError):
                    target.unlink()
                raise
            self.vectors.close()
            self._open_vectors()
            return dead

    @contextlib.contextmanager
    def _plain_errors(self):
        """A full disk and a broken database as one sentence each."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            if getattr(error, 'errno', None) in (errno.ENOSPC, errno.EDQUOT) or 'is full' in str(error):
                raise UserError(f'the disk of {self.folder} is full. What was acknowledged before is safe. Fix: free '
                                'some space, then run the same command again') from error
            if isinstance(error, sqlite3.Error):
                raise UserError(f'{self.folder}/images.sqlite cannot be used: {error}. Fix: make the index again from '
                                'the pictures, in a new folder') from error
            raise

    def close(self):
        """Give the lock back; what was added stays."""
        with self._guard:
            for part in (self._sql, self.vectors, self._lock):
                if part is not None:
                    part.close()
            self._sql = self.vectors = self._lock = None
