"""The command lines of the five original programs, as they were published: what each flag means here.

`python3 main.py [--from=SYSTEM] [SCRIPT.py] FLAGS`: the flags are read as that program read them and written anew in
the flags of this suite. Where something else stands in the place of a flag, one line says so. SYSTEM and SCRIPT.py may
be left out where the flags belong to one system alone.
"""

import argparse
import os
import sys

from commands.originals import (
    deep_embedding,
    embedding_expansion,
    heated_up_softmax,
    local_sampling,
    ranking_regularizer,
)
from commands.parser import Parser
from core.errors import UserError, pick_name
from core.flags import boolean

# system -> {script: Script}; the first script is the one that --from=SYSTEM alone means
SYSTEMS = {
    'embedding_expansion': embedding_expansion.SCRIPTS,
    'heated_up_softmax': heated_up_softmax.SCRIPTS,
    'deep_embedding': deep_embedding.SCRIPTS,
    'ranking_regularizer': ranking_regularizer.SCRIPTS,
    'local_sampling': local_sampling.SCRIPTS,
}


def translate(argv, own, say=lambda line: print(line, file=sys.stderr)):
    """A command line of an original in the flags of this suite; any other command line as it is.

    Parameters
    ----------
    argv : list of str, `-` in the names of flags already written as `_`
    own : set of str, the flags of this suite
    say : function that prints one line

    Raises
    ------
    UserError : an unknown system or script, or a flag or value that the original refuses too
    """
    found = recognise(argv, own)
    if found is None:
        return argv
    system, name, rest = found
    script = SYSTEMS[system][name]
    refused = script.refused
    if rest and not rest[0].startswith('-') and script.verbs:
        refused, rest = script.verbs[pick_name(f'{name}.py WORD', rest[0], script.verbs)], rest[1:]
    if refused:
        raise UserError(f'{name}.py of {system}: {refused}')
    words, notes = script_words(f'{system} {name}.py', script, rest)
    for note in notes:
        say('original: ' + note)
    say(f'original: {system}, {name}.py, is here: python3 main.py ' + ' '.join(words))
    return words


def recognise(argv, own):
    """(system, script, the flags alone) of an original's command line, or None for a command line of this suite."""
    rest = [word for word in argv if not word.startswith('--from=')]
    given = [word.partition('=')[2] for word in argv if word.startswith('--from=')]
    script = os.path.basename(rest[0])[:-3] if rest and rest[0].endswith('.py') else None
    if given:
        system = pick_name('--from', given[-1], SYSTEMS)
        if script is None:
            return system, next(iter(SYSTEMS[system])), rest
        return system, pick_name(f'--from={system} SCRIPT.py', script, SYSTEMS[system]), rest[1:]
    if script is not None:
        owners = [system for system, scripts in SYSTEMS.items() if script in scripts]
        if len(owners) != 1:
            raise UserError(f'{rest[0]} is a program of {len(owners)} of the original systems. Fix: '
                            '--from=SYSTEM before it, SYSTEM one of ' + ', '.join(owners or SYSTEMS))
        return owners[0], script, rest[1:]
    return guess(rest, own)


def guess(argv, own):
    """The one system that knows every flag of a command line that this suite does not know, or None."""
    flags = [word.partition('=')[0] for word in argv if word.startswith('-') and not is_number(word)]
    pairs = {word.replace('=', ' ', 1) for word in argv if '=' in word}
    pairs |= {f'{flag} {value}' for flag, value in zip(argv, argv[1:])}
    found = {}
    for system, scripts in SYSTEMS.items():
        for name, script in scripts.items():
            foreign = set(flags) - own or pairs & set(script.signs)
            if script.flags and foreign and set(flags) <= script.spellings() | {'--dry_run', '--save_dir'}:
                found.setdefault(system, name)
    if len(found) != 1:
        return None
    system, name = found.popitem()
    return system, name, argv


def is_number(word):
    """Whether a word that begins with a minus is a value."""
    try:
        float(word)
    except ValueError:
        return False
    return True


def script_words(title, script, argv):
    """(words in the flags of this suite, sentences) for the flags of an original."""
    reader = Parser(prog=title, add_help=False)
    for number, flag in enumerate(script.flags):
        kind = {'switch': {'nargs': '?', 'const': 'true'}, 'word': {}}[flag.kind]
        reader.add_argument(*flag.names, dest=str(number), default=None, **kind)
    parsed, rest = reader.parse_known_args(argv)
    words, notes, values = [*script.command, *script.words], [], {}
    for number, flag in enumerate(script.flags):
        value = values[flag.names[0]] = getattr(parsed, str(number))
        if flag.kind == 'switch':
            try:
                value = value is not None and boolean(value)
            except argparse.ArgumentTypeError as error:
                raise UserError(f'{title}: {flag.names[0]}={value}: {error}. Legal values: {boolean.legal}') from None
            more, note = (flag.on if value else flag.off), flag.note if value else ''
        elif value is None:
            more, note = flag.off, ''
        else:
            more, note = flag.act(value)
        words += more
        notes += [f'{flag.names[0]}{"" if flag.kind == "switch" else "=" + str(value)}: {note}'] if note else []
    return words + (script.more(values) if script.more else []) + rest, notes
