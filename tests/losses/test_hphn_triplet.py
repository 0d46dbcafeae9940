"""HPHN triplet: bit for bit the published formula, and what that decides."""

import numpy as np
import pytest

from core.runtime import autograd, nd
from losses import expansion
from losses.hphn_triplet import HPHNTriplet
from tests.reference.backward import prepare, through_batch


def published(x, label, n, margin=1e-5):
    """The published operators, one by one, eagerly: loss (B,) of x (B, D)."""
    points, label = expansion.expand(nd, x, n), nd.concat(*[nd.array(label)] * (n + 1), dim=0)
    total = len(points)
    along, across = ((points ** 2).sum(axis=1, keepdims=True).broadcast_to((total, total)) for _ in range(2))
    distance = (along + across.T - 2 * nd.dot(points, points.T)).clip(1e-12, 1e12).sqrt()
    label = label.broadcast_to((total, total))
    same, other = (label == label.T), (label != label.T)
    positive = nd.max((distance * same)[:len(x), :len(x)], axis=1)
    negative = nd.min(distance * other + nd.max(distance, axis=1, keepdims=True) * same, axis=1)
    return nd.relu(positive - nd.min(negative.reshape((n + 1, len(x))), axis=0) + margin)


@pytest.mark.parametrize('size,dim,n', [(32, 64, 2), (48, 512, 2), (48, 24, 0), (16, 24, 3)])
@pytest.mark.parametrize('hybrid', [False, True])
def test_loss_and_gradient_are_bit_equal_to_the_published_formula(size, dim, n, hybrid):
    rng = np.random.RandomState(size)
    label = np.repeat(np.arange(size // 4), 4)
    x = rng.normal(size=(size, dim)) + 0.3 * rng.normal(size=(size // 4, dim))[label]
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    expected = nd.array(x)
    expected.attach_grad()
    with autograd.record():
        value = published(expected, label, n)
    value.backward()
    criterion = prepare(HPHNTriplet(n))
    criterion.hybridize(hybrid)
    loss, grad = through_batch(criterion, x, label)
    assert (loss.asnumpy() == value.asnumpy()).all()
    assert (grad.asnumpy() == expected.grad.asnumpy()).all() and grad.asnumpy().any()
