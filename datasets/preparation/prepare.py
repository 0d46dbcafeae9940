"""`main.py prepare`: from a benchmark's address to verified files that training reads."""

import argparse
import contextlib
import errno
import fcntl
import os

from core.errors import UserError, pick_name
from core.flags import boolean, bounded
from datasets import cut_to_boxes, store
from datasets.benchmarks import (
    ALIASES,
    BENCHMARKS,
    Missing,
    count,
    describe,
    differences,
    index,
    parse,
    root_of,
    to_data,
)
from datasets.preparation import archives, check
from datasets.preparation import download as fetch
from datasets.transforms import TRANSFORMS


def add_args(group):
    """Flags of `prepare`."""
    group.add_argument('--data_name', '--dataset', '--data', '--db_name', dest='data_name', required=True,
                       metavar='NAME', help='benchmark: {}'.format(', '.join(sorted(BENCHMARKS))))
    group.add_argument('--data_dir', '--data_path', dest='data_dir', default='', metavar='DIR',
                       help='folder that its files go to, or where they are; empty: data/NAME')
    group.add_argument('--archive', action='append', default=[], metavar='FILE',
                       help='an archive or list that you have already, anywhere; may be given several times')
    group.add_argument('--keep_archives', type=boolean, nargs='?', const=True, default=True,
                       help='false: remove a downloaded archive once it is unpacked')
    group.add_argument('--check', type=boolean, nargs='?', const=True, default=False,
                       help='decode every image and look for duplicates, above all across the train/test border')
    group.add_argument('--crop_box', type=boolean, nargs='?', const=True, default=False,
                       help='with --cache=store: keep the images cut to their bounding boxes')
    group.add_argument('--num_workers', type=bounded(int, 1), default=None,
                       help='threads that decode; default: one for each processor')
    group.add_argument('--transform', default='embedding_expansion', metavar='NAME',
                       help='with --cache=store: the transform that the store is for: {}'.format(
                           ', '.join(sorted(TRANSFORMS))))
    group.add_argument('--image_size', '--frame_size', '--img_size', dest='image_size', type=bounded(int, 1),
                       default=227, help='with --cache=store: the picture size that the store is for')
    store.add_args(group)


def run(args, benchmark=None, say=print):
    """Prepare, verify and, as the flags ask, check and store one benchmark. Raises UserError.

    benchmark : facts to go by, those of --data_name if None
    """
    name = pick_name('--data_name', ALIASES.get(str(args.data_name).lower().replace('-', '_'), args.data_name),
                     BENCHMARKS)
    benchmark = benchmark or BENCHMARKS[name]
    root = root_of(benchmark, args.data_dir)
    own = archives.match(benchmark, args.archive)
    with lock(root) as writable:
        parsed, reason = (None, '') if own else present(benchmark, name, root)
        if parsed is None:
            if not writable:
                raise UserError(f'{benchmark.title} is not complete in {root} ({reason}), and nothing may be written '
                                'there. Fix: give a folder '
                                'that you may write to with --data_dir')
            archives.acquire(benchmark, root, own, args.keep_archives, say)
            parsed = complete(benchmark, name, root)
        verify_counts(benchmark, name, root, parsed, say)
        if writable:
            index_all(benchmark, name, root, say)
            archives.remove(index.unfinished(root, benchmark))
    data = to_data(benchmark, name, root, parsed)
    if args.crop_box:
        cut_to_boxes(data)
    for note in parsed.notes:
        say('note: ' + note)
    if args.check:
        check.run(data, root, args.num_workers, say)
    if args.cache == 'store':
        store.attach(data, args, say)
    say('{} is ready in {}. Train: python3 main.py --data_name={} {}'.format(
        benchmark.title, root, name, f'--data_dir={args.data_dir} ...' if args.data_dir else '...'))
    return 0


def ensure(args, say=print):
    """What --prepare of a training command does: prepare the benchmark that args names, if it names one."""
    name = ALIASES.get(str(args.data_name).lower().replace('-', '_'), args.data_name)
    if name not in BENCHMARKS:
        return
    parser = argparse.ArgumentParser()
    add_args(parser)
    run(parser.parse_args(['--data_name=' + name, '--data_dir=' + args.data_dir]), say=say)


@contextlib.contextmanager
def lock(root):
    """Make the folder and keep other `prepare` calls out of it; yields whether it may be written."""
    if not fetch.writable(root):
        yield False
        return
    try:
        folder = index.folder(root)
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / 'lock', 'w')  # noqa: SIM115 (held open as long as the lock)
    except OSError as error:
        if not root.is_dir() or error.errno not in (errno.EACCES, errno.EROFS, errno.EPERM):
            raise fetch.explain(error, root) from error
        yield False
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(f'another prepare is at work in {root}') from None
        yield True


def present(benchmark, name, root):
    """(Parsed, '') if the files are all there, unpacked by an earlier call or by the user; else (None, the reason)."""
    if index.unfinished(root, benchmark).exists():
        return None, 'an earlier prepare has not come to its end'
    try:
        parsed = parse(benchmark, name, root)
    except Missing as error:
        return None, str(error)
    lost = absent(root, parsed)
    return (None, f'{len(lost):,} listed images are missing') if lost else (parsed, '')


def complete(benchmark, name, root):
    """Parsed after everything was unpacked; UserError when something is still missing."""
    try:
        parsed = parse(benchmark, name, root)
        lost = absent(root, parsed)
    except Missing as error:
        archives.forget(root)
        raise UserError(f'{benchmark.title}: {error}. Fix: prepare again; what belongs there: '
                        f'{benchmark.manual.format(root=root)}') from error
    if lost:
        archives.forget(root)
        raise UserError(f'{benchmark.title}: {len(lost):,} listed images are not in {root}, such as {lost[0]}. Fix: '
                        'prepare again; what belongs there: '
                        f'{benchmark.manual.format(root=root)}')
    return parsed


def absent(root, parsed):
    """Listed images that are not on disk, by one look into each folder."""
    listing, lost = {}, []
    for part in (parsed.train, parsed.test):
        if part is None or part.images is not None:
            continue
        for path in part.paths:
            top, _, file = path.rpartition('/')
            if top not in listing:
                try:
                    listing[top] = set(os.listdir(root / top))
                except OSError:
                    listing[top] = set()
            if file not in listing[top]:
                lost.append(path)
    return lost


def verify_counts(benchmark, name, root, parsed, say):
    """Compare with what is known: an error where the number was read in its source, else a warning."""
    wrong = differences(benchmark, name, parsed)
    errors = [describe(fact, number) for fact, number in wrong if fact.confidence == 'read']
    for fact, number in wrong:
        if fact.confidence != 'read':
            say('warning: ' + describe(fact, number))
    if errors:
        archives.forget(root)
        raise UserError('{} in {} is not the benchmark: {}. Fix: remove what is there and prepare again; '
                        'for a set of your own use --data_name=folder'.format(
                            benchmark.title, root, '; '.join(errors)))
    for (part, what), number in sorted(count(parsed).items()):
        say(f'{part:>6} {number:>8,} {what}')


def index_all(benchmark, chosen, root, say):
    """Write the index of every protocol of the set whose lists are there."""
    for name in benchmark.protocols:
        try:
            parsed = parse(benchmark, name, root)
            if parsed.test.images is None:
                index.save(root, name, parsed)
        except UserError as error:
            if name == chosen:
                raise
            if not isinstance(error, Missing):
                say(f'warning: {name} cannot be used: {error}')
        except OSError as error:
            raise fetch.explain(error, index.folder(root)) from error
