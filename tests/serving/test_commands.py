"""index, search and duplicates from the command line, with an engine that needs no weights."""

import re

import numpy as np
import pytest
from PIL import Image

import main
from tests.serving.stub import Colours, album, write


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    from serving import engines
    monkeypatch.setattr(engines, 'open_engine', lambda source, engine, **options: Colours())

    def command(*argv):
        status = main.main(list(argv))
        told = capsys.readouterr()
        return status, told.out, told.err
    command.root, command.index = album(tmp_path / 'photos'), tmp_path / 'photos.index'
    return command


def test_two_commands_from_photos_to_neighbours(run, tmp_path):
    (run.root / 'class0' / 'bad\x1b[31m.jpg').write_text('none')
    status, out, err = run('index', f'--images={run.root}', f'--index={run.index}')
    assert status == 0 and '12 new, 0 changed, 0 vanished, 0 unchanged, 1 unreadable' in out
    assert 'left out: class0/bad\\x1b[31m.jpg: ' in out and '\x1b[31m' not in out
    assert 'exact search over 12 images' in out and f'serve --index={run.index}' in out
    status, out, _ = run('search', f'--index={run.index}', f'--image={run.root}/class1/2.png', '--k=4',
                         f'--output={tmp_path}/found.png')
    ranked = re.findall(r'^ +(\d+)  (\S+)  (\S+)$', out, flags=re.M)
    assert status == 0 and [rank for rank, _, _ in ranked] == ['1', '2', '3', '4']
    assert ranked[0][2] == f'{run.root}/class1/2.png' and float(ranked[0][1]) < 1e-3
    assert [float(far) for _, far, _ in ranked] == sorted(float(far) for _, far, _ in ranked)
    assert np.asarray(Image.open(tmp_path / 'found.png')).std() > 10
    status, out, _ = run('search', f'--index={run.index}', f'--image={run.root}/class1/2.png', '--label=class2',
                         '--max_distance=0.001', '--output=')
    assert (status, out.splitlines()[-1]) == (0, 'nothing is as near')


@pytest.mark.parametrize('folder', ['none', 'empty'])
def test_a_mistyped_folder_leaves_nothing_behind(run, tmp_path, folder):
    (tmp_path / 'empty').mkdir()
    status, _, err = run('index', f'--images={tmp_path}/{folder}', f'--index={run.index}')
    assert status == 2 and f'--images={tmp_path}/{folder}' in err and not run.index.exists()
    assert run('index', f'--images={run.root}', f'--index={run.index}')[0] == 0


def test_the_second_time_only_what_changed(run):
    run('index', f'--images={run.root}', f'--index={run.index}')
    write(run.root / 'class9' / 'x.png', 4000)
    status, out, _ = run('index', f'--index={run.index}')
    assert status == 0 and f'photos: {run.root}' in out and '1 new, 0 changed, 0 vanished, 12 unchanged' in out


def test_duplicates_are_listed_and_drawn(run, tmp_path):
    write(run.root / 'class2' / 'copy.png', 1)
    run('index', f'--images={run.root}', f'--index={run.index}')
    status, out, _ = run('duplicates', f'--index={run.index}', '--max_distance=0.01', f'--output={tmp_path}/d.png')
    assert status == 0 and out.splitlines()[0] == 'group 1: 2 photos, distance 0.0000'
    assert f'{run.root}/class0/1.png' in out and f'{run.root}/class2/copy.png' in out
    assert '1 groups within 0.01' in out and (tmp_path / 'd.png').is_file()


@pytest.mark.parametrize('argv, words', [
    (['index', '--index={tmp}/none'], '--images is empty'),
    (['index', '--images={tmp}/none', '--index={tmp}/x'], 'is not a folder'),
    (['index', '--images={tmp}', '--index={tmp}/x', '--checkpoint={tmp}/none'], 'does not exist'),
    (['search', '--index={tmp}/none', '--image={tmp}/photos/class0/0.png'], 'holds no index. Fix: python3 main.py'),
    (['search'], '--image is empty'),
    (['search', '--image={tmp}/none.jpg'], 'none.jpg: No such file'),
    (['duplicates', '--index={tmp}/none'], 'holds no index'),
    (['duplicates', '--max_distance=-1'], 'out of range'),
])
def test_bad_input_is_one_sentence(run, tmp_path, argv, words):
    status, _, err = run(*[word.format(tmp=tmp_path) for word in argv])
    assert status == 2 and err.startswith('error: ') and words in err and err.count('\n') == 1


def test_an_unknown_label_names_close_ones(run):
    run('index', f'--images={run.root}', f'--index={run.index}')
    status, _, err = run('search', f'--index={run.index}', f'--image={run.root}/class0/0.png', '--label=clas1')
    assert status == 2 and 'no picture has this label. Did you mean class1' in err
