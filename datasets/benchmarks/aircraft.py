"""FGVC-Aircraft (Maji et al. 2013): 10,000 photos of 100 variants. The 20-pixel banner at the foot is left in."""

import numpy as np

from core.text import printable
from datasets.benchmarks.base import Archive, Benchmark, Parsed, Part, counts
from datasets.benchmarks.lists import find, inner, keyed, table

# data name -> lists of (train, test)
SPLITS = {'aircraft': ('trainval', 'test'), 'aircraft_train': ('train', 'test'), 'aircraft_val': ('train', 'val')}


def read(root, name):
    """images_variant_PART.txt: `image variant`. aircraft trains on train + val, as the original code does."""
    base, prefix = inner(root, 'images_variant_test.txt', 'fgvc-aircraft-2013b/data', 'data')
    variants = [row[0] for row in table(find(base, 'variants.txt'), 1)]
    number = {variant: i for i, variant in enumerate(variants)}
    box_list = find(base, 'images_box.txt')
    find(base, 'images')
    parts, lists = [], [box_list]
    for split in SPLITS[name]:
        path = find(base, f'images_variant_{split}.txt')
        rows = table(path, 2)
        corners = keyed(box_list, 5, [row[0] for row in rows]).floats(1, 2, 3, 4)
        corners[:, 2:] -= corners[:, :2] - 1    # 1-based inclusive corners
        corners[:, :2] -= 1
        for k, row in enumerate(rows):
            if row[1] not in number:
                raise rows.error(k, f'{printable(row[1])!r} is not in variants.txt')
        class_id = np.array([number[row[1]] for row in rows], dtype=np.int64)
        parts.append(Part([f'{name}.jpg' for name in rows.paths(0, prefix + 'images/')], class_id,
                          dict(enumerate(map(printable, variants))), boxes=corners))
        lists.append(path)
    return Parsed(*parts, lists=lists)


SOURCE = 'Taha et al., Table 1 and code; list rows of softmax_triplet_loss'

BENCHMARK = Benchmark(
    title='FGVC-Aircraft',
    protocols=dict.fromkeys(SPLITS, 'classification'),
    aliases=dict.fromkeys(('aircrafts', 'fgvc_aircraft', 'fgvc-aircraft-2013b'), 'aircraft'),
    read=read,
    sources=((Archive('fgvc-aircraft-2013b.tar.gz',
                      ('https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/archives/fgvc-aircraft-2013b.tar.gz',),
                      ('md5:d4acdd33327262359767eeaa97a4f732',)),),),
    counts=counts('aircraft', SOURCE, train={'images': 6667, 'classes': 100}, test={'images': 3333, 'classes': 100}) +
    counts('aircraft_train', SOURCE, train={'images': 3334}, test={'images': 3333}) +
    counts('aircraft_val', SOURCE, train={'images': 3334}, test={'images': 3333}),
    manual='fgvc-aircraft-2013b.tar.gz.',
)
