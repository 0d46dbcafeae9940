"""What argparse has no public name for. Every use of a private member of argparse stands in this file."""

from __future__ import annotations

import argparse


def actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """The declared flags, in the order of their declaration.

    Example
    -------
    >>> parser = argparse.ArgumentParser(add_help=False)
    >>> _ = parser.add_argument('--lr', '--learning_rate')
    >>> [action.option_strings for action in actions(parser)]
    [['--lr', '--learning_rate']]
    """
    return list(parser._actions)


def action_of(parser: argparse.ArgumentParser, option: str) -> argparse.Action | None:
    """The declared flag with this spelling, such as '--lr'; None if there is none."""
    return parser._option_string_actions.get(option)
