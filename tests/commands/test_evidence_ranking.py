"""The modes of the ranking regulariser as evidence: equal data and grid, test photos scored once, intervals."""

import argparse
import csv
import json

import numpy as np
import pytest
from PIL import Image

from commands import layers
from commands.evidence import ranking
from recipes import evidence_ranking as plan


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Five classes of 13 pictures, a plan of two modes, docs/ in another folder."""
    rng = np.random.RandomState(0)
    for label in range(5):
        folder = tmp_path / 'cub200_2010' / 'images' / f'{label}.class'
        folder.mkdir(parents=True)
        for i in range(13):
            picture = rng.randint(0, 60, (32, 32, 3)) + 40 * label
            Image.fromarray(picture.astype(np.uint8)).save(folder / f'{i:02d}.png')
    monkeypatch.setattr(ranking, 'TABLE', tmp_path / 'docs' / 'table.csv')
    monkeypatch.setattr(ranking, 'PICTURE', tmp_path / 'docs' / 'figures' / 'modes.png')
    return tmp_path


def test_every_variant_parses_and_the_cost_is_known(tmp_path):
    assert [name for _, name, _ in ranking.variants()] == [
        *2 * ['vanilla', 'center', 'semi-hard', 'hard'], 'hard, lambda 0.25', 'hard, lambda 4']
    assert len(ranking.SETTINGS) == 4 and ranking.hours() == pytest.approx(10 * 14 * 9 / 3600)
    for _, _, flags in ranking.variants():
        for chosen in ranking.SETTINGS:
            args = layers.parse('train', ranking.words(flags, chosen, str(tmp_path), 0, 'x', 'y'))
            assert args.train_iters == plan.UPDATES and f'--wd={args.wd:g}' in (chosen[1], '--wd=0.0005')


def test_lists_of_photos(photos, monkeypatch):
    monkeypatch.setattr(plan, 'CLASSES', 4)
    files = ranking.lists(photos / 'cub200_2010' / 'images', str(photos / 'lists'))
    found = {}
    for key, file in files.items():
        with open(file, newline='') as opened:
            rows = list(csv.DictReader(opened))
        found[key] = {part: {row['path'] for row in rows if row['split'] == part} for part in ('train', 'test')}
        assert {row['label'] for row in rows} == {f'{i}.class' for i in range(4)}
    balanced, chosen = found['balanced', 'test'], found['balanced', 'choose']
    # 13 photos: 7 for training, of which a quarter, 2, chooses; the imbalanced classes keep 7, 4, 4 and 4
    assert [len(part) for part in (balanced['train'], balanced['test'], chosen['train'], chosen['test'])] == [
        28, 24, 20, 8]
    assert chosen['train'] | chosen['test'] == balanced['train'] and not balanced['train'] & balanced['test']
    thin = found['imbalanced', 'test']
    assert len(thin['train']) == 7 + 3 * 4 and thin['train'] < balanced['train'] and thin['test'] == balanced['test']


def test_variants_are_trained_written_and_not_trained_again(photos, monkeypatch):
    for key, value in {'SEEDS': 2, 'UPDATES': 3, 'LAMBDAS': (4,), 'SUBSETS': ('balanced',),
                       'MODES': {name: plan.MODES[name] for name in ('vanilla', 'hard')}}.items():
        monkeypatch.setattr(plan, key, value)
    monkeypatch.setattr(ranking, 'SETTINGS', [['--lr=1e-9'], ['--lr=0.1']])
    monkeypatch.setattr(plan, 'FLAGS', dict(plan.FLAGS, backbone='convnet', pretrained=False, image_size=32,
                                            freeze_blocks=3, batch_size=8, embed_dim=4, transform='none',
                                            gpu_idx='cpu'))
    args, finished = argparse.Namespace(data_root=str(photos)), []
    assert ranking.run(args, str(photos / 'runs'), lambda: finished.append(len(ranking.read()))) == 0
    assert finished == [2, 4, 6] and ranking.PICTURE.exists()
    lines = ranking.read()
    assert [line['variant'] for line in lines] == [*2 * ['vanilla'], *2 * ['hard'], *2 * ['hard, lambda 4']]
    assert {line['updates'] for line in lines} == {'3'} and {line['settings'] for line in lines} <= {
        '--lr=1e-9', '--lr=0.1'}
    for line in lines[:2]:       # softmax alone: its embedding is the pooled feature
        assert line['recall@1_head'] == line['recall@1_pooled']
    result = json.loads((photos / 'runs/ranking_modes/balanced/hard/seed1/result.json').read_text())
    assert lines[3]['accuracy'] == f'{result["selection"]["last"]["accuracy"]:.4f}'
    monkeypatch.setattr(ranking.children, 'here', None)
    assert ranking.run(args, str(photos / 'runs'), finished.clear) == 0 and ranking.read() == lines


def test_verdict_is_that_of_the_paired_difference(photos):
    def lines(name, values):
        return [dict.fromkeys(ranking.COLUMNS, '0.5') | {
            'subset': 'balanced', 'variant': name, 'seed': str(seed), 'accuracy': str(value), 'commit': 'abc'}
            for seed, value in enumerate(values)]
    vanilla = lines('vanilla', [0.5, 0.6, 0.7])
    assert ranking.verdict([]) == ranking.verdict(vanilla) == 'not yet measured'
    assert ranking.verdict(vanilla + lines('hard', [0.52, 0.63, 0.74])) == 'holds'
    assert ranking.verdict(vanilla + lines('hard', [0.48, 0.57, 0.66])).startswith('does not hold')
    assert ranking.verdict(vanilla + lines('hard', [0.52, 0.58, 0.7])) == 'undecided at this scale'
    ranking.write(vanilla)
    ranking.write(lines('hard', [0.52, 0.63, 0.74]))
    text = '\n'.join(ranking.section())
    # differences 0.02, 0.03, 0.04: 3 +- 4.303 / sqrt(3)
    ranking.write(lines('vanilla', [0.5, 0.6, 0.7, 0.1]))       # a seed that the other has not yet is in no pair
    assert ranking.verdict() == 'holds'
    assert '+3.0 (+0.5 to +5.5)' in text and 'Verdict (hard against vanilla, accuracy, balanced): holds' in text
