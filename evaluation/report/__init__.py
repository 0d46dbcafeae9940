"""`python3 main.py report RUN [RUN ...]`: one self-contained HTML page and a Markdown table of several runs.

Runs that differ in their seed alone share a row: mean and sample standard deviation. Beside our numbers stand the
published ones of docs/published.csv, with source and confidence, and the settings that differ from the paper's.
`--csv` puts the rows into docs/results.csv, the only source of the project's tables; `--readme` writes the README's
table anew from it.
"""

import os
import pathlib

from core.errors import UserError
from evaluation.report import published, tables
from evaluation.report.page import page
from evaluation.report.runs import RULES, frozen, group, read_all
from evaluation.report.tables import append_csv, readme_table, write_readme

__all__ = ['RULES', 'add_args', 'append_csv', 'readme_table', 'run', 'write_readme']


def add_args(group):
    """Declare the flags of the command on an argparse parser or group."""
    group.add_argument('runs', nargs='*', metavar='RUN', help='run folders, or folders that hold some')
    group.add_argument('--output', default='', metavar='FILE.html',
                       help='the page; the table goes beside it as .md. Empty: report.html in the folder of the run, '
                            'or in the one that holds them all')
    group.add_argument('--title', default='', help='heading of the page')
    group.add_argument('--published', default=str(published.FILE), metavar='CSV', help='figures of the papers')
    group.add_argument('--csv', nargs='?', const=str(tables.RESULTS), default='', metavar='CSV',
                       help='also put the rows into this file (without a value: docs/results.csv). Rows of the same '
                            'command and commit are replaced')
    group.add_argument('--readme', nargs='?', const=str(tables.README), default='', metavar='MD',
                       help='write the table between the two result markers of this file (without a value: README.md) '
                            'anew from docs/results.csv or the file of --csv; works without runs')
    return group


def run(args):
    """The command. Prints the table, the notes and what was written; returns 0."""
    folders = list(args.runs)
    for flag, default in (('csv', tables.RESULTS), ('readme', tables.README)):
        if os.path.isdir(getattr(args, flag)):  # `report --csv RUN`: argparse took the run for the flag's value
            folders.insert(0, getattr(args, flag))
            setattr(args, flag, str(default))
    if not folders and not args.readme:
        raise UserError('report needs run folders: python3 main.py report runs/A runs/B. '
                        'Without runs only --readme has something to do')
    if folders:
        report(args, folders)
    if args.readme:
        source = args.csv or tables.RESULTS
        write_readme(args.readme, source)
        print(f'table of {source} -> {args.readme}')
    return 0


def report(args, folders):
    """Write the page and the table of some run folders, and the rows of --csv."""
    rows = published.load(args.published)
    found, notes = read_all(folders)
    groups, more = group(found)
    notes += more
    names = name_groups(groups, rows)
    if len({one.data for one in groups}) > 1:
        notes.append(f'the runs are on {len({g.data for g in groups})} data sets; each has a table of its own')
    known = frozen(groups)
    made = tables.report_tables(groups, names, rows, known)
    text = markdown_report(args.title or 'Report', groups, names, made, rows, notes)
    output = pathlib.Path(args.output) if args.output else place(found) / 'report.html'
    if output.suffix.lower() not in ('.html', '.htm'):
        raise UserError(f'--output={output} must end in .html')
    whole = page(args.title or 'Report', groups, names, made, rows, notes)
    if args.csv:
        append_csv(args.csv, tables.csv_rows(groups, names, known))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(whole, encoding='utf-8')
    output.with_suffix('.md').write_text(text, encoding='utf-8')
    print(text)
    print('page {}\ntable {}'.format(output, output.with_suffix('.md')))
    if args.csv:
        print(f'rows {args.csv}')


def place(found):
    """The folder of the run, or the one that holds all runs."""
    folders = [str(one.folder.resolve()) for one in found]
    return pathlib.Path(folders[0] if len(folders) == 1 else os.path.commonpath(folders))


def name_groups(groups, rows):
    """A name for each group: the papers' name of the method, and what sets it apart from others of that name."""
    base = [published.method_name(rows, one.args) for one in groups]
    names = []
    for one, name in zip(groups, base):
        alike = [other for other, n in zip(groups, base) if n == name and other.data == one.data]
        keys = sorted({key for other in alike for key in {**other.settings, **one.settings}
                       if published.plain(other.settings.get(key)) != published.plain(one.settings.get(key))})
        apart = [f'{key}={published.plain(one.settings.get(key))}' for key in keys]
        names.append(name + (', ' + ' '.join(apart) if apart else ''))
    return names


def markdown_report(title, groups, names, made, rows, notes):
    """The report as Markdown: the tables, then commands and differences from the papers' recipes."""
    parts = ['# ' + title, 'Scores in percent: mean ± standard deviation over seeds.']
    parts += ['> note: ' + note for note in notes]
    for data, header, lines in made:
        parts += ['## ' + data, tables.markdown(header, lines)]
        for one, name in zip(groups, names):
            if one.data != data:
                continue
            text = [f'- **{name}**: `{one.command} --seed=S`']
            for entry in published.sources(rows, one.args):
                unlike = '; '.join(entry['differences']) or 'none known'
                text.append('  - settings that differ from {}, {}, {}: {}'.format(
                    entry['paper'], entry['table'], entry['method'], unlike))
            parts.append('\n'.join(text))
    return '\n\n'.join(parts) + '\n'
