"""Types of command-line values."""

import argparse


def boolean(text):
    """True for true/t/yes/y/1, False for false/f/no/n/0, in any case."""
    word = str(text).lower()
    if word in ('true', 't', 'yes', 'y', '1'):
        return True
    if word in ('false', 'f', 'no', 'n', '0'):
        return False
    raise argparse.ArgumentTypeError('{!r} is not a boolean: use true or false'.format(text))


def _numbers(kind, name):
    def parse(text):
        try:
            return [kind(part) for part in str(text).replace(' ', '').split(',') if part]
        except ValueError:
            raise argparse.ArgumentTypeError(
                '{!r} is not a comma-separated list of {}, such as 1,2,4'.format(text, name)) from None
    return parse


ints = _numbers(int, 'whole numbers')
floats = _numbers(float, 'numbers')


def bounded(kind, low=None, high=None):
    """A number of type `kind` with low <= number <= high (None: no bound)."""
    def parse(text):
        try:
            number = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError('{!r} is not a {}'.format(text, kind.__name__)) from None
        if (low is not None and number < low) or (high is not None and number > high) or number != number:
            span = 'at least {}'.format(low) if high is None else 'from {} to {}'.format(low, high)
            raise argparse.ArgumentTypeError('{} is out of range: must be {}'.format(text, span))
        return number
    return parse
