"""docs/results.csv, the table of the README and the published figures beside it."""

import argparse
import csv
import json
import pathlib
import re
import statistics

import pytest

from commands import report as command
from core.errors import UserError
from evaluation.report import published, tables
from evaluation.settings import RULES
from tests.evaluation.run_folders import ARGS, make_run, rows_of, run_report

ROOT =pathlib.Path(__file__).resolve().parents[2]


def test_csv_rows_hold_fractions_command_and_commit(tmp_path):
    for seed, recall in enumerate((0.40, 0.42)):
        make_run(tmp_path / 'runs' / str(seed), seed, recall, recall + 0.1, frozen=0.34)
    make_run(tmp_path / 'runs' / 'n0', 0, 0.3, 0.35, n_inner_pts=0)
    file = tmp_path / 'results.csv'
    run_report(tmp_path / 'runs', csv=file)
    rows = list(csv.DictReader(file.open()))
    assert len(rows) == 4
    row = rows[0]
    assert (row['data'], row['method'], row['loss'], row['n_inner_pts'], row['seeds'], row['epoch_rule']) == (
        'Cars196', 'EE + HPHN Triplet', 'hphn_triplet', '2', '0 1', 'last epoch')
    assert row['recall@1_mean'] == '0.4100' and row['recall@10_mean'] == '0.5100' and row['recall@4_mean'] == ''
    assert row['recall@1_std'] == f'{statistics.stdev([0.40, 0.42]):.4f}'
    assert row['command'] == 'python3 main.py --loss=hphn_triplet --n_inner_pts=2' and row['commit'] == 'abc123'
    assert row['images_per_second'] == '20.5' and row['frozen_recall@1'] == '0.3400'
    single = rows[2]
    assert single['method'] == 'HPHN Triplet' and single['recall@1_std'] == ''
    assert single['frozen_recall@1'] == '0.3400'  # the same trunk on the same pictures, measured by another run
    assert 'mean_rank_mean' not in row and 'lone_queries_mean' not in row


def test_appending_twice_changes_nothing_and_more_seeds_replace_fewer(tmp_path):
    file = tmp_path / 'results.csv'
    for seed in range(2):
        make_run(tmp_path / 'runs' / str(seed), seed, 0.4 + 0.1 * seed)
    run_report(tmp_path / 'runs', csv=file)
    once = file.read_bytes()
    run_report(tmp_path / 'runs', csv=file)
    assert file.read_bytes() == once
    with pytest.raises(UserError, match='already holds this setting with seeds 0 1'):
        run_report(tmp_path / 'runs' / '0', csv=file)
    assert file.read_bytes() == once and not list(tmp_path.glob('*.new'))
    make_run(tmp_path / 'runs' / '2', 2, 0.6)
    run_report(tmp_path / 'runs', csv=file)
    rows = list(csv.DictReader(file.open()))
    assert len(rows) == 2 and rows[0]['seeds'] == '0 1 2' and rows[0]['recall@1_mean'] == '0.5000'
    make_run(tmp_path / 'later', 0, 0.7, commit='def456')
    run_report(tmp_path / 'later', csv=file)
    assert [row['commit'] for row in csv.DictReader(file.open())] == ['abc123', 'abc123', 'def456', 'def456']


def test_a_results_file_without_updates_goes_on(tmp_path):
    make_run(tmp_path / 'a')
    file = tmp_path / 'results.csv'
    run_report(tmp_path / 'a', csv=file)
    rows = list(csv.DictReader(file.open()))
    with open(file, 'w', newline='') as stream:
        writer = csv.DictWriter(stream, [name for name in rows[0] if name != 'updates'], extrasaction='ignore')
        writer.writeheader()
        writer.writerows(rows)
    assert tables.DASH in tables.readme_table(file)
    make_run(tmp_path / 'b', commit='def456')
    run_report(tmp_path / 'b', csv=file)
    assert [row['updates'] for row in csv.DictReader(file.open())] == ['', '', '198', '198']


def test_a_file_that_is_no_results_file_is_not_overwritten(tmp_path):
    make_run(tmp_path / 'a')
    file = tmp_path / 'mine.csv'
    file.write_text('x,y\n1,2\n')
    with pytest.raises(UserError, match='lacks the columns data'):
        run_report(tmp_path / 'a', csv=file)
    assert file.read_text() == 'x,y\n1,2\n'


def test_run_after_a_bare_csv_flag_is_a_run(tmp_path, monkeypatch):
    make_run(tmp_path / 'a')
    monkeypatch.setattr(tables, 'RESULTS', tmp_path / 'results.csv')
    parser = argparse.ArgumentParser()
    command.add_args(parser)
    command.run(parser.parse_args(['--csv', str(tmp_path / 'a')]))
    assert len(tables.read_csv(tmp_path / 'results.csv')) == 2


