"""Data sets by name: `load('cub200', crop_box=True)` returns Data(name, train, test, protocol, val, notes, pairs)."""

import argparse
import os

import numpy as np

from core import text as words
from core.errors import UserError, fold, pick_name
from core.flags import bounded, switch
from datasets import benchmarks, folder, glyphs, store
from datasets.records import Data
from datasets.transforms import TRANSFORMS
from datasets.verify import readable

# name -> function(root, **options of its own) -> Data; root None: the folder that the data set chooses itself.
DATASETS = {
    'folder': folder.load,
    'glyphs': glyphs.load,
    **benchmarks.LOADERS,
}
NAME_FLAGS = ('data_name', 'dataset', 'data', 'db_name')
# Other spellings, folded (core.errors.fold) -> name.
ALIASES = dict(benchmarks.ALIASES)
# Functions(group) that declare the flags of one data set alone.
FLAGS = [folder.add_args, glyphs.add_args, store.add_args]
# name -> function(args) -> {option of its loader: value}, for data sets with options of their own.
OPTIONS = {'folder': folder.options, 'glyphs': glyphs.options}
# name -> {flag: value}: defaults for this data set; name -> {loss: {flag: value}}: what a loss needs on top of it.
PRESETS = {'glyphs': glyphs.PRESET}
LOSS_PRESETS = {'glyphs': glyphs.LOSS_PRESET}


def resolve(name):
    """The registered name for any spelling; UserError that lists all names."""
    return pick_name('--data_name', ALIASES.get(fold(name), name), DATASETS)


def default_name(argv):
    """The data set when --data_name is not given.

    With --data_dir: the benchmark that its last folder is named after (CARS_196, CUB_200_2011, ...), else `folder`.
    Without: the built-in glyphs.
    """
    values = [after if '=' in word else following for word, following in zip(argv, list(argv[1:]) + [''])
              for flag, _, after in [word.partition('=')] if flag in ('--data_dir', '--data_path')]
    if not values:
        return 'glyphs'
    last = fold(os.path.basename(os.path.normpath(values[-1])))
    return ALIASES.get(last, last if last in DATASETS else 'folder')


def preset(name, loss):
    """{flag: value}: the defaults that a data set brings for a loss."""
    name = resolve(name)
    return {**PRESETS.get(name, {}), **LOSS_PRESETS.get(name, {}).get(loss, {})}


def add_args(group):
    """Flags of all data sets, of the transforms and of the loader."""
    group.add_argument(*('--' + name for name in NAME_FLAGS), dest='data_name', default='glyphs',
                       metavar='NAME', help=f'data set: {", ".join(sorted(DATASETS))}')
    group.add_argument('--data_dir', '--data_path', dest='data_dir', default='', metavar='DIR',
                       help='where its files are or go; empty: data/NAME. For --data_name=folder a folder of class '
                            'folders, or a CSV file')
    group.add_argument('--val_classes', type=bounded(float, 0), default=0.0, metavar='N',
                       help='hold out the last N training classes for validation; below 1: that share of them. '
                            'Settings found on them do not touch the test classes')
    group.add_argument('--fold', type=fold_of, default=None, metavar='I/N',
                       help='cut the training classes into N folds, train on all but the I-th and score on that one in '
                            'place of the test images, which are not read: for choosing settings')
    switch(group, '--crop_box', help='cut every image to its bounding box, where the data set has boxes')
    group.add_argument('--transform', default='embedding_expansion', metavar='NAME',
                       help=f'augmentation and test view: {", ".join(sorted(TRANSFORMS))}')
    group.add_argument('--image_size', '--frame_size', '--img_size', dest='image_size', type=bounded(int, 1, 4096),
                       default=227, help='side of the square that the network sees, in pixels')
    group.add_argument('--num_workers', '--workers', dest='num_workers', type=bounded(int, 0), default=None,
                       help='threads that read and augment; 0: none; default: one for each processor')
    group.add_argument('--on_bad_image', choices=('error', 'skip'), default='error',
                       help='images that cannot be read: stop before training and name them; or decode every image '
                            'once, and leave out of everything what cannot be read')
    for declare in FLAGS:
        declare(group)


def from_args(args):
    """Data of parsed flags: `load`, and the store of --cache=store. Raises UserError."""
    name = resolve(args.data_name)
    options = OPTIONS[name](args) if name in OPTIONS else {}
    data = load(name, args.data_dir or None, crop_box=args.crop_box, val_classes=args.val_classes,
                fold=args.fold, on_bad_image=args.on_bad_image, threads=args.num_workers, **options)
    if args.cache == 'store':
        store.attach(data, args.transform, args.image_size, **store.options(args))
    return data


