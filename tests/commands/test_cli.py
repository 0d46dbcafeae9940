"""The command line: strict, layered, and equal to the originals' spellings."""

import ast
import errno
import json
import pathlib
import shutil
import subprocess
import sys

import pytest

import datasets
import losses
import main
import recipes
import samplers
from commands import cli, layers
from core import __version__
from core.argparse_internals import actions
from core.errors import UserError, explain

ROOT = pathlib.Path(__file__).resolve().parents[2]

ORIGINAL_EE = '''
--gpu_idx= --lr_decay_factor=0.5 --epochs=4000 --save_dir=runs/x --base_lr_mult=1.0 --beta=1.2 --sigma=0.5 --alpha=10
--eval_epoch_term=5 --lr=1e-4 --image_size=227 --start_epoch=0 --data_dir=./data/CARS_196 --summary_step=10 --wd=5e-4
--embed_dim=512 --seed=0 --batch_size=128 --lr_decay_epochs=400,800,1200,1600 --n_inner_pts=2 --ee_l2norm=True
--margin=1e-5 --num_workers=10 --num_instances=32 --recallk=1,2,4,8 --kvstore=device --optim=adam --momentum=0.9
--data_name=CARS196 --backbone=googlenet --loss=hphn-triplet --soft_margin=t'''.split()


def photos(folder, classes=44, images=5):
    """Class folders with files that are named like pictures; returns the folder."""
    for number in range(classes):
        (folder / f'c{number}').mkdir(parents=True)
        for k in range(images):
            (folder / f'c{number}' / f'{k}.jpg').write_bytes(b'')
    return folder


def dry_run(capsys, *argv):
    assert main.main(list(argv) + ['--dry_run']) == 0
    return json.loads(capsys.readouterr().out)


def test_every_flag_of_the_original_embedding_expansion_parses(capsys):
    flags = dry_run(capsys, *ORIGINAL_EE)
    assert len(ORIGINAL_EE) == 32
    assert (flags['loss'], datasets.resolve(flags['data_name'])) == ('hphn_triplet', 'cars196')
    assert flags['soft_margin'] is True
    assert flags['lr_decay_epochs'] == [400, 800, 1200, 1600] and flags['recallk'] == [1, 2, 4, 8]


def test_effective_defaults_of_the_original_hold_on_its_data(capsys):
    flags = dry_run(capsys, '--data_name=cars196')
    expected = dict(optim='adam', lr=1e-4, wd=5e-4, batch_size=128, num_instances=32, image_size=227, embed_dim=512,
                    backbone='googlenet', epochs=5000, eval_epoch_term=50, margin=1e-5, n_inner_pts=2, ee_l2norm=True,
                    soft_margin=False, lr_decay_epochs=[10, 20, 40, 80], base_lr_mult=1.0, kvstore='device', seed=0)
    assert {key: flags[key] for key in expected} == expected


def test_the_data_set_brings_its_preset_and_the_user_overrules_it(capsys):
    flags = dry_run(capsys, '--loss=hphn_triplet', '--n-inner-pts', '2')
    assert (flags['data_name'], flags['image_size'], flags['n_inner_pts']) == ('glyphs', 48, 2)
    assert dry_run(capsys, '--image_size=64', '--image-size=56')['image_size'] == 56


