"""`main.py prepare`: bring a benchmark to its folder."""

from core.flags import bounded, switch
from datasets import benchmarks, cut_to_boxes, store
from datasets.preparation.prepare import prepare
from datasets.transforms import TRANSFORMS


def add_args(group):
    """Flags of `prepare`."""
    group.add_argument('--data_name', '--dataset', '--data', '--db_name', dest='data_name', required=True,
                       metavar='NAME', help=f'benchmark: {", ".join(sorted(benchmarks.BENCHMARKS))}')
    group.add_argument('--data_dir', '--data_path', dest='data_dir', default='', metavar='DIR',
                       help='folder that its files go to, or where they are; empty: data/NAME')
    group.add_argument('--archive', action='append', default=[], metavar='FILE',
                       help='an archive or list that you have already, anywhere; may be given several times')
    switch(group, '--keep_archives', default=True, help='false: remove a downloaded archive once it is unpacked')
    switch(group, '--check', help='decode every image and look for duplicates, above all across the train/test border')
    switch(group, '--crop_box', help='with --cache=store: keep the images cut to their bounding boxes')
    group.add_argument('--num_workers', type=bounded(int, 1), default=None,
                       help='threads that decode; default: one for each processor')
    group.add_argument('--transform', default='embedding_expansion', metavar='NAME',
                       help=f'with --cache=store: the transform that the store is for: {", ".join(sorted(TRANSFORMS))}')
    group.add_argument('--image_size', '--frame_size', '--img_size', dest='image_size', type=bounded(int, 1),
                       default=227, help='with --cache=store: the picture size that the store is for')
    store.add_args(group)


def run(args):
    """`prepare --data_name=NAME`. Returns the exit status."""
    data = prepare(args.data_name, args.data_dir or None, archive=args.archive, keep_archives=args.keep_archives,
                   verify=args.check, threads=args.num_workers)
    if args.crop_box:
        cut_to_boxes(data)
    if args.cache == 'store':
        store.attach(data, args.transform, args.image_size, **store.options(args))
    return 0


def ensure(args):
    """What --prepare of a training command does: prepare the benchmark that args names, if it names one."""
    if benchmarks.find(args.data_name):
        prepare(args.data_name, args.data_dir or None, archive=args.archive or [])
