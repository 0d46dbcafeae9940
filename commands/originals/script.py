"""How the flags of an original are written down: what stands for each of them here."""

import datetime
import os
from collections import namedtuple

from core.errors import UserError


class Flag(namedtuple('Flag', 'names kind act on off note', defaults=(None, (), (), ''))):
    """One flag of an original.

    names : its spellings, `_` for `-`
    kind : 'word' (takes a value) or 'switch'
    act : 'word': function value -> (words of this suite, sentence or '')
    on, off : words for a switch that is given, and for a flag that is not given
    note : sentence for a switch that is given
    """


class Script(namedtuple('Script', 'flags words command signs refused verbs more',
                        defaults=((), (), (), (), '', (), None))):
    """One program of an original system.

    flags : list of Flag
    words : the words for what the program does without any flag
    command : () for training, ('evaluate',) and so on
    signs : 'FLAG VALUE' pairs that no other system and not this suite understands
    refused : why it has no place here; else ''
    verbs : {word that may follow the program's name: '', or why it has no place here}
    more : function({first name of a flag: value or None}) -> words for what several flags say together, or None
    """

    def spellings(self):
        """Every spelling of every flag."""
        return {name for flag in self.flags for name in flag.names}


def same(*names, to=None, default=None):
    """A flag whose value is the same here, under the name `to` (its own last name, if None). default : the original's,
    where ours is another."""
    target = '--' + (to or names[-1].lstrip('-'))
    return Flag(names, 'word', lambda value: ([f'{target}={value}'], ''),
                off=() if default is None else [f'{target}={default}'])


def choice(*names, values, off=()):
    """A flag with a list of words for each value: {value: [words]}; a str in place of a list refuses the value."""
    def act(value):
        found = values.get(value)
        if found is None:
            raise UserError(f'{names[0]}={value} is unknown to the original. Legal values: ' + ', '.join(values))
        if isinstance(found, str):
            raise UserError(f'{names[0]}={value}: {found}')
        return list(found), ''
    return Flag(names, 'word', act, off=off)


def stands(*names, note, words=()):
    """A flag with a value that has no part here; `note` says what stands in its place."""
    return Flag(names, 'word', lambda value: (list(words), note))


def switch(*names, on=(), off=(), note=''):
    """A flag without a value."""
    return Flag(names, 'switch', None, on, off, note)


def gpus(*names, several=''):
    """GPU numbers; without an NVIDIA GPU the CPU stands in, as in the originals. several : note on more than one."""
    def act(value):
        if value in ('', '-1') or os.path.exists('/dev/nvidiactl'):
            return [f'--gpu_idx={value if value else "cpu"}'], several if ',' in value else ''
        return ['--gpu_idx=cpu'], 'this machine has no NVIDIA GPU; the CPU is used'
    return Flag(names, 'word', act)


def folder(*names, note=''):
    """A name or folder of outputs: the run folder lies in it, under a name of its own."""
    def act(value):
        now = f'{datetime.datetime.now():%Y%m%d-%H%M%S}'
        target = os.path.join(value, 'run-' + now) if value.endswith('/') else f'{value}-{now}'
        return [f'--save_dir={target if os.path.dirname(target) else os.path.join("runs", target)}'], note
    return Flag(names, 'word', act)


def weights(*names):
    """A file of ImageNet weights."""
    def act(value):
        if value.endswith(('.params', '.pth')):
            return [f'--pretrained={value}'], ''
        return ['--pretrained=true'], "a TensorFlow checkpoint is not read; MXNet's ImageNet weights stand in"
    return Flag(names, 'word', act, off=('--pretrained=true',))
