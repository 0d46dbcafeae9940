"""`python3 main.py embed`: write the embeddings, labels and paths of the images of a data set."""

import pathlib

from tqdm import tqdm

from commands import exported, shards
from commands.cluster import Cluster
from commands.results import inside_run, need_checkpoint
from core.errors import UserError
from core.files import check_writable
from core.text import count
from evaluation.embeddings import save_embeddings


def run(args):
    """`embed --checkpoint=RUN`: embeddings, labels and paths of the test images."""
    if args.shard and args.cluster:
        raise UserError(f'--shard={args.shard} and --cluster={args.cluster} exclude each other. Fix: leave one out')
    if args.shard:
        shards.parse(args.shard)
    if exported.by_engine(args):
        if args.layer != 'embedding':
            raise UserError(f'--layer={args.layer}: an exported file gives the embedding alone. Fix: --checkpoint=RUN '
                            'without --engine')
        if args.shard or args.cluster:
            raise UserError('--shard and --cluster embed by a run, not by an exported file. Fix: --checkpoint=RUN '
                            'without --engine')
        source, session = None, exported.EngineSession(args)
    else:
        source = need_checkpoint(args)
        from commands.session import Session  # needs MXNet
        session = Session(args, source)
    split = getattr(session.data, args.part)
    if split is None:
        raise UserError(f'--part={args.part}: --data_name={args.data_name} has no such images. Fix: '
                        f'{"--val_classes=N" if args.part == "val" else "--part=test"}')
    name = '_'.join(['embeddings', *(word for word in (args.part, args.layer) if word not in ('test', 'embedding'))])
    output = args.output or f'{inside_run(source, args, name) if source else exported.beside(args, name)}.npz'
    check_writable(output, '--output')
    if args.shard:
        return one_shard(args, source, session, split, output)
    if args.cluster:
        with Cluster(args.cluster) as cluster, tqdm(total=len(split), desc='embed', unit='image',
                                                    disable=None) as bar:
            _, files = shards.on_cluster(cluster, args, source, split, output, bar)
    else:
        found = session.embed(split, True, args.layer) if source else session.embed(split, True)
        files = save_embeddings(output, found, split.labels,
                                [split.path(i) for i in range(len(split))], split.query,
                                [split.names[label] for label in split.labels])
    session.list_unreadable(pathlib.Path(output).with_suffix('.unreadable.txt'))
    print(f'{count(len(split), "embedding")} -> {files}')
    return 0


def one_shard(args, source, session, split, output):
    """--shard=3/8: embed that part of the images and say what joins them."""
    i, n = shards.parse(args.shard)
    folder, mark = shards.folder_of(output), shards.fingerprint(args, source)
    file, (start, stop) = shards.file_of(folder, i, n), shards.bounds(i, n, len(split))
    if shards.is_done(file, mark):
        print(f'shard {i} of {n} is there already: {file}')
    else:
        shards.write(session, split, file, start, stop, mark)
        print(f'shard {i} of {n}, {count(stop - start, "image")} -> {file}')
    print(f'when all {n} are there: python3 main.py join {folder}')
    return 0
