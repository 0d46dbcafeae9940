"""A frozen trunk: features computed once train the same head as the whole network with its trunk held still."""

import json

import numpy as np
import pytest

import main
from core.runtime import nd
from datasets.features import kept, marks_of, name_of
from datasets.records import Split
from engine import checkpoint

COMMON = ['--data_name=glyphs', '--glyphs_classes=8', '--glyphs_instances=8', '--batch_size=16', '--epochs=2',
          '--transform=none', '--figures=0', '--train_stats=0', '--optim=sgd', '--lr=0.1', '--num_workers=0']


def trained(tmp_path, name, *words):
    assert main.main([*COMMON, *words, f'--data_dir={tmp_path}/letters', f'--save_dir={tmp_path}/{name}']) == 0
    file = checkpoint.locate(f'{tmp_path}/{name}') / 'net.params'
    return ({name: array.asnumpy() for name, array in nd.load(str(file)).items() if array.dtype == np.float32},
            json.loads((tmp_path / name / 'result.json').read_text()))


@pytest.mark.parametrize('words', (['--loss=margin', '--num_instances=4'], ['--loss=heated_softmax', '--bn'],
                                   ['--loss=softmax_ranking', '--sampler=random', '--eval_epoch_term=1']),
                         ids=lambda words: words[0])
def test_cached_features_train_the_same_head(tmp_path, words):
    whole, one = trained(tmp_path, 'whole', *words, '--base_lr_mult=0', '--freeze_bn')
    frozen, other = trained(tmp_path, 'frozen', *words, '--freeze_trunk', '--freeze_bn')
    assert set(whole) == set(frozen)
    for name, array in whole.items():
        np.testing.assert_allclose(frozen[name], array, rtol=1e-4, atol=1e-5, err_msg=name)
    assert other['recall'] == pytest.approx(one['recall'], abs=0.02)
    assert other['iterations'] == one['iterations'] > 4


def test_features_are_computed_once_for_each_file_and_trunk(tmp_path):
    split = Split(np.zeros(4, int), paths=list('abcd'), names={0: 'x'}, root=str(tmp_path))
    for name in 'abcd':
        (tmp_path / name).write_bytes(b'1')
    calls = []

    def rows(part):
        def compute(index):
            calls.append([part.paths[i] for i in (range(len(part)) if index is None else index)])
            return np.array([[ord(name), len(calls)] for name in calls[-1]], np.float32)
        return kept(tmp_path / 'kept', name_of(part, 'trunk'), marks_of(part), compute).tolist()
    assert rows(split.subset([0, 2])) == [[97, 1], [99, 1]]
    assert rows(split) == [[97, 1], [98, 2], [99, 1], [100, 2]] == rows(split)
    assert rows(split.subset([3, 0])) == [[100, 2], [97, 1]] and calls == [['a', 'c'], ['b', 'd']]
    assert name_of(split, 'another trunk') != name_of(split, 'trunk')
    (tmp_path / 'b').write_bytes(b'22')
    assert rows(split)[1] == [98, 3] and calls[2] == ['b']
    file, = (tmp_path / 'kept').iterdir()
    file.write_bytes(file.read_bytes()[:200])                          # damaged: as if it were not there
    assert rows(split)[3] == [100, 4]
    (tmp_path / 'b').unlink()
    assert rows(split)[1] == [98, 5] and marks_of(split) is None       # what is not there has no mark


def test_a_head_that_needs_whole_maps_is_refused(tmp_path, capsys):
    assert main.main([*COMMON, '--loss=softmax_ranking', '--train_mode=hard', '--freeze_trunk', '--num_instances=4',
                      f'--data_dir={tmp_path}/letters', f'--save_dir={tmp_path}/run']) == 2
    assert '--base_lr_mult=0 --freeze_bn instead' in capsys.readouterr().err
    assert not (tmp_path / 'run').exists()


def test_a_frozen_run_resumes_bit_for_bit(tmp_path):
    straight, _ = trained(tmp_path, 'straight', '--loss=margin', '--freeze_trunk', '--num_instances=4')
    trained(tmp_path, 'parts', '--loss=margin', '--freeze_trunk', '--num_instances=4', '--epochs=1')
    assert main.main([f'--resume={tmp_path}/parts', '--epochs=2']) == 0
    resumed = nd.load(str(checkpoint.locate(f'{tmp_path}/parts') / 'net.params'))
    for name, array in straight.items():
        np.testing.assert_array_equal(resumed[name].asnumpy(), array, err_msg=name)
