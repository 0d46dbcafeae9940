"""Networks: a trunk by name, a head by the criterion's wish, and the preprocessing that belongs to the weights."""

import importlib

from models.flags import add_args

__all__ = ['EmbeddingNet', 'add_args', 'build', 'load']


def __getattr__(name):
    """What needs MXNet is imported when it is asked for, so that flags are read without it."""
    if name in __all__:
        return getattr(importlib.import_module('models.embedding'), name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
