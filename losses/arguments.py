"""Types and groups of flags that several losses share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from core.flags import bounded, switch


def margin_value(*words: str) -> Callable[[str], float | str]:
    """Type of a --margin that is a number from 0 on or one of `words`.

    Example
    -------
    >>> parse = margin_value('soft')
    >>> parse('0.2'), parse('Soft')
    (0.2, 'soft')
    """
    def parse(text):
        if str(text).lower() in words:
            return str(text).lower()
        try:
            return bounded(float, 0.0)(text)
        except argparse.ArgumentTypeError:
            raise argparse.ArgumentTypeError(f'neither a number from 0 nor the word {" or ".join(words)}') from None
    parse.legal = f'numbers from 0, {", ".join(words)}'
    return parse


def add_normalized(group: Any) -> None:
    """--normalized, the switch that the losses of local sampling share."""
    switch(group, '--normalized', help='embeddings of length one')
