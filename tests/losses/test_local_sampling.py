"""The losses of local sampling against their loops; their triplets counted."""

import numpy as np
import pytest

from losses import mining
from losses.contrastive import Contrastive
from losses.sst import SST
from losses.triplet import TripletLocal
from tests.losses import equations
from tests.losses.harness import LABEL, agrees, rows
from tests.reference.backward import prepare


@pytest.mark.parametrize('n_targets', [1, 2, 9])
def test_local_losses_are_their_equations(n_targets):
    x = rows(8, 6, 4, unit=False)
    triplets = equations.local_triplets(x, LABEL, n_targets)
    assert mining.build_triplets(x, LABEL, n_targets).T.tolist() == [list(t) for t in triplets]
    agrees(prepare(SST()), x, LABEL, lambda v: equations.sst(v, triplets), extra=np.array(triplets).T)
    agrees(prepare(TripletLocal(0.5, n_targets)), x, LABEL,
           lambda v: equations.triplet_local(v, LABEL, n_targets, 0.5))


@pytest.mark.parametrize('m', [0.5, 2.0])
def test_contrastive_is_its_equation(m):
    agrees(prepare(Contrastive(m)), rows(8, 7, 4), LABEL, lambda x: equations.contrastive(x, LABEL, m))


def test_positive_pairs_count():
    label = np.array([3, 1, 3, 3, 1, 2])
    assert mining.positive_pairs(label).shape == (2, 3 * 2 + 2 * 1)


def test_build_triplets_count():
    """Sum over classes of n_c min(k, n_c - 1) (n - n_c)."""
    label = np.repeat([7, 2, 9, 4], [1, 4, 2, 6])
    x = rows(13, 14, 4)
    assert mining.build_triplets(x, label, 3).shape == (3, 4 * 3 * 9 + 2 * 1 * 11 + 6 * 3 * 7)
    assert mining.build_triplets(x, np.zeros(13), 3).shape == (3, 0)
    assert mining.build_triplets(x, np.arange(13), 3).shape == (3, 0)
