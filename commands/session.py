"""Data, network and criterion of one set of flags, and what a command does with all of them."""

import functools
import weakref

import datasets
import models
from commands import baselines, figures
from core.device import contexts
from core.errors import UserError, advised
from core.files import write_atomic
from core.flags import path
from core.runtime import mx
from datasets import summary
from datasets.features import FeatureLoader, kept, marks_of, name_of
from datasets.loader import Loader
from datasets.transforms import get_transform
from engine import checkpoint, inference
from evaluation import metrics, protocols, verification
from losses import get_loss
from models.frozen import Tail, Top
from models.precision import Half


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
        self.found = summary.summary(self.data)
        print('\n'.join(summary.lines(self.found)))
        for note in self.data.notes:
            print('note: ' + note)
        if source is None:
            summary.check_trainable(self.data)
        mx.random.seed(args.seed)
        state = {} if source is None else checkpoint.read_state(source)
        self.num_classes = state.get('num_classes') or self.data.train.num_classes
        self.criterion = get_loss(args.loss).from_args(args, self.num_classes)
        for note in self.criterion.notes(args):
            print('note: ' + note)
        # a checkpoint holds every weight: nothing is loaded from elsewhere first
        self.net = models.from_args(args, self.criterion, ctx=self.ctx, restored=source is not None)
        self.criterion.initialize(ctx=self.ctx[0])
        self.train_transform = get_transform(args.transform, True, args.image_size)
        self.test_transform = get_transform(args.transform, False, args.image_size)
        self.confusion, self.top, self.features_of = None, None, weakref.WeakKeyDictionary()
        self.first_pass()
        if source is not None:
            checkpoint.restore(source, self.net, self.criterion, self.ctx)

    def first_pass(self):
        """One image through everything, so that every shape is known and every weight exists."""
        size = self.args.image_size
        for c in self.ctx:
            out = self.net(mx.nd.zeros((2, size, size, 3), ctx=c, dtype='uint8'))
            if self.criterion.classifies and c == self.ctx[0]:
                self.criterion.logits(out)
        self.net.hybridize(static_alloc=True)
        self.criterion.hybridize(static_alloc=True)
        if self.args.freeze_trunk and self.args.freeze_blocks:
            raise UserError(f'--freeze_trunk and --freeze_blocks={self.args.freeze_blocks}: the first freezes the '
                            'whole trunk already. Fix: one of them')
        if self.args.freeze_trunk or self.args.freeze_blocks:
            self.top = Top(self.net) if self.args.freeze_trunk else Tail(self.net, self.args.freeze_blocks)
            self.top.hybridize(static_alloc=True)

    def check_splits(self):
        """UserError for images that cannot be scored: now, not after the first epoch."""
        if self.data.protocol == 'unlabelled':
            summary.check_trainable(self.data)
        if self.data.name == 'folder' and self.data.test.num_classes == 1:
            print('note: ' + summary.one_class(self.data))
        for part, split in (('test', self.data.test), ('validation', self.data.val)):
            if split is not None and (part != 'test' or self.data.pairs is None):
                try:
                    protocols.check_labels(split.labels, self.args.recallk, split.query)
                except UserError as error:
                    raise UserError(f'{part} images: {advised(error, "classes of two images or more")}') from None

    def loader(self, split):
        """Reads a split as it is evaluated."""
        return Loader(split, self.test_transform, self.args.num_workers)

    @functools.cached_property
    def trunk_fingerprint(self):
        """Of the trunk, which --freeze_trunk never moves, or of its first blocks, which --freeze_blocks never moves."""
        return self.net.fingerprint(trunk_only=True, first=None if self.args.freeze_trunk else self.args.freeze_blocks)

    def features(self, split):
        """Computed once for a picture: float32 (N, F) pooled features of the trunk (--freeze_trunk), or (N, C, H, W)
        maps behind its first blocks (--freeze_blocks)."""
        args = self.args
        if split not in self.features_of:
            def compute(rows):
                part = split if rows is None or len(rows) == len(split) else split.subset(rows)
                with_trunk = self.loader(part), args.test_batch_size, self.ctx[0], True
                return (inference.features(self.net, *with_trunk) if args.freeze_trunk else
                        inference.maps(self.net, args.freeze_blocks, *with_trunk))
            first = () if args.freeze_trunk else (args.freeze_blocks,)
            name = name_of(split, self.trunk_fingerprint, args.transform, args.image_size, *first)
            self.features_of[split] = kept(args.store_dir or path('runs/features'), name, marks_of(split), compute)
        return self.features_of[split]

    def forward(self, split):
        """(network, loader) that give the embeddings of a split."""
        if self.top is None:
            return self.net, self.loader(split)
        return self.top, FeatureLoader(split, self.features(split))

    def training(self, share):
        """(network to train, loader of the training set). share : see datasets.loader.Loader."""
        if self.top is None:
            net = Half(self.net) if self.args.dtype == 'float16' else self.net
            return net, Loader(self.data.train, self.train_transform, self.args.num_workers, share)
        return self.top, FeatureLoader(self.data.train, self.features(self.data.train), share)

    def embed(self, split, progress=False, layer='embedding'):
        """float32 (N, D) embeddings of a split; layer='pooled': (N, F), what the trunk ends in."""
        if layer == 'pooled':
            return inference.features(self.net, self.loader(split), self.args.test_batch_size, self.ctx[0], progress)
        return inference.embeddings(*self.forward(split), self.args.test_batch_size, self.ctx[0], progress)

    def list_unreadable(self, file):
        """Write the images that were left out because they cannot be read, if there are any, and say where."""
        if self.data.unreadable:
            write_atomic(file, summary.unreadable_list(self.data))
            print(f'what cannot be read and is left out: {file}')

    def scores(self, split, extended=False, progress=False, engine=None):
        """(result of the retrieval protocol and, where the classes were trained, of classification, embeddings)."""
        args, result = self.args, {}
        if self.classifies:
            net, loader = self.forward(split)
            embeddings, logits = inference.logits(net, self.criterion, loader, args.test_batch_size, self.ctx[0],
                                                  progress)
            result = protocols.classification(logits, split.labels)
            self.confusion = metrics.confusion_matrix(split.labels, logits.argmax(axis=1), split.num_classes)
        else:
            embeddings = self.embed(split, progress)
        if split is self.data.test and self.data.pairs is not None:
            pairs = self.data.pairs
            result = verification.verify_pairs(embeddings, pairs['a'], pairs['b'], pairs['same'], pairs['fold'],
                                               args.metric)
            if extended:    # `evaluate`; a training has its curves of Recall@K in any case
                return result, embeddings
        found = protocols.retrieval(embeddings, split.labels, args.recallk, query=split.query, metric=args.metric,
                                    clustering=args.clustering if args.nmi else None, seed=args.seed,
                                    extended=extended, ctx=self.ctx[0], engine=engine)
        return dict(found, **result), embeddings

    def class_weights(self):
        """Weights (C, D) of the test classes, or None: a classifier's classes are others unless they are trained on."""
        return self.criterion.class_weights() if self.data.protocol == 'classification' else None

    def before_training(self):
        """{name: {K as text: Recall@K}} of raw pixels, the untrained embedding and the trunk's pooled features."""
        args, test = self.args, self.data.test
        sets = {'raw pixels': baselines.pixels(self.loader(test)), 'untrained network': self.embed(test)}
        if args.pretrained:
            sets['frozen trunk, pooled features'] = baselines.pooled(self.net, self.loader(test), args.test_batch_size,
                                                                     self.ctx[0])
        return baselines.score(sets, test.labels, args.recallk, test.query)

    def draw(self, folder, embeddings):
        """Figures of the embeddings of the test images."""
        test, args = self.data.test, self.args
        figures.of_embeddings(folder, embeddings, test.labels, test.query, test.names,
                              figures.as_seen(test, self.test_transform), self.class_weights(), self.confusion,
                              args.metric, args.seed, args.tsne_points)

    @property
    def classifies(self):
        """Whether the test classes are the trained ones and the criterion has a classifier for them."""
        return self.data.protocol == 'classification' and self.criterion.classifies
