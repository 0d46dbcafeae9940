"""CUB-200-2011 (Wah et al. 2011): 11,788 photos of 200 bird species; and CUB-200 (Welinder et al. 2010)."""

import re

import numpy as np

from core.text import printable
from datasets.benchmarks.base import Archive, Benchmark, Parsed, Part, counts
from datasets.benchmarks.lists import Missing, find, image_files, inner, keyed, names_of, table


def read(root, name):
    """cub200: classes 1-100 train, 101-200 test. cub200_classification: train_test_split.txt."""
    base, prefix = inner(root, 'images.txt', 'CUB_200_2011')
    lists = [find(base, file) for file in ('images.txt', 'image_class_labels.txt', 'bounding_boxes.txt', 'classes.txt')]
    rows = table(lists[0], 2)
    ids = [row[0] for row in rows]
    class_id = keyed(lists[1], 2, ids).integers(1)
    whole = Part(rows.paths(1, prefix + 'images/'), class_id, names_of(table(lists[3], 2)),
                 boxes=keyed(lists[2], 5, ids).floats(1, 2, 3, 4))
    if name == 'cub200':
        train = class_id <= 100
    else:
        lists.append(find(base, 'train_test_split.txt'))
        train = keyed(lists[-1], 2, ids).integers(1) == 1
    return Parsed(whole.take(train), whole.take(~train), lists=lists)


BENCHMARK = Benchmark(
    title='CUB-200-2011',
    protocols={'cub200': 'zero-shot', 'cub200_classification': 'classification'},
    aliases=dict.fromkeys(('CUB_200_2011', 'CUB200_2011', 'CUB', 'bird200', 'cub_2011'), 'cub200'),
    read=read,
    sources=((Archive(
        'CUB_200_2011.tgz',
        ('https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz',
         'http://www.vision.caltech.edu/visipedia-data/CUB-200-2011/CUB_200_2011.tgz'),
        ('md5:97eceeb196236b17998738112f37df78',)),),),
    counts=counts('cub200', 'Heated-Up Softmax paper; list rows of naver/cgd',
                  train={'images': 5864, 'classes': 100}, test={'images': 5924, 'classes': 100}) +
    counts('cub200_classification', 'Open Metric Learning converters; Taha et al., Table 1',
           train={'images': 5994}, test={'images': 5794}) +
    counts('cub200_classification', 'Heated-Up Softmax paper', train={'classes': 200}, test={'classes': 200}),
    manual='CUB_200_2011.tgz, not CUB-200/images.tgz: that is the older CUB-200 of 2010, with other photos.',
)


def read_2010(root, name):
    """Class folders NNN.name: 001-100 train, 101-200 test."""
    base, prefix = inner(root, '001.Black_footed_Albatross', 'images')
    paths, class_id, names = [], [], {}
    folders = sorted(entry for entry in base.iterdir() if entry.is_dir())
    for folder in folders:
        match = re.match(r'(\d{3})\.', folder.name)
        if not match:
            continue
        number = int(match.group(1))
        names[number] = printable(folder.name)
        files = image_files(folder)
        paths += [f'{prefix}{folder.name}/{file}' for file in files]
        class_id += [number] * len(files)
    if (base.parent / 'images.txt').exists() or (base / 'images.txt').exists():
        raise Missing(f'{root} is CUB-200-2011, not CUB-200 (2010): use --data_name=cub200')
    whole = Part(paths, np.array(class_id, dtype=np.int64), names)
    train = whole.class_id <= 100
    return Parsed(whole.take(train), whole.take(~train), lists=[base] + folders)


BENCHMARK_2010 = Benchmark(
    title='CUB-200 (2010) crops',
    protocols={'cub200_2010': 'zero-shot'},
    aliases={'CUB_200_2010': 'cub200_2010'},
    read=read_2010,
    counts=counts('cub200_2010', 'class folders of the 2010 release: 6,033 photos',
                  train={'images': 2990, 'classes': 100}, test={'images': 3043, 'classes': 100}),
    manual='The class folders of CUB-200 (2010), 001.Black_footed_Albatross ... 200.Common_Yellowthroat, go to '
           '{root}/images/. Figures on this set are not comparable with those on CUB-200-2011.',
)
