"""The commands and what is printed about them."""

import argparse
import difflib
import importlib
import os

from commands import layers, originals
from commands.dry_run import dry_run
from commands.parser import fold, parser_of, positional
from core import __version__
from core.errors import UserError
from core.flags import path

USAGE = """gluon-dml: train and evaluate deep-metric-learning networks.

    python3 main.py --loss=hphn_triplet --n_inner_pts=2        train on the built-in letters
    python3 main.py --loss=margin --help                       flags of one loss
    python3 main.py evaluate --checkpoint=RUN                  score a run again
    python3 main.py prepare --data_name=cub200                 fetch and verify a benchmark
    python3 main.py report RUN [RUN ...]                       table and page of several runs
    python3 main.py photos FOLDER                              train on your own photos
    python3 main.py rows cub200 --list                         published rows, their figures and their cost
"""

# name -> one line of help. The module commands/NAME.py has run(args) -> exit status and, unless NAME is in LAYERED or
# FREE, add_args(parser).
COMMANDS = {
    'train': 'train a network and score it (the default command)',
    'evaluate': 'score a run again, or embeddings from a file',
    'embed': 'write embeddings of a data set',
    'join': 'one file of embeddings from the shards of embed --shard=3/8',
    'prepare': 'download, verify and unpack a benchmark data set',
    'launch': 'train with several processes, on this machine or on several',
    'photos': 'train on your own photos, one folder a class, with settings of our own',
    'rows': 'run published rows: prepare, train, score, compare',
    'compare': 'train several losses under equal conditions and compare them, with intervals',
    'evidence': "test the papers' claims on photographs, resumable, with verdicts",
    'reproduce': 'run a row of docs/results.csv again: old | new',
    'report': 'one page and one table of several runs',
    'index': 'embed a folder of photos, to search it',
    'search': 'the indexed photos nearest to a picture',
    'duplicates': 'groups of nearly identical photos of an index',
    'export': 'write a trained network as a file that needs no MXNet (ONNX)',
    'serve': 'a page and an HTTP interface over an index',
}
PATHS = ('data_dir', 'save_dir', 'store_dir', 'output', 'embeddings', 'checkpoint', 'resume', 'archive', 'images',
         'image', 'token_file')
# The flag that a word without one stands for: `search photo.jpg`.
WORD = {'prepare': '--data_name', 'export': '--checkpoint', 'index': '--images', 'search': '--image'}
LAYERED = ('train', 'evaluate', 'embed')
# They read their words themselves, because their flags are those of what the words name.
FREE = ('compare', 'photos', 'rows')


def parse(argv):
    """argv -> (name of the command, args)."""
    argv = fold(argv)
    if argv and argv[0] in FREE:
        return argv[0], argparse.Namespace(words=argv[1:])
    argv = originals.translate(argv, layers.own_flags())
    command = argv.pop(0) if argv and not argv[0].startswith('-') else 'train'
    if command == 'help' and argv:
        command, argv = argv[0], ['--help', *argv[1:]]
    if command not in COMMANDS:
        close = difflib.get_close_matches(command, COMMANDS, n=1)
        hint = f' Did you mean {close[0]}?' if close else ''
        raise UserError(f'{command} is not a command.{hint} Legal values: {", ".join(COMMANDS)}')
    if command in LAYERED:
        return command, settle(layers.parse(command, argv, overview() if command == 'train' else COMMANDS[command]))
    if command in FREE:    # `help rows`
        return command, argparse.Namespace(words=argv)
    parser = parser_of(command, COMMANDS[command])
    importlib.import_module('commands.' + command).add_args(parser)
    return command, settle(parser.strict(positional(argv, WORD[command]) if command in WORD else argv))


def overview():
    """What `help` prints, and `--help` before the flags."""
    width = max(map(len, COMMANDS)) + 2
    return USAGE + '\ncommands (python3 main.py COMMAND --help):\n' + ''.join(
        f'    {name:<{width}}{text}\n' for name, text in COMMANDS.items())


def settle(args):
    """Make every path absolute, as seen from the folder of the caller, so that it holds wherever a run goes on."""
    for name in PATHS:
        value = getattr(args, name, None)
        if isinstance(value, list):
            setattr(args, name, [path(text) for text in value])
        elif isinstance(value, str):
            setattr(args, name, path(value))
    if '://' not in getattr(args, 'index', '://'):      # a folder or a file, not an address
        args.index = path(args.index)
    for name in ('pretrained', 'split'):    # a word, or a file
        value = getattr(args, name, None)
        if isinstance(value, str) and os.path.exists(path(value)) and not value.isidentifier():
            setattr(args, name, path(value))
    return args


def run(argv):
    """Parse and run; returns the exit status."""
    if argv[:1] in (['--version'], ['version']):
        print(f'gluon-dml {__version__}')
        return 0
    if argv[:1] == ['help'] and all(word.startswith('-') for word in argv[1:]):
        print(overview())
        return 0
    command, args = parse(argv)
    if getattr(args, 'dry_run', False):
        print(dry_run(args))
        return 0
    return importlib.import_module('commands.' + command).run(args) or 0
