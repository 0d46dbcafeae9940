"""Types of command-line values."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable
from typing import Any


def boolean(text: Any) -> bool:
    """True for true/t/yes/y/1, False for false/f/no/n/0, in any case."""
    word = str(text).lower()
    if word in ('true', 't', 'yes', 'y', '1'):
        return True
    if word in ('false', 'f', 'no', 'n', '0'):
        return False
    raise argparse.ArgumentTypeError('neither true nor false')


boolean.legal = 'true, false'


def _numbers(kind, name):
    def parse(text):
        try:
            numbers = [kind(part) for part in str(text).replace(' ', '').split(',') if part]
            if not all(map(math.isfinite, numbers)):
                raise ValueError
            return numbers
        except ValueError:
            raise argparse.ArgumentTypeError(f'not a list of {name}') from None
    parse.legal = f'{name} with commas between them, such as 1,2,4'
    return parse


ints = _numbers(int, 'whole numbers')
floats = _numbers(float, 'numbers')


def bounded(kind: type, low: float | None = None, high: float | None = None) -> Callable[[str], Any]:
    """The type of a flag: a finite number of type `kind` with low <= number <= high (None: no bound).

    Example
    -------
    >>> bounded(float, 0)('1e-4')
    0.0001
    >>> bounded(float)('inf')
    Traceback (most recent call last):
    argparse.ArgumentTypeError: not a finite number
    """
    def parse(text):
        try:
            number = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f'not a {name}') from None
        if not math.isfinite(number):
            raise argparse.ArgumentTypeError('not a finite number')
        if (low is not None and number < low) or (high is not None and number > high):
            raise argparse.ArgumentTypeError('out of range')
        return number

    name = 'whole number' if kind is int else 'number'
    parse.legal = f'{name}s' + ('' if low is None else f' from {low}') + ('' if high is None else f' to {high}')
    return parse


def path(text: str) -> str:
    """The type of a flag that names a file or folder: absolute, `~` is the home folder; empty stays empty.

    Example
    -------
    >>> path('~/photos') == os.path.expanduser('~') + '/photos', path('')
    (True, '')
    """
    return os.path.abspath(os.path.expanduser(text)) if text else ''


def switch(group: argparse._ActionsContainer, *names: str, default: bool = False, help: str = '',
           **options) -> argparse.Action:
    """Declare a boolean flag: `--name` alone is true, and `--name=true`, `--name=false` say it in full.

    Parameters
    ----------
    group : argparse parser or argument group
    names : option strings, such as '--nmi'
    default : bool
    help : str
    options : for add_argument, such as dest

    Example
    -------
    >>> parser = argparse.ArgumentParser()
    >>> _ = switch(parser, '--nmi', default=False, help='also score NMI')
    >>> [parser.parse_args(words).nmi for words in ([], ['--nmi'], ['--nmi=no'])]
    [False, True, False]
    """
    return group.add_argument(*names, type=boolean, nargs='?', const=True, default=default, metavar='true|false',
                              help=help, **options)
