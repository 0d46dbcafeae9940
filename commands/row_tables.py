"""What is shown of the rows of recipes/: published figures, expected cost, the comparison with what was measured."""

import contextlib
import pathlib
import statistics

import recipes
from commands import layers
from commands.words import words_of
from core.errors import UserError
from core.files import read_json, write_atomic
from core.text import count
from datasets.benchmarks import BENCHMARKS
from evaluation.report import published, runs, tables
from samplers.blocks import BLOCKS
from samplers.hdc import BATCHES

ROOT = pathlib.Path(__file__).resolve().parents[1]
# Training images a second on one GPU, for the expected cost. The ranking paper's Figure 12 for ResNet-50, Inception v4
# and DenseNet-161 (Titan Xp); the others are assumed beside them.
SPEED = {'resnet50_v2': 190, 'inceptionv4': 104, 'densenet161': 70, 'googlenet': 450, 'inception_v1': 450,
         'inception_v3': 150, 'bninception': 350, 'inception_bn': 350, 'lenet': 20000}


def parse(words):
    """Flags of a training command."""
    return layers.parse('train', words)


def resolved(row, flags=()):
    """Parsed flags of a row."""
    return parse(words_of(row.flags, flags))


# ---- figures and cost

def figures(args, evaluate=None, rows=None):
    """Published lines that flags are compared with: of all that match, those whose settings are nearest."""
    found = published.sources(rows or published.load(), {**vars(args), **(evaluate or {})})
    least = min((len(entry['differences']) for entry in found), default=0)
    return [entry for entry in found if len(entry['differences']) == least]


def facts(name):
    """{part: {what: number}} of a benchmark, {} for any other data set."""
    found = {}
    for fact in BENCHMARKS[name].counts if name in BENCHMARKS else ():
        if fact.name == name:
            found.setdefault(fact.part, {})[fact.what] = fact.value
    return found


