"""Multi-class N-pair loss against its loop."""

import numpy as np
import pytest

from losses.npair import NPair
from tests.losses import equations
from tests.losses.harness import agrees, rows
from tests.reference.backward import prepare, through_batch


@pytest.mark.parametrize('n_inner_pts,normalise', [(0, False), (2, False), (1, True)])
def test_npair_is_its_equation(n_inner_pts, normalise):
    criterion = prepare(NPair(3e-2, n_inner_pts, normalise))
    agrees(criterion, rows(6, 2, 4, unit=False), [0, 1, 2, 0, 1, 2],
           lambda x: equations.npair(x, 3e-2, n_inner_pts, normalise))


def test_npair_keeps_its_gradient_when_nearly_solved():
    x = np.tile(4.5 * np.eye(4, dtype=np.float32), (2, 1))
    loss, grad = through_batch(prepare(NPair(0.0)), x, np.tile(np.arange(4), 2))
    share = np.exp(-20.25) / (1 + 3 * np.exp(-20.25))
    np.testing.assert_allclose(grad.asnumpy()[0], np.array([-3, 1, 1, 1]) * 4.5 * share / 4, rtol=1e-4)
