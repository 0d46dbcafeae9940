"""Networks: a trunk by name, a head by the criterion's wish, and the preprocessing that belongs to the weights."""

import importlib

from models import registry
from models.flags import NAME_FLAGS, add_args, from_args

_HOMES = {'EmbeddingNet': 'models.embedding', 'build': 'models.assembly', 'load_network': 'models.assembly',
          'Embedder': 'models.loading', 'load': 'models.loading'}
__all__ = ['Embedder', 'EmbeddingNet', 'NAME_FLAGS', 'add_args', 'build', 'from_args', 'load', 'load_network',
           'registry']


def __getattr__(name):
    """What needs MXNet is imported when it is asked for, so that flags are read without it."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
