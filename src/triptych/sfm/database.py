"""COLMAP's database of features and matches: its counts, and what every use of COLMAP needs."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pycolmap

from triptych.workflow.seeds import derive_seed


class MatchCounts(NamedTuple):
    """Numbers of images, of features over all images, of pairs with matches, and of verified pairs."""

    images: int
    features: int
    matched_pairs: int
    verified_pairs: int

    @property
    def features_per_image(self) -> float:
        """The mean number of features."""
        return self.features / max(self.images, 1)

    def __str__(self) -> str:
        return (
            f"{self.images} images with {self.features_per_image:.0f} features each, "
            f"{self.matched_pairs} pairs with matches, {self.verified_pairs} of them verified"
        )


def count_matches(database: str | Path) -> MatchCounts:
    """Read the counts of a COLMAP database."""
    with pycolmap.Database.open(database) as opened:
        # COLMAP keeps a row for every pair that it tried, even without matches.
        _, matches = opened.read_num_matches()
        _, inliers = opened.read_two_view_geometry_num_inliers()
        pairs = int(np.count_nonzero(matches)), int(np.count_nonzero(inliers))
        return MatchCounts(opened.num_images(), opened.num_keypoints(), *pairs)


def colmap_seed(*parts: int | str) -> int:
    """A seed in COLMAP's range (32 bits; -1 would mean the clock)."""
    return derive_seed(*parts) % 2**31


def quieten() -> None:
    """Let COLMAP print errors only; the log has the rest."""
    pycolmap.logging.minloglevel = pycolmap.logging.ERROR.value
    pycolmap.logging.stderrthreshold = pycolmap.logging.ERROR.value
