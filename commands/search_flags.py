"""Flags that the commands around an index share, and what they open."""

import os
import pathlib
import sys

from core.errors import UserError
from core.flags import bounded

INDEX = 'photos.index'


def add_index_args(group):
    """Declare --index."""
    group.add_argument('--index', default=INDEX, metavar='FOLDER|FILE.db|URL',
                       help='the index: a folder; FILE.db: Milvus Lite; http://HOST:PORT: Milvus')


def add_model_args(group):
    """Declare what embeds."""
    group.add_argument('--checkpoint', default='', metavar='RUN|FILE.onnx',
                       help='run folder, checkpoint folder, parameter file or exported file; empty: what the index was '
                            'made with, and for a new one the pretrained trunk efficientnet_lite0 alone')
    group.add_argument('--which', choices=('best', 'last'), default='last', help='which checkpoint of the run')
    from serving import engines
    engines.add_args(group)


def open_encoder(args, source=None):
    """(Encoder, the dict that makes it again).

    source : of an index that was made before, taken where the flags name nothing
    """
    from serving.encoder import Encoder
    from serving.engines import open_engine
    if args.checkpoint or not source:
        source = {'checkpoint': str(pathlib.Path(args.checkpoint).resolve()) if args.checkpoint else None,
                  'which': args.which}
    if source['checkpoint'] and not pathlib.Path(source['checkpoint']).exists():
        raise UserError(f'{source["checkpoint"]} does not exist, which the index was made with. Fix: --checkpoint=RUN '
                        'names where it is now' if not args.checkpoint else
                        f'--checkpoint={args.checkpoint} does not exist')
    engine = open_engine(source['checkpoint'], args.engine, which=source['which'], precision=args.precision)
    print(f'model: {engine.describe()}', flush=True)
    return Encoder(engine), source


def need_index(name):
    """UserError, before anything is loaded, for a folder that holds no index; a server's address is asked later."""
    if '://' not in name and not name.endswith('.db') and not os.path.exists(name):
        raise UserError(f'{name} holds no index. Fix: python3 main.py index --images=PHOTOS --index={name}')


def open_with_encoder(args, **options):
    """(index, encoder) of an index that exists."""
    from serving.index import check_model, open_index
    index = open_index(args.index, **options)
    try:
        encoder, _ = open_encoder(args, index.about['source'])
        check_model(index, encoder, args.index)
    except BaseException:
        index.close()
        raise
    return index, encoder


def add_filter_args(group):
    """Declare --label."""
    group.add_argument('--label', action='append', metavar='NAME', help='only pictures of this label; may be repeated')


distance = bounded(float, 0)     # type of --max_distance


def bar(words):
    """function (done, total) that draws a progress bar on the terminal."""
    from tqdm import tqdm
    shown = []

    def update(done, total):
        if not shown:
            shown.append(tqdm(total=total, desc=words, unit='', file=sys.stderr))
        shown[0].update(done - shown[0].n)
        if done >= total:
            shown[0].close()
    return update
