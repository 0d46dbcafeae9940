"""Text that came from outside, made fit for a terminal, a table and a page."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

# control characters, bytes that are not UTF-8 (lone surrogates), and marks that turn the direction of writing
UNFIT = re.compile('[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]')


def printable(text: Any) -> str:
    r"""One line that any terminal shows as it is: what could steer it, or is no text, is spelled out.

    Parameters
    ----------
    text : str, such as the name of a file or a class

    Returns
    -------
    str without control characters, line feeds and bytes that are not UTF-8

    Example
    -------
    >>> printable('caf\xe9 \x1b[31mred\n'), printable('\udcff.jpg')
    ('café \\x1b[31mred\\n', '\\xff.jpg')
    """
    return UNFIT.sub(_spelled_out, str(text))


def class_name(text: Any) -> str:
    """The name of a class however it was typed: without blanks around it, its letters composed (an archive from a Mac
    holds e and its accent apart, which looks the same).

    Example
    -------
    >>> class_name('x '), class_name('cafe\u0301') == class_name('caf\u00e9')
    ('x', True)
    """
    return unicodedata.normalize('NFC', str(text)).strip() or str(text)


def _spelled_out(match):
    character = match.group()
    if '\udc80' <= character <= '\udcff':       # a byte that Python kept aside, see PEP 383
        return f'\\x{ord(character) - 0xdc00:02x}'
    return character.encode('unicode_escape').decode('ascii')


def count(number: int, noun: str, plural: str = '') -> str:
    """A number with its noun: '1 image', '2,000 images'.

    Parameters
    ----------
    number : int
    noun : str, in the singular
    plural : str, where it is not noun + 's'

    Example
    -------
    >>> count(1, 'image'), count(2000, 'image'), count(0, 'class', 'classes')
    ('1 image', '2,000 images', '0 classes')
    """
    return f'{number:,} {noun if number == 1 else plural or noun + "s"}'
