"""A row of the results table runs again with its own command, and old stands beside new."""

import json
import os
import pathlib

import pytest

import main
from commands import children, layers, reproduce
from commands.evidence import again
from commands.evidence.tables import read
from core.errors import UserError


def test_every_row_has_a_command_that_parses_today():
    for row in reproduce.rows().values():
        found = layers.parse('train', reproduce.words(row, '/data', '/weights'))
        assert found.loss == row['loss'] and found.pretrained == '/weights/mobilenet0.5_imagenet.params'


def test_a_root_that_is_needed_is_asked_for():
    row = {'command': 'python3 main.py --loss=margin --data_dir=DATA/birds --pretrained=WEIGHTS/a.params'}
    assert reproduce.words(row, '/d', '/w') == ['--loss=margin', '--data_dir=/d/birds', '--pretrained=/w/a.params']
    with pytest.raises(UserError, match='no folder WEIGHTS/ is known. Fix: --weights_root=DIR, which holds a.params'):
        reproduce.words(row, '/d', '')


def test_old_and_new_stand_side_by_side():
    row = {'method': 'x', 'recall@1_mean': '0.3856', 'recall@1_std': '0.0142', 'recall@2_mean': '',
           'map_at_r_mean': '0.0846', 'map_at_r_std': ''}
    text = reproduce.comparison(row, [{'recall': {'1': 0.39}, 'map_at_r': 0.08},
                                      {'recall': {'1': 0.41}, 'map_at_r': 0.1}])
    assert '| recall@1 | 38.6 ± 1.4 | 40.0 ± 1.4 | +1.4 |' in text
    assert '| map_at_r | 8.5 | 9.0 ± 1.4 | +0.5 |' in text and 'recall@2' not in text


def test_a_training_that_has_no_checkpoint_yet_begins_anew(tmp_path):
    """As a full disk leaves it: a folder for checkpoints, but none."""
    (tmp_path / 'checkpoints').mkdir()
    (tmp_path / 'args.json').write_text('{}')
    assert children.onward(['--loss=margin'], tmp_path) == ['--loss=margin']


def test_a_claim_is_compared_again(tmp_path, monkeypatch, capsys):
    """The new figures are the old ones, and five points more for the first variant."""
    claim = again.measured()['margin_beta']
    old = {line['variant']: line for line in read() if line['claim'] == claim['name']}

    def call(words):
        called.append(words)
        folder = next(word.partition('=')[2] for word in words if word.startswith('--save_dir='))
        results = []
        for label, loss in claim['losses'].items():
            values = {name: 2 * [float(old[label][key]) + 0.05 * (label == 'learned')]
                      for name, key in (('R@1', 'recall@1'), ('map_at_r', 'map_at_r'))}
            results.append({'loss': loss, 'settings': [], 'folds_map_at_r': 0.5, 'separated': values})
        os.makedirs(folder)
        pathlib.Path(folder, 'compare.json').write_text(json.dumps({'results': results}))
        return 0
    called = []
    monkeypatch.setattr(children, 'call', call)
    words = ['reproduce', 'margin_beta', '--data_root=/d', f'--save_dir={tmp_path}']
    assert main.main([*words, '--seeds=3,4']) == 0
    assert {'--runs=2', '--seed=3', '--data_dir=/d/cub200_2010'} <= set(called[0])
    said = capsys.readouterr().out
    number = 100 * float(old['learned']['map_at_r'])
    assert f'| learned | map_at_r | {number:.1f} (' in said and f'| {number + 5:.1f} ({number + 5:.1f} to' in said
    assert said.count('| +5.0 |') == 2 and said.count('| +0.0 |') == 2
    assert main.main([*words, '--seeds=1,3']) == 2
    assert '--seeds=1,3: those of a comparison follow each other. Fix: --seeds=1,2' in capsys.readouterr().err
