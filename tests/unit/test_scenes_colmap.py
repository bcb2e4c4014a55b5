"""COLMAP's models as scenes: of any lens, binary or text, with the images wherever they are."""

import shutil
import struct
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from PIL import Image
from test_scenes_import import take as take_scene

from triptych.scenes.colmap_files import colmap_fingerprint
from triptych.scenes.sparse_points import read_points
from triptych.workflow.errors import TriptychError

WIDTH, HEIGHT = 120, 90
LENSES = {
    "SIMPLE_PINHOLE": [100, 60, 45],
    "SIMPLE_RADIAL": [100, 61, 44, 0.05],
    "OPENCV": [100, 101, 60, 45, 0.05, -0.02, 0.003, -0.001],
    "RADIAL_FISHEYE": [60, 60, 45, 0.02, -0.01],
    "OPENCV_FISHEYE": [60, 61, 60, 45, 0.02, -0.01, 0.003, 0.001],
    "FULL_OPENCV": [100, 101, 60, 45, -0.1, 0.02, 0.001, -0.001, 0.01, 0, 0, 0],
    "FOV": [90, 90, 60, 45, 0.8],
    "THIN_PRISM_FISHEYE": [70, 70, 60, 45, 0.02, 0.01, 0.001, 0, 0, 0, 0.001, 0],
    "EUCM": [90, 90, 60, 45, 0.3, 1.0],
}


