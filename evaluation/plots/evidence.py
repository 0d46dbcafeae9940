"""The picture of a claim: curves of the classes left out, and the test classes at the end with their intervals."""

from __future__ import annotations

import numpy as np

from core.lazy import lazy
from evaluation.plots.style import COLORS, LINES, styled

figures = lazy('matplotlib.figure')


@styled
def claim(curves: dict, final: dict, path, frozen: float | None = None) -> None:
    """Draw a claim: bands are the range over seeds, bars the 95 % intervals.

    Parameters
    ----------
    curves : {variant: float (seeds, points, 4)}: updates, seconds, Recall@1, MAP@R of the classes left out
    final : {variant: (mean, low, high)}: MAP@R of the test classes
    path : of the PNG
    frozen : MAP@R of the frozen trunk on the test classes, drawn as a line; None: none
    """
    figure = figures.Figure(figsize=(9.6, 2.9), layout='constrained')
    by_updates, by_seconds, ends = figure.subplots(1, 3, width_ratios=(1.15, 1, 1.1))
    for i, (variant, runs) in enumerate(curves.items()):
        mean = runs.mean(axis=0)
        look = {'color': COLORS[i % len(COLORS)], 'linestyle': LINES[i % len(LINES)]}
        by_updates.plot(mean[:, 0], 100 * mean[:, 3], label=variant, marker='o', markersize=3, **look)
        by_updates.fill_between(mean[:, 0], 100 * runs[..., 3].min(axis=0), 100 * runs[..., 3].max(axis=0),
                                color=look['color'], alpha=0.15, linewidth=0)
        by_seconds.plot(np.median(runs[..., 1], axis=0), 100 * mean[:, 3], **look)
    by_updates.set(xlabel='updates', ylabel='MAP@R, %', title='classes left out')
    by_seconds.set(xlabel='seconds of training', title='against time')
    by_updates.legend(loc='best', frameon=True, framealpha=0.8, edgecolor='none')
    for i, (mean, low, high) in enumerate(final.values()):
        error = 100 * np.array([[mean - low], [high - mean]])
        ends.errorbar(100 * mean, i, xerr=np.nan_to_num(error), fmt='o', color=COLORS[i % len(COLORS)], capsize=3)
    if frozen is not None:
        ends.axvline(100 * frozen, color='#555555', linestyle=':', linewidth=1)
        ends.annotate('frozen trunk', (100 * frozen, -0.58), xytext=(3, 0), textcoords='offset points', fontsize=7,
                      color='#555555', ha='right' if 100 * frozen > max(ends.get_xlim()) - 0.3 * np.ptp(ends.get_xlim())
                      else 'left', va='top')
    ends.set_yticks(range(len(final)), list(final))
    ends.set(xlabel='MAP@R, %', title='test classes', ylim=(len(final) - 0.5, -0.6))
    figure.savefig(path, dpi=90)


@styled
def intervals(groups: dict, label: str, path) -> None:
    """Means with their intervals, one panel a group.

    Parameters
    ----------
    groups : {title: {variant: (mean, low, high)}}, shares of 1 drawn in percent
    label : of the axis
    path : of the PNG
    """
    figure = figures.Figure(figsize=(4.2 * len(groups), 2.4), layout='constrained')
    for axes, (title, found) in zip(figure.subplots(1, len(groups), squeeze=False, sharex=True)[0], groups.items()):
        for i, (mean, low, high) in enumerate(found.values()):
            error = 100 * np.array([[mean - low], [high - mean]])
            axes.errorbar(100 * mean, i, xerr=np.nan_to_num(error), fmt='o', color=COLORS[i % len(COLORS)], capsize=3)
        axes.set_yticks(range(len(found)), list(found))
        axes.set(xlabel=label, title=title, ylim=(len(found) - 0.5, -0.5))
    figure.savefig(path, dpi=90)
