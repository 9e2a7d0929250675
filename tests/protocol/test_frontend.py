# SPDX-License-Identifier: MIT
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usblkback_tui.protocol.errors import UserError
from usblkback_tui.protocol.frontend import FrontendOffer, parse_frontend

LINUX = {"ring-ref": "8", "event-channel": "15", "protocol": "x86_64-abi", "feature-persistent": "1"}


def parse(keys: dict[str, str], **limits: int) -> FrontendOffer:
    return parse_frontend(keys.get, **limits)


def test_linux_with_one_page() -> None:
    assert parse(LINUX) == FrontendOffer((8,), 15, "x86_64-abi", True)


def test_a_frontend_without_a_protocol_is_native_and_without_a_feature_not_persistent() -> None:
    assert parse({"ring-ref": "0", "event-channel": "1"}) == FrontendOffer((0,), 1, "x86_64-abi", False)


def test_a_single_page_may_be_numbered() -> None:
    assert parse({"ring-ref0": "9", "event-channel": "1", "ring-page-order": "0"}).ring_refs == (9,)


def test_several_pages_when_offered() -> None:
    keys = {"ring-page-order": "1", "ring-ref0": "4", "ring-ref1": "5", "event-channel": "1"}
    assert parse(keys, max_ring_page_order=2).ring_refs == (4, 5)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"ring-ref": None}, "ring-ref"),
        ({"event-channel": None}, "event-channel"),
        ({"ring-ref": "-8"}, "ring-ref"),
        ({"ring-ref": "+8"}, "ring-ref"),
        ({"ring-ref": " 8"}, "ring-ref"),
        ({"ring-ref": "8\n"}, "ring-ref"),
        ({"ring-ref": "0x8"}, "ring-ref"),
        ({"ring-ref": ""}, "ring-ref"),
        ({"ring-ref": "4294967296"}, "ring-ref"),
        ({"ring-ref": "9" * 1000}, "ring-ref"),
        ({"event-channel": "\u0661"}, "event-channel"),
        ({"protocol": "x86_64-abi "}, "protocol"),
        ({"protocol": "sparc" * 500}, "protocol"),
        ({"feature-persistent": "yes"}, "feature-persistent"),
        ({"ring-page-order": "1"}, "ring-page-order"),
        ({"ring-page-order": "4294967295"}, "ring-page-order"),
        ({"multi-queue-num-queues": "2"}, "multi-queue-num-queues"),
    ],
)
def test_a_bad_key_is_named_with_its_value_and_the_fix(change: dict[str, str | None], key: str) -> None:
    keys = {name: value for name, value in (LINUX | change).items() if value is not None}
    with pytest.raises(UserError) as error:
        parse(keys)
    assert error.value.key == key
    assert key in str(error.value)
    assert error.value.fix
    assert len(str(error.value)) < 250


def test_several_pages_must_all_be_there() -> None:
    with pytest.raises(UserError, match="ring-ref1 is missing"):
        parse({"ring-page-order": "1", "ring-ref0": "4", "ring-ref": "4", "event-channel": "1"}, max_ring_page_order=1)


@given(st.dictionaries(st.sampled_from([*LINUX, "ring-page-order", "multi-queue-num-queues", "ring-ref0"]), st.text()))
def test_whatever_a_guest_writes_it_is_an_offer_or_a_user_error(keys: dict[str, str]) -> None:
    try:
        offer = parse(keys)
    except UserError:
        return
    assert all(0 <= ref < 2**32 for ref in offer.ring_refs)
    assert 0 <= offer.event_channel < 2**32
