"""What the tests of the losses share: a criterion from its flags, batches, and two ways to hold it to an equation."""

import argparse

import numpy as np
import pytest

import losses
from core.contracts import Batch, Out
from core.runtime import autograd, mx, nd
from losses import mining
from tests.losses import equations
from tests.reference.backward import through_batch

DIM, FEATURES, CLASSES = 6, 5, 16
LABEL = np.array([0, 0, 1, 1, 2, 2, 0, 0])             # a class of four, two of two
NEIGHBOURS = np.array([0, 0, 1, 1, 1, 1, 2, 2])        # the same, each class in a row
# Beside its defaults, what else of a loss takes another path through the code.
VARIANTS = {
    'hdc': ['--hdc_mining=previous --hdc_weights=1,2,3'],
    'hphn_triplet': ['--n_inner_pts=0', '--n_inner_pts=3 --ee_l2norm=false', '--soft_margin --margin=0.2'],
    'lifted_structure': ['--n_inner_pts=2', '--n_inner_pts=1 --ee_l2norm=false'],
    'multi_similarity': ['--n_inner_pts=2', '--mining_margin=inf'],
    'softmax_ranking': ['--train_mode=hard', '--train_mode=hard --margin=soft', '--train_mode=hard --margin=none',
                        '--train_mode=semi_hard', '--train_mode=center'],
    'triplet_batchhard': ['--n_inner_pts=2', '--margin=0.3'],
    'triplet_semihard': ['--n_inner_pts=2'],
    'heated_softmax': ['--l2_norm --alpha=16', '--norm_weights --learn_norm --label_smoothing'],
    'margin': ['--lr_beta=0', '--nu=0.1'],
}
EVERY = [(name, flags) for name in losses.LOSSES for flags in ['', *VARIANTS.get(name, [])]]


def build(name, flags='', size=8):
    """A criterion from its own flags, initialised."""
    cls = losses.get_loss(name)
    parser = argparse.ArgumentParser(conflict_handler='resolve', exit_on_error=False)
    for flag, value in (('batch_size', size), ('num_instances', 2), ('embed_dim', DIM), ('epochs', 60)):
        parser.add_argument('--' + flag, type=int, default=value)
    cls.add_args(parser)
    mx.random.seed(3)
    criterion = cls.from_args(parser.parse_args(flags.split()), CLASSES)
    criterion.initialize()
    return criterion


def labels_for(name, size):
    """Two of each class: side by side, or as anchors and positives."""
    pairs = np.arange(size // 2)
    return np.tile(pairs, 2) if losses.get_loss(name).sampler == 'pairs' else np.repeat(pairs, 2)


def rows(size=8, seed=0, dim=DIM, unit=True):
    """Random embeddings (size, dim), of length one unless told otherwise."""
    x = np.random.RandomState(seed).randn(size, dim)
    return (x / np.linalg.norm(x, axis=1, keepdims=True) if unit else x).astype(np.float32)


def value_and_gradient(criterion, x, label, feature=None):
    """The loss as an array, the gradient of its sum for embedding and feature."""
    np.random.seed(5)
    feature = rows(len(x), 1, FEATURES) if feature is None else feature
    triplets = mining.build_triplets(x, label, 2)
    x, feature = nd.array(x), nd.array(feature)
    x.attach_grad()
    feature.attach_grad()
    with autograd.record():
        loss = criterion(Out(x, feature), Batch(None, nd.array(label, dtype='int32'), None, triplets))
    loss.backward()
    return loss.asnumpy(), np.concatenate([x.grad.asnumpy().ravel(), feature.grad.asnumpy().ravel()])


def check(ours, equation, x, rtol=1e-4):
    """Value and gradient of ours(nd x) -> NDArray against equation(x) -> float."""
    v = nd.array(x)
    v.attach_grad()
    with autograd.record():
        loss = ours(v).sum()
    loss.backward()
    np.testing.assert_allclose(loss.asscalar(), equation(x.astype(np.float64)), rtol=1e-5, atol=1e-5)
    expected = equations.gradient(equation, x)
    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(v.grad.asnumpy(), expected, rtol=rtol, atol=rtol * np.abs(expected).max())


def applied(criterion, label=NEIGHBOURS):
    """The criterion as a function of the embedding alone."""
    return lambda v: criterion(Out(v, None), Batch(None, nd.array(label), None, None))


def agrees(criterion, x, label, equation, extra=None, rtol=2e-4):
    """Value and gradient of a criterion against equation(x) -> float, eager and hybridized."""
    value, expected = equation(x.astype(np.float64)), equations.gradient(equation, x)
    for hybrid in (False, True):
        criterion.hybridize(hybrid)
        loss, grad = through_batch(criterion, x, label, extra)
        assert loss.shape == (1,) and loss.asscalar() == pytest.approx(value, rel=rtol, abs=1e-5)
        np.testing.assert_allclose(grad.asnumpy(), expected, rtol=10 * rtol, atol=2e-5 * max(1, np.abs(expected).max()))
