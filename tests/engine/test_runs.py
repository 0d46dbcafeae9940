"""The folder of a run: what resuming keeps, who may write it, what a full disk and a failed start leave."""

import builtins
import errno
import json
import os
import pathlib
import shutil
import subprocess

import numpy as np
import pytest
from tensorboardX.proto.event_pb2 import Event

import main
from core.errors import UserError
from core.files import read_log
from engine import board, checkpoint, trainer
from engine import run as runs


@pytest.fixture(scope='module')
def letters(tmp_path_factory):
    return str(tmp_path_factory.mktemp('letters'))


@pytest.fixture
def train(letters, tmp_path):
    def go(name, *flags):
        return main.main(['--loss=margin', '--data_dir=' + letters, '--data_name=glyphs', '--glyphs_classes=6',
                          '--glyphs_instances=8', '--batch_size=8', '--batch_k=4', '--embed_dim=4', '--figures=0',
                          '--image_size=28', '--backbone=lenet', '--summary_step=1', f'--save_dir={tmp_path / name}',
                          *flags])
    go.folder = tmp_path
    return go


def points(folder):
    """{tag: [(step, value)]} of the event files of a folder, in the order in which they were written."""
    found = {}
    for path in sorted(folder.glob('events.*')):
        for data in board.records(path.read_bytes()):
            event = Event.FromString(data)
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def state_of(folder):
    return checkpoint.read_state(checkpoint.locate(folder))


@pytest.mark.parametrize('flags', [['--epochs=5', '--train_iters=4'],
                                   ['--epochs=9', '--early_stopping=1', '--lr=0', '--lr_beta=0']])
def test_a_finished_run_gains_nothing_by_being_resumed(train, flags):
    assert train('run', *flags) == 0
    before, log = state_of(train.folder / 'run'), (train.folder / 'run/log.jsonl').read_bytes()
    assert before['epoch'] < 5
    assert main.main([f'--resume={train.folder}/run']) == 0
    assert state_of(train.folder / 'run') == before and (train.folder / 'run/log.jsonl').read_bytes() == log


def test_resuming_needs_no_pretrained_file_and_takes_the_folder_of_the_checkpoint(train):
    assert train('first', '--epochs=1') == 0
    weights = train.folder / 'weights.params'
    shutil.copy(train.folder / 'first/last/net.params', weights)
    flags = [f'--pretrained={weights}', '--conv_lr_mult=0.1', '--lr_schedule=constant']
    assert train('whole', '--epochs=2', *flags) == 0
    assert train('parts', '--epochs=1', *flags) == 0
    weights.unlink()
    assert main.main([f'--resume={train.folder}/parts/last', '--epochs=2']) == 0
    assert not (train.folder / 'parts/last/last').exists()
    same = [(train.folder / name / 'last/net.params').read_bytes() for name in ('whole', 'parts')]
    assert same[0] == same[1]    # with the slow trunk of pretrained weights


def test_what_a_run_was_told_later_is_kept(train, capsys, monkeypatch):
    monkeypatch.setattr('sys.argv', ['main.py', '--epochs=1'])
    assert train('run', '--epochs=1') == 0
    first = json.loads((train.folder / 'run/args.json').read_text())
    assert main.main([f'--resume={train.folder}/run', '--epochs=2', '--optim=sgd']) == 2
    assert '--optim=sgd does not fit the run' in capsys.readouterr().err
    assert json.loads((train.folder / 'run/args.json').read_text())['epochs'] == 1
    monkeypatch.setattr('sys.argv', ['main.py', f'--resume={train.folder}/run', '--epochs=2'])
    assert main.main([f'--resume={train.folder}/run', '--epochs=2']) == 0
    args = json.loads((train.folder / 'run/args.json').read_text())
    result = json.loads((train.folder / 'run/result.json').read_text())
    assert args['argv'] == first['argv'] and args['epochs'] == result['args']['epochs'] == 2
    assert [entry['changed'] for entry in args['history']] == [{'epochs': [1, 2]}]
    assert result['command'] == (f'python3 main.py --epochs=1 --save_dir={train.folder}/run && python3 main.py '
                                 f'--resume={train.folder}/run --epochs=2')


