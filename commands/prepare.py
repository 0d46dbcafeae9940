"""`python3 main.py prepare`: download, verify and unpack a benchmark data set."""

from datasets.preparation.prepare import add_args, run

__all__ = ['add_args', 'run']
