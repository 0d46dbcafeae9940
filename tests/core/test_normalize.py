import numpy as np
import pytest

from core.normalize import l2_normalize, unit_rows
from core.runtime import mx, nd


@pytest.mark.parametrize('guard, length', [
    ({'eps': 9.0}, 5.0), ({}, 4.0), ({'floor': 25.0}, 5.0), ({'floor': 1e-12}, 4.0)])
def test_l2_normalize_guards_as_each_original_does(guard, length):
    x = np.array([[4.0, 0.0], [0.0, 0.0]])
    expected = x / length
    np.testing.assert_allclose(l2_normalize(nd, nd.array(x), **guard).asnumpy(), expected, rtol=1e-6)
    symbol = l2_normalize(mx.sym, mx.sym.var('x'), **guard)
    np.testing.assert_allclose(symbol.eval(x=nd.array(x))[0].asnumpy(), expected, rtol=1e-6)
    np.testing.assert_allclose(unit_rows(x, **({'floor': 1e-24, **guard})), expected, rtol=1e-6)


def test_unit_rows_keeps_the_precision():
    assert unit_rows(np.ones((2, 3), np.float32)).dtype == np.float32
    np.testing.assert_allclose((unit_rows(np.random.RandomState(0).randn(5, 4)) ** 2).sum(axis=1), 1, rtol=1e-12)
