"""Batches: their exact shape, that a plan depends on its arguments alone, and the originals' quirks as recorded."""

import argparse
import json
from collections import Counter

import numpy as np
import pytest

import samplers
from core.errors import UserError
from losses import mining
from samplers.blocks import BLOCKS, Blocks
from samplers.local import Local, build_batches, cluster
from samplers.pairs import Pairs
from samplers.pk import PK, groups_of
from samplers.pk_ee import PKEE, draw
from samplers.random import Random, Sequential
from samplers.ranking import Ranking
from tests.shared import SHARED, needs_shared

RNG = np.random.RandomState
LABELS = np.repeat(np.arange(12), [9, 8, 7, 3, 12, 20, 8, 8, 5, 6, 10, 1])
SUPER = LABELS // 4
EMBEDDING = RNG(5).randn(len(LABELS), 6).astype(np.float32) + LABELS[:, None]


def built(name, labels=LABELS, super_label=SUPER, **flags):
    """A sampler through its own flags, as main.py builds it."""
    parser = argparse.ArgumentParser()
    samplers.add_args(parser)
    samplers.get_sampler(name).add_args(parser)
    args = parser.parse_args(['--{}={}'.format(*item) for item in {'sampler': name, 'batch_size': 16, **flags}.items()])
    return samplers.get_sampler(args.sampler).from_args(args, labels, super_label)


def reference(pattern):
    return sorted(SHARED.glob('reference/' + pattern)) if SHARED else []


FLAGS = {'pk': {'num_instances': 4}, 'pk_ee': {'num_instances': 4}, 'blocks': {'num_instances': 4},
         'hdc': {'num_instances': 8, 'batches_per_epoch': 9}, 'pairs': {'super_share': 0.5}, 'local': {'n_targets': 2}}


@pytest.mark.parametrize('name', sorted(samplers.SAMPLERS))
def test_a_plan_depends_on_its_arguments_alone(name):
    sampler = built(name, **FLAGS.get(name, {}))
    plans = [sampler.plan(epoch, RNG(3), lambda: EMBEDDING) for epoch in (0, 5, 0)]
    other = sampler.plan(0, RNG(4), lambda: EMBEDDING)
    assert plans[0]
    for a, b in zip(plans[0], plans[2]):
        np.testing.assert_array_equal(a.index, b.index)
        np.testing.assert_array_equal(a.seed, b.seed)
        assert a.index.dtype == np.int64 and a.seed.dtype == np.uint32 and a.seed.shape == a.index.shape
        assert a.index.min() >= 0 and a.index.max() < len(LABELS)
    assert not np.array_equal(plans[0][0].seed, other[0].seed)
    if name != 'sequential':
        assert not np.array_equal(np.concatenate([p.index for p in plans[0]]), np.concatenate([p.index for p in other]))


def test_items_of_an_epoch_have_different_seeds():
    seeds = np.concatenate([p.seed for p in Random(np.zeros(5000), 64).plan(0, RNG(0))])
    assert len(np.unique(seeds)) >= 4999


def test_random_shows_every_image_once_and_treats_the_last_batch_as_asked():
    batches = list(Random(LABELS, 16).indices(0, RNG(0), None))
    assert sorted(np.concatenate(batches)) == list(range(97)) and [len(b) for b in batches] == [16] * 6 + [1]
    assert [len(b) for b in Random(LABELS, 16, 'discard').indices(0, RNG(0), None)] == [16] * 6
    assert np.concatenate(Sequential(LABELS, 16).indices(0, RNG(0), None)).tolist() == list(range(97))


@pytest.mark.parametrize('sampler', [PK, PKEE, Ranking])
def test_batches_are_exactly_p_classes_of_k(sampler):
    for epoch in range(5):
        for index in sampler(LABELS, 16, 4).indices(epoch, RNG(epoch), None):
            blocks = LABELS[index].reshape(4, 4)
            assert (blocks == blocks[:, :1]).all()
            assert len(set(blocks[:, 0])) == 4


def test_pk_shows_every_image_about_once():
    labels = RNG(0).randint(0, 100, 5864)
    count = np.bincount(np.concatenate(list(PK(labels, 80, 4).indices(0, RNG(1), None))), minlength=5864)
    assert (count == 1).mean() > 0.93 and (count > 0).mean() > 0.96 and count.max() == 2
    whole = np.repeat(np.arange(20), 8)
    count = np.bincount(np.concatenate(list(PK(whole, 20, 4).indices(0, RNG(1), None))), minlength=160)
    assert count.max() == 1 and count.sum() >= 140


def test_groups_repeat_images_only_when_the_class_is_too_small():
    groups = groups_of(np.arange(10, 20), 4, RNG(0))
    assert groups.shape == (3, 4) and set(groups.ravel()) == set(range(10, 20))
    assert all(len(set(g)) == 4 for g in groups)
    small = groups_of(np.array([7, 8, 9]), 8, RNG(0))
    assert small.shape == (1, 8) and set(small.ravel()) == {7, 8, 9}
    assert groups_of(np.array([7]), 2, RNG(0)).tolist() == [[7, 7]]


