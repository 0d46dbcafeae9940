"""The benchmarks by data name, and how one is loaded.

One set has one name for each protocol: cub200 is zero-shot retrieval, cub200_classification is not.
"""

import functools
import pathlib

import numpy as np

from core import text
from core.errors import UserError, advised, fold
from core.text import printable
from datasets.benchmarks import (
    aircraft,
    cars,
    cub200,
    dogs,
    flowers102,
    index,
    inshop,
    lfw,
    mnist,
    nabirds,
    sop,
    street2shop,
)
from datasets.benchmarks.base import Part
from datasets.benchmarks.lists import Missing
from datasets.records import Data, Split

ALL = (cub200.BENCHMARK, cub200.BENCHMARK_2010, cars.CARS196, cars.STANFORD_CARS, sop.BENCHMARK, inshop.BENCHMARK,
       street2shop.BENCHMARK, lfw.BENCHMARK, mnist.BENCHMARK, mnist.BENCHMARK_T10K, aircraft.BENCHMARK,
       nabirds.BENCHMARK, flowers102.BENCHMARK, dogs.BENCHMARK)
# data name -> Benchmark
BENCHMARKS = {name: benchmark for benchmark in ALL for name in benchmark.protocols}
# other spelling, folded -> data name
ALIASES = {fold(alias): name for benchmark in ALL for alias, name in benchmark.aliases.items()}


def root_of(benchmark, root=None):
    """Folder of the data set: `root`, or data/NAME, the same for all its protocols."""
    return pathlib.Path(root or 'data/' + benchmark.name)


def find(name):
    """Registered name of a benchmark for any spelling, or None."""
    folded = fold(name)
    known = {fold(one): one for one in BENCHMARKS}
    return ALIASES.get(folded) or known.get(folded)


def parse(benchmark, name, root):
    """Parsed from the lists, checked for what would break training. Raises Missing or UserError."""
    try:
        parsed = benchmark.read(pathlib.Path(root), name)
    except OSError as error:
        raise Missing(f'{printable(error.filename)} cannot be read: {error.strerror}') from error
    for title in ('train', 'test'):
        part = getattr(parsed, title)
        if part is None:
            continue
        lengths = {len(column) for column in (part.paths, part.class_id, part.query, part.boxes, part.super_label)
                   if column is not None}
        if len(lengths) > 1:
            raise UserError(f'{name}: the lists in {printable(root)} are of different lengths: {sorted(lengths)}')
        if not len(part.class_id):
            raise UserError(f'{name}: the {title} part has no images; is the copy in {root} complete?')
        if part.images is None and not benchmark.repeats:
            twice = repeated(part.paths)
            if twice:
                raise UserError(f'{name}: {twice} is listed twice in the {title} part. Fix: take the list from its '
                                f'source again: {parsed.lists[0]}')
    if parsed.train is not None and parsed.train.images is None and not benchmark.repeats:
        both = set(parsed.train.paths) & set(parsed.test.paths)
        if both:
            raise UserError(f'{name}: {text.count(len(both), "image is", "images are")} listed in the training and in '
                            f'the test part, such as {min(both)}')
    if benchmark.protocols[name] in ('zero-shot', 'query-gallery'):
        both = np.intersect1d(parsed.train.class_id, parsed.test.class_id)
        if len(both):
            raise UserError(f'{name}: {text.count(len(both), "class is", "classes are")} in the training and in the '
                            f'test part, such as class {both[0]}: the lists in {root} are wrong')
    return parsed


def repeated(paths):
    """A path that occurs twice, or None."""
    if len(set(paths)) == len(paths):
        return None
    seen = set()
    for path in paths:
        if path in seen:
            return path
        seen.add(path)
    return None


def count(parsed):
    """{(part, what): number} of a Parsed, as in base.Count."""
    found = {}
    for title in ('train', 'test'):
        part = getattr(parsed, title)
        if part is None:
            continue
        found[title, 'images'] = len(part.class_id)
        found[title, 'classes'] = len(np.unique(part.class_id))
        if part.query is not None:
            found[title, 'query'] = int(part.query.sum())
            found[title, 'gallery'] = int((~part.query).sum())
    if parsed.pairs is not None:
        found['pairs', 'pairs'] = len(parsed.pairs['same'])
        found['pairs', 'folds'] = len(np.unique(parsed.pairs['fold']))
    return found


def differences(benchmark, name, parsed):
    """[(Count, number found)] where the files disagree with what is known."""
    found = count(parsed)
    return [(fact, found.get((fact.part, fact.what), 0)) for fact in benchmark.counts
            if fact.name == name and found.get((fact.part, fact.what), 0) != fact.value]


def describe(fact, number):
    return (f'{fact.part} has {number:,} {fact.what} where the data set has {fact.value:,} '
            f'({fact.confidence}: {fact.source})')


def to_split(root, part, both=None):
    """records.Split of a Part. both: the other Part when the two share their labels."""
    ids = np.unique(part.class_id if both is None else np.concatenate([part.class_id, both.class_id]))
    known = part.class_names if both is None else {**both.class_names, **part.class_names}
    reader = None if part.images is None else part.images.__getitem__
    return Split(part.class_id, part.paths, {c: known.get(c, str(c)) for c in ids.tolist()}, str(root), ids,
                 part.query, part.boxes, part.super_label, reader)


def to_data(benchmark, name, root, parsed):
    """records.Data of a Parsed."""
    protocol = benchmark.protocols[name]
    shared = protocol == 'classification'
    train = None if parsed.train is None else to_split(root, parsed.train, parsed.test if shared else None)
    test = to_split(root, parsed.test, parsed.train if shared else None)
    notes, wrong = list(parsed.notes), differences(benchmark, name, parsed)
    if wrong:
        found = '; '.join(describe(fact, number) for fact, number in wrong)
        notes.append(f'these files are not the whole {benchmark.title}, so figures on them are not comparable: {found}')
    return Data(name, train, test, protocol, notes=tuple(notes), pairs=parsed.pairs)


def load(root=None, *, name, benchmark=None):
    """Data of the benchmark `name`.

    Parameters
    ----------
    root : its folder; None: data/NAME
    name : a key of BENCHMARKS
    benchmark : Benchmark to go by; None: BENCHMARKS[name]

    Raises
    ------
    UserError : it is not there, or not prepared to the end
    """
    benchmark = benchmark or BENCHMARKS[name]
    fix = f'Fix: python3 main.py prepare --data_name={name}' + (f' --data_dir={root}' if root else '')
    root = root_of(benchmark, root)
    if index.unfinished(root, benchmark).exists():
        raise UserError(f'preparing {name} in {root} has not come to its end. {fix}')
    parsed = index.load(root, name)
    if parsed is None:
        if not root.is_dir():
            raise UserError(f'{benchmark.title}: there is no folder {root}. {fix}')
        try:
            parsed = parse(benchmark, name, root)
        except Missing as error:
            raise UserError(f'{benchmark.title}: {error}. {fix}') from error
        except UserError as error:      # what is there and is no list of this data set
            raise UserError(advised(error, f'take the lists of {benchmark.title} from their source again')) from error
    return to_data(benchmark, name, root, parsed)


LOADERS = {name: functools.partial(load, name=name) for name in BENCHMARKS}

__all__ = ['ALIASES', 'ALL', 'BENCHMARKS', 'LOADERS', 'Missing', 'Part', 'count', 'describe', 'differences', 'load',
           'parse', 'root_of', 'to_data', 'to_split']
