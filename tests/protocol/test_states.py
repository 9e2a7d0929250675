# SPDX-License-Identifier: MIT
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usblkback_tui.protocol.states import XenbusState


def test_words_are_the_fields() -> None:
    words = [state.word for state in XenbusState]
    assert words == ["Unknown", "Initialising", "InitWait", "Initialised", "Connected", "Closing", "Closed",
                     "Reconfiguring", "Reconfigured"]  # fmt: skip
    assert [XenbusState.from_word(word) for word in words] == list(XenbusState)


@pytest.mark.parametrize("state", list(XenbusState))
def test_each_number_is_its_state(state: XenbusState) -> None:
    assert XenbusState.parse(str(int(state))) is state


@given(st.one_of(st.none(), st.text(max_size=6)))
def test_whatever_a_guest_writes_is_a_state_or_unknown(text: str | None) -> None:
    state = XenbusState.parse(text)
    assert state is XenbusState.UNKNOWN or text == str(int(state))


@pytest.mark.parametrize("text", ["", " 4", "4 ", "+4", "04", "9", "-1", "\u0664", "Connected", "4\n"])
def test_ornaments_are_unknown(text: str) -> None:
    assert XenbusState.parse(text) is XenbusState.UNKNOWN
