"""Losses of Heated-Up Softmax, DeepEmbedding and Local Sampling against slow loops; miners against closed formulas."""

import argparse

import numpy as np
import pytest

from core.errors import UserError
from core.runtime import nd
from losses import class_statistics, get_loss, hard_pairs, mining
from losses.contrastive import Contrastive
from losses.hdc import HDC
from losses.heated_softmax import HeatedSoftmax
from losses.margin import Margin
from losses.npair import NPair
from losses.sst import SST
from losses.triplet import TripletBatchHard, TripletLocal, TripletSemiHard
from tests.losses import equations_more as equations
from tests.reference.backward import prepare, through_batch

LABEL = np.array([0, 0, 1, 1, 2, 2, 0, 0])


def embeddings(seed=0, n=8, d=4, unit=True):
    x = np.random.RandomState(seed).normal(size=(n, d)).astype(np.float32)
    return x / np.sqrt((x * x).sum(axis=1, keepdims=True)) if unit else x


def agrees(criterion, x, label, equation, extra=None, rtol=2e-4):
    """Value and gradient, eager and hybridized."""
    value, expected = equation(x.astype(np.float64)), equations.gradient(equation, x)
    for hybrid in (False, True):
        criterion.hybridize(hybrid)
        loss, grad = through_batch(criterion, x, label, extra)
        assert loss.shape == (1,) and loss.asscalar() == pytest.approx(value, rel=rtol, abs=1e-5)
        np.testing.assert_allclose(grad.asnumpy(), expected, rtol=10 * rtol, atol=2e-5 * max(1, np.abs(expected).max()))


@pytest.mark.parametrize('l2_norm,norm_weights', [(False, False), (False, True), (True, False)])
@pytest.mark.parametrize('smoothing', [0.0, 0.1])
@pytest.mark.parametrize('learn_norm', [False, True])
def test_heated_softmax_is_its_equation(l2_norm, norm_weights, smoothing, learn_norm):
    if learn_norm and not (l2_norm or norm_weights):
        with pytest.raises(UserError, match='--learn_norm.*--l2_norm'):
            HeatedSoftmax(3, 4, learn_norm=True)
        return
    rng = np.random.RandomState(1)
    w, b = rng.normal(size=(3, 4)).astype(np.float32), rng.normal(size=3).astype(np.float32)
    criterion = prepare(HeatedSoftmax(3, 4, alpha=4.0, l2_norm=l2_norm, norm_weights=norm_weights,
                                      label_smoothing=smoothing, learn_norm=learn_norm), weight=w, bias=b)
    agrees(criterion, embeddings(unit=False), LABEL, lambda x: equations.heated_softmax(
        x, LABEL, w.astype(float), b, 1.0 if learn_norm else 4.0, l2_norm, norm_weights, smoothing))


def test_alpha_changes_a_hybridized_loss():
    criterion = prepare(HeatedSoftmax(3, 4, alpha=16.0, l2_norm=True, heat_up=True, nb_hu_epoch=2))
    x = embeddings()
    cold = criterion.on_progress(3, 5), through_batch(criterion, x, LABEL)[0].asscalar()
    hot = criterion.on_progress(4, 5), through_batch(criterion, x, LABEL)[0].asscalar()
    assert (cold[0], hot[0]) == (1.0, 0.1) and criterion.stats() == {'alpha': 4.0}
    assert cold[1] != pytest.approx(hot[1])
    w = criterion.weight.data().asnumpy()
    assert hot[1] == pytest.approx(equations.heated_softmax(x, LABEL, w, np.zeros(3), 4.0, l2_norm=True), rel=1e-5)


