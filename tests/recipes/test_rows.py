"""Every published row: its flags, its figures, its cost, and the runner that takes it from files to the comparison."""

import json
import pathlib

import pytest
from PIL import Image

import main
import recipes
from commands import row_tables, rows, train
from evaluation.report import published

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROWS = {f'{row.data}/{row.name}': row for row in recipes.rows()}
KNOWN = published.load()
TINY = {'loss': 'hphn_triplet', 'data_name': 'glyphs', 'glyphs_classes': 8, 'glyphs_instances': 8, 'batch_size': 16,
        'num_instances': 4, 'epochs': 1, 'figures': False}


def dry_run(capsys, *words):
    assert main.main(['rows', *words, '--dry_run']) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


# ---- the rows

def test_names_are_unique_on_a_data_set():
    assert len(ROWS) == len(recipes.rows()) >= 180


@pytest.mark.parametrize('name', sorted(ROWS))
def test_a_row_resolves_to_its_flags_and_finds_its_figures(name):
    row = ROWS[name]
    args = row_tables.resolved(row)
    assert {key: getattr(args, key, 'no such flag') for key in row.flags} == row.flags
    found = {(entry['table'], entry['method']) for entry in row_tables.figures(args, row.evaluate, KNOWN)}
    assert found == set(row.published)
    assert 'None' not in row_tables.cost(args)


def test_every_published_line_that_can_be_run_has_a_row():
    reached = set()
    for row in ROWS.values():
        flags = {**vars(row_tables.resolved(row)), **row.evaluate}
        reached |= {(one['table'], one['dataset'], one['method']) for one in published.matches(KNOWN, flags)}
    missing = {(one['table'], one['dataset'], one['method']) for one in KNOWN if one['run']} - reached
    assert not missing, missing


def test_published_figures_as_they_are_printed():
    def figure(name, metric, place=0):
        row = ROWS[name]
        return row_tables.figures(row_tables.resolved(row), row.evaluate, KNOWN)[place]['values'][metric]
    assert figure('cars196/ee_hphn', 'recall@1') == 71.6
    assert figure('sop/ms', 'nmi_arithmetic') == 91.3
    assert figure('inshop/hbn', 'recall@20') == 95.9
    assert figure('lfw/margin_256', 'accuracy') == 98.37
    assert figure('nabirds/hard_inception_v4', 'accuracy') == 76.57


def test_heated_up_quotes_hdc_in_shop_without_its_second_figure():
    line = [one['value'] for one in KNOWN if (one['table'], one['method']) == ('Table 4', 'HDC')]
    assert line == ['62.1', '84.9', '91.2', '92.3']
    assert all('no R@20' in one['note'] for one in KNOWN if (one['table'], one['method']) == ('Table 4', 'HDC'))


def test_the_settings_that_the_programs_had():
    def flags(name):
        return vars(row_tables.resolved(ROWS[name]))
    for data, epochs in (('cub200', 150), ('cars196', 200), ('sop', 200)):
        sst = flags(data + '/sst')
        assert (sst['backbone'], sst['embed_dim'], sst['batch_size'], sst['lr'], sst['epochs'],
                sst['head_lr_mult']) == ('bninception', 512, 200, 1e-4, epochs, 0)
    assert flags('cub200/sst_head10')['head_lr_mult'] == 10
    second, first = flags('cub200/margin'), flags('cub200/margin_mxnet')
    assert (second['transform'], second['epochs'], second['lr_decay_epochs']) == ('margin_simple', 30, [12, 16, 20, 24])
    assert (first['transform'], first['epochs'], first['lr_decay_epochs']) == ('margin', 20, [12, 14, 16, 18])
    for one in (first, second):
        assert (one['seed'], one['summary_step'], one['crop_box'], one['recallk']) == (123, 20, True, [1, 2, 4, 8, 16])
    starts = {'sop/npair_mc': 'torch_linear', 'sop/sst': 'torch_linear', 'cub200/hdc': 'caffe_uniform',
              'aircraft/hard': 'glorot_uniform', 'cars196/hbn': 'he_truncated', 'cub200/margin': 'xavier',
              'cars196/npair': 'xavier', 'cars196/ee_hphn': 'xavier'}
    assert {name: flags(name)['head_init'] for name in starts} == starts
    assert all(row_tables.resolved(row).pretrained for row in ROWS.values()
               if row.data != 'mnist' and row.name != 'margin_scratch')


