"""`python3 main.py [train]`: train a network and score it."""

import sys

import recipes
import samplers
from commands import baselines
from commands import figures as pictures
from commands import prepare as preparation
from commands.session import Session
from core.runtime import mx
from engine import checkpoint
from engine.run import Run, commit, environment
from engine.trainer import Interrupted, Trainer
from losses import Criterion


def run(args):
    """The default command. Returns the exit status."""
    source = checkpoint.locate(args.resume) if args.resume else None
    if args.prepare:
        preparation.ensure(args)
    session = Session(args)
    session.check_splits()
    run = Run(args, resume=bool(source))
    run.write_json('environment.json', environment(mx))
    print(f'run folder: {run.folder}')
    session.list_unreadable(run.folder / 'unreadable.txt')
    data, kept = session.data, {}

    def evaluate(epoch):
        result = {}
        for part, split in (('test', data.test), ('val', data.val)):
            if split is not None:
                result[part], kept[part] = session.scores(split)
        pictures.epoch(session, run, epoch, kept['test'])
        if args.train_stats and type(session.criterion).epoch_stats is not Criterion.epoch_stats:
            training = session.embed(data.train)
            stats = session.criterion.epoch_stats(training, data.train.labels, data.train.num_classes)
            for name, number in stats['scalars'].items():
                run.board.add_scalar(name, number, epoch)
            for name, values in stats['histograms'].items():
                run.board.add_histogram(name, values, epoch)
        return result

    sampler = samplers.build(args, data.train)
    trainer = Trainer(args, data.train, session.train_transform, sampler, session.net, session.criterion, run,
                      session.ctx, evaluate, lambda: session.embed(data.train), recipes.constants(args.loss))
    if source:
        trainer.resume(source)
        print('resumed {} at epoch {}, iteration {}'.format(
            source, trainer.state['epoch'], trainer.state['iteration']))
    before = {}
    if args.baselines and not source:
        before = baselines.score(session, data.test)
        for name, recall in before.items():
            print('before training: {:<30} R@{} {:.4f}'.format(name, *next(iter(recall.items()))), flush=True)
    try:
        state = trainer.fit()
    except Interrupted as stop:
        run.close()
        print(f'\ninterrupted: the state is saved. Go on with:\n  python3 main.py --resume={run.folder}')
        return stop.status
    result = dict(outcome(args, state, before), data=session.found)
    run.write_json('result.json', result)
    if args.figures:
        pictures.end(session, run, kept.get('test'), before)
    run.close()
    last, best = result['recall'], result['best_recall']
    first = next(iter(last))
    if 'accuracy' in result['selection']['last']:
        print('accuracy last {:.4f} macro {:.4f} best {:.4f}'.format(
            *(result['selection'][which][key] for which, key in
              (('last', 'accuracy'), ('last', 'macro_accuracy'), ('best_on_test', 'accuracy')))))
    print(f'R@{first} last {last[first]:.4f} best {best[first]:.4f} -> {run.folder}')
    return 0


def outcome(args, state, before):
    """What goes into result.json; `selection` labels every number with how its epoch was chosen."""
    last, best = state['last']['test'], state['best']['test']
    return {
        'recall': last['recall'], 'best_recall': best['recall'], 'epoch': last['epoch'], 'best_epoch': best['epoch'],
        'selection': {'last': last, 'best_on_test': best, 'chosen_on_validation': state['best'].get('test_at_val')},
        'loss': state['epoch_loss'], 'data_name': args.data_name, 'args': vars(args), 'commit': commit(),
        'images_per_second': round(state['images'] / max(state['seconds'], 1e-9), 2),
        'seconds': round(state['seconds'], 2), 'iterations': state['iteration'],
        'share_waiting_for_data': round(state['wait_seconds'] / max(state['seconds'], 1e-9), 4),
        'baselines': before, 'command': 'python3 main.py ' + ' '.join(sys.argv[1:]),
    }
