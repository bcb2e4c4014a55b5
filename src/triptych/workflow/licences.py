"""List the licences of everything that is installed with the project: `python -m triptych.workflow.licences`.

They are what each package's own metadata says; the texts are in its `.dist-info` folder.
"""

import re
from importlib.metadata import Distribution, distributions
from pathlib import Path

CLASSIFIER = "License :: "
LONGEST = 60  # characters: some packages give the text of the licence instead of its name


def licence_of(package: Distribution) -> str:
    """A package's licence: its SPDX expression, its classifiers, or the first line of its text."""
    metadata = package.metadata.json
    if expression := metadata.get("license_expression"):
        return str(expression)
    classifiers = [line for line in metadata.get("classifier", []) if line.startswith(CLASSIFIER)]
    names = [line.split(" :: ")[-1] for line in classifiers if line.count("::") > 1]
    files = [Path(str(file.locate())) for file in package.files or [] if "licen" in file.name.lower()]
    text = metadata.get("license") or "".join(file.read_text("utf-8") for file in files if file.is_file())
    return "; ".join(names) or str(text).strip().partition("\n")[0][:LONGEST] or "not given"


def main() -> None:
    """Print name, version and licence of each package, by name."""
    found = {
        re.sub(r"[-_.]+", "-", package.name).lower(): (package.version, licence_of(package))
        for package in distributions()
    }
    for name, (version, licence) in sorted(found.items()):
        print(f"{name:40} {version:20} {licence}")


if __name__ == "__main__":
    main()
