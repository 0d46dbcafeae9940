"""Maps of 2-D embeddings side by side: directions of points on the circle, class weights as rays."""

from __future__ import annotations

import numpy as np

from core.lazy import lazy
from evaluation.plots.style import styled

figures = lazy('matplotlib.figure')
patheffects = lazy('matplotlib.patheffects')


def name_radii(degrees) -> dict[int, float]:
    """{label: radius of its name}: names of neighbouring directions stand behind each other, not on each other.

    >>> {label: round(radius, 2) for label, radius in name_radii([90, 0, 95, 180, 98]).items()}
    {1: 1.34, 0: 1.34, 2: 1.54, 4: 1.74, 3: 1.34}
    """
    found, before = {}, None
    for label in np.argsort(degrees, kind='stable').tolist():
        near = before is not None and abs(degrees[label] - degrees[before]) < 12
        found[label] = found[before] + 0.2 if near and found[before] < 1.7 else 1.34
        before = label
    return found


@styled
def map_panels(panels, path, seed: int = 0) -> None:
    """Draw maps in one row.

    A point stands at the direction of its embedding; its radius is random between 0.8 and 1.2, so that many points of
    one direction can be told from few. A ray is the direction of a class weight, with the name of the class at its end.

    Parameters
    ----------
    panels : list of (title, caption, degrees {label: float (n,)}, weights float (C,)): directions in degrees
    path : of the PNG
    seed : of the radii
    """
    figure = figures.Figure(figsize=(2.05 * len(panels), 2.65), layout='constrained')
    rng = np.random.RandomState(seed)
    for axes, (title, caption, degrees, weights) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels):
        for label, values in degrees.items():
            angle, radius = np.radians(values), rng.uniform(0.8, 1.2, len(values))
            axes.scatter(radius * np.cos(angle), radius * np.sin(angle), s=1.2, c=f'C{int(label) % 10}', linewidths=0)
        for label, radius in name_radii(weights).items():
            angle = np.radians(weights[label])
            axes.plot([0, 0.72 * np.cos(angle)], [0, 0.72 * np.sin(angle)], color=f'C{label % 10}', linewidth=1.2)
            axes.text(radius * np.cos(angle), radius * np.sin(angle), str(label), color=f'C{label % 10}', ha='center',
                      va='center', fontsize=8, fontweight='bold',
                      path_effects=[patheffects.withStroke(linewidth=1.5, foreground='white')])
        axes.set(xlim=(-1.75, 1.75), ylim=(-1.75, 1.75), xticks=[], yticks=[], aspect='equal')
        axes.set_title(title, fontsize=9)
        axes.set_xlabel(caption, fontsize=7)
        axes.grid(False)
        for side in ('left', 'bottom'):
            axes.spines[side].set_visible(False)
    figure.savefig(path, dpi=100)
