from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from naf_core.errors import UserError
from naf_core.states import States, same_room
from tests.fake_field import boxes

OPEN = boxes(((0, 0, 0), (6, 5, 3)))
SHUT = boxes(((0, 0, 0), (6, 5, 3)), ((2.9, 0.1, 0.1), (3.1, 4.9, 2.9)))


def door() -> States:
    """Shut until 1 s, open from 2 s on, shut again after 4 s."""
    return States((SHUT, OPEN), np.array([0.0, 1.0, 2.0, 4.0, 4.5]), np.array([0, 0, 1, 1, 0]))


def test_a_room_that_does_not_change() -> None:
    states = States.of(OPEN)
    assert not states.change and states.moments().size == 0
    np.testing.assert_array_equal(states.shares(np.array([-1.0, 0.0, 9.0])), np.ones((3, 1)))


def test_states_hold_and_fade_over() -> None:
    states = door()
    assert states.change
    shut = states.shares(np.array([-1.0, 0.0, 0.9, 1.0, 1.25, 2.0, 3.0, 4.0, 4.25, 4.5, 99.0]))[:, 0]
    np.testing.assert_allclose(shut, [1, 1, 1, 1, 0.75, 0, 0, 0, 0.5, 1, 1])
    np.testing.assert_array_equal(states.moments(), [1.0, 2.0, 4.0, 4.5])
    assert [states.at(time) for time in (0.5, 1.2, 1.8, 3.0, 5.0)] == [0, 0, 1, 1, 0]


@settings(max_examples=50, deadline=None)
@given(
    number=st.lists(st.integers(0, 1), min_size=1, max_size=8),
    times=st.lists(st.floats(-10, 10), min_size=1, max_size=20),
)
def test_shares_add_up_to_one_and_are_straight_between_the_moments(number: list[int], times: list[float]) -> None:
    states = States((SHUT, OPEN), np.arange(len(number)) * 0.7, np.array(number))
    shares = states.shares(np.array(times))
    assert (shares >= 0.0).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    edges = np.concatenate([[-1.0], states.moments(), [9.0]])
    for begin, end in zip(edges, edges[1:], strict=False):
        first, middle, last = states.shares(np.array([begin, 0.5 * (begin + end), end]))
        np.testing.assert_allclose(middle, 0.5 * (first + last), atol=1e-9)


@pytest.mark.parametrize(
    ("times", "number", "said"),
    [
        ([0.0, 0.0], [0, 1], "increase"),
        ([0.0, np.nan], [0, 1], "finite"),
        ([0.0, 1.0], [0, 2], "0 to 1"),
        ([0.0], [0, 1], "one of them at each"),
        ([], [], "one of them at each"),
    ],
)
def test_states_that_make_no_sense_are_refused(times: list, number: list, said: str) -> None:
    with pytest.raises(UserError, match=said):
        States((SHUT, OPEN), np.array(times), np.array(number))


def test_the_same_room_read_twice() -> None:
    assert same_room([OPEN, boxes(((0, 0, 0), (6, 5, 3)))])
    assert not same_room([OPEN, SHUT])
