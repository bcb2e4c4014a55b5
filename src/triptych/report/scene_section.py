"""Part III of the page, one scene at a time."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from triptych.report.embed import Picture, embed_film, embed_picture
from triptych.report.overview import duration
from triptych.report.results import Result, read_history, read_result
from triptych.report.scene_figures import kept_frames
from triptych.report.sections import Drawing, Headline, drawing

SHOWN_VIEWS = 6
Fact = tuple[str, str, str]  # name, value, source


@dataclass(frozen=True)
class View:
    """A held-out view: photograph, rendering, depth, normals."""

    name: str
    psnr: float
    ssim: float
    truth: Picture
    render: Picture
    depth: Picture
    normal: Picture


@dataclass(frozen=True)
class Scene:
    """One reconstructed scene, ready for the template."""

    name: str
    headline: Headline
    results: list[Result]
    facts: list[Fact]
    film: str
    views: list[View]
    all_views: int
    drawings: list[Drawing]


def evenly(count: int, most: int) -> list[int]:
    """At most `most` indices spread over range(count), ends included."""
    if count <= most:
        return list(range(count))
    return [round(index * (count - 1) / (most - 1)) for index in range(most)]


def _view(scene: Path, view: Mapping[str, Any]) -> View:
    return View(
        name=str(view["name"]),
        psnr=float(view["psnr"]),
        ssim=float(view["ssim"]),
        truth=embed_picture(scene / str(view["truth"])),
        render=embed_picture(scene / str(view["render"])),
        depth=embed_picture(scene / str(view["depth"])),
        normal=embed_picture(scene / str(view["normal"])),
    )


def _found_facts(poses: Result, kept: pd.Series) -> list[tuple[str, str]]:
    """About poses by structure from motion, from frames of which `kept` (bool) were used."""
    return [
        ("Frames kept", f"{kept.sum()} of {len(kept)}"),
        ("Images registered", f"{poses.values['registered']} of {poses.values['images']}"),
        ("Reprojection error", f"{poses.number('mean_reprojection_error'):.2f} px"),
        ("Points", f"{int(poses.number('points')):,}"),
        ("Mean track length", f"{poses.number('mean_track_length'):.1f} images"),
        ("Matching", f"{poses.values['matcher']}, {poses.values['verified_pairs']:,} pairs"),
    ]


def _given_facts(_: Result, kept: pd.Series) -> list[tuple[str, str]]:
    """About poses that came with the images, of which `kept` (bool) exist."""
    return [("Images", f"{kept.sum()} of {len(kept)}"), ("Poses", "given with the images")]


def _error_facts(error: Result, _: pd.Series) -> list[tuple[str, str]]:
    """About poses beside the true ones."""
    return [
        ("Rotation error, median", f"{error.number('median_rotation_degrees'):.3f}°"),
        ("Position error, median", f"{error.number('median_position_percent'):.3f} % of span"),
    ]


def scene_section(
    name: str,
    *,
    frames: str | Path,
    radiance: str | Path,
    views: str | Path,
    film: str | Path,
    training: str | Path,
    sfm: str | Path | None = None,
    sharpness: str | Path | None = None,
    pose_error: str | Path | None = None,
    imported: str | Path | None = None,
) -> Scene:
    """A scene of part III from its files.

    A scene whose poses were found has `sfm` and the figure `sharpness`, one whose poses were known has
    `imported`, its transforms.json; `training` is a figure, too.
    """
    kept = kept_frames(read_history(frames))
    results: list[Result] = []
    facts: list[Fact] = []
    drawings: list[Drawing] = []
    for path, describe in ((imported, _given_facts), (sfm, _found_facts), (pose_error, _error_facts)):
        if path is not None:
            result = read_result(path)
            results.append(result)
            facts += [(label, value, result.source) for label, value in describe(result, kept)]
    if sharpness is not None:
        drawings.append(
            drawing(
                sharpness,
                caption="Sharpness of every frame of the film; the filled ones were kept.",
                description=f"Sharpness of the frames of {name}",
            )
        )
    field_, shown = read_result(radiance), read_result(views)
    facts += [
        ("Radiance field trained in", duration(field_.number("training_seconds")), field_.source),
        ("Training steps", f"{int(field_.number('steps')):,}", field_.source),
        ("Held-out PSNR", f"{shown.number('psnr'):.2f} dB", shown.source),
        ("Held-out SSIM", f"{shown.number('ssim'):.3f}", shown.source),
    ]
    chosen = [shown.values["views"][index] for index in evenly(len(shown.values["views"]), SHOWN_VIEWS)]
    drawings.append(
        drawing(
            training,
            caption="Reconstruction quality on training rays and on held-out views.",
            description=f"PSNR of {name} while training",
        )
    )
    return Scene(
        name=name,
        headline=Headline(f"{shown.number('psnr'):.1f}", "dB", f"held-out PSNR, {name}", shown.source),
        results=[*results, field_, shown],
        facts=facts,
        film=embed_film(Path(film)),
        views=[_view(Path(views).parent, view) for view in chosen],
        all_views=len(shown.values["views"]),
        drawings=drawings,
    )
