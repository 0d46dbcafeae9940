"""`python3 main.py search`: the indexed photos that are nearest to a picture."""

import pathlib

from commands import search_flags
from core.errors import UserError
from core.files import check_writable
from core.flags import bounded
from core.text import printable


def add_args(parser):
    """Flags of search."""
    group = parser.add_argument_group('search')
    group.add_argument('--image', default='', metavar='FILE', help='the picture to search with')
    search_flags.add_index_args(group)
    group.add_argument('--k', type=bounded(int, 1, 1000), default=10, metavar='N', help='how many to list')
    search_flags.add_filter_args(group)
    group.add_argument('--max_distance', type=search_flags.distance, metavar='X', help='none farther than this')
    group.add_argument('--output', default='search.png', metavar='FILE',
                       help='picture of the query and what was found; empty: none')
    search_flags.add_model_args(parser.add_argument_group('model'))


def run(args):
    """Print the ranked paths and draw them."""
    from datasets.pictures import BadImage, read_image
    from serving import search
    if not args.image:
        raise UserError('--image is empty. Fix: the picture to search with, --image=FILE')
    try:
        image = read_image(args.image)
    except BadImage as error:    # its own advice is a flag of data sets
        raise UserError(f'--image={printable(args.image)}: {error.reason}. Fix: another picture') from error
    if args.output:
        check_writable(args.output, '--output')
    index, encoder = search_flags.open_with_encoder(args)
    try:
        search.known_labels(index, args.label)
        hits = search.nearest(index, encoder.embed([image])[0], args.k, args.label, args.max_distance)
        root = pathlib.Path(index.about['root'])
        for rank, hit in enumerate(hits, 1):
            print(f'{rank:>4}  {hit.distance:.4f}  {printable(root / hit.path)}')
        if not hits:
            print('nothing is as near' if args.max_distance is not None else 'nothing was found')
        if hits and args.output:
            query = (image, pathlib.Path(args.image).name, 'query')
            files = search.panel([[query] + [search.cell(index, hit) for hit in hits[:12]]], args.output, columns=7)
            print(f'-> {files[0]}')
    finally:
        index.close()
    return 0
