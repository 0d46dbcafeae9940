"""Tables: Markdown of a report, rows of docs/results.csv, and the table of docs/results.md made from them."""

from __future__ import annotations

import csv
import pathlib
import re

from core.errors import UserError
from core.files import open_atomic, write_atomic
from core.tables import as_written, harmless
from core.text import printable
from evaluation.report import published
from evaluation.settings import RULES, metric_title

ROOT = pathlib.Path(__file__).resolve().parents[2]
RESULTS = ROOT / 'docs' / 'results.csv'
README = ROOT / 'docs' / 'results.md'
BEGIN, END = '<!-- results:begin -->', '<!-- results:end -->'
DASH = '–'

BEFORE = ['data', 'method', 'loss', 'backbone', 'image_size', 'embed_dim', 'n_inner_pts', 'seeds', 'epoch_rule']
AFTER = ['updates', 'frozen_recall@1', 'images_per_second', 'seconds', 'command', 'commit']
FIRST_METRICS = ['recall@1', 'recall@2', 'recall@4', 'recall@8']
KEY = ('data', 'command', 'commit', 'epoch_rule')

def metric_order(names: list) -> list[str]:
    """Recall by K first, then the others as they came."""
    recall = sorted({n for n in names if n.startswith('recall@')}, key=lambda n: int(n.split('@')[1]))
    return recall + [n for n in dict.fromkeys(names) if not n.startswith('recall@')]


def percent(pair) -> str:
    """(0.4123, 0.0031) -> '41.2 ± 0.3'; a single run -> '41.2'."""
    mean, deviation = pair
    return f'{100 * mean:.1f}' + ('' if deviation is None else f' ± {100 * deviation:.1f}')


def report_tables(groups: list, names: list, rows: list, frozen: dict) -> list[tuple]:
    """[(data title, header, lines)]: one table for each data set, because numbers of two do not compare.

    names : name of each group; rows : docs/published.csv; frozen : {group index: Recall@1}
    Each setting has a line for each epoch rule, then the published ones; what was measured before training comes last,
    once for all settings that share it.
    """
    tables = []
    for title in dict.fromkeys(one.data for one in groups):
        mine = [i for i, one in enumerate(groups) if one.data == title]
        metrics = metric_order([m for i in mine for rule in groups[i].rules() for m in groups[i].scores(rule)])
        header = ['setting', 'seeds', 'updates', 'epoch',
                  *(metric_title(m, short=True) + ' %' for m in metrics), 'source']
        lines, before, told = [], {}, []
        for i in mine:
            one, seeds = groups[i], ' '.join(map(str, groups[i].seeds))
            updates = number(one.updates(), '{:,}') or DASH
            for rule in one.rules():
                scores = one.scores(rule)
                cells = [percent(scores[m]) if m in scores else DASH for m in metrics]
                lines.append([names[i], seeds, updates, RULES[rule], *cells, 'this suite, commit ' + one.commit])
            for entry in published.sources(rows, one.args):
                if source_text(entry) + entry['method'] in told:    # beside a setting that it is compared with as well
                    continue
                told.append(source_text(entry) + entry['method'])
                cells = [f'{entry["values"][m]:g}' if m in entry['values'] else DASH for m in metrics]
                lines.append(['published: ' + entry['method'], DASH, DASH, 'as published', *cells, source_text(entry)])
            baselines = one.baselines()
            if i in frozen and not any(name.startswith('frozen') for name in baselines):
                baselines['frozen trunk'] = {'recall@1': frozen[i]}
            for name, scores in baselines.items():
                cells = tuple(percent((scores[m], None)) if m in scores else DASH for m in metrics)
                before.setdefault((name, cells), []).append(names[i])
        for (name, cells), settings in before.items():
            shared = '' if len(settings) == len(mine) else f' ({", ".join(settings)})'
            lines.append([name + shared, DASH, '0', 'before training', *cells, 'this suite'])
        tables.append((title, header, lines))
    return tables