def test_readme_table_is_made_from_the_csv_alone(tmp_path):
    file, readme = tmp_path / 'results.csv', tmp_path / 'README.md'
    for seed, recall in enumerate((0.40, 0.42)):
        make_run(tmp_path / 'runs' / str(seed), seed, recall, 0.5, frozen=0.34)
    readme.write_text(f'before\n{tables.BEGIN}\nold\n{tables.END}\nafter\n')
    run_report(tmp_path / 'runs', csv=file, readme=readme)
    text = readme.read_text()
    assert text == f'before\n{tables.BEGIN}\n{tables.readme_table(file)}\n{tables.END}\nafter\n'
    lines = rows_of(text)
    assert lines[0] == ['method', 'network', 'seeds', 'updates', 'frozen network', 'last epoch',
                        "best on test (the papers' habit)", 'images/s', 'commit']
    assert lines[2] == ['EE + HPHN Triplet', 'googlenet, 227 px, 512-d', '0 1', '198', '34.0', '41.0 ± 1.4',
                        '50.0 ± 0.0', '20.5', 'abc123']
    assert '**Cars196**: Recall@1 in %' in text
    readme.write_text('no markers')
    with pytest.raises(UserError, match='results:begin'):
        run_report(readme=readme, csv=file)


def test_classification_is_judged_by_accuracy(tmp_path):
    make_run(tmp_path / 'a', data_name='aircraft')
    result = json.loads((tmp_path / 'a' / 'result.json').read_text())
    result['selection']['last']['accuracy'] = 0.8733
    (tmp_path / 'a' / 'result.json').write_text(json.dumps(result))
    run_report(tmp_path / 'a', csv=tmp_path / 'results.csv')
    text = tables.readme_table(tmp_path / 'results.csv')
    assert '**FGVC-Aircraft**: accuracy in %' in text and rows_of(text)[2][5:7] == ['87.3', tables.DASH]


def test_the_projects_readme_shows_the_projects_results():
    readme = (ROOT / 'README.md').read_text(encoding='utf-8') if (ROOT / 'README.md').exists() else ''
    if tables.BEGIN not in readme:
        pytest.skip('README.md has no result markers')
    shown = readme[readme.index(tables.BEGIN) + len(tables.BEGIN):readme.index(tables.END)]
    assert shown.strip() == tables.readme_table(ROOT / 'docs' / 'results.csv'), (
        'the table is out of date: python3 main.py report --readme')


def test_the_projects_results_file_is_readable():
    for row in tables.read_csv(tables.RESULTS):
        assert row['epoch_rule'] in RULES.values() and row['command'].startswith('python3 main.py')
        assert re.fullmatch(r'\d+( \d+)*', row['seeds']) and row['commit']


def test_conditions_on_flags():
    args = {'n': 2, 'b': True, 'x': 1e-4, 'k': [1, 2], 'name': 'Res-Net', 'none': None}
    for text, expected in (('n=2', True), ('n>0', True), ('n>2', False), ('n=1|2', True), ('n!=2', False),
                           ('b=true', True), ('b=false', False), ('x=0.0001', True), ('k=1,2', True),
                           ('name=res_net', True), ('none=none', False), ('absent=1', False), ('absent!=1', False)):
        assert published.holds(args, published.conditions(text)[0]) is expected, text
    with pytest.raises(UserError, match='is not a condition'):
        published.conditions('n < 3')


def test_published_file_is_consistent():
    rows = published.load()
    assert {row['confidence'] for row in rows} == {'read', 'recalled', 'missing'}
    for row in rows:
        assert (row['value'] == '') == (row['confidence'] == 'missing'), row
        assert row['paper'] and row['dataset'] and row['method'] and row['metric'] and row['source']
        published.conditions(row['run'] + ' ' + row['recipe'])
        if row['value'] and row['metric'] != 'batch_time_s':
            assert 0 <= float(row['value']) <= 100
    recall = {}
    for row in rows:  # Recall@K cannot fall with K within one line of a table
        if row['metric'].startswith('recall@') and row['value']:
            key = tuple(row[c] for c in published.COLUMNS if c not in ('metric', 'value'))
            recall.setdefault(key, []).append((int(row['metric'].split('@')[1]), float(row['value'])))
    for key, points in recall.items():
        values = [value for _, value in sorted(points)]
        assert values == sorted(values), key


def test_published_conditions_name_losses_data_sets_and_flags_that_exist():
    import datasets
    from losses import LOSSES
    known = {'loss': LOSSES, 'data_name': datasets.DATASETS}
    for row in published.load():
        for key, _, wanted in published.conditions(row['run']):
            if key in known:
                assert set(wanted.split('|')) <= set(known[key]), row['run']


def test_every_implemented_paper_has_a_published_line():
    rows = published.load()
    for change, title in (({}, 'EE + HPHN Triplet'), ({'n_inner_pts': 0}, 'HPHN Triplet'),
                          ({'loss': 'margin', 'data_name': 'cub200'}, 'Margin'),
                          ({'loss': 'npair', 'n_inner_pts': 0, 'data_name': 'sop'}, '60-pair-mc'),
                          ({'loss': 'hdc'}, 'HDC'), ({'loss': 'sst', 'data_name': 'sop'}, 'SST + local sampling'),
                          ({'loss': 'softmax_ranking', 'train_mode': 'hard', 'backbone': 'resnet50_v2',
                            'data_name': 'aircraft'}, 'Two-head hard'),
                          ({'loss': 'heated_softmax', 'bn': True, 'norm_weights': True, 'l2_norm': False,
                            'heat_up': True, 'label_smoothing': 0.0}, 'HBN: heated-up BN (16->4)')):
        assert title in {row['method'] for row in published.matches(rows, dict(ARGS, **change))}, title
