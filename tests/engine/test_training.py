"""The loop: resuming bit for bit, interruption, bad losses, full disks, several devices, accumulation."""

import json
import os
import pathlib
import signal

import cv2
import numpy as np
import pytest

import main
from commands import cli
from core.runtime import mx, nd
from engine import checkpoint, trainer
from evaluation.embeddings import save_embeddings


@pytest.fixture(scope='module')
def letters(tmp_path_factory):
    return str(tmp_path_factory.mktemp('letters'))


@pytest.fixture
def train(letters, tmp_path):
    def run(name, *flags):
        batches = [] if '--sampler=random' in flags else ['--num_instances=4']
        return main.main(['--loss=hphn_triplet', '--data_dir=' + letters, '--data_name=glyphs', '--glyphs_classes=8',
                          '--glyphs_instances=8', '--batch_size=16', '--embed_dim=8', '--figures=0',
                          '--lr_decay_epochs=1,2', '--save_dir=' + str(tmp_path / name)] + batches + list(flags))
    run.folder = tmp_path
    return run


def parameters(folder):
    arrays = nd.load(str(pathlib.Path(folder) / 'net.params'))
    return {name: array.asnumpy() for name, array in arrays.items() if not name.startswith('__')}


def curve(folder):
    lines = [json.loads(line) for line in (folder / 'log.jsonl').read_text().splitlines()]
    left_out = {'seconds', 'images_per_second', 'recall', 'map_at_r'}
    return [{key: value for key, value in line.items() if key not in left_out} for line in lines]


def assert_same_run(a, b):
    first, second = parameters(a / 'last'), parameters(b / 'last')
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)
    assert (a / 'last/optimizer.params').read_bytes() == (b / 'last/optimizer.params').read_bytes()
    assert curve(a) == curve(b)


def test_four_epochs_equal_two_and_two_more(train, monkeypatch):
    flags = ['--loss=margin', '--batch_k=4', '--lr_schedule=plateau']
    assert train('whole', '--epochs=4', '--summary_step=1', *flags) == 0
    end_epoch = trainer.Trainer.end_epoch

    def interrupted(self, epoch):
        if epoch == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return end_epoch(self, epoch)

    monkeypatch.setattr(trainer.Trainer, 'end_epoch', interrupted)
    assert train('parts', '--epochs=4', '--summary_step=1', *flags) == 128 + signal.SIGTERM
    monkeypatch.undo()
    assert main.main(['--resume=' + str(train.folder / 'parts')]) == 0
    assert_same_run(train.folder / 'whole', train.folder / 'parts')
    whole, parts = (json.loads((train.folder / name / 'result.json').read_text()) for name in ('whole', 'parts'))
    assert whole['iterations'] == parts['iterations'] and whole['recall'] == parts['recall']


def test_a_finished_run_goes_on_with_more_epochs(train):
    assert train('whole', '--epochs=4', '--summary_step=1') == 0
    assert train('parts', '--epochs=2', '--summary_step=1') == 0
    assert main.main(['--resume=' + str(train.folder / 'parts'), '--epochs=4']) == 0
    assert_same_run(train.folder / 'whole', train.folder / 'parts')


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_finishes_the_step_saves_and_resumes_in_the_middle_of_an_epoch(train, monkeypatch, capsys, number):
    assert train('whole', '--epochs=2', '--summary_step=1') == 0
    step = trainer.Trainer.step

    def interrupted(self, batch, lr):
        if self.state['iteration'] == 1:
            os.kill(os.getpid(), number)
        return step(self, batch, lr)

    monkeypatch.setattr(trainer.Trainer, 'step', interrupted)
    assert train('parts', '--epochs=2', '--summary_step=1') == 128 + number
    assert '--resume=' + str(train.folder / 'parts') in capsys.readouterr().out
    assert checkpoint.read_state(train.folder / 'parts/last')['iteration'] == 2
    monkeypatch.undo()
    assert main.main(['--resume=' + str(train.folder / 'parts')]) == 0
    assert_same_run(train.folder / 'whole', train.folder / 'parts')


