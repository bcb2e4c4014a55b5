"""What was run: the facts at the head of the page, and the provenance of every number."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import yaml

from triptych.report.results import Result


def anchor(source: str) -> str:
    """The id of a source's entry on the page."""
    return "from-" + source.replace("/", ".")


def duration(seconds: float) -> str:
    """`8.4 s`, `3 min 20 s`, `2 h 5 min`, `1 d 3 h`."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"


def describe_machine(hardware: dict[str, Any]) -> str:
    """One line about a machine."""
    facts = [
        hardware.get("gpu"),
        hardware.get("cpu"),
        f"{hardware['cores']} cores" if hardware.get("cores") else None,
        f"{hardware['memory_gib']:g} GiB" if hardware.get("memory_gib") else None,
        hardware.get("system"),
    ]
    return ", ".join(str(fact) for fact in facts if fact)


@dataclass(frozen=True)
class Entry:
    """The provenance of one result file, as it is shown."""

    path: str
    seed: int | None
    wall: str | None
    finished: str
    revision: str
    machine: str
    versions: str
    recipe: str
    others: str


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True).strip()


def entry(result: Result) -> Entry:
    """What the page says about a result file."""
    facts = dict(result.provenance)
    recipe, seed, wall = facts.pop("recipe", None), facts.pop("seed", None), facts.pop("wall_seconds", None)
    hardware, versions = facts.pop("hardware", None) or {}, facts.pop("versions", None) or {}
    finished, revision = facts.pop("finished", None), facts.pop("revision", None)
    return Entry(
        path=result.path.as_posix(),
        seed=seed,
        wall=None if wall is None else duration(wall),
        finished="unknown"
        if finished is None
        else f"{datetime.fromisoformat(finished):%Y-%m-%d %H:%M:%S %Z}",
        revision=revision or "not under version control",
        machine=describe_machine(hardware),
        versions=", ".join(f"{name} {version}" for name, version in versions.items()),
        recipe=_yaml(recipe),
        others=_yaml(facts) if facts else "",
    )


def entries(results: Iterable[Result]) -> dict[str, list[Entry]]:
    """Provenance by source, each result file once, in the order in which they are given."""
    by_source: dict[str, dict[str, Entry]] = {}
    for result in results:
        by_source.setdefault(result.source, {}).setdefault(result.path.as_posix(), entry(result))
    return {source: list(shown.values()) for source, shown in by_source.items()}


def overview(results: Sequence[Result], *, configuration: Sequence[str]) -> dict[str, list[str]]:
    """The facts at the head of the page, each with one line or more."""
    records = [result.provenance for result in {result.path: result for result in results}.values()]
    seeds = sorted({record["seed"] for record in records if record.get("seed") is not None})
    finished = sorted(datetime.fromisoformat(record["finished"]) for record in records)
    facts = {
        "Configuration": list(configuration),
        "Data sets": [
            f"{result.values['name']}: {result.values['counts']['train']:,} training and "
            f"{result.values['counts']['test']:,} test images"
            for result in results
            if "counts" in result.values
        ],
        "Seeds": [", ".join(map(str, seeds))],
        "Computing time": [
            f"{duration(sum(record.get('wall_seconds') or 0 for record in records))}, "
            "the jobs behind all numbers together"
        ],
        "Finished": [f"{finished[-1]:%Y-%m-%d %H:%M %Z}"] if finished else [],
        "Hardware": [describe_machine(record.get("hardware") or {}) for record in records],
        "Revision": [record.get("revision") or "not under version control" for record in records],
    }
    return {name: list(dict.fromkeys(filter(None, lines))) for name, lines in facts.items() if any(lines)}
