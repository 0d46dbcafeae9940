"""evaluate and embed by an engine: of an exported file, without MXNet, or of a run, by --engine."""

import json
import pathlib

import numpy as np
from tqdm import tqdm

import datasets
from commands import figures
from core.errors import UserError
from core.files import write_atomic
from datasets import summary
from evaluation import protocols, verification
from serving.engines import open_engine
from serving.onnx_file import read_metadata


def by_engine(args) -> bool:
    """Whether the flags ask for an engine and not for the Gluon network of a run."""
    return is_file(args.checkpoint) or args.engine not in ('auto', 'mxnet') or args.precision != 'float32'


def is_file(checkpoint) -> bool:
    """Whether --checkpoint names an exported file."""
    return str(checkpoint).endswith('.onnx')


def flags_of(file) -> dict:
    """The flags of the run that a file was exported from; of a trunk without a run those of a folder of photos."""
    told = read_metadata(file)
    try:
        flags = json.loads(told['run']).get('flags')
        return flags or {'data_name': 'folder', 'transform': told['transform'], 'image_size': int(told['image_size'])}
    except (KeyError, ValueError, AttributeError) as error:
        raise UserError(f'{file} was not written by `main.py export`: its metadata do not say of which run it is '
                        f'({error}). Fix: export the run again') from error


class EngineSession:
    """Data and engine of one set of flags: what commands.session.Session is for a Gluon network.

    Parameters
    ----------
    args : parsed flags
    """

    def __init__(self, args):
        self.args = args
        self.engine = open_engine(args.checkpoint, args.engine, which=args.which, precision=args.precision)
        print(f'model: {self.engine.describe()}')
        for flag in ('transform', 'image_size'):
            if getattr(args, flag) != getattr(self.engine, flag):
                raise UserError(f'--{flag}={getattr(args, flag)} is not what the network was exported with '
                                f'({getattr(self.engine, flag)}). Fix: leave the flag out')
        self.data = datasets.from_args(args)
        self.found = summary.summary(self.data)
        print('\n'.join(summary.lines(self.found)))
        for note in self.data.notes:
            print('note: ' + note)

    def check_splits(self):
        """UserError for images that cannot be scored."""
        test = self.data.test
        if self.data.pairs is None:
            protocols.check_labels(test.labels, self.args.recallk, test.query)

    def embed(self, split, progress=False):
        """float32 (N, D) embeddings of a split."""
        size, rows = self.args.test_batch_size, []
        with tqdm(total=len(split), desc='embed', unit='image', disable=None if progress else True) as bar:
            for start in range(0, len(split), size):
                images = [split.read(i) for i in range(start, min(start + size, len(split)))]
                rows.append(self.engine.embed(images))
                bar.update(len(images))
        return np.concatenate(rows)

    def scores(self, split, extended=False, progress=False, engine=None):
        """(result of the protocol, embeddings). An exported network has no classifier: accuracy is not measured."""
        args, embeddings = self.args, self.embed(split, progress)
        if self.data.pairs is not None:
            pairs = self.data.pairs
            return verification.verify_pairs(embeddings, pairs['a'], pairs['b'], pairs['same'], pairs['fold'],
                                             args.metric), embeddings
        return protocols.retrieval(embeddings, split.labels, args.recallk, query=split.query, metric=args.metric,
                                   clustering=args.clustering if args.nmi else None, seed=args.seed,
                                   extended=extended, engine=engine), embeddings

    def list_unreadable(self, file):
        """Write the images that were left out because they cannot be read, if there are any, and say where."""
        if self.data.unreadable:
            write_atomic(file, summary.unreadable_list(self.data))
            print(f'what cannot be read and is left out: {file}')

    def draw(self, folder, embeddings):
        """Figures of the embeddings of the test images."""
        test, args = self.data.test, self.args
        figures.of_embeddings(folder, embeddings, test.labels, test.query, test.names,
                              figures.as_seen(test, self.engine.view), None, None, args.metric, args.seed,
                              args.tsne_points)


def beside(args, name) -> pathlib.Path:
    """Path for what is made of a network by an engine: beside the file, or in the run folder, with the engine's name.
    """
    source = pathlib.Path(args.checkpoint)
    if is_file(source):
        return source.with_name(f'{source.stem}_{name}')
    return source / f'{name}_{args.engine}_{args.precision}'
