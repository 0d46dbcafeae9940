"""What is known about the benchmarks, against its sources."""

import dataclasses
import json

import datasets
from datasets import benchmarks
from datasets.benchmarks import ALIASES, BENCHMARKS
from datasets.benchmarks.base import Archive
from tests.shared import SHARED, needs_shared


def test_facts_add_up():
    totals = {'cub200': 11788, 'cub200_classification': 11788, 'cub200_2010': 6033, 'cars196': 16185,
              'stanford_cars': 16185, 'sop': 120053, 'aircraft': 10000, 'nabirds': 48562, 'flowers102': 8189,
              'dogs': 20580}
    for name, total in totals.items():
        found = [fact.value for fact in BENCHMARKS[name].counts if fact.name == name and fact.what == 'images']
        assert sum(found) == total, name
    inshop = {(fact.part, fact.what): fact.value for fact in BENCHMARKS['inshop'].counts}
    assert inshop['train', 'images'] + inshop['test', 'query'] + inshop['test', 'gallery'] == 52712
    assert all(fact.source and fact.confidence in ('read', 'recalled') for b in benchmarks.ALL for fact in b.counts)


def unread(every, text):
    """Digests and sizes of archives that `text`, what was read about the benchmarks, names and contradicts.

    An archive that it does not name is somebody's own: nothing is asked of its digest there.
    """
    archives = [archive for benchmark in every for source in benchmark.sources for archive in source
                if archive.name in text]
    facts = [(archive.name, digest[4:]) for archive in archives for digest in archive.digests
             if digest.startswith('md5:')]
    facts += [(archive.name, f'{archive.size:,}') for archive in archives if archive.size]
    return [(name, fact) for name, fact in facts if fact not in text]


@needs_shared
def test_every_md5_and_address_is_one_that_was_read():
    text = json.dumps(json.loads((SHARED / 'datasets.json').read_text()))
    named = {archive.name for one in benchmarks.ALL for source in one.sources for archive in source
             if archive.name in text}
    assert not unread(benchmarks.ALL, text) and len(named) > 20


def test_a_new_benchmark_needs_no_entry_in_what_was_read():
    archive = Archive('new.tgz', ('https://example.org/new.tgz',), ('md5:' + 'a' * 32,), 17)
    new = dataclasses.replace(BENCHMARKS['cub200'], sources=((archive,),))
    assert not unread([new], 'nothing of it') and unread([new], 'new.tgz has 18 bytes')


def test_sha256_of_lfw_are_those_of_scikit_learn():
    from sklearn.datasets import _lfw
    known = {file.filename: 'sha256:' + file.checksum for file in (_lfw.ARCHIVE, _lfw.FUNNELED_ARCHIVE) + _lfw.TARGETS}
    ours = {archive.name: archive.digests for source in BENCHMARKS['lfw'].sources for archive in source}
    assert all(digest in ours[name] for name, digest in known.items()) and len(known) == 5


def test_names_of_the_originals_resolve():
    for spelling, name in (('car196', 'cars196'), ('CARS196', 'cars196'), ('CAR_196', 'cars196'), ('Car', 'cars196'),
                           ('cars', 'stanford_cars'), ('bird200', 'cub200'), ('CUB_200_2011', 'cub200'),
                           ('Cub', 'cub200'), ('ebay', 'sop'), ('EbayInClass', 'sop'), ('Stanford', 'sop'),
                           ('EbayCrossClass', 'sop'), ('DeepFashionInClass', 'inshop'), ('aircrafts', 'aircraft'),
                           ('DeepFashionCrossClass', 'inshop'), ('birds', 'nabirds'), ('flowers', 'flowers102'),
                           ('dogs', 'dogs'), ('LFW', 'lfw')):
        assert datasets.resolve(spelling) == name
    assert not set(ALIASES) & set(BENCHMARKS)
    assert not [alias for alias in ALIASES if sum(alias in map(str.lower, b.aliases) for b in benchmarks.ALL) > 1]


def test_no_archive_can_be_named_twice_with_other_bytes():
    """prepare finds a file by its name, so within a set one name must stand for one archive."""
    for benchmark in benchmarks.ALL:
        by_name = {}
        for archive in (archive for source in benchmark.sources for archive in source):
            assert by_name.setdefault(archive.name, archive) == archive
        assert dataclasses.is_dataclass(benchmark) and benchmark.manual and benchmark.title
