"""The page: one HTML file with everything in it, and the provenance of every number."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from triptych.report.part3 import PSNR, Scene, scenes_answer
from triptych.report.results import Result, describe_machine, duration
from triptych.report.sections import Answer, Section, drawing
from triptych.report.statistics import Estimate
from triptych.report.tables import cell_text, first_sentence, sentences
from triptych.workflow.errors import one_line

NO_REVISION = "not under version control"


def render_page(
    *,
    configuration: Sequence[str],
    self_supervision: Section | None = None,
    grid: Section | None = None,
    scenes: Sequence[Scene] = (),
) -> str:
    """Fill the template with the parts that were run.

    Args:
        configuration: names of the config files of this run; later ones override earlier ones.
        self_supervision: part I, or None if it was switched off.
        grid: part II, or None.
        scenes: part III, one entry per scene.
    """
    sections = [section for section in (self_supervision, grid) if section is not None]
    by_part = {section.answers[0].part: list(section.results) for section in sections}
    if scenes:
        by_part["Reconstruction"] = [result for scene in scenes for result in scene.results]
    results = [result for part in by_part.values() for result in part]
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["drawing"] = drawing
    environment.filters |= {"anchor": anchor, "cell_text": cell_text, "first_sentence": first_sentence}
    environment.filters["sentences"] = lambda text: [one.replace(" %", "\u00a0%") for one in sentences(text)]
    environment.tests |= {
        "estimate": lambda cell: isinstance(cell, Estimate),
        "numeric": lambda cell: cell is None or isinstance(cell, int | Estimate),
    }
    return environment.get_template("page.html").render(
        lede=lede(sections, scenes),
        answers=part_answers(sections, scenes),
        conclusions=[answer for section in sections for answer in section.answers[1:]],
        facts=run_facts(results, configuration=configuration),
        self_supervision=self_supervision,
        grid=grid,
        scenes=scenes,
        psnr=PSNR,
        plotly=Markup(get_plotlyjs()),
        provenance=provenance_by_part(by_part),
    )


def part_answers(sections: Sequence[Section], scenes: Sequence[Scene]) -> list[Answer]:
    """What was asked in each part that was run, and what was found; a caveat of two parts stands once."""
    answers = [section.answers[0] for section in sections] + ([scenes_answer(scenes)] if scenes else [])
    said: set[str] = set()
    for index, answer in enumerate(answers):
        answers[index] = replace(answer, caveats=[text for text in answer.caveats if text not in said])
        said.update(answer.caveats)
    return answers


def summary(answers: Iterable[Answer]) -> str:
    """The same for a terminal: a line for each sentence, and for each warning."""
    lines: list[str] = []
    for answer in answers:
        lines += [*sentences(answer.text), *(f"warning: {line}" for line in answer.warnings)]
    return "".join(f"{one_line(line)}\n" for line in lines)


def lede(sections: Sequence[Section], scenes: Sequence[Scene]) -> str:
    """What the page shows, in one sentence; nothing published is beside results of the user's own images."""
    titles = [section.title for section in sections]
    titles += ["three-dimensional reconstruction"] if scenes else []
    *others, last = titles
    comma = "," if len(others) > 1 else ""
    text = f"{', '.join(others)}{comma} and {last}" if others else last
    published = ", beside the published figures" if any(not part.comparison.own for part in sections) else ""
    return f"{text[:1].upper()}{text[1:]}: results{published}."


def anchor(source: str) -> str:
    """The id of a source's entry on the page."""
    return "from-" + source.replace("/", ".")


def run_facts(results: Sequence[Result], *, configuration: Sequence[str]) -> dict[str, list[str]]:
    """The facts at the head of the page, each of one or more lines."""
    records = [result.provenance for result in {result.path: result for result in results}.values()]
    seeds = sorted({record["seed"] for record in records if record.get("seed") is not None})
    finished = sorted(
        datetime.fromisoformat(record["finished"]) for record in records if record.get("finished")
    )
    facts = {
        "Configuration": list(configuration),
        "Data sets": [
            f"{result.values.get('name', '?')}: {images_of(result.values)}"
            for result in results
            if result.values.get("counts")
        ],
        "Seeds": [", ".join(map(str, seeds))],
        "Computing time": [
            f"{duration(sum(record.get('wall_seconds') or 0 for record in records))}, "
            "the jobs behind all numbers together"
        ],
        "Finished": [f"{finished[-1]:%Y-%m-%d %H:%M %Z}, the last of the numbers"] if finished else [],
        "Hardware": [describe_machine(record.get("hardware") or {}) for record in records],
        "Revision": [record.get("revision") or NO_REVISION for record in records],
    }
    return {name: list(dict.fromkeys(filter(None, lines))) for name, lines in facts.items() if any(lines)}


def images_of(dataset: Mapping[str, Any]) -> str:
    """`2,000 training, 100 validation and 500 test images`, of a `dataset.json`."""
    held_out = dataset.get("validation", 0)  # by the source
    counts = {
        "training": dataset["counts"]["train"] - held_out,
        "validation": held_out,
        "test": dataset["counts"]["test"],
    }
    *others, last = [f"{count:,} {name}" for name, count in counts.items() if count]
    return f"{', '.join(others)} and {last} images" if others else f"{last} images"


def provenance_by_part(by_part: Mapping[str, Iterable[Result]]) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Provenance by part and source, each result file once: what several parts use is of the first one."""
    found: dict[str, dict[str, list[dict[str, Any]]]] = {part: {} for part in by_part}
    seen = set()
    for part, results in by_part.items():
        for result in results:
            if result.path not in seen:
                seen.add(result.path)
                found[part].setdefault(result.source, []).append(_entry(result))
    return found


def _entry(result: Result) -> dict[str, Any]:
    """The provenance of one result file, as it is shown."""
    facts = dict(result.provenance)
    recipe, seed, wall = facts.pop("recipe", None), facts.pop("seed", None), facts.pop("wall_seconds", None)
    hardware, versions = facts.pop("hardware", None) or {}, facts.pop("versions", None) or {}
    finished, revision = facts.pop("finished", None), facts.pop("revision", None)
    facts = {name: value for name, value in facts.items() if value not in (None, [])}
    return {
        "path": result.place.as_posix(),
        "seed": seed,
        "wall": None if wall is None else duration(wall),
        "finished": f"{datetime.fromisoformat(finished):%Y-%m-%d %H:%M:%S %Z}" if finished else "unknown",
        "revision": revision or NO_REVISION,
        "machine": describe_machine(hardware),
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "recipe": _yaml(recipe) if recipe else "",
        "others": _yaml(facts) if facts else "",
    }


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True).strip()
