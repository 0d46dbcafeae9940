"""In-shop Clothes Retrieval of DeepFashion (Liu et al. 2016): train, and query against gallery."""

import numpy as np

from core.text import printable
from datasets.benchmarks.base import Archive, Benchmark, Parsed, Part, counts
from datasets.benchmarks.lists import Missing, Rows, find, table


def read(root, name):
    """list_eval_partition.txt: two header lines, then `image item train|query|gallery`.

    Boxes come from list_bbox_inshop.txt (last four numbers x1 y1 x2 y2); an image without one gets 0,0,256,256 as in
    the original DeepEmbedding code. super_label is img/<sex>/<category>, which that code calls the type.
    """
    partition = find(root, 'Eval/list_eval_partition.txt', 'list_eval_partition.txt', 'Anno/list_eval_partition.txt')
    box_list = find(root, 'Anno/list_bbox_inshop.txt', 'list_bbox_inshop.txt')
    image_root(root)
    rows = table(partition, 3, header=2)
    for k, row in enumerate(rows):
        if row[2] not in ('train', 'query', 'gallery') or not row[1].startswith('id_'):
            raise rows.error(k, f'{printable(" ".join(row))!r} is not `image id_NUMBER train|query|gallery`')
    listed, boxes = table(box_list, 2, header=2), {}
    for k, row in enumerate(listed):
        corners = row[1].split()[-4:]
        if len(corners) < 4:
            raise listed.error(k, 'four numbers x1 y1 x2 y2 are expected at the end')
        boxes[row[0]] = corners, listed.lines[k]
    found = [boxes.get(row[0], (('0', '0', '256', '256'), 0)) for row in rows]
    corners = Rows([box for box, _ in found], box_list, [line for _, line in found]).floats(0, 1, 2, 3)
    corners[:, 2:] -= corners[:, :2]
    types = ['/'.join(row[0].split('/')[1:3]) for row in rows]
    _, super_label = np.unique(types, return_inverse=True)
    prefix = '' if (root / 'img').is_dir() else 'Img/'
    class_id = Rows([[row[1][3:]] for row in rows], partition, rows.lines).integers(0)
    whole = Part(rows.paths(0, prefix), class_id,
                 dict(zip(class_id.tolist(), (printable(row[1]) for row in rows))),
                 np.array([row[2] == 'query' for row in rows]), corners,
                 super_label.astype(np.int64))
    is_train = np.array([row[2] == 'train' for row in rows])
    train, test = whole.take(is_train), whole.take(~is_train)
    train.query = None
    return Parsed(train, test, lists=[partition, box_list])


def image_root(root):
    """img is the benchmark's 256 x 256 corpus; img_highres holds other pixels under the same names."""
    try:
        return find(root, 'img', 'Img/img')
    except Missing:
        if any((root / name).exists() for name in ('img_highres', 'Img/img_highres')):
            raise Missing(f'{root} holds img_highres, whose pixels differ from the benchmark\'s: results would not be '
                          'comparable. Fix: unpack img.zip beside it') from None
        raise


BENCHMARK = Benchmark(
    title='In-shop Clothes Retrieval (DeepFashion)',
    protocols={'inshop': 'query-gallery'},
    aliases=dict.fromkeys(('DeepFashionInClass', 'DeepFashionCrossClass', 'DeepFashion', 'DeepInShop', 'in_shop',
                           'inshop_clothes', 'InShopRetrieval'), 'inshop'),
    read=read,
    sources=((Archive('img.zip'),
              Archive('list_eval_partition.txt', unpack=False, into='Eval'),
              Archive('list_bbox_inshop.txt', unpack=False, into='Anno')),),
    counts=counts('inshop', 'Deep_Metric README of bnu-wangxun; RaMBO paper', train={'images': 25882, 'classes': 3997},
                  test={'classes': 3985, 'query': 14218, 'gallery': 12612}),
    manual='Open http://mmlab.ie.cuhk.edu.hk/projects/DeepFashion/InShopRetrieval.html, ask for access and fetch '
           'Img/img.zip (256 x 256 pictures; not img_highres.zip), Eval/list_eval_partition.txt and '
           'Anno/list_bbox_inshop.txt. No checksum is published: the counts are checked instead.',
)