def batches(args, train):
    """Batches in an epoch, or None where that depends on the photos. train : {'images': n, 'classes': n} or {}"""
    if args.sampler == 'hdc':
        return args.batches_per_epoch or BATCHES
    if args.sampler == 'blocks':
        return args.batches_per_epoch or BLOCKS[args.blocks][0]
    if args.sampler in ('pk_ee', 'ranking'):    # so many images of each class, once
        return max(1, train['classes'] * args.num_instances // args.batch_size) if 'classes' in train else None
    return -(-train['images'] // args.batch_size) if 'images' in train else None


def updates(args):
    """(updates, images) that a training will see, or None where that depends on the photos."""
    number = batches(args, facts(args.data_name).get('train', {}))
    total = args.train_iters or (args.epochs * number if number else None)
    return None if total is None else (total, total * args.batch_size)


def seen_otherwise(args):
    """Images that pass through the network without being trained on: evaluations, and the plans of local sampling."""
    known = facts(args.data_name)
    number = batches(args, known.get('train', {}))
    if number is None:
        return 0
    total = updates(args)[0]
    epochs = total / number
    evaluations = total / args.eval_iter_term if args.eval_iter_term else epochs / args.eval_epoch_term
    tested = sum(value for what, value in known.get('test', {}).items() if what in ('images', 'query', 'gallery'))
    return evaluations * tested + (args.sampler == 'local') * epochs * known['train']['images']


def cost(args):
    """'96,000 updates, 12.3 M images, about 9 GPU-hours': an image that is not trained on counts a third."""
    amount = updates(args)
    if amount is None:
        return 'depends on the photos'
    hours = (amount[1] + seen_otherwise(args) / 3) / SPEED.get(args.backbone, 200) / 3600
    return f'{amount[0]:,} updates, {amount[1] / 1e6:.1f} M images, about {hours:.{0 if hours >= 10 else 1}f} GPU-hours'


def listing(rows, flags=()):
    """The rows with published figures, expected cost and what was measured here, as text."""
    known, lines = published.load(), []
    for row in rows:
        args = resolved(row, flags)
        lines.append(f'{row.data}/{row.name}   {row.paper}   {cost(args)}')
        if row.note:
            lines.append('    ' + row.note)
        for entry in figures(args, row.evaluate, known):
            values = ', '.join(f'{tables.metric_title(key)} {value:g}' for key, value in entry['values'].items())
            lines.append(f'    published: {values or "none"}   ({entry["table"]}, {entry["method"]}; '
                         f'{entry["confidence"]})')
        ours = measured(pathlib.Path('runs/rows'), row)
        lines.append('    ours: ' + (ours or 'not yet measured'))
    lines += ['', 'GPU-hours: one GPU of the papers\' time, evaluations included; assumed, not measured here.']
    return '\n'.join(lines)


def measured(base, row):
    """'R@1 71.2, ...' of the finished runs of a row, or ''."""
    found = scores(sorted((ROOT / base / row.data / row.name).glob('seed*')), 'evaluation')
    return ', '.join(f'{tables.metric_title(key)} {tables.percent(value)}' for key, value in found.items())


# ---- published | ours | difference

def scores(folders, place):
    """{metric: (mean, spread or None)} of the evaluations in some run folders; metrics that all of them have."""
    parts = []
    for folder in folders:
        if (folder / place / 'result.json').exists():
            selection = read_json(folder / place / 'result.json').get('selection')
            parts += [runs.metrics(part) for part in list(selection.values() if isinstance(selection, dict) else ())
                      if part][:1]
    names = [name for name in (parts[0] if parts else {}) if all(name in part for part in parts)]
    return {name: (statistics.fmean(part[name] for part in parts),
                   statistics.stdev(part[name] for part in parts) if len(parts) > 1 else None) for name in names}


def comparison(args, row, folders):
    """Markdown table `metric | published | ours | difference | best epoch on test | difference | source`, and the
    number of updates behind it."""
    last, best = scores(folders, 'evaluation'), scores(folders, 'evaluation_best')
    lines, shown = [], set()

    def line(metric, value, source):
        cells = [tables.metric_title(metric), '–' if value is None else f'{value:g}']
        for ours in (last, best):
            mean = ours.get(metric)
            cells += [tables.percent(mean) if mean else '–',
                      f'{100 * mean[0] - value:+.1f}' if mean and value is not None else '–']
        lines.append([*cells, source])
        shown.add(metric)
    for entry in figures(args, row.evaluate):
        source = f'{entry["table"]}, {entry["method"]} ({entry["confidence"]})'
        if entry['differences']:
            source += '; other settings: ' + ', '.join(entry['differences'])
        for metric, value in entry['values'].items():
            line(metric, value, source)
    for metric in tables.metric_order(set(last) - shown):
        line(metric, None, '')
    header = ['metric', 'published', 'ours', 'difference', 'best epoch on test', 'difference', 'source']
    return tables.markdown(header, lines) + trained(folders)


def trained(folders):
    """'96,000 updates of up to 128 images' of some run folders, as lines below a table."""
    found = []
    for folder in folders:
        with contextlib.suppress(UserError, KeyError, TypeError, AttributeError):
            result = read_json(folder / 'result.json')
            args = result['args']
            number = result['iterations'] // max(1, args.get('caffe_iter_size') or 1)
            found.append(f'{count(number, "update")} of up to {count(args["batch_size"], "image")}')
    return ''.join(f'\n\n{line}' for line in dict.fromkeys(found)) + '\n'


# ---- the papers' pages

BEGIN, END = '<!-- rows:begin -->', '<!-- rows:end -->'


def page_table(paper):
    """Markdown table of a paper's rows for its page: what was published, by name and data set. Rows that differ in
    the length of the embedding alone share a line."""
    rows, known = recipes.rows(paper), published.load()
    data, lines = list(dict.fromkeys(row.data for row in rows)), {}
    for row in rows:
        stem, _, size = row.name.rpartition('_')
        title = stem if size in ('64', '128', '256') and row.flags.get('embed_dim') == int(size) else row.name
        lines.setdefault((title, title != row.name), {}).setdefault(row.data, []).append(
            (row, published_cell(row, known)))
    table = []
    for cells in lines.values():
        names = [row.name for found in cells.values() for row, _ in found]
        first, *others = dict.fromkeys(names)
        title = ', '.join([f'`{first}`', *(f'`_{name.rpartition("_")[2]}`' for name in others)])
        table.append([title, *(' · '.join(cell for _, cell in cells.get(one, [])) for one in data)])
    lines = [['row', *data], ['---'] * (len(data) + 1), *table]    # names in backquotes, which tables.markdown escapes
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def published_cell(row, known):
    """'71.6, 74.5': the published accuracy, else Recall@1, else NMI of a row; 'none' without any."""
    entries = figures(resolved(row), row.evaluate, known)
    metric = next((key for key in ('accuracy', 'recall@1', 'nmi_arithmetic')
                   if any(key in entry['values'] for entry in entries)), None)
    found = [f'{entry["values"][metric]:g}{" NMI" if metric.startswith("nmi") else ""}'
             + (' (recalled)' if entry['confidence'] == 'recalled' else '')
             for entry in entries if metric in entry['values']]
    return ', '.join(dict.fromkeys(found)) or 'none'


def write_page(paper, folder=ROOT / 'docs' / 'papers'):
    """Write the table between the two markers of a paper's page anew; returns the page."""
    page = folder / f'{paper}.md'
    text = page.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    write_atomic(page, f'{before}{BEGIN}\n{page_table(paper)}\n{END}{after}')
    return page
