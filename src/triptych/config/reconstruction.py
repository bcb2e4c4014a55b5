"""Knobs of part 3: a scene from its frames to a radiance field, a film and a mesh."""

from typing import Annotated, Literal

from pydantic import Field

from triptych.config.knobs import (
    ONLY_GIVEN,
    UNIQUE,
    Device,
    FilePath,
    Fraction,
    InputPath,
    Integer,
    Natural,
    Number,
    Positive,
    Precision,
    Section,
    Switch,
    Text,
    knob,
)

Point = Annotated[list[Number], Field(min_length=3, max_length=3)]


class Orbit(Section):
    """The film of source orbit: a walk around a rendered still life."""

    width: Integer = knob(400, "in pixels, even", ge=64, le=4096, multiple_of=2)
    height: Integer = knob(300, "in pixels, even", ge=64, le=4096, multiple_of=2)
    frames: Integer = knob(90, "number of frames in the film", ge=3, le=10000)
    fps: Number = knob(15, "frames per second", gt=0, le=240)
    sweep: Number = knob(360, "degrees of the circle around the still life", gt=0, le=360)
    blurred: Number = knob(0.2, "fraction of the frames with motion blur", ge=0, le=0.6)
    seed: Natural = knob(0, "seed of the choice of blurred frames")


class Frames(Section):
    """The choice of frames."""

    fps: Number = knob(
        2, "films: frames to keep per second, the sharpest of each 1/fps seconds", gt=0, le=240
    )
    max_size: Integer | None = knob(None, "maximum longer side, in pixels; null: as filmed", ge=64)
    reject_below: Fraction | None = knob(
        None,
        "reject a frame below this fraction of its neighbours' median sharpness; null: 0.4 for films, else 0",
    )
    neighbours: Integer = knob(4, "number of neighbours on either side", ge=1, le=1000)
    max_frames: Integer | None = knob(
        None,
        "keep at most so many, spread over the camera's motion; null: 500 of a film, all of a folder",
        ge=3,
    )
    include: list[Text | Integer] = knob(
        [], "keep these in any case: numbers, ranges or times as in frames.csv, or file names"
    )
    exclude: list[Text | Integer] = knob(
        [], "leave these out: such as 120, 100-160, 0:12-0:20, 1:30-, IMG_12*.jpg"
    )


class SfM(Section):
    """Structure from motion: features, matches and camera poses, by COLMAP."""

    matcher: Literal["auto", "exhaustive", "sequential"] = knob(
        "auto",
        "auto: every pair, of long scenes as sequential | exhaustive: every pair | sequential: neighbours "
        "and images that look alike",
    )
    overlap: Integer = knob(
        10, "sequential: number of following frames to match each frame with", ge=1, le=1000
    )
    max_image_size: Integer = knob(1200, "maximum longer side for the SIFT features, in pixels", ge=64)
    max_features: Integer = knob(8192, "maximum number of SIFT features per image", ge=16, le=100000)
    first_octave: Literal[-1, 0, 1] | None = knob(
        None,
        "-1 doubles the image (finer, 4 times the work); null: -1 up to 640 pixels or if 0 finds few "
        "features, else 0",
    )
    mapper: Literal["incremental", "global"] = knob(
        "incremental", "incremental: image by image | global: all at once"
    )
    holdout_poses: Literal["joint", "independent"] = knob(
        "joint",
        "poses of held-out images: joint (found with all others) | independent (afterwards, in the model of "
        "the others)",
    )
    seed: Natural = knob(0, "seed of RANSAC")


class Radiance(Section):
    """Training of the radiance field, an Instant-NGP (Müller et al. 2022)."""

    backend: Literal["auto", "triptych", "instant-ngp"] = knob(
        "auto",
        "auto (instant-ngp if instant_ngp.root is given and a GPU is visible) | triptych | instant-ngp",
    )
    seed: Natural = knob(0, "seed of initial values, rays, jitter, backgrounds and occupancy samples")
    device: Device = "auto"
    precision: Literal["auto", "float32", "bfloat16", "float16"] = knob(
        "auto", "auto: bfloat16 where the hardware has it, else float32; float16 is for older GPUs"
    )
    compile: Switch = knob(False, "torch.compile, on a GPU")
    downscale: Integer = knob(2, "train on images of 1/downscale the size", ge=1, le=32)
    holdout: Integer = knob(8, "every holdout-th image is for testing", ge=2)
    steps: Positive | None = knob(5000, "optimizer steps, about five minutes on 2 cores; null: no limit")
    minutes: Number | None = knob(
        None, "time budget, not reproducible bit by bit; the first limit reached counts; null: none", gt=0
    )
    samples_per_step: Integer = knob(
        131072, "samples along rays per step; the number of rays adapts", ge=1024, le=4194304
    )
    levels: Integer = knob(8, "levels of the hash grid", ge=1, le=16)
    features: Integer = knob(4, "features per level", ge=1, le=8)
    log2_table: Integer = knob(
        17, "a level has 2^log2_table entries; 17 fits into the cache of a CPU; use 19 on a GPU", ge=8, le=24
    )
    base_resolution: Integer = knob(16, "resolution of the coarsest level", ge=2, le=512)
    finest_resolution: Integer = knob(
        2048, "resolution of the finest level, times aabb_scale", ge=16, le=8192
    )
    occupancy_resolution: Integer = knob(
        128, "cells per side of the occupancy grid", ge=8, le=256, multiple_of=8
    )
    near: Number = knob(0.1, "distance from the camera at which rays begin, in unit-cube lengths", ge=0)
    background: Literal["random", "black", "white"] = knob(
        "random",
        "random (against holes; pictures: white if the images have alpha, else black) | black | white",
    )
    refine_poses: Switch = knob(False, "also optimize the camera poses")
    refine_exposure: Switch = knob(False, "also optimize an exposure per image and colour channel")
    appearance: Integer = knob(
        0, "size of an embedding of each image's appearance (light, white balance); 0: none", ge=0, le=64
    )
    distortion: Number = knob(
        0.0, "weight of the distortion loss, against floaters and fog; 0.001 is mild, 0.01 strong", ge=0
    )
    learning_rate: Number = knob(0.01, "learning rate of Adam, for the first part of the budget", gt=0)
    final_learning_rate: Number = knob(0.0005, "learning rate at the end, reached by exponential decay", gt=0)
    weight_decay: Number = knob(0.000001, "L2 penalty on the networks, not on the hash grid", ge=0)
    ema: Number = knob(
        0.95, "decay per step of the averaged weights, which are saved and rendered", ge=0, lt=1
    )
    log_every: Positive = knob(50, "steps between rows of the history")
    evaluations: Natural = knob(10, "number of evaluations on held-out images during training")


