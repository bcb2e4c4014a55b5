"""Part 3's pictures: held-out views with their errors, cameras with sparse points, the matrix of matches."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator, MaxNLocator
from numpy.typing import NDArray
from PIL import Image

from triptych.data.image_files import load_image, natural_order
from triptych.report.figures import COLOURS, MUTED, WIDE, frame_axes, inch_axes, new_figure, page_width
from triptych.report.sections import eight_bits
from triptych.scenes.sparse_points import read_points
from triptych.workflow.files import read_json

Array = NDArray[np.float64]

TITLES = {
    "truth": "photograph",
    "render": "rendered",
    "error": "error",
    "depth": "depth",
    "normal": "normals",
}
LEFT, TOP, GAP = 1.15, 0.26, 0.06  # inches
FEW = 3  # pictures side by side on the narrow page
PIXELS = 32_000  # of an embedded picture; more would make the page heavy
MOST_POINTS = 4000  # of the sparse cloud, drawn; more would make the page heavy
INSIDE = 95  # percentile of the points' distances that a plan shows
PAIR_BASE = 2**31 - 1  # COLMAP's number of a pair is PAIR_BASE times the first image's, plus the second's


def typical_views(views: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The views with the lowest, the median and the highest PSNR; fewer if there are not as many."""
    ranked = sorted(views, key=lambda view: float(view["psnr"]))
    chosen = {"median": ranked[(len(ranked) - 1) // 2]}
    if len(ranked) > 1:
        chosen = {"worst": ranked[0], **(chosen if len(ranked) > 2 else {}), "best": ranked[-1]}
    return chosen


def strips_figure(views: Sequence[Mapping[str, Any]], folder: Path) -> Figure:
    """A row of pictures for the worst, the median and the best held-out view; two rows on the narrow page.

    Args:
        views: entries of views.json.
        folder: the folder that their file names are relative to.
    """
    rows = typical_views(views)
    kinds = [kind for kind in TITLES if kind in views[0]]
    narrow = page_width() < WIDE
    # On the wide page a view's name is at the left of its pictures; titles are above the first row alone.
    beside, indent, title, top = (FEW, 0.0, TOP, 0.0) if narrow else (len(TITLES), LEFT, 0.0, TOP)
    side, lines = (page_width() - indent) / beside - GAP, -(-len(kinds) // beside)
    pictures = {word: [_small(folder / view[kind]) for kind in kinds] for word, view in rows.items()}
    heights = {word: side * strip[0].shape[0] / strip[0].shape[1] for word, strip in pictures.items()}
    height = top + sum(title + lines * (tall + GAP + title) for tall in heights.values())
    width = indent + min(beside, len(kinds)) * (side + GAP)
    figure, axes = inch_axes(width, height)
    for number, (word, view) in enumerate(rows.items()):
        tall, middle, decibels = heights[word], top + (title or heights[word]) / 2, f"{view['psnr']:.2f} dB"
        top += title
        for place, (kind, picture) in enumerate(zip(kinds, pictures[word], strict=True)):
            left = indent + place % beside * (side + GAP)
            upper = top + place // beside * (tall + GAP + title) + title
            if narrow or number == 0:
                axes.text(left, upper - 0.08, TITLES[kind], fontsize=8.5)
            extent = (left, left + side, upper + tall, upper)
            axes.imshow(picture, extent=extent, interpolation="none", aspect="auto")
        if narrow:
            axes.text(0, middle, f"{word}: {decibels}", fontsize=9.5, va="center")
        else:
            axes.text(0, middle - 0.09, word, fontsize=9.5, va="center")
            axes.text(0, middle + 0.09, decibels, fontsize=8.5, va="center", color=MUTED)
        top += lines * (tall + GAP + title)
    return figure


def _small(path: Path) -> NDArray[np.uint8]:
    image = eight_bits(load_image(path)).convert("RGB")
    scale = min(1.0, (PIXELS / (image.width * image.height)) ** 0.5)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return np.asarray(image.resize(size, Image.Resampling.LANCZOS))


def cameras_figure(transforms: Path, *, cloud: Path, held_out: Sequence[str]) -> Figure:
    """The cameras in the order of their names, from above and from the side, with the sparse points.

    Args:
        transforms: the scene's transforms.json, whose +z is up.
        cloud: its coloured points in the same coordinates (.ply); there may be none.
        held_out: names of the held-out images, without suffix.
    """
    return _plans(*_cameras(transforms, held_out), *_sparse_points(cloud), **_box(transforms))


def cameras_text(transforms: Path, *, cloud: Path, held_out: Sequence[str]) -> str:
    """The same as JSON, for the page to turn: lengths in thousandths of what a plan shows, from its centre.

    `points`, `eyes`, `ends` (of the lines of view) and `box` are flat lists of x, y, z; `colours` has three
    bytes a point in hexadecimal.
    """
    poses, test = _cameras(transforms, held_out)
    points, colours = _sparse_points(cloud)
    eyes, box = poses[:, :3, 3], _box(transforms)
    centre, reach = _extent(eyes, points)
    inside = np.abs(points - centre).max(axis=1) < 2 * reach

    def whole(places: Array) -> list[int]:
        return np.rint(1000 * (places - centre) / reach).astype(int).ravel().tolist()

    return json.dumps(
        {
            "points": whole(points[inside]),
            "colours": np.rint(255 * colours[inside]).astype(np.uint8).tobytes().hex(),
            "eyes": whole(eyes),
            "ends": whole(eyes - 0.12 * reach * poses[:, :3, 2]),
            "held_out": test.tolist(),
            "box": whole(np.stack([box["middle"] - box["half"], box["middle"] + box["half"]])),
        },
        separators=(",", ":"),
    )


def _cameras(transforms: Path, held_out: Sequence[str]) -> tuple[Array, NDArray[np.bool_]]:
    """Poses (n, 4, 4) in the order of the images' names, and which are held out."""
    content = read_json(transforms)
    poses = np.array([frame["transform_matrix"] for frame in content["frames"]], dtype=np.float64)
    names = [Path(frame["file_path"]).stem for frame in content["frames"]]
    order = sorted(range(len(names)), key=lambda number: natural_order(names[number]))
    return poses[order], np.isin(names, list(held_out))[order]


def _box(transforms: Path) -> dict[str, Any]:
    """Middle (3,) and half the side of the field's box."""
    content = read_json(transforms)
    scale = float(content.get("scale", 0.33))
    middle = (0.5 - np.broadcast_to(np.asarray(content.get("offset", 0.5), float), 3)) / scale
    return {"middle": middle, "half": float(content.get("aabb_scale", 1)) / scale / 2}


def _extent(eyes: Array, points: Array) -> tuple[Array, float]:
    """Centre (3,) and half the side of a cube with all cameras and most points."""
    centre = (eyes.min(axis=0) + eyes.max(axis=0)) / 2
    reach = np.abs(eyes - centre).max()
    if len(points):
        reach = max(reach, float(np.percentile(np.abs(points - centre).max(axis=1), INSIDE)))
    return centre, 1.08 * reach or 1.0


def _sparse_points(cloud: Path) -> tuple[Array, Array]:
    """Positions and colours (n, 3) of at most `MOST_POINTS` points, evenly chosen."""
    sparse = read_points(cloud)
    if sparse is None:
        return np.zeros((0, 3)), np.zeros((0, 3))
    chosen = np.unique(np.linspace(0, len(sparse.points) - 1, MOST_POINTS).astype(int))
    return sparse.points[chosen], sparse.colours[chosen] / 255


def _plans(
    poses: Array, test: NDArray[np.bool_], points: Array, colours: Array, *, middle: Array, half: float
) -> Figure:
    """Two plans of one scale that show all cameras and most points; the box as far as it is inside."""
    eyes = poses[:, :3, 3]
    centre, reach = _extent(eyes, points)
    figure = new_figure(4.6, 2.9)
    for number, (title, across, up) in enumerate((("from above", 0, 1), ("from the side", 0, 2)), start=1):
        axes = figure.add_subplot(1, 2, number)
        frame_axes(axes)
        axes.scatter(points[:, across], points[:, up], s=1.2, c=colours, linewidths=0, rasterized=True)
        _draw_track(axes, eyes[:, [across, up]], -poses[:, :3, 2][:, [across, up]], test, length=0.12 * reach)
        low = middle[[across, up]] - half
        axes.add_patch(
            Rectangle((low[0], low[1]), 2 * half, 2 * half, fill=False, ec=MUTED, ls=(0, (4, 3)), lw=0.9)
        )
        axes.set(
            xlim=(centre[across] - reach, centre[across] + reach),
            ylim=(centre[up] - reach, centre[up] + reach),
            aspect="equal",
        )
        axes.tick_params(labelsize=7)
        axes.set(title=title)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower left", ncols=2, fontsize=8)
    return figure


def _draw_track(axes: Axes, eyes: Array, views: Array, test: NDArray[np.bool_], *, length: float) -> None:
    """Cameras as dots with a line in the direction of view; a thin line joins them in order."""
    axes.plot(*eyes.T, color=COLOURS[0], linewidth=0.6, alpha=0.35)
    for chosen, colour, label in ((~test, COLOURS[0], "training"), (test, COLOURS[1], "held out")):
        ends = eyes[chosen] + length * views[chosen]
        axes.plot(*np.stack([eyes[chosen], ends]).transpose(2, 0, 1), color=colour, linewidth=0.8)
        axes.scatter(
            eyes[chosen, 0], eyes[chosen, 1], s=9, color=colour, label=f"{label} ({chosen.sum()})", zorder=3
        )


def read_matches(database: Path) -> NDArray[np.int64]:
    """The number of verified matches (n, n) of each pair of a COLMAP database's images, in order of name."""
    with sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro&immutable=1", uri=True) as connection:
        names = dict(connection.execute("SELECT image_id, name FROM images"))
        pairs = connection.execute("SELECT pair_id, rows FROM two_view_geometries WHERE rows > 0").fetchall()
    connection.close()
    ordered = sorted(names, key=lambda number: natural_order(names[number]))
    place = {number: place for place, number in enumerate(ordered)}
    matches = np.zeros((len(names), len(names)), np.int64)
    for pair, rows in pairs:
        first, second = place[pair // PAIR_BASE], place[pair % PAIR_BASE]
        matches[first, second] = matches[second, first] = rows
    return matches


def matches_figure(matches: NDArray[np.int64]) -> Figure:
    """The matrix of `read_matches`; pairs without a match stay white."""
    figure = new_figure(4.6, 3.9)
    axes = figure.add_subplot()
    frame_axes(axes)
    shown = np.ma.masked_equal(matches, 0)
    image = axes.imshow(shown, cmap="viridis_r", norm="log" if shown.count() else None, interpolation="none")
    if shown.count():
        bar = figure.colorbar(image, ax=axes, shrink=0.85, format="{x:,.0f}")
        bar.ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        bar.ax.minorticks_off()
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=7)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    axes.set(title="Verified matches of each pair", xlabel="image", ylabel="image")
    return figure
