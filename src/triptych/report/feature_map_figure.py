"""Maps of features side by side: the same images as two encoders see them."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from triptych.report.style import COLOURS, RULE, new_figure

# The house colours, and four more that stay apart from them and from each other.
CLASS_COLOURS = (*COLOURS, "#7a5c2e", "#6a4c93", "#8a8f98", "#a8b400")


def feature_map_figure(maps: Mapping[str, pd.DataFrame]) -> Figure:
    """One panel a map, titled by its key; columns class, x, y. Ten classes at most are drawn."""
    figure = new_figure(9.2, 4.7)
    panels = figure.subplots(1, len(maps), squeeze=False)[0]
    first = next(iter(maps.values()))
    classes = sorted(first["class"].astype(str).unique())[: len(CLASS_COLOURS)]
    for axes, (title, points) in zip(panels, maps.items(), strict=True):
        names = points["class"].astype(str)
        for name, colour in zip(classes, CLASS_COLOURS, strict=False):
            chosen = points[names == name]
            axes.scatter(chosen["x"], chosen["y"], s=7, color=colour, linewidths=0, label=name)
        axes.set_title(title)
        axes.set_aspect("equal", adjustable="datalim")
        axes.grid(visible=False)
        axes.set_xticks([])
        axes.set_yticks([])
        for spine in axes.spines.values():
            spine.set(visible=True, color=RULE)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=5, fontsize=8, markerscale=2)
    return figure