def source_text(entry: dict) -> str:
    """Where a published line comes from and how sure it is."""
    text = f'{entry["paper"]}, {entry["table"]} ({entry["confidence"]}: {entry["source"]})'
    return text + (' – ' + entry['note'] if entry['note'] else '')


def markdown(header: list, lines: list) -> str:
    """A Markdown table."""
    def row(cells):
        return '| ' + ' | '.join(map(plain_text, cells)) + ' |'
    return '\n'.join([row(header), row(['---'] * len(header))] + [row(line) for line in lines])


def plain_text(text: str) -> str:
    r"""Text that Markdown shows as it is: no HTML, no formula, no emphasis, no cell of its own.

    Example
    -------
    >>> plain_text('<b>|$x$ *a* hphn_triplet _y_')
    '&lt;b>\\|\\$x\\$ \\*a\\* hphn_triplet \\_y\\_'
    """
    text = printable(text).replace('\\', '\\\\').replace('&', '&amp;').replace('<', '&lt;')
    return re.sub(r'[|$*`\[\]]|(?<!\w)_|_(?!\w)', lambda match: '\\' + match.group(), text)


def code(text: str) -> str:
    """Text as a code span of Markdown, whatever quotes it holds.

    Example
    -------
    >>> print(code('a `b`'))
    `` a `b` ``
    """
    text = printable(text)
    fence = '`' * (max(map(len, re.findall('`+', text)), default=0) + 1)
    pad = ' ' if '`' in text else ''
    return f'{fence}{pad}{text}{pad}{fence}'


def csv_rows(groups: list, names: list, frozen: dict) -> list[dict]:
    """Rows of docs/results.csv: one for each group and epoch rule. Scores are fractions, as in result.json."""
    rows = []
    for i, one in enumerate(groups):
        for rule in one.rules():
            row = {'data': one.data, 'method': names[i], 'loss': one.args.get('loss', ''),
                   'backbone': one.args.get('backbone', ''), 'image_size': one.args.get('image_size', ''),
                   'embed_dim': one.args.get('embed_dim', ''), 'n_inner_pts': one.args.get('n_inner_pts', ''),
                   'seeds': ' '.join(map(str, one.seeds)), 'epoch_rule': RULES[rule],
                   'updates': number(one.updates(), '{}'),
                   'frozen_recall@1': f'{frozen[i]:.4f}' if i in frozen else '',
                   'images_per_second': number(one.mean('images_per_second'), '{:.1f}'),
                   'seconds': number(one.mean('seconds'), '{:.0f}'), 'command': one.command, 'commit': one.commit}
            for name, (mean, deviation) in one.scores(rule).items():
                row[name + '_mean'] = f'{mean:.4f}'
                row[name + '_std'] = number(deviation, '{:.4f}')
            rows.append({key: str(value) for key, value in row.items()})
    return rows


def number(value, form: str) -> str:
    """A number in a form, nothing for None."""
    return '' if value is None else form.format(value)


def columns(rows: list) -> list[str]:
    """The columns that hold all of `rows`, metrics in the middle."""
    found = [key[:-5] for row in rows for key in row if key.endswith('_mean')]
    metrics = metric_order(FIRST_METRICS + found)
    return BEFORE + [m + part for m in metrics for part in ('_mean', '_std')] + AFTER


def read_csv(path) -> list[dict]:
    """Rows of a results file as dicts (a missing file has none)."""
    path = pathlib.Path(path)
    if not path.exists():
        return []
    with open(path, newline='', encoding='utf-8') as file:
        reader = csv.DictReader(file)
        rows = [{key: as_written(value or '') for key, value in row.items() if key} for row in reader]
    lacking = [c for c in BEFORE + AFTER if c not in (reader.fieldnames or []) and c != 'updates']    # came later
    if lacking:
        raise UserError(f'{path} is not a results file: it lacks the columns {", ".join(lacking)}. '
                        'Fix: one such as docs/results.csv')
    return [dict({'updates': ''}, **row) for row in rows]


