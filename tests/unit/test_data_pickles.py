"""Pickles run no code, and small ones stand for nothing huge."""

import os
import pickle

import numpy as np
import pytest

from triptych.data.pickles import load_pickled_dict
from triptych.workflow.errors import TriptychError


class Attack:
    """Unpickled without care, it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_pickle_runs_no_code(tmp_path):
    content = pickle.dumps({b"data": Attack(tmp_path / "owned")}, 2)
    pickle.loads(content)  # the attack works
    (tmp_path / "owned").rmdir()
    with pytest.raises(TriptychError, match="mkdir, which no CIFAR file needs"):
        load_pickled_dict(content, "file")
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"garbage",
        pickle.dumps([1, 2]),
        pickle.dumps({b"data": np.array([object()])}),
        pickle.dumps({b"data": np.dtype("u1")})[:-4],
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"cnumpy\nload\n(S'/etc/passwd'\ntR.",
        b"c_codecs\nencode\n(S'x'\nS'zlib'\ntR.",
        b"\x80\x02]q\x00h\x00a.",  # a list that contains itself: endless recursion
    ],
)
def test_hostile_pickles_end_in_one_clear_line(content):
    with pytest.raises(TriptychError, match=r"^file is not a CIFAR batch file") as caught:
        load_pickled_dict(content, "file")
    assert "\n" not in str(caught.value)


def shared_lists(levels: int) -> bytes:
    """A pickle of lists in lists, each nine times the one below, in a few hundred bytes."""
    value: list[object] = [b"x" * 100]
    for _ in range(levels):
        value = [value] * 9
    return pickle.dumps({b"data": value}, 2)


BIG_TEXT = b"X" + (10**7).to_bytes(4, "little") + 10**7 * b"a"  # BINUNICODE


HOSTILE_PICKLES = {
    "shared lists": shared_lists(30),
    "a list in itself": b"\x80\x02}(U\x04data]q\x00h\x00au.",
    "deep lists": b"\x80\x02" + b"]" * 10_000 + b"a" * 9999 + b".",
    "a far place of the memo": b"\x80\x02}r\xff\xff\xff\x7f.",
    "a far place of the memo, in digits": b"}p4000000000\n.",
    "a text of 2^62 bytes": b"\x80\x04\x8e" + (2**62).to_bytes(8, "little") + b"abc.",
    "millions of lists": b"\x80\x02" + b"]" * 1_000_001 + b".",
    "one text a million times": b"\x80\x02}(U\x04data](" + BIG_TEXT + b"q\x01" + b"h\x01" * 99_999 + b"eu.",
    "one text encoded a thousand times": b"\x80\x02}(U\x04datac_codecs\nencode\nq\x00]("
    + BIG_TEXT
    + b"q\x01"
    + b"h\x00h\x01\x85R" * 999
    + b"eu.",
    "a number of a million digits": b"}(U\x04dataI" + b"9" * 4000 + b"\nu.",
    "an array of another size": pickle.dumps({b"data": np.zeros(9, np.uint8)}).replace(b"K\x09", b"K\x08"),
}


@pytest.mark.parametrize("content", HOSTILE_PICKLES.values(), ids=HOSTILE_PICKLES.keys())
def test_a_small_pickle_of_a_huge_value_is_refused(content):
    with pytest.raises(TriptychError) as caught:
        load_pickled_dict(content, "file")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
