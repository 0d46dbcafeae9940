"""The index in Milvus: a file of Milvus Lite in this process, or a cluster at an address, by the same code.

Everything about an image is one entity of the collection `images`, so nothing has to agree with a second place. Its id
is made from its path: adding the same picture twice, by two processes even, gives one entity.
"""

import hashlib
import json
import logging
import time

import numpy as np

from core.errors import UserError
from serving.store import VERSION, Image, Known, checked

IMAGES, ABOUT = 'images', 'images_about'
FIELDS = ['id', 'path', 'label', 'size', 'mtime_ns']
KINDS = {'flat': ('FLAT', {}), 'ivfpq': ('IVF_PQ', {'nlist': 1024, 'nbits': 8}),
         'hnsw': ('HNSW', {'M': 32, 'efConstruction': 80})}
BATCH = 1000                    # entities of one request
LONGEST = 1000                  # bytes of a path or a label


def is_milvus(index):
    """Whether --index names Milvus: an address, or a file NAME.db."""
    return str(index).startswith(('http://', 'https://', 'tcp://')) or str(index).endswith('.db')


def number(text, bits):
    """A number made from a text, for use in Milvus' filters, which then hold no text of a user."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), 'big') >> (64 - bits)


class Unavailable(UserError):
    """Milvus does not answer, or answers with an error."""


class _Client:
    """MilvusClient whose errors are sentences."""

    def __init__(self, client, address):
        self._client, self._address = client, address

    def __getattr__(self, name):
        method = getattr(self._client, name)

        def call(*args, **options):
            from pymilvus import MilvusException
            try:
                return method(*args, **options)
            except MilvusException as error:
                reason = ' '.join(str(error.message).split())[:300]
                raise Unavailable(f'Milvus at {self._address} refuses ({name}): {reason}') from error
        return call


class MilvusIndex:
    """Images and their vectors in Milvus; see serving.index for the interface that it shares with LocalIndex.

    Parameters
    ----------
    address : 'NAME.db' or 'http://HOST:PORT'
    write, about, backend, recall, tell : as LocalIndex; several processes may write to a cluster
    """

    def __init__(self, address, write=False, about=None, backend=None, recall=None, tell=print):
        self.address, self.write, self.lost, self._tell = str(address), write, 0, tell
        self._remote = '://' in self.address
        self._client = self._connect()
        try:
            self.about = self._read_about()
            if self.about is None:
                if about is None:
                    raise UserError(f'{address} holds no index. Fix: python3 main.py index --images=PHOTOS '
                                    f'--index={address}')
                self._create(dict(about, version=VERSION, created=time.time(), backend=backend or 'flat'))
                self.about = self._read_about()
            self._client.load_collection(IMAGES)
            if self.about.get('version') != VERSION:
                raise UserError(f'{address} was made by another version of this program. Fix: make it again')
            self.kind, self.dim = self.about['backend'], int(self.about['dim'])
            if backend and backend != self.kind:
                raise UserError(f'--backend={backend}: {address} was made with {self.kind}, and Milvus keeps it. Fix: '
                                'make another index')
        except BaseException:
            self.close()
            raise

    def _connect(self):
        try:
            from pymilvus import MilvusClient
            if not self._remote:
                import milvus_lite  # noqa: F401
        except ImportError as error:
            raise UserError(f'--index={self.address} needs Milvus ({error}). Fix: pip install -r '
                            'requirements-milvus.txt') from error
        for name in ('pymilvus', 'milvus_lite'):
            logging.getLogger(name).setLevel(logging.CRITICAL)     # their errors are raised as well
        try:
            return _Client(MilvusClient(self.address, timeout=30), self.address)
        except Exception as error:      # pymilvus, grpc and milvus-lite raise classes of their own
            reason = ' '.join(str(error.__cause__ or error).split())[:300]
            if 'lock' in reason or 'Open local milvus failed' in str(error):
                raise UserError(f'{self.address} is in use by another process. Fix: stop it, or use an address of a '
                                'cluster, which many can use') from error
            raise Unavailable(f'--index={self.address} cannot be reached: {reason}') from error

    def _read_about(self):
        """The dict `about`; None where there is none, or where its making was cut off, which nothing was added to."""
        if not self._client.has_collection(IMAGES) or not self._client.has_collection(ABOUT):
            return None
        self._client.load_collection(ABOUT)
        found = self._ask(ABOUT, '', ['json'], limit=1)
        return json.loads(found[0]['json']) if found else None

    def _create(self, about):
        from pymilvus import DataType
        if about['backend'] not in KINDS:
            raise UserError(f'--backend={about["backend"]} is unknown. Legal values: {", ".join(KINDS)}')
        kind, options = KINDS[about['backend']]
        if kind == 'IVF_PQ':
            options = dict(options, m=next(m for m in range(max(1, about['dim'] // 4), 0, -1) if about['dim'] % m == 0))
        for name, fields, dim, how in (
                (ABOUT, (('json', DataType.VARCHAR),), 2, ('FLAT', {})),
                (IMAGES, (('path', DataType.VARCHAR), ('label', DataType.VARCHAR), ('label_key', DataType.INT64),
                          ('size', DataType.INT64), ('mtime_ns', DataType.INT64), ('deleted', DataType.BOOL)),
                 about['dim'], (kind, options))):
            if self._client.has_collection(name):
                self._client.drop_collection(name)
            schema = self._client.create_schema(auto_id=False, enable_dynamic_field=False)
            schema.add_field('id', DataType.INT64, is_primary=True)
            for field, kind_of in fields:
                schema.add_field(field, kind_of, **({'max_length': 4 * LONGEST} if kind_of == DataType.VARCHAR else {}))
            schema.add_field('vector', DataType.FLOAT_VECTOR, dim=dim)
            params = self._client.prepare_index_params()
            params.add_index('vector', index_type=how[0], metric_type='L2', params=how[1])
            self._client.create_collection(name, schema=schema, index_params=params, consistency_level='Strong')
        self._client.insert(ABOUT, [{'id': 0, 'json': json.dumps(about), 'vector': [0.0, 0.0]}])

    def _ask(self, collection, where, fields, **options):
        return list(self._client.query(collection, filter=where, output_fields=fields, **options))

    def _all(self, where, fields):
        iterator = self._client.query_iterator(IMAGES, batch_size=BATCH, filter=where, output_fields=fields)
        try:
            while True:
                found = iterator.next()
                if not found:
                    return
                yield from found
        finally:
            iterator.close()

    # ---- reading

    def __len__(self):
        return int(self._ask(IMAGES, 'deleted == false', ['count(*)'])[0]['count(*)'])

    def refresh(self):
        """Nothing is kept here that could be stale."""
        return False

    def prepare(self):
        """Let Milvus index what was added; says what is there."""
        self.save()
        return f'{self.kind} of Milvus over {len(self):,} images'

    def search(self, queries, k, labels=None):
        """Nearest images; see LocalIndex.search."""
        queries = np.ascontiguousarray(queries, np.float32)
        if queries.ndim != 2 or queries.shape[1] != self.dim:
            raise UserError(f'the index holds vectors of {self.dim} numbers, the query has {queries.shape[-1]}. '
                            'Fix: the network that the index was made with')
        where = 'deleted == false'
        if labels is not None:
            where += f' and label_key in {[number(label, 63) for label in labels]}'
        params = {'ef': max(64, 2 * k), 'nprobe': 64} if self.kind != 'flat' else {}
        # Milvus Lite takes the differences of all queries and all images at once, queries x images x D numbers: 20 GB
        # for 100 queries among 100,000 images of 512
        step, found = (len(queries) or 1) if self._remote else 1, []
        for start in range(0, len(queries), step):
            found += self._client.search(IMAGES, data=list(queries[start:start + step]), filter=where,
                                         limit=max(1, min(int(k), 16384)), search_params={'params': params})
        width = max([len(hits) for hits in found], default=0)
        ids, far = np.full((len(queries), width), -1, np.int64), np.full((len(queries), width), np.inf, np.float32)
        for row, hits in enumerate(found):
            for column, hit in enumerate(hits):
                ids[row, column], far[row, column] = hit['id'], np.sqrt(max(0.0, hit['distance']))   # L2 is squared
        return ids, far

    def vectors(self, ids):
        """float32 (n, D) of ids that are there."""
        found = {row['id']: row['vector'] for row in self._by_id(ids, ['id', 'vector'])}
        return np.array([found[int(i)] for i in ids], np.float32).reshape(-1, self.dim)

    def _by_id(self, ids, fields):
        ids = [int(i) for i in ids]
        for start in range(0, len(ids), BATCH):
            yield from self._ask(IMAGES, f'id in {ids[start:start + BATCH]} and deleted == false', fields)

    def ids(self):
        """int64 (n,): the ids of all images, ascending."""
        return np.sort(np.array([row['id'] for row in self._all('deleted == false', ['id'])], np.int64))

    def images(self, ids):
        """{id: Image} of those ids that are there."""
        return {row['id']: Image(*(row[name] for name in FIELDS)) for row in self._by_id(ids, FIELDS)}

    def page(self, after=0, limit=100, label=None):
        """Up to `limit` images with ids above `after`, in the order of their ids."""
        where = f'deleted == false and id > {int(after)}'
        if label is not None:
            where += f' and label_key == {number(label, 63)}'
        rows = sorted(self._ask(IMAGES, where, FIELDS, limit=limit), key=lambda row: row['id'])
        return [Image(*(row[name] for name in FIELDS)) for row in rows]

    def labels(self):
        """{label: number of images}, by name."""
        count = {}
        for row in self._all('deleted == false', ['label']):
            count[row['label']] = count.get(row['label'], 0) + 1
        return dict(sorted(count.items()))

    def files(self):
        """{path: Known} of everything that was added and did not vanish."""
        return {row['path']: Known(row['id'], row['size'], row['mtime_ns'], row['deleted'])
                for row in self._all('id >= 0', [*FIELDS, 'deleted'])}

    def unreadable(self):
        """Milvus keeps no list of unreadable files: they are tried each time."""
        return {}

    # ---- changing

    def add(self, files, vectors):
        """Add or replace pictures; acknowledged by Milvus when this returns. Returns their ids."""
        vectors = checked(vectors, len(files), self.dim, self.address)
        long = [file.path for file in files if max(len(file.path.encode()), len(file.label.encode())) > LONGEST]
        if long:
            raise UserError(f'{long[0][:80]}... is longer than the {LONGEST} bytes that Milvus holds. '
                            'Fix: shorter names')
        ids = self._ids_of([file.path for file in files])
        self._put([{'id': i, **file._asdict(), 'label_key': number(file.label, 63), 'deleted': False, 'vector': vector}
                   for i, file, vector in zip(ids, files, vectors)])
        return ids

    def _ids_of(self, paths):
        """53 bits of each path's hash, which JavaScript can hold; the next free number where another path has it."""
        ids = [number(path, 53) for path in paths]
        while True:
            taken = {row['id']: row['path'] for start in range(0, len(ids), BATCH)
                     for row in self._ask(IMAGES, f'id in {ids[start:start + BATCH]}', ['id', 'path'])}
            for i, path in zip(ids, paths):
                taken.setdefault(i, path)
            wrong = [k for k, path in enumerate(paths) if taken[ids[k]] != path]
            if not wrong:
                return ids
            for k in wrong:
                ids[k] += 1

    def _put(self, entities):
        for start in range(0, len(entities), BATCH):
            self._client.upsert(IMAGES, entities[start:start + BATCH])

    def delete(self, ids):
        """Delete images; `index` leaves their files out until they change."""
        rows = self._ask(IMAGES, f'id in {[int(i) for i in ids]}', [*FIELDS, 'vector', 'label_key'])
        self._put([dict(row, deleted=True) for row in rows])

    def forget(self, ids):
        """Drop images whose files are gone."""
        if len(ids):
            self._client.delete(IMAGES, ids=[int(i) for i in ids])

    def set_root(self, root):
        """Note that the folder of pictures is another one now."""
        self.about = dict(self.about, root=root)
        self._client.upsert(ABOUT, [{'id': 0, 'json': json.dumps(self.about), 'vector': [0.0, 0.0]}])

    def note_unreadable(self, files, reasons):
        """Milvus keeps no such notes."""

    def forget_unreadable(self, paths):
        """Milvus keeps no such notes."""

    def save(self):
        """Seal what was added: it was safe before, but is searched ten times slower until it is indexed."""
        self._client.flush(IMAGES)

    def close(self):
        """Let go of the connection, and of the lock of Milvus Lite."""
        self._client.close()
        if not self._remote:
            from milvus_lite.server_manager import server_manager_instance
            server_manager_instance.release_server(self.address)
