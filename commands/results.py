"""Where an evaluation or embeddings of a run are kept, and result.json of an evaluation."""

import hashlib
import json
import os
import pathlib
import re

import datasets
from commands.words import short_name
from core.errors import UserError
from core.files import check_writable, write_json
from engine import checkpoint
from evaluation.settings import RULES, TITLES

# Flags that do not change what a picture's embedding is, nor how it is scored. A folder's name tells all others apart.
NOT_IN_NAMES = {
    'argv', 'baselines', 'cache', 'checkpoint', 'cluster', 'clustering', 'display_step', 'draw', 'dry_run',
    'embeddings', 'figures', 'gpu_idx', 'kvstore', 'nmi', 'num_workers', 'output', 'part', 'prepare', 'pretrained',
    'recallk', 'resume', 'save_dir', 'seed', 'shard', 'store_dir', 'test_batch_size', 'train_stats', 'tsne_points',
    'which'}
OF_THE_DATA = ('data_dir', 'split', 'val_classes')    # what another data set has values of its own for


def name_inside_run(name, source, flags, there):
    """The name of a file or folder of a run, for each checkpoint, data set and view apart.

    Parameters
    ----------
    name : 'evaluation' or 'embeddings'
    source : checkpoint folder
    flags : dict of the flags of the command
    there : dict of the flags of the run

    Example
    -------
    >>> run = {'data_name': 'glyphs', 'image_size': 28, 'data_dir': ''}
    >>> name_inside_run('evaluation', 'runs/A/last', run, run)
    'evaluation'
    >>> name_inside_run('evaluation', 'runs/A/best', dict(run, image_size=32), run)
    'evaluation_best_image_size=32'
    """
    which = checkpoint_name(source)
    words = [name] + ([] if which == 'last' else [which])
    here, before = (datasets.resolve(one['data_name']) for one in (flags, there))
    if here != before:
        words.append(here)
    for key in sorted(set(flags) & set(there) - NOT_IN_NAMES - {'data_name'}):
        if here != before and key in OF_THE_DATA:
            if key == 'data_dir' and flags[key]:
                words.append(_word(key, flags[key]))
        elif not _equal(key, flags[key], there[key]):
            words.append(_word(key, flags[key]))
    return short_name('_'.join(words))


def checkpoint_name(source):
    """'last' or 'best' for the folder of a checkpoint, such as RUN/checkpoints/best-00000120, else its name."""
    name = pathlib.Path(source).name
    return name.split('-')[0] if name.startswith(('last-', 'best-')) else name


def _equal(key, a, b):
    if key == 'data_dir' and a and b:
        return os.path.realpath(a) == os.path.realpath(b)
    return json.dumps(a, default=str) == json.dumps(b, default=str)


def _word(key, value):
    """`key=value` as a part of a name; of a folder its last part, and what tells it from others of that name."""
    if key == 'data_dir':
        path = os.path.realpath(value)
        value = f'{os.path.basename(path)}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:6]}'
    elif isinstance(value, (list, tuple)):
        value = ','.join(map(str, value))
    return f'{key}={re.sub(r"[^A-Za-z0-9.,+=-]", "-", str(value))[:60]}'


def inside_run(source, args, name):
    """Path beside a checkpoint for what is made of it, see name_inside_run."""
    return checkpoint.run_of(source) / name_inside_run(name, source, vars(args), checkpoint.read_args(source))


def result_folder(folder):
    """Path of a folder for a result; UserError if it cannot be written or is a training run's, whose result would be
    lost."""
    folder = pathlib.Path(folder)
    check_writable(folder, '--save_dir', folder=True)
    if (folder / 'log.jsonl').exists() or (folder / 'args.json').exists():
        raise UserError(f'--save_dir={folder} holds the result of a training run. Fix: '
                        f'--save_dir={folder}/evaluation')
    return folder


def write_result(folder, result, rule):
    """result.json of one evaluation: `result`, its numbers once more under `selection` and the rule's label."""
    kept = {key: result[key] for key in ('recall', 'precision', 'epoch', *TITLES) if key in result}
    result = dict(result, selection=dict(dict.fromkeys(('last', 'best_on_test', 'chosen_on_validation')),
                                         **{rule: kept}), label=RULES[rule])
    try:
        write_json(folder / 'result.json', result)
    except OSError as error:
        raise UserError(f'--save_dir={folder}: cannot write there ({error.strerror}). Fix: another '
                        '--save_dir') from error


def need_checkpoint(args):
    """The folder behind --checkpoint, or a UserError."""
    if not args.checkpoint:
        raise UserError('--checkpoint is empty. Fix: the run folder, --checkpoint=runs/NAME (or, to score embeddings '
                        'from a file, evaluate --embeddings=FILE.npz)')
    return checkpoint.locate(args.checkpoint, args.which)
