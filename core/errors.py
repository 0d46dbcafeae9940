"""Errors that a user can act on."""

import difflib


def fold(name):
    """A name as it is compared: lower case, `-` as `_`.

    >>> fold('CUB-200-2011')
    'cub_200_2011'
    """
    return str(name).lower().replace('-', '_')


class UserError(ValueError):
    """Bad input. main.py prints the message alone, without a traceback, and exits with status 2."""


def pick(kind, name, table):
    """table[name], or a UserError that lists close matches and every legal name; see pick_name."""
    return table[pick_name(kind, name, table)]


def pick_name(kind, name, table):
    """The key of `table` that `name` means, or a UserError that lists close matches and every legal name.

    `-` and `_` are equal and case does not matter. `kind` is the flag or thing that was asked for, as in `--loss`.
    """
    folded = {fold(key): key for key in table}
    key = folded.get(fold(name))
    if key is not None:
        return key
    close = difflib.get_close_matches(fold(name), folded, n=3, cutoff=0.5)
    hint = ' Did you mean {}?'.format(' or '.join(folded[c] for c in close)) if close else ''
    legal = sorted(table)
    shown = ', '.join(legal) if len(legal) <= 60 else ', '.join(legal[:60]) + f', ... ({len(legal)} names)'
    raise UserError(f'{kind}={name} is unknown.{hint} Legal values: {shown}')
