"""Optimizers of our own against their formulas by hand."""

import numpy as np

from core.runtime import nd
from engine import forms, optimizers


def test_epsilon_reaches_adamax():
    assert optimizers.settings('adamax', lr=0.1, epsilon=0.5)[1]['epsilon'] == 0.5
    optimizer = forms.create('adamax', {'learning_rate': 0.1, 'wd': 0.0, 'epsilon': 0.5})
    weight = nd.array([2.0])
    optimizer.update(0, weight, nd.array([0.5]), optimizer.create_state(0, weight))
    np.testing.assert_allclose(weight.asnumpy(), [1.95], rtol=1e-5)      # 2 - 0.1 * 0.5 / (0.5 + 0.5)


def test_adamax_leaves_a_weight_without_a_gradient_where_it_is():
    optimizer = forms.create('adamax', {'learning_rate': 0.1, 'wd': 0.0})
    weight = nd.array([1.0, 2.0])
    state = optimizer.create_state(0, weight)
    for _ in range(2):
        optimizer.update(0, weight, nd.array([0.0, 0.5]), state)
    # both steps: m / (1 - 0.9^t) = 0.5 and u = 0.5, so the weight moves by the rate
    np.testing.assert_allclose(weight.asnumpy(), [1.0, 1.8], rtol=1e-5)
