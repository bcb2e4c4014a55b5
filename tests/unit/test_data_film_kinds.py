"""Films as phones, cameras and editors write them: streams, times, display matrices, fields and colours."""

import gc
import io
import logging
import struct
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from triptych.data.video import read_pictures, read_video
from triptych.workflow.errors import TriptychError

HEIGHT, WIDTH, RATE = 48, 64, 10


def pictures(count=30):
    """A texture that moves to the right, brighter at the top left."""
    wide = gaussian_filter(np.random.default_rng(0).random((HEIGHT, WIDTH + 2 * count, 3)), (2, 2, 0))
    wide = 255 * (wide - wide.min()) / np.ptp(wide)
    slope = np.linspace(1, 0.3, WIDTH) * np.linspace(1, 0.5, HEIGHT)[:, None]
    return [np.uint8(wide[:, 2 * n : 2 * n + WIDTH] * slope[..., None]) for n in range(count)]


def write(target, frames, *, codec="libx264", stamps=None, before=None, **options):
    with av.open(str(target), "w", **options) as container:
        stream = container.add_stream(codec, rate=RATE)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        if before:
            before(stream)
        for number, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = number if stamps is None else stamps[number], Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return target


def boxes(data):
    at = 0
    while at < len(data):
        size = struct.unpack(">I", data[at : at + 4])[0]
        yield data[at + 4 : at + 8], data[at : at + size]
        at += size


def box(kind, body):
    return struct.pack(">I", 8 + len(body)) + kind + body


def with_cover(film):
    """Put a cover picture before the film among an MP4's streams."""
    picture = io.BytesIO()
    Image.new("RGB", (200, 300), "red").save(picture, "JPEG")
    cover = box(b"covr", box(b"data", struct.pack(">II", 13, 0) + picture.getvalue()))
    handler = box(b"hdlr", struct.pack(">II", 0, 0) + b"mdirappl" + bytes(9))
    meta = box(b"udta", box(b"meta", bytes(4) + handler + box(b"ilst", cover)))
    result = b""
    for kind, content in boxes(film.read_bytes()):
        if kind == b"moov":
            inner = [one for name, one in boxes(content[8:]) if name != b"udta"]
            content = box(b"moov", inner[0] + meta + b"".join(inner[1:]))
        result += content
    film.write_bytes(result)
    return film


def times(film):
    return [picture.time for picture in read_video(film)]


def psnr(picture, original):
    return 10 * np.log10(255**2 / np.mean((picture.astype(float) - original) ** 2))


def test_a_cover_picture_is_no_film(tmp_path):
    film = with_cover(write(tmp_path / "film.mp4", pictures()))
    with av.open(str(film)) as container:
        assert [stream.codec_context.name for stream in container.streams.video] == ["mjpeg", "h264"]
    decoded = list(read_video(film))
    assert len(decoded) == 30
    assert decoded[0].rgb().shape == (HEIGHT, WIDTH, 3)


def test_the_film_is_the_stream_with_the_most_pixels(tmp_path):
    with av.open(str(tmp_path / "film.mkv"), "w") as container:
        streams = [container.add_stream("libx264", rate=RATE) for _ in range(2)]
        for stream, scale in zip(streams, (2, 1), strict=True):
            stream.width, stream.height, stream.pix_fmt = WIDTH // scale, HEIGHT // scale, "yuv420p"
        for stream, scale in zip(streams, (2, 1), strict=True):
            for picture in pictures(3):
                small = np.ascontiguousarray(picture[::scale, ::scale])
                container.mux(stream.encode(av.VideoFrame.from_ndarray(small, format="rgb24")))
            container.mux(stream.encode())
    assert next(read_video(tmp_path / "film.mkv")).rgb().shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize("degrees", [0, 90, 180, -90])
