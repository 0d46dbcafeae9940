"""`prepare --check`: decode every image, and find duplicates, above all across the train/test border."""

import hashlib
import pathlib
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from tqdm import tqdm

from core.errors import UserError
from core.files import write_json
from core.text import count, printable
from datasets.benchmarks import index
from datasets.pictures import BadImage, decode
from datasets.preparation.download import writable
from datasets.threads import default_workers

SHOWN = 10


def inspect(split, row):
    """(file hash, pixel hash, (height, width), problem) of one image; the hashes are None for a bad image.

    The pixel hash is that of the decoded picture and its shape: it is equal for copies that differ in metadata alone.
    """
    try:
        if split.reader is not None:
            image = np.ascontiguousarray(split.reader(int(split.rows[row])))
            coded = image
        else:
            coded = np.fromfile(split.path(row), dtype=np.uint8)
            image = decode(coded, split.path(row))
    except (OSError, BadImage) as error:
        return None, None, None, str(error)
    shape = image.shape[:2]
    pixels = hashlib.blake2b(repr(image.shape).encode() + image.tobytes(), digest_size=16).digest()
    return hashlib.blake2b(coded.tobytes(), digest_size=16).digest(), pixels, shape, None


def scan(split, threads=None):
    """[inspect(...)] of all images of a Split, in order."""
    with ThreadPoolExecutor(threads or default_workers()) as pool:
        results = pool.map(lambda row: inspect(split, row), range(len(split)))
        return list(tqdm(results, total=len(split), desc='decoding', unit='image', leave=False,
                         disable=not sys.stderr.isatty()))


def duplicates(parts):
    """Groups of equal pictures: [[(part name, row), ...], ...]; equal by the file's bytes or by the decoded pixels.

    parts : {part name: result of scan}
    """
    groups = defaultdict(list)
    for part, results in parts.items():
        for row, (_, pixels, _, problem) in enumerate(results):
            if problem is None:    # equal bytes decode to equal pixels, so the pixel hash finds both kinds
                groups[pixels].append((part, row))
    return [group for group in groups.values() if len(group) > 1]


def report(data, threads=None):
    """Dict: images, bad [(path, reason)], sizes, and duplicates across the border and within a part, as paths."""
    splits = {name: split for name, split in (('train', data.train), ('test', data.test)) if split is not None}
    parts = {name: scan(split, threads) for name, split in splits.items()}
    across, within, conflicting = [], [], []
    for group in duplicates(parts):
        entry = {'images': [f'{part}: {splits[part].path(row)}' for part, row in group],
                 'same_bytes': len({parts[part][row][0] for part, row in group}) == 1}
        (across if len({part for part, _ in group}) > 1 else within).append(entry)
        if len({int(splits[part].class_id[row]) for part, row in group}) > 1:
            conflicting.append(entry)
    shapes = [result[2] for results in parts.values() for result in results if result[2]]
    short = sorted(min(shape) for shape in shapes)
    return {
        'images': {name: len(results) for name, results in parts.items()},
        'bad': [[splits[name].path(row), result[3]] for name, results in parts.items()
                for row, result in enumerate(results) if result[3]],
        'short_side': {'smallest': short[0], 'median': short[len(short) // 2], 'largest': short[-1]} if short else None,
        'across': across, 'within': within, 'conflicting': conflicting}


def run(data, root, threads=None, log=print):
    """Check one data set, print what was found and keep all of it in .prepared/check-NAME.json.

    Raises UserError when an image cannot be decoded; duplicates are the authors' business and are only reported.
    """
    found = report(data, threads)
    log(f'decoded {count(sum(found["images"].values()), "image")}, {len(found["bad"]):,} cannot be read')
    if found['short_side']:
        short = found['short_side']
        log(f'short side in pixels: {short["smallest"]} to {short["largest"]}, median {short["median"]}')
    for title, entries in (('across the train/test border', found['across']), ('within one part', found['within']),
                           ('with different classes', found['conflicting'])):
        log(f'{count(len(entries), "group")} of equal pictures {title}')
        for entry in entries[:SHOWN]:
            log('  ' + ' = '.join(map(printable, entry['images'])) +
                ('' if entry['same_bytes'] else ' (pixels, not bytes)'))
        if len(entries) > SHOWN:
            log(f'  ... and {len(entries) - SHOWN:,} more')
    path = pathlib.Path(index.folder(root), f'check-{data.name}.json')
    if path.parent.is_dir() and writable(path.parent):
        write_json(path, found)
        log(f'all of it: {path}')
    if found['bad']:
        raise UserError(f'{count(len(found["bad"]), "image")} cannot be read: '
                        f'{"; ".join(reason for _, reason in found["bad"][:3])}. Fix: remove what is bad and prepare '
                        'again')
    return found