def test_as_many_heated_epochs_as_there_are_leave_a_cold_one_and_more_are_refused():
    criterion = prepare(HeatedSoftmax(3, 4, alpha=16.0, heat_up=True, nb_hu_epoch=20))
    assert [criterion.schedule(epoch, 20) for epoch in (0, 1, 19)] == [(16.0, 1.0), (4.0, 0.1), (4.0, 0.1)]
    with pytest.raises(UserError, match='--nb_hu_epoch=20.*--epochs=19'):
        criterion.on_progress(0, 19)
    with pytest.raises(UserError, match='--nb_hu_epoch=20.*--epochs=15'):
        build('heated_softmax', '--heat_up')


def test_bn_divides_alpha_and_changes_the_head():
    assert HeatedSoftmax(3, 64, alpha=16.0, bn=True).alpha0 == 2.0
    assert HeatedSoftmax(3, 64, bn=True).head == 'bn' and HeatedSoftmax(3, 64).head == 'linear'


def test_better_init_sets_unit_class_means():
    x, calls = embeddings(unit=False), []
    for better in (False, True):
        criterion = prepare(HeatedSoftmax(3, 4, better_init=better))
        criterion.init_from(lambda: calls.append(1) or x, LABEL)
    assert len(calls) == 1
    for c, row in enumerate(criterion.weight.data().asnumpy()):
        mean = x[c == LABEL].mean(axis=0)                         # of the raw embeddings, then of length one
        np.testing.assert_allclose(row, mean / np.sqrt(mean @ mean + 1e-4), rtol=1e-5)


def test_epoch_statistics():
    x = np.array([[3, 0], [0, 4], [0, -2]], dtype=np.float32)
    criterion = prepare(HeatedSoftmax(2, 2), weight=np.array([[1, 0], [0, 2]]))
    stats = criterion.epoch_stats(x, np.array([0, 1, 1]), 2)
    scalars = stats['scalars']
    assert scalars['Train Norm Mean'] == pytest.approx(3.0) and scalars['Weights Norm Mean'] == pytest.approx(1.5)
    assert scalars['Train Norm Var'] == pytest.approx(2 / 3)
    assert scalars['All Training acc'] == pytest.approx(2 / 3)
    np.testing.assert_allclose(stats['histograms']['Cos Distance to Weight'], [1, 1, -1], atol=1e-4)
    assert class_statistics.pairwise_cosines(np.eye(3)).tolist() == [0, 0, 0]


@pytest.mark.parametrize('lr_beta,nu', [(0.1, 0.0), (0.1, 0.05), (0.0, 0.05)])
def test_margin_is_its_equation(lr_beta, nu):
    beta = np.array([0.9, 1.2, 1.0], dtype=np.float32)
    x = embeddings(3, d=5)
    triplets = mining.distance_weighted(x, LABEL, np.random.RandomState(7))
    criterion = prepare(Margin(3, nu=nu, lr_beta=lr_beta, rng=FixedDraws(x, 7)), beta=beta)
    agrees(criterion, x, LABEL, lambda v: equations.margin(v, LABEL, triplets, beta.astype(float), 0.2,
                                                           nu if lr_beta else 0.0))
    if lr_beta:
        expected = equations.gradient(lambda b: equations.margin(x.astype(float), LABEL, triplets, b, 0.2, nu), beta)
        np.testing.assert_allclose(criterion.beta.grad().asnumpy(), expected, atol=1e-5)
    assert criterion.step_size(70) == 70
    assert (criterion.own_optimizer() is None) == (lr_beta == 0)


class FixedDraws:
    """A random state that starts again at every draw."""

    def __init__(self, x, seed):
        self.seed = seed

    def random_sample(self, size):
        return np.random.RandomState(self.seed).random_sample(size)


def test_margin_without_an_active_pair_is_zero():
    x = np.repeat(np.eye(3, dtype=np.float32), 2, axis=0)[[0, 1, 2, 3, 4, 5]]
    loss, grad = through_batch(prepare(Margin(3, margin=0.05, nu=0.5)), x, [0, 0, 1, 1, 2, 2])
    assert loss.asscalar() == 0 and not grad.asnumpy().any()