def coordinates_picture() -> Image.Image:
    """An image whose red and green are the coordinates of its pixels, doubled."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return Image.fromarray(np.stack([2 * columns, 2 * rows, 0 * rows], axis=-1).astype(np.uint8))


def write_project(
    folder: Path, model: str = "OPENCV", *, text: bool = False, names: Sequence[str] = ()
) -> pycolmap.Reconstruction:
    """A project with `images/` and `sparse/0/`: five cameras that look at 40 points around the origin."""
    made = pycolmap.Reconstruction()
    camera = pycolmap.Camera(camera_id=1, model=model, width=WIDTH, height=HEIGHT, params=LENSES[model])
    made.add_camera_with_trivial_rig(camera)
    names = names or [f"im_{number}.png" for number in (1, 2, 9, 10, 11)]
    for number, name in enumerate(names, start=1):
        turn = pycolmap.Rotation3d(np.array([0.0, 0.6 * number, 0.0]))
        pose = pycolmap.Rigid3d(turn, np.array([0.1, 0.2, 5.0]))
        made.add_image_with_trivial_frame(pycolmap.Image(name=name, camera_id=1, image_id=number), pose)
        (folder / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        coordinates_picture().save(folder / "images" / name)
    rng = np.random.default_rng(0)
    for point in rng.normal(size=(40, 3)) / 3:
        made.add_point3D(point, pycolmap.Track(), rng.integers(0, 255, 3).astype(np.uint8))
    (folder / "sparse/0").mkdir(parents=True)
    (made.write_text if text else made.write_binary)(folder / "sparse/0")
    return made


take = partial(take_scene, colmap=True)


@pytest.mark.parametrize("model", LENSES)
def test_points_appear_where_the_model_sees_them(tmp_path: Path, model: str) -> None:
    """Projected into the imported image, a point has the colour of the pixel where the model sees it."""
    made = write_project(tmp_path / "given", model)
    scene = take(tmp_path / "given", tmp_path / "results")
    assert scene.names == ["im_1", "im_2", "im_9", "im_10", "im_11"] and scene.aabb_scale == 4
    cloud = read_points(tmp_path / "results/sparse.ply")
    assert cloud is not None
    by_colour = {tuple(point.color): point.xyz for point in made.points3D.values()}
    originals = [by_colour[tuple(colour)] for colour in cloud.colours]
    cube = scene.cameras.position.new_tensor(cloud.points * 0.33 + 0.5)
    seen = 0
    for index, name in enumerate(scene.names):
        image = next(image for image in made.images.values() if image.name == f"{name}.png")
        pixels = np.array(Image.open(scene.files[index]))
        found, _ = scene.cameras.project(index, cube)
        for point, original in zip(found.tolist(), originals, strict=True):
            expected = image.project_point(original)
            x, y = int(point[0]), int(point[1])
            if expected is None or not (0 <= x < pixels.shape[1] and 0 <= y < pixels.shape[0]):
                continue
            seen += 1
            # the pixel that holds the projection came from within two pixels of where the model sees it
            assert np.abs(pixels[y, x, :2] / 2 - expected + 0.5).max() < 2, (name, expected, pixels[y, x])
    assert seen > 60


def test_text_and_binary_give_the_same_scene(tmp_path: Path) -> None:
    write_project(tmp_path / "binary")
    write_project(tmp_path / "text", text=True)
    one, other = (take(tmp_path / name, tmp_path / f"{name}_results") for name in ("binary", "text"))
    assert np.allclose(one.cameras.position, other.cameras.position, atol=1e-6)
    assert np.allclose(one.cameras.rotation, other.cameras.rotation, atol=1e-6)


def test_the_scene_is_centred_and_sized_as_after_structure_from_motion(tmp_path: Path) -> None:
    write_project(tmp_path / "given")
    scene = take(tmp_path / "given", tmp_path / "results")
    distance = (scene.cameras.position - 0.5).norm(dim=1)
    assert float(distance.mean()) == pytest.approx(4 * 0.33, rel=1e-5)


def test_the_model_itself_and_images_in_subfolders_are_found(tmp_path: Path) -> None:
    write_project(tmp_path / "given", names=["left/1.png", "right/1.png", "left/2.png"])
    scene = take(tmp_path / "given/sparse/0", tmp_path / "results")
    assert scene.names == ["frame_0000", "frame_0001", "frame_0002"]


def test_the_largest_of_several_models_is_used_and_the_others_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_project(tmp_path / "given")
    write_project(tmp_path / "small", names=["im_1.png", "im_2.png"])
    shutil.move(tmp_path / "given/sparse/0", tmp_path / "given/sparse/1")
    shutil.copytree(tmp_path / "small/sparse/0", tmp_path / "given/sparse/0")
    assert len(take(tmp_path / "given", tmp_path / "results").names) == 5
    assert "the model sparse/0 of 2 images is not used: sparse/1 has 5" in caplog.text


def test_an_image_that_is_in_the_model_twice_is_used_once(tmp_path: Path) -> None:
    write_project(tmp_path / "given")
    file = tmp_path / "given/sparse/0/images.bin"
    file.write_bytes(file.read_bytes().replace(b"im_9", b"im_1"))
    assert take(tmp_path / "given", tmp_path / "results").names == ["im_1", "im_2", "im_10", "im_11"]


def test_what_cannot_be_used_is_one_clear_line(tmp_path: Path) -> None:
    def message_of(path: Path) -> str:
        with pytest.raises(TriptychError) as caught:
            take(path, tmp_path / "results")
        assert "\n" not in str(caught.value) and not (tmp_path / "results/frames").exists()
        return str(caught.value)

    (tmp_path / "empty").mkdir()
    assert "there is no COLMAP model" in message_of(tmp_path / "empty")
    (tmp_path / "empty/transforms.json").write_text("{}")
    assert "say source: transforms" in message_of(tmp_path / "empty")
    write_project(tmp_path / "given")
    for name in ("cameras.bin", "images.bin", "points3D.bin"):
        file = tmp_path / "given/sparse/0" / name
        kept = file.read_bytes()
        for cut in (0, 7, 20, len(kept) - 5):
            file.write_bytes(kept[:cut])
            assert "sparse/0" in message_of(tmp_path / "given")
        file.write_bytes(kept)
    file = tmp_path / "given/sparse/0/images.bin"
    kept = file.read_bytes()
    file.write_bytes(kept[:12] + struct.pack("<d", float("nan")) + kept[20:])
    assert "a pose of this model is not finite" in message_of(tmp_path / "given")
    file.write_bytes(kept.replace(b"im_9", b"im\xff9"))
    assert "the name of an image is not UTF-8" in message_of(tmp_path / "given")
    file.write_bytes(kept)
    shutil.rmtree(tmp_path / "given/images")
    assert "0 of 5 listed images exist" in message_of(tmp_path / "given")
    assert "put the images, or a link to them, there" in message_of(tmp_path / "given/sparse/0")


def test_edits_of_the_model_and_its_images_show_and_other_files_do_not(tmp_path: Path) -> None:
    write_project(tmp_path / "given")
    before = colmap_fingerprint(tmp_path / "given")
    (tmp_path / "given/database.db").write_text("unused")
    (tmp_path / "given/images/notes.txt").write_text("unused")
    assert colmap_fingerprint(tmp_path / "given") == before
    for file in ("sparse/0/points3D.bin", "images/im_9.png"):
        path = tmp_path / "given" / file
        path.write_bytes(path.read_bytes() + b" ")
        assert colmap_fingerprint(tmp_path / "given") != before
        before = colmap_fingerprint(tmp_path / "given")
