"""Intervals against closed formulas and tabulated quantiles of Student's t."""

import math

import pytest

from core.errors import UserError
from evaluation import intervals


def test_the_interval_of_three_values_uses_two_degrees_of_freedom():
    one = intervals.mean_interval([1.0, 2.0, 3.0])
    assert (one.mean, one.n) == (2.0, 3)
    assert one.high - one.mean == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)     # t table: 0.975, 2


def test_a_single_value_has_no_interval():
    one = intervals.mean_interval([0.5])
    assert one.mean == 0.5 and math.isnan(one.low) and math.isnan(one.high)


def test_pairs_see_a_gain_that_unpaired_spreads_hide():
    theirs = [0.1, 0.5, 0.9]
    found = intervals.paired_difference([value + gain for value, gain in zip(theirs, (0.010, 0.012, 0.011))], theirs)
    assert found.mean == pytest.approx(0.011) and found.low > 0 and found.p < 0.01
    assert intervals.verdict(found) == 'holds'
    assert intervals.verdict(intervals.paired_difference(theirs, [value + 0.01 for value in theirs])) == 'does not hold'


def test_equal_differences_do_not_divide_by_zero():
    assert intervals.paired_difference([1.0, 2.0], [1.0, 2.0]).p == 1.0
    assert intervals.paired_difference([2.0, 3.0], [1.0, 2.0]).p == 0.0


@pytest.mark.parametrize('values', ([], [float('nan')], [1.0, float('inf')]))
def test_what_is_no_number_is_refused(values):
    with pytest.raises(UserError, match='finite'):
        intervals.mean_interval(values)
    with pytest.raises(UserError, match='same seeds'):
        intervals.paired_difference([1.0, 2.0], [1.0])
