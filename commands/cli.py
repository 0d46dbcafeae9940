"""The command line: which flags exist for what was chosen, and which values they take.

Defaults are layered: declared default < the loss's paper (recipes/) < the data set's preset < the run that is
resumed or evaluated < what the user typed.
"""

import argparse
import difflib
import json
import pathlib

import datasets
import evaluation
import losses
import models
import recipes
import samplers
from commands import session as jobs
from core.errors import UserError, pick_name
from engine import checkpoint
from engine import run as runs

COMMANDS = {
    'train': (jobs.train, 'train a network and score it (the default command)'),
    'evaluate': (jobs.evaluate, 'score a run again, or embeddings from a file'),
    'embed': (jobs.embed, 'write embeddings of a data set'),
    'prepare': (jobs.prepare, 'download, verify and unpack a benchmark data set'),
    'report': (jobs.report, 'one page and one table of several runs'),
}


class Parser(argparse.ArgumentParser):
    """argparse with errors that name the legal flags and close matches."""

    def error(self, message):
        raise UserError('{}. Help: python3 main.py {} --help'.format(message, self.prog[len('main.py '):]))

    def strict(self, argv):
        """Parse; an unknown flag is an error."""
        args, extra = self.parse_known_args(argv)
        if not extra:
            return args
        spellings = [[text for text in action.option_strings if text.startswith('--')] for action in self._actions]
        legal = sorted(texts[0] for texts in spellings if texts)
        word = extra[0].split('=')[0]
        close = difflib.get_close_matches(word, sum(spellings, []), n=3, cutoff=0.6)
        owners = ['--loss=' + name for name, loss in losses.LOSSES.items() if word in flags_of(loss.add_args)]
        owners += ['--sampler=' + name for name, sampler in samplers.SAMPLERS.items()
                   if word in flags_of(sampler.add_args)]
        raise UserError('{} is not a flag here.{}{} Legal flags: {}'.format(
            extra[0], ' Did you mean {}?'.format(' or '.join(close)) if close else '',
            ' It belongs to {}.'.format(', '.join(owners)) if owners else '', ' '.join(legal)))


def flags_of(add_args):
    """Option strings that an add_args function declares."""
    parser = argparse.ArgumentParser(add_help=False, conflict_handler='resolve')
    add_args(parser)
    return {text for action in parser._actions for text in action.option_strings}


def fold(argv):
    """`--n-inner-pts=2` -> `--n_inner_pts=2`: in flag names `-` and `_` are equal."""
    folded = []
    for word in argv:
        name, equals, value = word.partition('=')
        folded.append(name[:2] + name[2:].replace('-', '_') + equals + value if name.startswith('--') else word)
    return folded


def peek(argv, *names, default=''):
    """Value of a flag before the full parser exists (the last one wins); `names` are its spellings."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument(*['--' + name for name in names], dest='value', default=default)
    try:
        return parser.parse_known_args(argv)[0].value
    except SystemExit:
        raise UserError(f'--{names[0]} needs a value') from None


def training_parser(argv, base):
    """Parser of train for the loss, sampler and data set that argv chooses.

    base : dict of flags of the run that is continued or evaluated, {} for a new one
    """
    loss = pick_name('--loss', peek(argv, 'loss', default=base.get('loss', 'hphn_triplet')), losses.LOSSES)
    criterion = losses.LOSSES[loss]
    sampler_name = pick_name('--sampler', peek(argv, 'sampler', default=base.get('sampler', criterion.sampler)),
                             samplers.SAMPLERS)
    sampler = samplers.SAMPLERS[sampler_name]
    data_name = peek(argv, *datasets.NAME_FLAGS, default=base.get('data_name') or datasets.default_name(argv))
    parser = parser_of('train')
    commands = parser.add_argument_group('command')
    commands.add_argument('--dry_run', action='store_true', help='print the resolved flags as JSON and stop')
    commands.add_argument('--resume', default='', metavar='RUN', help='continue the run in this folder')
    for title, declare in (('losses', losses.add_args), ('losses: ' + criterion.__name__, criterion.add_args),
                           ('samplers', samplers.add_args), ('samplers: ' + sampler.__name__, sampler.add_args),
                           ('datasets', datasets.add_args), ('models', models.add_args),
                           ('engine: training', runs.add_args), ('engine: device', runs.add_device_args),
                           ('engine: output', runs.add_output_args), ('evaluation', evaluation.add_args)):
        declare(parser.add_argument_group(title))
    parser.set_defaults(**known(parser, recipes.defaults(loss)))
    parser.set_defaults(**known(parser, datasets.preset(data_name, loss)))
    parser.set_defaults(**known(parser, base))
    parser.set_defaults(loss=loss, sampler=sampler_name, data_name=data_name)
    return parser


def checkpoint_parser(argv, base, command):
    """Parser of evaluate and embed: what the network is, and how it was trained, is the run's and no flag."""
    parser = parser_of(command)
    commands = parser.add_argument_group('command')
    commands.add_argument('--dry_run', action='store_true', help='print the resolved flags as JSON and stop')
    commands.add_argument('--checkpoint', default='', metavar='RUN', help='run folder or checkpoint folder')
    commands.add_argument('--which', choices=('best', 'last'), default='last', help='which checkpoint of the run')
    if command == 'embed':
        commands.add_argument('--part', choices=('test', 'train', 'val'), default='test',
                              help='which images: of the test classes, the training classes or those held out of them')
        commands.add_argument('--output', default='', metavar='FILE',
                              help='.npz or .npy file to write; empty: RUN/embeddings.npz, with --part and '
                                   '--data_name in its name where they are others')
        groups = (('datasets', datasets.add_args), ('engine: device', runs.add_device_args))
    else:
        commands.add_argument('--embeddings', default='', metavar='FILE.npz',
                              help='score these instead of a run (arrays embeddings, labels and, if there is, query)')
        groups = (('datasets', datasets.add_args), ('engine: device', runs.add_device_args),
                  ('engine: output', runs.add_output_args), ('evaluation', evaluation.add_args))
    for title, declare in groups:
        declare(parser.add_argument_group(title))
    parser.set_defaults(**vars(training_parser(argv, base).parse_args([])))
    if peek(argv, 'embeddings'):    # figures beside a file of embeddings are for the asking
        parser.set_defaults(figures=False)
    return parser


