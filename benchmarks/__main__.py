"""`python -m benchmarks NAME` runs one benchmark; without a name, it lists them.

A benchmark is a module with a docstring, whose first line is its question, and a function
`measure() -> dict[str, float | str]`. It is printed as one markdown table and written to
results/benchmarks/NAME.json: a flat object of metrics, and its provenance. A metric that cannot be
measured is text that begins with "missing" and gives the reason. TRIPTYCH_KERNELS in the environment chooses
the compiled kernels, as `compute.kernels` does for a study: auto, off, amx_bf16, avx512_bf16 or avx2.
"""

import importlib
import logging
import sys
import time
from pathlib import Path

from triptych.workflow.errors import TriptychError
from triptych.workflow.files import write_json
from triptych.workflow.provenance import provenance

HERE = Path(__file__).parent


def names() -> list[str]:
    """All benchmarks, by name."""
    return sorted(path.stem for path in HERE.glob("*.py") if "\ndef measure(" in path.read_text())


def main(arguments: list[str]) -> int:
    """List the benchmarks, or run the one that is named."""
    if not arguments:
        for name in names():
            question = (importlib.import_module(f"benchmarks.{name}").__doc__ or "").splitlines()[0]
            print(f"{name:12} {question}")
        return 0
    name = arguments[0]
    if name not in names():
        print(f"error: no benchmark '{name}'; there are {', '.join(names())}", file=sys.stderr)
        return 2
    logging.basicConfig(format="%(message)s")
    logging.getLogger("triptych").setLevel(logging.INFO)
    began = time.monotonic()
    try:
        metrics: dict[str, float | str] = importlib.import_module(f"benchmarks.{name}").measure()
    except TriptychError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print("| metric | value |\n| --- | ---: |")
    for metric, value in metrics.items():
        print(f"| `{metric}` | {value if isinstance(value, str) else format(value, '.4g')} |")
    target = Path("results/benchmarks") / f"{name}.json"
    record = provenance(recipe=name, wall_seconds=time.monotonic() - began)
    write_json(target, {**metrics, "provenance": record})
    print(f"written to {target}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