def test_margin_pulls_beta_to_its_own_learning_rate():
    assert Margin(3, lr_beta=0.3).own_optimizer() == ('sgd', {'learning_rate': 0.3, 'momentum': 0.9, 'wd': 0.0})


@pytest.mark.parametrize('n_inner_pts,normalise', [(0, False), (2, False), (1, True)])
def test_npair_is_its_equation(n_inner_pts, normalise):
    criterion = prepare(NPair(3e-2, n_inner_pts, normalise))
    agrees(criterion, embeddings(2, n=6, unit=False), [0, 1, 2, 0, 1, 2],
           lambda x: equations.npair(x, 3e-2, n_inner_pts, normalise))


def test_npair_keeps_its_gradient_when_nearly_solved():
    x = np.tile(4.5 * np.eye(4, dtype=np.float32), (2, 1))
    loss, grad = through_batch(prepare(NPair(0.0)), x, np.tile(np.arange(4), 2))
    share = np.exp(-20.25) / (1 + 3 * np.exp(-20.25))
    np.testing.assert_allclose(grad.asnumpy()[0], np.array([-3, 1, 1, 1]) * 4.5 * share / 4, rtol=1e-4)


@pytest.mark.parametrize('m', [0.2, 2.0])
def test_semi_hard_is_its_equation(m):
    agrees(prepare(TripletSemiHard(m)), embeddings(4), LABEL, lambda x: equations.semi_hard(x, LABEL, m))


@pytest.mark.parametrize('m', [0.0, 0.3, 'soft'])
def test_batch_hard_is_its_equation(m):
    agrees(prepare(TripletBatchHard(m)), embeddings(5), LABEL, lambda x: equations.batch_hard(x, LABEL, m))


@pytest.mark.parametrize('n_targets', [1, 2, 9])
def test_local_losses_are_their_equations(n_targets):
    x = embeddings(6, unit=False)
    triplets = equations.local_triplets(x, LABEL, n_targets)
    assert mining.build_triplets(x, LABEL, n_targets).T.tolist() == [list(t) for t in triplets]
    agrees(prepare(SST()), x, LABEL, lambda v: equations.sst(v, triplets), extra=np.array(triplets).T)
    agrees(prepare(TripletLocal(0.5, n_targets)), x, LABEL,
           lambda v: equations.triplet_local(v, LABEL, n_targets, 0.5))


@pytest.mark.parametrize('m', [0.5, 2.0])
def test_contrastive_is_its_equation(m):
    agrees(prepare(Contrastive(m)), embeddings(7), LABEL, lambda x: equations.contrastive(x, LABEL, m))


@pytest.mark.parametrize('name', ['triplet_semihard', 'triplet_batchhard', 'triplet_local'])
def test_expansion_moves_negatives_nearer(name):
    """With synthetic points negatives are at most as far, and the loss at least as large."""
    x, label = embeddings(11, n=12), np.repeat(np.arange(3), 4)
    with_points, without = (prepare(get_loss(name)(2.0, n_inner_pts=n)) for n in (2, 0))
    if name != 'triplet_semihard':                                    # whose negative may become a farther one
        assert through_batch(with_points, x, label)[0].asscalar() > through_batch(without, x, label)[0].asscalar()
    positive, negative = with_points.pair_distances(nd, nd.array(x))
    assert (negative.asnumpy() <= positive.asnumpy() + 1e-6).all() and (negative.asnumpy() < positive.asnumpy()).any()


@pytest.mark.parametrize('make', [
    TripletSemiHard, TripletBatchHard, lambda: TripletBatchHard('soft'), TripletLocal, SST, lambda: Margin(4, nu=0.1),
    Contrastive, lambda: HDC((2, 2), (1.0, 0.5)), NPair, lambda: HeatedSoftmax(4, 4, l2_norm=True)])
