"""The report on run folders made here: every number of it must be that of the JSON files."""

import argparse
import base64
import csv
import html.parser
import io
import json
import pathlib
import re
import statistics

import numpy as np
import pytest
from PIL import Image

from commands import report as command
from core.errors import UserError
from evaluation.report import published, runs, tables
from evaluation.settings import RULES

ROOT = pathlib.Path(__file__).resolve().parents[2]
ARGS = {'loss': 'hphn_triplet', 'n_inner_pts': 2, 'ee_l2norm': True, 'data_name': 'cars196', 'data_dir': '',
        'backbone': 'googlenet', 'pretrained': True, 'image_size': 227, 'embed_dim': 512, 'batch_size': 128,
        'num_instances': 32, 'optim': 'adam', 'lr': 1e-4, 'wd': 5e-4, 'lr_decay_epochs': [400, 800, 1200, 1600],
        'lr_decay_factor': 0.5, 'epochs': 4000, 'transform': 'embedding_expansion', 'crop_box': False}


def make_run(folder, seed=0, recall=0.5, best=0.6, val=None, frozen=None, commit='abc123', log=False,
             **changes):
    """A finished run folder as the training loop leaves it."""
    folder.mkdir(parents=True)
    args = dict(ARGS, seed=seed, save_dir=str(folder), **changes)
    flags = {'loss': args['loss'], 'n_inner_pts': args['n_inner_pts'], **changes}
    argv = [f'--{key}={value}' for key, value in flags.items()]
    argv += ['--seed', str(seed), f'--save_dir={folder}']
    selection = {'last': part(recall, 7), 'best_on_test': part(best, 5),
                 'chosen_on_validation': None if val is None else part(val, 6)}
    result = {'recall': selection['last']['recall'], 'best_recall': selection['best_on_test']['recall'], 'epoch': 7,
              'best_epoch': 5, 'selection': selection, 'loss': 0.1, 'data_name': args['data_name'], 'args': args,
              'commit': commit, 'iterations': 198, 'images_per_second': 20.0 + seed, 'seconds': 100.0 + seed,
              'command': 'python3 main.py',
              'baselines': {} if frozen is None else {'raw pixels': {'1': 0.1},
                                                      'frozen trunk, pooled features': {'1': frozen, '2': frozen + .1}}}
    (folder / 'result.json').write_text(json.dumps(result))
    (folder / 'args.json').write_text(json.dumps(dict(args, argv=argv)))
    lines = [{'kind': 'step', 'step': 3, 'loss': 1.0}, {'kind': 'epoch', 'epoch': 7, 'step': 9, 'seconds': 99.0}]
    if log:  # drawing a curve takes time: only where it is looked at
        lines[-1]['recall'] = {'1': recall}
    (folder / 'log.jsonl').write_text(''.join(json.dumps(line) + '\n' for line in lines))
    return folder


def part(recall, epoch):
    return {'recall': {'1': recall, '2': recall + 0.05, '10': recall + 0.1}, 'nmi_arithmetic': recall + 0.01,
            'mean_rank': 17.0, 'n_query': 99, 'lone_queries': 1, 'epoch': epoch}


def run_report(*folders, **flags):
    parser = argparse.ArgumentParser()
    command.add_args(parser)
    argv = [str(folder) for folder in folders]
    for key, value in flags.items():
        argv += [f'--{key}={value}'] if value is not True else ['--' + key]
    return command.run(parser.parse_args(argv))


def rows_of(markdown):
    """Cells of all Markdown table lines."""
    return [[cell.strip() for cell in line.strip('|').split(' | ')] for line in markdown.splitlines()
            if line.startswith('|')]


