"""One self-contained HTML page and a Markdown table of several runs.

Runs that differ in their seed alone share a row: mean and sample standard deviation. Beside our numbers stand the
published ones of docs/published.csv, with source and confidence, and the settings that differ from the paper's.
"""

from __future__ import annotations

import datetime
import os
import pathlib

from core.errors import UserError
from core.files import write_atomic
from core.text import count, printable
from evaluation.report import published, tables
from evaluation.report.page import page
from evaluation.report.runs import frozen, group, read_all

__all__ = ['write']


def write(folders, output: str = '', title: str = '', published_file=published.FILE, csv_file: str = '',
          titles: dict | None = None, resolve=str) -> tuple[str, dict[str, pathlib.Path]]:
    """Write the page and the table of some run folders, and their rows of a results file.

    Parameters
    ----------
    folders : run folders, or folders that hold some
    output : FILE.html; empty: report.html in the folder of the run, or in the one that holds them all
    title : heading of the page
    published_file : CSV of the papers' figures
    csv_file : results file to put the rows into; empty: none
    titles : {data name: title}
    resolve : function that makes the registered data name of any spelling, or raises UserError

    Returns
    -------
    the table as Markdown, and the files written: {'page': Path, 'table': Path, 'rows': Path}

    Raises
    ------
    UserError : no finished run among the folders, or a file that cannot be written
    """
    rows = published.load(published_file)
    found, notes = read_all(folders, resolve)
    groups, more = group(found, titles or {})
    notes += more
    names = name_groups(groups, rows)
    if len({one.data for one in groups}) > 1:
        notes.append(f'the runs are on {len({one.data for one in groups})} data sets; each has a table of its own')
    known = frozen(groups)
    made = tables.report_tables(groups, names, rows, known)
    data = list(dict.fromkeys(one.data for one in groups))
    title = title or f'Results: {", ".join(data) if len(data) < 4 else f"{len(data)} data sets"}'
    about = (f'{datetime.date.today():%-d %B %Y}: {count(len(found), "run")} of {count(len(groups), "setting")} on '
             f'{count(len(data), "data set")}')
    text = markdown_report(title, about, groups, names, made, rows, notes)
    output = pathlib.Path(output) if output else place(found) / 'report.html'
    if output.suffix.lower() not in ('.html', '.htm'):
        raise UserError(f'--output={output} must end in .html. Fix: --output=NAME.html')
    whole = page(title, about, groups, names, made, rows, notes)
    files = {}
    if csv_file:
        tables.append_csv(csv_file, tables.csv_rows(groups, names, known))
        files['rows'] = pathlib.Path(csv_file)
    try:
        files['page'] = write_atomic(output, whole)
        files['table'] = write_atomic(output.with_suffix('.md'), text)
    except OSError as error:
        raise UserError(f'--output={output}: cannot write there ({error.strerror}). Fix: another --output') from error
    return text, files


def place(found) -> pathlib.Path:
    """The folder of the run, or the one that holds all runs."""
    folders = [str(one.folder.resolve()) for one in found]
    return pathlib.Path(folders[0] if len(folders) == 1 else os.path.commonpath(folders))


def name_groups(groups: list, rows: list) -> list[str]:
    """A name for each group: the papers' name of the method, and what sets it apart from others of that name."""
    base = [published.method_name(rows, one.args) for one in groups]
    names = []
    for one, name in zip(groups, base):
        alike = [other for other, n in zip(groups, base) if n == name and other.data == one.data]
        keys = sorted({key for other in alike for key in {**other.settings, **one.settings}
                       if other.settings.get(key) != one.settings.get(key)})
        apart = [f'{key}={published.shown(one.settings.get(key))}' for key in keys]
        names.append(printable(name) + (', ' + ' '.join(apart) if apart else ''))
    return names


def markdown_report(title: str, about: str, groups: list, names: list, made, rows: list, notes: list) -> str:
    """The report as Markdown: the tables, then commands and differences from the papers' recipes."""
    text = tables.plain_text
    parts = ['# ' + text(title), text(about), 'Scores in percent: mean ± standard deviation over seeds.']
    parts += ['> note: ' + text(note) for note in notes]
    for data, header, lines in made:
        parts += ['## ' + text(data), tables.markdown(header, lines)]
        for one, name in zip(groups, names):
            if one.data != data:
                continue
            items = [f'- **{text(name)}**: {tables.code(one.command + " --seed=S")}']
            for entry in published.sources(rows, one.args):
                unlike = '; '.join(entry['differences']) or 'none known'
                items.append(text(f'  - settings that differ from {entry["paper"]}, {entry["table"]}, '
                                  f'{entry["method"]}: {unlike}'))
            parts.append('\n'.join(items))
    return '\n\n'.join(parts) + '\n'
