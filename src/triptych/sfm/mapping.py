"""Structure from motion from verified matches: camera poses and 3D points."""

import logging
import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pycolmap

from triptych.data.image_files import natural_order
from triptych.sfm.attempts import LONGEST_RETRY, MIN_REGISTERED, Attempt, attempts, run_mapper
from triptych.sfm.database import MatchCounts, colmap_seed, count_matches, quieten
from triptych.sfm.diagnosis import Diagnosis, advise, diagnose, has_still_background, is_hopeless
from triptych.sfm.double_images import DoubleImages, find_double_images
from triptych.sfm.held_out import held_out_names, register_held_out
from triptych.sfm.lens import refine
from triptych.sfm.matching import match_features
from triptych.sfm.models import describe, file_ranges, largest_first, merge_models, registered_names
from triptych.sfm.pairs import choose_matcher
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import atomic_folder, scratch_folder
from triptych.workflow.progress import format_seconds

log = logging.getLogger("triptych")

ENOUGH = 0.9  # of the images have a pose: no other attempt is made
HALF = 0.5
STARTS = 8  # times that an attempt is made, from other images, while its model shows something twice


@dataclass
class _Outcome:
    """An attempt, its models (the largest first), and the database that it used."""

    attempt: Attempt
    models: list[pycolmap.Reconstruction]
    database: Path
    counts: MatchCounts
    principal_points: dict[int, str]
    double: DoubleImages

    @property
    def registered(self) -> int:
        return self.models[0].num_reg_images() if self.models else 0

    @property
    def quality(self) -> tuple[bool, int, int]:
        """The larger, the better."""
        return not self.double.found, self.registered, -len(self.double.apart)

    def summary(self) -> dict[str, Any]:
        """Its entry in sfm.json."""
        found = {"points": 0, "mean_reprojection_error": None}
        if self.models:
            found = {key: describe(self.models[0])[key] for key in found}
        return {
            "attempt": self.attempt.title,
            "registered": self.registered,
            "models": [model.num_reg_images() for model in self.models],
            **found,
            "features_per_image": self.counts.features_per_image,
            "verified_pairs": self.counts.verified_pairs,
            "double_images": len(self.double.apart),
        }


def _attempt(
    attempt: Attempt,
    images: str | Path,
    database: Path,
    scratch: Path,
    *,
    names: list[str],
    settings: Mapping[str, Any],
    masks: str | Path | None,
    threads: int,
) -> _Outcome:
    """Make an attempt; `database` has the matches of the first one and stays as it is."""
    scratch.mkdir()
    seed = settings["seed"]
    # COLMAP writes to every database that it opens, and Snakemake would see a changed input.
    used = scratch / "database.db"
    if attempt.matching is None:
        shutil.copy(database, used)
    else:
        keys = ("matcher", "overlap", "max_image_size", "max_features", "first_octave")
        recipe = {**{key: settings[key] for key in keys}, **attempt.matching}
        match_features(images, used, **recipe, seed=seed, masks=masks, threads=threads)
    found = run_mapper(attempt, used, images, scratch, names=names, seed=seed)
    models = largest_first({number: model for number, model in found.items() if model.num_points3D()})
    models = merge_models(models, used, images, seed=colmap_seed("merging", seed))
    notes: dict[int, str] = {}
    if models:
        models[0], notes = refine(models[0])
        if not math.isfinite(models[0].compute_mean_reprojection_error()):
            log.warning("%s: bundle adjustment diverged", attempt.title)
            models = []
    double = find_double_images(models[0]) if models else DoubleImages(0, [])
    return _Outcome(attempt, models, used, count_matches(used), notes, double)


def _advice(found: Diagnosis, models: list[dict[str, Any]]) -> str:
    """What to do about images without a pose."""
    if len(models) > 1 and not is_hopeless(found) and not has_still_background(found):
        parts = "; ".join(f"{model['images']} images: {model['files']}" for model in models)
        return (
            f"the images fall into {len(models)} parts that do not fit together ({parts}): add images that "
            "connect them, or make a scene of each"
        )
    return advise(found)


