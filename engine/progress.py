"""What a training run says of itself: curves in TensorBoard, lines in log.jsonl and on the terminal."""

import time

PARTS = ('test', 'val')
PREFIX = {'test': 'metric', 'val': 'validation'}


def score_of(result):
    """The number that decides which epoch is better: the accuracy where there is one, else the first Recall@K."""
    return result['accuracy'] if 'accuracy' in result else next(iter(result['recall'].values()))


def spoken(seconds):
    """A duration as people say it.

    Example
    -------
    >>> spoken(59), spoken(3700), spoken(200000)
    ('59 s', '1 h 01 min', '2 d 07 h')
    """
    seconds = int(seconds)
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if minutes < 2:
        return f'{seconds} s'
    if hours < 1:
        return f'{minutes} min'
    return f'{hours} h {minutes % 60:02d} min' if days < 1 else f'{days} d {hours % 24:02d} h'


def words_of(scores):
    """What the terminal says of an evaluation.

    Example
    -------
    >>> words_of({'accuracy': 0.5, 'recall': {'1': 0.25}, 'val_recall': {'1': 0.75}})
    ['accuracy 0.5000', 'held-out R@1 0.7500']
    """
    words = [f'accuracy {scores["accuracy"]:.4f}'] if 'accuracy' in scores else []
    held = 'val_recall' if 'val_recall' in scores else 'recall'
    whose = 'held-out ' if held == 'val_recall' else ''
    return words + [f'{whose}R@{k} {value:.4f}' for k, value in scores.get(held, {}).items()]


class Progress:
    """Reports on a run.

    Parameters
    ----------
    run : engine.run.Run
    state : dict of the training loop; `last` and `best` are kept here
    goal : (epochs, iterations or 0): where training ends
    """

    def __init__(self, run, state, goal):
        self.run, self.state, self.goal = run, state, goal
        self.began, self.first = time.monotonic(), None

    def share(self, epoch, step, steps):
        """How much of the run is done, from 0 to 1."""
        epochs, iterations = self.goal
        done = (epoch + step / max(1, steps)) / epochs
        return max(done, self.state['iteration'] / iterations) if iterations else done

    def remaining(self, epoch, step, steps):
        """The time that is left for the whole run, evaluations included, as text; '' while nothing is known."""
        done = self.share(epoch, step, steps)
        if self.first is None:
            self.began, self.first = time.monotonic(), done
        gained = done - self.first
        return spoken((time.monotonic() - self.began) * (1 - done) / gained) if gained > 0 else ''

    def step(self, epoch, loss, lr, stats):
        """One point of the curves."""
        step, board = self.state['iteration'], self.run.board
        board.add_scalar('lr', lr, step)
        board.add_scalar('loss', loss, step)
        for name, number in stats.items():
            board.add_scalar(name, number, step)
        self.run.log('step', epoch=epoch, step=step, loss=loss, lr=lr, seconds=round(self.state['seconds'], 3), **stats)

    def inside(self, epoch, scores):
        """An evaluation in the middle of an epoch. scores : what goes to the log."""
        state = self.state
        self.run.log('evaluation', epoch=epoch, step=state['iteration'], seconds=round(state['seconds'], 3), **scores)
        print('  '.join([f'epoch {epoch:>4}', f'iteration {state["iteration"]}', *words_of(scores)]), flush=True)

    def epoch(self, epoch, loss, lr, scores, left):
        """The end of an epoch. scores : what goes to the log of an evaluation, {} without one; left : ETA as text."""
        # ORIGINAL: the axis of the epochs in TensorBoard starts at 1.
        # DIFFERS: loss_epoch is the mean over the images of the epoch; the original's is that of its last batch.
        state, board = self.state, self.run.board
        board.add_scalar('lr_epoch', lr, epoch + 1)
        board.add_scalar('loss_epoch', loss, epoch + 1)
        speed = state['images'] / max(state['seconds'], 1e-9)
        self.run.log('epoch', epoch=epoch, step=state['iteration'], loss=loss, seconds=round(state['seconds'], 3),
                     images_per_second=round(speed, 2), **scores)
        words = [f'epoch {epoch:>4}', f'loss {loss:.4f}', f'lr {lr:.2e}', f'{speed:.0f} images/s']
        print('  '.join([*words, *words_of(scores), *[f'{left} left'] * bool(left)]), flush=True)

    def evaluation(self, epoch, result):
        """Take the result of an evaluation, {'test': ..., 'val': ...}.

        Returns (whether this is the epoch to keep, what goes to the log).
        """
        state, improved = self.state, False
        for part in PARTS:
            if part not in result:
                continue
            where = {'epoch': epoch, 'iteration': state['iteration']}
            state['last'][part] = dict(result[part], **where)
            best = state['best'].get(part)
            if best is None or score_of(result[part]) > score_of(best):
                state['best'][part] = dict(result[part], **where)
                if part == 'val':
                    state['best']['test_at_val'] = dict(result['test'], **where)
                # --val_classes decides which epoch is kept; without it the test set does, the papers' habit
                improved = improved or part == 'val' or 'val' not in result
            self.curves(PREFIX[part], epoch, result[part], state['best'][part])
        line = {key: result['test'][key] for key in ('recall', 'map_at_r', 'accuracy', 'macro_accuracy')
                if key in result['test']}
        if 'val' in result:
            line['val_recall'] = result['val']['recall']
        return improved, line

    def curves(self, prefix, epoch, result, best):
        """Points of an evaluation."""
        step, board = self.state['iteration'], self.run.board
        for k, value in result['recall'].items():
            board.add_scalar(f'{prefix}/R{k}', value, step)
        first = next(iter(result['recall']))
        board.add_scalar(f'{prefix}/R{first}/best', best['recall'][first], step)
        if self.state['step'] == 0:      # at the end of an epoch
            for k, value in result['recall'].items():
                board.add_scalar(f'{prefix}_epoch/R{k}', value, epoch + 1)
            board.add_scalar(f'{prefix}_epoch/R{first}/best', best['recall'][first], epoch + 1)
        for key, tag in (('map_at_r', 'MAP_R'), ('accuracy', 'accuracy'), ('macro_accuracy', 'macro_accuracy')):
            if key in result:
                board.add_scalar(f'{prefix}/{tag}', result[key], step)