def test_the_first_epoch_can_have_another_number(train, capsys):
    assert train('run', '--epochs=3', '--start_epoch=2', '--lr_decay_epochs=1,2', '--lr_decay_factor=0.5',
                 '--lr_schedule=multifactor_iteration', '--lr=0.01') == 0
    steps = [line for line in read_log(train.folder / 'run/log.jsonl') if line['kind'] == 'step']
    assert {line['epoch'] for line in steps} == {2}    # --epochs is where training ends
    per_epoch = len(steps)
    assert [line['step'] for line in steps] == [2 * per_epoch + 1 + i for i in range(per_epoch)]
    np.testing.assert_allclose([line['lr'] for line in steps], [0.005] + [0.0025] * (per_epoch - 1))
    assert points(train.folder / 'run/tensorboard')['metric_epoch/R1'][0][0] == 3    # the axis begins at 1
    assert train('none', '--epochs=2', '--start_epoch=2') == 2
    assert 'leaves nothing to train' in capsys.readouterr().err


def test_tensorboard_shows_settings_baselines_and_map(train):
    assert train('run', '--epochs=1', '--baselines') == 0
    found = points(train.folder / 'run/tensorboard')
    for tag in ('loss', 'lr', 'lr_epoch', 'loss_epoch', 'metric/R1', 'metric_epoch/R1/best', 'metric/MAP_R',
                'hparam/R1', '_hparams_/experiment', '_hparams_/session_start_info', 'baseline/raw_pixels/R1'):
        assert tag in found, (tag, sorted(found))


def test_curves_never_run_backwards(train, monkeypatch):
    """The process dies without a word after two epochs and a step; the checkpoint is of the first epoch."""
    step = trainer.Trainer.step

    def dying(self, batch, lr):
        if self.state['epoch'] == 2 and self.state['step'] == 1:
            self.run.flush()
            raise KeyboardInterrupt
        return step(self, batch, lr)

    assert train('whole', '--epochs=3') == 0
    monkeypatch.setattr(trainer.Trainer, 'step', dying)
    assert train('run', '--epochs=3', '--save_epoch_term=9', '--eval_epoch_term=1', '--val_classes=2') == 130
    monkeypatch.undo()
    (train.folder / 'run/log.jsonl').write_text((train.folder / 'run/log.jsonl').read_text() + '{"kind": "step", "st')
    assert main.main([f'--resume={train.folder}/run']) == 0
    for tag, found in points(train.folder / 'run/tensorboard').items():
        steps = [at for at, _ in found]
        assert steps == sorted(set(steps)), tag
    lines = [line['step'] for line in read_log(train.folder / 'run/log.jsonl') if line['kind'] == 'step']
    assert lines == list(range(1, len(lines) + 1))
    assert [at for at, _ in points(train.folder / 'run/tensorboard')['loss']] == lines


def test_a_full_disk_neither_stops_nor_thins_the_curves(tmp_path, monkeypatch, capsys):
    run = runs.Run(tmp_path / 'run', {})
    real = builtins.open

    def full(path, mode='r', *args, **options):
        if mode != 'r' and str(tmp_path) in str(path):
            raise OSError(errno.ENOSPC, 'No space left on device', str(path))
        return real(path, mode, *args, **options)

    run.board.add_scalar('loss', 1.0, 1)
    run.log('step', step=1)
    monkeypatch.setattr(builtins, 'open', full)
    for step in range(2, 50):
        run.board.add_scalar('loss', 1.0, step)
        run.log('step', step=step)
        run.flush()
    assert capsys.readouterr().out.count('note:') == 2    # once each, not at every step
    monkeypatch.undo()
    run.board.add_scalar('loss', 1.0, 50)
    run.log('step', step=50)
    run.close()
    assert [step for step, _ in points(tmp_path / 'run/tensorboard')['loss']] == list(range(1, 51))
    assert [line['step'] for line in read_log(tmp_path / 'run/log.jsonl')] == list(range(1, 51))


