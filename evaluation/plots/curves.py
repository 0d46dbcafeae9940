"""Curves and counts: recall and loss over training, similarities of pairs, confusion of classes."""

from __future__ import annotations

import numpy as np

from core.errors import UserError
from core.lazy import lazy
from core.normalize import unit_rows
from evaluation.plots.style import COLORS, LINES, check, class_name, color_and_marker, legend, save_figure, styled

figures = lazy('matplotlib.figure')
ticker = lazy('matplotlib.ticker')


def series(log: list[dict], k: int) -> np.ndarray:
    """The evaluated epochs of a run.

    Parameters
    ----------
    log : the lines of log.jsonl. An epoch's step is its own 'step' or that of the last step before it; its 'seconds'
        are the training time since the start of the run, without evaluation
    k : K of Recall@K; epochs without it are left out

    Returns
    -------
    float (3, E): steps, minutes, recall

    Example
    -------
    >>> series([{'kind': 'epoch', 'step': 10, 'seconds': 30.0, 'recall': {'1': 0.5}}], 1).tolist()
    [[10.0], [0.5], [0.5]]
    """
    rows, step = [], 0
    for record in log:
        step = record.get('step', step)
        recall = (record.get('recall') or {}).get(str(k))
        if record.get('kind') in ('epoch', 'evaluation') and recall is not None:
            rows.append((step, record.get('seconds', np.nan), recall))
    return np.array(rows, float).reshape(-1, 3).T * np.array([[1.0], [1 / 60.0], [1.0]])


def as_lists(runs: dict) -> dict[str, list]:
    """{name: log or [log, log, ...]} -> {name: [log, ...]}; a log is a list of dicts.

    Example
    -------
    >>> as_lists({'a': [{'step': 1}], 'b': [[{'step': 1}], []]})
    {'a': [[{'step': 1}]], 'b': [[{'step': 1}], []]}
    """
    out = {}
    for name, logs in runs.items():
        out[name] = [logs] if logs and isinstance(logs[0], dict) else list(logs)
    return out


def losses_of(log: list[dict], kind: str) -> list[tuple]:
    """[(step, loss)] of the records of one kind, 'step' or 'epoch'.

    Example
    -------
    >>> losses_of([{'kind': 'step', 'step': 3, 'loss': 0.5}, {'kind': 'epoch', 'loss': 0.4}], 'step')
    [(3, 0.5)]
    """
    return [(r['step'], r['loss']) for r in log if r.get('kind') == kind and r.get('loss') is not None and 'step' in r]


