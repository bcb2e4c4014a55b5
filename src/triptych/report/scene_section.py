"""Part III of the page, one scene at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from triptych.report.embed import Picture, embed_film, embed_picture
from triptych.report.overview import duration
from triptych.report.results import Result, read_history, read_result
from triptych.report.scene_figures import kept_frames
from triptych.report.sections import Drawing, Headline, drawing

SHOWN_VIEWS = 6


@dataclass(frozen=True)
class View:
    """A held-out view: photograph, rendering, depth."""

    name: str
    psnr: float
    ssim: float
    truth: Picture
    render: Picture
    depth: Picture


@dataclass(frozen=True)
class Scene:
    """One reconstructed scene, ready for the template. Each fact: name, value, source."""

    name: str
    headline: Headline
    results: list[Result]
    facts: list[tuple[str, str, str]]
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
    )


def scene_section(
    name: str,
    *,
    frames: str | Path,
    sfm: str | Path,
    radiance: str | Path,
    views: str | Path,
    film: str | Path,
    figures: Sequence[str | Path],
    pose_error: str | Path | None = None,
) -> Scene:
    """A scene of part III from its files; `figures` are sharpness and training."""
    manifest = read_history(frames)
    poses, field_, shown = read_result(sfm), read_result(radiance), read_result(views)
    facts = [
        ("Frames kept", f"{kept_frames(manifest).sum()} of {len(manifest)}", poses.source),
        ("Images registered", f"{poses.values['registered']} of {poses.values['images']}", poses.source),
        ("Reprojection error", f"{poses.number('mean_reprojection_error'):.2f} px", poses.source),
        ("Points", f"{int(poses.number('points')):,}", poses.source),
        ("Mean track length", f"{poses.number('mean_track_length'):.1f} images", poses.source),
        (
            "Matching",
            f"{poses.values['matcher']}, {poses.values['verified_pairs']:,} pairs",
            poses.source,
        ),
    ]
    results = [poses, field_, shown]
    if pose_error is not None:
        error = read_result(pose_error)
        results.insert(1, error)
        facts += [
            ("Rotation error, median", f"{error.number('median_rotation_degrees'):.3f}°", error.source),
            (
                "Position error, median",
                f"{error.number('median_position_percent'):.3f} % of span",
                error.source,
            ),
        ]
    facts += [
        ("Radiance field trained in", duration(field_.number("training_seconds")), field_.source),
        ("Training steps", f"{int(field_.number('steps')):,}", field_.source),
        ("Held-out PSNR", f"{shown.number('psnr'):.2f} dB", shown.source),
        ("Held-out SSIM", f"{shown.number('ssim'):.3f}", shown.source),
    ]
    chosen = [shown.values["views"][index] for index in evenly(len(shown.values["views"]), SHOWN_VIEWS)]
    sharpness, training = figures
    return Scene(
        name=name,
        headline=Headline(f"{shown.number('psnr'):.1f}", "dB", f"held-out PSNR, {name}", shown.source),
        results=results,
        facts=facts,
        film=embed_film(Path(film)),
        views=[_view(Path(views).parent, view) for view in chosen],
        all_views=len(shown.values["views"]),
        drawings=[
            drawing(
                sharpness,
                caption="Sharpness of every frame of the film; the filled ones were kept.",
                description=f"Sharpness of the frames of {name}",
            ),
            drawing(
                training,
                caption="Reconstruction quality on training rays and on held-out views.",
                description=f"PSNR of {name} while training",
            ),
        ],
    )
