"""NABirds (Van Horn et al. 2015): 48,562 photos of 555 visual categories of North American birds."""

from datasets.benchmarks.base import Archive, Benchmark, Parsed, Part, counts
from datasets.benchmarks.lists import find, inner, keyed, names_of, table


def read(root, name):
    """images.txt, image_class_labels.txt, train_test_split.txt (1: train), bounding_boxes.txt, keyed by image id."""
    base, prefix = inner(root, 'images.txt', 'nabirds')
    lists = [find(base, file) for file in ('images.txt', 'image_class_labels.txt', 'train_test_split.txt',
                                           'bounding_boxes.txt', 'classes.txt')]
    rows = table(lists[0], 2)
    ids = [row[0] for row in rows]
    whole = Part(rows.paths(1, prefix + 'images/'), keyed(lists[1], 2, ids).integers(1), names_of(table(lists[4], 2)),
                 boxes=keyed(lists[3], 5, ids).floats(1, 2, 3, 4))
    train = keyed(lists[2], 2, ids).integers(1) == 1
    return Parsed(whole.take(train), whole.take(~train), lists=lists)


BENCHMARK = Benchmark(
    title='NABirds',
    protocols={'nabirds': 'classification'},
    aliases={'birds': 'nabirds', 'na_birds': 'nabirds'},
    read=read,
    sources=((Archive('nabirds.tar.gz', (), ('md5:df21a9e4db349a14e2b08adfd45873bd',)),),),
    counts=counts('nabirds', 'Taha et al., Table 1', train={'images': 23929}, test={'images': 24633}) +
    counts('nabirds', 'Taha et al., code (Table 1 says 550)', train={'classes': 555}, test={'classes': 555}),
    manual='Open https://dl.allaboutbirds.org/nabirds, accept the terms and fetch nabirds.tar.gz.',
)
