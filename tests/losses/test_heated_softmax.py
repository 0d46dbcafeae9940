"""Heated-Up Softmax: equation, schedule, start, statistics."""

import numpy as np
import pytest

import losses
from core.errors import UserError
from losses import class_statistics
from losses.heated_softmax import HeatedSoftmax
from tests.losses import equations
from tests.losses.harness import LABEL, agrees, build, rows
from tests.reference.backward import prepare, through_batch


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
    agrees(criterion, rows(8, 0, 4, unit=False), LABEL, lambda x: equations.heated_softmax(
        x, LABEL, w.astype(float), b, 1.0 if learn_norm else 4.0, l2_norm, norm_weights, smoothing))


def test_alpha_changes_a_hybridized_loss():
    criterion = prepare(HeatedSoftmax(3, 4, alpha=16.0, l2_norm=True, heat_up=True, nb_hu_epoch=2))
    x = rows(8, 0, 4)
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
    with pytest.raises(UserError, match='--nb_hu_epoch=61.*--epochs=60'):
        build('heated_softmax', '--heat_up --nb_hu_epoch=61')


def test_bn_divides_alpha_and_changes_the_head():
    assert HeatedSoftmax(3, 64, alpha=16.0, bn=True).alpha0 == 2.0
    assert HeatedSoftmax(3, 64, bn=True).head == 'bn' and HeatedSoftmax(3, 64).head == 'linear'


def test_better_init_sets_unit_class_means():
    x, calls = rows(8, 0, 4, unit=False), []
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


def test_heated_class_weights_have_variance_one_over_d():
    criterion = losses.get_loss('heated_softmax')(200, 100)
    criterion.initialize()
    weight = criterion.weight.data().asnumpy()
    assert weight.std() == pytest.approx(0.1, rel=0.02) and np.abs(weight).max() < 0.23
