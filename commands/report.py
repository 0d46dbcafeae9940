"""`python3 main.py report`: one page and one table of several runs."""

from evaluation.report import add_args, run

__all__ = ['add_args', 'run']
