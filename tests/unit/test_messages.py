"""docs/messages.md lists every error and warning of the code, so that a message can be looked up."""

import ast
from pathlib import Path

from triptych.workflow.list_messages import collect, page, pattern

ROOT = Path(__file__).parents[2]


def text_of(code: str) -> str:
    return pattern(ast.parse(code, mode="eval").body, {})


def test_the_page_of_messages_is_current() -> None:
    assert (ROOT / "docs/messages.md").read_text(encoding="utf-8") == page(), "run `make docs`"


def test_what_a_message_fills_in_is_a_gap() -> None:
    assert text_of("f'{path}: not found; ' + advice") == "…: not found; …"


def test_what_to_do_stands_beside_the_message() -> None:
    assert "| gpus is … but device '…' supports one worker only | set gpus: 1 |" in page()


def test_every_topic_says_what_to_do_where_a_message_does_not() -> None:
    assert page().count("Where the second column is empty: ") == page().count("\n## ") == len(collect())


def test_no_message_stands_there_without_words() -> None:
    for kinds in collect().values():
        for texts in kinds.values():
            assert all(any(letter.isalpha() for letter in text) for text in texts)