class Cells(html.parser.HTMLParser):
    """Rows of cell texts, and data URIs, of an HTML page; unbalanced tags fail."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.uris, self.open, self.links = [], [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.links += [value for key, value in attrs.items() if key in ('href', 'src')]
        if tag == 'tr':
            self.rows.append([])
        if tag in ('td', 'th'):
            self.rows[-1].append('')
        if tag not in ('meta', 'img', 'br'):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ('td', 'th'):
            self.rows[-1][-1] += data


def test_page_and_table_hold_the_numbers_of_the_json_files(tmp_path, capsys):
    last, best = [0.40, 0.42, 0.47], [0.45, 0.46, 0.50]
    for seed in range(3):
        make_run(tmp_path / str(seed), seed, last[seed], best[seed], frozen=0.3403)
    assert run_report(tmp_path) == 0
    markdown = (tmp_path / 'report.md').read_text()
    assert markdown in capsys.readouterr().out
    page = Cells((tmp_path / 'report.html').read_text())
    for table in (rows_of(markdown), page.rows):
        lines = {tuple(line[:2] + line[3:4]): line for line in table if len(line) > 4}
        for values, rule in ((last, 'last epoch'), (best, "best on test (the papers' habit)")):
            line = lines[('EE + HPHN Triplet', '0 1 2', rule)]
            mean, deviation = 100 * np.mean(values), 100 * statistics.stdev(values)
            assert line[4] == f'{mean:.1f} ± {deviation:.1f}'
            assert line[5] == f'{mean + 5:.1f} ± {deviation:.1f}'
            assert line[7] == f'{mean + 1:.1f} ± {deviation:.1f}'
        assert lines[('frozen trunk, pooled features', '–', 'before training')][4] == '34.0'
        assert not any(line[3] == 'chosen on validation' for line in lines.values())
    header = rows_of(markdown)[0]
    assert header == ['setting', 'seeds', 'updates', 'epoch', 'R@1 %', 'R@2 %', 'R@10 %', 'NMI (arithmetic) %',
                      'source']
    for seed in range(3):  # every seed by itself, with the epoch of each number
        assert [str(seed), 'last epoch: 7', f'{100 * last[seed]:.1f}'] in [row[:3] for row in page.rows]
        assert [str(seed), "best on test (the papers' habit): 5", f'{100 * best[seed]:.1f}'] in [
            row[:3] for row in page.rows]


def test_published_rows_stand_beside_ours_with_source_and_confidence(tmp_path):
    make_run(tmp_path / 'a')
    run_report(tmp_path / 'a')
    lines = [line for line in rows_of((tmp_path / 'a' / 'report.md').read_text()) if line[0].startswith('published')]
    paper = next(line for line in lines if 'results table b' in line[-1])
    assert paper[:5] == ['published: EE + HPHN Triplet', tables.DASH, tables.DASH, 'as published', '71.6']
    assert '(read: figures/results.png of clovaai/embedding-expansion' in paper[-1]
    assert any(line[4] == '74.5' and 'README (repo)' in line[-1] for line in lines)  # both figures of the conflict
    assert not any('DAML' in line[0] or 'Margin' in line[0] for line in lines)


def test_settings_that_differ_from_the_papers_are_listed(tmp_path):
    make_run(tmp_path / 'same')
    make_run(tmp_path / 'other', lr=0.001, epochs=30, backbone='inception_v1')
    for name in ('same', 'other'):
        run_report(tmp_path / name)
    same, other = ((tmp_path / name / 'report.md').read_text() for name in ('same', 'other'))
    assert 'results table b (README picture), EE + HPHN Triplet: none known' in same
    assert 'lr: 0.001 (paper 0.0001); epochs: 30 (paper 4000)' in other
    assert 'backbone:' not in other  # another name of the same network is no difference
    assert 'lr: 0.001 (paper 0.0001)' in (tmp_path / 'other' / 'report.html').read_text()


def test_validation_rule_is_a_line_of_its_own(tmp_path):
    make_run(tmp_path / 'a', recall=0.4, best=0.6, val=0.5, val_classes=10)
    run_report(tmp_path / 'a')
    lines = {line[3]: line[4] for line in rows_of((tmp_path / 'a' / 'report.md').read_text()) if line[1] == '0'}
    assert lines == {'last epoch': '40.0', "best on test (the papers' habit)": '60.0', 'chosen on validation': '50.0'}
    assert '## Cars196, 10 training classes held out' in (tmp_path / 'a' / 'report.md').read_text()


def test_groups_are_named_by_what_sets_them_apart(tmp_path):
    make_run(tmp_path / 'a', lr=0.001)
    make_run(tmp_path / 'b', lr=0.01)
    make_run(tmp_path / 'c', n_inner_pts=0)
    run_report(tmp_path)
    settings = {line[0] for line in rows_of((tmp_path / 'report.md').read_text())}
    assert {'EE + HPHN Triplet, lr=0.001', 'EE + HPHN Triplet, lr=0.01', 'HPHN Triplet'} <= settings


def test_data_sets_get_tables_of_their_own(tmp_path, capsys):
    make_run(tmp_path / 'cars', recall=0.4)
    make_run(tmp_path / 'birds', recall=0.3, data_name='cub200_2010', frozen=0.34)
    run_report(tmp_path)
    text = capsys.readouterr().out
    cars, birds = (text[text.index('## ' + name):][3:].split('\n## ')[0]
                   for name in ('Cars196', 'CUB-200 (2010)'))
    assert '| 40.0 |' in cars and '| 30.0 |' not in cars and '| 34.0 |' not in cars
    assert '| 30.0 |' in birds and 'published' not in birds  # CUB-200 of 2010 is not CUB-200-2011
    assert 'the runs are on 2 data sets' in text


def test_unfinished_and_damaged_runs_are_named_and_left_out(tmp_path, capsys, monkeypatch):
    make_run(tmp_path / 'good')
    make_run(tmp_path / 'killed')
    (tmp_path / 'killed' / 'result.json').unlink()
    make_run(tmp_path / 'damaged')
    (tmp_path / 'damaged' / 'result.json').write_text('{"recall": {"1": 0.')
    make_run(tmp_path / 'empty')
    (tmp_path / 'empty' / 'result.json').write_text('{}')
    make_run(tmp_path / 'again')
    (tmp_path / 'good' / 'log.jsonl').open('a').write('{"kind": "ep')
    run_report(tmp_path)
    text = capsys.readouterr().out
    for reason in ('killed is left out: unfinished: it has no result.json (last complete epoch 7)',
                   'damaged is left out: result.json cannot be read',
                   'empty is left out: result.json has no `selection`',
                   'good is left out: {} has the same settings and seed 0'.format(tmp_path / 'again')):
        assert tables.plain_text(reason) in text
    with pytest.raises(UserError, match='no finished run among'):
        run_report(tmp_path / 'killed')
    with pytest.raises(UserError, match='holds no run'):
        (tmp_path / 'nothing').mkdir()
        run_report(tmp_path / 'nothing')
    with pytest.raises(UserError, match='is not a folder'):
        run_report(tmp_path / 'absent')
    monkeypatch.chdir(tmp_path / 'nothing')      # where there is no runs/ to take
    with pytest.raises(UserError, match='report needs run folders'):
        run_report()


@pytest.mark.parametrize('change', [
    {'selection': {'last': [1]}}, {'selection': {'last': {'recall': {'1': 'x'}}}}, {'selection': [1]}, {'args': [1]},
    {'selection': {'last': {'recall': {'one': 0.5, '1': 0.5}}}, 'baselines': {'raw': 7}}, {'args': {'seed': 'x'}},
    {'args': {'val_classes': 'many'}}, {'args': {'data_name': ['a']}}, {'baselines': [1]}, {'seconds': 'long'}, 7, [],
    'text', {'selection': {'last': {'recall': {'1': float('nan')}}}}, {'args': {'caffe_iter_size': 'x'}}])
def test_one_bad_result_does_not_end_the_report(tmp_path, capsys, change):
    make_run(tmp_path / 'good', 0)
    make_run(tmp_path / 'bad', 1)
    file = tmp_path / 'bad' / 'result.json'
    value = dict(json.loads(file.read_text()), **change) if isinstance(change, dict) else change
    file.write_text(json.dumps(value))
    assert run_report(tmp_path) == 0
    assert '| last epoch | 50.0' in capsys.readouterr().out


def test_bytes_and_nesting_do_not_end_the_report(tmp_path, capsys):
    for name, content in (('good', None), ('bytes', b'\xff\xfe{'), ('deep', b'[' * 100000)):
        make_run(tmp_path / name)
        if content:
            (tmp_path / name / 'result.json').write_bytes(content)
    assert run_report(tmp_path) == 0
    assert capsys.readouterr().out.count('is left out: result.json cannot be read') == 2


def test_names_from_outside_are_shown_and_nothing_else(tmp_path, capsys):
    odd = '<script>alert(1)</script>$x$ | \x1b[31m'
    make_run(tmp_path / 'a', data_name='My-<b>Birds</b>', train_mode=odd, loss='x', weights='runs/My-photos')
    make_run(tmp_path / 'b', data_name='My-<b>Birds</b>', train_mode=odd, loss='x', weights='runs/my_photos')
    run_report(tmp_path, csv=tmp_path / 'results.csv')
    text, page = capsys.readouterr().out, (tmp_path / 'report.html').read_text()
    assert '\x1b' not in text + page and '<script>' not in page and '<b>' not in page
    assert 'weights=runs/My-photos' in page and 'weights=runs/my_photos' in page and 'My-&lt;b&gt;' in page
    outside_code = re.sub('`[^`]*`', '', (tmp_path / 'report.md').read_text())
    assert '<script>' not in outside_code and not re.search(r'(?<!\\)\$', outside_code)
    assert {len(row) for row in rows_of(outside_code.replace('\\|', ''))} == {9}


def test_page_says_when_and_how_many_and_fits_a_phone(tmp_path):
    make_run(tmp_path / 'a')
    make_run(tmp_path / 'b', lr=0.01)
    run_report(tmp_path)
    page = (tmp_path / 'report.html').read_text()
    about = r'\d+ \w+ 20\d\d: 2 runs of 2 settings on 1 data set\.'
    assert re.search(r'<h1>Results: Cars196</h1>\s*<p class="about">' + about, page)
    assert 'width=device-width' in page and page.count('<div class="wide"><table>') == page.count('<table>')
    assert '<h3>EE + HPHN Triplet</h3>\n<p>lr=0.01</p>' in page


def test_checkpoints_and_evaluations_inside_a_run_are_not_runs(tmp_path):
    make_run(tmp_path / 'a')
    for name in ('last', 'evaluation'):
        (tmp_path / 'a' / name).mkdir()
        (tmp_path / 'a' / name / 'args.json').write_text('{}')
    assert runs.find([tmp_path]) == [tmp_path / 'a'] == runs.find([tmp_path / 'a', tmp_path])


def test_result_of_the_evaluate_command_is_labelled_as_such(tmp_path):
    (tmp_path / 'result.json').write_text(json.dumps(dict(part(0.5, 3), data_name='some birds', args={})))
    run_report(tmp_path)
    lines = {line[3]: line[4] for line in rows_of((tmp_path / 'report.md').read_text())}
    assert lines['as given'] == '50.0'


def test_page_is_self_contained_and_shows_the_figures(tmp_path):
    make_run(tmp_path / 'a', log=True)
    (tmp_path / 'a' / 'figures').mkdir()
    Image.fromarray(np.full((20, 30, 3), 9, np.uint8)).save(tmp_path / 'a' / 'figures' / 'tsne.png')
    Image.fromarray(np.random.RandomState(0).randint(256, size=(1500, 2000, 3)).astype(np.uint8)).save(
        tmp_path / 'a' / 'figures' / 'retrieval_panel_best.png')
    (tmp_path / 'a' / 'figures' / 'loss_curve.png').write_text('no picture')
    run_report(tmp_path / 'a', title='<R&D>')
    text = (tmp_path / 'a' / 'report.html').read_text()
    page = Cells(text)
    assert all(link.startswith('data:image/') for link in page.links) and len(page.links) == 3
    sizes = [Image.open(io.BytesIO(base64.b64decode(link.split(',')[1]))).size for link in page.links]
    assert sizes[1:] == [(1400, 1050), (30, 20)]  # curves first; large pictures are reduced
    assert 'loss_curve.png cannot be shown' in text and '&lt;R&amp;D&gt;' in text and '<R&D>' not in text


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
