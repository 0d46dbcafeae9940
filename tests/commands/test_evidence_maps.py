"""The maps of MNIST: every training of the plan, its table, its picture, and what the figures say of the paper."""

import argparse
import json

import numpy as np
import pytest
from PIL import Image

from commands import children
from commands.evidence import maps
from commands.words import words_of
from recipes import evidence_maps as plan


@pytest.fixture
def places(tmp_path, monkeypatch):
    """docs/ in another folder, trainings in this process."""
    monkeypatch.setattr(maps, 'TABLE', tmp_path / 'docs' / 'mnist_maps.csv')
    monkeypatch.setattr(maps, 'LOGS', tmp_path / 'docs' / 'logs')
    monkeypatch.setattr(maps, 'PICTURE', tmp_path / 'docs' / 'figures' / 'maps.png')
    monkeypatch.setattr(maps.read, '__defaults__', (maps.TABLE,))
    monkeypatch.setattr(maps.write, '__defaults__', (maps.TABLE,))
    monkeypatch.setattr(children, 'call', children.here)
    return tmp_path


def test_trainings_are_the_papers_and_a_short_map_keeps_its_share_of_hot_epochs():
    long = {name: flags for name, _, _, flags in maps.trainings(100)}
    assert list(long) == ['known_answer', 'map_0.25', 'map_4', 'map_16', 'map_64', 'map_heated', 'map_32']
    assert [long[name]['alpha'] for name in long] == [16, 0.25, 4, 16, 64, 16, 32]
    heated = long['map_heated']
    assert (heated['epochs'], heated['nb_hu_epoch'], heated['lr']) == (100, 20, 1e-3)
    assert (long['known_answer']['epochs'], long['known_answer']['nb_hu_epoch']) == (20, 5)
    short = {name: flags for name, _, _, flags in maps.trainings(20)}
    assert (short['map_heated']['nb_hu_epoch'], short['known_answer']['nb_hu_epoch']) == (4, 5)
    assert 'nb_hu_epoch' not in short['map_16'] and not short['map_16'].get('heat_up')
    # 6 maps of 100 times 55,000 digits and 20 times 8,000
    assert maps.hours() == pytest.approx((33e6 + 160e3) / 1000 / 3600)


def test_maps_are_trained_written_drawn_and_not_trained_again(places, monkeypatch):
    rng = np.random.RandomState(0)
    images, labels = rng.randint(0, 256, (60, 28, 28)).astype(np.uint8), np.arange(60) % 10
    for name, arrays in (('mnist', {'x_train': images, 'y_train': labels, 'x_test': images, 'y_test': labels}),
                         ('mnist_t10k', {'images': images, 'labels': labels})):
        (places / name).mkdir()
        np.savez(places / name / f'{name}.npz', **arrays)
    monkeypatch.setattr(plan, 'FLAGS', dict(plan.FLAGS, batch_size=16, gpu_idx='cpu'))
    monkeypatch.setattr(plan, 'KNOWN', dict(plan.KNOWN, epochs=2, hot=2))
    monkeypatch.setattr(plan, 'MAPS', {name: plan.MAPS[name] for name in ('map_4', 'map_heated')})
    monkeypatch.setattr(maps, 'statements', lambda lines: [])
    args, finished = argparse.Namespace(data_root=str(places), epochs=2), []
    assert maps.run(args, str(places / 'runs'), lambda: finished.append(len(maps.read()))) == 0
    assert finished == [1, 2, 3]
    rows = maps.read()
    assert [(row['map'], row['digits'], row['updates'], row['hot_epochs']) for row in rows] == [
        ('known_answer', '48', '6', '1'), ('map_4', '60', '6', '0'), ('map_heated', '60', '6', '1')]
    kept = json.loads((places / 'docs/logs/mnist_maps_map_4.json').read_text())
    assert [line[:2] for line in kept['log']] == [[0, 3], [1, 6]] and len(kept['weights']) == 10
    assert {label: len(values) for label, values in kept['degrees'].items()} == {str(i): 6 for i in range(10)}
    with Image.open(maps.PICTURE) as picture:
        assert picture.size == (410, 265)
    monkeypatch.setattr(children, 'call', None)
    assert maps.run(args, str(places / 'runs'), finished.clear) == 0
    text = '\n'.join(maps.section())
    assert '| map_heated | 60 | 2, 1 | 6 |' in text and 'Recall@1 90.3' in text


def row(name, updates, accuracy, precision, spread):
    return dict.fromkeys(maps.COLUMNS, '') | {
        'map': name, 'updates': str(updates), 'accuracy': str(accuracy), 'map_at_r': str(precision),
        'spread': str(spread), 'gap': '9'}


def test_a_longer_map_stays_and_the_verdict_counts_what_the_paper_says(places):
    (places / 'docs').mkdir()
    assert maps.verdict() == 'not yet measured' and maps.section() == []
    found = {'map_0.25': (0.5, 0.4, 3), 'map_4': (0.98, 0.96, 3), 'map_16': (0.97, 0.95, 5),
             'map_32': (0.96, 0.9, 7), 'map_64': (0.95, 0.8, 9), 'map_heated': (0.98, 0.97, 4)}
    for name, figures in found.items():
        assert maps.write(row(name, 2 if name == 'map_32' else 10, *figures))    # which the figure does not have
    assert maps.verdict() == 'holds (one seed)'
    assert not maps.write(row('map_4', 9, 0, 0, 0)) and len(maps.read()) == 6
    assert maps.write(row('map_4', 10, 0.98, 0.99, 10))
    assert maps.verdict() == 'holds in part: 2 of 4 statements (one seed)'
    assert maps.write(row('map_4', 11, 0.98, 0.99, 10))
    assert maps.verdict() == '6 of 6 maps measured'


def test_words_of_a_map_can_be_trained():
    from commands import layers
    for _, data, _, flags in maps.trainings(100):
        layers.parse('train', words_of(dict(flags, data_name=data, data_dir='x')))
