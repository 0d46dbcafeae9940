"""Command lines as lists of words: written from settings, with paths that hold wherever the program runs."""

import hashlib
import os

from core.flags import path

PATHS = ('data_dir', 'data_path', 'store_dir', 'save_dir', 'archive', 'pretrained', 'split', 'resume')


def plain(value):
    """A flag's value as it is typed: True -> 'true', [1, 2] -> '1,2'."""
    if isinstance(value, (list, tuple)):
        return ','.join(map(plain, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def words_of(settings, more=()):
    """{flag: value} -> ['--flag=value', ...], then `more`, which wins."""
    return [f'--{key}={plain(value)}' for key, value in settings.items()] + list(more)


def flag_of(word):
    """'--data-dir=x' -> 'data_dir'."""
    return word.lstrip('-').partition('=')[0].replace('-', '_')


def short_name(name, longest=180):
    """A name of a folder that every file system takes: a long one ends in a digest of the whole.

    >>> short_name('margin,lr=0.1'), short_name('x' * 300)[-12:]
    ('margin,lr=0.1', 'xxx-0d4e2ca9')
    """
    whole = os.fsencode(name)
    if len(whole) <= longest:
        return name
    return f"{whole[:longest - 9].decode(errors='ignore')}-{hashlib.sha256(whole).hexdigest()[:8]}"


def join_values(words, switches=(), names=()):
    """['--epochs', '3'] -> ['--epochs=3']: a word without dashes belongs to the flag before it, unless that flag has a
    value or is one of `switches`, or the word is one of `names`."""
    joined = []
    for word in words:
        before = joined[-1] if joined else ''
        if (before.startswith('-') and '=' not in before and flag_of(before) not in switches
                and not word.startswith('-') and word not in names):
            joined[-1] = f'{before}={word}'
        else:
            joined.append(word)
    return joined


def absolute(words):
    """Words with the paths made absolute, against the present folder; --split=classes and --pretrained=true stay."""
    def whole(word):
        flag, equals, value = word.partition('=')
        name = flag_of(word)
        if not value or name not in PATHS or (name in ('pretrained', 'split') and not os.path.exists(value)):
            return word
        return f'{flag}={path(value)}'
    return [whole(word) for word in join_values(words)]