def test_a_loss_that_is_not_finite_names_the_images_and_keeps_the_checkpoint(train, monkeypatch, capsys):
    step = trainer.Trainer.forward

    def poisoned(self, image):
        out = step(self, image)
        return out._replace(embedding=out.embedding * float('nan')) if self.state['iteration'] == 6 else out

    monkeypatch.setattr(trainer.Trainer, 'forward', poisoned)
    assert train('bad', '--epochs=4') == 2
    error = capsys.readouterr().err
    assert 'the loss is nan at iteration 6' in error and 'Last good checkpoint' in error
    assert len((train.folder / 'bad/not_finite.txt').read_text().splitlines()) == 16
    assert checkpoint.read_state(train.folder / 'bad/last')['iteration'] == 6


def test_a_full_disk_leaves_the_last_good_checkpoint(train, monkeypatch, capsys):
    from models.embedding import EmbeddingNet
    save, calls = EmbeddingNet.save, []

    def full(self, file):
        calls.append('last-' in file)
        if sum(calls) > 2:
            raise OSError(28, 'No space left on device')
        save(self, file)

    monkeypatch.setattr(EmbeddingNet, 'save', full)
    assert train('full', '--epochs=4') == 2
    error = capsys.readouterr().err
    assert 'The disk is full' in error and str(train.folder / 'full/last') in error
    monkeypatch.undo()
    assert not list((train.folder / 'full/checkpoints').glob('*.new'))
    assert main.main(['--resume=' + str(train.folder / 'full')]) == 0


def test_killed_before_the_link_is_there(train):
    assert train('killed', '--epochs=1') == 0
    (train.folder / 'killed/last').unlink()
    assert checkpoint.locate(train.folder / 'killed').name == 'last-00000002'
    assert main.main(['--resume=' + str(train.folder / 'killed'), '--epochs=2']) == 0


def test_a_run_is_never_overwritten(train, capsys):
    assert train('once', '--epochs=1') == 0
    before = (train.folder / 'once/result.json').read_bytes()
    assert train('once', '--epochs=1') == 2
    assert 'already holds a run' in capsys.readouterr().err
    assert (train.folder / 'once/result.json').read_bytes() == before


def test_result_and_last_line(train, capsys):
    assert train('result', '--epochs=2', '--recallk=1,3', '--val_classes=2') == 0
    result = json.loads((train.folder / 'result/result.json').read_text())
    assert set(result['recall']) == {'1', '3'} and result['recall']['1'] <= result['best_recall']['1']
    for key in ('epoch', 'loss', 'data_name', 'args', 'commit', 'images_per_second', 'seconds'):
        assert key in result
    assert set(result['selection']) == {'last', 'best_on_test', 'chosen_on_validation'}
    assert result['selection']['chosen_on_validation']['recall'].keys() == {'1', '3'}
    last = capsys.readouterr().out.strip().splitlines()[-1]
    assert last == 'R@1 last {:.4f} best {:.4f} -> {}'.format(
        result['recall']['1'], result['best_recall']['1'], train.folder / 'result')


def test_evaluate_gives_the_figures_of_training(train, capsys):
    assert train('again', '--epochs=1') == 0
    trained = json.loads((train.folder / 'again/result.json').read_text())
    assert main.main(['evaluate', '--checkpoint=' + str(train.folder / 'again'), '--figures=0']) == 0
    scored = json.loads((train.folder / 'again/evaluation/result.json').read_text())
    assert scored['recall'] == trained['recall'] == scored['selection']['last']['recall']
    assert scored['label'] == 'last epoch' and scored['selection']['best_on_test'] is None
    out = train.folder / 'elsewhere'
    assert main.main(['evaluate', '--checkpoint=' + str(train.folder / 'again'), '--which=best', '--figures=0',
                      '--save_dir=' + str(out)]) == 0
    assert "epoch 0, best on test (the papers' habit)" in capsys.readouterr().out
    assert json.loads((out / 'result.json').read_text())['selection']['best_on_test']['epoch'] == 0


