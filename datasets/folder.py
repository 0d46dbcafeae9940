"""Your own photos: a folder of class folders, or a CSV file."""

import os
import re
from collections import Counter

import numpy as np

from core import flags
from core.errors import UserError
from core.tables import read_table
from core.text import class_name, count, printable
from datasets.records import Data, Split
from datasets.scan import PARTS, scan, scan_flat
from datasets.summary import counted

BOX = ('x', 'y', 'w', 'h')
UNLABELLED = '(unlabelled)'     # the one class of photos without labels


def add_args(group):
    """Flags of the data set `folder`."""
    group.add_argument('--split', type=split_of, default='auto', metavar='auto|classes|within|none|FILE',
                       help='which images train: classes: the first half of the classes, by sorted name, the others '
                            'are for testing; within: the first half of the images of each class, for a few classes; '
                            'none: all are for testing and labels are not used (embed); FILE: a CSV with the columns '
                            'path,split; auto: the split column of the CSV or the folders train and test (or query '
                            'and gallery), and else classes')


def options(args):
    """{option of `load`: value} of parsed flags."""
    return {'split': args.split}


def split_of(text):
    """The type of --split: one of its words, or the absolute path of a file."""
    return text if text in ('auto', 'classes', 'within', 'none') else flags.path(text)


def load(root=None, *, split='auto'):
    """Data from ROOT/class/image, from ROOT/train/class/image and ROOT/test/..., or from a CSV file.

    The CSV has a header line with the columns path (relative to the file's folder, or absolute), label, and if wanted
    split (train, test, val, query or gallery), super_label, and x,y,w,h (a bounding box in pixels). Photos without
    class folders or without a column label are loaded as one test part, to be embedded.

    Parameters
    ----------
    root : the folder or the CSV file
    split : 'auto', 'classes', 'within', 'none' or a CSV file path,split; see --split

    Returns
    -------
    Data; its protocol is 'unlabelled' for photos without labels

    Raises
    ------
    UserError : nothing there, no picture, a wrong list
    """
    if not root:
        raise UserError('--data_name=folder has no photos. Fix: --data_dir=DIR, the folder of class folders or a CSV '
                        'file')
    source = os.path.expanduser(root)
    shown = printable(source)
    if not os.path.exists(source):
        raise UserError(f'--data_dir={shown} does not exist. Fix: the folder above the class folders, or a CSV file')
    notes = []
    table = from_folder(source, split) if os.path.isdir(source) else from_csv(source, split, notes)
    folder = source if os.path.isdir(source) else os.path.dirname(source)
    if 'label' not in table:
        test = Split(np.zeros(len(table['path']), dtype=np.int64), table['path'], [UNLABELLED], folder)
        return Data('folder', None, test, 'unlabelled', ignored=table['ignored'])
    if split not in ('auto', 'classes', 'within', 'none'):
        table = with_split_of(table, split, folder, notes)
    table['label'] = named(table['label'], notes)
    names, class_id = number(table['label'])
    if split in ('classes', 'within') or 'split' not in table:
        first = class_id < len(names) // 2
        table['split'] = within(class_id) if split == 'within' else np.where(first, 'train', 'test')
    return build(folder, table, [printable(name) for name in names], class_id, shown, notes)


def from_folder(root, split):
    """{column: values} of a folder: path, and with class folders label and, where it has such folders, split."""
    listing = scan_flat(root) if split == 'none' else scan(root)
    table = {'path': listing.paths, 'label': listing.labels, 'ignored': dict(listing.ignored)}
    if split != 'none' and not listing.paths:
        listing = scan_flat(root)
        table = {'path': listing.paths, 'ignored': dict(listing.ignored)}
    if not listing.paths:
        ignored = ''.join(f'; ignored: {what}' for what in [', '.join(counted(listing.ignored))] if what)
        raise UserError(f'{printable(root)} holds no image (ROOT/CLASS/IMAGE){ignored}. '
                        'Fix: one folder a class, with its photos inside')
    if split == 'none':
        del table['label']
    elif listing.parts is not None:
        table['split'] = listing.parts
    return table


def from_csv(source, split, notes):
    """{column: values} of a CSV file, paths in their shortest form, repeated rows dropped."""
    listed = read_table(source, ('path',))
    table = {'path': shortest(listed['path'], os.path.dirname(source)), 'ignored': {}}
    if 'label' in listed and split != 'none':
        table['label'] = listed.filled('label')
        if 'super_label' in listed:
            table['super_label'] = listed.filled('super_label')
        if 'split' in listed:
            table['split'] = parts(listed)
        if all(name in listed for name in BOX):
            table['box'] = np.stack([listed.numbers(name) for name in BOX], axis=1)
            wrong = np.flatnonzero((table['box'][:, 2:] <= 0).any(axis=1))
            if len(wrong):
                raise listed.error(wrong[0], 'the box has no width or no height')
    return without_duplicates(table, listed, notes)


def parts(listed):
    """The split column in the words of PARTS; UserError names the line of another."""
    words = [word.lower() for word in listed.filled('split')]
    for row, word in enumerate(words):
        if word not in PARTS:
            raise listed.error(row, f'the split {printable(word)!r} is unknown. Legal values: {", ".join(PARTS)}')
    return [PARTS[word] for word in words]


def shortest(paths, folder):
    """Paths relative to `folder` where they lie below it: ./a.jpg, b/../a.jpg and a.jpg are one image."""
    base = os.path.join(os.path.abspath(folder), '')
    short = []
    for path in paths:
        path = os.path.normpath(os.path.expanduser(path))
        short.append(path[len(base):] if path.startswith(base) else path)
    return short


