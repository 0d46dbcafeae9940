"""--dry_run: every check that needs no picture, no network and no other machine, then the flags as JSON."""

import json
import sys

import numpy as np

import datasets
import models
import recipes
import samplers
from core.device import contexts, numbers
from core.files import check_writable
from core.flags import path
from datasets.records import Data, Split
from engine import checkpoint, optimizers, schedule
from evaluation import protocols
from models import preprocessing


def dry_run(args):
    """The resolved flags as JSON. Raises UserError for what the command itself would refuse."""
    if numbers(args.gpu_idx):
        contexts(args.gpu_idx)
    for flag in ('save_dir', 'output'):
        if getattr(args, flag, ''):
            check_writable(path(getattr(args, flag)), '--' + flag, folder=flag == 'save_dir')
    if hasattr(args, 'resume'):
        training(args)
    return json.dumps(vars(args), indent=1, sort_keys=True, default=str)


def training(args):
    """Raises UserError for a training run that could not start."""
    optimizers.settings(args.optim, args.lr, args.wd, args.momentum, args.epsilon, args.grad_clip,
                        recipes.constants(args.loss))
    preprocessing.override(preprocessing.IMAGENET, args.mean, args.std, args.channel_order, args.pixel_range)
    schedule.check_epochs(args.start_epoch, args.epochs)
    if args.resume:
        return
    models.flags.check_pretrained(args.pretrained)
    if args.save_dir:
        checkpoint.check_unused(args.save_dir)
    data = outline(args)
    if data is None:
        return
    datasets.summary.check_trainable(data)
    samplers.build(args, data.train)
    for split in (data.test, data.val):
        if split is not None and (split is data.val or data.pairs is None):
            protocols.check_labels(split.labels, args.recallk, split.query)


def outline(args):
    """The Data that the flags ask for, without a picture; None where its lists are not there."""
    name, cuts = args.data_name, {'val_classes': args.val_classes, 'fold': args.fold}
    benchmark = datasets.benchmarks.find(name)
    if name == 'glyphs':        # what is drawn needs no file
        class_id = np.repeat(np.arange(2 * args.glyphs_classes), args.glyphs_instances)
        halves = np.split(class_id, 2)
        return datasets.held_out(Data(name, *map(Split, halves), protocol='zero-shot'), **cuts)
    if benchmark and (args.prepare or args.archive):
        return None
    if benchmark and not datasets.benchmarks.root_of(datasets.benchmarks.BENCHMARKS[name], args.data_dir).is_dir():
        print(f'note: there is no folder {args.data_dir} yet. python3 main.py prepare --data_name={name} makes it',
              file=sys.stderr)
        known = {fact.part: fact.value for fact in datasets.benchmarks.BENCHMARKS[name].counts
                 if fact.name == name and fact.what == 'classes'}
        if 'train' in known:    # enough to say whether classes can be held out
            protocol = datasets.benchmarks.BENCHMARKS[name].protocols[name]
            datasets.held_out(Data(name, Split(np.arange(known['train'])), None, protocol=protocol), **cuts)
        return None
    options = datasets.OPTIONS[name](args) if name in datasets.OPTIONS else {}
    return datasets.load(name, args.data_dir or None, crop_box=args.crop_box, on_bad_image=None, **cuts, **options)