def test_half_a_record_is_overwritten_when_there_is_space_again(tmp_path):
    writer = board.PatientWriter(tmp_path, pause=1e9)
    writer.add_event(Event(step=1))
    writer.flush()
    with open(writer.file, 'ab') as file:
        file.write(b'half a rec')
    writer.add_event(Event(step=2))
    writer.close()
    assert [Event.FromString(data).step for data in board.records(writer.file.read_bytes())] == [0, 1, 2]


def test_weights_that_are_not_finite_are_never_saved_as_good(train, capsys, monkeypatch):
    step = trainer.Update.step

    def bursting(self, n, lr):
        step(self, n, lr)
        if self.trainers[0].optimizer.num_update == 12:    # the last iteration of the second epoch
            self.of_network[2].list_data()[0][:] = float('inf')

    monkeypatch.setattr(trainer.Update, 'step', bursting)
    assert train('bad', '--epochs=2', '--eval_epoch_term=10') == 2
    error = capsys.readouterr().err
    assert 'weights are NaN or infinite after iteration 12' in error and 'Last good checkpoint' in error
    assert state_of(train.folder / 'bad')['iteration'] == 6


def test_dying_between_the_two_checkpoints_leaves_result_and_best_of_one_epoch(train, monkeypatch):
    again = checkpoint.again

    def dying(run, which, folder, iteration):       # after `best` is published, before `last` is
        if iteration > 6:
            raise KeyboardInterrupt
        again(run, which, folder, iteration)

    monkeypatch.setattr('engine.progress.score_of', lambda result: next(rising))
    rising = iter(range(1000))
    monkeypatch.setattr(checkpoint, 'again', dying)
    assert train('run', '--epochs=2') == 130
    monkeypatch.setattr(checkpoint, 'again', again)
    assert main.main([f'--resume={train.folder}/run']) == 0
    result = json.loads((train.folder / 'run/result.json').read_text())
    assert result['best_epoch'] == checkpoint.read_state(train.folder / 'run/best')['epoch'] - 1


def test_a_second_process_on_one_run_is_refused(tmp_path):
    first = runs.Run(tmp_path / 'run', {})
    for resumed in (False, True):
        with pytest.raises(UserError, match=f'another process .process {os.getpid()}'):
            runs.Run(tmp_path / 'run', {}, resumed=resumed)
    first.close()
    runs.Run(tmp_path / 'run', {}).close()


def test_runs_started_in_one_second_have_folders_of_their_own(tmp_path):
    folders = {runs.new_folder(tmp_path / 'runs', 'glyphs-margin') for _ in range(5)}
    assert len(folders) == 5 and all(folder.is_dir() for folder in folders)