def test_evaluate_on_another_data_set_leaves_the_first_one_alone(train, tmp_path):
    assert train('there', '--epochs=1') == 0
    rng = np.random.RandomState(0)
    for i in range(16):
        folder = tmp_path / f'photos/class{i // 4}'
        folder.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / f'{i}.png'), rng.randint(0, 256, (60, 60, 3)).astype(np.uint8))
    run = train.folder / 'there'
    flags = ['evaluate', '--checkpoint=' + str(run), '--figures=0', '--recallk=1,7']
    assert main.main(flags) == 0
    before = (run / 'evaluation/result.json').read_bytes()
    assert main.main(flags + ['--data_name=folder', '--data_dir=' + str(tmp_path / 'photos')]) == 0
    assert (run / 'evaluation/result.json').read_bytes() == before
    other = next(run.glob('evaluation_folder_data_dir=photos-*'))
    assert json.loads((other / 'result.json').read_text())['n_query'] == 8
    (tmp_path / 'lone/test/one').mkdir(parents=True)
    cv2.imwrite(str(tmp_path / 'lone/test/one/0.png'), np.zeros((60, 60, 3), np.uint8))
    (tmp_path / 'lone/train/two').mkdir(parents=True)
    cv2.imwrite(str(tmp_path / 'lone/train/two/0.png'), np.zeros((60, 60, 3), np.uint8))
    lone = ['--checkpoint=' + str(run), '--data_name=folder', '--data_dir=' + str(tmp_path / 'lone')]
    assert main.main(['evaluate'] + lone) == 2    # nothing can be retrieved, but it can be embedded
    assert main.main(['embed'] + lone) == 0
    assert main.main(['embed'] + lone + ['--part=train']) == 0
    assert sorted(p.name.split('_data_dir=lone-')[0] for p in run.glob('*.npz')) == [
        'embeddings_folder', 'embeddings_train_folder']
    _, args = cli.parse(flags + ['--data_name=folder'])
    assert args.data_dir == '' and args.image_size == 48    # the run's view of an image, not its folder


@pytest.mark.parametrize('flags,words', [
    (['--recallk=1,64'], 'test images: --recallk=1,64: each K must be from 1 to 63'),
    (['--val_classes=1'], 'validation images: all 8 items have the label'),
])
def test_a_test_set_that_cannot_be_scored_is_refused_before_training(train, capsys, flags, words):
    assert train('refused', *flags) == 2
    assert words in capsys.readouterr().err
    assert not (train.folder / 'refused').exists()


