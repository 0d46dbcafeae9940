"""The index as the service uses it: kept fresh, thumbnails remembered, pictures added and deleted."""

import hashlib
import os
import pathlib
import threading
import time
from collections import OrderedDict

import numpy as np

from core.errors import UserError
from core.files import write_atomic
from serving import duplicates, photos, search
from serving.service.combining import Searches
from serving.store import File

THUMBNAILS = 64_000_000         # bytes that are remembered
UPLOAD = 'upload-'              # how the names of added files begin
FRESH = 1.0                     # seconds after which another process's changes are looked for


class Library:
    """An index and its folder.

    Parameters
    ----------
    index : of serving.index.open_index
    metrics : settings.Metrics
    most : searches that go through the index at once
    """

    def __init__(self, index, metrics, most=16):
        self.index, self.metrics, self.root = index, metrics, index.about['root']
        self._search = Searches(index, most)
        self._thumbnails, self._bytes, self._guard = OrderedDict(), 0, threading.Lock()
        self._looked, self._groups, self._searching_groups = time.monotonic(), {}, threading.Lock()
        self.changes = 0
        self._drawing = threading.BoundedSemaphore(len(os.sched_getaffinity(0)))     # pictures decoded at a time
        metrics.images.set(len(index))

    def refresh(self):
        """Take up what another process changed, at most once a second."""
        with self._guard:
            if time.monotonic() - self._looked < FRESH:
                return
            self._looked = time.monotonic()
        if self.index.refresh():
            self._changed()

    def _changed(self):
        self.changes += 1
        self.metrics.images.set(len(self.index))

    def nearest(self, vector, k, labels, max_distance, leave_out=None):
        """list of search.Hit."""
        self.refresh()
        start = time.perf_counter()
        hits = search.nearest(self.index, vector, k, labels, max_distance, leave_out, self._search)
        self.metrics.search.observe(time.perf_counter() - start)
        return hits

    def spread(self, count):
        """About `count` images at equal steps through the index."""
        ids = self.index.ids()
        if len(ids) > count:
            ids = ids[np.linspace(0, len(ids) - 1, count).astype(int)]
        return list(self.index.images(ids).values())

    def vector(self, id):
        """float32 (D,) of an image, or None."""
        return self.index.vectors([id])[0] if self.index.images([id]) else None

    def original(self, image):
        """(file, content type) of an image; None when it is not there any more."""
        try:
            file = photos.locate(self.root, image.path)
            with open(file, 'rb') as source:
                return file, photos.content_type(source)
        except (OSError, photos.Unreadable):
            return None

    def thumbnail(self, image, size):
        """JPEG bytes, or None when its file is not there any more."""
        key = image.id, image.mtime_ns, size
        with self._guard:
            if key in self._thumbnails:
                self._thumbnails.move_to_end(key)
                return self._thumbnails[key]
        try:
            with self._drawing:
                data = photos.thumbnail(photos.locate(self.root, image.path), size)
        except photos.Unreadable:
            return None
        with self._guard:
            self._bytes += len(data) - len(self._thumbnails.pop(key, b''))
            self._thumbnails[key] = data
            while self._bytes > THUMBNAILS:
                self._bytes -= len(self._thumbnails.popitem(last=False)[1])
        return data

    def duplicates(self, max_distance, labels, most):
        """list of duplicates.Group, remembered until the index changes; None while another such search runs."""
        self.refresh()
        key = self.changes, max_distance, tuple(sorted(labels or ())), most
        if key in self._groups:
            return self._groups[key]
        if not self._searching_groups.acquire(blocking=False):
            return None
        try:
            self._groups = {k: v for k, v in self._groups.items() if k[0] == self.changes and len(self._groups) < 16}
            self._groups[key] = duplicates.groups(self.index, max_distance, labels, most)
            return self._groups[key]
        finally:
            self._searching_groups.release()

    def add(self, pictures, vectors, label):
        """Write pictures into the folder and their vectors into the index; returns their ids. On the disk on return.

        A picture's name is made from its bytes, so sending it again changes nothing.
        """
        files = []
        for data in pictures:
            suffix = photos.FORMATS[photos.header(data)][1]
            path = os.path.join(label or 'uploads', UPLOAD + hashlib.sha256(data).hexdigest()[:24] + suffix)
            target = pathlib.Path(photos.locate(self.root, path))
            if not target.is_file() or target.stat().st_size != len(data):
                write_atomic(target, data)
            status = target.stat()
            files.append(File(path, path.split(os.sep)[0], status.st_size, status.st_mtime_ns))
        ids = self.index.add(files, vectors)
        self._changed()
        return ids

    def delete(self, image):
        """Take an image out of the index; its file goes too when it came through the service, and else stays."""
        if os.path.basename(image.path).startswith(UPLOAD):
            pathlib.Path(photos.locate(self.root, image.path)).unlink(missing_ok=True)
            self.index.forget([image.id])
        else:
            self.index.delete([image.id])
        self._changed()

    def close(self):
        """Save what the index keeps in files, and let others write."""
        if getattr(getattr(self.index, 'store', None), 'write', False):
            self.index.save()
        self.index.close()


def check_label(label):
    """UserError for a label that cannot name a folder."""
    if len(label.encode()) > 100 or label.startswith('.') or any(c in '/\\' or not c.isprintable() for c in label):
        raise UserError('this is no label. '
                        'Legal values: at most 100 bytes, no dot at the beginning, no / and no control '
                        'character')
