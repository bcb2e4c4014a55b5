"""The table of results in both READMEs, written from `study/` by `make study-page`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from triptych.report.published import published_value
from triptych.report.statistics import estimate
from triptych.study.documents import between_markers, runs, write_changed

ROWS = "table.yaml"
READMES = {"README.md": "en", "README.zh-CN.md": "zh"}
HEADERS = {
    "en": ("percent, test images", "ours", "report", "best known", "preset", "`results/…`"),
    "zh": ("百分比，测试图像", "本项目", "原报告", "已知最佳", "预设", "`results/…`"),
}
WORDS = {
    "en": {
        "not run": "not run",
        "run": "{value} ({details})",
        "comma": ", ",
        "epochs": "{epochs} epochs",
        "seed": "{n} seed",
        "seeds": "{n} seeds",
        "best": "[{value}]({source}) ({epochs} epochs)",
    },
    "zh": {
        "not run": "未运行",
        "run": "{value}（{details}）",
        "comma": "，",
        "epochs": "{epochs} 轮",
        "seed": "{n} 个种子",
        "seeds": "{n} 个种子",
        "best": "[{value}]({source})（{epochs} 轮）",
    },
}


def read_rows(study: Path) -> list[dict[str, Any]]:
    """The rows of `table.yaml`."""
    return yaml.safe_load((study / ROWS).read_text(encoding="utf-8"))


def results_table(study: Path, language: str) -> str:
    """The table in Markdown, in `en` or `zh`. ‡ marks runs from before results were kept in `study/`."""
    words = WORDS[language]
    lines = [HEADERS[language], ("---", "---", "---:", "---", "---", "---")]
    for row in read_rows(study):
        best, (part, run) = row.get("best"), row["published"]
        lines.append(
            (
                row["title"][language],
                _ours(study, row, words),
                f"{published_value(part, run, row['metric']):.2f}",
                words["best"].format(**best) if best else "–",
                f"`{row['preset']}`",
                f"`{row['result']}`",
            )
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _ours(study: Path, row: Mapping[str, Any], words: Mapping[str, str]) -> str:
    found = runs(study, row["result"])
    if found:
        mean, mark = estimate(found, row["metric"]), ""
        trained = runs(study, row.get("training", row["result"]))
        epochs = max((int(result.values["epochs"]) for result in trained), default=None)
        value, n = str(mean), mean.n
    elif "earlier" in row:
        value, epochs, n, mark = f"{row['earlier']['value']:.2f}", row["earlier"]["epochs"], 1, " ‡"
    else:
        return words["not run"]
    seeds = words["seed" if n == 1 else "seeds"].format(n=n)
    details = [words["epochs"].format(epochs=epochs), seeds] if epochs else [seeds]
    return words["run"].format(value=value, details=words["comma"].join(details)) + mark


def write_readmes(study: Path, folder: Path) -> list[Path]:
    """Write the table into both READMEs; returns those that changed.

    Raises:
        TriptychError: the markers are missing.
    """
    changed = []
    for name, language in READMES.items():
        path, table = folder / name, results_table(study, language)
        changed += write_changed(path, between_markers(path.read_text(encoding="utf-8"), table, path))
    return changed