def test_updates_and_images_of_a_training():
    def updates(name):
        return row_tables.updates(row_tables.resolved(ROWS[name]))
    assert updates('cars196/ee_hphn') == (4000 * (98 * 32 // 128), 4000 * 24 * 128)
    assert updates('cub200/margin') == (30 * 200, 30 * 200 * 70)
    assert updates('aircraft/hard_inception_v4') == (80000, 80000 * 32)
    assert updates('cub200/hbn') == (80 * 184, 80 * 184 * 32)      # 5,864 images in batches of 32
    assert updates('lfw/margin') is None
    assert updates('inshop/hdc') == updates('sop/hdc') == (60000, 6000000)
    inshop = row_tables.resolved(ROWS['inshop/hdc'])
    assert [epoch * 5000 for epoch in (*inshop.lr_decay_epochs, inshop.epochs)] == [20000, 40000, 60000]
    ranking = [row_tables.resolved(row) for row in recipes.rows('ranking_regularizer')]
    assert len(ranking) == 75 and {one.eval_iter_term for one in ranking} == {5000}    # no mode has more tries
    assert round(row_tables.seen_otherwise(row_tables.resolved(ROWS['cars196/ee_hphn']))) == 4000 // 5 * 8131
    assert round(row_tables.seen_otherwise(row_tables.resolved(ROWS['cub200/sst']))) == 150 // 5 * 5924 + 150 * 5864
    assert all(abs(updates(f'{data}/{name}')[0] - 96000) < 4100 for data in ('cars196', 'cub200', 'sop')
               for name in ('ee_hphn', 'ee_npair', 'lifted', 'ms', 'triplet'))


# ---- what a script is asked

def test_scripts_are_one_line_over_the_runner():
    for name in rows.SETS:
        text = (ROOT / 'scripts' / f'{name}.sh').read_text()
        assert f'exec python3 "$root/main.py" rows {name} "$@"' in text
        assert all(word in text for word in ('# Claim', '# Cost', '# Rows', '# Paper'))


def test_one_row_by_name(capsys):
    assert dry_run(capsys, 'cub200', 'margin', '--seed=1')['seed'] == 1
    assert dry_run(capsys, 'cub200', 'margin')['seed'] == 123
    assert dry_run(capsys, 'cars196', 'stanford_cars/hard', '--epochs', '3')['epochs'] == 3


def test_a_setting_without_a_name_goes_to_the_first_row(capsys):
    flags = dry_run(capsys, 'cub200', '--n_inner_pts=0')
    assert (flags['loss'], flags['n_inner_pts'], flags['data_name']) == ('hphn_triplet', 0, 'cub200')
    assert [row.name for row in rows.read('cub200', ['--n-inner-pts=0']).rows] == ['ee_hphn']
    assert len(rows.read('cub200', ['--data_dir=x', '--seeds=3']).rows) == len(recipes.rows('cub200')) > 20


def test_several_rows_print_an_object(capsys):
    flags = dry_run(capsys, 'mnist', 'all', '--lr=1')
    assert set(flags) == {f'mnist/map_{name}' for name in ('heated', '0.25', '4', '16', '32', '64')}
    assert {one['lr'] for one in flags.values()} == {1.0}


def test_another_setting_is_compared_with_its_own_published_row():
    args = row_tables.resolved(ROWS['cub200/ee_hphn'], ['--n_inner_pts=0'])
    assert {entry['method'] for entry in row_tables.figures(args, rows=KNOWN)} == {'HPHN Triplet'}


def test_paths_are_those_of_the_caller(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert dry_run(capsys, 'cub200', 'margin')['data_dir'] == str(ROOT / 'data' / 'cub200')
    monkeypatch.chdir(tmp_path)
    request = rows.read('cub200', ['margin', '--archive=a.tgz', '--archive', 'b.tgz', '--data_dir=birds'])
    assert request.options['archive'] == [str(tmp_path / 'a.tgz'), str(tmp_path / 'b.tgz')]
    assert request.flags == [f'--data_dir={tmp_path}/birds']
    for number in range(36):
        file = tmp_path / 'mine' / f'class{number // 3:02}' / f'{number}.jpg'
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    for words in (['mine'], ['--data_dir=mine'], ['--data_dir', 'mine']):
        assert main.main(['photos', *words, '--dry_run']) == 0
        flags = json.loads(capsys.readouterr().out)
        assert (flags['batch_size'], flags['data_name'], flags['data_dir']) == (24, 'folder', str(tmp_path / 'mine'))


@pytest.mark.parametrize('words, part', [
    (['cub200', 'margni'], 'ROW=margni is unknown. Did you mean margin'),
    (['cub20'], 'SET=cub20 is unknown. Did you mean cub200'),
    (['cub200', 'margin', '--seeds=0'], 'got --seeds=0. Legal values: whole numbers, --seeds from 1'),
    (['cub200', 'margin', '--nothing=1', '--dry_run'], '--nothing=1 is not a flag here'),
    (['cub200', 'margin', '--resume=x'], 'rows go on by themselves'),
])
def test_a_wrong_word_is_one_clear_sentence(words, part, capsys):
    assert main.main(['rows', *words]) == 2
    assert part in capsys.readouterr().err


def test_photos_need_a_folder(capsys):
    assert main.main(['photos', '--dry_run']) == 2
    assert 'scripts/photos.sh FOLDER' in capsys.readouterr().err


def test_list_shows_figures_cost_and_what_is_not_measured(capsys, monkeypatch):
    monkeypatch.setattr(row_tables, 'ROOT', pathlib.Path('/nowhere'))
    assert main.main(['rows', 'lfw', '--list']) == 0
    text = capsys.readouterr().out
    assert '99.63' in text and 'recalled' in text and 'not yet measured' in text
    assert 'depends on the photos' in text


@pytest.mark.parametrize('paper', sorted(recipes.PAPERS))
def test_a_papers_page_shows_its_rows(paper):
    text = (ROOT / 'docs' / 'papers' / f'{paper}.md').read_text()
    inside = text.split(row_tables.BEGIN)[1].split(row_tables.END)[0]
    assert inside.strip() == row_tables.page_table(paper).strip(), f'python3 main.py rows {paper} --page'


# ---- running

@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """A set of one row on letters; [words of every main.py that was called]."""
    row = recipes.Row('own', 'tiny', 'glyphs', TINY, (), '', {})
    monkeypatch.setattr(recipes, 'rows', lambda name=None: [row])
    called = []

    def call(words):    # in this process: a new one takes its time to start
        called.append(words)
        return main.main([*words, '--num_workers=0'])
    monkeypatch.setattr(rows, 'call', call)
    return called


def test_a_row_from_files_to_the_comparison_and_once_more(tiny, tmp_path, capfd):
    words = ['rows', 'cub200', 'tiny', f'--save_dir={tmp_path}', '--seed=3']
    assert main.main(words) == 0
    folder = tmp_path / 'glyphs' / 'tiny'
    table = (folder / 'comparison.md').read_text()
    recall = json.loads((folder / 'seed3' / 'evaluation' / 'result.json').read_text())['recall']['1']
    assert '| metric | published | ours | difference |' in table
    assert f'@1 | – | {100 * recall:.1f} | – |' in table and 'NMI' in table and 'MAP@R' in table
    assert table.endswith('\n\n2 updates of up to 16 images\n')
    assert (folder / 'seed3' / 'evaluation' / 'tsne.png').exists()
    assert [call[0] for call in tiny if call[0] == 'evaluate'] == ['evaluate'] * 2
    done = len(tiny)
    assert main.main(words) == 0 and len(tiny) == done                # finished: skipped
    (folder / 'seed3' / 'result.json').unlink()                       # stopped after the last checkpoint
    assert main.main(words) == 0
    assert tiny[done:] == [[f'--resume={folder}/seed3']]
    capfd.readouterr()


def fake_runs(monkeypatch, statuses=()):
    """Replace main.py by a stub that leaves what a training or an evaluation leaves; returns its calls."""
    called, statuses = [], list(statuses)

    def call(words):
        called.append(words)
        options = dict(word.lstrip('-').partition('=')[::2] for word in words if word.startswith('--'))
        if statuses and (status := statuses.pop(0)):
            return status
        if words[0] == 'evaluate':
            folder = pathlib.Path(options['save_dir'])
            value = 0.5 + 0.1 * int(folder.parent.name[4:])
            folder.mkdir(parents=True)
            (folder / 'result.json').write_text(json.dumps({'selection': {'last': {'recall': {'1': value}}}}))
        elif words[0] != 'prepare':
            folder = pathlib.Path(options['save_dir'])
            (folder / 'last').mkdir(parents=True)
            (folder / 'args.json').write_text(json.dumps(vars(row_tables.parse(words)), default=str))
            (folder / 'result.json').write_text('{}')
        return 0
    monkeypatch.setattr(rows, 'call', call)
    return called


def test_seeds_give_mean_spread_and_difference(monkeypatch, tmp_path, capsys):
    called = fake_runs(monkeypatch)
    assert main.main(['rows', 'cub200', 'hphn', '--seeds=3', '--seed=0', f'--save_dir={tmp_path}']) == 0
    out = capsys.readouterr().out
    assert '@1 | 48.3 | 60.0 ± 10.0 | +11.7 |' in out and 'seed 0 1 2' in out
    assert called[0][:2] == ['prepare', '--data_name=cub200'] and sum(words[0] == 'prepare' for words in called) == 1


def test_what_is_overridden_stands_in_the_folders_name(monkeypatch, tmp_path, capsys):
    fake_runs(monkeypatch)
    assert main.main(['rows', 'cub200', 'hphn', '--lr=0.5', '--gpu_idx=0', f'--save_dir={tmp_path}']) == 0
    assert [path.name for path in (tmp_path / 'cub200').iterdir()] == ['hphn,lr=0.5']
    steps = '--lr_decay_epochs=' + ','.join(map(str, range(1, 120)))     # longer than a folder's name may be
    for more in ('--lr=0.5', '--lr=0.25'):
        assert main.main(['rows', 'cub200', 'hphn', steps, more, f'--save_dir={tmp_path}']) == 0
    assert len(list((tmp_path / 'cub200').iterdir())) == 3


def test_a_failing_row_does_not_stop_the_others_and_an_interruption_does(monkeypatch, tmp_path, capsys):
    fake_runs(monkeypatch, [0, 2])                        # prepared; the first row's training fails
    assert main.main(['rows', 'cub200', 'hphn', 'margin', f'--save_dir={tmp_path}']) == 1
    assert 'not finished: cub200/hphn' in capsys.readouterr().err
    assert (tmp_path / 'cub200' / 'margin' / 'comparison.md').exists()
    called = fake_runs(monkeypatch, [0, 130])
    assert main.main(['rows', 'cub200', 'hphn', 'ms', f'--save_dir={tmp_path}']) == 130
    assert len(called) == 2 and 'the same command goes on' in capsys.readouterr().out


def test_a_run_of_other_settings_is_not_taken_for_the_row(monkeypatch, tmp_path, capsys):
    fake_runs(monkeypatch)
    assert main.main(['rows', 'cub200', 'hphn', f'--save_dir={tmp_path}']) == 0
    file = tmp_path / 'cub200' / 'hphn' / 'seed0' / 'args.json'
    file.write_text(json.dumps(dict(json.loads(file.read_text()), lr=7.0)))
    assert main.main(['rows', 'cub200', 'hphn', f'--save_dir={tmp_path}']) == 2
    assert '--lr=7.0 (now 0.0001)' in capsys.readouterr().err


def test_verification_is_scored_on_lfw(monkeypatch, tmp_path, capsys):
    called = fake_runs(monkeypatch)
    faces = tmp_path / 'faces'
    assert main.main(['rows', 'lfw', 'margin', f'--data_dir={faces}', f'--save_dir={tmp_path}']) == 0
    assert called[0] == ['prepare', '--data_name=lfw']
    assert f'--data_dir={faces}' in called[1] and '--data_name=folder' in called[1]
    assert '--data_name=lfw' in called[2] and f'--data_dir={faces}' not in called[2]


def test_what_is_called_runs_in_the_projects_folder(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert rows.call(['rows', 'cub200', 'margin', '--data_dir=birds', '--dry_run']) == 0
    out = capfd.readouterr().out
    assert json.loads(out[out.index('{'):])['data_dir'] == str(ROOT / 'birds')
    assert out.startswith('python3 main.py rows cub200 margin')


def test_photos_fit_their_batch_to_the_classes_that_train(tmp_path, capsys, monkeypatch):
    for number in range(40):
        file = tmp_path / 'mine' / f'class{number // 4:02}' / f'{number}.png'
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', (8, 8), (number, 0, 0)).save(file)
    trained = []
    monkeypatch.setattr(train, 'run', lambda args: trained.append(args.batch_size))
    monkeypatch.chdir(tmp_path)
    for words in (['mine'], ['mine', '--batch_size=12']):      # 5 of the 10 classes train, with 4 images each
        assert main.main(['photos', *words]) == 0
    assert trained == [20, 12]
    assert capsys.readouterr().out.count('note: batches of 20 images, 4 of each of the 5 training classes') == 1
