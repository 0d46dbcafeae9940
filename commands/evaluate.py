"""`python3 main.py evaluate`: score a run again, or embeddings from a file."""

import pathlib

from commands import figures as pictures
from commands.session import Session, inside_run, need_checkpoint
from core.errors import UserError
from engine import checkpoint
from engine.run import commit
from evaluation import protocols


def run(args):
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
    session = Session(args, source)
    session.check_splits()
    state = checkpoint.read_state(source)
    name = pathlib.Path(source).name.split('-')[0]
    by_test = 'best_on_test' if 'val' not in state['best'] else 'chosen_on_validation'
    rule = {'last': 'last', 'best': by_test}.get(name, 'evaluated')
    epoch = state['epoch'] - 1
    print(f'{source}: epoch {epoch}, {protocols.RULES[rule]}')
    result, embeddings = session.scores(session.data.test, extended=True, progress=True)
    print(protocols.table(result))
    protocols.write_result(folder, dict(result, checkpoint=str(source), epoch=epoch, data_name=args.data_name,
                                        data=session.found, args=vars(args), commit=commit()), rule)
    session.list_unreadable(folder / 'unreadable.txt')
    if args.figures and session.data.pairs is None:
        pictures.of_test(session, folder, embeddings)
    name, value = next(iter(result['recall'].items())) if 'recall' in result else ('', result['accuracy'])
    print('{} {:.4f} -> {}'.format('R@' + name if name else 'accuracy', value, folder))
    return 0
