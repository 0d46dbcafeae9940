"""Fonts that have the letters of class names, and names as they stand on figures."""

from __future__ import annotations

import contextlib
import functools
import sys
import warnings

from core.lazy import lazy
from core.text import printable

font_manager = lazy('matplotlib.font_manager')
ft2font = lazy('matplotlib.ft2font')
mtext = lazy('matplotlib.text')

FIRST = 'DejaVu Sans'    # matplotlib brings it along; it has Latin, Greek, Cyrillic, Arabic and more, no CJK
PREFERRED = ('cjk', 'noto', 'wenquanyi', 'droid', 'takao', 'ipa', 'nanum', 'unifont', 'dejavu')


@functools.lru_cache(maxsize=64)
def _letters(path):
    """The set of code points that a font file has."""
    try:
        return frozenset(ft2font.FT2Font(path).get_charmap())
    except (OSError, RuntimeError):
        return frozenset()


@functools.lru_cache(maxsize=1)
def _installed():
    """[(family, file)] of this machine, those that are likely to have many letters first."""
    found = {entry.name: entry.fname for entry in font_manager.fontManager.ttflist
             if entry.style == 'normal' and 'Last Resort' not in entry.name and    # that one has boxes for everything
              str(entry.weight) in ('400', 'normal', 'regular', 'book', '500', 'medium')}

    def order(item):
        name = item[0].lower()
        return next((i for i, word in enumerate(PREFERRED) if word in name), len(PREFERRED)), name
    return sorted(found.items(), key=order)


def families(text: str) -> list[str]:
    """Families that together have the letters of a text, as far as any installed one does; the first is FIRST.

    Example
    -------
    >>> families('jay')
    ['DejaVu Sans']
    """
    lacking = {ord(letter) for letter in text if not letter.isspace()} - _letters(font_manager.findfont(FIRST))
    chosen = [FIRST]
    for family, path in _installed() if lacking else ():
        if lacking & _letters(path):
            chosen.append(family)
            lacking -= _letters(path)
        if not lacking:
            break
    if lacking:
        _tell(''.join(map(chr, sorted(lacking)[:8])))
    return chosen


@functools.cache
def _tell(letters):
    """Say once which letters will be boxes, and what brings them."""
    print(f'note: no installed font has {printable(letters)}: names are drawn with boxes. Fix: install one, on Debian '
          'and Ubuntu apt-get install fonts-noto-cjk (Chinese, Japanese, Korean) or fonts-unifont (everything), then '
          'remove ~/.cache/matplotlib', file=sys.stderr)


def file_for(text: str) -> str:
    """The font file that has most letters of a text: what PIL draws with takes one file alone."""
    files = dict(_installed())
    paths = [files.get(family) or font_manager.findfont(family) for family in families(text)]
    return max(paths, key=lambda path: sum(ord(letter) in _letters(path) for letter in set(text)))


def fit(figure) -> None:
    """Give every text of a figure fonts that have its letters."""
    for text in figure.findobj(mtext.Text):
        chosen = families(text.get_text())
        if len(chosen) > 1:
            text.set_fontfamily(chosen)


@contextlib.contextmanager
def quiet():
    """Inside, matplotlib does not repeat for each letter what `families` has said."""
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', message='Glyph .* missing from')
        yield