def parser_of(command):
    """A Parser without flags."""
    return Parser(prog='main.py ' + command, allow_abbrev=False, description=__import__('main').__doc__,
                  formatter_class=Help, conflict_handler='resolve')


def known(parser, values):
    """The part of `values` that the parser has flags for."""
    destinations = {action.dest for action in parser._actions}
    return {key: value for key, value in values.items() if key in destinations}


class Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Help with defaults, and the description as it is written."""


def parse(argv):
    """argv -> (function, args)."""
    argv = fold(argv)
    command = argv.pop(0) if argv and not argv[0].startswith('-') else 'train'
    if command not in COMMANDS:
        close = difflib.get_close_matches(command, COMMANDS, n=1)
        raise UserError('{} is not a command.{} Commands: {}'.format(
            command, f' Did you mean {close[0]}?' if close else '', ', '.join(COMMANDS)))
    function = COMMANDS[command][0]
    if command in ('prepare', 'report'):
        parser = Parser(prog='main.py ' + command, allow_abbrev=False, formatter_class=Help)
        jobs.FLAGS[command](parser)
        return function, parser.strict(argv)
    base, source = {}, peek(argv, 'resume' if command == 'train' else 'checkpoint')
    if source:
        folder = checkpoint.locate(source, peek(argv, 'which', default='last'))
        left_out = {'resume', 'dry_run', 'checkpoint', 'which', 'output', 'argv'}
        if command != 'train':
            left_out |= {'save_dir', 'figures'}
        base = checkpoint.read_args(folder)
        here, there = (datasets.resolve(name) for name in (
            peek(argv, *datasets.NAME_FLAGS, default=base['data_name']), base['data_name']))
        if here != there:
            left_out |= {'data_dir', 'split', 'val_classes', 'store_dir'}    # of the data set that it was trained on
        base = {key: value for key, value in base.items() if key not in left_out}
    parser = training_parser(argv, base) if command == 'train' else checkpoint_parser(argv, base, command)
    args = parser.strict(argv)
    check(args, base, source, command)
    return function, args


def check(args, base, source, command):
    """Refuse combinations that make no sense, with the reason."""
    criterion = losses.get_loss(args.loss)
    args.loss = pick_name('--loss', args.loss, losses.LOSSES)
    args.sampler = pick_name('--sampler', args.sampler, samplers.SAMPLERS)
    if args.sampler not in criterion.samplers:
        raise UserError('--sampler={} does not fit --loss={}: {} Legal samplers: {}'.format(
            args.sampler, args.loss, criterion.sampler_reason, ', '.join(criterion.samplers)))
    if command == 'train' and source:
        args.save_dir = str(pathlib.Path(source))
        for key in ('loss', 'sampler', 'data_name', 'backbone', 'embed_dim', 'seed'):
            if base.get(key) is not None and getattr(args, key, None) != base[key]:
                raise UserError(f'--{key}={getattr(args, key)} differs from the run that is resumed ({base[key]}): '
                                'start a new run instead')


def run(argv):
    """Parse and run; returns the exit status."""
    function, args = parse(argv)
    if getattr(args, 'dry_run', False):
        print(json.dumps(vars(args), indent=1, sort_keys=True, default=str))
        return 0
    return function(args) or 0

