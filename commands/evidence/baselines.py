"""What retrieval achieves on the data of the evidence without any metric learning: `evidence baselines`.

The layer is the trunk's pooled feature, of length one, for the frozen and for an untrained trunk; raw pixels are the
pictures reduced to about 16 x 16. The test classes, scored once. Kept in docs/evidence_baselines.csv.
"""

from __future__ import annotations

import pathlib

from commands import baselines, layers
from core.lazy import lazy
from core.tables import read_records, write_records
from recipes import evidence as plan

session = lazy('commands.session')
protocols = lazy('evaluation.protocols')
run = lazy('engine.run')

TABLE = pathlib.Path(__file__).resolve().parents[2] / 'docs' / 'evidence_baselines.csv'
COLUMNS = ('data', 'layer', 'recall@1', 'map_at_r', 'commit')
FROZEN, UNTRAINED, PIXELS = 'frozen trunk, pooled', 'untrained trunk, pooled', 'raw pixels'


def read(table=TABLE) -> list[dict]:
    """Lines of the table; [] without one."""
    return read_records(table)


def frozen(data, table=TABLE) -> float | None:
    """MAP@R of the frozen trunk on the test classes of a data set of the plan; None before it was measured."""
    found = [float(line['map_at_r']) for line in read(table) if (line['data'], line['layer']) == (data, FROZEN)]
    return found[0] if found else None


def measure(words) -> list[tuple]:
    """[(layer, Recall@1, MAP@R), ...] of the data set and trunk that the flags `words` name."""
    found = []
    for layer, pretrained in ((FROZEN, []), (UNTRAINED, ['--pretrained=false'])):
        built = session.Session(layers.parse('train', ['--loss=margin', *words, *pretrained]))
        test, size = built.data.test, built.args.test_batch_size
        rows = {layer: baselines.pooled(built.net, built.loader(test), size, built.ctx[0])}
        if layer == UNTRAINED:
            rows[PIXELS] = baselines.pixels(built.loader(test))
        for name, embeddings in rows.items():
            result = protocols.retrieval(embeddings, test.labels, [1], query=test.query)
            found.append((name, result['recall']['1'], result['map_at_r']))
    return found


def write(data, found, table=TABLE) -> None:
    """Put the figures of one data set in the place of its older ones."""
    lines = [line for line in read(table) if line['data'] != data]
    lines += [dict(zip(COLUMNS, (data, layer, f'{recall:.4f}', f'{precision:.4f}', run.commit())))
              for layer, recall, precision in found]
    lines.sort(key=lambda line: list(plan.DATA).index(line['data']))
    write_records(table, COLUMNS, lines)


def section(lines) -> list[str]:
    """Lines of Markdown; [] for an empty table."""
    if not lines:
        return []
    text = ['', '## Without metric learning', '', 'The same test classes before any training: the pooled feature of '
            'the frozen and of an untrained trunk, and the pixels themselves (about 16 x 16).', '',
            '| data | layer | Recall@1 | MAP@R | commit |', '|---|---|---|---|---|']
    return text + [f'| {plan.TITLES[line["data"]].replace("head on a frozen ", "")} | {line["layer"]} | '
                   f'{100 * float(line["recall@1"]):.1f} | {100 * float(line["map_at_r"]):.1f} | {line["commit"]} |'
                   for line in lines]