def test_embed_writes_what_evaluate_scores(train, capsys):
    assert train('embed', '--epochs=1') == 0
    run = train.folder / 'embed'
    assert main.main(['embed', '--checkpoint=' + str(run)]) == 0
    with np.load(run / 'embeddings.npz') as file:
        assert file['embeddings'].shape == (64, 8) and file['labels'].shape == (64,)
    assert main.main(['evaluate', '--embeddings=' + str(run / 'embeddings.npz'), '--recallk=1,2,4,8',
                      '--save_dir=' + str(train.folder / 'scored')]) == 0
    scored = json.loads((train.folder / 'scored/result.json').read_text())
    assert scored['recall'] == json.loads((run / 'result.json').read_text())['recall']
    assert sorted(p.name for p in (train.folder / 'scored').iterdir()) == ['result.json']
    before = (run / 'result.json').read_bytes()
    assert main.main(['evaluate', '--embeddings=' + str(run / 'embeddings.npz')]) == 0
    assert (run / 'embeddings_evaluation/result.json').exists()
    np.savez(train.folder / 'holed.npz', embeddings=[[0.0, np.nan], [1, 1], [1, 0]], labels=[0, 1, 0])
    capsys.readouterr()
    assert main.main(['evaluate', '--embeddings=' + str(train.folder / 'holed.npz'), '--recallk=1']) == 2
    assert 'holed.npz: embeddings hold NaN or infinite numbers in row 0' in capsys.readouterr().err
    for source in ('--embeddings=' + str(run / 'embeddings.npz'), '--checkpoint=' + str(run)):
        assert main.main(['evaluate', source, '--save_dir=' + str(run)]) == 2
        assert 'holds the result of a training run' in capsys.readouterr().err
    assert (run / 'result.json').read_bytes() == before
    output = str(run / 'of_training.npz')
    assert main.main(['embed', '--checkpoint=' + str(run), '--part=train', '--output=' + output]) == 0
    with np.load(run / 'embeddings.npz') as test, np.load(output) as training:
        assert training['labels'].shape == (64,) and not np.array_equal(training['embeddings'], test['embeddings'])
    capsys.readouterr()
    assert main.main(['embed', '--checkpoint=' + str(run), '--part=val']) == 2
    assert '--part=val: --data_name=glyphs has no such images. Fix: --val_classes=N' in capsys.readouterr().err
    assert main.main(['evaluate', '--embeddings=x.npz', '--checkpoint=' + str(run)]) == 2
    assert 'exclude each other. Fix: leave one out' in capsys.readouterr().err


def test_figures_of_a_file_of_embeddings_show_pictures_where_its_paths_lead_to_some(tmp_path):
    rng = np.random.RandomState(0)
    labels, paths = np.repeat(['wren', 'tern', 'pipit'], 8), []
    for i in range(24):
        paths.append(str(tmp_path / f'{i}.png'))
        cv2.imwrite(paths[-1], rng.randint(0, 256, (20, 30, 3)).astype(np.uint8))
    for folder, names in (('with', paths), ('without', ['gone.png'] * 24)):
        save_embeddings(tmp_path / 'e.npz', rng.randn(24, 2), labels, names)
        assert main.main(['evaluate', f'--embeddings={tmp_path}/e.npz', '--figures', '--recallk=1,23',
                          f'--save_dir={tmp_path / folder}']) == 0
    without = {'result.json'} | {name + suffix for name in ('similarity_histogram', 'distribution_map', 'tsne')
                                 for suffix in ('.png', '.pdf')}
    assert {p.name for p in (tmp_path / 'without').iterdir()} == without
    pictures = {name + suffix for name in ('retrieval_panel_best', 'retrieval_panel_worst', 'retrieval_panel_random',
                                           'tsne_thumbnails') for suffix in ('.png', '.pdf')}
    assert {p.name for p in (tmp_path / 'with').iterdir()} == without | pictures


def test_two_devices_give_the_loss_and_gradient_of_one(train, monkeypatch):
    flags = ['--backbone=lenet', '--epochs=1', '--summary_step=1', '--kvstore=local', '--eval_epoch_term=9']
    assert train('one', *flags) == 0
    monkeypatch.setattr('commands.session.contexts', lambda gpu_idx: [mx.cpu(0), mx.cpu(1)])
    assert train('two', *flags) == 0
    one, two = (curve(train.folder / name) for name in ('one', 'two'))
    np.testing.assert_allclose([line['loss'] for line in one], [line['loss'] for line in two], rtol=2e-3)
    first, second = (parameters(train.folder / name / 'last') for name in ('one', 'two'))
    moved = max(np.abs(first[name] - second[name]).max() for name in first)
    assert moved < 5e-3


def test_accumulated_gradients_equal_their_average(train):
    """Two equal batches accumulated move the weights as one of them does."""
    plan_of = trainer.Trainer.plan
    flags = ['--loss=softmax_ranking', '--train_mode=vanilla', '--sampler=random', '--backbone=lenet', '--optim=sgd',
             '--epochs=1', '--lr_schedule=constant', '--lr=0.01', '--transform=glyphs']
    try:
        trainer.Trainer.plan = lambda self, epoch: plan_of(self, epoch)[:1]
        assert train('single', *flags) == 0
        trainer.Trainer.plan = lambda self, epoch: plan_of(self, epoch)[:1] * 2
        assert train('double', '--caffe_iter_size=2', *flags) == 0
    finally:
        trainer.Trainer.plan = plan_of
    first, second = (parameters(train.folder / name / 'last') for name in ('single', 'double'))
    for name in first:
        np.testing.assert_allclose(first[name], second[name], rtol=1e-5, atol=1e-7, err_msg=name)