@pytest.mark.parametrize('case', ['identical', 'one class', 'zero', 'all different', 'antipodal'])
def test_degenerate_batches_are_finite(make, case):
    criterion = prepare(make())
    x, label = embeddings(12), np.array([0, 1, 2, 3, 0, 1, 2, 3])
    if case == 'identical':
        x = np.repeat(x[:1], 8, axis=0)
    elif case == 'one class':
        label = np.zeros(8, dtype=int)
    elif case == 'zero':
        x = np.zeros_like(x)
    elif case == 'all different' and not isinstance(criterion, (HeatedSoftmax, Margin)):
        label = np.arange(8)
    elif case == 'antipodal':
        x[4:] = -x[:4]
    extra = mining.build_triplets(x, label, 3)
    loss, grad = through_batch(criterion, x, label, extra)
    assert np.isfinite(loss.asnumpy()).all() and np.isfinite(grad.asnumpy()).all()
    if case in ('one class', 'all different') and isinstance(criterion, (SST, TripletLocal, TripletSemiHard,
                                                                         TripletBatchHard)):
        assert loss.asscalar() == 0 and not grad.asnumpy().any()


def test_distance_weights_are_the_inverse_density():
    label = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2])
    for d in (3, 4, 16):
        x = embeddings(d, n=9, d=d)
        expected = equations.distance_weights(x.astype(float), label)
        np.testing.assert_allclose(mining.distance_weights(x, label), expected, rtol=2e-4, atol=1e-6)


def test_distance_weights_without_any_weight_are_uniform():
    x = np.eye(6, dtype=np.float32)                                   # all at sqrt(2) > 1.4
    label = np.array([0, 0, 1, 1, 2, 2])
    expected = (label[:, None] != label) / 4.0
    np.testing.assert_allclose(mining.distance_weights(x, label), expected)


def test_draws_are_those_of_numpy_choice():
    rng = np.random.RandomState(0)
    probability = rng.random_sample((6, 40)).astype(np.float32) ** 8
    probability[:, ::3] = 0
    probability /= probability.sum(axis=1, keepdims=True)
    one_by_one = np.random.RandomState(5)
    expected = np.concatenate([one_by_one.choice(40, 7, p=row) for row in probability])
    row = np.repeat(np.arange(6), 7)
    np.testing.assert_array_equal(mining.draw(probability, row, np.random.RandomState(5)), expected)


def test_distance_weighted_counts():
    """n (k - 1) triplets; positives are the anchor's class, negatives are not; frequencies follow the weights."""
    x, label = embeddings(13, n=12, d=3), np.repeat(np.arange(4), 3)
    a, p, n = mining.distance_weighted(x, label, np.random.RandomState(0))
    assert len(a) == 12 * 2 and (label[a] == label[p]).all() and (label[a] != label[n]).all() and (a != p).all()
    weights = mining.distance_weights(x, label)
    rng = np.random.RandomState(1)
    seen = np.zeros_like(weights)
    for _ in range(2000):
        a, _, n = mining.distance_weighted(x, label, rng)
        np.add.at(seen, (a, n), 1 / 4000)
    np.testing.assert_allclose(seen, weights, atol=0.04)


def test_positive_pairs_count():
    label = np.array([3, 1, 3, 3, 1, 2])
    assert mining.positive_pairs(label).shape == (2, 3 * 2 + 2 * 1)


def on_a_line(position, label):
    """Distances of points on a line, and where labels are equal, as hard_pairs takes them."""
    position, label = np.asarray(position), np.asarray(label)
    return nd.array(np.abs(position[:, None] - position)), nd.array(label[:, None] == label, dtype='float32')


def test_semi_hard_choices():
    """Anchor 0 at 0: positive at 2, negatives at 1, 3, 5 -> 3; positive at 6 -> the farthest, 5; no negative: 0."""
    D, same = on_a_line([0.0, 2, 6, 1, 3, 5], [0, 0, 0, 1, 1, 1])
    found = hard_pairs.semi_hard_negative(nd, D, same, nd.array([0, 0], dtype='int32'), nd.array([2.0, 6.0]))
    assert found.asnumpy().tolist() == [3.0, 5.0]
    alone = hard_pairs.semi_hard_negative(nd, D, nd.ones_like(D), nd.array([0], dtype='int32'), nd.array([2.0]))
    assert alone.asnumpy().tolist() == [0.0]


