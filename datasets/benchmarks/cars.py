"""Stanford Cars (Krause et al. 2013): 16,185 photos of 196 models. Two protocols with two names.

cars196: zero-shot retrieval on car_ims, classes 1-98 train, 99-196 test. stanford_cars: the classification split.
Both also read the layout of the Kaggle copy (class folders, anno_train.csv, anno_test.csv, names.csv).
"""

import os

import numpy as np

from core.errors import UserError
from core.text import printable
from datasets.benchmarks.base import Archive, Benchmark, Parsed, Part, counts
from datasets.benchmarks.lists import Missing, entries, find, folder_names, inner, load_mat, table

KAGGLE = 'https://www.kaggle.com/api/v1/datasets/download/jutrera/stanford-car-dataset-by-classes-folder'


CORNERS = ('bbox_x1', 'bbox_y1', 'bbox_x2', 'bbox_y2')


def boxes(rows, *columns):
    """x y w h from 1-based inclusive corners x1 y1 x2 y2 in these columns of the rows."""
    x1, y1, x2, y2 = rows.floats(*columns).T
    return np.stack([x1 - 1, y1 - 1, x2 - x1 + 1, y2 - y1 + 1], axis=1)


def annotations(path, key, image):
    """(file names, boxes, class ids) of one annotation file of the devkit."""
    records = load_mat(path).get(key)
    fields = (image, 'class', *CORNERS)
    if not isinstance(records, dict) or not set(fields) <= set(records):
        raise UserError(f'{printable(path)} has no table {key!r} with the fields {", ".join(fields)}')
    rows = entries(path, **{field: records[field] if isinstance(records[field], list) else [records[field]]
                            for field in fields})
    return rows.paths(0), boxes(rows, 2, 3, 4, 5), rows.integers(1)


def titles(path):
    """{class id: name} of the variable class_names, empty without it."""
    names = load_mat(path).get('class_names', [])
    return {number: printable(name) for number, name in enumerate(names if isinstance(names, list) else [names], 1)}


def kaggle_split(base, prefix, split, class_names):
    """One split of the Kaggle copy: rows `file, x1, y1, x2, y2, class` without a header."""
    path = find(base, f'anno_{split}.csv')
    folder = find(base, 'car_data/car_data/' + split, 'car_data/' + split)
    place = {name: f'{prefix}{folder.relative_to(base).as_posix()}/{group}/{name}'
             for group in folder_names(folder) for name in os.listdir(folder / group)}
    rows = table(path, 6, separator=',')
    lost = [row[0] for row in rows if row[0] not in place]
    if lost:
        raise Missing(f'{len(lost)} of {len(rows)} images of {path} are not in {folder}, such as {lost[0]}')
    return Part([place[row[0]] for row in rows], rows.integers(5), class_names, boxes=boxes(rows, 1, 2, 3, 4)), path


def read_kaggle(root):
    """(train, test, lists) of the Kaggle copy; Missing when it is not there."""
    base, prefix = inner(root, 'anno_train.csv', 'stanford-car-dataset-by-classes-folder')
    names_file = find(base, 'names.csv')
    names = table(names_file, 1)
    class_names = {line: printable(row[0].strip('"')) for line, row in zip(names.lines, names)}
    (train, one), (test, two) = (kaggle_split(base, prefix, split, class_names) for split in ('train', 'test'))
    return train, test, [one, two, names_file]


def join(one, two):
    return Part(one.paths + two.paths, np.concatenate([one.class_id, two.class_id]), one.class_names,
                boxes=np.concatenate([one.boxes, two.boxes]))


def read_cars196(root, name):
    """Classes 1-98 train, 99-196 test; images in the order of car_ims (of the halves in the Kaggle copy)."""
    if not (root / 'cars_annos.mat').exists() and not (root / 'car_ims').exists() and list(root.rglob('anno_test.csv')):
        train, test, lists = read_kaggle(root)
        whole = join(train, test)
    else:
        lists = [find(root, 'cars_annos.mat')]
        find(root, 'car_ims')
        paths, box, class_id = annotations(lists[0], 'annotations', 'relative_im_path')
        whole = Part(paths, class_id, titles(lists[0]), boxes=box)
    train = whole.class_id <= 98
    return Parsed(whole.take(train), whole.take(~train), lists=lists)


