"""`python3 main.py [train]`: train a network and score it."""

import argparse
import contextlib
import os
import sys
import tempfile

import recipes
import samplers
from commands import figures as pictures
from commands import layers
from commands import prepare as preparation
from commands.session import Session
from core.device import contexts
from core.files import read_log
from core.runtime import mx
from datasets import summary
from engine import checkpoint, optimizers
from engine.interrupts import Interrupted
from engine.run import Run, commit, environment, new_folder
from engine.schedule import get_schedule
from engine.trainer import NotFinite, Trainer
from engine.workers import connect
from losses import Criterion
from models import precision


def run(args):
    """The default command. Returns the exit status."""
    workers = connect(args.kvstore)
    if workers.rank == 0:
        return work(args, workers)
    # the first worker speaks and writes for all
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, 'w') as nowhere, \
            contextlib.redirect_stdout(nowhere):
        return work(argparse.Namespace(**dict(vars(args), save_dir=folder, prepare=False)), workers)


def work(args, workers):
    """Build what the flags ask for and train it. Returns the exit status."""
    precision.check(args.dtype, contexts(args.gpu_idx, say=lambda line: None))
    source = checkpoint.locate(args.resume) if args.resume else None
    if args.prepare or args.archive:
        preparation.ensure(args)
    workers.barrier()
    for note in [] if source else layers.notes(args):
        print('note: ' + note)
    session = Session(args, source)
    session.check_splits()
    sampler = samplers.build(args, session.data.train)
    optimizer = optimizers.settings(args.optim, args.lr, args.wd, args.momentum, args.epsilon, args.grad_clip,
                                    recipes.constants(args.loss))
    run = open_run(args, source)
    try:
        return train(args, session, sampler, optimizer, run, source, workers)
    except NotFinite:
        run.close()
        raise
    except BaseException:
        run.discard()
        raise


def open_run(args, source):
    """The run folder: --save_dir, a new one below runs/, or that of the checkpoint `source`."""
    folder = args.save_dir or new_folder('runs', f'{args.data_name}-{args.loss}')
    run = Run(folder, vars(args), sys.argv[1:], resumed=bool(source), new=not args.save_dir)
    print(f'run folder: {run.folder}')
    return run