@pytest.mark.parametrize('name', ['pk', 'pk_ee', 'blocks', 'ranking'])
@pytest.mark.parametrize('flags, words', [
    ({'batch_size': 18, 'num_instances': 4}, '--batch_size=16 or 20'),
    ({'batch_size': 64, 'num_instances': 4}, 'has'),
    ({'batch_size': 8, 'num_instances': 1}, 'at least 2'),
])
def test_impossible_batches_are_refused_with_the_fix(name, flags, words):
    with pytest.raises(UserError, match='Fix') as error:
        built(name, **flags)
    assert words in str(error.value)


def test_the_names_that_the_originals_gave_k():
    assert built('pk', batch_k=8).num_instances == built('pk', Triplet_K=8).num_instances == 8


@needs_shared
@pytest.mark.parametrize('path', reference('embedding_expansion/sampler_*.npz'), ids=lambda p: p.stem)
def test_pk_ee_gives_the_recorded_order(path):
    recorded = np.load(path)
    flags = json.loads(str(recorded['param_json'].reshape(-1)[0]))
    labels, rng, again = recorded['in_labels'], RNG(flags['np_random_seed']), RNG(flags['np_random_seed'])
    size, k = flags['batch_size'], flags['num_images_per_id']
    for epoch in range(2):
        expected = recorded[f'out_indices_epoch{epoch}']
        order = draw(labels, flags['max_num_examples_per_iter'], size, k, rng)
        np.testing.assert_array_equal(order, expected)
        batches = PKEE(labels, size, k).indices(epoch, again, None)
        np.testing.assert_array_equal(np.concatenate(batches), expected[:len(expected) // size * size])


def test_pk_ee_quirks():
    labels = np.repeat(np.arange(98), 82)
    batches = PKEE(labels, 128, 32).indices(0, RNG(0), None)
    assert len(batches) == 24 and all(len(b) == 128 for b in batches)          # 3136 = 24.5 batches
    twice = [len(set(b[k:k + 32])) < 32 for b in batches for k in range(0, 128, 32)]
    assert 0.2 < np.mean(twice) < 0.6                                          # the picked image may be drawn again


def test_pairs_are_anchors_then_positives_of_distinct_classes():
    for index in Pairs(LABELS, 12).indices(0, RNG(0), None):
        anchor, positive = index[:6], index[6:]
        np.testing.assert_array_equal(LABELS[anchor], LABELS[positive])
        assert len(set(LABELS[anchor])) == 6 and (anchor != positive).all()
        assert 11 not in LABELS[index]                                         # one image: no pair
    with pytest.raises(UserError, match='odd'):
        Pairs(LABELS, 7)
    with pytest.raises(UserError, match='11. Fix: --batch_size=22'):
        Pairs(LABELS, 24)


def test_pairs_from_one_super_class():
    labels = np.repeat(np.arange(40), 6)
    batches = list(Pairs(labels, 20, 0.7, labels // 10).indices(0, RNG(0), None))
    shares = [Counter(labels[b[:10]] // 10).most_common(1)[0][1] for b in batches[:4]]
    assert len(batches) >= 10 and min(shares) >= 7 and all(len(set(labels[b[:10]])) == 10 for b in batches)
    with pytest.raises(UserError, match='--super_share=0.7'):
        Pairs(labels, 20, 0.7)


@pytest.mark.parametrize('blocks', sorted(BLOCKS))
def test_blocks_are_distinct_images_of_distinct_classes(blocks):
    sampler = Blocks(LABELS, 12, 4, blocks, 50, SUPER)
    batches = list(sampler.indices(0, RNG(0), None))
    assert len(batches) == 50
    for index in batches:
        assert len(set(index)) == len(index)
        found = LABELS[index].reshape(-1, 4)
        assert (found == found[:, :1]).all() and len(set(found[:, 0])) == len(found)
        assert 3 not in found and 11 not in found                              # three images and one image
        if blocks.endswith('_in'):
            assert len(set(SUPER[index])) == 1
    assert len(Blocks(LABELS, 12, 4, blocks, 0, SUPER).plan(0, RNG(0))) == BLOCKS[blocks][0]
    if blocks.endswith('_in'):
        with pytest.raises(UserError, match='--blocks=cub'):
            Blocks(LABELS, 12, 4, blocks)


def test_blocks_draw_with_the_documented_chances():
    labels, above = np.repeat(np.arange(4), [30, 10, 10, 10]), np.repeat([0, 0, 1, 1], [30, 10, 10, 10])

    def share(blocks, size, of):
        batches = Blocks(labels, size, 5, blocks, 2000, above).indices(0, RNG(0), None)
        return np.mean([of(index) for index in batches])

    assert abs(share('cub', 5, lambda i: labels[i[0]] == 0) - 1 / 4) < 0.03
    assert abs(share('fashion_cross', 5, lambda i: labels[i[0]] == 0) - 1 / 2) < 0.03
    assert abs(share('ebay_in', 10, lambda i: above[i[0]] == 0) - 2 / 3) < 0.03
    assert abs(share('fashion_in', 10, lambda i: above[i[0]] == 0) - 1 / 2) < 0.03


def test_a_small_super_class_gives_a_smaller_batch():
    labels = np.repeat(np.arange(5), 4)
    sizes = {len(i) for i in Blocks(labels, 12, 4, 'fashion_in', 40, np.minimum(labels, 2) // 2).indices(0, RNG(0), 0)}
    assert sizes == {8, 12}


def test_ranking_goes_once_over_the_classes():
    labels = np.repeat(np.arange(10), 3)
    batches = list(Ranking(labels, 16, 4).indices(0, RNG(0), None))
    assert len(batches) == 2 and len(set(labels[np.concatenate(batches)])) == 8
    for block in np.concatenate(batches).reshape(-1, 4):
        assert sorted(Counter(block).values()) == [1, 1, 2]                    # three images fill four places evenly


@needs_shared
@pytest.mark.parametrize('path', reference('local_sampling/build_batches_*.npz'), ids=lambda p: p.stem)
def test_local_batches_and_triplets_as_recorded(path):
    recorded = np.load(path)
    flags = json.loads(str(recorded['param_json'].reshape(-1)[0]))
    batches = build_batches(recorded['in_features'], recorded['in_labels'], flags['batch_size'], flags['n_target'],
                            recorded['in_kmeans_labels'], RNG(flags['np_random_seed']))
    assert len(batches) == flags['n_batches']
    for k, (index, triplets) in enumerate(batches):
        np.testing.assert_array_equal(index, recorded[f'out_batch{k}_index'])
        np.testing.assert_array_equal(triplets(), recorded[f'out_batch{k}_triplets'])
        assert len(triplets) == triplets().shape[1]


def test_local_triplets_are_those_of_the_miner_and_small_until_they_are_due():
    for plan in Local(LABELS, 30, 3).plan(0, RNG(0), lambda: EMBEDDING):
        expected = mining.build_triplets(EMBEDDING[plan.index], LABELS[plan.index], 3)
        np.testing.assert_array_equal(plan.extra(), expected)
        assert plan.extra.pairs.nbytes <= 2 * 8 * 3 * len(plan.index)


def test_local_leaves_out_clusters_without_a_triplet():
    labels = np.array([0, 0, 0, 1, 1, 2, 3])
    found = build_batches(np.arange(7.0)[:, None], labels, 4, 2, np.array([0, 0, 0, 1, 1, 1, 3]), RNG(0))
    assert [index.tolist() for index, _ in found] == [[3, 4, 5]]               # one class; cluster 2 empty; 3 is lone


def test_local_goes_over_the_neighbourhoods_as_often_as_asked():
    once, thrice = (Local(LABELS, 20, 3, recluster=n).plan(0, RNG(0), lambda: EMBEDDING) for n in (1, 3))
    assert len(thrice) == 3 * len(once)
    np.testing.assert_array_equal(thrice[0].index, thrice[len(once)].index)
    assert not np.array_equal(thrice[0].seed, thrice[len(once)].seed)
    with pytest.raises(UserError, match='not finite'):
        Local(LABELS, 20).plan(0, RNG(0), lambda: EMBEDDING * np.nan)


def test_k_means_finds_separated_groups_and_repeats_itself():
    truth = np.repeat(np.arange(5), 40)
    x = (np.eye(5)[truth] * 20 + RNG(0).randn(200, 5)).astype(np.float32)
    found = min((cluster(x, 5, seed) for seed in range(5)), key=lambda f: ((x - np.array(
        [x[f == k].mean(axis=0) if (f == k).any() else x[0] for k in range(5)])[f]) ** 2).sum())
    assert len(set(zip(truth, found))) == 5
    np.testing.assert_array_equal(cluster(x, 5, 3), cluster(x, 5, 3))


def test_neighbourhoods_at_random_are_as_many_and_all_images():
    plans = Local(LABELS, 20, 3, neighbourhoods='random').plan(0, RNG(0), lambda: EMBEDDING)
    sizes = [len(plan.index) for plan in plans]
    assert len(plans) == len(LABELS) // 20 and max(sizes) <= 20 + len(LABELS) % 20
    assert len(np.unique(np.concatenate([plan.index for plan in plans]))) == sum(sizes)
    assert len({tuple(sorted(plan.index)) for plan in Local(LABELS, 20, 3).plan(0, RNG(0), lambda: EMBEDDING)}
               & {tuple(sorted(plan.index)) for plan in plans}) == 0
