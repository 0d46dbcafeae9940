"""Labeled Faces in the Wild (Huang et al. 2007): verification on 6,000 pairs in 10 folds (View 2).

The set has no training part of its own; lfw_view1 trains on the people of the development view and tests on its pairs.
"""

import numpy as np

from core.errors import UserError
from core.text import printable
from datasets.benchmarks.base import Archive, Benchmark, Parsed, Part, counts
from datasets.benchmarks.lists import Missing, Rows, find, folder_names, image_files, table

FOLDERS = ('lfw', 'lfw_funneled', 'lfw-funneled', 'lfw-deepfunneled', 'lfw_deepfunneled')


def read(root, name):
    """lfw: all images, pairs.txt. lfw_view1: people of pairsDevTrain.txt train, the pairs of pairsDevTest.txt test."""
    base = find(root, *FOLDERS)
    folders = folder_names(base)
    paths, class_id = [], []
    for number, person in enumerate(folders):
        files = image_files(base / person)
        paths += [f'{base.name}/{person}/{file}' for file in files]
        class_id += [number] * len(files)
    if not paths:
        raise Missing(f'{base} holds no folder of a person with images')
    whole = Part(paths, np.array(class_id, dtype=np.int64), dict(enumerate(map(printable, folders))))
    if name == 'lfw':
        path = find(root, 'pairs.txt', base.name + '/pairs.txt')
        return Parsed(None, whole, resolve(read_pairs(path), paths), [path, base])
    train_list, test_list = find(root, 'pairsDevTrain.txt'), find(root, 'pairsDevTest.txt')
    trained_on, scored = read_pairs(train_list), read_pairs(test_list)
    people, tested = ({name for row in rows for name in (row[0], row[2])} for rows in (trained_on, scored))
    both = people & tested
    if both:
        raise UserError(f'{train_list} and {test_list} share {len(both)} people, such as {printable(sorted(both)[0])}')
    person = np.array(folders)[whole.class_id]
    test = whole.take(np.isin(person, sorted(tested)))
    return Parsed(whole.take(np.isin(person, sorted(people))), test,
                  resolve(scored, test.paths), [train_list, test_list, base])


def read_pairs(path):
    """Rows (person, number, person, number, same, fold) of a pairs file.

    First line: `folds pairs` or `pairs`; then for each fold that many lines `name n1 n2`, and as many
    `name1 n1 name2 n2`.
    """
    lines = table(path, 1)
    rows = Rows([line[0].split() for line in lines], path, lines.lines)
    if len(rows[0]) > 2:
        raise rows.error(0, 'the number of folds and of pairs, or of pairs alone, is expected')
    head = Rows([[value] for value in rows[0]], path, [rows.lines[0]] * len(rows[0])).integers(0).tolist()
    folds, size = [1, *head][-2:]
    if folds < 1 or size < 1 or len(rows) - 1 != folds * size * 2:
        raise UserError(f'{printable(path)}: {folds} folds of {size} same and {size} different pairs need '
                        f'{folds * size * 2} lines, found {len(rows) - 1}')
    pairs = []
    for number in range(len(rows) - 1):
        row, same = rows[number + 1], number % (2 * size) < size
        if len(row) != (3 if same else 4):
            raise rows.error(number + 1, 'expected ' + ('name n1 n2' if same else 'name1 n1 name2 n2'))
        pairs.append([row[0], row[1], row[0 if same else 2], row[-1], same, number // (2 * size)])
    return Rows(pairs, path, rows.lines[1:])


def resolve(rows, paths):
    """Pairs as arrays a, b (rows of the test part, int64), same (bool), fold (int64)."""
    row_of = {file.rsplit('/', 1)[1].rsplit('.', 1)[0]: i for i, file in enumerate(paths)}
    sides = []
    for name, number in ((0, 1), (2, 3)):
        images = [f'{row[name]}_{k:04d}' for row, k in zip(rows, rows.integers(number).tolist())]
        for k, image in enumerate(images):
            if image not in row_of:
                raise Missing(str(rows.error(k, f'there is no image {printable(image)}')))
        sides.append(np.array([row_of[image] for image in images], dtype=np.int64))
    return {'a': sides[0], 'b': sides[1], 'same': np.array([row[4] for row in rows], dtype=bool),
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
