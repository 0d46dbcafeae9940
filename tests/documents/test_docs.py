"""The documentation against the program: tags, flags and defaults, commands, recipes."""

import collections
import json
import os
import pathlib
import re
import shlex

import pytest

import losses
import main
import recipes
from commands import cli, layers, rows
from commands.parser import flags_of
from core.argparse_internals import action_of, actions

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
    if words[:1] == ['photos'] and not any('data_dir' in word or word == 'photos' for word in words[1:]):
        words.insert(1, 'FOLDER')
    if words and words[0] in cli.COMMANDS and words[0] not in ('train', *cli.FREE):
        cli.parse(words)
        return True
    if '--list' in words:
        words.remove('--list')
    status = main.main(words + ['--dry_run'])
    assert status == 0, capsys.readouterr().err
    return True


@pytest.fixture(autouse=True)
def photos(tmp_path, monkeypatch):
    """The present folder holds `photos` and `FOLDER`, 96 classes of four files each: what the pages speak of."""
    for name in ('photos', 'FOLDER'):
        for number in range(384):
            file = tmp_path / name / f'class{number // 4:02}' / f'{number}.jpg'
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
    monkeypatch.chdir(tmp_path)


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
def test_every_command_of_the_documentation_parses(path, finished_run, tmp_path, capsys):
    for script, words in commands_of(path.read_text()):
        os.chdir(tmp_path)      # a command goes to the project's folder
        if script is None:
            assert parses(words, capsys, finished_run)
        elif pathlib.Path(script).stem not in TOOLS:
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
    assert parses(recipe(script, ['--epochs=30', '--seed=7']), capsys)
    flags = json.loads(capsys.readouterr().out)
    assert (flags['epochs'], flags['seed']) == (30, 7)


@named(RECIPES)
def test_what_the_head_of_a_recipe_offers_can_be_passed_to_it(path, capsys):
    head = ''.join(line for line in path.read_text().splitlines(True) if line.startswith('#'))
    for words in re.findall(r'--\w+(?:=[\w.+-]*\w)?(?: --\w+(?:=[\w.+-]*\w)?)*', head):
        assert parses(recipe(str(path.relative_to(ROOT)), shlex.split(words)), capsys), words
