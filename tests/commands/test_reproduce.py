"""A row of the results table runs again with its own command, and old stands beside new."""

import pytest

from commands import children, layers, reproduce
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