def append_csv(path, rows: list) -> None:
    """Put rows into a results file, atomically: all of them or, on any error, none.

    A row for the same data, command, commit and epoch rule is replaced, so that appending the same runs twice changes
    nothing, and runs of more seeds replace those of fewer. UserError when the old row has seeds that the new lacks.
    New metrics become new columns.
    """
    path = pathlib.Path(path)
    table = {tuple(row[k] for k in KEY): row for row in read_csv(path)}
    for row in rows:
        key = tuple(row[k] for k in KEY)
        old = set(table.get(key, {}).get('seeds', '').split())
        if not old <= set(row['seeds'].split()):
            raise UserError(f'{path} already holds this setting with seeds {" ".join(sorted(old))}: {row["command"]}. '
                            'Fix: report those runs together with the new ones, or delete the row')
        table[key] = row
    everything = list(table.values())
    try:
        with open_atomic(path, newline='') as file:
            writer = csv.DictWriter(file, columns(everything), restval='', lineterminator='\n')
            writer.writeheader()
            writer.writerows({key: harmless(value) for key, value in row.items()} for row in everything)
    except OSError as error:
        raise UserError(f'--csv={path}: cannot write there ({error.strerror}). Fix: another file') from error


def readme_table(csv_file=RESULTS) -> str:
    """The tables of docs/results.md, made from a results file alone: one for each data set.

    A line is a setting at a commit; each epoch rule has a column of its own, so that no number stands without it.
    """
    rows = read_csv(csv_file)
    blocks = []
    for data in dict.fromkeys(row['data'] for row in rows):
        mine = [row for row in rows if row['data'] == data]
        used = [m[:-5] for m in columns(mine) if m.endswith('_mean') and any(row.get(m) for row in mine)]
        metric = 'accuracy' if 'accuracy' in used else next(iter(used), None)  # classification is judged by accuracy
        if metric is None:
            continue
        rules = [text for text in RULES.values() if any(row['epoch_rule'] == text for row in mine)]
        header = ['method', 'network', 'seeds', 'updates', 'frozen network', *rules, 'images/s', 'commit']
        lines = []
        for key in dict.fromkeys((row['command'], row['commit'], row['seeds']) for row in mine):
            same = [row for row in mine if (row['command'], row['commit'], row['seeds']) == key]
            cells = {row['epoch_rule']: cell(row, metric) for row in same}
            first = same[0]
            lines.append([first['method'],
                          f'{first["backbone"]}, {first["image_size"]} px, {first["embed_dim"]}-d', first['seeds'],
                          first['updates'] or DASH,
                          cell(first, 'frozen_' + metric), *(cells.get(rule, DASH) for rule in rules),
                          first['images_per_second'] or DASH, first['commit']])
        words = metric.replace('recall', 'Recall') if metric.startswith('recall') else metric_title(metric)
        blocks.append(f'**{data}**: {words} in %, mean ± standard deviation over seeds\n\n{markdown(header, lines)}')
    return '\n\n'.join(blocks) or 'No results yet.'


def cell(row: dict, metric: str) -> str:
    """Mean and deviation of a row of a results file as a cell of a table."""
    mean = row.get(metric + '_mean') or row.get(metric)
    deviation = row.get(metric + '_std')
    return percent((float(mean), float(deviation) if deviation else None)) if mean else DASH


def write_readme(readme=README, csv_file=RESULTS) -> None:
    """Replace what stands between the two markers of a page by `readme_table`. UserError without the markers."""
    readme = pathlib.Path(readme)
    try:
        text = readme.read_text(encoding='utf-8')
    except OSError as error:
        raise UserError(f'--readme={readme} cannot be read ({error.strerror}). Fix: a text file') from error
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise UserError(f'--readme={readme} must hold the lines {BEGIN} and {END} once each. '
                        'Fix: put them there in this order')
    before, after = text[:text.index(BEGIN) + len(BEGIN)], text[text.index(END):]
    try:
        write_atomic(readme, before + '\n' + readme_table(csv_file) + '\n' + after)
    except OSError as error:
        raise UserError(f'--readme={readme}: cannot write there ({error.strerror}). Fix: another file') from error