@pytest.mark.parametrize('argv, words', [
    (['--n_iner_pts=2'], ['--n_iner_pts=2 is not a flag here', 'Did you mean --n_inner_pts', 'main.py train --help']),
    (['--lr_beta=1'], ['--lr_beta=1 is not a flag here', 'It belongs to --loss=margin']),
    (['--loss=nothing'], ['--loss=nothing is unknown', 'Legal values', 'hphn_triplet']),
    (['--data_name=kub200'], ['--data_name=kub200 is unknown', 'cub200']),
    (['--lr=abc'], ['--lr', 'abc']),
    (['--epochs=0'], ['--epochs=0: out of range. Legal values: whole numbers from 1. Fix: ']),
    (['--nb-epoch', 'abc'], ['--nb_epoch=abc: not a whole number. Legal values: whole numbers from 1. Fix: ']),
    (['--epochs'], ['--epochs needs a value. Legal values: whole numbers from 1. Fix: ', '(default: 60)']),
    (['--lr_schedule=poli'], ['--lr_schedule=poli is unknown. Did you mean poly? Legal values: ', '. Fix: ']),
    (['--pixel_range=x'], ['--pixel_range=x is unknown. Legal values: 1, 255. Fix: ']),
    (['--image_size=100000'], ['--image_size=100000: out of range. Legal values: whole numbers from 1 to 4096.']),
    (['--help=1'], ['--help=1: this flag takes no value. Fix: --help']),
    (['serve', '--queue=0'], ['--queue=0: out of range. Legal values: whole numbers from 1 to 10000']),
    (['compare', '--losses=margin,npair', '--folds=1'], ['--folds=1: out of range. Legal values: whole numbers']),
    (['--ee_l2norm=maybe'], ['--ee_l2norm', 'neither true nor false. Legal values: true, false']),
    (['trian'], ['trian is not a command', 'train']),
    (['--loss=npair', '--sampler=random'], ['--sampler=random does not fit --loss=npair', 'Legal samplers']),
    (['--resume=/nowhere'], ['/nowhere holds no checkpoint']),
    (['evaluate'], ['--checkpoint is empty']),
    (['evaluate', 'nowhere'], ['nowhere holds no checkpoint']),
    (['prepare', 'cub20'], ['--data_name=cub20 is unknown. Did you mean cub200']),
    (['--lr=inf'], ['--lr=inf: not a finite number. Legal values: numbers from 0. Fix: ', '(default: 0.001)']),
    (['--margin=nan'], ['--margin=nan: not a finite number']),
    (['--lr_decay_epochs=1,inf'], ['--lr_decay_epochs']),
    (['--backbone=Nonsense', '--dry_run'], ['--backbone=Nonsense is unknown', 'Legal values']),
    (['--transform=rotated', '--dry_run'], ['--transform=rotated is unknown']),
    (['--loss=margin', 'oops'], ['oops is not a flag: flags begin with --']),
    (['--epochs=1', '--save_dir=/dev/null/x', '--glyphs_classes=4', '--batch_size=8'],
     ['/dev/null/x cannot be written: /dev/null is no folder']),
    (['--gpu_idx=99', '--glyphs_classes=4', '--data_dir=/dev/null/x'], ['--gpu_idx=99', 'usable GPU']),
])
def test_bad_input_is_one_clear_sentence(argv, words, capsys):
    assert main.main(argv) == 2
    error = capsys.readouterr().err
    assert error.startswith('error: ') and 'Traceback' not in error
    for word in words:
        assert word in error


