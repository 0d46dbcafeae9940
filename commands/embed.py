"""`python3 main.py embed`: write the embeddings, labels and paths of the images of a data set."""

import pathlib

from commands import exported
from commands.results import inside_run
from core.errors import UserError
from core.files import check_writable
from core.text import count
from evaluation.embeddings import save_embeddings


def run(args):
    """`embed --checkpoint=RUN`: embeddings, labels and paths of the test images."""
    if exported.by_engine(args):
        source, session = None, exported.EngineSession(args)
    else:
        from commands.session import Session, need_checkpoint  # needs MXNet
        source = need_checkpoint(args)
        session = Session(args, source)
    split = getattr(session.data, args.part)
    if split is None:
        raise UserError('--part={}: --data_name={} has no such images. Fix: {}'.format(
            args.part, args.data_name, '--val_classes=N' if args.part == 'val' else '--part=test'))
    name = 'embeddings' if args.part == 'test' else 'embeddings_' + args.part
    output = args.output or f'{inside_run(source, args, name) if source else exported.beside(args, name)}.npz'
    check_writable(output, '--output')
    files = save_embeddings(output, session.embed(split, progress=True), split.labels,
                            [split.path(i) for i in range(len(split))], split.query,
                            [split.names[label] for label in split.labels])
    session.list_unreadable(pathlib.Path(output).with_suffix('.unreadable.txt'))
    print(f'{count(len(split), "embedding")} -> {files}')
    return 0
