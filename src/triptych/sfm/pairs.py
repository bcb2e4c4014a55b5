"""Which pairs of images are matched: all, or neighbours in order of name and images that look alike.

Two images look alike if their VLAD descriptors do: Jégou et al., "Aggregating local descriptors into a
compact image representation", CVPR 2010. The vocabulary is made from the images themselves.
"""

from typing import Literal

import numpy as np
import pycolmap
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2, vq

from triptych.workflow.progress import format_seconds
from triptych.workflow.seeds import numpy_generator

Matcher = Literal["auto", "exhaustive", "sequential"]

BLOCK = 10  # the pairs of BLOCK x BLOCK images are matched in one call of COLMAP
# CPU seconds to match and verify a pair of images with 1000 features each, on an AMD Zen 5. With 1900 they
# are 0.023, with 3150 0.041.
SECONDS_PER_PAIR, EXPONENT = 0.011, 1.15
# Matching takes all pairs if two cores need no longer; the same two for any machine, so that results agree.
EXHAUSTIVE_SECONDS, REFERENCE_CORES = 20 * 60, 2

WORDS = 32  # of the vocabulary
WORD_FEATURES = 20_000  # features from which it is made, over all images
IMAGE_FEATURES = 1000  # of an image, those of the largest scale
ALIKE = 10  # similar images that each image is matched with

Pair = tuple[int, int]


def matching_seconds(pairs: int, features: float, threads: int) -> float:
    """An estimate of the seconds that so many pairs take, with `features` per image."""
    return pairs * SECONDS_PER_PAIR * (features / 1000) ** EXPONENT / threads


def choose_matcher(matcher: Matcher, images: int, features: float) -> Matcher:
    """`exhaustive` or `sequential` for `auto`, by the estimated time of all pairs; else what was given."""
    if matcher != "auto":
        return matcher
    seconds = matching_seconds(images * (images - 1) // 2, features, REFERENCE_CORES)
    return "exhaustive" if seconds <= EXHAUSTIVE_SECONDS else "sequential"


def describe_plan(matcher: Matcher, pairs: int, features: float, threads: int) -> str:
    """What is matched and about how long it takes, for the log."""
    which = "all pairs" if matcher == "exhaustive" else "neighbours, and images that look alike"
    seconds = format_seconds(matching_seconds(pairs, features, threads))
    return f"matching {which}: {pairs:,} pairs, about {seconds} on {threads} threads"


def image_pairs(
    images: int, *, matcher: Matcher, overlap: int, alike: list[Pair] | None = None
) -> list[Pair]:
    """Positions (first < second) of the pairs to match, ordered in blocks of images that stay in memory.

    Exhaustive: every pair. Sequential: each image with the next `overlap`, with those 2, 4, 8, ... up to
    2^(overlap - 1) further on, and the pairs in `alike`, which close loops.
    """
    if matcher == "exhaustive":
        pairs = {(first, second) for second in range(images) for first in range(second)}
    else:
        steps = set(range(1, overlap + 1)) | {2**power for power in range(min(overlap, 30))}
        pairs = {(first, first + step) for step in steps for first in range(images - step)}
        pairs |= set(alike or [])
    return sorted(pairs, key=lambda pair: (pair[0] // BLOCK, pair[1] // BLOCK, pair))


def _large_features(database: pycolmap.Database, image: int) -> NDArray[np.float32]:
    """Descriptors (n, 128) of an image's largest features, with unit length."""
    keypoints = np.asarray(database.read_keypoints(image), np.float32).reshape(-1, 6)
    scale = np.abs(keypoints[:, 2] * keypoints[:, 5] - keypoints[:, 3] * keypoints[:, 4])
    largest = np.argsort(-scale, kind="stable")[:IMAGE_FEATURES]
    descriptors = np.asarray(database.read_descriptors(image).data, np.float32).reshape(-1, 128)[largest]
    return descriptors / np.maximum(np.linalg.norm(descriptors, axis=1, keepdims=True), 1)


def _vlad(features: NDArray[np.float32], words: NDArray[np.float32]) -> NDArray[np.float32]:
    """The image's descriptor (words * 128,): residuals summed by word, normalised by word and in all."""
    residuals = np.zeros_like(words)
    if len(features):
        nearest, _ = vq(features, words)
        np.add.at(residuals, nearest, features - words[nearest])
    residuals /= np.maximum(np.linalg.norm(residuals, axis=1, keepdims=True), 1e-9)
    return np.asarray(residuals.ravel() / max(float(np.linalg.norm(residuals)), 1e-9), np.float32)


def images_alike(database: pycolmap.Database, images: list[int], *, beyond: int, seed: int) -> list[Pair]:
    """Each image with the `ALIKE` most similar of those more than `beyond` positions away.

    Returns pairs of positions in `images` (image ids of a database with features, in order), first < second.
    """
    rng = numpy_generator("vocabulary", seed)
    share = max(WORD_FEATURES // len(images), 1)
    sample = [
        features[rng.permutation(len(features))[:share]]
        for features in (_large_features(database, image) for image in images)
    ]
    words, _ = kmeans2(np.concatenate(sample), WORDS, minit="points", rng=rng)
    vectors = np.stack([_vlad(_large_features(database, image), words) for image in images])
    pairs: set[Pair] = set()
    for first, vector in enumerate(vectors):
        # rounded: the last bits depend on the number of threads
        similarity = np.round(vectors @ vector, 4)
        similarity[max(first - beyond, 0) : first + beyond + 1] = -1
        for second in np.argsort(-similarity, kind="stable")[:ALIKE].tolist():
            if similarity[second] > 0:
                pairs.add((min(first, second), max(first, second)))
    return sorted(pairs)
