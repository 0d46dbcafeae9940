"""The evidence: its plan parses, its figures are those of the comparison, its verdicts follow from the intervals."""

import doctest
import json
import math
import pathlib

import pytest
from PIL import Image

from commands import compare, evidence, layers
from commands.evidence import baselines, curves, page, tables
from core.errors import UserError
from recipes import evidence as plan


@pytest.fixture
def claim():
    return next(one for one in plan.CLAIMS if one['name'] == 'margin_beta')


@pytest.fixture
def result(claim):
    """compare.json: the learned boundary gains 0.02, 0.03 and 0.04 over the fixed one."""
    fixed = [0.10, 0.20, 0.15]
    values = {'learned': [0.12, 0.23, 0.19], 'fixed': fixed}
    return {'results': [{'loss': loss, 'settings': ['--lr=1e-4', '--wd=0'], 'folds_map_at_r': 0.3,
                         'separated': {'R@1': values[label], 'map_at_r': values[label]}}
                        for label, loss in claim['losses'].items()]}


@pytest.mark.parametrize('one', plan.CLAIMS, ids=lambda one: one['name'])
def test_every_claim_is_a_comparison_that_parses(one, tmp_path):
    words = evidence.words(one, str(tmp_path / 'data'), str(tmp_path / 'weights'), str(tmp_path / 'out'))
    for name in ('data/cub200_2010/images/1', 'data/cars196_crops/train/1', 'data/cars196_crops/test/2'):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / 'weights').mkdir()
    (tmp_path / 'weights/mobilenet0.5_imagenet.params').write_bytes(b'')
    found = compare.read(words[1:])
    assert found.losses == list(one['losses'].values()) and found.updates == one['updates']
    assert len(found.grid) == math.prod(map(len, one.get('grid', plan.GRID).values()))
    assert len(found.seeds) == one['runs'] >= 3
    assert found.points == (5 if 'frozen' in one['data'] else 4)
    flags = [compare.training(found, loss, found.grid[0], 0, 1) for loss in found.losses]
    assert all(layers.parse('train', words).freeze_trunk == ('frozen' in one['data']) for words in flags)
    assert set(one['better']) <= set(one['losses'])


def test_the_plan_is_affordable_and_says_what_it_costs(claim):
    # 2 losses, 4 folds, 6 settings and 4 more seeds: 80 trainings of 3 s and 500 * 64 / 16000 s
    assert tables.hours(claim) == pytest.approx(80 * (3 + 2) / 3600)
    assert sum(map(tables.hours, plan.CLAIMS)) < 40


def test_pooled_features_stand_beside_the_heads_where_the_trunk_is_trained(claim, result):
    for one, value in zip(result['results'], (0.5, 0.25)):
        one['pooled'] = {'R@1': 3 * [2 * value / 3], 'map_at_r': 3 * [value]}
    lines = tables.rows(claim, result, 'abc')
    assert [line['pooled_map_at_r'] for line in lines] == ['0.5000', '0.2500']
    text = page.page(lines)
    assert '| 33.3 | 50.0 | abc |' in text and '| pooled Recall@1 | pooled MAP@R | commit |' in text


def test_figures_and_verdict(claim, result, tmp_path):
    lines = tables.rows(claim, result, 'abc')
    learned = lines[0]
    assert learned['variant'] == 'learned' and learned['map_at_r'] == '0.1800'
    assert (learned['less_reference'], learned['less_low'], learned['less_high']) == ('0.0300', '0.0052', '0.0548')
    assert learned['pooled_map_at_r'] == ''
    assert tables.verdict_of(claim, lines) == 'holds' and tables.verdict_of(claim, []) == ''
    table = tmp_path / 'evidence.csv'
    tables.write(lines, table)
    tables.write(tables.rows(claim, result, 'def'), table)
    read = tables.read(table)
    assert len(read) == 2 and {line['commit'] for line in read} == {'def'}
    text = page.page(read)
    assert '| learned | --lr=1e-4 --wd=0 | 18.0 (' in text and '+3.00 (+0.52 to +5.48) | def |' in text
    others = [module.verdict() for module in page.OTHERS.values()]
    assert text.count('| not yet measured |') == len(plan.CLAIMS) - 1 + others.count('not yet measured')


def test_the_page_is_made_from_the_table():
    assert doctest.testmod(page).failed == 0
    assert 'Its own grid: lr 1e-4, on 2 folds.' in page.page(tables.read())      # local_head
    assert page.PAGE.read_text(encoding='utf-8') == page.page(tables.read())


def test_a_root_that_is_needed_is_asked_for(claim, capsys):
    with pytest.raises(UserError, match='--data_root=DIR'):
        evidence.words(claim, '', '', 'out')
    assert json.dumps(plan.CLAIMS)


