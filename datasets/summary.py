"""What a data set holds, what was left out and why: for people, and for result.json."""

import hashlib
import json
import os

import numpy as np

from core.errors import UserError
from core.text import count, printable
from datasets.scan import inner_folder

TITLES = {'train': 'training', 'test': 'test', 'val': 'validation'}


def summary(data):
    """Dict of a Data, fit for JSON.

    Returns
    -------
    data_name, protocol; for each part that is there images, classes, smallest_class {name, images} and, with queries,
    query and gallery; fingerprint, of the training images and their labels; unreadable (number of images); ignored
    {what: number of files or folders}
    """
    found = {'data_name': data.name, 'protocol': data.protocol}
    for part in TITLES:
        split = getattr(data, part)
        if split is None:
            continue
        counts = np.bincount(split.labels, minlength=split.num_classes)
        least = int(np.argmin(np.where(counts > 0, counts, counts.max() + 1)))
        found[part] = {'images': len(split), 'classes': int((counts > 0).sum()),
                       'smallest_class': {'name': split.names[least], 'images': int(counts[least])}}
        if part == 'train':
            found[part]['fingerprint'] = fingerprint(split)
        if split.query is not None:
            found[part].update(query=int(split.query.sum()), gallery=int((~split.query).sum()))
    if data.pairs is not None:
        found['pairs'] = len(data.pairs['same'])
    return dict(found, unreadable=len(data.unreadable), ignored=dict(data.ignored))


def fingerprint(split):
    """Text that differs for other images, another order or other labels; a folder that moves keeps it."""
    paths = '\0'.join(split.paths).encode('utf-8', 'surrogateescape')
    return hashlib.blake2b(paths + b'\0' + split.labels.tobytes(), digest_size=12).hexdigest()


def check_same(file, found):
    """UserError when the training images are no longer those of the run whose summary `file` holds."""
    if file.exists():
        try:
            before = json.loads(file.read_text(encoding='utf-8'))['train']
        except (OSError, ValueError, KeyError, TypeError):      # damaged: nothing to compare with
            before = found['train']
        now = found['train']
        if before.get('fingerprint') != now['fingerprint']:
            then, here = (f'{count(part["images"], "image")} of {count(part["classes"], "class", "classes")}'
                          for part in (before, now))
            raise UserError(f'the training images are not those of the run that is resumed: {then} then, {here} now. '
                            'Fix: bring the same files back, or start a new run')


def lines(found):
    """Text of a summary, a few lines."""
    out = [f'data: {found["data_name"]}, {found["protocol"]}']
    for part, title in TITLES.items():
        if part in found:
            facts = found[part]
            least = facts['smallest_class']
            queries = f', {facts["query"]:,} of them queries' if 'query' in facts else ''
            if found['protocol'] == 'unlabelled':
                out.append(f'  {title}: {count(facts["images"], "image")} without labels')
                continue
            out.append(f'  {title}: {count(facts["images"], "image")} of {count(facts["classes"], "class", "classes")}'
                       f'{queries}; smallest class: {least["name"]} ({count(least["images"], "image")})')
    if 'pairs' in found:
        out.append(f'  {count(found["pairs"], "pair")}')
    if found['unreadable']:
        out.append(f'  left out, as it cannot be read: {count(found["unreadable"], "image")}')
    if found['ignored']:
        out.append('  ignored: ' + ', '.join(counted(found['ignored'])))
    return out


def counted(ignored):
    """Words for what was ignored.

    >>> counted({'file ending in .txt': 2, 'folder __MACOSX': 1})
    ['2 files ending in .txt', '1 folder __MACOSX']
    """
    return [' '.join([count(number, words.split(' ', 1)[0]), *words.split(' ', 1)[1:]])
            for words, number in sorted(ignored.items())]


def unreadable_list(data):
    """Text of the file that lists what was left out: path, tab, reason."""
    return ''.join(f'{printable(path)}\t{reason}\n' for path, reason in data.unreadable)


def one_class(data):
    """What to do about a folder in which every image is of one class."""
    found = inner_folder(data.test.paths)
    start = f'all {count(len(data.test), "image")} of the folder are of one class, {data.test.names[0]}'
    if found is None:
        return (f'{start}: there is nothing to compare it with. Fix: --data_dir is the folder above the class folders '
                '(ROOT/CLASS/IMAGE), four of them at least, or two with --split=within')
    folder = os.path.join(data.test.root, found[0])
    shown = ', '.join(printable(name) for name in found[1][:3]) + (', ...' if len(found[1]) > 3 else '')
    return (f'{start}, which holds {len(found[1])} folders of images ({shown}): the classes seem to lie deeper. '
            f'Fix: --data_dir={printable(folder)}')


def check_trainable(data):
    """UserError for a Data that no network can learn from, with the fix; before the first epoch."""
    if data.protocol == 'unlabelled':
        raise UserError('these photos have no labels: nothing can be trained or scored, but `main.py embed '
                        '--checkpoint=RUN` writes their embeddings. Fix: class folders (ROOT/CLASS/IMAGE), or a CSV '
                        'file with the columns path,label')
    if data.train is None and data.name == 'folder':
        raise UserError(one_class(data))
    if data.train is None:
        raise UserError(f'--data_name={data.name} has no training part. Fix: train on another data set, then python3 '
                        f'main.py evaluate --checkpoint=RUN --data_name={data.name}')
    counts = np.bincount(data.train.labels)
    tested = np.bincount(data.test.labels)
    if data.name != 'folder':
        return
    fix = ('Fix: --split=within trains on the first half of the images of each class and tests on the others; or give '
           'more classes (four at least), or a split of your own with --split=FILE')
    if len(counts) < 2 or (data.protocol == 'zero-shot' and len(tested) < 2):
        raise UserError(f'{count(len(counts), "class", "classes")} to train on and {len(tested)} to test on are '
                        f'too few: both need two at least. {fix}')
    if counts.max() < 2:
        raise UserError('every training class has a single image, so there is no pair of the same class. Fix: is the '
                        'folder above the class folders right (ROOT/CLASS/IMAGE)? A class needs two images at least')
