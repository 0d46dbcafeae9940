"""Multi-similarity loss against its loop."""

import pytest

import losses
from tests.losses import equations
from tests.losses.harness import NEIGHBOURS, applied, check, rows


@pytest.mark.parametrize('n,l2_norm', [(0, True), (1, False), (2, True)])
@pytest.mark.parametrize('values', [(2, 50, 1, 0.1), (10, 1.2, 0.5, 0.1), (2, 50, 0.5, 0), (2, 5, 0.5, float('inf'))])
def test_multi_similarity(n, l2_norm, values):
    criterion = losses.get_loss('multi_similarity')(*values, n, l2_norm)
    check(applied(criterion), lambda x: equations.multi_similarity(x, NEIGHBOURS, *values, n, l2_norm), rows(8, 4),
          rtol=5e-4)
