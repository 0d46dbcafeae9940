"""Data, network and criterion of one set of flags, and what a command does with all of them."""

import pathlib

import numpy as np

import datasets
import models
from core.device import contexts
from core.errors import UserError
from core.runtime import mx
from datasets.transforms import get_transform
from engine import checkpoint
from engine import inference as classify
from evaluation import metrics, protocols, verification
from evaluation.embeddings import embed as embed_split
from losses import get_loss


class Session:
    """Data, network and criterion of one set of flags.

    Parameters
    ----------
    args : parsed flags
    source : checkpoint folder to load the network from, or None
    """

    def __init__(self, args, source=None):
        self.args = args
        self.ctx = contexts(args.gpu_idx)
        self.data = datasets.from_args(args)
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
        self.net = models.from_args(args, self.criterion, ctx=self.ctx, restored=source is not None)
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
