"""Knobs of the data sets, by source."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from triptych.config.knobs import (
    MIN_SIDE,
    AutoSide,
    FilePath,
    InputPath,
    Integer,
    Matching,
    Natural,
    Number,
    PathBelow,
    Positive,
    Section,
    Text,
    knob,
)

Address = Annotated[Text, Matching("https?://.*", "an address that begins with http:// or https://")]


class Source(Section):
    """A data set. null means the default, so that a preset can undo a key of another source."""

    @model_validator(mode="before")
    @classmethod
    def _drop_null(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        return {key: value for key, value in given.items() if value is not None or key not in all_keys()}


class Images(Source):
    """A source of which a subset may be kept."""

    train_size: Positive | None = knob(None, "number of training images to keep, class by class; null: all")
    test_size: Positive | None = knob(None, "number of test images to keep, class by class; null: all")
    seed: Natural = knob(0, "seed of the split and of the choice of kept images")


class Checked(Images):
    """An archive that is checked by its hashes."""

    sha256: Annotated[Text, Matching("[0-9a-fA-F]{64}", "64 hexadecimal digits")] | None = knob(
        None, "hash of the archive; null: the official one, or unchecked for source archive"
    )
    md5: Annotated[Text, Matching("[0-9a-fA-F]{32}", "32 hexadecimal digits")] | None = knob(
        None, "likewise; if one of the two is given, the official ones do not apply"
    )


class Cifar(Checked):
    """The official archive of CIFAR-10 or CIFAR-100, downloaded and checked."""

    source: Literal["cifar10", "cifar100"] = knob(..., "the official archive, downloaded and checked")
    mirrors: Annotated[list[Address], Field(min_length=1)] | None = knob(
        None, "addresses, tried in this order; null: the built-in ones"
    )


class Archive(Checked):
    """The official archive, if you have it already."""

    source: Literal["archive"] = knob(..., "the official archive, if you have it already")
    path: InputPath | None = knob(None, "the .tar.gz, or its unpacked folder")


class Folder(Images):
    """Your own images, in one folder per class, with labels in a csv file, or without labels."""

    source: Literal["folder"] = knob(..., "your own images")
    path: FilePath | None = knob(
        None, "folder with train/ and, optionally, val/ and test/; or with the images themselves"
    )
    labels: PathBelow = knob(
        "auto",
        "folders: one per class | none | a csv file in the folder, with the columns file and label | "
        "auto: folders if there are two or more, else none",
    )
    image_size: AutoSide = knob(
        "auto", "side, in pixels; images are cropped to a square and resized; auto: by the images, 32 to 224"
    )
    pack_size: Integer | None = knob(
        None,
        "side, in pixels, at which images are stored and from which crops are resized; null: image_size, "
        "above 64 pixels 8/7 of it if the images have them",
        ge=MIN_SIDE,
        le=1024,
    )
    test_fraction: Number = knob(
        0.2, "fraction of each class held out for testing if there is no test/", gt=0, lt=1
    )

    def _contradiction(self) -> str | None:
        size: Any = self.image_size  # or "auto"
        if self.pack_size is not None and size == "auto":
            return f".pack_size is {self.pack_size}, but image_size is auto; give image_size, too"
        if self.pack_size is not None and self.pack_size < size:
            return f".pack_size is {self.pack_size}, less than image_size, {self.image_size}; raise it"
        return None


class Shapes(Source):
    """Images of ten shapes, drawn by the workflow."""

    source: Literal["shapes"] = knob(..., "drawn by the workflow, 10 classes")
    train: Integer = knob(4000, "training images", ge=10, le=1_000_000)
    test: Integer = knob(1000, "test images", ge=10, le=1_000_000)
    image_size: Integer = knob(32, "side, in pixels", ge=MIN_SIDE, le=512)
    seed: Natural = knob(0, "seed of the drawing")


SOURCES: Mapping[str, type[Source]] = {
    "cifar10": Cifar,
    "cifar100": Cifar,
    "archive": Archive,
    "folder": Folder,
    "shapes": Shapes,
}


def all_keys() -> set[str]:
    """The keys of all sources."""
    return {key for source in SOURCES.values() for key in source.model_fields}


Dataset = Annotated[Cifar | Archive | Folder | Shapes, Field(discriminator="source")]
