"""HPHN triplet: bit for bit the published formula, and what that decides."""

import argparse

import numpy as np
import pytest

import losses
from core.runtime import autograd, nd
from losses import expansion
from losses.hphn_triplet import HPHNTriplet
from tests.losses import equations
from tests.losses.harness import NEIGHBOURS, applied, rows
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


@pytest.mark.parametrize('n,l2_norm', [(0, True), (1, False), (2, True), (3, False)])
@pytest.mark.parametrize('margin,soft', [(1e-5, False), (0.3, False), (0.3, True)])
def test_hphn_triplet_counts_each_tied_negative(n, l2_norm, margin, soft):
    """The value is the equation's; its gradient takes the negative as often as the minimum is attained."""
    x = rows(8, 2)
    criterion = losses.get_loss('hphn_triplet')(n, l2_norm, margin, soft)
    expected = equations.hphn_triplet(x.astype(np.float64), NEIGHBOURS, n, l2_norm, margin, soft)
    np.testing.assert_allclose(applied(criterion)(nd.array(x)).asnumpy(), expected, rtol=1e-5, atol=1e-5)
    fixed = equations.hphn_parts(x.astype(np.float64), NEIGHBOURS, n, l2_norm)
    assert n == 0 or any(ties == 2 for _, _, ties in fixed)

    def slope(d_ap, d_an):
        return 1 / (1 + np.exp(d_an - d_ap)) if soft else float(d_ap - d_an + margin > 0)

    def counted(x):
        parts = equations.hphn_parts(x, NEIGHBOURS, n, l2_norm)
        return sum(slope(a0, b0) * (a - ties * b) for (a, b, _), (a0, b0, ties) in zip(parts, fixed))

    v = nd.array(x)
    v.attach_grad()
    with autograd.record():
        loss = applied(criterion)(v)
    loss.backward()
    grad = equations.gradient(counted, x)
    np.testing.assert_allclose(v.grad.asnumpy(), grad, rtol=1e-4, atol=1e-4 * np.abs(grad).max())


def test_flags_that_hphn_does_not_read_are_named():
    cls = losses.get_loss('hphn_triplet')
    parser = argparse.ArgumentParser()
    cls.add_args(parser)
    assert cls.notes(parser.parse_args([])) == []
    note, = cls.notes(parser.parse_args(['--alpha=10', '--sigma=0.5']))
    assert '--alpha, --sigma' in note and '--beta' not in note and 'multi_similarity' in note
