"""`python3 main.py duplicates`: groups of nearly identical photos."""

from commands import search_flags
from core.files import check_writable
from core.flags import bounded
from core.text import printable

SHOWN = 12          # groups on the panel


def add_args(parser):
    """Flags of duplicates."""
    from serving.duplicates import NEAR
    group = parser.add_argument_group('duplicates')
    search_flags.add_index_args(group)
    group.add_argument('--max_distance', type=search_flags.distance, default=NEAR, metavar='X',
                       help='photos at most this far from each other belong together; between vectors of length one '
                            'distances go from 0 to 2')
    search_flags.add_filter_args(group)
    group.add_argument('--groups', type=bounded(int, 1), default=100, metavar='N', help='how many groups to list')
    group.add_argument('--output', default='duplicates.png', metavar='FILE', help='picture of them; empty: none')


def run(args):
    """Print the groups and draw them."""
    import pathlib

    from serving import search
    from serving.duplicates import groups
    from serving.index import open_index
    if args.output:
        check_writable(args.output, '--output')
    index = open_index(args.index)
    try:
        search.known_labels(index, args.label)
        found = groups(index, args.max_distance, args.label, args.groups, progress=search_flags.bar('images'))
        root = pathlib.Path(index.about['root'])
        for number, group in enumerate(found, 1):
            print(f'group {number}: {len(group.hits)} photos, distance {group.widest:.4f}')
            for hit in group.hits:
                print(f'  {hit.distance:.4f}  {printable(root / hit.path)}')
        print(f'{len(found)} groups within {args.max_distance:g}')
        if found and args.output:
            rows = [[search.cell(index, hit, hit.path) for hit in group.hits[:18]] for group in found[:SHOWN]]
            print(f'-> {search.panel(rows, args.output)[0]}')
    finally:
        index.close()
    return 0