def map_scene(
    images: str | Path,
    database: str | Path,
    folder: str | Path,
    *,
    settings: Mapping[str, Any],
    masks: str | Path | None = None,
    holdout: int | None = None,
    threads: int = 1,
) -> dict[str, Any]:
    """Find camera poses and points, and write the largest model in COLMAP's binary format.

    While fewer than 90 % of the images get a pose, it is tried again with other settings (see `attempts`),
    unless the matches show that none can help. A model that shows something twice is tried again from other
    images. Of those that do not, the attempt that places most images counts. Every `holdout`-th
    image takes no part and is registered afterwards (None: all take part). Raises `TriptychError` if no
    model, or only one of fewer than three images, can be made.

    Returns:
        images, registered, points, observations, mean_reprojection_error in pixels, mean_track_length, camera
        (of the first lens; `cameras` has all), principal_points (what happened to them), verified_pairs,
        matcher, models (`images` and `files` of each), without_pose (names), attempts, still_background (see
        `Diagnosis`), advice (None if enough images have a pose before nothing that stands still), held_out
        (names, with `holdout`).
    """
    quieten()
    images, database = Path(images), Path(database)
    with scratch_folder(folder) as scratch, atomic_folder(folder) as temporary:
        copy = Path(shutil.copy(database, scratch / "all.db"))
        with pycolmap.Database.open(copy) as opened:
            every = sorted((image.name for image in opened.read_all_images()), key=natural_order)
        held_out = held_out_names(every, holdout) if holdout else []
        names = [name for name in every if name not in set(held_out)]
        found, counts = diagnose(copy), count_matches(copy)
        best, tried = _reconstruct(
            images, copy, scratch, found, names=names, settings=settings, masks=masks, threads=threads
        )
        models = [
            {"images": model.num_reg_images(), "files": file_ranges(registered_names(model), every)}
            for model in best.models
        ]
        few = best.registered < ENOUGH * len(names)
        wrong = has_still_background(found) or best.double.found
        advice = _advice(found, models) if few or has_still_background(found) else None
        if best.double.found:
            advice = f"{best.double.advice}; {advice}" if advice else best.double.advice
        if best.registered < MIN_REGISTERED:
            placed = "no two images to start from" if not best.models else f"only {best.registered} images"
            raise TriptychError(f"{images}: mapping found {placed} ({counts}); {advice}")
        if is_hopeless(found):
            raise TriptychError(f"{images}: all poses would be wrong ({counts}); {advise(found)}")
        model = best.models[0]
        if advice:
            loud = "LESS THAN HALF: " if best.registered < HALF * len(names) else ""
            loud += "POSES ARE PROBABLY WRONG: " if wrong else ""
            log.warning(
                "%s: %s%d of %d images have a pose; %s", images, loud, best.registered, len(names), advice
            )
        if held_out:
            placed_later = register_held_out(model, best.database, held_out, seed=settings["seed"])
            log.info("%d of %d held-out images registered afterwards", len(placed_later), len(held_out))
        model.write_binary(temporary)
        poses = set(registered_names(model))
        return {
            "images": len(every),
            **describe(model),
            "principal_points": [best.principal_points[number] for number in sorted(model.cameras)],
            "verified_pairs": best.counts.verified_pairs,
            "matcher": choose_matcher(settings["matcher"], counts.images, counts.features_per_image),
            "models": models,
            "without_pose": [name for name in every if name not in poses],
            "attempts": tried,
            "still_background": found.still_background,
            "advice": advice,
            **({"held_out": held_out} if held_out else {}),
        }


def _reconstruct(
    images: Path, database: Path, scratch: Path, found: Diagnosis, *, names: list[str], **options: Any
) -> tuple[_Outcome, list[dict[str, Any]]]:
    """The best outcome, and a summary of each attempt."""
    best: _Outcome | None = None
    tried: list[dict[str, Any]] = []
    ladder = attempts(options["settings"], found.counts)
    while ladder:
        attempt = ladder.pop(0)
        enough = best is not None and best.registered >= ENOUGH * len(names)
        if best is not None and (is_hopeless(found) or (enough and not attempt.restart)):
            break
        if attempt.seconds > LONGEST_RETRY:
            reason = f"matching would take about {format_seconds(attempt.seconds)} on two cores"
            tried.append({"attempt": attempt.title, "skipped": reason})
            continue
        if best is not None:
            log.info("%d of %d images have a pose; trying: %s", best.registered, len(names), attempt.title)
        outcome = _attempt(attempt, images, database, scratch / str(len(tried)), names=names, **options)
        tried.append(outcome.summary())
        if best is None or outcome.quality > best.quality:
            best = outcome
        if outcome.double.found and attempt.matching is None and attempt.restart < STARTS - 1:
            log.info("%s: %s", attempt.title, outcome.double.advice)
            ladder.insert(0, attempt._replace(restart=attempt.restart + 1))
    assert best is not None
    for summary in tried:
        summary["chosen"] = summary["attempt"] == best.attempt.title
    return best, tried