def test_curves_are_means_over_the_folds_and_survive_their_file(claim, tmp_path):
    found = compare.Plan(list(claim['losses'].values()), 10, 2, [0, 1], [['--lr=1']], str(tmp_path), [], 2)
    for loss in found.losses:
        for seed in found.seeds:
            for fold in (1, 2):
                folder = pathlib.Path(compare.folder_of(found, loss, ['--lr=1'], seed, fold))
                folder.mkdir(parents=True)
                lines = [{'kind': kind, 'step': step, 'seconds': step / 10, 'recall': {'1': 0.1 * fold + seed},
                          'map_at_r': 0.01 * step * fold} for kind, step in (('evaluation', 5), ('epoch', 10))]
                lines.insert(1, {'kind': 'step', 'step': 7, 'loss': 1.0})
                (folder / 'log.jsonl').write_text(''.join(json.dumps(line) + '\n' for line in lines))
    results = [{'loss': loss, 'settings': ['--lr=1']} for loss in found.losses]
    rows = curves.collect(claim, found, results)
    assert len(rows) == 2 * 2 * 2
    assert rows[3] == {'variant': 'learned', 'seed': 1, 'updates': 10, 'seconds': '1.0', 'recall@1': '1.1500',
                       'map_at_r': '0.1500'}
    curves.write(rows, tmp_path / 'logs' / 'x.csv')
    kept = curves.read(tmp_path / 'logs' / 'x.csv')
    assert kept['fixed'].tolist()[0] == [[5, 0.5, 0.15, 0.075], [10, 1.0, 0.15, 0.15]]
    table = tables.rows(claim, {'results': [
        {'loss': loss, 'settings': [], 'folds_map_at_r': 0, 'separated': {'R@1': [.1, .2], 'map_at_r': [.1, .2]}}
        for loss in found.losses]}, 'abc')
    curves.draw(tmp_path / 'logs' / 'x.csv', table, tmp_path / 'figures' / 'x.png', frozen=0.12)
    with Image.open(tmp_path / 'figures' / 'x.png') as picture:
        assert picture.size == (864, 261)


def test_weights_of_what_is_scored_go_and_nothing_else_does(tmp_path):
    for name in ('seed0-fold1', 'seed0-fold2'):
        run = tmp_path / 'margin' / 'lr=1e-3' / name
        (run / 'checkpoints' / 'last-00000500').mkdir(parents=True)
        (run / 'checkpoints' / 'last-00000500' / 'net.params').write_text('weights')
        (run / 'last').symlink_to('checkpoints/last-00000500')
        (run / 'result.json').write_text('{}')
    scored = tmp_path / 'margin' / 'lr=1e-3' / 'seed0-fold1'
    (scored / 'test.npz').write_text('embeddings')
    evidence.drop_scored(tmp_path)
    assert sorted(path.name for path in scored.iterdir()) == ['result.json', 'test.npz']
    assert (run / 'last' / 'net.params').read_text() == 'weights'


def test_baselines_of_the_same_layer(tmp_path):
    found = baselines.measure(['--data_name=glyphs', '--glyphs_classes=6', '--glyphs_instances=4',
                                        f'--data_dir={tmp_path}/letters', '--embed_dim=4', '--gpu_idx=cpu'])
    assert [layer for layer, *_ in found] == [baselines.FROZEN, baselines.UNTRAINED,
                                              baselines.PIXELS]
    # without pretrained weights both trunks are the same random one
    assert found[0][1:] == found[1][1:] and all(0 < value <= 1 for _, *values in found for value in values)
    table = tmp_path / 'baselines.csv'
    baselines.write('cars', found, table)
    baselines.write('birds', [(baselines.FROZEN, 0.25, 0.125)], table)
    assert [baselines.frozen(data, table) for data in ('birds', 'birds_frozen')] == [0.125, None]
    text = '\n'.join(baselines.section(baselines.read(table)))
    assert '| CUB-200 (2010) crops, mobilenet0.5 at 128 px | frozen trunk, pooled | 25.0 | 12.5 |' in text
    assert text.count('raw pixels') == 1 and baselines.section([]) == []


def test_the_readme_shows_what_was_measured(claim, result):
    lines = tables.rows(claim, result, 'abc')
    table = page.summary(lines)
    table, *others = table.rsplit('\n', len(page.OTHERS))        # all five papers have a line
    assert [line.split(' | ')[-1] for line in others] == [f'{module.verdict()} |' for module in page.OTHERS.values()]
    assert table.count('\n') == 2 and table.endswith(
        'learned 18.0, fixed 15.0 | +3.00 (+0.52 to +5.48) | holds |') and claim['says'].partition(' (')[0] in table
    text = f'a\n{page.BEGIN}\nold\n{page.END}\nb'
    assert page.between(text, 'new') == f'a\n{page.BEGIN}\nnew\n{page.END}\nb'
    readme = page.README.read_text(encoding='utf-8')
    assert readme == page.between(readme, page.summary(tables.read()))