@styled
def recall_curves(runs: dict, path, k: int = 1, baselines: dict | None = None) -> list:
    """Recall@k of several runs against the step (left) and against the time (right).

    Parameters
    ----------
    runs : {name: log} or {name: [log of seed 0, log of seed 1, ...]}; a log is the list of records of log.jsonl.
        Seeds share colour, line and marker; each is a line of its own, so that the spread is seen, not averaged away
    path : of the files, without their endings
    k : K of Recall@K
    baselines : {name: recall} drawn as horizontal lines, such as the frozen network's

    Returns
    -------
    Paths of the PNG and the PDF

    Raises
    ------
    UserError : no run has an evaluated epoch
    """
    figure = figures.Figure(figsize=(9, 3.6))
    left, right = figure.subplots(1, 2, sharey=True)
    drawn, shown = False, []
    for i, (name, logs) in enumerate(as_lists(runs).items()):
        (color, marker), line = color_and_marker(i), LINES[(i // 7) % 4]
        for j, log in enumerate(logs):
            step, minutes, recall = series(log, k)
            drawn |= bool(len(step))
            kind = {'color': color, 'linestyle': line, 'marker': marker, 'markersize': 4,
                    'markevery': max(1, len(step) // 12), 'linewidth': 1.6 if len(logs) == 1 else 1.1}
            handle, = left.plot(step, recall, **kind)
            right.plot(minutes, recall, **kind)
            if j == 0:
                shown.append((handle, name + (f' ({len(logs)} seeds)' if len(logs) > 1 else '')))
    if not drawn:
        raise UserError(f'no run has an evaluated epoch with Recall@{k}: there is no curve to draw')
    for i, (name, value) in enumerate((baselines or {}).items()):
        handle, _ = (axes.axhline(value, color='#555555', linestyle=(0, (1 + 2 * i, 2)), linewidth=1)
                     for axes in (left, right))
        shown.append((handle, name))
    left.set(xlabel='training step', ylabel=f'Recall@{k}')
    right.set(xlabel='training time, minutes')
    for axes in (left, right):    # from 0: a single evaluation would stand between ticks that differ by a hundredth
        axes.set_xlim(0, max(1e-9, axes.dataLim.x1) * 1.05)
    left.xaxis.set_major_locator(ticker.MaxNLocator(6, integer=True))
    figure.tight_layout()
    legend(figure, *zip(*shown), loc='upper center', bbox_to_anchor=(0.5, 0.0),
           ncols=1 if max(len(name) for _, name in shown) > 40 else min(3, len(shown)))
    return save_figure(figure, path)


@styled
def loss_curve(runs: dict, path, window: int | None = None) -> list:
    """Training loss against the step; thin: each logged value, thick: the mean of the last `window` of them.

    A run too short to have logged a step is drawn by the mean losses of its epochs.

    Parameters
    ----------
    runs : as in `recall_curves`
    path : of the files, without their endings
    window : number of logged values; None: a fiftieth of the run

    Returns
    -------
    Paths of the PNG and the PDF

    Raises
    ------
    UserError : no run has logged a loss
    """
    figure = figures.Figure(figsize=(5.4, 3.6))
    axes = figure.add_subplot()
    shown = []
    for i, (name, logs) in enumerate(as_lists(runs).items()):
        color, line = COLORS[i % 7], LINES[(i // 7) % 4]
        for log in logs:
            # a run shorter than --summary_step has logged no step, only the means of its epochs
            rows = losses_of(log, 'step') or losses_of(log, 'epoch')
            if not rows:
                continue
            step, loss = np.array(rows, float).T
            width = max(1, min(window or len(loss) // 50, len(loss)))
            total = np.cumsum(np.concatenate([[0.0], loss]))
            axes.plot(step, loss, color=color, linewidth=0.6, alpha=0.35)
            handle, = axes.plot(step[width - 1:], (total[width:] - total[:-width]) / width, color=color, linestyle=line)
            if name not in [other for _, other in shown]:
                shown.append((handle, name))
    if not shown:
        raise UserError('no run has logged a loss: there is no curve to draw')
    axes.set(xlabel='training step', ylabel='loss')
    axes.xaxis.set_major_locator(ticker.MaxNLocator(6, integer=True))
    legend(axes, *zip(*shown))
    return save_figure(figure, path)


def pair_counts(embeddings, labels, bins: int = 100, exact: int = 12000, sample: int = 2000000, seed: int = 0,
                block: int = 1024) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts of the cosine similarities of positive and of negative pairs.

    Up to `exact` rows every pair i < j counts once. Above, every positive pair still counts, but of the negative pairs
    only those among `sample` random ones, drawn by the seed.

    Parameters
    ----------
    embeddings : (N, D)
    labels : int (N,)
    bins : equal bins over [-1, 1]
    exact, sample, seed : see above
    block : rows compared at a time

    Returns
    -------
    edges float (bins + 1,), positive int64 (bins,), negative int64 (bins,)

    Example
    -------
    >>> _, positive, negative = pair_counts([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]], [0, 0, 1], bins=2)
    >>> positive.tolist(), negative.tolist()
    ([0, 1], [2, 0])
    """
    embeddings, labels = check(embeddings, labels)
    rows = unit_rows(embeddings)
    edges = np.linspace(-1.0, 1.0, bins + 1)
    positive, negative = np.zeros(bins, np.int64), np.zeros(bins, np.int64)

    def add(counts, similarity):
        place = np.clip(((similarity + 1.0) * (0.5 * bins)).astype(np.int64), 0, bins - 1)
        counts += np.bincount(place, minlength=bins)

    if len(rows) <= exact:
        for start in range(0, len(rows), block):
            some = rows[start:start + block]
            similarity = some @ rows[start:].T
            later = np.arange(len(rows) - start)[None] > np.arange(len(some))[:, None]
            same = labels[start:start + block, None] == labels[None, start:]
            add(positive, similarity[later & same])
            add(negative, similarity[later & ~same])
        return edges, positive, negative
    order = np.argsort(labels, kind='stable')
    for members in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1):
        similarity = rows[members] @ rows[members].T
        add(positive, similarity[np.triu_indices(len(members), 1)])
    rng = np.random.RandomState(seed)
    for start in range(0, sample, 1 << 16):
        a, b = rng.randint(len(rows), size=(2, min(1 << 16, sample - start)))
        other = labels[a] != labels[b]
        add(negative, np.einsum('nd,nd->n', rows[a[other]], rows[b[other]]))
    return edges, positive, negative


@styled
def similarity_histogram(embeddings, labels, path, bins: int = 100, title: str | None = None, seed: int = 0) -> tuple:
    """Densities of the cosine similarity of positive and of negative pairs.

    The overlap in the title is the common area of the two densities: 0 when a threshold separates the pairs, 1 when
    the embedding knows nothing.

    Parameters
    ----------
    embeddings : (N, D)
    labels : int (N,)
    path : of the files, without their endings
    bins, seed : as of `pair_counts`
    title : None: the overlap

    Returns
    -------
    what `pair_counts` returns
    """
    edges, positive, negative = pair_counts(embeddings, labels, bins, seed=seed)
    figure = figures.Figure(figsize=(5.4, 3.6))
    axes = figure.add_subplot()
    width = edges[1] - edges[0]
    shares = []
    for counts, name, color, line, hatch in ((negative, 'negative pairs', COLORS[1], '--', '////'),
                                             (positive, 'positive pairs', COLORS[0], '-', None)):
        total = counts.sum()
        share = counts / max(total, 1)
        shares.append(share)
        mean = float(share @ (edges[:-1] + edges[1:]) / 2) if total else float('nan')
        label = f'{name}: {int(total):,}, mean {mean:.2f}' if total else f'{name}: none'
        axes.stairs(share / width, edges, color=color, linestyle=line, linewidth=1.5, label=label)
        axes.stairs(share / width, edges, fill=True, facecolor=color if hatch is None else 'none', edgecolor=color,
                    alpha=0.25, hatch=hatch, linewidth=0)
    used = np.flatnonzero(positive + negative)
    if len(used):
        axes.set_xlim(edges[max(0, used[0] - 2)], edges[min(bins, used[-1] + 3)])
    axes.set_ylim(bottom=0)
    axes.set(xlabel='cosine similarity', ylabel='density')
    axes.set_title(title or f'Similarity of pairs (overlap {np.minimum(*shares).sum():.2f})')
    axes.legend(loc='upper center', bbox_to_anchor=(0.5, -0.16), ncols=2)
    save_figure(figure, path)
    return edges, positive, negative


@styled
def confusion_matrix(matrix, names, path, title: str | None = None) -> list:
    """Confusion matrix; colours show the share of each true class.

    Up to 20 classes each cell also holds its number; with more classes the most frequent confusions are listed beside
    the matrix.

    Parameters
    ----------
    matrix : (C, C) of counts, row = true class, column = predicted class
    names : None or C str
    path : of the files, without their endings
    title : None: accuracy and macro accuracy

    Returns
    -------
    Paths of the PNG and the PDF

    Raises
    ------
    UserError : the matrix is not square
    """
    matrix = np.asarray(matrix, np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not len(matrix):
        raise UserError(f'a confusion matrix must have shape (C, C), got {matrix.shape}')
    classes, totals = len(matrix), matrix.sum(axis=1)
    share = matrix / np.maximum(totals, 1)[:, None]
    present = totals > 0
    accuracy = np.trace(matrix) / max(matrix.sum(), 1)
    macro = np.diag(share)[present].mean() if present.any() else 0.0
    small = classes <= 20
    side = max(3.6, 0.42 * classes) if small else 6.4
    figure = figures.Figure(figsize=(side + 1.2, side))
    axes = figure.add_subplot()
    axes.grid(False)
    image = axes.imshow(share, cmap='cividis', vmin=0, vmax=1, interpolation='nearest')
    labels = [class_name(names, i)[:24] for i in range(classes)]
    if small:
        axes.set_xticks(range(classes), labels, rotation=90)
        axes.set_yticks(range(classes), labels)
        for i, j in np.argwhere(matrix > 0):
            axes.text(j, i, f'{matrix[i, j]:g}', ha='center', va='center', fontsize=7,
                      color='black' if share[i, j] > 0.5 else 'white')
    else:
        axes.xaxis.set_major_locator(ticker.MaxNLocator(8, integer=True))
        axes.yaxis.set_major_locator(ticker.MaxNLocator(8, integer=True))
        off = share - np.diag(np.diag(share))
        pairs = np.dstack(np.unravel_index(np.argsort(-off, axis=None, kind='stable')[:12], off.shape))[0]
        lines = [f'{100 * off[i, j]:3.0f} %  {labels[i]} taken for {labels[j]}'
                 for i, j in pairs if off[i, j] > 0]
        text = 'Most frequent confusions\n(share of the true class)\n\n' + ('\n'.join(lines) or 'none')
        figure.text(1.02, 0.5, text, va='center', fontsize=8)
    axes.set(xlabel='predicted class', ylabel='true class')
    axes.set_title(title or f'Accuracy {accuracy:.4f}, macro accuracy {macro:.4f}')
    figure.colorbar(image, ax=axes, fraction=0.046, pad=0.03, label='share of the true class')
    return save_figure(figure, path)