@pytest.mark.parametrize('argv, words', [
    (['--save_dir=/proc/x'], '/proc/x cannot be written: No such file or directory in /proc. Fix: another --save_dir'),
    (['--glyphs_classes=6', '--batch_size=12', '--val_classes=6'], '--val_classes=6 does not leave classes'),
    (['--data_name=cub200', '--data_dir=/nowhere', '--val_classes=100'], 'the training part has 100'),
    (['--data_name=cub200', '--data_dir=/nowhere', '--fold=1/90'], 'Fix: at most 50 folds'),
    (['--gpu_idx=99'], '--gpu_idx=99: this machine has'),
    (['--glyphs_classes=2', '--batch_size=64'], 'needs'),
    (['--recallk=1,9999'], 'recallk'),
    (['--lr=1e39'], '--lr=1e+39'), (['--mean=1,2'], '--mean=1,2 has 2 numbers'),
    (['--start_epoch=60'], '--start_epoch=60 leaves nothing to train'),
    (['--loss=softmax_ranking', '--train_mode=none'], '--train_mode=none is unknown'),
    (['--loss=softmax_ranking', '--train_mode=semi-hard', '--margin=soft'], '--margin=soft does not fit'),
    (['--loss=heated_softmax', '--heat_up', '--nb_hu_epoch=900'], '--nb_hu_epoch=900 is more than'),
    (['--loss=hdc', '--hdc_dims=8,8'], '--hdc_dims has 2 depths'),
    (['--n_inner_pts=2', '--num_instances=3', '--batch_size=12'], '--num_instances=3 is odd'),
    (['--loss=lifted_structure', '--n_inner_pts=10000'], 'Fix: --n_inner_pts='),
])
def test_a_dry_run_refuses_what_a_run_would(argv, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main.main([*argv, '--dry_run']) == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_dry_run_refuses_a_folder_that_holds_a_run(tmp_path, capsys):
    (tmp_path / 'result.json').write_text('{}')
    assert main.main([f'--save_dir={tmp_path}', '--dry_run']) == 2
    assert 'already holds a run. Fix: --resume=' in capsys.readouterr().err
    assert main.main([f'--save_dir={tmp_path}/new/one', '--dry_run']) == 0
    assert [path.name for path in tmp_path.iterdir()] == ['result.json']


@pytest.mark.parametrize('loss', sorted(losses.LOSSES))
def test_every_loss_has_a_complete_command_line(loss, capsys):
    flags = dry_run(capsys, '--loss=' + loss)
    assert flags['loss'] == loss and flags['sampler'] in losses.LOSSES[loss].samplers
    paper = dry_run(capsys, '--loss=' + loss, '--data_name=cub200')
    unknown = set(recipes.defaults(loss)) - set(paper)
    assert not unknown, f'defaults of {loss} name no flag: {unknown}'


@pytest.mark.parametrize('loss', sorted(losses.LOSSES))
def test_the_samplers_that_a_loss_names_exist(loss):
    named = losses.LOSSES[loss].samplers
    assert set(named) <= set(samplers.SAMPLERS) and losses.LOSSES[loss].sampler in named


@pytest.mark.parametrize('loss', sorted(losses.LOSSES))
def test_every_allowed_sampler_builds_the_loss(loss):
    for sampler in losses.LOSSES[loss].samplers:
        _, args = cli.parse(['--loss=' + loss, '--sampler=' + sampler])
        assert losses.LOSSES[loss].from_args(args, 10) is not None


def test_help_is_grouped_by_folder(capsys):
    with pytest.raises(SystemExit):
        main.main(['--loss=margin', '--help'])
    text = capsys.readouterr().out
    for title in ('losses:', 'samplers:', 'datasets:', 'models:', 'engine:', 'evaluation:', '--lr_beta'):
        assert title in text


def attributes_read():
    """Every name that occurs as an attribute or as a string constant in the program (not in an add_args)."""
    names = set()
    for folder in ('commands', 'core', 'losses', 'samplers', 'datasets', 'models', 'engine', 'evaluation', 'scripts'):
        for path in sorted((ROOT / folder).rglob('*.py')):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Attribute):
                    names.add(node.attr)
                elif isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'getattr':
                    names.update(a.value for a in node.args if isinstance(a, ast.Constant))
                elif isinstance(node, ast.Tuple):
                    names.update(a.value for a in node.elts if isinstance(a, ast.Constant))
    return names


def test_no_flag_is_dead():
    read = attributes_read()
    dead = set()
    for loss in losses.LOSSES:
        for sampler in losses.LOSSES[loss].samplers:
            parsers = [layers.training_parser(['--loss=' + loss, '--sampler=' + sampler], {})]
            parsers += [layers.checkpoint_parser([], {'loss': loss}, command) for command in ('evaluate', 'embed')]
            for parser in parsers:
                dead |= {action.dest for action in actions(parser)} - read - {'help'}
    assert not dead


