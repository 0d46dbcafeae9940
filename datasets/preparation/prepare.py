"""From a benchmark's address to verified files that training reads."""

import contextlib
import errno
import fcntl
import os

from core.errors import UserError, pick_name
from datasets import benchmarks
from datasets.benchmarks import BENCHMARKS, Missing, index
from datasets.preparation import archives, check, download


def prepare(name, root=None, *, archive=(), keep_archives=True, verify=False, threads=None, benchmark=None, log=print):
    """Download, verify and unpack a benchmark, or what is missing of it, and write its index.

    Parameters
    ----------
    name : data name in any spelling, such as 'cub200'
    root : folder that its files go to, or where they are; None: data/NAME
    archive : files that the user has already, anywhere: archives or lists
    keep_archives : False: a downloaded archive is removed once it is unpacked
    verify : decode every image and look for duplicates, above all across the train/test border
    threads : that decode; None: one for each processor
    benchmark : facts to go by; None: those of `name`
    log : callable(str) that is told what happens

    Returns
    -------
    datasets.records.Data

    Raises
    ------
    UserError : what is missing and where to get it, a wrong checksum, wrong counts, no space. The next call goes on.
    """
    name = pick_name('--data_name', benchmarks.find(name) or name, BENCHMARKS)
    benchmark = benchmark or BENCHMARKS[name]
    asked, root = root, benchmarks.root_of(benchmark, root)
    own = archives.match(benchmark, archive)
    with lock(root) as writable:
        parsed, reason = (None, '') if own else present(benchmark, name, root)
        if parsed is None:
            if not writable:
                raise UserError(f'{benchmark.title} is not complete in {root} ({reason}), and nothing may be written '
                                'there. Fix: give a folder that you may write to with --data_dir')
            archives.acquire(benchmark, root, own, keep_archives, log)
            parsed = complete(benchmark, name, root)
        verify_counts(benchmark, name, root, parsed, log)
        if writable:
            index_all(benchmark, name, root, log)
            archives.remove(index.unfinished(root, benchmark))
    data = benchmarks.to_data(benchmark, name, root, parsed)
    for note in parsed.notes:
        log('note: ' + note)
    if verify:
        check.run(data, root, threads, log)
    log(f'{benchmark.title} is ready in {root}. Train: python3 main.py --data_name={name} ' +
        (f'--data_dir={asked} ...' if asked else '...'))
    return data


@contextlib.contextmanager
def lock(root):
    """Make the folder and keep other `prepare` calls out of it; yields whether it may be written."""
    if not download.writable(root):
        yield False
        return
    try:
        folder = index.folder(root)
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / 'lock', 'w')  # noqa: SIM115 (held open as long as the lock)
    except OSError as error:
        if not root.is_dir() or error.errno not in (errno.EACCES, errno.EROFS, errno.EPERM):
            raise download.explain(error, root) from error
        yield False
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(f'another prepare is at work in {root}. Fix: wait for it, or end it') from None
        yield True


def present(benchmark, name, root):
    """(Parsed, '') if the files are all there, unpacked by an earlier call or by the user; else (None, the reason)."""
    if index.unfinished(root, benchmark).exists():
        return None, 'an earlier prepare has not come to its end'
    try:
        parsed = benchmarks.parse(benchmark, name, root)
    except Missing as error:
        return None, str(error)
    lost = absent(root, parsed)
    return (None, f'{len(lost):,} listed images are missing') if lost else (parsed, '')


def complete(benchmark, name, root):
    """Parsed after everything was unpacked; UserError when something is still missing."""
    try:
        parsed = benchmarks.parse(benchmark, name, root)
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


def verify_counts(benchmark, name, root, parsed, log):
    """Compare with what is known: an error where the number was read in its source, else a warning."""
    wrong = benchmarks.differences(benchmark, name, parsed)
    errors = [benchmarks.describe(fact, number) for fact, number in wrong if fact.confidence == 'read']
    for fact, number in wrong:
        if fact.confidence != 'read':
            log('warning: ' + benchmarks.describe(fact, number))
    if errors:
        archives.forget(root)
        raise UserError(f'{benchmark.title} in {root} is not the benchmark: {"; ".join(errors)}. Fix: remove what is '
                        'there and prepare again; for a set of your own use --data_name=folder')
    for (part, what), number in sorted(benchmarks.count(parsed).items()):
        log(f'{part:>6} {number:>8,} {what}')


def index_all(benchmark, chosen, root, log):
    """Write the index of every protocol of the set whose lists are there."""
    for name in benchmark.protocols:
        try:
            parsed = benchmarks.parse(benchmark, name, root)
            if parsed.test.images is None:
                index.save(root, name, parsed)
        except UserError as error:
            if name == chosen:
                raise
            if not isinstance(error, Missing):
                log(f'warning: {name} cannot be used: {error}')
        except OSError as error:
            raise download.explain(error, index.folder(root)) from error
