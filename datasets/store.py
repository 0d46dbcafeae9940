"""The uint8 store: every image decoded and shrunk once, then read from memory-mapped bytes.

Layout of a store folder: pixels.u8 (all images one after the other, RGB, rows first), shapes.npy (int32 (N, 2) height
and width), keys.npy (the images it holds), about.json. Several processes share one copy through the page cache.

Exactness. A transform whose view begins with a fixed resize gets a store made by that very step, so its pictures
equal the JPEG path bit for bit: margin, margin_simple, ranking_batch, heated_up, local_sampling, npair, and every test
view but that of ranking_img. Embedding Expansion's training view resizes to S or to 1.125 S: kept at 1.125 S, its crops
(half of the pictures) are equal, the others start from a smaller photo. ranking_img keeps a short side of 512; photos
smaller than that stay as they are. docs/datasets.md has the size of the differences.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import sys
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from tqdm import tqdm

from core.errors import UserError, pick_name
from core.flags import bounded
from core.lazy import lazy
from datasets.pictures import read_image
from datasets.preparation.download import explain, writable
from datasets.records import cut
from datasets.threads import default_workers
from datasets.transforms import TRANSFORMS, RankingImage, enlarged, resize_pil, scaled, short_side

cv2 = lazy('cv2')
Image = lazy('PIL.Image')

VERSION = 1
BLOCK = 512    # images between two points from which an interrupted build goes on


def add_args(group):
    """Flags of the store."""
    group.add_argument('--cache', choices=('jpeg', 'store'), default='jpeg',
                       help='jpeg: decode the files each time; store: decode once into a memory-mapped uint8 store '
                            '(SOP: 24 GB as 256 squares) and read that, many times faster')
    group.add_argument('--store_shape', choices=('auto', 'square', 'short'), default='auto',
                       help='square: N x N, aspect not kept; short: short side N, aspect kept; auto: as --transform '
                            'begins')
    group.add_argument('--store_size', type=bounded(int, 0, 4096), default=0, metavar='N',
                       help='pixels of the stored side; 0: as --transform and --image_size ask')
    group.add_argument('--store_dir', default='', metavar='DIR',
                       help='where stores are kept; empty: .prepared/ in the folder of the data set')


Form = namedtuple('Form', 'shape filter size')
Form.__doc__ = """What a store keeps: shape 'square' or 'short', filter of the resize, side in pixels."""

# The first step of the transforms that begin with a fixed resize: shape, filter, the crop that goes with 256 pixels.
FIRST_STEP = {
    'margin': ('square', 'linear', 224), 'margin_simple': ('square', 'linear', 224),
    'ranking_batch': ('square', 'linear', 224), 'heated_up': ('square', 'lanczos', 224),
    'heated_up_center': ('square', 'lanczos', 224), 'local_sampling': ('square', 'antialias', 224),
    'npair': ('short', 'antialias', 227)}


def options(args):
    """{option of `attach`: value} of parsed flags."""
    return {'shape': args.store_shape, 'size': args.store_size, 'folder': args.store_dir or None,
            'threads': args.num_workers}


def form_of(transform, image_size, train, shape='auto', size=0):
    """The Form that a transform asks for.

    Parameters
    ----------
    transform : name, a key of datasets.transforms.TRANSFORMS
    image_size : side of the square that the network sees, in pixels
    train : whether the images will be seen through the training view or the test view of the transform
    shape, size : 'square' or 'short', and pixels, to be used instead; 'auto', 0: as the transform begins
    """
    name = pick_name('--transform', transform, TRANSFORMS)
    if name in FIRST_STEP:
        first_shape, kind, crop = FIRST_STEP[name]
        first_size = scaled(image_size, crop)
    elif name == 'ranking_img':
        first_shape, kind, first_size = 'short', 'area', RankingImage.high
    else:
        first_shape, kind, first_size = 'square', 'linear', image_size
        if name == 'embedding_expansion' and train:
            first_size = enlarged(image_size)
    if shape not in ('auto', first_shape):
        first_shape, kind = shape, 'linear' if shape == 'square' else 'area'
    return Form(first_shape, kind, size or first_size)


def shrink(image, form):
    """uint8 (h, w, 3) as the store keeps it, from uint8 (H, W, 3). The short form never enlarges."""
    height, width = image.shape[:2]
    if form.shape == 'short':
        if min(height, width) <= form.size:
            return image
        goal = short_side(image, form.size)
    else:
        goal = (form.size, form.size)
    if goal == (width, height):
        return image
    if form.filter in ('linear', 'area'):
        return cv2.resize(image, goal, interpolation=cv2.INTER_LINEAR if form.filter == 'linear' else cv2.INTER_AREA)
    method = Image.Resampling.LANCZOS if form.filter == 'lanczos' else Image.Resampling.BILINEAR
    return resize_pil(image, *goal, method)


class Store:
    """An opened store. `read(row) -> uint8 (h, w, 3)`, a read-only view of the mapped bytes."""

    def __init__(self, folder):
        folder = pathlib.Path(folder)
        self.shapes = np.load(folder / 'shapes.npy')
        sizes = self.shapes.astype(np.int64).prod(axis=1) * 3
        self.ends = np.cumsum(sizes)
        self.keys = np.load(folder / 'keys.npy')
        self.pixels = np.memmap(folder / 'pixels.u8', dtype=np.uint8, mode='r')
        if len(self.pixels) != self.ends[-1] or len(self.keys) != len(self.ends):
            raise UserError(f'the store {folder} is damaged. Fix: remove this folder; it is built again')

    def __len__(self):
        return len(self.ends)

    def read(self, row):
        """Image `row` as a read-only view."""
        height, width = self.shapes[row].tolist()
        end = int(self.ends[row])
        return np.ndarray((height, width, 3), np.uint8, self.pixels, end - height * width * 3)


def image_keys(split):
    """Bytes (N,), one key for each image: its path, and its box if it is cut to it. Equal for every split of a set."""
    if split.crop_box:
        texts = [f'{path} {np.round(box, 3).tolist()}' for path, box in zip(split.paths, split.boxes)]
    else:
        texts = split.paths
    return np.array([hashlib.blake2b(text.encode('utf-8', 'surrogateescape'), digest_size=12).digest()
                     for text in texts], dtype='V12')


def attach(data, transform, image_size, *, shape='auto', size=0, folder=None, threads=None, log=print):
    """Let the splits of a Data read from stores, which are built or completed first.

    A store serves every protocol of the data set and any held-out classes: its images are known by their paths. Splits
    without files stay as they are.

    Parameters
    ----------
    data : datasets.records.Data, whose splits are changed
    transform, image_size, shape, size : what the store keeps, see form_of
    folder : where stores are kept; None: .prepared/ in the folder of the data set
    threads : that decode; None: one for each processor
    log : callable(str), told when a store is built
    """
    train, val, test = (split if split is not None and split.reader is None else None
                        for split in (data.train, data.val, data.test))
    train_form, test_form = (form_of(transform, image_size, view, shape, size) for view in (True, False))
    place = (folder, threads or default_workers(), log)
    if train_form == test_form:
        connect((train, val, test), (train, val, test), train_form, *place)
    else:
        connect((train,), (train, val), train_form, *place)
        connect((val,), (val,), test_form, *place)
        connect((test,), (test,), test_form, *place)


def connect(splits, content, form, parent, threads, log):
    """Let `splits` read from the store of all images of `content` in this form. None stands for no split."""
    splits, content = ([split for split in group if split is not None] for group in (splits, content))
    if not splits:
        return
    keys = np.concatenate([image_keys(split) for split in content])
    _, first = np.unique(keys, return_index=True)
    first = np.sort(first)
    wanted = keys[first]
    parent = pathlib.Path(parent or pathlib.Path(splits[0].root or '.', '.prepared'))
    if not writable(parent if parent.exists() else parent.parent):
        raise UserError(f'--cache=store: nothing may be written in {parent}. Fix: give another folder with '
                        '--store_dir')
    key = hashlib.sha256(repr((VERSION, form)).encode() + np.sort(wanted).tobytes()).hexdigest()
    folder = parent / f'store-{form.shape}{form.size}-{form.filter}-{key[:12]}'
    if not (folder / 'about.json').exists():
        where = [(split, row) for split in content for row in range(len(split))]

        def read(k):
            split, row = where[first[k]]
            image = read_image(split.path(row))
            return cut(image, split.boxes[row]) if split.crop_box else image
        build(folder, read, wanted, form, threads, log)
    store = Store(folder)
    by_key = np.argsort(store.keys)
    sorted_keys = store.keys[by_key]
    for split in splits:
        split.rows = by_key[np.searchsorted(sorted_keys, image_keys(split))]
        split.reader, split.crop_box = store.read, False


def build(folder, read, keys, form, threads, log=print):
    """Write a store of the images read(0) .. read(len(keys) - 1) to `folder`.

    It grows in folder.part, block by block; an interrupted build goes on after the last whole block. A second process
    that wants the same store waits for the first.
    """
    part = pathlib.Path(f'{folder}.part')
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        with open(f'{folder}.lock', 'w') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if folder.exists():
                return
            part.mkdir(exist_ok=True)
            start = resume(part)
            log('building the store {} ({:,} images{})'.format(
                folder, len(keys), f', going on after {start:,}' if start else ''))
            fill(part, read, start, len(keys), form, threads)
            shapes = np.fromfile(part / 'shapes.i32', dtype=np.int32).reshape(-1, 2)
            np.save(part / 'shapes.npy', shapes)
            np.save(part / 'keys.npy', keys)
            os.remove(part / 'shapes.i32')
            (part / 'about.json').write_text(json.dumps({
                'version': VERSION, 'images': len(keys), **form._asdict()}), encoding='utf-8')
            os.replace(part, folder)
        with contextlib.suppress(OSError):
            os.remove(f'{folder}.lock')
    except OSError as error:
        raise explain(error, part) from error


def resume(part):
    """Images that an earlier, interrupted build has written whole; cuts off what it wrote of the next block."""
    pixels, shapes = part / 'pixels.u8', part / 'shapes.i32'
    if not pixels.exists() or not shapes.exists():
        shutil.rmtree(part)
        part.mkdir()
        return 0
    rows = np.fromfile(shapes, dtype=np.int32)
    rows = rows[:len(rows) // 2 * 2].reshape(-1, 2)
    ends = np.cumsum(rows.astype(np.int64).prod(axis=1) * 3)
    count = int(np.searchsorted(ends, os.path.getsize(pixels), side='right'))
    os.truncate(pixels, int(ends[count - 1]) if count else 0)
    os.truncate(shapes, count * 8)
    return count


def fill(part, read, start, stop, form, threads):
    """Append images start..stop-1, in order, decoded by threads."""
    def work(k):
        return np.ascontiguousarray(shrink(read(k), form))
    cv2.setNumThreads(0)
    with open(part / 'pixels.u8', 'ab') as pixels, open(part / 'shapes.i32', 'ab') as shapes, \
            ThreadPoolExecutor(threads) as pool, \
            tqdm(total=stop, initial=start, desc='store', unit='image', leave=False,
                 disable=not sys.stderr.isatty()) as shown:
        for first in range(start, stop, BLOCK):
            rows = []
            for image in pool.map(work, range(first, min(first + BLOCK, stop))):
                pixels.write(image.data)
                rows.append(image.shape[:2])
                shown.update()
            pixels.flush()
            os.fsync(pixels.fileno())
            shapes.write(np.array(rows, dtype=np.int32).tobytes())
            shapes.flush()
