"""Write docs/losses.md, the list of all losses, from their docstrings and flags: `python3 -m scripts.loss_pages`."""

import argparse
import inspect
import pathlib
import re

import losses
import recipes
from core.argparse_internals import actions
from core.files import write_atomic

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE = ROOT / 'docs' / 'losses.md'
HEAD = '''# Losses

One file each in `losses/`, chosen by `--loss=NAME`. This page is generated from their docstrings and flags by
`python3 -m scripts.loss_pages`. Symbols are those of the code; settings of whole papers are in `recipes/`, pages of
papers in [docs/papers](papers).

'''


def section(doc, title):
    """The text below `title` and its underline, '' without it."""
    found = re.search(rf'^{title}\n-+\n(.*?)(?:\n\n\w+\n-+\n|\Z)', doc, flags=re.S | re.M)
    return found.group(1).strip() if found else ''


def equations(doc):
    """The bodies of the `.. math::` blocks, one string each, dedented."""
    bodies = re.findall(r'\.\. math::(.*?)\n[ \t]*\n', doc + '\n\n', flags=re.S)
    return ['\n'.join(line.strip() for line in body.strip().splitlines()) for body in bodies]


def flags(loss):
    """(flag, default, help) of each flag that the loss declares."""
    parser = argparse.ArgumentParser(add_help=False)
    losses.get_loss(loss).add_args(parser)
    for action in actions(parser):
        default = action.default
        if isinstance(default, bool):
            default = str(default).lower()
        elif isinstance(default, list):
            default = ','.join(f'{value:g}' for value in default) or 'empty'
        text = (action.help or '') % {'default': default}
        yield action.option_strings[0], 'none' if default is None else default, text.replace('|', '\\|')


def paper(loss):
    """The page of the paper whose recipe holds the loss, or None."""
    return next((name for name, module in recipes.PAPERS.items() if loss in module.DEFAULTS), None)


def entry(loss):
    """The section of one loss."""
    kind = losses.get_loss(loss)
    doc = inspect.getdoc(kind)
    lines = [f'## {loss}', '', doc.splitlines()[0], '']
    for equation in equations(doc):
        lines += ['```math', equation, '```', '']
    of = paper(loss)
    module = kind.__module__.replace('.', '/')
    others = ', '.join(f'`{name}`' for name in kind.samplers if name != kind.sampler)
    lines += [f'- Source: {" ".join(section(doc, "Source").split())}',
              f'- Inputs: {" ".join(section(doc, "Inputs").split())}',
              f'- Returns: {" ".join(section(doc, "Returns").split())}',
              f'- Sampler: `{kind.sampler}`' + (f'; also {others}' if others else ''),
              f'- Head: `{kind.head}`. Code: `{module}.py`' + (f'. Paper: [{of}](papers/{of}.md)' if of else ''), '']
    rows = list(flags(loss))
    if rows:
        lines += ['| flag | default | meaning |', '|---|---|---|']
        lines += [f'| `{flag}` | {default} | {text} |' for flag, default, text in rows] + ['']
    return '\n'.join(lines)


def render():
    """The whole page."""
    return HEAD + '\n'.join(entry(loss) for loss in sorted(losses.LOSSES))


if __name__ == '__main__':
    write_atomic(PAGE, render())
    print(f'{PAGE.relative_to(ROOT)}: {len(losses.LOSSES)} losses')
