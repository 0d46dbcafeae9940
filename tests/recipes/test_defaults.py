"""The papers' settings: each stands once, for a loss that exists, under names that are flags."""

import pytest

import losses
import recipes
from commands import layers


def test_a_loss_belongs_to_at_most_one_paper():
    owners = [loss for paper in recipes.PAPERS.values() for loss in paper.DEFAULTS]
    assert sorted(owners) == sorted(set(owners)) and set(owners) <= set(losses.LOSSES) and len(owners) >= 13


@pytest.mark.parametrize('loss', [loss for paper in recipes.PAPERS.values() for loss in paper.DEFAULTS])
def test_on_a_benchmark_a_loss_trains_with_its_papers_settings(loss):
    words = ['--loss=' + loss, '--data_name=cub200']
    flags = vars(layers.training_parser(words, {}).parse_args(words))
    wanted = recipes.defaults(loss)
    assert wanted and {key: flags[key] for key in wanted} == wanted


def test_a_loss_of_no_paper_has_no_settings():
    assert recipes.defaults('of_ones_own') == {} == recipes.constants('of_ones_own')


def test_what_is_handed_out_is_a_copy():
    recipes.defaults('margin')['lr'] = 7
    assert recipes.defaults('margin')['lr'] == recipes.defaults('triplet_semihard')['lr'] == 1e-4


def test_the_constants_that_are_not_mxnets():
    assert recipes.constants('margin') == {'adam': {'epsilon': 1e-7}}
    assert recipes.constants('heated_softmax')['rmsprop'] == {
        'form': 'tfrmsprop', 'decay': 0.9, 'momentum': 0.9, 'epsilon': 1.0}
    assert recipes.constants('sst') == {}
