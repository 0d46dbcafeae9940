"""Modules that are imported when they are first used, so that a command that needs none of them starts at once."""

from __future__ import annotations

import functools
import importlib
import types
from collections.abc import Callable

from core.errors import UserError, missing


class Lazy(types.ModuleType):
    """A module in name; the first use of an attribute calls `load`, and every use goes to the module it returned.

    Parameters
    ----------
    name : str, the dotted name
    load : function without arguments -> the module
    """

    def __init__(self, name: str, load: Callable[[], types.ModuleType]):
        super().__init__(name, 'A module that is imported when it is first used.')
        self.__dict__['_load'] = functools.lru_cache(maxsize=1)(load)

    def __getattr__(self, attribute):
        if attribute.startswith('__') and attribute != '__version__':
            raise AttributeError(attribute)    # doctest, inspect and copy ask every module for such names
        return getattr(self._load(), attribute)

    def __setattr__(self, attribute, value):
        setattr(self._load(), attribute, value)

    def __delattr__(self, attribute):
        delattr(self._load(), attribute)


def lazy(name: str) -> Lazy:
    """The module called `name`, imported when it is first used.

    Parameters
    ----------
    name : str, dotted name of a module of another project, such as 'sklearn.metrics'

    Raises
    ------
    UserError : at the first use, when it is not installed

    Example
    -------
    >>> lazy('colorsys').rgb_to_hsv(1, 0, 0)
    (0.0, 1.0, 1)
    >>> lazy('nowhere').anything
    Traceback (most recent call last):
    core.errors.UserError: the package nowhere is not installed. Fix: bash scripts/setup.sh
    """
    def load():
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            raise UserError(missing(error.name or name)) from error
    return Lazy(name, load)