def load(name, root=None, *, crop_box=False, val_classes=0, fold=None, on_bad_image='error', threads=None, **options):
    """A data set by name.

    Parameters
    ----------
    name : any spelling of a key of DATASETS
    root : folder of its files, or the CSV file of `folder`; None: data/NAME
    crop_box : cut every image to its bounding box when it is read
    val_classes : hold out that many of the last training classes as Data.val; below 1: that share of them
    fold : (I, N): the training classes without the I-th of N folds (from 1) train, that fold is Data.test
    on_bad_image : 'error': UserError when an image is missing, cut off or no picture; 'skip': every image is decoded
        once, and those that cannot be are left out and listed in Data.unreadable; None: no file is opened
    threads : that look at files; None: one for each processor
    options : of this data set alone, such as split='within' of `folder`, classes=50 of `glyphs`

    Returns
    -------
    datasets.records.Data

    Raises
    ------
    UserError : unknown name, missing or wrong files, classes on both sides of a zero-shot split

    Example
    -------
    >>> import tempfile
    >>> data = load('glyphs', tempfile.mkdtemp(), classes=4, instances=2)
    >>> len(data.train), data.train.num_classes, data.protocol, data.train.read(0).shape
    (8, 4, 'zero-shot', (48, 48, 3))
    """
    name = resolve(name)
    data = DATASETS[name](os.path.expanduser(root) if root else None, **options)
    if data.train is not None and data.protocol in ('zero-shot', 'query-gallery'):
        both = np.intersect1d(data.train.classes, data.test.classes)
        if len(both):
            first = data.train.names[int(np.searchsorted(data.train.classes, both[0]))]
            raise UserError(f'{name}: {words.count(len(both), "class is", "classes are")} in the training and in '
                            f'the test part, such as {first}; the {data.protocol} protocol needs disjoint classes. '
                        'Fix: another split')
    data = held_out(data, val_classes, fold)
    if on_bad_image is not None:
        data = readable(data, on_bad_image, threads)
    if crop_box:
        cut_to_boxes(data)
    return data._replace(notes=tuple(data.notes) + tuple(lone_classes(data)))


def held_out(data, val_classes=0, fold=None):
    """The Data with the classes for validation, or one of the folds, taken out of its training part: see `load`."""
    name = data.name
    if val_classes:
        if data.train is None or data.protocol == 'classification' or data.val is not None:
            reason = ('the data set has a validation part of its own' if data.val is not None else
                      f'--data_name={name} is scored on pairs alone' if data.train is None else
                      f'--data_name={name} is scored on its training classes')
            raise UserError(f'--val_classes holds out whole training classes, but {reason}. Fix: leave the flag out')
        train, val = hold_out(data.train, val_classes)
        data = data._replace(train=train, val=val)
    if fold is not None:
        if data.train is None or data.protocol not in ('zero-shot', 'query-gallery'):
            raise UserError(f'--fold={fold[0]}/{fold[1]} cuts training classes into folds, but --data_name={name} is '
                            f'scored by {data.protocol}. Fix: leave the flag out')
        train, test = one_fold(data.train, *fold)
        data = data._replace(train=train, test=test, val=None, protocol='zero-shot')
    return data


def cut_to_boxes(data):
    """Let every image of a Data be cut to its bounding box when it is read."""
    for split in (data.train, data.test, data.val):
        if split is None:
            continue
        if split.boxes is None:
            raise UserError(f'--crop_box needs bounding boxes, and --data_name={data.name} has none. Fix: leave the '
                            'flag out')
        split.crop_box = True


def hold_out(train, amount):
    """(train, validation): the last `amount` classes of a Split (below 1: that share) become a Split of their own."""
    count = int(round(amount * train.num_classes)) if amount < 1 else int(amount)
    if not 1 <= count < train.num_classes or (amount >= 1 and amount != count):
        raise UserError(f'--val_classes={amount:g} does not leave classes on both sides: the training part has '
                        f'{train.num_classes}. Legal: a whole number from 1 to {train.num_classes - 1}, or a share '
                        'below 1')
    held = train.labels >= train.num_classes - count
    return train.subset(~held), train.subset(held)


def fold_of(text):
    """'2/4' -> (2, 4), '' -> None, for argparse."""
    if not text:
        return None
    number, slash, count = str(text).partition('/')
    if not (slash and number.isdigit() and count.isdigit() and 1 <= int(number) <= int(count) and int(count) > 1):
        raise argparse.ArgumentTypeError('not a fold')
    return int(number), int(count)


fold_of.legal = 'I/N with 1 <= I <= N and N > 1, such as 1/4'
fold_of.text = '{0[0]}/{0[1]}'.format      # as it is typed


def one_fold(train, number, count):
    """(the other folds, fold `number` of `count`, from 1): neighbouring classes share a fold, sizes are about equal."""
    if train.num_classes < 2 * count:
        raise UserError(f'--fold={number}/{count} needs two classes a fold, but the training part has '
                        f'{train.num_classes} classes. Fix: at most {train.num_classes // 2} folds')
    low, high = (round(train.num_classes * part / count) for part in (number - 1, number))
    held = (train.labels >= low) & (train.labels < high)
    return train.subset(~held), train.subset(held)


def lone_classes(data):
    """Notes on classes of one image, which have no positive."""
    for title, split in (('test', data.test), ('validation', data.val), ('training', data.train)):
        if split is None or (title == 'test' and data.protocol not in ('zero-shot', 'mixed')):
            continue
        count = int((np.bincount(split.labels, minlength=split.num_classes) == 1).sum())
        if count:
            what = 'as queries they can never be answered' if title != 'training' else 'they have no positive pair'
            yield f'{words.count(count, title + " class has", title + " classes have")} a single image: {what}'


__all__ = ['ALIASES', 'DATASETS', 'FLAGS', 'Data', 'LOSS_PRESETS', 'OPTIONS', 'PRESETS', 'add_args', 'cut_to_boxes',
           'default_name', 'from_args', 'held_out', 'hold_out', 'load', 'preset', 'resolve']
