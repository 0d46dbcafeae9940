"""`python3 main.py evaluate`: score a run again, or embeddings from a file."""

import contextlib
import os
import pathlib

from commands import exported
from commands import figures as pictures
from commands.cluster import Cluster
from commands.results import checkpoint_name, inside_run, need_checkpoint, result_folder, write_result
from core.errors import UserError, advised
from engine import checkpoint
from evaluation import protocols
from evaluation.embeddings import load_embeddings
from evaluation.neighbours.blocks import Blocks
from evaluation.settings import RULES


def run(args):
    """`evaluate --checkpoint=RUN` or `evaluate --embeddings=FILE.npz`."""
    if args.embeddings and args.checkpoint:
        raise UserError(f'--embeddings={args.embeddings} and --checkpoint={args.checkpoint} exclude each other. '
                        'Fix: leave one out')
    if args.embeddings:
        loaded, folder = score_file(args)
        if args.figures:
            pictures.of_file(folder, loaded, metric=args.metric, seed=args.seed, tsne_points=args.tsne_points)
        print(f'-> {folder}')
        return 0
    if exported.by_engine(args):
        return by_engine(args)
    source = need_checkpoint(args)
    from commands.session import Session  # needs MXNet
    folder = result_folder(args.save_dir or inside_run(source, args, 'evaluation'))
    session = Session(args, source)
    session.check_splits()
    state = checkpoint.read_state(source)
    name = checkpoint_name(source)
    by_test = 'best_on_test' if 'val' not in state['best'] else 'chosen_on_validation'
    rule = {'last': 'last', 'best': by_test}.get(name, 'evaluated')
    epoch = state['epoch'] - 1
    print(f'{source}: epoch {epoch}, {RULES[rule]}')
    return finish(session, folder, rule, dict(checkpoint=str(source), epoch=epoch))


def by_engine(args):
    """Score an exported file, or a run by another engine than MXNet."""
    if not args.checkpoint:
        raise UserError(f'--engine={args.engine} has no network. Fix: --checkpoint=RUN or --checkpoint=FILE.onnx')
    folder = result_folder(args.save_dir or exported.beside(args, 'evaluation'))
    session = exported.EngineSession(args)
    session.check_splits()
    return finish(session, folder, 'evaluated', dict(checkpoint=args.checkpoint, model=session.engine.describe()))


def finish(session, folder, rule, facts):
    """Score the test images, print the table, write result.json and draw."""
    from engine.run import commit  # needs TensorBoard's packages
    args = session.args
    with engine_of(args) as engine:
        result, embeddings = session.scores(session.data.test, extended=True, progress=True, engine=engine)
    print(protocols.table(result))
    write_result(folder, dict(result, **facts, data_name=args.data_name, data=session.found, args=vars(args),
                              commit=commit()), rule)
    session.list_unreadable(folder / 'unreadable.txt')
    if args.figures and session.data.pairs is None:
        session.draw(folder, embeddings)
    name, value = next(iter(result['recall'].items())) if 'recall' in result else ('', result['accuracy'])
    print(f'{"R@" + name if name else "accuracy"} {value:.4f} -> {folder}')
    return 0


# One pass holds the embeddings in the file's pages and as MXNet's array, and what it lists of them: 2.7 GB for 0.5 GB.
ONE_PASS = 6


def free_memory():
    """Bytes that this machine has to give."""
    with contextlib.suppress(OSError, StopIteration):
        with open('/proc/meminfo') as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith('MemAvailable'))
    return float('inf')


@contextlib.contextmanager
def engine_of(args, file=None, size=0):
    """What computes ranks and precisions: None for one pass in this process, else Blocks, on the workers of --cluster
    or one after the other.

    file : the embeddings, where they lie in a file that the workers can read themselves
    size : bytes of these embeddings; where they do not fit into the memory they are read block by block
    """
    if not args.cluster:
        fits = ONE_PASS * size < free_memory()
        if not fits:
            print(f'note: the embeddings take {size / 1e9:.1f} GB: they are scored block by block from the file')
        yield None if fits else Blocks(file=file)
        return
    with Cluster(args.cluster) as cluster:
        yield Blocks(cluster.run, cluster.share, file)


def score_file(args):
    """Score --embeddings, print a table and write result.json.

    Returns (the loaded Embeddings, the folder). Without --save_dir, that is FILE_evaluation beside the file.
    """
    file = pathlib.Path(args.embeddings)
    folder = result_folder(args.save_dir or file.with_name(file.stem + '_evaluation'))
    loaded = load_embeddings(file)
    with engine_of(args, os.path.abspath(file), loaded.embeddings.nbytes) as engine:
        try:
            result = protocols.retrieval(loaded.embeddings, loaded.labels, args.recallk, loaded.query, args.metric,
                                         clustering=args.clustering if args.nmi else None, seed=args.seed,
                                         extended=True, engine=engine)
        except UserError as error:
            raise UserError(f'--embeddings={args.embeddings}: {advised(error, "a file of other embeddings")}') from None
    print(protocols.table(result))
    write_result(folder, dict(result, embeddings=str(args.embeddings)), 'evaluated')
    return loaded, folder