def test_what_a_checkpoint_fixes_is_no_flag_of_evaluate_and_embed():
    for command, flags in (('evaluate', ['--lr=1', '--loss=npair', '--backbone=resnet50_v1', '--output=x']),
                           ('embed', ['--recallk=1', '--save_dir=x', '--epochs=3'])):
        for flag in flags:
            with pytest.raises(UserError, match='is not a flag here'):
                cli.parse([command, flag])
    base = {'loss': 'npair', 'lr': 0.5, 'backbone': 'resnet50_v1', 'recallk': [7]}
    args = layers.checkpoint_parser([], base, 'evaluate').parse_args(['--metric=cosine'])
    assert (args.loss, args.lr, args.backbone) == ('npair', 0.5, 'resnet50_v1')
    assert (args.recallk, args.metric) == ([7], 'cosine')
    assert args.figures and not cli.parse(['evaluate', '--embeddings=x.npz'])[1].figures


def test_an_unknown_flag_names_three_close_ones_and_not_sixty(capsys):
    assert main.main(['--epoch=3']) == 2
    error = capsys.readouterr().err
    assert 'Did you mean --epochs' in error and error.count('--') <= 6


def test_help_and_version_do_the_obvious(capsys):
    assert main.main(['--version']) == main.main(['version']) == main.main(['help']) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f'gluon-dml {__version__}\n')
    assert all(f'\n    {name} ' in printed for name in cli.COMMANDS)
    with pytest.raises(SystemExit):
        main.main(['help', 'prepare'])
    assert '--archive' in capsys.readouterr().out


