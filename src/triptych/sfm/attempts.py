"""Attempts at a reconstruction: as configured, then with other settings while too few images have a pose."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pycolmap

from triptych.sfm.database import MatchCounts, colmap_seed
from triptych.sfm.features import PEAK_THRESHOLD
from triptych.sfm.lens import simplify_lenses
from triptych.sfm.pairs import REFERENCE_CORES, choose_matcher, matching_seconds
from triptych.workflow.progress import Progress

Mapper = Literal["incremental", "global"]

MIN_REGISTERED = 3
LONGEST_RETRY = 60 * 60  # seconds of matching on two cores, estimated, that an attempt may take
# How many times as many features an attempt with more features is expected to find.
MORE = 3


class Attempt(NamedTuple):
    """Settings of an attempt."""

    name: str  # what is different from the settings of the config
    mapper: Mapper  # see `config.reconstruction.SfM`
    # lenses of one focal length and one coefficient while the model grows; pairs with a short baseline may
    # start it, and few matches suffice to continue
    tolerant: bool = False
    # changed arguments of `match_features`; None: the matches of the first attempt
    matching: Mapping[str, Any] | None = None
    pairs: int = 0  # of the new matches, estimated
    features: float = 0  # of the new matches, estimated
    restart: int = 0  # changes the seed

    @property
    def seconds(self) -> float:
        """Estimated seconds of matching on two cores."""
        return matching_seconds(self.pairs, self.features, REFERENCE_CORES) if self.matching else 0.0

    @property
    def title(self) -> str:
        """Its name, and which start from other images it is."""
        return f"{self.name}, start {self.restart + 1}" if self.restart else self.name


def attempts(settings: Mapping[str, Any], counts: MatchCounts) -> list[Attempt]:
    """The attempts for a scene, cheap ones first, by the settings of `SfM` and the matches made with them."""
    mapper: Mapper = settings["mapper"]
    other: Mapper = "global" if mapper == "incremental" else "incremental"
    features = counts.features_per_image
    every = counts.images * (counts.images - 1) // 2
    matcher = choose_matcher(settings["matcher"], counts.images, features)
    pairs = every if matcher == "exhaustive" else min(every, 3 * settings["overlap"] * counts.images)
    denser = {"guided": True} if matcher == "exhaustive" else {"matcher": "exhaustive"}
    more = {
        "first_octave": -1,
        "max_features": 2 * settings["max_features"],
        "peak_threshold": PEAK_THRESHOLD / 2,
    }
    return [
        Attempt("as configured", mapper),
        Attempt("simple lens, relaxed start", "incremental", True),
        Attempt(f"{other} mapper", other, other == "incremental"),
        Attempt("denser matching", "incremental", True, denser, every, features),
        Attempt("more features", "incremental", True, more, pairs, MORE * features),
        Attempt("affine features", "incremental", True, {**more, "affine": True}, pairs, MORE * features),
    ]


class Growth:
    """Progress of mapping: the number of images of the largest model so far."""

    def __init__(self, progress: Progress) -> None:
        self.progress, self.images = progress, 0

    def start(self) -> None:
        """A model begins with two images."""
        self.images = 1
        self.add()

    def add(self) -> None:
        """Another image is registered."""
        # COLMAP removes images that fit badly, and registers them again
        self.images = min(self.images + 1, self.progress.total)
        if self.images > self.progress.count:
            self.progress.update(self.images - self.progress.count)


def run_mapper(
    attempt: Attempt, database: Path, images: str | Path, scratch: str | Path, *, names: list[str], seed: int
) -> dict[int, pycolmap.Reconstruction]:
    """COLMAP's models of the images `names`, made in the empty folder `scratch`.

    The lenses of the database may be simplified. COLMAP runs in one thread: with more, poses would depend on
    their number, and a scene of fifty images gains nothing (the bundle adjustment uses several threads from
    50,000 residuals on).
    """
    simplify_lenses(database, everywhere=attempt.tolerant)
    start = colmap_seed("mapping", seed, *([attempt.restart] if attempt.restart else []))
    if attempt.mapper == "global":
        pycolmap.calibrate_view_graph(database)
        options = pycolmap.GlobalPipelineOptions()
        options.num_threads = options.mapper.num_threads = 1
        options.random_seed = options.mapper.random_seed = start
        options.min_model_size, options.image_names = MIN_REGISTERED, names
        adjustment = options.mapper.bundle_adjustment.ceres
        adjustment.use_gpu = options.mapper.global_positioning.use_gpu = pycolmap.has_cuda
        adjustment.solver_options.num_threads = 1
        return dict(pycolmap.global_mapping(database, images, scratch, options=options))
    incremental = pycolmap.IncrementalPipelineOptions()
    incremental.num_threads = 1
    incremental.random_seed = start
    incremental.min_model_size, incremental.image_names = MIN_REGISTERED, names
    if attempt.tolerant:
        incremental.mapper.init_min_tri_angle = 6.0
        incremental.mapper.init_min_num_inliers = 50
        incremental.mapper.abs_pose_min_num_inliers = 15
    with Progress(len(names), f"mapping ({attempt.title})", unit="image") as progress:
        growth = Growth(progress)
        report: dict[str, Any] = {
            "initial_image_pair_callback": growth.start,
            "next_image_callback": growth.add,
        }
        return dict(pycolmap.incremental_mapping(database, images, scratch, options=incremental, **report))
