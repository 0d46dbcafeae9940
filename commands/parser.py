"""The parser of the command line: `-` and `_` are equal in flag names, and an unknown flag is an error."""

import argparse
import difflib

import losses
import samplers
from commands.words import plain
from core.argparse_internals import actions
from core.errors import UserError


class Parser(argparse.ArgumentParser):
    """argparse with errors that name the flag, its value, the legal ones and the fix."""

    def __init__(self, **options):
        super().__init__(allow_abbrev=False, exit_on_error=False, **options)

    def error(self, message):
        lacking = [one for one in actions(self) if one.required
                   and message.endswith('/'.join(one.option_strings) or str(one.metavar))]
        if lacking:
            name = (lacking[0].option_strings or [lacking[0].metavar])[0]
            message = f'{name} is missing' + (f' ({lacking[0].help})' if lacking[0].help else '')
        raise UserError(f'{message}. Help: python3 {self.prog} --help')

    def parse_known_args(self, args=None, namespace=None):
        """As argparse; UserError for a value that its flag does not take."""
        try:
            return super().parse_known_args(args, namespace)
        except argparse.ArgumentError as error:
            raise UserError(refusal(self, args, error)) from None

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
        hint = f' It belongs to {", ".join(owners)}.' if owners else ''
        if close and not owners:
            hint = f' Did you mean {" or ".join(close)}?'
        raise UserError(f'{extra[0]} is not a flag here.{hint} Help: python3 {self.prog} --help')


class Help(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Help with defaults, and the description as it is written."""


def parser_of(command, description=''):
    """A Parser without flags."""
    return Parser(prog='main.py ' + command, description=description, formatter_class=Help, conflict_handler='resolve')


def refusal(parser, argv, error):
    """The sentence for an argparse.ArgumentError: flag, value, legal values, fix."""
    action = next((one for one in actions(parser) if '/'.join(one.option_strings) == error.argument_name), None)
    if action is None or not action.option_strings:
        return f'{error}. Help: python3 {parser.prog} --help'
    flag, value = next(((flag, value) for flag, value in given(action, argv) if refuses(action, value)),
                       (action.option_strings[0], None))
    if action.nargs == 0:
        return f'{flag}={value}: this flag takes no value. Fix: {flag}'
    legal = ', '.join(map(str, action.choices or ())) or getattr(action.type, 'legal', '')
    default = '' if action.default in (None, '', argparse.SUPPRESS) else f' (default: {plain(action.default)})'
    if value is None:
        problem = f'{flag} needs a value.'
    elif action.choices:
        close = difflib.get_close_matches(value, map(str, action.choices), n=3, cutoff=0.5)
        problem = f'{flag}={value} is unknown.' + (f' Did you mean {" or ".join(close)}?' if close else '')
    else:
        problem = f'{flag}={value}: {error.message}.'
    legal = f' Legal values: {legal}.' if legal else ''
    return f'{problem}{legal} Fix: a legal value, or leave the flag out{default}'


def given(action, argv):
    """(spelling, value or None) of each time that a flag stands in a command line."""
    for word, after in zip(argv, [*argv[1:], None]):
        flag, equals, value = word.partition('=')
        if flag in action.option_strings:
            yield flag, value if equals else after if after and not after.startswith('--') else None


def refuses(action, value):
    """Whether a flag does not take a value."""
    if value is None or action.nargs == 0:
        return True
    try:
        typed = action.type(value) if action.type else value
    except (argparse.ArgumentTypeError, TypeError, ValueError):
        return True
    return bool(action.choices) and typed not in action.choices


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
        raise UserError(f'--{names[0]} needs a value. Fix: --{names[0]}=VALUE') from None


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
