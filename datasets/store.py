"""The uint8 store: every image decoded and shrunk once, then read from memory-mapped bytes (datasets/packed.py).

A store knows its photos by path, size and time: one that was replaced under its name is decoded again.

Exactness. A transform whose view begins with a fixed resize gets a store made by that very step, so its pictures
equal the JPEG path bit for bit: margin, margin_simple, ranking_batch, heated_up, local_sampling, npair, and every test
view but that of ranking_img. Embedding Expansion's training view resizes to S or to 1.125 S: kept at 1.125 S, its crops
(half of the pictures) are equal, the others start from a smaller photo. ranking_img keeps a short side of 512; photos
smaller than that stay as they are. docs/datasets.md has the size of the differences.
"""

import hashlib
import os
import pathlib
from collections import namedtuple

import numpy as np

from core.errors import UserError, pick_name
from core.flags import bounded
from core.lazy import lazy
from datasets.packed import Damaged, Packed, build
from datasets.preparation.download import writable
from datasets.records import bad_listed, cut, read_listed
from datasets.threads import default_workers
from datasets.transforms import TRANSFORMS, RankingImage, enlarged, resize_pil, scaled, short_side

cv2 = lazy('cv2')
Image = lazy('PIL.Image')

VERSION = 2


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
    'hdc': ('square', 'linear', 224), 'margin': ('square', 'linear', 224), 'margin_simple': ('square', 'linear', 224),
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
    keys, first = np.unique(keys, return_index=True)
    keys, first = keys[np.argsort(first)], np.sort(first)
    where = [(split, row) for split in content for row in range(len(split))]
    where = [where[k] for k in first]
    row_of = {key.tobytes(): k for k, key in enumerate(keys)}
    place = '' if parent is None else splits[0].root       # one folder may hold stores of several data sets
    parent = pathlib.Path(parent or pathlib.Path(splits[0].root, '.prepared'))
    if not writable(parent if parent.exists() else parent.parent):
        raise UserError(f'--cache=store: nothing may be written in {parent}. Fix: give another folder with '
                        '--store_dir')
    name = hashlib.sha256(repr((VERSION, form, place)).encode('utf-8', 'surrogateescape') + np.sort(keys).tobytes())
    folder = parent / f'store-{form.shape}{form.size}-{form.filter}-{name.hexdigest()[:12]}'

    def make(k):
        split, row = where[k]
        image = read_listed(split.path(row))
        return shrink(cut(image, split.boxes[row]) if split.crop_box else image, form)

    packed = opened(folder, keys, [split.path(row) for split, row in where], make, row_of, form, threads, log)
    for split in splits:
        split.rows = np.array([packed[1][key.tobytes()] for key in image_keys(split)], dtype=np.int64)
        split.reader, split.read_cut, split.crop_box = packed[0].read, split.crop_box, False


def opened(folder, keys, paths, make, row_of, form, threads, log):
    """(Packed, {key: row}) of a folder that holds the pictures of the files as they are now; what differs is made."""
    stamps = np.array([stamp(path) for path in paths], dtype=np.int64).reshape(-1, 2)

    def remake(key):
        return make(row_of[key])

    def usable():
        try:
            packed = Packed(folder, remake)
        except Damaged as error:
            if folder.exists():
                log(f'the store {folder} is damaged ({error}) and is built again')
            return None, {}, np.zeros(len(keys), dtype=bool)
        at = {key.tobytes(): row for row, key in enumerate(packed.keys)}
        fresh = np.array([key.tobytes() in at and (packed.stamps[at[key.tobytes()]] == stamps[k]).all()
                          for k, key in enumerate(keys)], dtype=bool)
        return packed, at, fresh

    packed, at, fresh = usable()
    if fresh.all():
        return packed, at
    if packed is not None:
        log(f'{int((~fresh).sum()):,} photos have changed since the store was built: they are decoded again')

    def read(k):
        return packed.read(at[keys[k].tobytes()]) if fresh[k] else make(k)
    build(folder, read, keys, stamps, {'version': VERSION, **form._asdict()}, threads, log)
    packed, at, fresh = usable()
    if not fresh.all():
        raise UserError(f'photos of the store {folder} change while it is built. Fix: start again when they do not')
    return packed, at


def stamp(path):
    """(size, time) of a file: what tells a photo from one that took its name."""
    try:
        status = os.stat(path)
    except OSError as error:
        raise bad_listed(path, error.strerror) from error
    return status.st_size, status.st_mtime_ns
