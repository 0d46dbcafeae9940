"""Oxford Flowers-102 (Nilsback and Zisserman 2008): 8,189 photos of 102 flowers."""

import numpy as np

from core.errors import UserError
from datasets.benchmarks.base import Archive, Benchmark, Parsed, Part, counts
from datasets.benchmarks.lists import entries, find, load_mat

# data name -> keys of setid.mat for (train, test)
SPLITS = {'flowers102': (('trnid', 'valid'), ('tstid',)), 'flowers102_train': (('trnid',), ('tstid',)),
          'flowers102_val': (('trnid',), ('valid',))}


def read(root, name):
    """imagelabels.mat and setid.mat. flowers102 trains on train + val, as the original code does."""
    find(root, 'jpg')
    label_file, set_file = find(root, 'imagelabels.mat'), find(root, 'setid.mat')
    labels = entries(label_file, labels=load_mat(label_file).get('labels')).integers(0)
    sets = load_mat(set_file)
    parts = []
    for keys in SPLITS[name]:
        ids = np.sort(np.concatenate([entries(set_file, **{key: sets.get(key)}).integers(0) for key in keys]))
        if ids[0] < 1 or ids[-1] > len(labels):
            raise UserError(f'{set_file} names image {ids[-1]}, but {label_file} has {len(labels)} labels')
        parts.append(Part([f'jpg/image_{i:05d}.jpg' for i in ids], labels[ids - 1]))
    return Parsed(*parts, lists=[label_file, set_file])


PREFIX = 'https://www.robots.ox.ac.uk/~vgg/data/flowers/102/'
SOURCE = 'Taha et al., Table 1'

BENCHMARK = Benchmark(
    title='Oxford Flowers-102',
    protocols=dict.fromkeys(SPLITS, 'classification'),
    aliases={'flowers': 'flowers102', '102flowers': 'flowers102', 'flowers_102': 'flowers102'},
    read=read,
    sources=((Archive('102flowers.tgz', (PREFIX + '102flowers.tgz',), ('md5:52808999861908f626f3c1f4e79d11fa',)),
              Archive('imagelabels.mat', (PREFIX + 'imagelabels.mat',), ('md5:e0620be6f572b9609742df49c70aed4d',),
                      unpack=False),
              Archive('setid.mat', (PREFIX + 'setid.mat',), ('md5:a5357ecc9cb78c4bef273ce3793fc85c',),
                      unpack=False)),),
    counts=counts('flowers102', SOURCE, train={'images': 2040, 'classes': 102}, test={'images': 6149, 'classes': 102}) +
    counts('flowers102_train', SOURCE, train={'images': 1020}, test={'images': 6149}) +
    counts('flowers102_val', SOURCE, train={'images': 1020}, test={'images': 1020}),
    manual='102flowers.tgz, imagelabels.mat and setid.mat.',
)
