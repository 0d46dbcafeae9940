"""Data sets by name. `load(args)` returns Data(name, train, test, protocol, val, notes)."""

import os

import numpy as np

from core.errors import UserError, pick_name
from core.flags import boolean, bounded
from datasets import benchmarks, folder, glyphs, store
from datasets.records import Data
from datasets.transforms import TRANSFORMS

# name -> function(args) -> Data. Loaders find their files with records.data_dir(args, name).
DATASETS = {
    'folder': folder.load,
    'glyphs': glyphs.load,
    **benchmarks.LOADERS,
}
NAME_FLAGS = ('data_name', 'dataset', 'data', 'db_name')
# Other spellings, in lower case with '_' -> name.
ALIASES = dict(benchmarks.ALIASES)
# Functions(group) that declare the flags of one data set alone.
FLAGS = [folder.add_args, glyphs.add_args, store.add_args]
# name -> {flag: value}: defaults for this data set; name -> {loss: {flag: value}}: what a loss needs on top of it.
PRESETS = {'glyphs': glyphs.PRESET}
LOSS_PRESETS = {'glyphs': glyphs.LOSS_PRESET}


def resolve(name):
    """The registered name for any spelling; UserError that lists all names."""
    folded = str(name).lower().replace('-', '_')
    return pick_name('--data_name', ALIASES.get(folded, name), DATASETS)


def default_name(argv):
    """The data set when --data_name is not given.

    With --data_dir: the benchmark that its last folder is named after (CARS_196, CUB_200_2011, ...), else `folder`.
    Without: the built-in glyphs.
    """
    values = [after if '=' in word else following for word, following in zip(argv, list(argv[1:]) + [''])
              for flag, _, after in [word.partition('=')] if flag in ('--data_dir', '--data_path')]
    if not values:
        return 'glyphs'
    last = os.path.basename(os.path.normpath(values[-1])).lower().replace('-', '_')
    return ALIASES.get(last, last if last in DATASETS else 'folder')


def preset(name, loss):
    """{flag: value}: the defaults that a data set brings for a loss."""
    name = resolve(name)
    return {**PRESETS.get(name, {}), **LOSS_PRESETS.get(name, {}).get(loss, {})}


def add_args(group):
    """Flags of all data sets, of the transforms and of the loader."""
    group.add_argument(*('--' + name for name in NAME_FLAGS), dest='data_name', default='glyphs',
                       metavar='NAME', help='data set: {}'.format(', '.join(sorted(DATASETS))))
    group.add_argument('--data_dir', '--data_path', dest='data_dir', default='', metavar='DIR',
                       help='where its files are or go; empty: data/NAME. For --data_name=folder a folder of class '
                            'folders, or a CSV file')
    group.add_argument('--val_classes', type=bounded(float, 0), default=0.0, metavar='N',
                       help='hold out the last N training classes for validation; below 1: that share of them. '
                            'Settings found on them do not touch the test classes')
    group.add_argument('--crop_box', type=boolean, nargs='?', const=True, default=False,
                       help='cut every image to its bounding box, where the data set has boxes')
    group.add_argument('--transform', default='embedding_expansion', metavar='NAME',
                       help='augmentation and test view: {}'.format(', '.join(sorted(TRANSFORMS))))
    group.add_argument('--image_size', '--frame_size', '--img_size', dest='image_size', type=bounded(int, 1),
                       default=227, help='side of the square that the network sees, in pixels')
    group.add_argument('--num_workers', '--workers', dest='num_workers', type=bounded(int, 0), default=None,
                       help='threads that read and augment; 0: none; default: one for each processor')
    group.add_argument('--on_bad_image', choices=('error', 'skip'), default='error',
                       help='a file that cannot be decoded: stop and name it, or take another image of its class')
    for declare in FLAGS:
        declare(group)


def load(args):
    """Data of the chosen data set, with --val_classes and --crop_box applied. Raises UserError."""
    name = resolve(args.data_name)
    data = DATASETS[name](args)
    if data.protocol in ('zero-shot', 'query-gallery'):
        both = np.intersect1d(data.train.classes, data.test.classes)
        if len(both):
            raise UserError('{}: {} classes are in the training and in the test part, such as {}; the {} protocol '
                            'needs disjoint classes'.format(name, len(both), data.train.names[
                                int(np.searchsorted(data.train.classes, both[0]))], data.protocol))
    if args.val_classes:
        if data.train is None or data.protocol == 'classification' or data.val is not None:
            raise UserError('--val_classes holds out whole training classes, but {}. Fix: leave the flag out'.format(
                'the data set has a validation part of its own' if data.val is not None else
                '--data_name={} is scored {}'.format(
                    name, 'on its training classes' if data.train is not None else 'on pairs alone')))
        train, val = hold_out(data.train, args.val_classes)
        data = data._replace(train=train, val=val)
    if args.crop_box:
        cut_to_boxes(data)
    if args.cache == 'store':
        data = store.attach(data, args)
    return data._replace(notes=tuple(data.notes) + tuple(lone_classes(data)))


def cut_to_boxes(data):
    """Let every image of a Data be cut to its bounding box when it is read."""
    for split in (data.train, data.test, data.val):
        if split is None:
            continue
        if split.boxes is None:
            raise UserError(f'--crop_box needs bounding boxes, and --data_name={data.name} has none. Fix: leave the '
                            'flag '
                            'out')
        split.crop_box = True


def hold_out(train, amount):
    """(train, validation): the last `amount` classes of a Split (below 1: that share) become a Split of their own."""
    count = int(round(amount * train.num_classes)) if amount < 1 else int(amount)
    if not 1 <= count < train.num_classes or (amount >= 1 and amount != count):
        raise UserError(f'--val_classes={amount:g} does not leave classes on both sides: the training part has '
                        f'{train.num_classes}. Legal: a '
                        f'whole number from 1 to {train.num_classes - 1}, or a share below 1')
    held = train.labels >= train.num_classes - count
    return train.subset(~held), train.subset(held)


def lone_classes(data):
    """Notes on classes of one image, which have no positive."""
    for title, split in (('test', data.test), ('validation', data.val), ('training', data.train)):
        if split is None or (title == 'test' and data.protocol not in ('zero-shot', 'mixed')):
            continue
        count = int((np.bincount(split.labels, minlength=split.num_classes) == 1).sum())
        if count:
            what = 'as queries they can never be answered' if title != 'training' else 'they have no positive pair'
            yield f'{count} {title} classes have a single image: {what}'


__all__ = ['ALIASES', 'DATASETS', 'FLAGS', 'Data', 'LOSS_PRESETS', 'PRESETS', 'add_args', 'cut_to_boxes',
           'default_name', 'hold_out', 'load', 'preset', 'resolve']
