"""What the sections of the page are made of."""

from dataclasses import dataclass, field
from pathlib import Path

from markupsafe import Markup

from triptych.report.embed import embed_figure
from triptych.report.render_table import Table
from triptych.report.results import Result


@dataclass(frozen=True)
class Headline:
    """The one number of a part that the head of the page shows."""

    value: str
    unit: str
    meaning: str
    source: str | None


@dataclass(frozen=True)
class Drawing:
    """A figure with its caption."""

    svg: Markup
    caption: str


@dataclass(frozen=True)
class Section:
    """A part of the study that is tables and figures, ready for the template."""

    headline: Headline
    results: list[Result]
    tables: list[Table] = field(default_factory=list)
    drawings: list[Drawing] = field(default_factory=list)
    verdict: str = ""
    likeness: str = "other"


def drawing(path: str | Path, *, caption: str, description: str) -> Drawing:
    """Embed a figure of ours; its ids are made unique by its place, `scenes/{scene}/sharpness.svg`."""
    path = Path(path)
    prefix = f"{path.parent.name}-{path.stem}".replace(".", "-")
    return Drawing(embed_figure(path, prefix=prefix, description=description), caption)
