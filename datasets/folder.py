"""Your own photos: a folder of class folders, or a CSV file."""

import os

import numpy as np

from core.errors import UserError
from datasets.records import Data, Split

SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff', '.gif', '.ppm', '.pgm')
PARTS = ('train', 'test', 'val', 'query', 'gallery')
BOX = ['x', 'y', 'w', 'h']


def add_args(group):
    """Flags of the data set `folder`."""
    group.add_argument('--split', default='auto', metavar='auto|classes|FILE',
                       help='which images train: classes: the first half of the classes, by sorted name, the others '
                            'are for testing; FILE: a CSV with the columns path,split; auto: the split column of the '
                            'CSV or the folders train and test (or query and gallery), and else classes')


def options(args):
    """{option of `load`: value} of parsed flags."""
    return {'split': args.split}


def load(root=None, *, split='auto'):
    """Data from a folder: ROOT/class/image, ROOT/train/class/image and ROOT/test/..., or a CSV file.

    The CSV has a header line with the columns path (relative to the file's folder, or absolute), label, and if wanted
    split (train, test, val, query or gallery), super_label, and x,y,w,h (a bounding box in pixels).
    """
    import pandas
    source = root
    if not source:
        raise UserError('--data_name=folder needs --data_dir: a folder of class folders, or a CSV file')
    if not os.path.exists(source):
        raise UserError(f'--data_dir={source} does not exist')
    if os.path.isdir(source):
        root, table = source, scan(source)
    else:
        root, table = os.path.dirname(source), read_table(source, ('path', 'label'))
    notes = []
    if split not in ('auto', 'classes'):
        table = with_split_of(table, split, notes)
    elif split == 'classes' and 'split' in table:
        table = table.drop(columns='split')
    table = without_duplicates(table, source, notes)
    names, class_id = number(table['label'])
    if 'split' in table:
        part = lower(table['split'], source)
    else:
        if len(names) < 2:
            raise UserError(f'{source} has one class ({names[0]}); --split=classes needs at least two')
        part = pandas.Series(np.where(class_id < len(names) // 2, 'train', 'test'), dtype='category')
    return build(root, table, names, class_id, part, source, notes)


def scan(root):
    """Table path, label[, split] of a folder."""
    import pandas
    inside = subfolders(root)
    parts = [name for name in inside if name.lower() in PARTS]
    if parts and len(parts) == len(inside) and 'train' in [p.lower() for p in parts]:
        tables = []
        for name in parts:
            table = class_folders(root, name)
            table['split'] = name.lower()
            tables.append(table)
        table = pandas.concat(tables, ignore_index=True)
    else:
        table = class_folders(root, '')
    if not len(table):
        raise UserError('{} holds no image in a class folder (ROOT/CLASS/IMAGE with one of {})'.format(
            root, ' '.join(SUFFIXES)))
    return table


def subfolders(path):
    try:
        with os.scandir(path) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith('.'))
    except OSError as error:
        raise UserError(f'{path} cannot be read: {error.strerror}') from error


def class_folders(root, part):
    """Table path, label of ROOT/part/CLASS/**/IMAGE, sorted; paths are relative to root."""
    import pandas
    paths, labels = [], []
    for name in subfolders(os.path.join(root, part)):
        found = []
        for folder, inside, files in os.walk(os.path.join(root, part, name)):
            inside.sort()
            base = os.path.relpath(folder, root)
            found += [os.path.join(base, file) for file in files
                      if file.lower().endswith(SUFFIXES) and not file.startswith('.')]
        paths += sorted(found)
        labels += [name] * len(found)
    return pandas.DataFrame({'path': paths, 'label': labels}, dtype=object)


def read_table(path, needed):
    """The CSV file as a table of strings; UserError when it lacks a column or a value."""
    import pandas
    try:
        table = pandas.read_csv(path, dtype=str, keep_default_na=False)
    except FileNotFoundError as error:
        raise UserError(f'{path} does not exist') from error
    except (OSError, ValueError) as error:
        raise UserError(f'{path} cannot be read as a CSV file: {error}') from error
    table.columns = [str(name).strip().lower() for name in table.columns]
    missing = [name for name in needed if name not in table]
    if missing:
        raise UserError('{} has no column {}. Its first line names {}; wanted: path,label and if you like split,'
                        'super_label,x,y,w,h'.format(path, ' and '.join(missing), ','.join(table.columns)))
    for name in needed + (('split',) if 'split' in table else ()):
        empty = (table[name].str.strip() == '').to_numpy()
        if empty.any():
            raise UserError(f'{path}, line {int(empty.argmax()) + 2}: the column {name} is empty')
    if not len(table):
        raise UserError(f'{path} has a header but no image')
    return table


def with_split_of(table, path, notes):
    """The table with the split column of another CSV, joined by path; images that it does not name are left out."""
    other = read_table(path, ('path', 'split'))
    if other['path'].duplicated().any():
        raise UserError('{} names {} twice'.format(path, other['path'][other['path'].duplicated()].iloc[0]))
    unknown = ~other['path'].isin(table['path'])
    if unknown.any():
        raise UserError('{} names {} images that --data_dir does not have, such as {}'.format(
            path, int(unknown.sum()), other['path'][unknown].iloc[0]))
    left_out = len(table['path'].unique()) - len(other)
    if left_out:
        notes.append(f'{left_out} images are not named in {path} and left out')
    return table.drop(columns='split', errors='ignore').merge(other[['path', 'split']], on='path', how='inner')


def without_duplicates(table, source, notes):
    """Drop repeated rows with a note; the same image under two labels or in two parts is an error."""
    again = table['path'].duplicated().to_numpy()
    if not again.any():
        return table
    keys = [name for name in ('path', 'label', 'split') if name in table]
    conflict = again & ~table[keys].astype(str).duplicated().to_numpy()
    if conflict.any():
        path = table['path'][conflict].iloc[0]
        rows = table[keys[1:]][table['path'] == path].drop_duplicates()
        raise UserError('{}: the image {} is listed with different {}: {}'.format(
            source, path, ' and '.join(keys[1:]), '; '.join(','.join(map(str, r)) for r in rows.to_numpy())))
    notes.append(f'{int(again.sum())} images were listed more than once and count once')
    return table[~again].reset_index(drop=True)


def number(labels):
    """(sorted names, int64 (N,) index into them). Names that are all whole numbers are sorted as numbers."""
    import pandas
    codes, names = pandas.factorize(labels)
    names = [str(name) for name in names]
    whole = all(name.lstrip('-').isdigit() for name in names)
    order = sorted(range(len(names)), key=(lambda k: (int(names[k]), names[k])) if whole else names.__getitem__)
    rank = np.empty(len(names), dtype=np.int64)
    rank[order] = np.arange(len(names))
    return [names[k] for k in order], rank[codes]


def lower(split, source):
    """The split column in lower case; UserError on a word that is not one of PARTS."""
    split = split.astype('category')
    words = [str(word).strip().lower() for word in split.cat.categories]
    wrong = [word for word in words if word not in PARTS]
    if wrong:
        raise UserError('{}: the split {!r} is unknown. Legal values: {}'.format(source, wrong[0], ', '.join(PARTS)))
    return split.astype(str).str.strip().str.lower().astype('category')


def read_boxes(table, source):
    """float64 (N, 4) of the columns x, y, w, h."""
    import pandas
    boxes = table[BOX].apply(pandas.to_numeric, errors='coerce').to_numpy(dtype=np.float64)
    wrong = np.isnan(boxes).any(axis=1) | (boxes[:, 2:] <= 0).any(axis=1)
    if wrong.any():
        raise UserError('{}: the box of {} is not four numbers x,y,w,h with w and h above 0'.format(
            source, table['path'].iloc[int(wrong.argmax())]))
    return boxes


def build(root, table, names, class_id, part, source, notes):
    """Data from the table and the part of each row."""
    part = part.to_numpy()
    names = dict(enumerate(names))
    paths = table['path'].to_numpy(dtype=object)
    boxes = read_boxes(table, source) if all(name in table for name in BOX) else None
    above = number(table['super_label'])[1] if 'super_label' in table else None

    def split(rows, classes=None, query=None):
        return Split(class_id[rows], paths[rows], names, root, classes, query,
                     None if boxes is None else boxes[rows], None if above is None else above[rows])

    found = set(part)
    if 'train' not in found or not found & {'test', 'query', 'gallery'}:
        raise UserError('{} has images for {} only; it needs train and test (or query and gallery)'.format(
            source, ', '.join(sorted(found))))
    searched = bool(found & {'query', 'gallery'})
    if searched and ('test' in found or not {'query', 'gallery'} <= found):
        raise UserError('{}: the test part is either test, or query and gallery together; found {}'.format(
            source, ', '.join(sorted(found))))
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
    val = split(np.flatnonzero(part == 'val')) if 'val' in found else None
    return Data('folder', split(np.flatnonzero(part == 'train')), test, protocol, val, tuple(notes))
