"""The report as one HTML file without anything outside it: styles and pictures are inside."""

from __future__ import annotations

import base64
import html
import io
import pathlib
import re
import tempfile

from core.errors import UserError
from core.lazy import lazy
from core.text import printable
from evaluation import plots
from evaluation.report import published
from evaluation.report.runs import metrics
from evaluation.report.tables import metric_order, percent
from evaluation.settings import RULES, metric_title

Image = lazy('PIL.Image')

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 70em; padding: 1em; color: #111; }
h1 { font-size: 1.6em; margin: .4em 0; } h2 { font-size: 1.3em; margin: 1.6em 0 .4em; border-bottom: 2px solid #333; }
h3 { font-size: 1.1em; margin: 1.4em 0 .3em; } .about { color: #444; margin: 0 0 1em; }
.wide { overflow-x: auto; margin: 1em 0; }
table { border-collapse: collapse; font-size: 14px; }
th, td { border-bottom: 1px solid #ccc; padding: .3em .6em; text-align: left; vertical-align: top; }
th { border-bottom: 2px solid #333; } .number { text-align: right; white-space: nowrap; }
td { min-width: 4.5em; overflow-wrap: break-word; } td:first-child, td.words { min-width: 9em; }
td:last-child { min-width: 16em; color: #444; } tr.published td { background: #f2f2f2; font-style: italic; }
figure { display: inline-block; margin: .5em 1em .5em 0; max-width: 100%; vertical-align: top; }
figcaption { color: #444; font-size: 14px; }
img { max-width: 100%; height: auto; } code { background: #f2f2f2; overflow-wrap: anywhere; font-size: 14px; }
summary { cursor: pointer; font-weight: 600; } .note { border-left: 4px solid #D55E00; padding-left: .8em; }
@media print { details { display: block; } }
"""
# Figures of a run folder that a report shows, with their captions.
FIGURES = (('retrieval_panel*.png', 'Retrieval'), ('tsne.png', 't-SNE'), ('tsne_thumbnails.png', 't-SNE, pictures'),
           ('similarity_histogram.png', 'Pairs'), ('confusion_matrix.png', 'Confusion'), ('loss_curve.png', 'Loss'),
           ('test_epoch*.png', 'Distribution map'))
WIDEST = 1400  # pixels; larger pictures are reduced
NUMBER = re.compile(r'[\d.]+( ± [\d.]+)?|–')


def page(title: str, about: str, groups: list, names: list, tables, rows: list, notes: list) -> str:
    """The page.

    Parameters
    ----------
    title : heading
    about : date and counts
    groups, names : list of Group and what each is called
    tables : what tables.report_tables returned
    rows : those of docs/published.csv
    notes : sentences

    Returns
    -------
    HTML text
    """
    parts = [f'<h1>{escape(title)}</h1>', f'<p class="about">{escape(about)}. Scores are in percent: mean ± standard '
             'deviation over seeds. Every number says which epoch it is from; a published number says where it was '
             'read.</p>']
    if notes:
        items = ''.join(f'<li>{escape(note)}</li>' for note in notes)
        parts.append(f'<div class="note"><p>Notes</p><ul>{items}</ul></div>')
    for data, header, lines in tables:
        mine = [i for i, one in enumerate(groups) if one.data == data]
        parts.append(f'<h2>{escape(data)}</h2>')
        parts.append(table(header, lines))
        parts.append(curves([groups[i] for i in mine], [names[i] for i in mine]))
        parts += [section(groups[i], names[i], rows) for i in mine]
    return ('<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f'<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body>\n' + '\n'.join(parts) +
            '\n</body></html>\n')


def escape(text: str) -> str:
    """Text that stands in HTML as it is."""
    return html.escape(printable(text))


def table(header: list, lines: list) -> str:
    """An HTML table; published lines are set apart, columns of numbers stand right."""
    numbers = [all(NUMBER.fullmatch(str(line[i])) for line in lines) for i in range(len(header))]

    def row(tag, cells, kind=''):
        kinds = [' class="number"' if number else ' class="words"' if len(str(cell)) > 12 else ''
                 for cell, number in zip(cells, numbers)]
        inner = ''.join(f'<{tag}{one}>{escape(cell)}</{tag}>' for cell, one in zip(cells, kinds))
        return f'<tr{kind}>{inner}</tr>'
    body = [row('td', line, ' class="published"' if str(line[0]).startswith('published') else '') for line in lines]
    return f'<div class="wide"><table>{row("th", header)}{"".join(body)}</table></div>'


def curves(groups: list, names: list) -> str:
    """Recall curves of all groups of one data set, or a sentence when no run logged any."""
    logs = {}
    for one, name in zip(groups, names):
        logs.setdefault(name, []).extend(run.log for run in one.runs)
    for k in recall_ks(groups):
        try:
            with tempfile.TemporaryDirectory() as folder:
                plots.recall_curves(logs, pathlib.Path(folder, 'curves'), k=k)
                return figure(pathlib.Path(folder, 'curves.png'), f'Recall@{k} of each seed over training')
        except UserError:
            continue
    return '<p>No recall curve: the logs of these runs hold no evaluated epoch.</p>'


def recall_ks(groups: list) -> list[str]:
    """The K of Recall@K that some group has, as text, ascending."""
    names = [name for one in groups for rule in one.rules() for name in one.scores(rule)]
    return [name.split('@')[1] for name in metric_order(names) if name.startswith('recall@')]


def section(one, name: str, rows: list) -> str:
    """One setting: command, difference from the paper, each seed's numbers, figures of its first run."""
    heading, _, apart = name.partition(', ')
    parts = [f'<h3>{escape(heading)}</h3>'] + ([f'<p>{escape(apart)}</p>'] if apart else [])
    parts.append(f'<p><code>{escape(one.command)} --seed=S</code></p>')
    for entry in published.sources(rows, one.args):
        where = f'{entry["paper"]}, {entry["table"]}, {entry["method"]}'
        unlike = entry['differences']
        text = (f'Settings that differ from {where}: {"; ".join(unlike)}' if unlike else
                f'No known setting differs from {where}')
        parts.append(f'<p>{escape(text)}</p>')
    if not published.sources(rows, one.args):
        parts.append('<p>No published figure for this data set and method.</p>')
    parts.append(seed_table(one))
    pictures = []
    for pattern, caption in FIGURES:
        # those of training, else those of `evaluate`
        files = next(filter(None, (sorted((one.runs[0].folder / folder).glob(pattern))
                                   for folder in ('figures', 'evaluation'))), [])
        files = files[-1:] if pattern.startswith('test_epoch') else files
        pictures += [figure(file, f'{caption} ({file.stem}, seed {one.seeds[0]})', 540) for file in files]
    if pictures:
        parts.append(f'<details open><summary>Figures</summary>{"".join(pictures)}</details>')
    return '\n'.join(parts)


def seed_table(one) -> str:
    """Numbers of each run, with the epoch they are from."""
    names = metric_order([m for rule in one.rules() for m in one.scores(rule)])
    lines = []
    for run, seed in zip(one.runs, one.seeds):
        for rule in one.rules():
            part = run.result['selection'][rule]
            mine = metrics(part)
            lines.append([seed, f'{RULES[rule]}: {part.get("epoch", "?")}',
                          *(percent((mine[m], None)) if m in mine else '–' for m in names), run.folder])
    return table(['seed', 'epoch', *(metric_title(m, short=True) + ' %' for m in names), 'run folder'], lines)


def figure(path, caption: str, widest: int = 900) -> str:
    """A picture as a data URI, shown at most `widest` wide; a file that is no picture becomes a sentence."""
    try:
        with Image.open(path) as image:
            image = image.convert('RGB')
    except OSError as error:
        return f'<p>{escape(path)} cannot be shown ({escape(error)})</p>'
    image.thumbnail((WIDEST, WIDEST), Image.LANCZOS)
    packed = []
    for kind, options in (('PNG', {'optimize': True}), ('JPEG', {'quality': 88})):
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        packed.append((len(buffer.getvalue()), kind, buffer.getvalue()))
    # photographs are far smaller as JPEG; line art stays PNG
    _, kind, data = packed[1] if packed[1][0] < 0.5 * packed[0][0] else packed[0]
    source = f'data:image/{kind.lower()};base64,{base64.b64encode(data).decode("ascii")}'
    words = escape(caption)
    return (f'<figure><img alt="{words}" width="{min(image.width, widest)}" src="{source}"><figcaption>{words}'
            '</figcaption></figure>')
