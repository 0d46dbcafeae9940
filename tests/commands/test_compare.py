"""compare: equal conditions, folds, separated and concatenated embeddings, going on where it stopped."""

import json

import numpy as np
import pytest

import main
from commands import children, compare, layers
from core.errors import UserError
from core.normalize import unit_rows
from evaluation.embeddings import load_embeddings

SMALL = ['--data_name=glyphs', '--glyphs_classes=8', '--glyphs_instances=4', '--batch_size=8', '--updates=2',
         '--folds=2', '--embed_dim=4', '--gpu_idx=cpu']


@pytest.fixture
def calls(monkeypatch):
    """The command lines that compare runs; here they run in this process."""
    found = []

    def call(words):
        found.append(words)
        return main.main(words)
    monkeypatch.setattr(children, 'here', call)
    return found


def test_two_losses_are_compared_and_a_second_call_trains_nothing(tmp_path, calls):
    words = ['compare', '--losses=margin,margin+beta=0.6', '--grid=lr=1e-3,1e-2', f'--save_dir={tmp_path}', *SMALL]
    assert main.main(words) == 0
    trained = [one for one in calls if one[0] != 'embed']
    # each loss: 2 folds with both rates; the test classes for the folds of the better one, with the head and pooled
    assert len(trained) == 2 * 2 * 2 and len(calls) - len(trained) == 2 * 2 * 2
    result = json.loads((tmp_path / 'compare.json').read_text())
    best, other = result['results']
    assert {best['loss'], other['loss']} == {'margin', 'margin+beta=0.6'}
    assert np.mean(best['concatenated']['map_at_r']) >= np.mean(other['concatenated']['map_at_r'])
    for one in (best, other):
        folder = tmp_path / one['loss'] / one['settings'][0].lstrip('-')
        runs = [json.loads((folder / f'seed0-fold{fold}' / 'result.json').read_text()) for fold in (1, 2)]
        assert [run['iterations'] for run in runs] == [2, 2]
        assert one['folds_map_at_r'] == np.mean([run['selection']['last']['map_at_r'] for run in runs])
        loaded = [load_embeddings(folder / f'seed0-fold{fold}' / 'test.npz') for fold in (1, 2)]
        assert len(set(loaded[0].labels)) == 8                     # the test classes, not the fold's
        parts = [unit_rows(part.embeddings) for part in loaded]
        alone = [nearest_is_right(part, loaded[0].labels) for part in parts]
        assert one['separated']['R@1'][0] == pytest.approx(np.mean(alone))
        assert one['concatenated']['R@1'][0] == pytest.approx(nearest_is_right(np.hstack(parts), loaded[0].labels))
        pooled = [load_embeddings(folder / f'seed0-fold{fold}' / 'pooled.npz') for fold in (1, 2)]
        assert {part.embeddings.shape[1] for part in pooled} == {256} != {loaded[0].embeddings.shape[1]}
        alone = [nearest_is_right(unit_rows(part.embeddings), part.labels) for part in pooled]
        assert one['pooled']['R@1'][0] == pytest.approx(np.mean(alone))
    text = (tmp_path / 'compare.md').read_text()
    assert text.startswith('2 updates for every loss, 2 folds of the training classes, 1 run;') and ' ± ' not in text
    # weights of the better rate alone: 40 trainings of six settings would leave 1 GB a loss
    weights = {path.parent.parent.name for path in tmp_path.glob('margin/*/*/last')}
    assert weights == {run['settings'][0].lstrip('-') for run in (best, other) if run['loss'] == 'margin'}
    calls.clear()
    assert main.main(words) == 0 and not calls
    assert (tmp_path / 'compare.md').read_text() == text
    assert main.main([word.replace('--updates=2', '--updates=3') for word in words]) == 2     # another budget: refused
    # a grid without the better rate: the other one's networks are trained again and score the test classes
    worse = {'lr=1e-3': 'lr=1e-2', 'lr=1e-2': 'lr=1e-3'}[weights.pop()]
    fewer = [f'--grid={worse}' if word.startswith('--grid') else word for word in words]
    assert main.main([word.replace(',margin+beta=0.6', ',npair') for word in fewer]) == 0
    assert {path.parent.parent.name for path in tmp_path.glob('margin/*/*/last')} == {'lr=1e-2', 'lr=1e-3'}
    again = [tmp_path / 'margin' / worse / f'seed0-fold{fold}' for fold in (1, 2)]
    assert all((folder / 'test.npz').exists() for folder in again)
    # damaged weights are refused by name, and nothing of the training is lost
    (again[0] / 'test.npz').unlink()
    next((again[0] / 'checkpoints').glob('last-*')).joinpath('net.params').write_bytes(b'x')
    assert main.main([word.replace(',margin+beta=0.6', ',npair') for word in fewer]) != 0
    assert (again[0] / 'result.json').exists() and (again[0] / 'log.jsonl').exists()


