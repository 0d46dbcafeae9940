"""What state.json of a checkpoint must hold, so that a damaged one is refused before anything goes on from it."""

import math

from core.errors import COPY, UserError
from engine.progress import score_of

VERSION = 2
NUMBER, NOTHING = (int, float), type(None)
NEEDED = {'epoch': (int,), 'step': (int,), 'iteration': (int,), 'num_classes': (int,), 'best': (dict,), 'last': (dict,)}
OPTIONAL = {**dict.fromkeys(('loss_sum', 'loss_count', 'seconds', 'images', 'wait_seconds', 'time'), NUMBER),
            'epoch_loss': (*NUMBER, NOTHING), 'started': (bool,), 'optimizers': (list,),
            **dict.fromkeys(('schedule', 'stopping', 'loss_scale', 'baselines'), (dict, NOTHING))}


def check(state, file):
    """UserError naming `file` unless `state`, a dict, is what training writes, or is of a later version."""
    if state.get('version') not in range(1, VERSION + 1):
        raise UserError(f'{file} has version {state.get("version")}, this program reads version {VERSION} '
                        'and older. Fix: the program that wrote it, or a later one')
    wrong = [key for key, kinds in {**NEEDED, **OPTIONAL}.items()
             if (key in state or key in NEEDED) and not fits(state.get(key), kinds)]
    for key in ('schedule', 'stopping'):
        if key not in wrong and not all(fits(value, (*NUMBER, NOTHING)) for value in (state.get(key) or {}).values()):
            wrong.append(key)
    wrong += [key for key in ('best', 'last') if key not in wrong and not all(map(is_score, state[key].values()))]
    if wrong:
        raise UserError(f'{file} is damaged: {", ".join(wrong)} missing, or not what training writes. {COPY}')


def fits(value, kinds):
    """Whether a value is of one of these kinds; a count is not below 0.

    Example
    -------
    >>> fits(3, (int,)), fits(-3, (int,)), fits(True, (int,)), fits(float('nan'), NUMBER)
    (True, False, False, True)
    """
    if isinstance(value, bool) or not isinstance(value, kinds):
        return isinstance(value, bool) and bool in kinds
    return not isinstance(value, int) or float in kinds or 0 <= value < 1 << 53


def is_score(part):
    """Whether it is the result of an evaluation with a number that says which epoch is better.

    Example
    -------
    >>> is_score({'recall': {'1': 0.5}, 'epoch': 1}), is_score({'recall': []}), is_score(None)
    (True, False, False)
    """
    try:
        return isinstance(part['recall'], dict) and math.isfinite(score_of(part)) and part['epoch'] >= 0
    except (AttributeError, KeyError, StopIteration, TypeError):
        return False
