"""The documentation against the program: tags, flags and defaults, commands, recipes, the contributing guide."""

import collections
import importlib
import json
import pathlib
import re
import shlex
import sys

import numpy as np
import pytest

import datasets
import losses
import main
import recipes
import samplers
from commands import cli, layers, rows
from commands.parser import flags_of
from core.argparse_internals import action_of, actions
from core.contracts import Batch, Out
from core.runtime import autograd, nd

ROOT = pathlib.Path(__file__).resolve().parents[2]
FOLDERS = ('recipes', 'losses', 'samplers', 'models', 'datasets', 'engine', 'evaluation', 'serving')
PAGES = sorted((ROOT / 'docs' / 'papers').glob('*.md'))
DOCUMENTS = sorted([ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *(ROOT / 'docs').rglob('*.md')])
TAG = re.compile(r'\b(ORIGINAL|DIFFERS):')
FLAG = re.compile(r'--([A-Za-z]\w*)')


def named(paths):
    return pytest.mark.parametrize('path', paths, ids=lambda path: path.name)


def section(text, title):
    """What stands below `## title`, up to the next heading of that depth; '' without it."""
    parts = re.split(r'^## (.*)$', text, flags=re.M)
    return ''.join(body for head, body in zip(parts[1::2], parts[2::2]) if head.split(':')[0].strip() == title)


def code_of(text):
    """Code spans and fenced blocks of a page."""
    fenced = re.findall(r'^```.*?\n(.*?)^```', text, flags=re.M | re.S)
    spans = re.findall(r'`([^`]+)`', re.sub(r'^```.*?^```', '', text, flags=re.M | re.S))
    return fenced + [' '.join(span.split()) for span in spans]


# ---- tags

def tags_in_code():
    """{(file, tag): how often}."""
    found = collections.Counter()
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob('*.py'):
            for tag in TAG.findall(path.read_text()):
                found[str(path.relative_to(ROOT)), tag] += 1
    return found


def tags_on_pages():
    """The same of the list items `- `file`: ...` below `## ORIGINAL` and `## DIFFERS`. Items without a file are
    behaviour that no single line of code is tagged with."""
    found = collections.Counter()
    for page in PAGES:
        for tag in ('ORIGINAL', 'DIFFERS'):
            for file in re.findall(r'^- `([\w/]+\.py)`:', section(page.read_text(), tag), flags=re.M):
                found[file, tag] += 1
    return found


def test_every_tag_of_the_code_stands_on_one_page():
    code, pages = tags_in_code(), tags_on_pages()
    wrong = [f'{file}: {code[file, tag]} {tag} in the code, {pages[file, tag]} on the pages'
             for file, tag in sorted(set(code) | set(pages)) if code[file, tag] != pages[file, tag]]
    assert len(code) > 15 and not wrong, '\n'.join(wrong)


# ---- flags

def parser_of(words):
    """Parser of a page's `--loss=NAME ...`, on a benchmark, whose defaults are the paper's and not those of glyphs."""
    return layers.training_parser(words + ['--data_name=cub200'], {})


def tables(text):
    """(cells of the header, list of rows) of every table."""
    for block in re.findall(r'(?:^\|.*\n)+', text, flags=re.M):
        rows = [[cell.strip() for cell in line.strip().strip('|').split('|')] for line in block.splitlines()]
        yield rows[0], rows[2:]


