"""The commands of main.py: build what the flags name, then run it."""

import pathlib
import sys

import numpy as np

import datasets
import models
import recipes
import samplers
from commands import baselines
from commands import figures as pictures
from core.device import contexts
from core.errors import UserError
from core.runtime import mx
from datasets.preparation import prepare as preparation
from datasets.transforms import get_transform
from engine import checkpoint
from engine import inference as classify
from engine.run import Run, commit, environment
from engine.trainer import Interrupted, Trainer
from evaluation import metrics, protocols, verification
from evaluation import report as reports
from evaluation.embeddings import embed as embed_split
from evaluation.embeddings import save_embeddings
from losses import Criterion, get_loss

FLAGS = {'prepare': preparation.add_args, 'report': reports.add_args}


class Job:
    """Data, network and criterion of one set of flags.

    Parameters
    ----------
    args : parsed flags
    source : checkpoint folder to load the network from, or None
    """

    def __init__(self, args, source=None):
        self.args = args
        self.ctx = contexts(args.gpu_idx)
        self.data = datasets.load(args)
        for note in self.data.notes:
            print('note: ' + note)
        mx.random.seed(args.seed)
        state = {} if source is None else checkpoint.read_state(source)
        if self.data.train is None and source is None:
            raise UserError(f'--data_name={args.data_name} has no training part. Fix: train on another data set, then '
                            f'python3 main.py evaluate --checkpoint=RUN --data_name={args.data_name}')
        self.num_classes = state.get('num_classes') or self.data.train.num_classes
        self.criterion = get_loss(args.loss).from_args(args, self.num_classes)
        for note in self.criterion.notes(args):
            print('note: ' + note)
        # a checkpoint holds every weight: nothing is loaded from elsewhere first
        if source is not None:
            args.pretrained = 'false'
        self.net = models.build(args, self.criterion, ctx=self.ctx)
        self.criterion.initialize(ctx=self.ctx[0])
        self.train_transform = get_transform(args.transform, True, args.image_size)
        self.test_transform = get_transform(args.transform, False, args.image_size)
        self.confusion = None
        self.first_pass()
        if source is not None:
            checkpoint.restore(source, self.net, self.criterion, [], self.ctx)

    def first_pass(self):
        """One image through everything, so that every shape is known and every weight exists."""
        size = self.args.image_size
        for c in self.ctx:
            self.net(mx.nd.zeros((2, size, size, 3), ctx=c, dtype='uint8'))
        self.net.hybridize(static_alloc=True)
        self.criterion.hybridize(static_alloc=True)

    def check_splits(self):
        """UserError for images that cannot be scored: now, not after the first epoch."""
        for part, split in (('test', self.data.test), ('validation', self.data.val)):
            if split is not None and (part != 'test' or self.data.pairs is None):
                try:
                    protocols.check_labels(split.labels, self.args.recallk, split.query)
                except UserError as error:
                    raise UserError(f'{part} images: {error}') from None

    def embed(self, split, progress=False, replaced=None):
        """float32 (N, D) embeddings of a split; see evaluation.embeddings.embed for `replaced`."""
        args = self.args
        return embed_split(self.net, split, self.test_transform, args.test_batch_size, self.ctx[0], args.num_workers,
                           progress, args.on_bad_image, replaced)

    def scores(self, split, extended=False, progress=False):
        """(result of the retrieval protocol and, where the classes were trained, of classification, embeddings).

        Images that cannot be read (--on_bad_image=skip) are left out of the result, not of the embeddings.
        """
        args, replaced, result = self.args, {}, {}
        if self.classifies:
            embeddings, predictions, replaced = classify.predict(self, split)
        else:
            embeddings = self.embed(split, progress, replaced)
        rows = np.setdiff1d(np.arange(len(split)), list(replaced)) if replaced else slice(None)
        if replaced:
            print(f'note: {len(replaced)} images cannot be read and are not scored, such as '
                  f'{split.path(min(replaced))}')
        if self.classifies:
            result = protocols.classification(predictions[rows], split.labels[rows])
            self.confusion = metrics.confusion_matrix(split.labels[rows], predictions[rows], split.num_classes)
        if split is self.data.test and self.data.pairs is not None:
            pairs = self.data.pairs
            return verification.lfw(embeddings, pairs['a'], pairs['b'], pairs['same'], pairs['fold'],
                                    args.metric), embeddings
        found = protocols.retrieval(embeddings[rows], split.labels[rows], args.recallk,
                                    query=None if split.query is None else split.query[rows], metric=args.metric,
                                    clustering=args.clustering if extended or args.nmi else None, seed=args.seed,
                                    extended=extended, ctx=self.ctx[0])
        return dict(found, **result), embeddings

    @property
    def classifies(self):
        """Whether the test classes are the trained ones and the criterion has a classifier for them."""
        return self.data.protocol == 'classification' and self.criterion.classifies


