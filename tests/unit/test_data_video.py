"""Real H.264 in and out: order, times, rotation, and files that are damaged in every way."""

import wave

import av
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from triptych.data.video import read_video, write_video
from triptych.workflow.errors import TriptychError

HEIGHT, WIDTH, FRAMES = 48, 64, 30


def pictures(frames=FRAMES):
    """A textured background with one bright square that moves right by a pixel a frame."""
    noise = gaussian_filter(np.random.default_rng(0).random((HEIGHT, WIDTH, 3)), (2, 2, 0))
    for number in range(frames):
        picture = np.uint8(255 * noise)
        picture[4:14, 4 + number : 14 + number] = (250, 240, 30)
        yield picture


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "film.mp4"
    assert write_video(path, pictures(), fps=10) == FRAMES
    return path


def test_gives_back_the_same_pictures_in_order_with_their_times(video):
    decoded = list(read_video(video, threads=2))
    assert [one.number for one in decoded] == list(range(FRAMES))
    assert [one.time for one in decoded] == pytest.approx(np.arange(FRAMES) / 10)
    for one, original in zip(decoded, pictures(), strict=True):
        error = one.rgb().astype(float) - original
        assert 10 * np.log10(255**2 / np.mean(error**2)) > 28
        assert one.grey().shape == (HEIGHT, WIDTH)


def test_is_h264_that_browsers_play(video):
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        # without the tags, players guess the colours from the size
        assert {stream.colorspace, stream.color_primaries, stream.color_trc, stream.color_range} == {1}
    content = video.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")


@pytest.fixture
def noisy(tmp_path):
    """A film in which every frame takes about as many bytes."""
    frames = (np.random.default_rng(n).integers(0, 255, (48, 64, 3), np.uint8) for n in range(40))
    write_video(tmp_path / "noisy.mp4", frames, fps=10)
    return tmp_path / "noisy.mp4"


def test_a_film_cut_short_yields_what_is_left(noisy, caplog):
    content = noisy.read_bytes()
    start = content.index(b"mdat")
    noisy.write_bytes(content[: start + (len(content) - start) // 2])
    decoded = list(read_video(noisy))
    assert 10 < len(decoded) < 30
    assert f"{len(decoded)} of 40 frames decoded" in caplog.text


def test_damage_in_the_middle_costs_only_some_frames(noisy, caplog):
    content = bytearray(noisy.read_bytes())
    middle = (content.index(b"mdat") + len(content)) // 2
    content[middle : middle + 3000] = bytes(3000)
    noisy.write_bytes(content)
    assert 10 < len(list(read_video(noisy))) < 40
    assert "damaged or cut short" in caplog.text


def damage(kind, tmp_path):
    path = tmp_path / "film.mp4"
    if kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.touch()
    elif kind == "noise":
        path.write_bytes(np.random.default_rng(0).bytes(5000))
    elif kind == "without its index":
        write_video(path, pictures(), fps=10)
        content = path.read_bytes()
        path.write_bytes(content[: content.index(b"moov") - 4] + content[content.index(b"mdat") - 4 :])
    elif kind == "without its pictures":
        write_video(path, pictures(), fps=10)
        content = path.read_bytes()
        path.write_bytes(content[: content.index(b"mdat") + 8])
    elif kind == "sound":
        with wave.open(str(path), "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(8000)
            sound.writeframes(bytes(1600))
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "there is no such video"),
        ("folder", "is a folder, not a video"),
        ("empty", "the video is empty"),
        ("noise", "not a readable video"),
        ("without its index", "not a readable video"),
        ("without its pictures", "none of its frames can be decoded"),
        ("sound", "holds no video stream"),
    ],
)
def test_says_what_is_wrong_with_a_bad_file(tmp_path, kind, message):
    path = damage(kind, tmp_path)
    with pytest.raises(TriptychError, match=message) as caught:
        list(read_video(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_failed_encoding_leaves_no_file(tmp_path):
    def broken():
        yield from pictures(3)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_video(tmp_path / "film.mp4", broken(), fps=10)
    assert list(tmp_path.iterdir()) == []
