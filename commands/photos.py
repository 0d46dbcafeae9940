"""`python3 main.py photos FOLDER`: train on your own photos, one sub-folder a class, with settings of our own."""

import os
import pathlib

import datasets
from commands import layers
from commands.dry_run import dry_run
from commands.words import absolute, flag_of, words_of
from core.errors import UserError
from recipes import photos

ROOT = pathlib.Path(__file__).resolve().parents[1]


def parse(words):
    """Flags of a training on a folder; paths are against the present folder. UserError without a folder."""
    words = list(words)
    if words and not words[0].startswith('-'):
        words[0] = '--data_dir=' + words[0]
    args = layers.parse('train', words_of(photos.SETTINGS, absolute(words)))
    if not args.data_dir and not args.resume:
        raise UserError('no folder of photos is given. Fix: bash scripts/photos.sh FOLDER, with a sub-folder for each '
                        'class, or a CSV file')
    return args


def fit(args, words):
    """Make the batch as large as the classes allow, unless the caller gave a size."""
    if args.resume or any(flag_of(word) == 'batch_size' for word in words):
        return
    data = datasets.load('folder', args.data_dir, val_classes=args.val_classes, fold=args.fold, on_bad_image=None,
                         **datasets.folder.options(args))
    most = data.train.num_classes * args.num_instances
    if 2 * args.num_instances <= most < args.batch_size:
        args.batch_size = most
        if not args.dry_run:
            print(f'note: batches of {most} images, {args.num_instances} of each of the '
                  f'{most // args.num_instances} training classes')


def run(args):
    """The command. Returns the exit status."""
    words, args = args.words, parse(args.words)    # --help prints the flags of training
    fit(args, words)
    if args.dry_run:
        print(dry_run(args))
        return 0
    from commands import train
    os.chdir(ROOT)    # runs are kept with the others
    return train.run(args)
