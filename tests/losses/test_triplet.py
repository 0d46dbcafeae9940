"""Semi-hard and batch-hard triplets against their loops."""

import numpy as np
import pytest

from losses.triplet import TripletBatchHard, TripletLocal, TripletSemiHard
from tests.losses import equations
from tests.losses.harness import LABEL, agrees, rows
from tests.reference.backward import prepare, through_batch


@pytest.mark.parametrize('m', [0.2, 2.0])
def test_semi_hard_is_its_equation(m):
    agrees(prepare(TripletSemiHard(m)), rows(8, 4, 4), LABEL, lambda x: equations.semi_hard(x, LABEL, m))


@pytest.mark.parametrize('m', [0.0, 0.3, 'soft'])
def test_batch_hard_is_its_equation(m):
    agrees(prepare(TripletBatchHard(m)), rows(8, 5, 4), LABEL, lambda x: equations.batch_hard(x, LABEL, m))


@pytest.mark.parametrize('label', [np.zeros(8, int), np.arange(8)])
@pytest.mark.parametrize('make', [TripletSemiHard, TripletBatchHard, TripletLocal])
def test_without_a_triplet_loss_and_gradient_are_zero(make, label):
    loss, grad = through_batch(prepare(make()), rows(8, 12, 4), label)
    assert loss.asscalar() == 0 and not grad.asnumpy().any()
