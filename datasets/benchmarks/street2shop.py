"""Street2Shop, "Where to Buy It" (Kiapour et al. 2015): street photos as queries, shop photos as gallery.

The authors publish addresses, not pictures; many are dead. Listed photos without a file are dropped and counted.
Layout (recalled, not seen): meta/json/{train_pairs,test_pairs,retrieval}_CATEGORY.json, lists of
{"photo": id, "product": id, "bbox": {"left", "top", "width", "height"}}; photos.txt, lines `id,url`.
"""

import os
import pathlib
import re

import numpy as np

from core.errors import UserError
from core.text import printable
from datasets.benchmarks.base import Archive, Benchmark, Parsed, Part, counts
from datasets.benchmarks.lists import Missing, Rows, find, load_json

CATEGORIES = ('bags', 'belts', 'dresses', 'eyewear', 'footwear', 'hats', 'leggings', 'outerwear', 'pants', 'skirts',
              'tops')
WHOLE = {'left': 0, 'top': 0, 'width': 1e6, 'height': 1e6}    # shop photos have no box: cutting keeps all of them


def photo_files(root):
    """(photo id -> path relative to root, folders): every file images/**/ID.ext whose name is a number."""
    folder = find(root, 'images', 'photos')
    place, folders = {}, []
    for top, _, files in os.walk(folder):
        folders.append(pathlib.Path(top))
        relative = os.path.relpath(top, root)
        for name in files:
            stem = name.split('.')[0]
            if re.fullmatch('[0-9]{1,18}', stem):
                place[int(stem)] = f'{relative}/{name}'
    if not place:
        raise Missing(f'{folder} holds no photo named by its number, such as 000000001.jpg')
    return place, folders


def records(path):
    """[(photo, product, [left, top, width, height]), ...] of a list of photos."""
    listed = load_json(path)
    if not isinstance(listed, list):
        raise UserError(f'{printable(path)}: a list of photos is expected')
    rows = Rows(listed, path, range(1, len(listed) + 1), 'entry')
    columns = []
    for k, row in enumerate(rows):
        box = (row.get('bbox') or WHOLE) if isinstance(row, dict) else None
        if not isinstance(box, dict) or not {'photo', 'product'} <= set(row) or not set(WHOLE) <= set(box):
            raise rows.error(k, 'every entry must have "photo", "product" and, if any, a "bbox" with '
                                f'{", ".join(WHOLE)}')
        columns.append([row['photo'], row['product'], *(box[key] for key in WHOLE)])
    rows = Rows(columns, path, rows.lines, 'entry')
    if not rows:
        return []
    return list(zip(rows.integers(0).tolist(), rows.integers(1).tolist(), rows.floats(2, 3, 4, 5).tolist()))


def read(root, name):
    """street2shop: all categories together; street2shop_dresses: one category, as the paper reports.

    The gallery is every shop photo, so it holds products that are trained on; no query does.
    """
    meta = find(root, 'meta/json', 'json', 'meta', '.')
    chosen = CATEGORIES if name == 'street2shop' else (name[len('street2shop_'):],)
    place, lists = photo_files(root)
    columns = {'train': [], 'test': []}
    lost, listed = 0, 0
    for number, category in enumerate(chosen):
        paths = [find(meta, f'{kind}_{category}.json') for kind in ('train_pairs', 'test_pairs', 'retrieval')]
        lists += paths
        train, test, shop = (records(path) for path in paths)
        products = {row[1] for row in train}
        tables = (('train', train, False), ('train', [row for row in shop if row[1] in products], False),
                  ('test', test, True), ('test', shop, False))
        for part, rows, query in tables:
            for photo, product, box in rows:
                listed += 1
                path = place.get(photo)
                if path is None:
                    lost += 1
                    continue
                columns[part].append((path, product, query, number, box))
    parts = [columns_to_part(columns[part], part == 'test') for part in ('train', 'test')]
    return Parsed(*parts, lists=lists, notes=[f'{lost:,} of {listed:,} listed photos have no file'])


def columns_to_part(rows, with_query):
    boxes = np.array([row[4] for row in rows], dtype=np.float32).reshape(-1, 4)
    return Part([row[0] for row in rows], np.array([row[1] for row in rows], dtype=np.int64),
                query=np.array([row[2] for row in rows], dtype=bool) if with_query else None, boxes=boxes,
                super_label=np.array([row[3] for row in rows], dtype=np.int64))


BENCHMARK = Benchmark(
    title='Street2Shop',
    protocols=dict.fromkeys(('street2shop',) + tuple('street2shop_' + one for one in CATEGORIES), 'mixed'),
    aliases={'WhereToBuyIt': 'street2shop', 'where_to_buy_it': 'street2shop', 'street_to_shop': 'street2shop'},
    read=read,
    sources=((Archive('meta.zip'),),),
    counts=counts('street2shop', 'abstract of the paper (before links died)', 'recalled',
                  test={'query': 20357, 'gallery': 404683}),
    manual='Open http://www.tamaraberg.com/street2shop/, fetch meta.zip and photos.txt (lines `id,url`), and '
           'download the photos to {root}/images/ID.jpg, where ID is the number in photos.txt. Sub-folders are fine.',
    repeats=True,
)
