"""How large a picture to render: small enough to keep moving, sharper and sharper at rest."""

from dataclasses import dataclass

STEP = 8  # sides of moving pictures are multiples, so that sizes do not flicker
SMOOTHING = 0.5  # weight of the newest measurement, as an exponent: costs are ratios
JUMP = 4.0  # by which one measurement may differ at most from what was expected
BAND_SECONDS = 0.05  # how long a sharpening picture may go on after the camera has moved
BAND_RAYS = 2048  # at least so many at a time, to be worth their overhead

Size = tuple[int, int]


@dataclass
class Pace:
    """What a pixel costs, learnt from the pictures made so far: `seconds` a pixel."""

    seconds: float

    def measured(self, pixels: int, seconds: float) -> None:
        """Take a new measurement into account."""
        ratio = seconds / pixels / self.seconds
        self.seconds *= min(JUMP, max(1 / JUMP, ratio)) ** SMOOTHING


def full_size(canvas: Size, max_width: int) -> Size:
    """The sharpest picture of a canvas: its own size, or its shape with `max_width`."""
    width = max(1, min(canvas[0], max_width))
    return width, max(1, round(width * canvas[1] / canvas[0]))


def moving_size(full: Size, pace: Pace, *, fps: float, shortest: int) -> Size:
    """The largest picture that can be made `fps` times a second.

    Args:
        full: the sharpest picture; the result has its shape, and is never larger.
        pace: what a pixel costs.
        fps: pictures a second to aim for.
        shortest: the short side in pixels below which frames get fewer instead of smaller.
    """
    width, height = full
    short, long = min(full), max(full)
    affordable = 1 / (fps * pace.seconds)
    side = int((affordable * short / long) ** 0.5) // STEP * STEP
    share = min(1.0, max(side, shortest) / short)
    return max(1, round(width * share)), max(1, round(height * share))


def sharper(size: Size, full: Size) -> Size:
    """The next larger picture: twice as wide, or `full` where that is not much more."""
    width, height = size[0] * 2, size[1] * 2
    return full if width * 1.5 > full[0] or height * 1.5 > full[1] else (width, height)


def band_rows(width: int, pace: Pace) -> int:
    """Rows of a picture to render before looking for a newer camera."""
    rays = max(BAND_RAYS, BAND_SECONDS / pace.seconds)
    return max(1, int(rays / width))
