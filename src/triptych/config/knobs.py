"""Building blocks of the config: sections, and knobs with a type, a range, a default and an explanation."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    PlainSerializer,
    Strict,
    WrapValidator,
    model_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError
from pydantic_core.core_schema import no_info_after_validator_function

from triptych.workflow.errors import CALLER, one_line


class Section(BaseModel):
    """A section of the config; an unknown key is an error.

    The docstring of a subclass explains the section in the documentation.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    def _contradiction(self) -> str | None:
        """What is wrong only together, as text that follows the section's place; None: nothing."""
        return None

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if text := self._contradiction():
            raise problem(text)
        return self


def knob(default: Any, explanation: str, **limits: Any) -> Any:
    """Declare a knob.

    Args:
        default: value if the config does not give one; `...` for none.
        explanation: one line for config.yaml and the table of knobs.
        limits: bounds of the value (`ge`, `gt`, `le`, `lt`, `multiple_of`) or of a list's length.
    """
    return Field(default, description=explanation, **limits)


def problem(text: str) -> PydanticCustomError:
    """An error whose message is the place in the config followed by `text`."""
    return PydanticCustomError("problem", "{text}", {"text": text})


@dataclass(frozen=True)
class Matching:
    """A string must match a pattern; `words` describe the pattern in the error message."""

    pattern: str
    words: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_after_validator_function(self._check, handler(source))

    def _check(self, value: str) -> str:
        if not re.fullmatch(self.pattern, value):
            raise problem(f": {value!r} must be {self.words}")
        return value


def _as_given(value: Any, validate: Callable[[Any], float]) -> Any:
    """Keep an integer an integer: results that hold a recipe would differ by `0` and `0.0`."""
    validate(value)
    return value


def _unique(values: list[Any]) -> list[Any]:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise problem(f" has {value!r} twice")
    return values


def _whole(value: Any) -> Any:
    """2.0 is an integer, too."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _expanded(path: str) -> str:
    """`~` and variables such as `$HOME` stand for what a shell puts there, unless there is such a file.

    Raises:
        PydanticCustomError: a path that can mean nothing on this machine.
    """
    if not path.strip():
        raise problem(" is empty; give a path, or remove the line")
    if one_line(path) != path:
        raise problem(f" is {one_line(path)}, which has a line break or another character that is not text")
    drive = re.fullmatch(r"([A-Za-z]):[\\/]+(.*)", path)
    if drive and os.name == "posix":
        in_wsl = f"/mnt/{drive[1].lower()}/" + drive[2].replace("\\", "/")
        raise problem(f" is {path!r}, a path of Windows; give it as this system has it (in WSL: {in_wsl})")
    found = path if os.path.exists(path) else os.path.expandvars(os.path.expanduser(path))
    missing = re.search(r"\$\{?(\w+)", found)
    if missing and not os.path.exists(found):
        raise problem(f" is {path!r}, but the variable {missing[1]} is not set")
    return found


def _from_caller(path: str) -> str:
    """A relative path is relative to the folder in which snakemake was called, also with --directory."""
    caller, found = os.environ.get(CALLER), Path(_expanded(path))
    if caller is None or Path(caller) == Path.cwd():
        return str(found)
    return str(Path(caller, found))


def _no_wildcards(path: str) -> str:
    if re.search(r"\{.*\}|<[a-z][a-z0-9_]*>", path):
        raise problem(
            f" is {path!r}: Snakemake reads {{...}} and <...> in the names of its inputs as variables; "
            "rename the file or its folder, or give a link to it"
        )
    return path


def _no_numbers_as_text(options: dict[str, Any]) -> dict[str, Any]:
    for name, value in options.items():
        if isinstance(value, str) and re.fullmatch(r"[-+]?[0-9.]+[eE][-+]?[0-9]+", value):
            raise problem(f".{name} is {value!r}, which YAML reads as text; write 1.0e-3 instead of 1e-3")
    return options


def _only_given(section: BaseModel) -> dict[str, Any]:
    return section.model_dump(exclude_unset=True)


Integer = Annotated[int, Strict(), BeforeValidator(_whole)]
Number = Annotated[float, Strict(), WrapValidator(_as_given)]
Text = Annotated[str, Strict()]
Switch = Annotated[bool, Strict()]

Positive = Annotated[Integer, Field(ge=1)]
Natural = Annotated[Integer, Field(ge=0)]
Fraction = Annotated[Number, Field(ge=0, le=1)]
FilePath = Annotated[Text, AfterValidator(_from_caller)]
InputPath = Annotated[FilePath, AfterValidator(_no_wildcards)]  # of a single file that is a job's input
Title = Annotated[Text, AfterValidator(one_line)]
ModuleName = Annotated[
    Text, Matching(r"[^\W\d]\w*(\.[^\W\d]\w*)*", "a module under src/ with dots for folders: mypackage.mynet")
]
PathBelow = Annotated[Text, AfterValidator(_expanded)]  # relative to a folder that another knob names
Name = Annotated[
    Text, Matching(r"[a-z][a-z0-9_]*", "a name of small letters, digits and _ that begins with a letter")
]
UNIQUE = AfterValidator(_unique)
Names = Annotated[list[Text], Field(min_length=1), UNIQUE]
Seeds = Annotated[list[Natural], Field(min_length=1), UNIQUE]
Options = Annotated[dict[str, Any], AfterValidator(_no_numbers_as_text)]

Device = Annotated[
    Text,
    Matching(
        r"auto|cpu|mps|(cuda|xpu)(:[0-9]+)?", "auto, cpu, mps, cuda, xpu, or one of several such as cuda:1"
    ),
    Field(description="auto (the first of CUDA, MPS, CPU), cpu, mps, cuda, xpu, or a numbered one: cuda:1"),
]
Precision = Annotated[
    Literal["auto", "float32", "bfloat16"],
    Field(description="auto: bfloat16 where the hardware has it, else float32"),
]


def _auto_or(value: Any, validate: Callable[[Any], int]) -> int | str:
    if isinstance(value, str) and value != "auto":
        raise problem(f" is {value!r} but must be auto or of type integer")
    return value if value == "auto" else validate(value)


# For a whole number that may be `auto`.
OR_AUTO = WrapValidator(_auto_or)
AS_GIVEN = PlainSerializer(lambda value: value)
AutoPositive = Annotated[Positive, OR_AUTO, AS_GIVEN]
MIN_SIDE = 8  # of images and views, in pixels
AutoSide = Annotated[Integer, Field(ge=MIN_SIDE, le=512), OR_AUTO, AS_GIVEN]  # in pixels

# For sections that override another one: keys that are not given stay absent instead of getting a default.
ONLY_GIVEN = PlainSerializer(_only_given)
# For a tuple, whose elements have separate ranges: in the config it is a list.
AS_LIST = PlainSerializer(list)
