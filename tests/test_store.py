from __future__ import annotations

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from naf_core.store import CHECKED, DAMAGE, read_array, read_texts, write_texts


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20), max_size=5))
def test_texts_come_back(tmp_path_factory, texts):
    path = tmp_path_factory.getbasetemp() / "texts.h5"
    with h5py.File(path, "w", libver=CHECKED) as file:
        write_texts(file, "names", texts)
    with h5py.File(path) as file:
        assert read_texts(file, "names", 10) == texts


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as handle:
        handle["numbers"] = np.arange(12.0).reshape(4, 3)
        handle["text"] = "text"
        handle.create_group("group")
        handle.create_dataset("nothing", shape=(10**9, 3), chunks=(1000, 3), dtype="f8")
        handle.create_dataset("zeros", data=np.zeros((100_000, 3)), compression="gzip")
        yield handle


def test_an_array_of_the_shape_that_is_asked_for(file):
    np.testing.assert_array_equal(read_array(file, "numbers", (None, 3), 10), np.arange(12.0).reshape(4, 3))
    assert read_array(file, "zeros", (None, 3), 10**6).shape == (100_000, 3)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("missing", (None,)),
        ("group", (None,)),
        ("text", (None,)),
        ("numbers", (None, 4)),
        ("numbers", (None,)),
        ("numbers", (None, None, None)),
        ("zeros", (None, 3)),  # longer than 10 000
    ],
)
def test_anything_else_is_refused(file, name, shape):
    with pytest.raises(DAMAGE):
        read_array(file, name, shape, 10_000)


def test_what_claims_more_than_the_file_holds_is_refused_before_it_is_read(file):
    with pytest.raises(ValueError, match="more than the file holds"):
        read_array(file, "nothing", (None, 3), 10**10)


@pytest.mark.parametrize("name", ["missing", "group", "numbers", "text"])
def test_only_lists_of_texts_are_read_as_such(file, name):
    with pytest.raises(DAMAGE):
        read_texts(file, name, 10)


def test_too_many_texts_are_refused(file):
    write_texts(file, "names", ["a"] * 11)
    with pytest.raises(ValueError, match="at most 10"):
        read_texts(file, "names", 10)
