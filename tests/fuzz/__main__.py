"""Fuzz the readers: `python -m tests.fuzz --minutes 10 scene image`; without names, all of them."""

import argparse
import logging
import resource
import sys
import time
import traceback
import warnings
from pathlib import Path

from hypothesis import HealthCheck, given, seed, settings
from tests.fuzz.readers import READERS, check

EXTRA_MEMORY = 2**32  # bytes of address space beyond what the libraries take
settings.register_profile(
    "fuzz", max_examples=200, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)


def fuzz(name: str, minutes: float, first_seed: int) -> int:
    """Number of files that a reader has read or refused properly; an improper one is raised."""
    deadline, count, number = time.monotonic() + 60 * minutes, 0, first_seed
    while time.monotonic() < deadline:

        @seed(number)
        @given(READERS[name].contents)
        def attempt(content: bytes) -> None:
            nonlocal count
            count += 1
            check(READERS[name], content)

        attempt()
        number += 1
    return count


def main() -> int:
    """The exit code is 1 if a reader fails; hypothesis prints the smallest file that it found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("readers", nargs="*", metavar="reader", help=f"some of: {', '.join(READERS)}")
    parser.add_argument("--minutes", type=float, default=10, help="for each reader (default: %(default)g)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="default: the time")
    chosen = parser.parse_args()
    if unknown := [name for name in chosen.readers if name not in READERS]:
        parser.error(f"there is no reader {unknown[0]}; readers: {', '.join(READERS)}")
    logging.disable()
    warnings.simplefilter("ignore")
    settings.load_profile("fuzz")
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + EXTRA_MEMORY,) * 2)
    failed = []
    for name in chosen.readers or READERS:
        try:
            print(f"{name}: {fuzz(name, chosen.minutes, chosen.seed):,} files", flush=True)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            traceback.print_exc()
            failed.append(name)
    if failed:
        print(f"failed with --seed {chosen.seed}: {', '.join(failed)}", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
