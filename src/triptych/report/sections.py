"""Building blocks of the page's sections: headlines, tables, and embedded figures, pictures and films."""

import base64
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from PIL import Image

from triptych.data.image_files import load_image
from triptych.report.charts import chart_of
from triptych.report.comparison import Comparison
from triptych.report.figures import COLOURS, INK, MUTED, RULE
from triptych.report.results import Result, read_result
from triptych.report.tables import Table
from triptych.workflow.errors import TriptychError

SMALL = 48 * 1024  # bytes of a PNG that is embedded as it is
MAX_SIDE, QUALITY = 960, 82  # pixels; of WebP
THEME = {INK: "--ink", MUTED: "--muted", RULE: "--rule"} | {
    colour: f"--series-{number}" for number, colour in enumerate(COLOURS, 1)
}


@dataclass(frozen=True)
class Headline:
    """The number of a part that is shown at the head of the page."""

    value: str
    unit: str
    meaning: str
    source: str | None


@dataclass(frozen=True)
class Answer:
    """An answer to a question, or a conclusion of the report with the verdict on it.

    The question of a `part` has the warnings and caveats that concern the answer.
    """

    question: str
    text: str
    verdict: str = ""
    part: str = ""
    warnings: Sequence[str] = ()
    caveats: Sequence[str] = ()


@dataclass(frozen=True)
class Drawing:
    """A figure, ready for the template.

    `narrow` is the same for a phone, None if one form fits both; `chart` has the numbers behind its curves
    as JSON.
    """

    svg: Markup
    narrow: Markup | None
    chart: Markup | None


@dataclass(frozen=True)
class Picture:
    """A data URI and the picture's size in pixels, so that the page does not jump while it loads."""

    uri: str
    width: int
    height: int


@dataclass(frozen=True)
class Section:
    """Part I or II, ready for the template, which has the captions of the figures.

    Attributes:
        title: the part in a sentence.
        results: all result files behind it.
        answers: the first is that of the part.
        tables: by group.
        figures: the SVG files by name (see `drawing`); those that were not drawn are missing.
        words: what the captions say of this run alone.
    """

    title: str
    headline: Headline
    comparison: Comparison
    results: Sequence[Result]
    answers: Sequence[Answer]
    tables: Mapping[str, Sequence[Table]]
    figures: Mapping[str, Any]
    words: Mapping[str, Any]


def settings_of_checks(part: str, checked: Sequence[str | Path]) -> list[str]:
    """What `auto` means for the images of a part, and what was lowered as there are few: a line for each."""
    return [note for path in checked for note in read_result(path).values["notes"].get(part, [])]


def with_settings(table: Table, settings: Sequence[str]) -> Table:
    """A table with the settings that follow from the images as a note."""
    if not settings:
        return table
    count = f"{len(settings)} setting{'s follow' if len(settings) > 1 else ' follows'}"
    return replace(table, notes=(f"{count} from the images. {'; '.join(settings)}.", *table.notes))


def drawing(paths: str | Path | Sequence[str | Path], description: str) -> Drawing:
    """Embed a figure, which may have a second, narrow form; `description` is read aloud by screen readers.

    Its ids are made unique by its path, such as `scenes/{scene}/sharpness.svg`.
    """
    files = [Path(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
    forms = [
        embed_figure(
            file, prefix=f"{form}{file.parent.name}-{file.stem}".replace(".", "-"), description=description
        )
        for form, file in zip(("", "narrow-"), files, strict=False)
    ]
    chart = chart_of(files[0].read_text(encoding="utf-8", errors="replace"))
    return Drawing(forms[0], forms[1] if len(forms) > 1 else None, embed_json(chart) if chart else None)


def embed_json(text: str) -> Markup:
    """JSON for a script element, in which nothing is markup but its end; in the page's colours."""
    return Markup(_in_page_colours(text.replace("<", "\\u003c")))


def _in_page_colours(text: str) -> str:
    """Colours become the page's variables, which differ in light and dark."""
    for colour, variable in THEME.items():
        text = re.sub(re.escape(colour), f"var({variable})", text, flags=re.IGNORECASE)
    return text


def embed_figure(path: Path, *, prefix: str, description: str) -> Markup:
    """An SVG figure, ready to stand inside HTML.

    Its colours become the page's variables, so that it follows light and dark; its ids get
    `prefix`, because several figures share one document; its size follows the column.
    """
    text = path.read_text(encoding="utf-8", errors="replace")
    if "<svg" not in text or not text.rstrip().endswith("</svg>"):
        raise TriptychError(f"{path}: not a whole SVG; delete it and run again")
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r'data:image/png;base64,([^"]*)', _smaller, text)
    # Matplotlib names pictures by their content, so equal ones share an id. Nothing refers to it.
    text = re.sub(r'(<image\b[^>]*?) id="[^"]*"', r"\1", text)
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    text = re.sub(r"url\(#", f"url(#{prefix}-", text)
    text = re.sub(r'href="#', f'href="#{prefix}-', text)
    text = _in_page_colours(text)
    label = Markup.escape(description)
    opening = re.sub(r' (width|height)="[^"]*"', "", text[: text.index(">")])
    opening = opening.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
    return Markup(opening + text[text.index(">") :])


def embed_picture(path: Path) -> Picture:
    """Embed a picture; a large one is scaled to at most 960 pixels a side and compressed as WebP."""
    image = load_image(path, remedy="delete the folder and run again")
    if image.format == "PNG" and max(image.size) <= MAX_SIDE and path.stat().st_size <= SMALL:
        return Picture(_data_uri(path.read_bytes(), "image/png"), *image.size)
    image = eight_bits(image)
    image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
    return Picture(_data_uri(_webp(image), "image/webp"), *image.size)


def _webp(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "WEBP", quality=QUALITY, method=5)
    return stream.getvalue()


def _smaller(png: re.Match[str]) -> str:
    """The data URI of a PNG, or of WebP if that is less."""
    webp = _data_uri(_webp(Image.open(io.BytesIO(base64.b64decode(png[1])), formats=["PNG"])), "image/webp")
    return min(png[0], webp, key=len)


def eight_bits(image: Image.Image) -> Image.Image:
    """Stretch 16-bit and float pictures (depth) to 8 bits, which WebP needs."""
    if image.mode in {"RGB", "RGBA", "L"}:
        return image
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, dtype=np.float64)
        low, high = float(values.min()), float(values.max())
        return Image.fromarray(np.uint8(255 * (values - low) / max(high - low, 1e-12)))
    return image.convert("RGBA" if "transparency" in image.info else "RGB")


def embed_film(path: Path) -> str:
    """The data URI of an .mp4."""
    return _data_uri(path.read_bytes(), "video/mp4")


def _data_uri(content: bytes, media_type: str) -> str:
    """RFC 2397."""
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"