def test_paths_are_absolute_as_seen_from_the_caller(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('HOME', '/home/someone')
    (tmp_path / 'w.params').write_text('')
    photos(tmp_path / 'photos')
    flags = dry_run(capsys, '--save_dir=~/x', '--data_dir=photos', '--pretrained=w.params')
    assert (flags['save_dir'], flags['data_dir']) == ('/home/someone/x', str(tmp_path / 'photos'))
    assert flags['pretrained'] == str(tmp_path / 'w.params')
    assert dry_run(capsys, '--data_name=CUB-200-2011')['data_dir'] == str(tmp_path / 'data' / 'cub200')


@pytest.mark.parametrize('line, parts', [
    ('--gpu_idx=first', ['--gpu_idx=first is not a list of GPU numbers']),
    ('--pretrained=Truee', ['--pretrained=', 'Truee: there is no such file', 'true (ImageNet weights)']),
    ('--data_dir=nothing', ['nothing does not exist']),
    ('--data_dir=two', ['1 class to train on', '--split=within']),
    ('--data_dir=above', ['holds 6 folders of images (c0, c1, c2, ...)', 'Fix: --data_dir=', 'above/inner']),
    ('--data_dir=above/inner --batch_size=60', ['needs 12 classes a batch, but the training set has 3'])])
def test_a_dry_run_finds_what_needs_no_picture(capsys, monkeypatch, tmp_path, line, parts):
    monkeypatch.chdir(tmp_path)
    photos(tmp_path / 'two', 2), photos(tmp_path / 'above' / 'inner', 6)
    assert main.main(['--loss=triplet_semihard', *line.split(), '--dry_run']) == 2
    error = capsys.readouterr().err
    assert all(part in error for part in parts), error


def test_a_search_with_a_damaged_picture_names_its_own_flag(capsys, tmp_path):
    (tmp_path / 'bad.jpg').write_bytes(b'no picture')
    assert main.main(['search', f'--image={tmp_path}/bad.jpg', f'--index={tmp_path}']) == 2
    error = capsys.readouterr().err
    assert '--image=' in error and 'not an image' in error and '--on_bad_image' not in error


def test_a_comparison_names_its_own_flag(capsys):
    assert main.main(['compare', '--losses=margin,foo+margin=1']) == 2
    assert '--losses=foo is unknown' in capsys.readouterr().err


def test_papers_start_from_imagenet_weights_on_their_data(capsys, tmp_path):
    for words, wanted in ((['--data_name=cars196'], True), (['--data_name=cub200', '--pretrained=false'], False),
                          ([], False), (['--data_name=mnist', '--backbone=lenet'], False),
                          (['--data_name=sop', '--loss=sst'], True), ([f'--data_dir={photos(tmp_path)}'], False)):
        assert dry_run(capsys, *words)['pretrained'] is wanted, words


def test_names_are_resolved(capsys):
    flags = dry_run(capsys, '--data_name=CARS196', '--loss=HPHN-Triplet', '--transform=Heated-Up')
    assert (flags['data_name'], flags['loss'], flags['transform']) == ('cars196', 'hphn_triplet', 'heated_up')


@pytest.mark.parametrize('error, words', [
    (OSError(errno.ENOSPC, 'No space left on device', '/x'), '/x: the disk is full'),
    (OSError(errno.EROFS, 'Read-only file system', '/run/a'), '/run/a: Read-only file system. Fix: give another'),
    (IsADirectoryError(errno.EISDIR, 'Is a directory', '/y'), '/y: Is a directory'),
    (FileNotFoundError(errno.ENOENT, 'No such file', '/a\x1b[31m'), '/a\\x1b[31m: No such file'),
    (MemoryError(), 'not enough memory for this batch. Fix: a smaller --batch_size'),
])
def test_what_comes_from_outside_is_one_sentence(error, words, monkeypatch, capsys):
    def fail(argv):
        raise error
    monkeypatch.setattr(cli, 'run', fail)
    assert main.main([]) == 2
    assert capsys.readouterr().err.startswith('error: ') and words in explain(error)


def test_a_fault_of_the_program_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr(cli, 'run', lambda argv: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main.main([])


def test_a_fresh_clone_names_the_set_up(tmp_path):
    shutil.copy(ROOT / 'main.py', tmp_path)
    for folder in ('core', 'commands', 'datasets', 'evaluation', 'losses', 'models', 'recipes', 'samplers', 'engine'):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns('__pycache__'))

    def start():
        done = subprocess.run([sys.executable, '-S', 'main.py', '--loss=hphn_triplet'], cwd=tmp_path,
                              capture_output=True, text=True)
        return done.returncode, done.stderr
    assert start() == (2, 'error: the package numpy is not installed. Fix: bash scripts/setup.sh\n')
    (tmp_path / '.venv' / 'bin').mkdir(parents=True)
    (tmp_path / '.venv' / 'bin' / 'python').write_text('no program')
    code, said = start()
    assert code == 1 and said.startswith('error: ') and said.endswith('Fix: bash scripts/setup.sh\n')


def test_flag_errors_are_user_errors_and_not_exits():
    with pytest.raises(UserError):
        cli.parse(['--recallk=a'])


def test_an_own_folder_of_photos_says_that_the_trunk_is_random():
    for words, said in ((['--data_dir=/photos'], 1), (['--data_dir=/photos', '--pretrained'], 0),
                        (['--data_dir=/photos', '--backbone=convnet'], 0), ([], 0)):
        assert len(layers.notes(cli.parse(words)[1])) == said


def test_report_without_runs_shows_those_of_the_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main.main(['report']) == 2
    assert 'the folder runs, which is not here' in capsys.readouterr().err
    (tmp_path / 'runs').mkdir()
    assert main.main(['report']) == 2
    assert 'which is not here' not in capsys.readouterr().err


@pytest.mark.parametrize('words, flag', [('export runs/a', 'checkpoint'), ('index photos', 'images'),
                                         ('search a/b.jpg --k=3', 'image'), ('prepare cub200', 'data_name')])
def test_a_word_without_a_flag_is_the_command_s_first_thing(words, flag):
    args = cli.parse(words.split())[1]
    assert getattr(args, flag).endswith(words.split()[1])