def test_batch_hard_choices():
    D, same = on_a_line([0.0, 2, 6, 1, 3, 50], [0, 0, 0, 1, 1, 2])        # 5 is alone in its class
    assert hard_pairs.farthest_positive(nd, D, same).asnumpy().tolist() == [6, 4, 6, 2, 2, 0]
    assert hard_pairs.nearest_negative(nd, D, same).asnumpy().tolist() == [1, 1, 3, 1, 1, 44]
    assert (hard_pairs.nearest_negative(nd, D, nd.ones_like(D)).asnumpy() == hard_pairs.FAR).all()
    assert hard_pairs.has_negative(nd, same).asnumpy().all()
    assert not hard_pairs.has_negative(nd, nd.ones_like(D)).asnumpy().any()


def test_build_triplets_count():
    """Sum over classes of n_c min(k, n_c - 1) (n - n_c)."""
    label = np.repeat([7, 2, 9, 4], [1, 4, 2, 6])
    x = embeddings(14, n=13)
    assert mining.build_triplets(x, label, 3).shape == (3, 4 * 3 * 9 + 2 * 1 * 11 + 6 * 3 * 7)
    assert mining.build_triplets(x, np.zeros(13), 3).shape == (3, 0)
    assert mining.build_triplets(x, np.arange(13), 3).shape == (3, 0)


@pytest.mark.parametrize('flags,message', [
    (['hdc', '--hdc_ratios=1,0.5', '--hdc_dims=8,8,8'], '--hdc_dims has 3 depths and --hdc_ratios 2'),
    (['hdc', '--hdc_ratios=1,0,0.2'], '--hdc_ratios=1.0,0.0,0.2'),
    (['heated_softmax', '--learn_norm'], '--learn_norm'),
    (['triplet_batchhard', '--margin=hard'], "'hard' is neither"),
])
def test_bad_flags_are_named(flags, message):
    with pytest.raises((UserError, SystemExit, argparse.ArgumentError), match=message):
        build(*flags)


def build(name, *argv):
    """A criterion from its own flags."""
    criterion = get_loss(name)
    parser = argparse.ArgumentParser(exit_on_error=False)
    criterion.add_args(parser)
    for flag, value in (('embed_dim', 24), ('batch_size', 8), ('num_instances', 2), ('epochs', 15)):
        parser.add_argument('--' + flag, type=int, default=value)
    args = parser.parse_args(list(argv))
    return criterion.from_args(args, 5), args


def test_flags_reach_the_losses():
    assert build('hdc', '--hdc_dims=8,16', '--hdc_ratios=1,0.5')[0].dims == [8, 16]
    assert build('hdc')[0].dims == [8, 8, 8]
    margin = build('margin', '--nu=0.1', '--lr_beta=0.2', '--beta=1.1', '--margin=0.3')[0]
    assert (margin.nu, margin.lr_beta, margin.margin, margin.beta.shape) == (0.1, 0.2, 0.3, (5,))
    assert build('triplet_batchhard')[0].margin == 'soft' and build('triplet_batchhard', '--margin=1')[0].margin == 1.0
    heated = build('heated_softmax', '--l2_norm', '--label_smoothing', '--alpha=16', '--heat_up', '--nb_hu_epoch=9')[0]
    assert heated.l2_norm and heated.label_smoothing == 0.1 and heated.alpha0 == 16 and heated.heat_up
    assert build('sst', '--normalized')[0].head == 'l2' and build('sst')[0].head == 'linear'
    assert build('npair', '--l2_reg=0.5', '--n_inner_pts=2')[0].n_inner_pts == 2
    with pytest.raises(UserError, match='--sampler=local'):
        through_batch(build('sst')[0], embeddings(), LABEL)
