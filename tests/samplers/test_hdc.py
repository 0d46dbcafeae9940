"""The batches of the HDC authors: composition, refusals, purity."""

import numpy as np
import pytest

from core.errors import UserError
from samplers.hdc import HDCBatches, sample

LABELS = np.repeat(np.arange(30), 12)
RNG = np.random.RandomState


def test_batches_hold_distinct_classes_with_distinct_images():
    plans = HDCBatches(LABELS, 100, 10, batches=20).plan(0, RNG(0))
    assert len(plans) == 20
    for plan in plans:
        label = LABELS[plan.index].reshape(10, 10)
        assert (label == label[:, :1]).all() and len(set(label[:, 0])) == 10 and len(set(plan.index)) == 100
    again = HDCBatches(LABELS, 100, 10, batches=20).plan(0, RNG(0))
    assert all((a.index == b.index).all() for a, b in zip(plans, again))


def test_classes_with_too_few_images_are_left_out():
    labels = np.concatenate([LABELS, np.repeat(30, 9)])
    assert all(30 not in labels[plan.index] for plan in HDCBatches(labels, 100, 10, batches=50).plan(0, RNG(0)))
    with pytest.raises(UserError, match='--num_instances=13.*at most 12'):
        HDCBatches(LABELS, 130, 13)


def test_super_class_groups_are_cut_into_batches():
    family = np.repeat(np.arange(3), 10)[LABELS]
    plans = HDCBatches(LABELS, 100, source='super_classes', batches=6, super_label=family).plan(0, RNG(0))
    rows = np.concatenate([plan.index for plan in plans])
    assert len(plans) == 6 * 2 * 10 * 12 // 100 and all(len(plan.index) == 100 for plan in plans)
    for start in range(0, len(rows) - 239, 240):           # a group: all 12 images of 10 classes in 2 super-classes
        group = rows[start:start + 240]
        assert len(set(family[group])) == 2 and (np.bincount(LABELS[group])[np.unique(LABELS[group])] == 12).all()
    for wrong in (None, np.zeros(len(LABELS), int)):
        with pytest.raises(UserError, match='--hdc_batches=classes'):
            HDCBatches(LABELS, 100, source='super_classes', super_label=wrong)


@pytest.mark.parametrize('population,count', [(5, 5), (21, 3), (40, 5), (500, 7)])
def test_sample_is_a_uniform_draw_without_replacement(population, count):
    rng = RNG(1)
    draws = [sample(list(range(population)), count, lambda n: int(rng.random_sample() * n)) for _ in range(3000)]
    assert all(len(set(draw)) == count for draw in draws)
    share = np.bincount(np.concatenate(draws), minlength=population) / 3000
    np.testing.assert_allclose(share, count / population, atol=5 * (count / population / 3000) ** 0.5)