def train(args):
    """The default command. Returns the exit status."""
    source = checkpoint.locate(args.resume) if args.resume else None
    if args.prepare:
        preparation.ensure(args)
    job = Job(args)
    job.check_splits()
    run = Run(args, resume=bool(source))
    run.write_json('environment.json', environment(mx))
    print(f'run folder: {run.folder}')
    data, kept = job.data, {}

    def evaluate(epoch):
        result = {}
        for part, split in (('test', data.test), ('val', data.val)):
            if split is not None:
                result[part], kept[part] = job.scores(split)
        pictures.epoch(job, run, epoch, kept['test'])
        if args.train_stats and type(job.criterion).epoch_stats is not Criterion.epoch_stats:
            training = job.embed(data.train)
            stats = job.criterion.epoch_stats(training, data.train.labels, data.train.num_classes)
            for name, number in stats['scalars'].items():
                run.board.add_scalar(name, number, epoch)
            for name, values in stats['histograms'].items():
                run.board.add_histogram(name, values, epoch)
        return result

    sampler = samplers.build(args, data.train)
    trainer = Trainer(args, data.train, job.train_transform, sampler, job.net, job.criterion, run, job.ctx,
                      evaluate, lambda: job.embed(data.train), recipes.constants(args.loss))
    if source:
        trainer.resume(source)
        print('resumed {} at epoch {}, iteration {}'.format(
            source, trainer.state['epoch'], trainer.state['iteration']))
    before = {}
    if args.baselines and not source:
        before = baselines.score(job, data.test)
        for name, recall in before.items():
            print('before training: {:<30} R@{} {:.4f}'.format(name, *next(iter(recall.items()))), flush=True)
    try:
        state = trainer.fit()
    except Interrupted as stop:
        run.close()
        print(f'\ninterrupted: the state is saved. Go on with:\n  python3 main.py --resume={run.folder}')
        return stop.status
    result = outcome(args, state, before)
    run.write_json('result.json', result)
    if args.figures:
        pictures.end(job, run, kept.get('test'), before)
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


def evaluate(args):
    """`evaluate --checkpoint=RUN` or `evaluate --embeddings=FILE.npz`."""
    if args.embeddings and args.checkpoint:
        raise UserError(f'--embeddings={args.embeddings} and --checkpoint={args.checkpoint}: give one of them')
    if args.embeddings:
        loaded, folder = protocols.score_file(args)
        if args.figures:
            pictures.of_file(args, folder, loaded)
        print(f'-> {folder}')
        return 0
    source = need_checkpoint(args)
    folder = protocols.result_folder(args.save_dir or inside_run(source, args, 'evaluation'))
    job = Job(args, source)
    job.check_splits()
    state = checkpoint.read_state(source)
    name = pathlib.Path(source).name
    by_test = 'best_on_test' if 'val' not in state['best'] else 'chosen_on_validation'
    rule = {'last': 'last', 'best': by_test}.get(name, 'evaluated')
    epoch = state['epoch'] - 1
    print(f'{source}: epoch {epoch}, {protocols.RULES[rule]}')
    result, embeddings = job.scores(job.data.test, extended=True, progress=True)
    print(protocols.table(result))
    protocols.write_result(folder, dict(result, checkpoint=str(source), epoch=epoch, data_name=args.data_name,
                                        args=vars(args), commit=commit()), rule)
    if args.figures and job.data.pairs is None:
        pictures.of_test(job, folder, embeddings)
    name, value = next(iter(result['recall'].items())) if 'recall' in result else ('', result['accuracy'])
    print('{} {:.4f} -> {}'.format('R@' + name if name else 'accuracy', value, folder))
    return 0


def embed(args):
    """`embed --checkpoint=RUN`: embeddings, labels and paths of the test images."""
    source = need_checkpoint(args)
    job = Job(args, source)
    split = getattr(job.data, args.part)
    if split is None:
        raise UserError('--part={}: --data_name={} has no such images. Fix: {}'.format(
            args.part, args.data_name, '--val_classes=N' if args.part == 'val' else '--part=test'))
    name = 'embeddings' if args.part == 'test' else 'embeddings_' + args.part
    output = args.output or str(inside_run(source, args, name)) + '.npz'
    files = save_embeddings(output, job.embed(split, progress=True), split.labels,
                            [split.path(i) for i in range(len(split))], split.query)
    print(f'{len(split)} embeddings -> {files}')
    return 0


def inside_run(source, args, name):
    """Where the run of a checkpoint keeps what is made of it: for each other data set apart."""
    here, there = (datasets.resolve(data) for data in (args.data_name, checkpoint.read_args(source)['data_name']))
    return pathlib.Path(source).parent / (name if here == there else f'{name}_{here}')


def need_checkpoint(args):
    """The folder behind --checkpoint, or a UserError."""
    if not args.checkpoint:
        raise UserError('--checkpoint is empty. Give the run folder: --checkpoint=runs/NAME (or, to score embeddings '
                        'from a file, evaluate --embeddings=FILE.npz)')
    return checkpoint.locate(args.checkpoint, args.which)


def prepare(args):
    """`prepare --data_name=NAME`."""
    return preparation.run(args)


def report(args):
    """`report RUN [RUN ...]`."""
    return reports.run(args)
