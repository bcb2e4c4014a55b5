"""Pictures, films and figures as parts of one HTML file."""

import base64
import io
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup
from PIL import Image

from triptych.report.style import COLOURS, INK, MUTED, RULE
from triptych.workflow.errors import TriptychError

SMALL = 48 * 1024
MAX_SIDE = 1280
THEME = {INK: "--ink", MUTED: "--muted", RULE: "--rule"} | {
    colour: f"--series-{number}" for number, colour in enumerate(COLOURS, 1)
}


@dataclass(frozen=True)
class Picture:
    """A data URI and the picture's size in pixels, so that the page does not jump while it loads."""

    uri: str
    width: int
    height: int


def data_uri(content: bytes, media_type: str) -> str:
    """RFC 2397."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"


def _eight_bits(image: Image.Image) -> Image.Image:
    """Pillow cannot compress 16-bit and float pictures (depth): stretch them to 8 bits."""
    if image.mode in {"RGB", "RGBA", "L"}:
        return image
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, dtype=np.float64)
        low, high = float(values.min()), float(values.max())
        return Image.fromarray(np.uint8(255 * (values - low) / max(high - low, 1e-12)))
    return image.convert("RGBA" if "transparency" in image.info else "RGB")


def embed_picture(path: Path) -> Picture:
    """Embed a picture; a large one is scaled to at most 1280 pixels a side and compressed as WebP."""
    try:
        with Image.open(path) as opened:
            opened.load()
            image, png = opened.copy(), opened.format == "PNG"
    except OSError as error:
        raise TriptychError(
            f"{path}: cannot be read as a picture ({error}); delete the folder and run again"
        ) from error
    if png and max(image.size) <= MAX_SIDE and path.stat().st_size <= SMALL:
        return Picture(data_uri(path.read_bytes(), "image/png"), *image.size)
    image = _eight_bits(image)
    image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    image.save(stream, "WEBP", quality=88, method=5)
    return Picture(data_uri(stream.getvalue(), "image/webp"), *image.size)


def embed_film(path: Path) -> str:
    """The data URI of an .mp4."""
    return data_uri(path.read_bytes(), "video/mp4")


def embed_figure(path: Path, *, prefix: str, description: str) -> Markup:
    """One of our SVG figures, ready to stand inside HTML.

    Its colours become the page's variables, so that it follows light and dark; its ids get
    `prefix`, because several figures share one document; its size follows the column.
    """
    text = path.read_text(encoding="utf-8")
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", text, flags=re.DOTALL)
    # Pictures go by their content: the same one twice would be one id twice. Nothing refers to them.
    text = re.sub(r'(<image\b[^>]*?) id="[^"]*"', r"\1", text)
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    text = re.sub(r"url\(#", f"url(#{prefix}-", text)
    text = re.sub(r'href="#', f'href="#{prefix}-', text)
    for colour, variable in THEME.items():
        text = re.sub(re.escape(colour), f"var({variable})", text, flags=re.IGNORECASE)
    label = Markup.escape(description)
    opening = re.sub(r' (width|height)="[^"]*"', "", text[: text.index(">")])
    opening = opening.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
    return Markup(opening + text[text.index(">") :])
