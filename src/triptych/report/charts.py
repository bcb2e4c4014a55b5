"""The numbers behind the curves of a figure, from which the page draws them again, with values on hover."""

import html
import json
import re
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

SYMBOLS = {"D": "diamond", "_": "line-ew-open"}  # Plotly's names of markers that are no discs
AUTOMATIC = "_child"  # how matplotlib begins the label of a line that has none
DESCRIPTION = re.compile(r"<dc:description>(.*?)</dc:description>", re.DOTALL)


def chart_text(figure: Figure) -> str | None:
    """The panels with curves and the legend of a figure as JSON; None if it has no curves.

    A panel is titled by the label of its axes, or by their title. A line without a label is drawn, but has no
    values on hover; a label that begins with an underscore is not in the legend.
    """
    panels = [_panel(axes) for axes in figure.axes if any(map(_is_curve, axes.lines)) and not axes.images]
    if not panels:
        return None
    legends = [*figure.legends, *filter(None, (axes.get_legend() for axes in figure.axes))]
    handles = [line for legend in legends for line in legend.legend_handles if isinstance(line, Line2D)]
    columns = max(axes.get_subplotspec().get_gridspec().ncols for axes in figure.axes)  # type: ignore[union-attr]
    legend = [{"name": str(line.get_label()), **_style(line)} for line in handles]
    return json.dumps({"columns": columns, "panels": panels, "legend": legend}, separators=(",", ":"))


def chart_of(svg: str) -> str | None:
    """What `chart_text` wrote into the metadata of an SVG."""
    found = DESCRIPTION.search(svg)
    return html.unescape(found[1]) if found else None


def _is_curve(line: Line2D) -> bool:
    return len(np.atleast_1d(line.get_xdata())) > 0 and not str(line.get_label()).startswith(AUTOMATIC)


def _panel(axes: Axes) -> dict[str, Any]:
    label = str(axes.get_label())
    return {
        "title": label or axes.get_title(loc="left"),
        "x": _axis(axes.get_xlabel(), axes.get_xscale(), axes.get_xlim()),
        "y": _axis(axes.get_ylabel() if not label else "", axes.get_yscale(), axes.get_ylim()),
        "lines": [_line(line) for line in axes.lines if len(np.atleast_1d(line.get_xdata()))],
    }


def _axis(title: str, scale: str, limits: tuple[float, float]) -> dict[str, Any]:
    return {"title": title, "type": scale, "range": _numbers(limits)}


def _line(line: Line2D) -> dict[str, Any]:
    name, x = str(line.get_label()), line.get_xdata()
    if line.axes is not None and line.get_transform() != line.axes.transData:
        x = line.axes.get_xlim()  # a level goes from side to side
    return {
        "name": "" if name.startswith(AUTOMATIC) else name.removeprefix("_"),
        "x": _numbers(x),
        "y": _numbers(line.get_ydata()),
        **_style(line),
    }


def _style(line: Line2D) -> dict[str, Any]:
    drawn = str(line.get_linestyle())
    style = {
        "colour": to_hex(line.get_color()),
        "width": 0 if drawn == "None" else line.get_linewidth(),
        "opacity": line.get_alpha() or 1,
        "dash": {"-": "", "None": "", ":": "dot"}.get(drawn, "dash"),
        "marker": line.get_markersize() if line.get_marker() not in ("", "None", None) else 0,
        "symbol": SYMBOLS.get(str(line.get_marker()), ""),
    }
    return {key: value for key, value in style.items() if value}


def _numbers(values: ArrayLike) -> list[float | None]:
    """Five significant digits; what is not finite is None."""
    return [
        float(f"{value:.5g}") if np.isfinite(value) else None for value in np.atleast_1d(values).astype(float)
    ]
