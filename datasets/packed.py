"""Pictures of any size, decoded, one after the other in one memory-mapped file that several processes share.

Layout of a folder: pixels.u8 (all pictures, RGB, rows first), keys.npy (what each picture is), rows.npy (int64 (N, 5):
height, width, size and time of the file that it was made from, checksum of its pixels), about.json (among others a
checksum of the other two). A picture is checked when it is first read; one that is damaged is made again.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import secrets
import shutil
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from tqdm import tqdm

from core.errors import UserError
from core.lazy import lazy
from datasets.preparation.download import explain

cv2 = lazy('cv2')

BLOCK = 512    # images between two points from which an interrupted build goes on
HEIGHT, WIDTH, SIZE, TIME, CHECKSUM = range(5)      # columns of rows.npy


class Damaged(Exception):
    """The files of a folder do not belong together; it has to be built again."""


def checksum(image):
    return zlib.crc32(np.ascontiguousarray(image))


class Packed:
    """An opened folder.

    Parameters
    ----------
    folder : Path; Damaged is raised when it is not what `build` wrote
    make : callable key -> uint8 (h, w, 3), makes a picture again whose pixels are damaged

    Attributes
    ----------
    keys : V12 (N,)
    stamps : int64 (N, 2), size and time of the files that the pictures were made from
    """

    def __init__(self, folder, make):
        self.folder, self.make = pathlib.Path(folder), make
        try:
            about = json.loads((self.folder / 'about.json').read_text(encoding='utf-8'))
            self.keys = np.load(self.folder / 'keys.npy', allow_pickle=False)
            self.rows = np.load(self.folder / 'rows.npy', allow_pickle=False)
            if about['lists'] != digest(self.keys, self.rows):
                raise Damaged('its lists have changed')
            self.ends = np.cumsum(self.rows[:, HEIGHT] * self.rows[:, WIDTH] * 3)
            self.pixels = np.memmap(self.folder / 'pixels.u8', dtype=np.uint8, mode='r')
        except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
            raise Damaged(str(error)) from error
        if len(self.pixels) != self.ends[-1]:
            raise Damaged(f'{len(self.pixels):,} bytes of pixels instead of {self.ends[-1]:,}')
        self.stamps = self.rows[:, [SIZE, TIME]]
        self.checked = np.zeros(len(self.keys), dtype=bool)
        self.lock = threading.Lock()

    def __len__(self):
        return len(self.keys)

    def read(self, row):
        """uint8 (h, w, 3) of picture `row`, a read-only view of the mapped bytes."""
        if not self.checked[row]:
            self._check(row)
        return self._view(row)

    def _view(self, row):
        height, width = self.rows[row, :2].tolist()
        end = int(self.ends[row])
        return np.ndarray((height, width, 3), np.uint8, self.pixels, end - height * width * 3)

    def _check(self, row):
        """Compare the pixels with their checksum; write them again where they differ."""
        if checksum(self._view(row)) != self.rows[row, CHECKSUM]:
            with self.lock:
                image = np.ascontiguousarray(self.make(self.keys[row].tobytes()))
                if checksum(image) != self.rows[row, CHECKSUM]:
                    raise UserError(f'picture {row} of the store {self.folder} is damaged and cannot be made again '
                                    'as it was. Fix: remove this folder; it is built again')
                with open(self.folder / 'pixels.u8', 'r+b') as file:
                    file.seek(int(self.ends[row]) - image.size)
                    file.write(image.data)
        self.checked[row] = True


def digest(keys, rows):
    return hashlib.blake2b(keys.tobytes() + rows.tobytes(), digest_size=16).hexdigest()


def build(folder, read, keys, stamps, about, threads, log=print):
    """Write a folder of the pictures read(0) .. read(len(keys) - 1).

    It grows in FOLDER.part, block by block; an interrupted build goes on after the last whole picture whose file has
    not changed since. A second process that wants the same folder waits for the first. What `folder` held before is
    replaced at the end.

    Parameters
    ----------
    folder : Path
    read : callable k -> uint8 (h, w, 3)
    keys : V12 (N,); stamps : int64 (N, 2)
    about : dict for about.json
    threads : that call `read`
    log : callable(str)
    """
    part = pathlib.Path(f'{folder}.part')
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        before = _identity(folder)
        with open(f'{folder}.lock', 'w') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if _identity(folder) != before:     # another process has built it meanwhile
                return
            for left in folder.parent.glob(f'{folder.name}.*.old'):     # of a build that was killed while it renamed
                shutil.rmtree(left, ignore_errors=True)
            part.mkdir(exist_ok=True)
            start = resume(part, stamps)
            log(f'building the store {folder} ({len(keys):,} images' +
                (f', going on after {start:,})' if start else ')'))
            fill(part, read, stamps, start, threads)
            rows = np.fromfile(part / 'rows.i64', dtype=np.int64).reshape(-1, 5)
            np.save(part / 'rows.npy', rows)
            np.save(part / 'keys.npy', keys)
            os.remove(part / 'rows.i64')
            (part / 'about.json').write_text(json.dumps({**about, 'images': len(keys), 'lists': digest(keys, rows)}),
                                             encoding='utf-8')
            old = f'{folder}.{secrets.token_hex(4)}.old'
            if os.path.exists(folder):
                os.rename(folder, old)
            os.rename(part, folder)
            shutil.rmtree(old, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.remove(f'{folder}.lock')
    except OSError as error:
        raise explain(error, part) from error


def _identity(folder):
    """What tells a folder from one that replaced it; None when there is none."""
    try:
        return os.stat(folder / 'about.json').st_ino, os.stat(folder / 'about.json').st_mtime_ns
    except OSError:
        return None


def resume(part, stamps):
    """Pictures that an earlier, interrupted build has written and whose files are still the same; cuts off the rest."""
    pixels, written = part / 'pixels.u8', part / 'rows.i64'
    if not pixels.exists() or not written.exists():
        shutil.rmtree(part)
        part.mkdir()
        return 0
    rows = np.fromfile(written, dtype=np.int64)
    rows = rows[:len(rows) // 5 * 5].reshape(-1, 5)[:len(stamps)]
    ends = np.cumsum(rows[:, HEIGHT] * rows[:, WIDTH] * 3)
    count = int(np.searchsorted(ends, os.path.getsize(pixels), side='right'))
    same = (rows[:count, [SIZE, TIME]] == stamps[:count]).all(axis=1)
    count = count if same.all() else int(same.argmin())
    os.truncate(pixels, int(ends[count - 1]) if count else 0)
    os.truncate(written, count * 40)
    return count


def fill(part, read, stamps, start, threads):
    """Append pictures start.. in order, made by threads."""
    stop = len(stamps)
    cv2.setNumThreads(0)
    with open(part / 'pixels.u8', 'ab') as pixels, open(part / 'rows.i64', 'ab') as written, \
            ThreadPoolExecutor(threads) as pool, \
            tqdm(total=stop, initial=start, desc='store', unit='image', leave=False,
                 disable=not sys.stderr.isatty()) as shown:
        for first in range(start, stop, BLOCK):
            block, rows = range(first, min(first + BLOCK, stop)), []
            for k, image in zip(block, pool.map(lambda k: np.ascontiguousarray(read(k)), block)):
                pixels.write(image.data)
                rows.append([*image.shape[:2], *stamps[k], checksum(image)])
                shown.update()
            pixels.flush()
            os.fsync(pixels.fileno())
            written.write(np.array(rows, dtype=np.int64).tobytes())
            written.flush()
