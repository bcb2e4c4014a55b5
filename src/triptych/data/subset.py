"""Smaller versions of a data set, with its proportions of the classes."""

from dataclasses import replace

from triptych.data.packed import LabelledImages
from triptych.data.splits import stratified_subset
from triptych.workflow.errors import TriptychError


def take_subset(
    images: LabelledImages, *, train_size: int | None, test_size: int | None, seed: int
) -> LabelledImages:
    """Keep `train_size` and `test_size` images (None: all), drawn class by class from `seed`.

    Raises:
        TriptychError: more images are asked for than there are.
    """
    for part, size in (("train", train_size), ("test", test_size)):
        labels = getattr(images, f"{part}_labels")
        if size is None:
            continue
        if size > len(labels):
            raise TriptychError(f"{part}_size: {size} asked for, but there are {len(labels)} {part} images")
        kept = stratified_subset(labels, size, seed)
        pixels = getattr(images, f"{part}_images")[kept]
        images = replace(images, **{f"{part}_images": pixels, f"{part}_labels": labels[kept]})
    return images
