"""Strategies of hypothesis that turn a valid file into many that are not."""

import copy
import json
from typing import Any

from hypothesis import strategies as st

NUMBERS = st.sampled_from(
    [0, -1, 1, 2**31, 2**63, -(2**63), 10**30, 10**400, 0.0, -0.0, 1e-300, 1e300, float("nan"), float("inf")]
)
TEXTS = st.sampled_from(
    [
        *("", " ", "\n", "\x00", "\ud800", "\u202e", "a" * 5000, "../" * 50, "/etc/passwd", "nan", "1e400"),
        *(
            "http://127.0.0.1:9/x",
            "data:,x",
            "file:///etc/passwd",
            "{scene}",
            "${HOME}",
            "$(id)",
            "<b>",
            "\\",
        ),
        *("=1+1", "%s", "{0.__class__}", "\u4f60\u597d", "CON", ".", ".."),
    ]
)
LEAVES = st.none() | st.booleans() | NUMBERS | TEXTS
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
) | st.just("DEEP")  # see `as_json`

Place = tuple[Any, ...]


def _places(value: Any, place: Place = ()) -> list[Place]:
    """The places of all values in nested lists and dictionaries, the whole first."""
    found = [place]
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, item in entries:
        found += _places(item, (*place, key))
    return found


@st.composite
def changed_values(draw: st.DrawFn, original: Any) -> Any:
    """The value with a few of its parts replaced, repeated or removed."""
    value = copy.deepcopy(original)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(_places(value)))
        if not place:
            if draw(st.integers(0, 9)) == 0:
                return draw(VALUES)
            continue
        parent = value
        for key in place[:-1]:
            parent = parent[key]
        action = draw(st.sampled_from(["replace", "replace", "remove", "repeat"]))
        if action == "remove":
            del parent[place[-1]]
        elif action == "repeat" and isinstance(parent, list):
            parent[place[-1] : place[-1]] = [parent[place[-1]]] * draw(st.sampled_from([1, 100]))
        else:
            parent[place[-1]] = draw(VALUES)
    return value


def as_json(value: Any) -> bytes:
    """JSON as Python writes it, which has NaN and Infinity; "DEEP" becomes nested lists, "1e400" a number."""
    text = json.dumps(value).replace('"DEEP"', "[" * 5000 + "]" * 5000).replace('"1e400"', "1e400")
    return text.encode("utf-8", "surrogatepass")


@st.composite
def changed_bytes(draw: st.DrawFn, original: bytes, *, head: int = 4096) -> bytes:
    """The file cut short, with bytes changed, inserted or repeated; mostly near its beginning or end."""
    content = bytearray(original)
    for _ in range(draw(st.integers(1, 4))):
        size = len(content)
        if not size:
            break
        near = draw(st.sampled_from([min(head, size), size]))
        place = draw(st.integers(0, near - 1))
        if draw(st.booleans()):
            place = size - 1 - place
        action = draw(st.sampled_from(["cut", "flip", "number", "insert", "repeat", "zero"]))
        if action == "cut":
            del content[place:]
        elif action == "flip":
            content[place] ^= 1 << draw(st.integers(0, 7))
        elif action == "number":
            width = draw(st.sampled_from([2, 4, 8]))
            number = draw(st.sampled_from([0, 1, 2 ** (8 * width) - 1, 2 ** (8 * width - 1), 10**4]))
            order = draw(st.sampled_from(["little", "big"]))
            content[place : place + width] = number.to_bytes(width, order)
        elif action == "insert":
            content[place:place] = draw(st.binary(min_size=1, max_size=8))
        elif action == "repeat":
            content[place:place] = content[place : place + 64] * draw(st.sampled_from([1, 50]))
        else:
            content[place : place + 16] = bytes(16)
    return bytes(content)


def changed_text(original: str) -> st.SearchStrategy[bytes]:
    """Lines and separated cells exchanged for odd ones, or bytes changed."""

    @st.composite
    def cells(draw: st.DrawFn) -> bytes:
        lines = original.splitlines(keepends=True)
        number = draw(st.integers(0, len(lines) - 1))
        separator = draw(st.sampled_from([",", ":", " "]))
        parts = lines[number].split(separator)
        parts[draw(st.integers(0, len(parts) - 1))] = draw(TEXTS | NUMBERS.map(str))
        lines[number] = separator.join(parts)
        return "".join(lines).encode("utf-8", "surrogatepass")

    return cells() | changed_bytes(original.encode())
