"""How sure a figure is: means over seeds with their intervals, and differences between two methods, seed by seed."""

from __future__ import annotations

import math
from collections import namedtuple

import numpy as np

from core.errors import UserError
from core.lazy import lazy

stats = lazy('scipy.stats')

Interval = namedtuple('Interval', 'mean low high n')
Interval.__doc__ = """Mean of n values and its confidence interval; low and high are NaN for a single value."""

Paired = namedtuple('Paired', 'mean low high n p')
Paired.__doc__ = """Mean difference of n pairs, its confidence interval and the p-value of the paired t-test."""


def mean_interval(values, confidence: float = 0.95) -> Interval:
    """Mean over seeds with Student's t interval.

    Parameters
    ----------
    values : numbers (n,), one figure a seed
    confidence : share of intervals that hold the true mean

    Returns
    -------
    Interval

    Raises
    ------
    UserError : no value, or one that is not finite

    Example
    -------
    >>> one = mean_interval([0.38, 0.40, 0.37])
    >>> round(one.mean, 4), round(one.low, 4), round(one.high, 4), one.n
    (0.3833, 0.3454, 0.4213, 3)
    """
    values = np.asarray(values, dtype=np.float64).reshape(-1)
    if not len(values) or not np.isfinite(values).all():
        raise UserError(f'an interval needs finite numbers, got {values.tolist()}')
    mean, n = float(values.mean()), len(values)
    if n == 1:
        return Interval(mean, math.nan, math.nan, 1)
    half = float(stats.t.ppf(0.5 + confidence / 2, n - 1) * values.std(ddof=1) / math.sqrt(n))
    return Interval(mean, mean - half, mean + half, n)


def paired_difference(ours, theirs, confidence: float = 0.95) -> Paired:
    """Mean of ours - theirs over the same seeds, with its interval and the paired t-test.

    Parameters
    ----------
    ours, theirs : numbers (n,) in the same order of seeds

    Returns
    -------
    Paired

    Raises
    ------
    UserError : different lengths, no value, or one that is not finite

    Example
    -------
    >>> found = paired_difference([0.39, 0.41, 0.40], [0.37, 0.40, 0.38])
    >>> round(found.mean, 4), found.low > 0, round(found.p, 3)
    (0.0167, True, 0.038)
    """
    ours, theirs = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    if ours.shape != theirs.shape:
        raise UserError(f'a paired comparison needs the same seeds on both sides, got {ours.size} and {theirs.size} '
                        'values')
    found = mean_interval(ours - theirs, confidence)
    error = float(np.std(ours - theirs, ddof=1)) / math.sqrt(found.n) if found.n > 1 else math.nan
    if error == 0:      # the same difference at every seed
        return Paired(*found, 1.0 if found.mean == 0 else 0.0)
    return Paired(*found, float(2 * stats.t.sf(abs(found.mean) / error, found.n - 1)))


def verdict(difference: Paired) -> str:
    """'holds', 'does not hold' or 'undecided': whether an expected gain (ours above theirs) was found.

    Example
    -------
    >>> verdict(Paired(0.02, 0.01, 0.03, 5, 0.01)), verdict(Paired(0.0, -0.01, 0.01, 5, 1.0))
    ('holds', 'undecided')
    """
    if difference.low > 0:
        return 'holds'
    return 'does not hold' if difference.high < 0 else 'undecided'
