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
    raise argparse.ArgumentTypeError(f'{text!r} is not a boolean: use true or false')


def _numbers(kind, name):
    def parse(text):
        try:
            numbers = [kind(part) for part in str(text).replace(' ', '').split(',') if part]
            if not all(map(math.isfinite, numbers)):
                raise ValueError
            return numbers
        except ValueError:
            raise argparse.ArgumentTypeError(
                f'{text!r} is not a comma-separated list of {name}, such as 1,2,4') from None
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
    argparse.ArgumentTypeError: 'inf' is not a finite number
    """
    def parse(text):
        try:
            number = kind(text)
        except ValueError:
            name = 'a whole number' if kind is int else 'a number'
            raise argparse.ArgumentTypeError(f'{text!r} is not {name}') from None
        if not math.isfinite(number):
            raise argparse.ArgumentTypeError(f'{text!r} is not a finite number')
        if (low is not None and number < low) or (high is not None and number > high):
            span = f'at least {low}' if high is None else f'from {low} to {high}'
            raise argparse.ArgumentTypeError(f'{text} is out of range: must be {span}')
        return number
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
