"""`python3 main.py index`: embed a folder of photos and keep the index up to date."""

from collections import Counter

from commands import search_flags
from core.errors import UserError
from core.flags import bounded
from core.text import printable

LISTED = 20         # unreadable files that are printed


def add_args(parser):
    """Flags of index."""
    group = parser.add_argument_group('index')
    group.add_argument('--images', default='', metavar='FOLDER',
                       help='the photos, in any depth of folders; the folders directly inside name the labels. Empty: '
                            'those that the index was made from')
    search_flags.add_index_args(group)
    group.add_argument('--backend', choices=('flat', 'ivfpq', 'hnsw'),
                       help='how it is searched: flat: exact, the default; hnsw: faster above 100,000 images; ivfpq: '
                            'small in memory, for millions. What is reached is printed as recall@10')
    group.add_argument('--recall', type=bounded(float, 0, 1), metavar='R',
                       help='recall@10 that hnsw and ivfpq are tuned to; default: that of before, 0.95 for a new index')
    group.add_argument('--batch_size', type=bounded(int, 1, 1024), default=32, metavar='N', help='images at a time')
    group.add_argument('--num_workers', type=bounded(int, 1, 64), default=2, metavar='N', help='threads that read')
    search_flags.add_model_args(parser.add_argument_group('model'))


def run(args):
    """Make or update the index."""
    from datasets.summary import counted
    from serving import photos
    from serving.index import open_index, read_about, update
    about = read_about(args.index) or {}
    images = args.images or about.get('root')
    if not images:
        raise UserError('--images is empty. Fix: the folder of photos, --images=FOLDER')
    if not args.images:
        print(f'photos: {images}')
    ignored = Counter()
    files = photos.scan(images, ignored)         # before anything is made: a mistyped folder leaves nothing behind
    if ignored:
        print('ignored: ' + ', '.join(counted(ignored)))
    encoder, source = search_flags.open_encoder(args, about.get('source'))
    index = open_index(args.index, encoder, images, source, write=True, backend=args.backend, recall=args.recall)
    try:
        if index.lost:
            print(f'note: {index.lost} images had lost their vectors and are embedded again')
        try:
            report = update(index, encoder, images, args.batch_size, args.num_workers, search_flags.bar('images'),
                            files)
        except KeyboardInterrupt:
            print(f'\nstopped: {len(index):,} images are indexed and safe. The same command goes on')
            return 130
        print(f'{report.added:,} new, {report.changed:,} changed, {report.vanished:,} vanished, {report.unchanged:,} '
              f'unchanged, {len(report.bad):,} unreadable')
        for path, reason in report.bad[:LISTED]:
            print(f'  left out: {printable(path)}: {reason}')
        if len(report.bad) > LISTED:
            print(f'  and {len(report.bad) - LISTED:,} more')
        if not len(index):
            raise UserError(f'--images={images}: not one picture could be read. Fix: another folder')
        print(index.prepare())
        print(f'-> {args.index}   next: python3 main.py serve --index={args.index}')
    finally:
        index.close()
    return 0
