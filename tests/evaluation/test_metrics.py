"""Metrics against their definitions, written out."""

import itertools

import numpy as np
import pytest

from core.errors import UserError
from evaluation import metrics, verification
from evaluation.neighbours import search


def test_recall_counts_queries_without_a_positive_as_misses():
    x = np.array([[0.0], [1.0], [3.0], [3.5], [9.0]], dtype=np.float32)
    recall = metrics.recall_at_k(x, [0, 1, 0, 1, 2], [1, 2, 3, 4])
    # ranks of the best positive: 0 -> 2 at place 2; 1 -> 3 at 3 (0, 2, 3); 2 -> 0 at 3 (3, 1, 0); 3 -> 1 at 2; 4: none
    assert recall == {1: 0.0, 2: 0.4, 3: 0.8, 4: 0.8}


def test_precision_at_k_of_query_and_gallery():
    x = np.array([[0.0], [1.0], [2.0], [3.0], [0.1]], dtype=np.float32)
    found = metrics.precision_at_k(x, [0, 0, 1, 0, 1], [1, 2, 3], query=[0, 4], gallery=[1, 2, 3])
    assert found == {1: 0.5, 2: pytest.approx((0.5 + 0.5) / 2), 3: pytest.approx((2 / 3 + 1 / 3) / 2)}


def test_map_at_r_written_out():
    # query 0 (R = 3): neighbours by distance 1+, 2-, 3+, 4+ -> (1/1 + 2/3) / 3; R-precision 2/3
    x = np.array([[0], [1], [2], [3], [4]], dtype=np.float32)
    ranks = search.ranks(x, [0, 0, 1, 0, 0], query=[0], gallery=[1, 2, 3, 4])
    assert ranks.average_precision[0] == pytest.approx((1 + 2 / 3) / 3)
    assert ranks.r_precision[0] == pytest.approx(2 / 3)


def entropy(values):
    share = np.unique(values, return_counts=True, axis=0)[1] / len(values)
    return -(share * np.log(share)).sum()


@pytest.mark.parametrize('seed', range(3))
def test_nmi_is_mutual_information_over_the_named_mean(seed):
    rng = np.random.RandomState(seed)
    a, b = rng.randint(7, size=90), rng.randint(5, size=90)
    information = entropy(a) + entropy(b) - entropy(np.stack([a, b], axis=1))
    assert metrics.nmi(a, b) == pytest.approx(2 * information / (entropy(a) + entropy(b)), abs=1e-12)
    assert metrics.nmi(a, b, 'geometric') == pytest.approx(information / np.sqrt(entropy(a) * entropy(b)), abs=1e-12)
    assert metrics.nmi(a, b) != metrics.nmi(a, b, 'geometric')


def test_nmi_of_constant_labelings():
    assert metrics.nmi([1, 1, 1], [4, 4, 4]) == 1 and metrics.nmi([1, 1, 1], [0, 1, 2]) == 0


def test_pairwise_f1_counts_pairs():
    rng = np.random.RandomState(0)
    a, b = rng.randint(6, size=80), rng.randint(9, size=80)
    pairs = list(itertools.combinations(range(80), 2))
    both = sum(a[i] == a[j] and b[i] == b[j] for i, j in pairs)
    precision, recall = both / sum(b[i] == b[j] for i, j in pairs), both / sum(a[i] == a[j] for i, j in pairs)
    assert metrics.pairwise_f1(a, b) == pytest.approx(2 * precision * recall / (precision + recall), abs=1e-12)
    assert metrics.pairwise_f1([0, 1, 2], [2, 1, 0]) == 1.0


def test_adjusted_mutual_information_of_chance_is_about_zero():
    rng = np.random.RandomState(0)
    a, b = rng.randint(200, size=1000), rng.randint(200, size=1000)
    assert abs(metrics.ami(a, b)) < 0.03 < 0.5 < metrics.nmi(a, b)


def test_confusion_accuracy_and_macro_accuracy():
    table = metrics.confusion_matrix([0, 0, 0, 1, 3], [0, 0, 1, 1, 0])
    assert table.tolist() == [[2, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]]
    assert metrics.accuracy(table) == pytest.approx(3 / 5)
    assert metrics.macro_accuracy(table) == pytest.approx((2 / 3 + 1 + 0) / 3)    # class 2 has no item


@pytest.mark.parametrize('ks', [[0], [1, 5], []])
def test_k_outside_the_gallery_is_refused(ks):
    with pytest.raises(UserError, match='from 1 to 4'):
        metrics.recall_at_k(np.eye(5, dtype=np.float32), [0, 0, 1, 1, 1], ks)


def test_threshold_is_the_best_of_all_cuts():
    rng = np.random.RandomState(0)
    for _ in range(30):
        scores, same = rng.randint(8, size=25).astype(float), rng.rand(25) < 0.5
        correct = [np.sum((scores >= t) == same) for t in [*np.unique(scores), np.inf]]
        assert np.sum((scores >= verification.best_threshold(scores, same)) == same) == max(correct)


def test_lfw_folds_roc_and_standard_error():
    rng = np.random.RandomState(0)
    x = rng.randn(400, 8).astype(np.float32)
    same = np.arange(200) % 2 == 0
    x[200:][same] = x[:200][same] + 0.9 * rng.randn(100, 8)
    a, b = np.arange(200), np.arange(200, 400)
    result = verification.verify_pairs(x, a, b, same)
    distance = ((x[a] - x[b]) ** 2).sum(axis=1)
    for fold in range(10):
        test = np.arange(200) // 20 == fold
        levels = np.sort(distance[~test])
        best = max(np.mean((distance[~test] <= t) == same[~test]) for t in levels)
        assert np.mean((-distance[~test] >= result['thresholds'][fold]) == same[~test]) == best
        assert result['accuracy_folds'][fold] == np.mean((-distance[test] >= result['thresholds'][fold]) == same[test])
    assert result['accuracy_se'] == pytest.approx(np.std(result['accuracy_folds'], ddof=1) / np.sqrt(10))
    wins = np.mean(distance[same][:, None] < distance[~same][None, :])
    assert result['auc'] == pytest.approx(wins, abs=1e-12)
    strict = np.sort(distance[~same])[10]    # ten of a hundred impostors are nearer than this
    assert result['tar_at_far']['0.1'] == np.mean(distance[same] < strict)


def test_a_single_fold_is_cut_into_ten():
    rng = np.random.RandomState(5)
    x, same = rng.randn(60, 4).astype(np.float32), np.arange(30) < 15     # as in View 1: first all pairs of one kind
    whole = verification.verify_pairs(x, np.arange(30), np.arange(30, 60), same, np.zeros(30, dtype=int))
    cut = verification.verify_pairs(x, np.arange(30), np.arange(30, 60), same, np.arange(30) % 10)
    assert whole == cut and len(whole['thresholds']) == 10


def test_lfw_needs_both_kinds_of_pairs():
    with pytest.raises(UserError, match='same and of different'):
        verification.verify_pairs(np.eye(4, dtype=np.float32), [0, 1], [2, 3], [True, True], folds=2)
