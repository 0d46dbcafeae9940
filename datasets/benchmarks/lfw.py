"""Labeled Faces in the Wild (Huang et al. 2007): verification on 6,000 pairs in 10 folds (View 2).

The set has no training part of its own; lfw_view1 trains on the people of the development view and tests on its pairs.
"""

import os

import numpy as np

from core.errors import UserError
from datasets.benchmarks.base import Archive, Benchmark, Missing, Parsed, Part, counts, find, image_files

FOLDERS = ('lfw', 'lfw_funneled', 'lfw-funneled', 'lfw-deepfunneled', 'lfw_deepfunneled')


def read(root, name):
    """lfw: all images, pairs.txt. lfw_view1: people of pairsDevTrain.txt train, the pairs of pairsDevTest.txt test."""
    base = find(root, *FOLDERS)
    folders = sorted(entry.name for entry in os.scandir(base) if entry.is_dir())
    paths, class_id = [], []
    for number, person in enumerate(folders):
        files = image_files(base / person)
        paths += [f'{base.name}/{person}/{file}' for file in files]
        class_id += [number] * len(files)
    if not paths:
        raise Missing(f'{base} holds no folder of a person with images')
    whole = Part(paths, np.array(class_id, dtype=np.int64), dict(enumerate(folders)))
    if name == 'lfw':
        path = find(root, 'pairs.txt', base.name + '/pairs.txt')
        return Parsed(None, whole, resolve(read_pairs(path), paths, path), [path, base])
    train_list, test_list = find(root, 'pairsDevTrain.txt'), find(root, 'pairsDevTest.txt')
    people = {row[0] for row in read_pairs(train_list)} | {row[2] for row in read_pairs(train_list)}
    tested = {row[0] for row in read_pairs(test_list)} | {row[2] for row in read_pairs(test_list)}
    both = people & tested
    if both:
        raise UserError(f'{train_list} and {test_list} share {len(both)} people, such as {sorted(both)[0]}')
    person = np.array(folders)[whole.class_id]
    test = whole.take(np.isin(person, sorted(tested)))
    return Parsed(whole.take(np.isin(person, sorted(people))), test,
                  resolve(read_pairs(test_list), test.paths, test_list), [train_list, test_list, base])


def read_pairs(path):
    """Rows (person, number, person, number, same, fold) of a pairs file.

    First line: `folds pairs` or `pairs`; then for each fold that many lines `name n1 n2`, and as many
    `name1 n1 name2 n2`.
    """
    with open(path, encoding='utf-8', errors='surrogateescape') as lines:
        rows = [line.split() for line in lines if line.strip()]
    try:
        folds, size = (1, int(rows[0][0])) if len(rows[0]) == 1 else (int(rows[0][0]), int(rows[0][1]))
        if len(rows) - 1 != folds * size * 2:
            raise UserError(f'{path}: {folds} folds of {size} same and {size} different pairs need '
                            f'{folds * size * 2} lines, found {len(rows) - 1}')
        pairs = []
        for number, row in enumerate(rows[1:]):
            same = number % (2 * size) < size
            first, second = (row[0], row[0]) if same else (row[0], row[2])
            if len(row) != (3 if same else 4):
                raise IndexError
            pairs.append((first, int(row[1]), second, int(row[-1]), same, number // (2 * size)))
    except (IndexError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f'{path} is not a pairs file: `name n1 n2` or `name1 n1 name2 n2` after one line with the '
                        'number of folds and pairs') from error
    return pairs


def resolve(rows, paths, path):
    """Pairs as arrays a, b (rows of the test part, int64), same (bool), fold (int64)."""
    row_of = {file.rsplit('/', 1)[1].rsplit('.', 1)[0]: i for i, file in enumerate(paths)}
    try:
        a = [row_of[f'{row[0]}_{row[1]:04d}'] for row in rows]
        b = [row_of[f'{row[2]}_{row[3]:04d}'] for row in rows]
    except KeyError as error:
        raise Missing(f'{path} names {error}, which has no image') from error
    return {'a': np.array(a, dtype=np.int64), 'b': np.array(b, dtype=np.int64),
            'same': np.array([row[4] for row in rows], dtype=bool),
            'fold': np.array([row[5] for row in rows], dtype=np.int64)}


def text(name, md5, sha256, figshare):
    return Archive(name, ('http://vis-www.cs.umass.edu/lfw/' + name,
                          f'https://ndownloader.figshare.com/files/{figshare}'),
                   ('md5:' + md5, 'sha256:' + sha256), unpack=False)


LISTS = (
    text('pairs.txt', '9f1ba174e4e1c508ff7cdf10ac338a7d',
         'ea42330c62c92989f9d7c03237ed5d591365e89b3e649747777b70e692dc1592', 5976006),
    text('pairsDevTrain.txt', '4f27cbf15b2da4a85c1907eb4181ad21',
         '1d454dada7dfeca0e7eab6f65dc4e97a6312d44cf142207be28d688be92aabfa', 5976012),
    text('pairsDevTest.txt', '5132f7440eb68cf58910c8a45a2ac10b',
         '7cb06600ea8b2814ac26e946201cdb304296262aad67d046a16a7ec85d0ff87c', 5976009))

BENCHMARK = Benchmark(
    title='Labeled Faces in the Wild',
    protocols={'lfw': 'pairs', 'lfw_view1': 'pairs'},
    read=read,
    sources=((Archive('lfw.tgz', ('http://vis-www.cs.umass.edu/lfw/lfw.tgz',
                                  'https://ndownloader.figshare.com/files/5976018'),
                      ('md5:a17d05bd522c52d84eca14327a23d494',
                       'sha256:055f7d9c632d7370e6fb4afc7468d40f970c34a80d4c6f50ffec63f5a8d536c0')),) + LISTS,
             (Archive('lfw-deepfunneled.tgz', ('http://vis-www.cs.umass.edu/lfw/lfw-deepfunneled.tgz',),
                      ('md5:68331da3eb755a505a502b5aacb3c201',)),) + LISTS,
             (Archive('lfw-funneled.tgz', ('http://vis-www.cs.umass.edu/lfw/lfw-funneled.tgz',
                                           'https://ndownloader.figshare.com/files/5976015'),
                      ('md5:1b42dfed7d15c9b2dd63d5e5840c86ad',
                       'sha256:b47c8422c8cded889dc5a13418c4bc2abbda121092b3533a83306f90d900100a')),) + LISTS),
    counts=counts('lfw', 'LFW readme', test={'images': 13233, 'classes': 5749}, pairs={'pairs': 6000, 'folds': 10}),
    manual='lfw.tgz (or lfw-deepfunneled.tgz, lfw-funneled.tgz: say which one beside a figure) and pairs.txt, '
           'pairsDevTrain.txt, pairsDevTest.txt; a copy: Kaggle jessicali9530/lfw-dataset.',
)
