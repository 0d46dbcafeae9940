"""Stanford Dogs (Khosla et al. 2011): 20,580 photos of 120 breeds, taken from ImageNet."""

from core.text import printable
from datasets.benchmarks.base import Archive, Benchmark, Parsed, Part, counts
from datasets.benchmarks.lists import entries, find, load_mat


def read(root, name):
    """train_list.mat and test_list.mat: file_list (paths below Images/) and labels 1..120."""
    find(root, 'Images')
    parts, lists = [], []
    for split in ('train', 'test'):
        path = find(root, split + '_list.mat', f'lists/{split}_list.mat')
        variables = load_mat(path)
        rows = entries(path, file_list=variables.get('file_list'), labels=variables.get('labels'))
        files, class_id = rows.paths(0), rows.integers(1)
        names = {c: printable(file.split('/')[0].split('-', 1)[-1]) for c, file in zip(class_id.tolist(), files)}
        parts.append(Part(['Images/' + file for file in files], class_id, names))
        lists.append(path)
    return Parsed(*parts, lists=lists, notes=[
        'Stanford Dogs comes from ImageNet: a network pretrained on ImageNet has seen test pictures'])


PREFIX = 'http://vision.stanford.edu/aditya86/ImageNetDogs/'

BENCHMARK = Benchmark(
    title='Stanford Dogs',
    protocols={'dogs': 'classification'},
    aliases={'stanford_dogs': 'dogs', 'StanfordDogs': 'dogs'},
    read=read,
    sources=((Archive('images.tar', (PREFIX + 'images.tar',), ('md5:1bb1f2a596ae7057f99d7d75860002ef',)),
              Archive('lists.tar', (PREFIX + 'lists.tar',), ('md5:edbb9f16854ec66506b5f09b583e0656',))),),
    counts=counts('dogs', 'Taha et al., Table 1', train={'images': 12000, 'classes': 120},
                  test={'images': 8580, 'classes': 120}),
    manual='images.tar and lists.tar.',
)
