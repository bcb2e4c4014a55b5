"""What this project writes, by the rules of other programs' loaders."""

import json
import struct
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pycolmap
import pytest
from PIL import Image
from sphere_scene import write_ball_scene, write_blender_scene
from test_scenes_colmap import take as take_colmap
from test_scenes_colmap import write_project
from test_scenes_import import take
from test_sfm_scene_frame import model as map_scene

INTRINSICS = ("fl_x", "fl_y", "cx", "cy", "w", "h")
BRUSH_LENSES = (None, "PERSPECTIVE", "OPENCV", "OPENCV_FISHEYE")


def ball(folder: Path) -> Path:
    """Imported photographs, one with a mask, one with a fisheye; their source has no points."""
    source = write_ball_scene(folder / "given", images=4)
    Image.new("L", (40, 40), 255).save(source.parent / "mask.png")
    content = json.loads(source.read_text())
    content["frames"][0]["mask_path"] = "mask.png"
    content["frames"][1] |= {"camera_model": "OPENCV_FISHEYE", "k3": 0.01}
    source.write_text(json.dumps(content))
    take(source, folder)
    return folder


def blender(folder: Path) -> Path:
    """Imported images with a split, whose source has a field of view and no focal length."""
    take(write_blender_scene(folder / "given"), folder)
    return folder


def colmap(folder: Path) -> Path:
    """An imported COLMAP model with points."""
    write_project(folder / "given")
    take_colmap(folder / "given", folder)
    return folder


def mapped(folder: Path) -> Path:
    """Structure from motion."""
    folder.mkdir(exist_ok=True)
    made, _ = map_scene(folder)
    (folder / "frames").mkdir()
    for image in made.images.values():
        (folder / "frames" / image.name).touch()
    return folder


scenes = pytest.mark.parametrize("make", [ball, blender, colmap, mapped])


def read(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "transforms.json").read_text())
    return content


@scenes
def test_instant_ngp(tmp_path: Path, make: Any) -> None:
    """nerf_loader.cu: coefficients of both lens models share memory, and a fisheye is told by its flag."""
    content = read(make(tmp_path))
    assert content["aabb_scale"] in (1, 2, 4, 8, 16, 32, 64, 128)
    for frame in content["frames"]:
        values = content | frame
        others = {"p1", "p2"} if values.get("is_fisheye") else {"k3", "k4"}
        assert not others & values.keys()
        assert bool(values.get("is_fisheye")) == (values["camera_model"] == "OPENCV_FISHEYE")
        assert (tmp_path / frame["file_path"]).is_file()


@scenes
def test_nerfstudio(tmp_path: Path, make: Any) -> None:
    """nerfstudio_dataparser.py: no key only in some frames, masks for all, a split names all its parts."""
    content = read(make(tmp_path))
    frames = content["frames"]
    for key in INTRINSICS:
        assert key in content or all(key in frame for frame in frames)
    assert content["camera_model"] in ("OPENCV", "OPENCV_FISHEYE")
    assert sum("mask_path" in frame for frame in frames) in (0, len(frames))
    lists = [content.get(f"{part}_filenames") for part in ("train", "val", "test")]
    if any(lists):
        names = [frame["file_path"] for frame in frames]
        assert all(part and set(part) <= set(names) for part in lists)


@scenes
def test_opensplat(tmp_path: Path, make: Any) -> None:
    """nerfstudio.cpp: `camera_model` and `ply_file_path` are needed; matrices have four rows."""
    content = read(make(tmp_path))
    assert isinstance(content["camera_model"], str) and content["ply_file_path"]
    assert all(np.shape(frame["transform_matrix"]) == (4, 4) for frame in content["frames"])
    assert all(isinstance((content | frame)[key], int) for frame in content["frames"] for key in "wh")


@scenes
def test_brush(tmp_path: Path, make: Any) -> None:
    """formats/nerfstudio.rs: known names of lenses, existing files; a field of view would override fl_x."""
    content = read(make(tmp_path))
    for frame in content["frames"]:
        values = content | frame
        assert values.get("camera_model") in BRUSH_LENSES
        assert not {"camera_angle_x", "camera_angle_y"} & values.keys()


@pytest.mark.parametrize(("make", "points"), [(colmap, 40), (mapped, 50), (ball, 0)])
def test_points_are_named_and_there(tmp_path: Path, make: Any, points: int) -> None:
    content = read(make(tmp_path))
    header = (tmp_path / "sparse.ply").read_bytes().split(b"end_header")[0]
    assert f"element vertex {points}\n".encode() in header
    # without points of its own, a scene names the cloud of its radiance field, which a later job writes
    assert content["ply_file_path"] == ("sparse.ply" if points else "export/cloud.ply")


def numbers(stream: BinaryIO, layout: str) -> tuple[Any, ...]:
    return struct.unpack(f"<{layout}", stream.read(struct.calcsize(f"<{layout}")))


def read_images_bin(file: Path) -> dict[str, tuple[np.ndarray, int]]:
    """World-to-camera (3, 4) and camera id by name, as 3D Gaussian splatting reads the format."""
    result = {}
    with file.open("rb") as stream:
        for _ in range(numbers(stream, "Q")[0]):
            _, w, x, y, z, *translation, camera = numbers(stream, "i7di")
            name = b"".join(iter(lambda: stream.read(1), b"\0")).decode()
            stream.seek(24 * numbers(stream, "Q")[0], 1)
            rotation = pycolmap.Rotation3d(np.array([x, y, z, w])).matrix()
            result[name] = (np.column_stack([rotation, translation]), camera)
    return result


def read_images_txt(file: Path) -> dict[str, tuple[np.ndarray, int]]:
    """The same of the text format: two lines an image."""
    lines = [line for line in file.read_text().split("\n") if not line.startswith("#")]
    result = {}
    for line in lines[:-1:2]:
        _, w, x, y, z, *translation, camera, name = line.split()
        rotation = pycolmap.Rotation3d(np.array([x, y, z, w], float)).matrix()
        result[name] = (np.column_stack([rotation, np.array(translation, float)]), int(camera))
    return result


@scenes
def test_colmaps_model_has_the_same_cameras_in_both_formats(tmp_path: Path, make: Any) -> None:
    content = read(make(tmp_path))
    binary = read_images_bin(tmp_path / "colmap/images.bin")
    text = read_images_txt(tmp_path / "colmap/images.txt")
    assert binary.keys() == text.keys() == {frame["file_path"][7:] for frame in content["frames"]}
    cameras = pycolmap.Reconstruction(tmp_path / "colmap").cameras
    for frame in content["frames"]:
        values, (pose, camera) = content | frame, binary[frame["file_path"][7:]]
        expected = np.linalg.inv(np.array(frame["transform_matrix"]) @ np.diag([1, -1, -1, 1]))[:3]
        assert np.allclose(pose, expected, atol=1e-9) and np.allclose(text[frame["file_path"][7:]][0], pose)
        model = cameras[camera].model_name
        straight = not any(values.get(key) for key in ("k1", "k2", "p1", "p2"))
        # more programs read PINHOLE than OPENCV
        assert model == values["camera_model"] or (straight and model == "PINHOLE")
        assert (cameras[camera].width, cameras[camera].height) == (values["w"], values["h"])
        assert np.allclose(cameras[camera].params[:4], [values[key] for key in INTRINSICS[:4]])
    assert (tmp_path / "colmap/points3D.bin").is_file() and (tmp_path / "colmap/points3D.txt").is_file()
