"""Stanford Online Products (Song et al. 2016): 120,053 photos of 22,634 products in 12 super classes."""

from core.text import printable
from datasets.benchmarks.base import Archive, Benchmark, Parsed, Part, counts
from datasets.benchmarks.lists import inner, table


def read(root, name):
    """Ebay_train.txt and Ebay_test.txt: one header line, then `image_id class_id super_class_id path`."""
    base, prefix = inner(root, 'Ebay_train.txt', 'Stanford_Online_Products')
    parts, lists = [], []
    for split in ('train', 'test'):
        path = base / f'Ebay_{split}.txt'
        rows = table(path, 4, header=1)
        class_id = rows.integers(1)
        names = {number: f'{printable(row[3].split("_final")[0])}_{number}'
                 for number, row in zip(class_id.tolist(), rows)}
        parts.append(Part(rows.paths(3, prefix), class_id, names, super_label=rows.integers(2)))
        lists.append(path)
    return Parsed(*parts, lists=lists)


BENCHMARK = Benchmark(
    title='Stanford Online Products',
    protocols={'sop': 'zero-shot'},
    aliases=dict.fromkeys(('ebay', 'EbayInClass', 'EbayCrossClass', 'Stanford', 'StanfordOnlineProducts',
                           'Stanford_Online_Products', 'online_products', 'products'), 'sop'),
    read=read,
    sources=((Archive(
        'Stanford_Online_Products.zip',
        ('http://ftp.cs.stanford.edu/cs/cvgl/Stanford_Online_Products.zip',
         'https://drive.usercontent.google.com/download?id=1TclrpQOF_ullUP99wk_gjGN8pKvtErG8&export=download'
         '&confirm=t'),
        ('md5:7f73d41a2f44250d4779881525aea32e',)),),),
    counts=counts('sop', 'Heated-Up Softmax paper', train={'images': 59551, 'classes': 11318},
                  test={'images': 60502, 'classes': 11316}),
    manual='Stanford_Online_Products.zip (2.9 GB), also at ftp://cs.stanford.edu/cs/cvgl/.',
)