def test_a_start_that_fails_leaves_no_folder(train, capsys, monkeypatch):
    assert train('run', '--optim=adamm') == 2
    assert '--optim=adamm is unknown' in capsys.readouterr().err
    assert not (train.folder / 'run').exists()
    monkeypatch.setattr(trainer.Trainer, 'plan', lambda self, epoch: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train('run', '--epochs=1')
    assert not (train.folder / 'run').exists()
    monkeypatch.undo()
    assert train('run', '--epochs=1') == 0


def test_what_a_killed_start_left_is_no_run(train):
    (train.folder / 'run/tensorboard').mkdir(parents=True)
    (train.folder / 'run/args.json').write_text('{}')
    (train.folder / 'run/log.jsonl').write_text('{"kind": "step", "step": 77}\n')
    assert train('run', '--epochs=1') == 0
    assert read_log(train.folder / 'run/log.jsonl')[0]['step'] == 1


@pytest.mark.parametrize('name', ['args.json', 'state.json', 'net.params', 'criterion.params', 'optimizer.params',
                                  'manifest.json'])
def test_a_damaged_run_ends_in_one_sentence(train, capsys, name):
    assert train('run', '--epochs=1') == 0
    path = pathlib.Path(train.folder, 'run/last', name)
    content = path.read_bytes()
    for damaged in (b'', content[:len(content) // 2], bytes([content[0] ^ 1]) + content[1:]):
        path.write_bytes(damaged)
        assert main.main([f'--resume={train.folder}/run', '--epochs=2']) == 2
        error = capsys.readouterr().err
        assert name in error or 'no checkpoint' in error, error
        assert error.count('\n') == 1


def test_evaluation_by_iterations_comes_inside_epochs_and_resumes(train, monkeypatch):
    """Every 3 iterations, in the middle of epochs and at their ends, and after the last one."""
    words = ['--epochs=2', '--eval_iter_term=3', '--glyphs_instances=10', '--val_classes=2']
    assert train('run', *words) == 0
    folder = train.folder / 'run'
    log = read_log(folder / 'log.jsonl')
    steps = [line['step'] for line in log if line['kind'] == 'epoch']
    assert steps == [steps[0], 2 * steps[0]]
    due = sorted({*range(3, steps[1], 3), steps[1]})
    assert [line['step'] for line in log if 'val_recall' in line] == due
    assert [step for step, _ in points(folder / 'tensorboard')['validation/R1']] == due
    assert [step for step, _ in points(folder / 'tensorboard')['validation_epoch/R1']] == [
        1 + n for n, step in enumerate(steps) if step in due]
    result = json.loads((folder / 'result.json').read_text())
    assert result['selection']['last']['iteration'] == steps[1]
    values = [line['val_recall']['1'] for line in log if 'val_recall' in line]
    assert result['selection']['chosen_on_validation']['iteration'] == due[values.index(max(values))]

    def killed(self, epoch, scores, inside=trainer.Progress.inside):
        inside(self, epoch, scores)
        if self.state['iteration'] == 9:
            raise KeyboardInterrupt
    monkeypatch.setattr(trainer.Progress, 'inside', killed)
    assert train('killed', *words) == 130
    monkeypatch.undo()
    assert main.main([f'--resume={train.folder}/killed']) == 0
    again = json.loads((train.folder / 'killed/result.json').read_text())
    assert again['selection'] == result['selection'] and again['loss'] == result['loss']


def test_results_in_docs_do_not_make_the_code_dirty(tmp_path, monkeypatch):
    def git(*words):
        subprocess.run(['git', '-c', 'user.name=x', '-c', 'user.email=x@x', *words], cwd=tmp_path, check=True,
                       capture_output=True)
    git('init')
    (tmp_path / 'docs').mkdir()
    for name in ('main.py', 'docs/results.csv'):
        (tmp_path / name).write_text('1')
    git('add', '-A')
    git('commit', '-m', 'x')
    monkeypatch.setattr('engine.run.ROOT', tmp_path)
    clean = runs.commit.__wrapped__()
    (tmp_path / 'docs/results.csv').write_text('2')
    assert len(clean) == 12 and runs.commit.__wrapped__() == clean
    (tmp_path / 'main.py').write_text('2')
    assert runs.commit.__wrapped__() == clean + '-dirty'


@pytest.mark.parametrize('kept', [(), ('notes.txt',)])
def test_a_failed_start_leaves_a_folder_of_the_user_as_it_was(tmp_path, kept):
    folder = tmp_path / 'there'
    folder.mkdir()
    for name in kept:
        (folder / name).write_text('mine')
    runs.Run(folder, {}).discard()
    assert sorted(path.name for path in folder.iterdir()) == list(kept)
    runs.Run(tmp_path / 'a/b/c', {}).discard()
    assert [path.name for path in tmp_path.iterdir()] == ['there']


def test_a_refused_resume_changes_nothing(train, capsys):
    def files():
        return {str(path): path.read_bytes() for path in train.folder.rglob('*') if path.is_file()}
    assert train('run', '--epochs=1') == 0
    before = files()
    for flag, words in (('--optim=sgd', '--optim=sgd does not fit'), ('--batch_size=4000', '--batch_size=4000'),
                        ('--glyphs_classes=4', 'training images are not those'), ('--seed=3', '--seed=3 differs'),
                        ('--recallk=5', '--recallk=5 begins with another K'), ('--image_size=1', '--image_size'),
                        ('--lr=1e39', '--lr=1e+39')):
        assert main.main([f'--resume={train.folder}/run', '--epochs=2', flag]) == 2, flag
        assert words in capsys.readouterr().err
        assert files() == before, flag