def shown(value):
    """A default as the pages write it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return ','.join(map(shown, value)) or 'empty'
    return f'{value:g}' if isinstance(value, float) else str(value)


@named(PAGES)
def test_flags_have_the_default_and_the_other_spelling_that_the_page_gives(path):
    for header, lines in tables(path.read_text()):
        if not header[0].startswith('`--loss='):
            continue
        parser = parser_of(shlex.split(header[0].strip('`')))
        for cells in (dict(zip(['flag', *header[1:]], line)) for line in lines):
            flag, others = FLAG.findall(cells['flag'])[0], FLAG.findall(cells.get('original', ''))
            action = action_of(parser, '--' + flag)
            assert action is not None, f'{header[0]}: no flag --{flag}'
            assert {'--' + other for other in others} <= set(action.option_strings), flag
            default = cells.get('default', shown(action.default))
            assert default == shown(action.default), f'the default of --{flag} is {shown(action.default)}'


@named(PAGES)
def test_every_flag_on_a_page_exists(path):
    text = path.read_text()
    chosen = sorted(set(re.findall(r'--loss=(\w+)', text)))
    known = {'--loss', *('--' + name for name in rows.OWN)}
    for loss in chosen:
        for sampler in losses.get_loss(loss).samplers:
            parser = parser_of(['--loss=' + loss, '--sampler=' + sampler])
            known |= {text for action in actions(parser) for text in action.option_strings}
    unknown = {flag for piece in code_of(text) for flag in FLAG.findall(piece) if '--' + flag not in known}
    assert not unknown, 'flags that no loss of this page has: {}'.format(', '.join(sorted(unknown)))


@pytest.mark.parametrize('loss', sorted(losses.LOSSES))
def test_every_loss_and_its_own_flags_stand_on_a_page(loss):
    """The page of the paper that a loss belongs to shows how to run it and names every flag that it declares. A loss
    of no paper in recipes/ needs no page."""
    paper = next((name for name, module in recipes.PAPERS.items() if loss in module.DEFAULTS), None)
    if paper is None:
        return
    pages = [page.read_text() for page in PAGES if '--loss=' + loss in page.read_text()]
    assert any(page.stem == paper for page in PAGES) and pages, f'no page shows --loss={loss}'
    own = flags_of(losses.get_loss(loss).add_args)
    assert any(own <= set(re.findall(r'--\w+', page)) for page in pages), sorted(own)


# ---- commands

def commands_of(text):
    """Words of every `python3 main.py ...` and `bash scripts/NAME.sh ...` in the code of a page."""
    for piece in code_of(text):
        for line in re.sub(r'\\\n', ' ', piece).splitlines():
            found = re.match(r'\s*(?:python3 main\.py|bash (scripts/\w+\.sh))( .*|$)', line)
            if found:
                yield found[1], shlex.split(found[2], comments=True)


def recipe(script, words=()):
    """Words after main.py that a script runs when it is given `words`."""
    lines = re.sub(r'\\\n', ' ', (ROOT / script).read_text())
    found = re.search(r'^(?:exec )?(?:python3|\.venv/bin/python) (?:main\.py|"\$root/main\.py") (.*) "\$@"$', lines,
                      flags=re.M)
    assert found, f'{script} runs no main.py'
    return shlex.split(found[1]) + list(words)


def parses(words, capsys, stands_for=None):
    """Whether the command line accepts the words, without running anything."""
    words = [re.sub(r'\b(RUN|runs/NAME)\b', str(stands_for), word) for word in words
             if not re.fullmatch(r'\[.*|.*\]', word)]
    if words and words[0] == 'photos' and not any('data_dir' in word for word in words):
        words.insert(1, 'FOLDER')
    if words and words[0] in cli.COMMANDS and words[0] not in ('train', *cli.FREE):
        cli.parse(words)
        return True
    if '--list' in words:
        words.remove('--list')
    status = main.main(words + ['--dry_run'])
    assert status == 0, capsys.readouterr().err
    return True


@pytest.fixture(scope='module')
def finished_run(tmp_path_factory):
    """A folder that the command line takes for a finished run."""
    folder = tmp_path_factory.mktemp('runs') / 'finished'
    (folder / 'last').mkdir(parents=True)
    flags = vars(parser_of(['--loss=hphn_triplet']).parse_args([]))
    (folder / 'last' / 'args.json').write_text(json.dumps(flags))
    (folder / 'last' / 'state.json').write_text(json.dumps({'version': 1}))
    return folder


@named(DOCUMENTS)
def test_every_command_of_the_documentation_parses(path, finished_run, capsys):
    for script, words in commands_of(path.read_text()):
        if script is None:
            assert parses(words, capsys, finished_run)
        elif script not in ('scripts/setup.sh', 'scripts/test.sh'):
            assert parses(recipe(script, words), capsys)
        assert script is None or (ROOT / script).is_file()


@named([page for page in PAGES if page.stem in recipes.PAPERS])
def test_a_papers_page_shows_its_recipe_and_a_try_out(path):
    shown_commands = list(commands_of(path.read_text()))
    assert any(script == f'scripts/{path.stem}.sh' for script, _ in shown_commands)
    assert any(script is None and not any('data_name' in word for word in words) for script, words in shown_commands)


TOOLS = ('setup', 'test', 'lock', 'gpu_check')      # scripts that are no recipe
RECIPES = [path for path in sorted((ROOT / 'scripts').glob('*.sh')) if path.stem not in TOOLS]


@named(RECIPES)
def test_every_recipe_parses_and_takes_more_flags(path, capsys):
    script = str(path.relative_to(ROOT))
    assert parses(recipe(script), capsys)
    capsys.readouterr()
    assert parses(recipe(script, ['--epochs=3', '--seed=7']), capsys)
    flags = json.loads(capsys.readouterr().out)
    assert (flags['epochs'], flags['seed']) == (3, 7)


@named(RECIPES)
def test_what_the_head_of_a_recipe_offers_can_be_passed_to_it(path, capsys):
    head = ''.join(line for line in path.read_text().splitlines(True) if line.startswith('#'))
    for words in re.findall(r'--\w+(?:=[\w.+-]*\w)?(?: --\w+(?:=[\w.+-]*\w)?)*', head):
        assert parses(recipe(str(path.relative_to(ROOT)), shlex.split(words)), capsys), words


# ---- the contributing guide

class Patch:
    """The diffs below one heading of CONTRIBUTING.md: a new file and one line in a table.

    path, source : of the new file; table : path of the registry; added : lines that go below `context`
    """

    def __init__(self, heading):
        text = section((ROOT / 'CONTRIBUTING.md').read_text(), heading)
        diff = re.search(r'^```diff\n(.*?)^```', text, flags=re.M | re.S)[1]
        files = re.split(r'^--- .*\n\+\+\+ b/(.*)\n', diff, flags=re.M)[1:]
        self.path, new, self.table, change = files
        assert all(line.startswith('+') for line in new.splitlines())
        self.source = ''.join(line[1:] + '\n' for line in new.splitlines())
        self.change = change.splitlines()

    @property
    def module(self):
        return self.path[:-len('.py')].replace('/', '.')

    def apply(self, tmp_path, monkeypatch, registry):
        """Import the new file under its name and enter it into the registry; returns the entry."""
        file = tmp_path / pathlib.Path(self.path).name
        file.write_text(self.source)
        compile(self.source, self.path, 'exec')
        assert max(map(len, self.source.splitlines())) <= 120
        monkeypatch.setattr(importlib.import_module(self.module.split('.')[0]), '__path__',
                            [str(ROOT / self.module.split('.')[0]), str(tmp_path)])
        present = (ROOT / self.table).read_text().splitlines()
        scope = {}
        for line in self.change:
            if line.startswith(' '):
                assert present.count(line[1:]) == 1, f'{self.table} has no line {line[1:]}'
            elif 'import' in line:
                exec(line[1:], scope)
            else:
                for key, value in eval('{' + line[1:] + '}', scope).items():
                    monkeypatch.setitem(registry, key, value)
        monkeypatch.delitem(sys.modules, self.module)
        return value


def test_the_loss_of_the_guide_works(tmp_path, monkeypatch, capsys):
    criterion_class = Patch('Add a loss').apply(tmp_path, monkeypatch, losses.LOSSES)
    assert main.main(['--loss=proxy_nca', '--dry_run']) == 0
    args = layers.training_parser(['--loss=proxy_nca'], {}).parse_args(['--embed_dim=6'])
    criterion = criterion_class.from_args(args, 4)
    criterion.initialize()
    rng = np.random.RandomState(0)
    x, label = nd.array(rng.normal(size=(5, 6))), nd.array([0, 1, 1, 3, 2], dtype='int32')
    x = nd.L2Normalization(x)
    x.attach_grad()
    with autograd.record():
        loss = criterion(Out(x, None), Batch(None, label, None, None))
    loss.backward()
    p = criterion.proxy.data().asnumpy()
    p = p / np.linalg.norm(p, axis=1, keepdims=True)
    z = -np.square(x.asnumpy()[:, None] - p[None]).sum(axis=2)
    expected = np.log(np.exp(z).sum(axis=1)) - z[np.arange(5), label.asnumpy()]
    np.testing.assert_allclose(loss.asnumpy(), expected, rtol=1e-4)
    assert np.isfinite(x.grad.asnumpy()).all() and np.abs(criterion.proxy.grad().asnumpy()).sum() > 0
    criterion.hybridize()
    np.testing.assert_allclose(criterion(Out(x, None), Batch(None, label, None, None)).asnumpy(), expected, rtol=1e-4)


def test_the_sampler_of_the_guide_works(tmp_path, monkeypatch):
    sampler_class = Patch('Add a sampler').apply(tmp_path, monkeypatch, samplers.SAMPLERS)
    monkeypatch.setattr(losses.get_loss('heated_softmax'), 'samplers', ('random', 'by_class'))
    _, args = cli.parse(['--loss=heated_softmax', '--sampler=by_class', '--batch_size=2'])
    labels = np.array([1, 0, 1, 0, 1])
    plans = sampler_class.from_args(args, labels).plan(0, np.random.RandomState(0))
    assert [labels[plan.index].tolist() for plan in plans] == [[0, 0], [1, 1]]
    assert all(len(plan.seed) == 2 for plan in plans)


def test_the_data_set_of_the_guide_works(tmp_path, monkeypatch):
    Patch('Add a data set').apply(tmp_path, monkeypatch, datasets.DATASETS)
    _, args = cli.parse(['--data_name=stripes'])
    data = datasets.from_args(args)
    assert (len(data.train), len(data.test), data.train.num_classes, data.test.num_classes) == (50, 50, 5, 5)
    assert set(data.train.classes) == set(range(5)) and set(data.test.classes) == set(range(5, 10))
    assert data.train.read(0).shape == (32, 32, 3) and data.test.read(49).std() > 0
    assert not np.array_equal(data.train.read(0), data.train.read(49))