def test_unreadable_images_are_skipped_and_not_scored(train, tmp_path, capsys):
    import cv2
    rng = np.random.RandomState(0)
    for c in range(6):
        (tmp_path / f'photos/c{c}').mkdir(parents=True)
        for i in range(6):
            picture = np.full((40, 40, 3), 30 * c, np.uint8) + rng.randint(0, 30, (40, 40, 3)).astype(np.uint8)
            cv2.imwrite(str(tmp_path / f'photos/c{c}/{i}.png'), picture)
    (tmp_path / 'photos/c5/2.png').write_bytes(b'not a picture')
    flags = ['--loss=hphn_triplet', '--data_dir=' + str(tmp_path / 'photos'), '--backbone=convnet', '--image_size=32',
             '--embed_dim=8', '--batch_size=6', '--num_instances=2', '--epochs=1', '--figures=0', '--recallk=1']
    assert main.main(flags + ['--save_dir=' + str(tmp_path / 'strict')]) == 2
    assert str(pathlib.Path('c5/2.png')) in capsys.readouterr().err
    assert main.main(flags + ['--save_dir=' + str(tmp_path / 'lax'), '--on_bad_image=skip']) == 0
    assert 'left out, as it cannot be read: 1 image' in capsys.readouterr().out
    assert json.loads((tmp_path / 'lax/result.json').read_text())['selection']['last']['n_query'] == 17


def test_a_classification_run_is_judged_by_accuracy(tmp_path):
    import cv2
    rng = np.random.RandomState(0)
    for part in ('train', 'test'):
        for c in range(3):
            (tmp_path / part / f'c{c}').mkdir(parents=True)
            for i in range(12):
                picture = np.full((32, 32, 3), 100 * c, np.uint8) + rng.randint(0, 50, (32, 32, 3)).astype(np.uint8)
                cv2.imwrite(str(tmp_path / part / f'c{c}/{i}.png'), picture)
    assert main.main(['--loss=softmax_ranking', '--train_mode=hard', '--margin=soft', '--data_name=folder',
                      '--data_dir=' + str(tmp_path), '--backbone=convnet', '--image_size=32', '--embed_dim=8',
                      '--sampler=ranking', '--batch_size=12', '--Triplet_K=4', '--epochs=30', '--train_iters=30',
                      '--eval_epoch_term=30', '--transform=glyphs', '--recallk=1',
                      '--save_dir=' + str(tmp_path / 'run')]) == 0
    result = json.loads((tmp_path / 'run/result.json').read_text())
    assert result['selection']['last']['accuracy'] > 0.9 and result['selection']['last']['macro_accuracy'] > 0.9
    assert (tmp_path / 'run/figures/confusion_matrix.png').is_file()


def test_the_warm_up_moves_running_statistics_and_nothing_else(train, monkeypatch):
    seen = []

    def watched(self):
        seen.append({name: p.data().asnumpy() for name, p in self.net._collect_params_with_prefix().items()})
        start(self)
        seen.append({name: p.data().asnumpy() for name, p in self.net._collect_params_with_prefix().items()})

    start = trainer.Trainer.start
    monkeypatch.setattr(trainer.Trainer, 'start', watched)
    assert train('warm', '--loss=heated_softmax', '--sampler=random', '--epochs=1', '--train_iters=1') == 0
    moved = {name for name in seen[0] if not np.array_equal(seen[0][name], seen[1][name])}
    assert moved == {name for name in seen[0] if 'running' in name}
