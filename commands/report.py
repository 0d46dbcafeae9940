"""`python3 main.py report`: one page and one table of several runs."""

import os

import datasets
from core.errors import UserError
from datasets import benchmarks
from evaluation import report
from evaluation.report import published, tables


def add_args(group):
    """Declare the flags of the command on an argparse parser or group."""
    group.add_argument('runs', nargs='*', metavar='RUN',
                       help='run folders, or folders that hold some; none: those in the folder runs')
    group.add_argument('--output', default='', metavar='FILE.html',
                       help='the page; the table goes beside it as .md. Empty: report.html in the folder of the run, '
                            'or in the one that holds them all')
    group.add_argument('--title', default='', help='heading of the page')
    group.add_argument('--published', default=str(published.FILE), metavar='CSV', help='figures of the papers')
    group.add_argument('--csv', nargs='?', const=str(tables.RESULTS), default='', metavar='CSV',
                       help='also put the rows into this file (without a value: docs/results.csv). Rows of the same '
                            'command and commit are replaced')
    group.add_argument('--readme', nargs='?', const=str(tables.README), default='', metavar='MD',
                       help='write the table between the two result markers of this file (without a value: '
                            'docs/results.md) anew from docs/results.csv or the file of --csv; works without runs')
    return group


def titles():
    """{data name: title}; a data set with several protocols has one title for each."""
    found = {}
    for name, benchmark in benchmarks.BENCHMARKS.items():
        protocol = benchmark.protocols[name]
        first = next(iter(benchmark.protocols.values()))
        found[name] = benchmark.title + ('' if protocol == first else f' ({protocol})')
    return found


def run(args):
    """Print the table, the notes and what was written; returns the exit status."""
    folders, targets = list(args.runs), {'csv': args.csv, 'readme': args.readme}
    for flag, default in (('csv', tables.RESULTS), ('readme', tables.README)):
        if os.path.isdir(targets[flag]):  # `report --csv RUN`: argparse took the run for the flag's value
            folders.insert(0, targets[flag])
            targets[flag] = str(default)
    if not folders and not targets['readme']:
        if not os.path.isdir('runs'):
            raise UserError('report needs run folders. '
                            'Fix: python3 main.py report runs/A runs/B. Without them it shows '
                            'those in the folder runs, which is not here')
        folders = ['runs']
    if folders:
        text, files = report.write(folders, args.output, args.title, args.published, targets['csv'], titles(),
                                   datasets.resolve)
        print(text)
        for kind, file in files.items():
            print(f'{kind} {file}')
    if targets['readme']:
        source = targets['csv'] or tables.RESULTS
        tables.write_readme(targets['readme'], source)
        print(f'table of {source} -> {targets["readme"]}')
    return 0
