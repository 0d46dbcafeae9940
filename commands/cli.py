"""The commands and what is printed about them."""

import difflib
import importlib
import json

from commands import layers, originals
from commands.parser import fold, parser_of
from core.errors import UserError

USAGE = """gluon-dml: train and evaluate deep-metric-learning networks.

    python3 main.py --loss=hphn_triplet --n_inner_pts=2        train on the built-in letters
    python3 main.py --loss=margin --help                       flags of one loss
    python3 main.py evaluate --checkpoint=RUN                  score a run again
    python3 main.py prepare --data_name=cub200                 fetch and verify a benchmark
    python3 main.py report RUN [RUN ...]                       table and page of several runs
"""

# name -> one line of help. The module commands/NAME.py has run(args) -> exit status and, unless NAME is in LAYERED,
# add_args(parser).
COMMANDS = {
    'train': 'train a network and score it (the default command)',
    'evaluate': 'score a run again, or embeddings from a file',
    'embed': 'write embeddings of a data set',
    'prepare': 'download, verify and unpack a benchmark data set',
    'launch': 'train with several processes, on this machine or on several',
    'report': 'one page and one table of several runs',
}
LAYERED = ('train', 'evaluate', 'embed')


def parse(argv):
    """argv -> (name of the command, args)."""
    argv = originals.translate(fold(argv), layers.own_flags())
    command = argv.pop(0) if argv and not argv[0].startswith('-') else 'train'
    if command not in COMMANDS:
        close = difflib.get_close_matches(command, COMMANDS, n=1)
        raise UserError('{} is not a command.{} Commands: {}'.format(
            command, f' Did you mean {close[0]}?' if close else '', ', '.join(COMMANDS)))
    if command in LAYERED:
        return command, layers.parse(command, argv, USAGE if command == 'train' else COMMANDS[command])
    parser = parser_of(command, COMMANDS[command])
    importlib.import_module('commands.' + command).add_args(parser)
    return command, parser.strict(argv)


def run(argv):
    """Parse and run; returns the exit status."""
    command, args = parse(argv)
    if getattr(args, 'dry_run', False):
        print(json.dumps(vars(args), indent=1, sort_keys=True, default=str))
        return 0
    return importlib.import_module('commands.' + command).run(args) or 0