class InstantNGP(Section):
    """NVlabs' instant-ngp as a backend, where it is built; of `radiance`, it uses downscale and holdout."""

    root: FilePath | None = knob(None, "folder of its checkout, built with Python bindings; null: none")
    python: FilePath = knob("python3", "the Python that the bindings were built for")
    steps: Positive = knob(35000, "training steps")


class Rendering(Section):
    """Pictures of the trained field."""

    device: Device = "auto"
    precision: Precision = "auto"


class HeldOutViews(Rendering):
    """Pictures of the held-out views."""


class Flythrough(Rendering):
    """A film through the scene."""

    path: InputPath | None = knob(
        None, "camera path recorded in the viewer; null: along the cameras of the scene"
    )
    seconds: Number = knob(8, "length; a recorded path has its own seconds and fps", gt=0, le=600)
    fps: Number = knob(15, "frames per second", ge=1, le=120)
    width: Integer | None = knob(
        None,
        "in pixels; null: at most 540, and so small that the film takes no longer than the training",
        ge=16,
        le=3840,
    )
    quality: Integer = knob(20, "H.264 CRF: lower is better and larger", ge=0, le=51)


class Export(Rendering):
    """A mesh and a point cloud for other programs."""

    resolution: Integer = knob(
        256, "mesh: cells along the longest side of the box; 512 takes 8 times the memory", ge=8, le=1024
    )
    density: Number | None = knob(
        None,
        "mesh: density of the surface; lower closes holes, higher removes fog; null: from what cameras see",
        gt=0,
    )
    box: Annotated[list[Point], Field(min_length=2, max_length=2)] | None = knob(
        None, "lowest and highest corner, as in transforms.json: [[-1, -1, 0], [1, 1, 2]]; null: the middle"
    )
    points: Integer = knob(
        200000,
        "pixels that become points, over all cameras; transparent ones are left out",
        ge=1,
        le=20_000_000,
    )
    min_component_fraction: Fraction = knob(
        0.01, "remove parts of the mesh with less than this fraction of the largest part's faces"
    )
    max_faces: Integer = knob(
        400000,
        "mesh: maximum number of triangles, of which 400000 make a .glb of 12 MB",
        ge=4,
        le=100_000_000,
    )

    def _contradiction(self) -> str | None:
        if self.box and any(low >= high for low, high in zip(*self.box, strict=True)):
            return f".box is {self.box}; the lowest corner comes first"
        return None


class SceneSection(Section):
    """A scene. Its sections override single knobs of those under reconstruction."""

    source: Literal["video", "folder", "transforms", "colmap", "orbit"] = knob(
        ...,
        "video | folder (of images) | transforms (known poses) | colmap (a model with its images) | orbit "
        "(the film that the workflow renders)",
    )
    path: FilePath | None = knob(None, "the film, the folder or the transforms.json")
    masks: FilePath | None = knob(
        None, "a folder of masks, named as the images: what is black in them is not reconstructed"
    )
    masked: Literal["ignored", "empty"] = knob(
        "ignored",
        "what masks hide: ignored (people who walk by; it may be anything) | empty (the object alone stays: "
        "for a turntable)",
    )
    reference: InputPath | None = knob(
        None, "a transforms.json with true poses by file name, to compare with"
    )
    aabb_scale: Literal[1, 2, 4, 8, 16, 32, 64, 128] | None = knob(
        None, "side of the field's box: 1 object, 4 room, 16 street; null: 4, or what transforms.json says"
    )
    orbit: Annotated[Orbit, ONLY_GIVEN] = Orbit()
    frames: Annotated[Frames, ONLY_GIVEN] = Frames()
    sfm: Annotated[SfM, ONLY_GIVEN] = SfM()
    radiance: Annotated[Radiance, ONLY_GIVEN] = Radiance()
    instant_ngp: Annotated[InstantNGP, ONLY_GIVEN] = InstantNGP()
    views: Annotated[HeldOutViews, ONLY_GIVEN] = HeldOutViews()
    flythrough: Annotated[Flythrough, ONLY_GIVEN] = Flythrough()
    export: Annotated[Export, ONLY_GIVEN] = Export()


class Reconstruction(Section):
    """Part 3: reconstruction. Settings of all scenes."""

    scenes: Annotated[list[Text], UNIQUE] = knob([], "names under scenes")
    orbit: Orbit = Orbit()
    frames: Frames = Frames()
    sfm: SfM = SfM()
    radiance: Radiance = Radiance()
    instant_ngp: InstantNGP = InstantNGP()
    views: HeldOutViews = HeldOutViews()
    flythrough: Flythrough = Flythrough()
    export: Export = Export()
