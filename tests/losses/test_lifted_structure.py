"""Lifted structured loss against its loop."""

import pytest

import losses
from tests.losses import equations
from tests.losses.harness import NEIGHBOURS, applied, check, rows


@pytest.mark.parametrize('n,l2_norm', [(0, True), (1, False), (2, True)])
@pytest.mark.parametrize('margin', [0.2, 1.0])
def test_lifted_structure(n, l2_norm, margin):
    criterion = losses.get_loss('lifted_structure')(margin, n, l2_norm)
    check(applied(criterion), lambda x: equations.lifted_structure(x, NEIGHBOURS, margin, n, l2_norm), rows(8, 3))
