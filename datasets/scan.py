"""Which pictures a folder of photos holds, and what else: nothing is left out without being counted."""

import os
from collections import Counter, namedtuple

from core.errors import UserError
from core.text import printable
from datasets.pictures import SUFFIXES, is_picture

# folder names, in lower case -> part of the data set
PARTS = {'train': 'train', 'test': 'test', 'val': 'val', 'valid': 'val', 'validation': 'val', 'query': 'query',
         'gallery': 'gallery'}
# what archivers, file managers and file systems leave behind; names that begin with a dot are left out as well
RUBBISH = ('__macosx', '@eadir', '$recycle.bin', 'system volume information', 'lost+found', '__pycache__')

Listing = namedtuple('Listing', 'paths labels parts ignored')
Listing.__doc__ = """Pictures of a folder.

paths : list of str, relative to the folder, sorted within their class
labels : list of str, the class folder of each; '' without one
parts : list of str, values of PARTS, or None when there are no folders of parts
ignored : Counter {words in the singular, such as 'file ending in .txt': number} of what was not taken
"""


def scan(root):
    """Listing of ROOT/CLASS/**/IMAGE, or of ROOT/train/CLASS/**/IMAGE beside ROOT/test (or query and gallery).

    A file counts by its ending; one without an ending by its first bytes. UserError when a folder cannot be read.
    """
    ignored = Counter()
    inside, files = _entries(root, ignored)
    parts = {name: PARTS[name.lower()] for name in inside if name.lower() in PARTS}
    found = set(parts.values())
    if 'train' not in found or not found & {'test', 'query', 'gallery'}:
        parts = {}
    listing = Listing([], [], [] if parts else None, ignored)
    outside = [os.path.join(root, name) for name in files]
    if parts:
        for name in inside:
            if name not in parts:
                ignored[f'folder {printable(name)} beside {" and ".join(sorted(parts))}'] += 1
                continue
            classes, files = _entries(os.path.join(root, name), ignored)
            outside += [os.path.join(root, name, file) for file in files]
            for label in classes:
                _add(listing, root, os.path.join(name, label), label, parts[name])
    else:
        for label in inside:
            _add(listing, root, label, label)
    for path in outside:
        if taken(path, ignored):
            ignored['picture outside a class folder'] += 1
    return listing


def scan_flat(root):
    """Listing of every picture anywhere below a folder, without labels."""
    ignored = Counter()
    listing = Listing([], [], None, ignored)
    _add(listing, root, '', '')
    return listing


def inner_folder(paths):
    """(folder, sub-folders) when every picture lies in one folder that holds further folders of pictures: the folder
    given is then probably one or more levels above the class folders. None otherwise.

    >>> inner_folder(['images/a/0.jpg', 'images/b/0.jpg'])
    ('images', ['a', 'b'])
    >>> inner_folder(['a/0.jpg', 'b/0.jpg']), inner_folder(['a/0.jpg', 'a/x/0.jpg'])
    (None, None)
    """
    common = os.path.commonpath([os.path.dirname(path) for path in paths]) if len(paths) else ''
    if not common or os.path.isabs(common):
        return None
    below = [os.path.relpath(path, common).split(os.sep) for path in paths]
    folders = sorted({parts[0] for parts in below if len(parts) > 1})
    return (common, folders) if len(folders) > 1 and all(len(parts) > 1 for parts in below) else None


def _entries(path, ignored):
    """(folders, files) of one folder, sorted, without hidden names and rubbish."""
    try:
        with os.scandir(path) as entries:
            entries = [(entry.name, entry.is_dir()) for entry in entries if not entry.name.startswith('.')]
    except OSError as error:
        raise UserError(f'{printable(path)} cannot be read: {error.strerror}. Fix: let this user read it') from error
    for name, is_dir in entries:
        if is_dir and name.lower() in RUBBISH:
            ignored[f'folder {name}'] += 1
    return (sorted(name for name, is_dir in entries if is_dir and name.lower() not in RUBBISH),
            sorted(name for name, is_dir in entries if not is_dir))


def _add(listing, root, inside, label, part=None):
    """Add the pictures below root/inside."""
    found = []
    for folder, folders, files in os.walk(os.path.join(root, inside), onerror=_refuse):
        for name in folders:
            if name.lower() in RUBBISH:
                listing.ignored[f'folder {name}'] += 1
            elif os.path.islink(os.path.join(folder, name)):
                listing.ignored['link to a folder inside a class folder'] += 1
        folders[:] = sorted(name for name in folders if not name.startswith('.') and name.lower() not in RUBBISH)
        base = os.path.relpath(folder, root)
        found += [os.path.normpath(os.path.join(base, file)) for file in files
                  if not file.startswith('.') and taken(os.path.join(folder, file), listing.ignored)]
    if not found and label:
        listing.ignored['folder without a picture'] += 1
    listing.paths.extend(sorted(found))
    listing.labels.extend([label] * len(found))
    if listing.parts is not None:
        listing.parts.extend([part] * len(found))


def _refuse(error):
    raise UserError(f'{printable(error.filename)} cannot be read: {error.strerror}. '
                    'Fix: let this user read it') from error


def taken(path, ignored):
    """Whether a file is a picture by its name or, without an ending, by its first bytes; else it is counted."""
    ending = os.path.splitext(path)[1].lower()
    if ending in SUFFIXES or (not ending and is_picture(path)):
        return True
    ignored[f'file ending in {printable(ending)}' if ending else 'file without an ending that is no picture'] += 1
    return False