def read_stanford_cars(root, name):
    """The split of the authors: cars_train and cars_test, all 196 classes in both."""
    if not (root / 'devkit').exists() and list(root.rglob('anno_test.csv')):
        train, test, lists = read_kaggle(root)
        return Parsed(train, test, lists=lists)
    lists = [find(root, 'devkit/cars_train_annos.mat'),
             find(root, 'cars_test_annos_withlabels.mat', 'devkit/cars_test_annos_withlabels.mat'),
             find(root, 'devkit/cars_meta.mat')]
    class_names = titles(lists[2])
    parts = []
    for path, folder in zip(lists, ('cars_train', 'cars_test')):
        find(root, folder)
        files, box, class_id = annotations(path, 'annotations', 'fname')
        parts.append(Part([f'{folder}/{name}' for name in files], class_id, class_names, boxes=box))
    return Parsed(*parts, lists=lists)


COPY = (Archive('stanford-car-dataset-by-classes-folder.zip', (KAGGLE,)),)

CARS196 = Benchmark(
    title='Cars196',
    protocols={'cars196': 'zero-shot'},
    aliases=dict.fromkeys(('car196', 'CARS_196', 'CAR_196', 'Car'), 'cars196'),
    read=read_cars196,
    sources=((Archive('car_ims.tgz', ('http://ai.stanford.edu/~jkrause/car196/car_ims.tgz',
                                      'http://imagenet.stanford.edu/internal/car196/car_ims.tgz'),
                      ('md5:d5c8f0aa497503f355e17dc7886c3f14',)),
              Archive('cars_annos.mat', ('http://ai.stanford.edu/~jkrause/car196/cars_annos.mat',
                                         'http://imagenet.stanford.edu/internal/car196/cars_annos.mat'),
                      ('md5:b407c6086d669747186bd1d764ff9dbc',), unpack=False)), COPY),
    counts=counts('cars196', 'Heated-Up Softmax paper; list rows of Embedding Expansion',
                  train={'images': 8054, 'classes': 98}, test={'images': 8131, 'classes': 98}),
    manual='car_ims.tgz and cars_annos.mat; or, as the addresses at Stanford come and go, the Kaggle copy '
           'jutrera/stanford-car-dataset-by-classes-folder as stanford-car-dataset-by-classes-folder.zip.',
)

STANFORD_CARS = Benchmark(
    title='Stanford Cars (classification)',
    protocols={'stanford_cars': 'classification'},
    aliases=dict.fromkeys(('cars', 'StanfordCars', 'cars196_classification'), 'stanford_cars'),
    read=read_stanford_cars,
    sources=((
        Archive('cars_train.tgz', ('http://ai.stanford.edu/~jkrause/car196/cars_train.tgz',),
                ('md5:065e5b463ae28d29e77c1b4b166cfe61',
                 'sha256:512b227b30e2f0a8aab9e09485786ab4479582073a144998da74d64b801fd288'), 979269282),
        Archive('cars_test.tgz', ('http://ai.stanford.edu/~jkrause/car196/cars_test.tgz',),
                ('md5:4ce7ebf6a94d07f1952d94dd34c4d501',
                 'sha256:bffea656d6f425cba3c91c6d83336e4c5f86c6cffd8975b0f375d3a10da8e243'), 977350468),
        Archive('car_devkit.tgz', ('https://ai.stanford.edu/~jkrause/cars/car_devkit.tgz',),
                ('md5:c3b158d763b6e2245038c8ad08e45376',
                 'sha256:b97deb463af7d58b6bfaa18b2a4de9829f0f79e8ce663dfa9261bf7810e9accd'), 330960),
        Archive('cars_test_annos_withlabels.mat',
                ('http://ai.stanford.edu/~jkrause/car196/cars_test_annos_withlabels.mat',),
                ('md5:b0a2b23655a3edd16d84508592a98d10',
                 'sha256:790f75be8ea34eeded134cc559332baf23e30e91367e9ddca97d26ed9b895f05'), 185758, unpack=False),
    ), COPY),
    counts=counts('stanford_cars', 'Taha et al., Table 1; Open Metric Learning converters',
                  train={'images': 8144, 'classes': 196}, test={'images': 8041, 'classes': 196}),
    manual='cars_train.tgz, cars_test.tgz, car_devkit.tgz and cars_test_annos_withlabels.mat; or the Kaggle copy '
           'jutrera/stanford-car-dataset-by-classes-folder as stanford-car-dataset-by-classes-folder.zip.',
)
