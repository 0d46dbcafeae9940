"""The report on run folders made here: every number of it must be that of the JSON files."""

import base64
import io
import json
import pathlib
import re
import statistics

import numpy as np
import pytest
from PIL import Image

from core.errors import UserError
from evaluation.report import runs, tables
from tests.evaluation.run_folders import Cells, make_run, part, rows_of, run_report

ROOT =pathlib.Path(__file__).resolve().parents[2]


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