def test_over_runs_the_table_has_intervals_and_paired_differences():
    plan = compare.Plan(['a', 'b'], 7, 4, [0, 1], [[]], '/x', [])
    found = [{'loss': loss, 'settings': [], **{way: {'R@1': [0.5, 0.5], 'map_at_r': scores} for way in (
        'separated', 'concatenated')}} for loss, scores in (('a', [0.30, 0.40]), ('b', [0.28, 0.39]))]
    text = compare.table(plan, found)
    # Student's t of 1 degree of freedom: 12.706; half of the interval: 12.706 x 0.0707 / sqrt(2) = 0.635
    assert '| a |  | 50.00 ± 0.00 | 35.00 ± 63.53 | 50.00 ± 0.00 | 35.00 ± 63.53 |  |' in text
    assert '| -1.50 (-7.85 to 4.85) |' in text and 'pooled' not in text
    found[1]['pooled'] = {'R@1': [0.25, 0.25], 'map_at_r': [0.125, 0.125]}    # one of them trains its trunk
    text = compare.table(plan, found)
    assert '| R@1 pooled | MAP@R pooled | MAP@R less the best |' in text
    assert '| 25.00 ± 0.00 | 12.50 ± 0.00 | -1.50' in text
    assert '| 35.00 ± 63.53 |  |  |  |' in text


def nearest_is_right(x, labels):
    """Recall@1 by definition."""
    distance = ((x[:, None].astype(float) - x[None]) ** 2).sum(axis=2)
    np.fill_diagonal(distance, np.inf)
    return np.mean(labels[distance.argmin(axis=1)] == labels)


def test_every_loss_gets_the_same_conditions(tmp_path):
    plan = compare.read(['--losses=margin,npair,heated_softmax,sst', '--data_name=cub200', '--lr', '3e-5',
                         '--updates=7', f'--save_dir={tmp_path}'])
    flags = [vars(layers.parse('train', compare.training(plan, loss, [], 0, 1))) for loss in plan.losses]
    same = ('backbone', 'pretrained', 'image_size', 'embed_dim', 'batch_size', 'transform', 'optim', 'lr', 'wd',
            'lr_schedule', 'metric', 'train_iters', 'fold', 'epochs', 'head_lr_mult', 'conv_lr_mult', 'early_stopping',
            'freeze_trunk')
    assert len({json.dumps([one[key] for key in same]) for one in flags}) == 1
    # what a package carries, so that own photos are compared without any download
    assert (flags[0]['backbone'], flags[0]['freeze_trunk'], flags[0]['embed_dim']) == ('efficientnet_lite0', True, 512)
    assert (flags[0]['num_instances'], 'num_instances' in flags[2]) == (4, False)
    assert (flags[0]['lr'], flags[0]['train_iters'], flags[0]['fold']) == (3e-5, 7, (1, 4))


@pytest.mark.parametrize('words, said', [
    (['--losses=margin'], 'two or more different losses'),
    (['--losses=margin,margin'], 'two or more different losses'),
    (['--losses=margin,nothing'], '--losses=nothing is unknown'),
    (['--losses=margin,npair', '--grid=lr'], '--grid=lr is not a flag with values'),
    (['--losses=margin,npair', '--grid=lr=1e-3,inf'], '--grid=lr=inf: --lr=inf: not a finite number'),
    (['--losses=margin,npair', '--grid=lr=1e-3,1e-3'], '--grid=lr=1e-3,1e-3 names a value twice. Fix: each once'),
    (['--losses=margin,npair', '--grid=lr=1', '--grid=lr=2'], '--grid=lr=2: lr has its values already. Fix: one'),
    (['--losses=margin,margin+nope=1'], r'--losses=margin\+nope=1: --nope=1 is not a flag here'),
    (['--losses=margin,margin+beta=x'], r'--losses=margin\+beta=x: --beta=x: not a number'),
    (['--losses=margin,npair', '--fold=1/4'], 'compare sets this flag itself'),
    (['--losses=margin,npair', '--no_flag=1'], '--no_flag=1 is not a flag here'),
    (['--updates=3'], '--losses is missing'),
])
def test_what_cannot_be_compared_is_said_before_anything_runs(words, said):
    with pytest.raises(UserError, match=said):
        compare.read(words)


def test_a_later_loss_that_could_not_train_is_refused_before_the_first_one_trains(tmp_path, calls, capsys):
    words = ['compare', '--losses=margin,triplet_semihard+num_instances=3', f'--save_dir={tmp_path}', *SMALL]
    for more in ([], ['--dry_run']):
        assert main.main(words + more) == 2 and not calls and not any(tmp_path.iterdir())
        assert '--num_instances=3' in capsys.readouterr().err


def test_a_training_that_fails_or_is_stopped_ends_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr(children, 'here', lambda words: 130)
    assert main.main(['compare', '--losses=margin,npair', f'--save_dir={tmp_path}', *SMALL]) == 130
