"""A frozen trunk: features computed once train the same head as the whole network with its trunk held still."""

import json

import numpy as np
import pytest

import main
import models
from core.errors import UserError
from core.gluon_internals import named_parameters
from core.runtime import nd
from datasets.features import kept, marks_of, name_of
from datasets.records import Split
from engine import checkpoint
from engine.update import parameters_in
from models.frozen import Tail

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
    assert '--freeze_blocks=N, which keeps maps' in capsys.readouterr().err
    assert not (tmp_path / 'run').exists()


def test_a_frozen_run_resumes_bit_for_bit(tmp_path):
    straight, _ = trained(tmp_path, 'straight', '--loss=margin', '--freeze_trunk', '--num_instances=4')
    trained(tmp_path, 'parts', '--loss=margin', '--freeze_trunk', '--num_instances=4', '--epochs=1')
    assert main.main([f'--resume={tmp_path}/parts', '--epochs=2']) == 0
    resumed = nd.load(str(checkpoint.locate(f'{tmp_path}/parts') / 'net.params'))
    for name, array in straight.items():
        np.testing.assert_array_equal(resumed[name].asnumpy(), array, err_msg=name)


@pytest.mark.parametrize('first', (1, 2, 3))
@pytest.mark.parametrize('head', ('two_head', 'cascade'))
def test_the_tail_on_maps_is_the_network(first, head):
    net = models.build('convnet', 5, head, image_size=32, feature='pooled', dims=[2, 3])
    image = nd.array(np.random.RandomState(0).randint(0, 256, (4, 32, 32, 3)), dtype='uint8')
    if head == 'cascade' and first == 3:        # which takes the maps behind blocks 3 and 4
        with pytest.raises(UserError, match='--freeze_blocks=2 or fewer'):
            Tail(net, first)
        return
    tail = Tail(net, first)
    tail.hybridize(static_alloc=True)
    expected, maps = [array.asnumpy() for array in net(image)], net.behind(image, first)
    for array, wanted in zip(tail(maps), expected):
        np.testing.assert_allclose(array.asnumpy(), wanted, rtol=1e-5, atol=1e-6)
    trained = {parameter.name for parameter in parameters_in(tail)}
    frozen = {parameter.name for parameter in parameters_in(net)} - trained - {net.offset.name, net.scale.name}
    assert len(frozen) == 5 * first and len(trained) == 5 * (4 - first) + (2 if head == 'two_head' else 4)


def test_the_last_block_is_trained_for_a_head_that_takes_maps(tmp_path):
    words = ['--loss=softmax_ranking', '--train_mode=hard', '--num_instances=4', '--sampler=pk', '--embed_dim=4']
    start, _ = trained(tmp_path, 'start', *words, '--freeze_blocks=3', '--lr=0')
    end, _ = trained(tmp_path, 'end', *words, '--freeze_blocks=3')
    moved = {name for name, array in start.items() if not np.array_equal(array, end[name]) and 'running' not in name}
    assert moved and all(name.startswith(('trunk.3.', 'head.')) for name in moved)


def test_kept_maps_are_known_again_after_the_last_block_moved():
    net = models.build('convnet', 5, image_size=32)
    before = net.fingerprint(trunk_only=True, first=3)
    moved, frozen = (named_parameters(net.trunk)[name] for name in ('3.1.weight', '2.1.weight'))
    moved.set_data(moved.data() + 1)
    assert net.fingerprint(trunk_only=True, first=3) == before != net.fingerprint(trunk_only=True, first=4)
    frozen.set_data(frozen.data() + 1)
    assert net.fingerprint(trunk_only=True, first=3) != before


def test_blocks_that_are_not_there(tmp_path, capsys):
    for words, message in ((['--freeze_blocks=4'], '--freeze_blocks=4: the trunk convnet has 4 blocks'),
                           (['--freeze_blocks=1', '--freeze_trunk'], 'Fix: one of them')):
        assert main.main([*COMMON, '--loss=margin', '--num_instances=4', *words, f'--data_dir={tmp_path}/letters',
                          f'--save_dir={tmp_path}/run']) == 2
        assert message in capsys.readouterr().err
