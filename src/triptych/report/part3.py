"""Part 3, reconstruction: the figures of a scene, and its section of the page."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from triptych.report.answers import reconstruction_answer
from triptych.report.figures import COLOURS, new_figure
from triptych.report.part3_frames import kept_frames, left_out_frames, spread
from triptych.report.part3_pictures import cameras_text
from triptych.report.results import WARNED, Result, duration, read_history, read_result, warnings_of
from triptych.report.sections import Answer, Headline, embed_film, embed_json, embed_picture
from triptych.workflow.provenance import ROOT

PSNR = (
    "PSNR (↑) is −10 log₁₀ of the mean squared error of a held-out view, with colours from 0 to 1. All "
    "pixels count that no mask hides; where masks mean empty space (masked: empty), what they hide counts as "
    "background. The PSNR of a scene is the mean over its held-out views."
)
SHOWN_VIEWS = 6
PICTURES = ("truth", "render", "error", "depth", "normal")  # of a held-out view; instant-ngp has no last two
SIZE = (4.6, 3.1)  # inches
Fact = tuple[str, str, str]  # name, value, source


@dataclass(frozen=True)
class Scene:
    """One reconstructed scene, ready for the template."""

    name: str
    headline: Headline
    results: list[Result]
    facts: list[Fact]
    film: str
    viewer: str  # the command that starts it
    views: list[dict[str, Any]]  # those shown: name, psnr, ssim, and a `Picture` of each of `PICTURES`
    median: int  # which of them is shown first
    all_views: int
    figures: dict[str, Any]  # the SVG files by name (see `drawing`)
    cameras: Markup  # the numbers behind the figure of this name
    held_out: Result  # views.json
    poses: Result | None  # sfm.json

    @property
    def warnings(self) -> list[str]:
        """Those in the logs of its jobs, and the advice of the reconstruction."""
        lines = warnings_of(self.results)
        if self.poses and self.poses.values["advice"] and not self.poses.warnings:
            lines.insert(0, f"{self.poses.source}: {self.poses.values['advice']}.")
        return lines


def scene_section(
    name: str,
    *,
    frames: str | Path,
    radiance: str | Path,
    views: str | Path,
    film: str | Path,
    transforms: str | Path,
    cloud: str | Path,
    sfm: str | Path | None = None,
    pose_error: str | Path | None = None,
    imported: str | Path | None = None,
    warned: Sequence[str | Path] = (),
    **figures: Any,
) -> Scene:
    """A scene of part III from its files.

    Args:
        name: of the scene.
        cloud: the .ply of its sparse points.
        sfm, pose_error: of a scene with estimated poses.
        imported: transforms.json of a scene with given poses.
        warned: results of other jobs, for their warnings and provenance.
        figures: `strips` and `cameras`; as far as they were drawn `sharpness`, `contact_sheet`, `matches`
            and `training`, which is not drawn for a field of instant-ngp.
    """
    manifest = read_history(frames)
    kept = kept_frames(manifest)
    results = [read_result(path) for path in warned]
    facts: list[Fact] = []
    for path, describe in (
        (imported, _given_poses),
        (sfm, _estimated_poses),
        (pose_error, _pose_errors),
        (radiance, _training),
        (views, _quality),
    ):
        if path is not None:
            result = read_result(path)
            results.append(result)
            facts += [(label, value, result.source) for label, value in describe(result, kept).items()]
    if left_out := left_out_frames(manifest):
        facts.insert(1, ("Left out", left_out, facts[0][2]))
    held_out = results[-1]
    rendered = held_out.values["views"]
    shown, median = shown_views([float(view["psnr"]) for view in rendered])
    return Scene(
        name=name,
        headline=Headline(
            f"{held_out.number('psnr'):.1f}",
            "dB",
            f"mean PSNR (↑) of {len(rendered)} held-out views, {name}",
            held_out.source,
        ),
        results=results,
        facts=facts,
        film=embed_film(Path(film)),
        viewer=viewer_command(name),
        views=[_view(Path(views).parent, rendered[index]) for index in shown],
        median=median,
        all_views=len(rendered),
        figures=figures,
        cameras=embed_json(
            cameras_text(
                Path(transforms), cloud=Path(cloud), held_out=[str(view["name"]) for view in rendered]
            )
        ),
        held_out=held_out,
        poses=next((result for result in results if result.path == Path(sfm)), None) if sfm else None,
    )


def scenes_answer(scenes: Sequence[Scene]) -> Answer:
    """The answer of part III, with the warnings of all scenes."""
    return replace(
        reconstruction_answer(
            {scene.name: scene.held_out for scene in scenes},
            {scene.name: scene.poses for scene in scenes if scene.poses},
        ),
        warnings=[line for scene in scenes for line in scene.warnings],
    )


def viewer_command(scene: str, study: Path | None = None) -> str:
    """The command that opens a scene in the viewer, to be run in the project's folder.

    Args:
        scene: its name.
        study: folder of the study; by default the current one.
    """
    study, project = (study or Path()).resolve(), ROOT.resolve()
    folder = study.relative_to(project) if study.is_relative_to(project) else study
    return f"make view SCENE={scene}" + ("" if study == project else f" STUDY={shlex.quote(str(folder))}")


def _estimated_poses(poses: Result, kept: pd.Series) -> dict[str, str]:
    found = poses.values
    registered, images = found["registered"], found["images"]
    held_out = (
        "found afterwards, in the model of the others" if "held_out" in found else "found with all others"
    )
    return {
        "Frames kept": f"{kept.sum()} of {len(kept)}",
        "Images with a pose": f"{registered} of {images}{f' {WARNED}' if found['advice'] else ''}",
        **({"Attempt": chosen_attempt(found["attempts"])} if len(found["attempts"]) > 1 else {}),
        "Poses of held-out images": held_out,
        "Reprojection error": f"{poses.number('mean_reprojection_error'):.2f} px",
        "Points": f"{int(poses.number('points')):,}",
        "Mean track length": f"{poses.number('mean_track_length'):.1f} images",
        "Matching": f"{poses.values['matcher']}, {poses.values['verified_pairs']:,} pairs",
    }


def chosen_attempt(attempts: list[dict[str, Any]]) -> str:
    """The attempt whose poses are used, how many were made, and how many were skipped as too long."""
    chosen = next(one["attempt"] for one in attempts if one.get("chosen"))
    skipped = sum("skipped" in one for one in attempts)
    return f"{chosen}, of {len(attempts) - skipped}" + (f"; {skipped} skipped" if skipped else "")


def _given_poses(_: Result, kept: pd.Series) -> dict[str, str]:
    return {"Images": f"{kept.sum()} of {len(kept)}", "Poses": "given with the images"}


def _pose_errors(error: Result, _: pd.Series) -> dict[str, str]:
    return {
        "Rotation error, median": f"{error.number('median_rotation_degrees'):.3f}°",
        "Position error, median": f"{error.number('median_position_percent'):.3f} % of span",
    }


def _training(field: Result, _: pd.Series) -> dict[str, str]:
    share = field.values.get("rays_in_box")  # instant-ngp does not measure it
    few = f" {WARNED}" if share is not None and share < 0.5 else ""
    crossing = {} if share is None else {"Training rays that cross the box": f"{share:.0%}{few}"}
    return {
        "Backend": str(field.values["backend"]),
        **crossing,
        "Radiance field trained in": duration(field.number("training_seconds")),
        "Training steps": f"{int(field.number('steps')):,}",
    }


def _quality(views: Result, _: pd.Series) -> dict[str, str]:
    return {
        "Mean PSNR of held-out views (↑)": f"{views.number('psnr'):.2f} dB",
        "Mean SSIM of held-out views (↑)": f"{views.number('ssim'):.3f}",
    }


def _view(folder: Path, view: Mapping[str, Any]) -> dict[str, Any]:
    numbers = {"psnr": float(view["psnr"]), "ssim": float(view["ssim"])}
    pictures = {kind: embed_picture(folder / view[kind]) for kind in PICTURES if kind in view}
    return {"name": str(view["name"]), **numbers, **pictures}


def shown_views(psnrs: list[float]) -> tuple[list[int], int]:
    """Which held-out views the page shows, the median one among them, and that one's place in the list."""
    median = sorted(range(len(psnrs)), key=lambda index: psnrs[index])[(len(psnrs) - 1) // 2]
    shown = spread(len(psnrs), SHOWN_VIEWS)
    if median not in shown:  # instead of the nearest one
        shown[min(range(len(shown)), key=lambda place: abs(shown[place] - median))] = median
    return shown, shown.index(median)


def training_figure(history: pd.DataFrame) -> Figure:
    """PSNR (dB) of the radiance field over training time."""
    figure = new_figure(*SIZE)
    axes = figure.add_subplot()
    # Without held-out views there is no such column.
    history = history.reindex(columns=["seconds", "train_psnr", "heldout_psnr"])
    unit, divisor = ("minutes", 60.0) if history["seconds"].max() > 180 else ("seconds", 1.0)
    train = history[["seconds", "train_psnr"]].dropna()
    held_out = history[["seconds", "heldout_psnr"]].dropna()
    axes.plot(train["seconds"] / divisor, train["train_psnr"], color=COLOURS[0], linewidth=1.2, alpha=0.7,
              label="training rays")  # fmt: skip
    axes.plot(held_out["seconds"] / divisor, held_out["heldout_psnr"], color=COLOURS[1], linewidth=1.6,
              marker="o", markersize=3.5, label="held-out views")  # fmt: skip
    axes.set(title="Radiance field: PSNR while training", xlabel=unit, ylabel="dB")
    figure.legend(loc="outside lower left", ncols=2, fontsize=8)
    return figure