def train(args, session, sampler, optimizer, run, source, workers):
    """Train and write what came out. Returns the exit status."""
    if source:
        summary.check_same(run.folder / 'data.json', session.found)
    data, kept = session.data, {}

    def evaluate(epoch):
        result = {}
        for part, split in (('test', data.test), ('val', data.val)):
            if split is not None:
                result[part], kept[part] = session.scores(split)
        if trainer.state['step']:       # in the middle of an epoch: no more than the scores
            return result
        if args.draw and epoch % args.display_step == 0:
            try:
                pictures.epoch(run.folder / 'figures', run.board, epoch, kept['test'], data.test,
                               session.class_weights(), raw=not getattr(args, 'l2_norm', False))
            except OSError as error:    # a picture is not worth a training run
                print(f'note: the map of epoch {epoch} cannot be written ({error.strerror})', flush=True)
        if args.train_stats and type(session.criterion).epoch_stats is not Criterion.epoch_stats:
            training = session.embed(data.train)
            stats = session.criterion.epoch_stats(training, data.train.labels, data.train.num_classes)
            for name, number in stats['scalars'].items():
                run.board.add_scalar(name, number, epoch + 1)
            for name, values in stats['histograms'].items():
                run.board.add_histogram(name, values, epoch + 1)
        return result

    schedule = get_schedule(args.lr_schedule, args.lr, factor=args.lr_decay_factor, decay_epochs=args.lr_decay_epochs,
                            end_lr=args.end_learning_rate, train_iters=args.train_iters, epochs=args.epochs,
                            patience=args.patience)
    net, loader = session.training(workers.share)
    trainer = Trainer(net, session.criterion, loader, sampler, schedule, optimizer, run, keeps=session.net,
                      evaluate=evaluate, embed_train=lambda: session.embed(data.train), ctx=session.ctx,
                      epochs=args.epochs, start_epoch=args.start_epoch, train_iters=args.train_iters,
                      early_stopping=args.early_stopping, seed=args.seed,
                      start_loader=session.forward(data.train)[1], start_batch_size=args.batch_size,
                      eval_epoch_term=args.eval_epoch_term, eval_iter_term=args.eval_iter_term,
                      save_epoch_term=args.save_epoch_term, summary_step=args.summary_step,
                      caffe_iter_size=args.caffe_iter_size, grad_chunk=args.grad_chunk, kvstore=args.kvstore,
                      workers=workers,
                      loss_scale=args.loss_scale or ('dynamic' if args.dtype == 'float16' else None))
    if source:
        trainer.resume(source, args.allow_pickle)
        print(f'resumed {source} at epoch {trainer.state["epoch"]}, iteration {trainer.state["iteration"]}')
    run.write_json('environment.json', environment(mx))
    run.write_json('data.json', session.found)
    session.list_unreadable(run.folder / 'unreadable.txt')
    before = trainer.state.get('baselines', {})
    if args.baselines and not source and workers.rank == 0:
        before = session.before_training()
        for name, recall in before.items():
            k, value = next(iter(recall.items()))
            print(f'before training: {name:<30} R@{k} {value:.4f}', flush=True)
            for k, value in recall.items():
                run.board.add_scalar(f'baseline/{name}/R{k}', value, 0)
        trainer.state['baselines'] = before
    try:
        state = trainer.fit()
    except Interrupted as stop:
        run.close()
        start = f'launch --workers={workers.size} -- ' if workers.size > 1 else ''
        print(f'\ninterrupted: the state is saved. Go on with:\n  python3 main.py {start}--resume={run.folder}')
        return stop.status
    if workers.rank:
        run.close()
        return 0
    result = outcome(args, run, state, before, session.found)
    if workers.size > 1:
        result.update(workers=workers.size, bytes_exchanged=workers.exchanged)
    run.write_json('result.json', result)
    run.board.add_setting(dict(vars(args), images_per_second=result['images_per_second']), finals(result))
    if args.figures:
        draw(session, run, kept.get('test'), before)
    run.close()
    last, best = result['recall'], result['best_recall']
    first = next(iter(last))
    ends, bests = result['selection']['last'], result['selection']['best_on_test']
    if 'accuracy' in ends:
        macro = f' macro {ends["macro_accuracy"]:.4f}' if 'macro_accuracy' in ends else ''
        print(f'accuracy last {ends["accuracy"]:.4f}{macro} best {bests["accuracy"]:.4f}')
    print(f'R@{first} last {last[first]:.4f} best {best[first]:.4f} -> {run.folder}')
    return 0


def finals(result):
    """{tag: value} of a finished run for the tab HPARAMS of TensorBoard."""
    last, best = (result['selection'][which] for which in ('last', 'best_on_test'))
    found = {f'hparam/R{k}': value for k, value in last['recall'].items()}
    found.update({f'hparam/R{k}/best': value for k, value in best['recall'].items()})
    found.update({f'hparam/{key}': last[key] for key in ('map_at_r', 'accuracy', 'macro_accuracy') if key in last})
    return found


def draw(session, run, embeddings, before):
    """The figures of a run at its end, also into TensorBoard; embeddings (N, D) of the test images, or None."""
    folder, log = run.folder / 'figures', read_log(run.folder / 'log.jsonl')
    pictures.curves(folder, session.args.loss, log, session.args.recallk[0], before)
    if embeddings is not None:
        session.draw(folder, embeddings)
        test = session.data.test
        pictures.to_board(run.board, folder, log[-1].get('step', 0) if log else 0, embeddings, test,
                          pictures.as_seen(test, session.test_transform))


def outcome(args, run, state, before, found):
    """What goes into result.json; `selection` labels every number with how its epoch was chosen."""
    last, best = state['last']['test'], state['best']['test']
    return {
        'recall': last['recall'], 'best_recall': best['recall'], 'epoch': last['epoch'], 'best_epoch': best['epoch'],
        'selection': {'last': last, 'best_on_test': best, 'chosen_on_validation': state['best'].get('test_at_val')},
        'loss': state['epoch_loss'], 'data_name': args.data_name, 'args': vars(args), 'commit': commit(),
        'images_per_second': round(state['images'] / max(state['seconds'], 1e-9), 2),
        'seconds': round(state['seconds'], 2), 'iterations': state['iteration'],
        'share_waiting_for_data': round(state['wait_seconds'] / max(state['seconds'], 1e-9), 4),
        'baselines': before, 'data': found, 'command': run.command, 'history': run.history,
    }
