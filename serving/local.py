"""The embedded index: a folder on this machine (serving.store) searched by faiss (serving.backends)."""

import threading

import numpy as np

from core.errors import UserError, pick
from serving import backends
from serving.store import Store

FEW_ALLOWED = 20000     # so many rows left by a filter are compared one by one, whatever the back-end
LARGE = 100000          # images from which another back-end than Flat is worth a thought
RECALL = 0.95           # see LocalIndex
SLACK = 10              # rows fetched beyond k: faiss rounds the distances of many queries, exact ones order the rows
DEAD = 1000             # rows below which dead ones are not worth a new file


class LocalIndex:
    """Images and their vectors in a folder; see serving.index for the interface that it shares with Milvus.

    Parameters
    ----------
    folder : str or Path
    write : True for the one process that changes it
    about : dict with dim, model and root, to make it when it is not there
    backend : 'flat', 'ivfpq', 'hnsw', or None for what the index was built with
    recall : recall@10 that `prepare` tunes an inexact back-end to; None: that of before, RECALL for a new one
    tell : function for sentences that the user should read
    """

    def __init__(self, folder, write=False, about=None, backend=None, recall=None, tell=print):
        self._tell, self._wanted, self._guard = tell, recall, threading.RLock()
        self.store = Store(folder, write, about)
        try:
            self.about, self.lost = self.store.about, self.store.lost
            self.kind = backend or self.store.get('backend', 'flat')
            self._backend = None
            pick('--backend', self.kind, backends.BACKENDS)
            self._load()
        except BaseException:
            self.store.close()
            raise

    # ---- rows in memory

    def _load(self):
        """Read which rows live, and the back-end's file where it has one."""
        with self._guard:
            self._version, self._mended = self.store.version(), False
            self._ids, self._codes = np.zeros(0, np.int64), np.zeros(0, np.int32)
            self._names, self._row_of = [], {}
            self._note_rows(0)
            self._vectors = self.store.vectors.matrix()
            self._backend = self._from_file() or self._built(backends.Flat)

    def _note_rows(self, first):
        """Bring ids, label codes and the map from ids to rows up to date from row `first` on."""
        count = self.store.vectors.rows
        ids, codes = np.full(count, -1, np.int64), np.full(count, -1, np.int32)
        ids[:first], codes[:first] = self._ids[:first], self._codes[:first]
        rows, found, labels = self.store.living(first)
        code = {name: k for k, name in enumerate(self._names)}
        ids[rows] = found
        codes[rows] = [code.setdefault(label, len(code)) for label in labels]
        self._ids, self._codes, self._names = ids, codes, list(code)
        for row, i in zip(rows.tolist(), found.tolist()):
            old = self._row_of.get(i)
            if old is not None and old != row:
                self._ids[old] = -1
            self._row_of[i] = row

    def _file(self):
        return self.store.folder / f'{self.kind}.faiss'

    def _from_file(self):
        """The back-end as it was saved, with the rows that came since; None when it must be built again."""
        kind, noted = backends.BACKENDS[self.kind], self._noted()
        if not kind.cached or not noted:
            return None
        backend = kind(self.store.vectors.dim)
        if noted['rows'] > len(self._ids) or not backend.load(self._file(), noted['checksum']):
            self._tell(f'note: {self._file()} is damaged; it is made again from the vectors')
            self._mended = True
            return self._built(kind)
        backend.effort, backend.recall = noted['effort'], noted['recall']
        backend.add(self._vectors[backend.rows:])
        return backend

    def _built(self, kind):
        backend = kind(self.store.vectors.dim)
        backend.build(self._vectors)
        if kind.cached:
            backend.tune(self._vectors, np.flatnonzero(self._ids >= 0), self._recall())
        return backend

    def prepare(self):
        """Build the back-end where it is due and save it; returns what to tell about it.

        Due: not built yet, or its rows doubled since, or every third of them is dead, or another recall is wanted.
        """
        with self._guard:
            if len(self._ids) > DEAD and len(self) < len(self._ids) / 2:
                self.store.compact()
                self._load()
            kind, count = backends.BACKENDS[self.kind], len(self._ids)
            noted = self._noted()
            due = self._mended or not (isinstance(self._backend, kind) and noted and count <= 2 * noted['built']
                       and len(self) >= count * 2 / 3 and self._wanted in (None, noted['wanted']))
            if (due and not self._mended) or not kind.cached:
                self._backend = self._built(kind)
            self.store.set('backend', self.kind)
            self.save(built=count if due else None)
            for other in set(self.store.folder.glob('*.faiss')) - {self._file()}:
                other.unlink()
            if not kind.cached:
                words = f'exact search over {len(self):,} images'
                return words + ('; from here on --backend=hnsw is faster' if len(self) > LARGE else '')
            reached = '' if self._backend.recall is None else f', recall@10 against exact {self._backend.recall:.3f}'
            return f'{self.kind} over {len(self):,} images{reached} (effort {self._backend.effort})'

    def save(self, built=None):
        """Write the back-end's file, where it has one and rows came since it was written.

        built : number of rows that it was just built from; None: rows were added to what was built before
        """
        with self._guard:
            noted, count, backend = self._noted(), len(self._ids), self._backend
            if not backend.cached or (built is None and (not noted or noted['rows'] == count)):
                return
            self.store.set('cache', {
                'kind': self.kind, 'generation': self.store.generation, 'rows': count, 'wanted': self._recall(),
                'built': built or noted['built'], 'effort': backend.effort, 'recall': backend.recall,
                'checksum': backend.save(self._file())})
            self._mended = False

    def _noted(self):
        """What was noted of the back-end's file; {} when it is of another back-end or of rows that moved."""
        noted = self.store.get('cache', {})
        same = noted.get('kind') == self.kind and noted.get('generation') == self.store.generation
        return noted if same else {}

    def _recall(self):
        """The recall that is tuned to: what was asked for, else that of before, else RECALL."""
        return self._wanted or self.store.get('cache', {}).get('wanted') or RECALL

    # ---- reading

    def __len__(self):
        return int((self._ids >= 0).sum())

    def refresh(self):
        """Take up what another process changed meanwhile; True if it changed anything."""
        with self._guard:
            version = self.store.version()
            if version == self._version:
                return False
            first, moved = len(self._ids), self.store.refresh()
            rows, _, _ = self.store.living()
            mine = np.flatnonzero(self._ids >= 0)
            if moved or not np.isin(rows[rows < first], mine).all():
                self._load()
                return True
            gone = np.setdiff1d(mine, rows)
            for i in self._ids[gone].tolist():
                self._row_of.pop(i)
            self._ids[gone] = -1
            self._take_up(first)
            self._version = version
            return True

    def _take_up(self, first):
        """Search the rows from `first` on too."""
        self._note_rows(first)
        self._vectors = self.store.vectors.matrix()
        self._backend.add(self._vectors[first:])

    def search(self, queries, k, labels=None):
        """Nearest images.

        Parameters
        ----------
        queries : float32 (q, D)
        k : how many
        labels : None, or the labels that may be found

        Returns
        -------
        (int64 (q, k') ids, -1 where there are not as many; float32 (q, k') Euclidean distances, inf there), k' <= k
        """
        queries = np.ascontiguousarray(queries, np.float32)
        if queries.ndim != 2 or queries.shape[1] != self.store.vectors.dim:
            raise UserError(f'the index holds vectors of {self.store.vectors.dim} numbers, the query has '
                            f'{queries.shape[-1]}. Fix: the network that the index was made with')
        with self._guard:
            allowed = self._ids >= 0
            if labels is not None:
                allowed &= np.isin(self._codes, [k for k, name in enumerate(self._names) if name in set(labels)])
            count = int(allowed.sum())
            k = min(int(k), count)
            ids, far = np.full((len(queries), k), -1, np.int64), np.full((len(queries), k), np.inf, np.float32)
            if not k:
                return ids, far
            fetched = min(count, k * self._backend.candidates + SLACK)
            if self._backend.cached and count <= FEW_ALLOWED:
                found = backends.nearest(self._vectors, queries, k, np.flatnonzero(allowed))
            else:
                found = self._backend.search(queries, fetched, None if allowed.all() else allowed)
            for i, rows in enumerate(found):
                rows, near = backends.by_distance(self._vectors, queries[i], rows[rows >= 0])
                ids[i, :len(rows)], far[i, :len(rows)] = self._ids[rows[:k]], near[:k]
            return ids, far

    def vectors(self, ids):
        """float32 (n, D) of ids that are there."""
        with self._guard:
            return np.array(self._vectors[[self._row_of[int(i)] for i in ids]])

    def ids(self):
        """int64 (n,): the ids of all images, ascending."""
        return np.sort(self._ids[self._ids >= 0])

    def images(self, ids):
        """{id: Image} of those ids that are there."""
        return self.store.images(ids)

    def page(self, after=0, limit=100, label=None):
        """Up to `limit` images with ids above `after`, in the order of their ids."""
        return self.store.page(after, limit, label)

    def labels(self):
        """{label: number of images}, by name."""
        return self.store.labels()

    def files(self):
        """{path: Known} of everything that was added and did not vanish."""
        return self.store.files()

    def unreadable(self):
        """{path: (size, mtime_ns, reason)} of files that could not be embedded."""
        return self.store.unreadable()

    # ---- changing

    def add(self, files, vectors):
        """Add or replace pictures; on the disk when this returns. Returns their ids."""
        with self._guard:
            ids = self.store.add(files, vectors)
            self._take_up(len(self._ids))
            return ids

    def delete(self, ids):
        """Delete images; `index` leaves their files out until they change."""
        self._drop(ids, self.store.delete)

    def forget(self, ids):
        """Drop images whose files are gone."""
        self._drop(ids, self.store.forget)

    def _drop(self, ids, change):
        with self._guard:
            change(ids)
            for i in ids:
                row = self._row_of.pop(int(i), None)
                if row is not None:
                    self._ids[row] = -1

    def set_root(self, root):
        """Note that the folder of pictures is another one now."""
        self.about = dict(self.about, root=root)
        self.store.set('about', self.about)

    def note_unreadable(self, files, reasons):
        """Remember files that cannot be embedded."""
        self.store.note_unreadable(files, reasons)

    def forget_unreadable(self, paths):
        """Drop such notes."""
        self.store.forget_unreadable(paths)

    def close(self):
        """Let other processes write."""
        self.store.close()