def without_duplicates(table, listed, notes):
    """The table without repeated rows; the same image under two labels or in two parts is an error."""
    first, kept = {}, []
    columns = [name for name in ('label', 'split') if name in table]
    for row, path in enumerate(table['path']):
        before = first.setdefault(path, row)
        if before == row:
            kept.append(row)
            continue
        for name in columns:
            if table[name][row] != table[name][before]:
                raise listed.error(row, f'the image {printable(path)} has the {name} '
                                        f'{printable(table[name][row])!r}, and in line {listed.lines[before]} '
                                        f'{printable(table[name][before])!r}')
    if len(kept) < len(listed):
        again = count(len(listed) - len(kept), 'row names an image', 'rows name an image')
        notes.append(f'{again} again: it counts once')
    return take(table, kept)


def take(table, rows):
    """The rows of every column."""
    def of(values):
        if isinstance(values, dict):
            return values
        return values[rows] if isinstance(values, np.ndarray) else [values[row] for row in rows]
    return {name: of(values) for name, values in table.items()}


def with_split_of(table, file, folder, notes):
    """The table with the split column of another CSV, joined by path; images that it does not name are left out."""
    other = read_table(os.path.expanduser(file), ('path', 'split'))
    row_of = {name: row for row, name in enumerate(table['path'])}
    rows, seen = [], set()
    for row, name in enumerate(shortest(other['path'], folder)):
        if name not in row_of:
            raise other.error(row, f'--data_dir has no image {printable(name)}')
        if name in seen:
            raise other.error(row, f'the image {printable(name)} is there twice')
        seen.add(name)
        rows.append(row_of[name])
    chosen = parts(other)
    order = np.argsort(rows, kind='stable')
    if len(rows) < len(row_of):
        notes.append(f'{count(len(row_of) - len(rows), "image")} not named in {printable(file)} and left out')
    return dict(take(table, [rows[k] for k in order]), split=[chosen[k] for k in order])


def named(labels, notes):
    """Labels as `class_name` has them; a note where two ways to write a name meet."""
    tidy = {label: class_name(label) for label in set(labels)}
    ways = Counter(tidy.values())
    again = sorted(name for name, times in ways.items() if times > 1)
    if again:
        notes.append(f'{count(len(again), "class is", "classes are")} written in several ways that differ in blanks or '
                     f'in how accents are stored, such as {printable(again[0])}: they count as one')
    return [tidy[label] for label in labels]


def number(labels):
    """(sorted names, int64 (N,) index into them). Names that are all whole numbers are sorted as numbers."""
    names = sorted(set(labels))
    if all(re.fullmatch(r'-?[0-9]{1,18}', name) for name in names):
        names.sort(key=lambda name: (int(name), name))
    rank = {name: k for k, name in enumerate(names)}
    return names, np.array([rank[label] for label in labels], dtype=np.int64)


def within(class_id):
    """Parts that train on the first half of each class (the larger one) and test on the rest."""
    if np.bincount(class_id).max() < 2:
        raise UserError('--split=within needs two images of a class at least, and every class has a single one. '
                        'Fix: more photos of a class')
    chosen = np.full(len(class_id), 'test', dtype=object)
    for label in np.unique(class_id):
        rows = np.flatnonzero(class_id == label)
        chosen[rows[:-(len(rows) // 2)] if len(rows) > 1 else rows] = 'train'
    return chosen


def build(root, table, names, class_id, source, notes):
    """Data from the table and the class of each row."""
    part, paths = np.asarray(table['split'], dtype=object), np.asarray(table['path'], dtype=object)
    names, boxes = dict(enumerate(names)), table.get('box')
    above = number(table['super_label'])[1] if 'super_label' in table else None

    def split(rows, classes=None, query=None):
        return Split(class_id[rows], paths[rows], names, root, classes, query,
                     None if boxes is None else boxes[rows], None if above is None else above[rows])

    found = set(part.tolist())
    if not found & {'test', 'query', 'gallery'}:
        raise UserError(f'{source} has images for {", ".join(sorted(found))} only; it needs test (or query and '
                        'gallery). Fix: rows with split=test')
    searched = bool(found & {'query', 'gallery'})
    if searched and ('test' in found or not {'query', 'gallery'} <= found):
        raise UserError(f'{source}: the test part is either test, or query and gallery together; found '
                        f'{", ".join(sorted(found))}. Fix: rows with test, or with query and gallery')
    rows = np.flatnonzero(np.isin(part, ('query', 'gallery') if searched else ('test',)))
    trained = np.unique(class_id[part == 'train'])
    shared = np.isin(np.unique(class_id[rows]), trained)
    if not shared.any():
        protocol = 'query-gallery' if searched else 'zero-shot'
    else:
        protocol = 'classification' if shared.all() and not searched else 'mixed'
        notes.append(f'{int(shared.sum())} of {len(shared)} test classes are also trained on: this is not a '
                     'zero-shot split')
    test = split(rows, trained if protocol == 'classification' else None, part[rows] == 'query' if searched else None)
    if searched:
        lost = np.setdiff1d(test.labels[test.query], test.labels[~test.query])
        if len(lost):
            notes.append(f'{len(lost)} query classes have no image in the gallery, such as {test.names[lost[0]]}: '
                         'they can never be found')
    train, val = (split(np.flatnonzero(part == name)) if name in found else None for name in ('train', 'val'))
    return Data('folder', train, test, protocol, val, tuple(notes), ignored=table['ignored'])