@pytest.mark.parametrize("mirrored", [False, True])
def test_pictures_are_turned_and_mirrored_as_players_show_them(tmp_path, degrees, mirrored):
    original = pictures(2)
    # stored so that the matrix undoes it: mirrored first, then turned the other way
    stored = [np.rot90(one[:, ::-1] if mirrored else one, -degrees // 90) for one in original]

    def turned(stream):
        stream.set_display_rotation(degrees, hflip=mirrored)

    film = write(tmp_path / "film.mp4", stored, before=turned)
    if degrees == -90 and not mirrored:  # as phones write it: QuickTime's matrix of x' = -y, y' = x
        assert struct.pack(">5i", 0, 65536, 0, -65536, 0) in film.read_bytes()
    for picture in (next(read_video(film)), *read_pictures(film, [(0, 0)])):
        assert psnr(picture.rgb(), original[0]) > 25
        assert picture.thumbnail(32).shape == (24, 32, 3)


def test_an_edit_list_hides_frames_and_is_no_damage(tmp_path, caplog):
    film = write(tmp_path / "film.mp4", pictures(), stamps=range(-12, 18))
    assert times(film) == pytest.approx(np.arange(18) / RATE)
    assert not caplog.records


def joined(tmp_path, *stamps):
    """Takes of ten frames joined byte by byte, each with its own clock."""
    film = tmp_path / "film.ts"
    with film.open("wb") as stream:
        for number, own in enumerate(stamps):
            take = pictures(10 * (number + 1))[10 * number :]
            stream.write(write(tmp_path / f"{number}.ts", take, stamps=own, format="mpegts").read_bytes())
    return film


@pytest.mark.parametrize("second", [0, 36000 * RATE])
def test_time_goes_on_where_the_clock_begins_again(tmp_path, second, caplog):
    caplog.set_level(logging.INFO, "triptych")
    film = joined(tmp_path, range(20, 30), range(second, second + 10))
    assert times(film) == pytest.approx(np.arange(20) / RATE)
    assert "the film's clock begins again, restarts: 1" in caplog.text


def test_a_pause_is_kept(tmp_path):
    stamps = [*range(10), *range(310, 320)]
    film = write(tmp_path / "film.mp4", pictures(20), stamps=stamps)
    assert times(film) == pytest.approx(np.array(stamps) / RATE)


@pytest.mark.parametrize(("suffix", "codec"), [("h264", "libx264"), ("m4v", "mpeg4")])
def test_without_times_frames_follow_at_the_streams_own_rate(tmp_path, suffix, codec):
    film = write(tmp_path / f"film.{suffix}", pictures(), codec=codec)
    assert times(film) == pytest.approx(np.arange(30) / RATE)


def test_an_unknown_codec_and_frames_that_are_too_large_are_told(tmp_path):
    film = write(tmp_path / "film.mp4", pictures(3))
    film.write_bytes(film.read_bytes().replace(b"avc1", b"zzz1"))
    with pytest.raises(TriptychError, match=r"film\.mp4: its codec is not known to FFmpeg; convert it"):
        list(read_video(film))
    huge = tmp_path / "huge.y4m"
    huge.write_bytes(b"YUV4MPEG2 W16000 H16000 F10:1 C420jpeg\nFRAME\n" + bytes(1000))
    with pytest.raises(TriptychError, match=r"16000 x 16000 pixels, more than 36 megapixels; scale"):
        list(read_video(huge))


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_pictures_are_found_again_by_seeking_or_by_number(tmp_path, suffix):
    def short_groups(stream):
        stream.options = {"g": "50", "bf": "2"}

    frames = pictures(60)
    film = write(tmp_path / f"film.{suffix}", [frames[n % 60] for n in range(400)], before=short_groups)
    decoded = {picture.number: picture for picture in read_video(film)}
    wanted = [3, 4, 160, 161, 299, 399]
    found = list(read_pictures(film, [(number, decoded[number].stamp) for number in wanted]))
    assert [picture.number for picture in found] == wanted
    for picture in found:
        assert np.array_equal(picture.rgb(), decoded[picture.number].rgb())
    assert (decoded[3].stamp is None) == (suffix == "ts")


def test_pictures_are_freed_at_once(tmp_path):
    film = write(tmp_path / "film.mp4", pictures(40))
    gc.collect()
    gc.disable()  # long films end before it runs
    try:
        for picture in read_video(film):
            assert picture.rgb().any() and picture.thumbnail(32).any() and picture.combing() >= 0
        del picture
        frames = [one for one in gc.get_objects() if isinstance(one, av.VideoFrame)]
        assert sum(frame.width == WIDTH for frame in frames) < 3
    finally:
        gc.enable()


def test_interlaced_frames_show_one_moment(tmp_path, caplog):
    caplog.set_level(logging.INFO, "triptych")

    def interlaced(stream):
        stream.options = {"flags": "+ildct+ilme", "x264-params": "tff=1", "crf": "4"}

    smooth = [gaussian_filter(one, (2, 1, 0)) for one in pictures(12)]
    woven = []
    for top, bottom in zip(smooth[:-2], smooth[2:], strict=True):
        one = top.copy()
        one[1::2] = bottom[1::2]
        woven.append(one)
    film = write(tmp_path / "film.mp4", woven, before=interlaced)
    decoded = next(read_video(film))
    assert decoded.decoded.interlaced_frame
    assert psnr(decoded.rgb(), smooth[0]) > psnr(woven[0], smooth[0]) + 3
    assert decoded.grey().shape == (HEIGHT // 2, WIDTH)
    assert caplog.text.count("film.mp4: interlaced") == 1
    assert decoded.combing() > 1.5
    unmarked = next(read_video(write(tmp_path / "unmarked.mp4", woven)))
    assert not unmarked.decoded.interlaced_frame and unmarked.combing() > 1.5
    assert psnr(unmarked.rgb(deinterlace=True), smooth[0]) > psnr(woven[0], smooth[0]) + 3
    assert next(read_video(write(tmp_path / "plain.mp4", smooth))).combing() < 0.7


def pq(nits):
    """Encoded values of SMPTE ST 2084."""
    power = (np.asarray(nits) / 10000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)


def hlg(nits):
    """Encoded values of ITU-R BT.2100 HLG for a display of 1000 nits; of greys."""
    scene = (np.asarray(nits) / 1000) ** (1 / 1.2)
    high = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), high)


@pytest.mark.slow  # swscale computes its tables of colours
@pytest.mark.parametrize(("curve", "tag"), [(pq, 16), (hlg, 18)])
def test_hdr_becomes_bt709_with_white_at_203_nits(tmp_path, curve, tag):
    nits = np.array([0, 20, 50, 100, 203, 600])
    luma = np.uint16(np.round(64 + 876 * curve(nits))).repeat(16)[None].repeat(32, axis=0)
    frame = av.VideoFrame(luma.shape[1], 32, "yuv420p10le")
    planes = luma, *(np.full((16, luma.shape[1] // 2), 512, np.uint16) for _ in range(2))
    for plane, values in zip(frame.planes, planes, strict=True):
        rows = np.zeros((plane.height, plane.line_size // 2), np.uint16)
        rows[:, : values.shape[1]] = values
        plane.update(rows.tobytes())
    with av.open(str(tmp_path / "film.mp4"), "w") as container:
        stream = container.add_stream("libx265", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = luma.shape[1], 32, "yuv420p10le"
        stream.options = {"x265-params": "log-level=none", "crf": "2"}
        context = stream.codec_context
        context.color_range, context.color_primaries, context.color_trc, context.colorspace = 1, 9, tag, 9
        for number in range(3):
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    shown = next(read_video(tmp_path / "film.mp4")).rgb()[16, 8::16]
    # a display of gamma 2.4 (BT.1886) whose white is at 203 nits shows the same light
    expected = 255 * np.minimum(1, nits / 203) ** (1 / 2.4)
    assert shown == pytest.approx(np.stack([expected] * 3, axis=1), abs=4)
