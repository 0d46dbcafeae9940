"""`python3 main.py join RUN/embeddings.npz.shards`: one file of embeddings from the shards of `embed --shard=3/8`."""

from commands import shards
from core.flags import path
from core.text import count


def add_args(parser):
    """Declare the flags of the command."""
    parser.add_argument('folder', metavar='FOLDER', help='FILE.npz.shards, which holds the shards')
    parser.add_argument('--output', default='', metavar='FILE', help='.npz or .npy file; empty: FOLDER without .shards')


def run(args):
    """Join; returns the exit status."""
    folder = path(args.folder)
    images, files = shards.join(folder, args.output or folder.removesuffix('/').removesuffix('.shards'))
    print(f'{count(images, "embedding")} -> {files}')
    return 0
