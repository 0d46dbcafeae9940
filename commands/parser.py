"""The parser of the command line: `-` and `_` are equal in flag names, and an unknown flag is an error."""

import argparse
import difflib

import losses
import samplers
from core.argparse_internals import actions
from core.errors import UserError


class Parser(argparse.ArgumentParser):
    """argparse with errors that name the legal flags and close matches."""

    def error(self, message):
        raise UserError('{}. Help: python3 main.py {} --help'.format(message, self.prog[len('main.py '):]))

    def strict(self, argv):
        """Parse; an unknown flag is an error."""
        args, extra = self.parse_known_args(argv)
        if not extra:
            return args
        spellings = [[text for text in action.option_strings if text.startswith('--')] for action in actions(self)]
        word = extra[0].split('=')[0]
        close = difflib.get_close_matches(word, sum(spellings, []), n=3, cutoff=0.4)
        owners = ['--loss=' + name for name, loss in losses.LOSSES.items() if word in flags_of(loss.add_args)]
        owners += ['--sampler=' + name for name, sampler in samplers.SAMPLERS.items()
                   if word in flags_of(sampler.add_args)]
        if not word.startswith('-'):
            raise UserError(f'{extra[0]} is not a flag: flags begin with --. Help: python3 {self.prog} --help')
        raise UserError('{} is not a flag here.{}{} Help: python3 {} --help'.format(
            extra[0], ' Did you mean {}?'.format(' or '.join(close)) if close and not owners else '',
            ' It belongs to {}.'.format(', '.join(owners)) if owners else '', self.prog))


class Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Help with defaults, and the description as it is written."""


def parser_of(command, description=''):
    """A Parser without flags."""
    return Parser(prog='main.py ' + command, allow_abbrev=False, description=description,
                  formatter_class=Help, conflict_handler='resolve')


def flags_of(add_args):
    """Option strings that an add_args function declares."""
    parser = argparse.ArgumentParser(add_help=False, conflict_handler='resolve')
    add_args(parser)
    return {text for action in actions(parser) for text in action.option_strings}


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


def known(parser, values):
    """The part of `values` that the parser has flags for."""
    destinations = {action.dest for action in actions(parser)}
    return {key: value for key, value in values.items() if key in destinations}


def positional(argv, flag):
    """`evaluate RUN` -> `evaluate --checkpoint=RUN`: the first or last word, if it is no flag, is the value of `flag`.

    >>> positional(['runs/a', '--metric=cosine'], '--checkpoint')
    ['--checkpoint=runs/a', '--metric=cosine']
    """
    for at in (0, -1):
        before = argv[at - 1] if at and len(argv) > 1 else '='
        if argv and not argv[at].startswith('-') and ('=' in before or not before.startswith('-')):
            word = '--embeddings' if flag == '--checkpoint' and argv[at].endswith(('.npz', '.npy')) else flag
            argv = list(argv)
            argv[at] = f'{word}={argv[at]}'
            break
    return argv
