# SPDX-License-Identifier: MIT
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from usblkback_tui.protocol.errors import UserError
from usblkback_tui.protocol.frontend import FrontendOffer, QueueOffer, parse_frontend

LINUX = {"ring-ref": "8", "event-channel": "15", "protocol": "x86_64-abi", "feature-persistent": "1"}


def parse(keys: dict[str, str], order: int = 0, queues: int = 1) -> FrontendOffer:
    return parse_frontend(keys.get, max_ring_page_order=order, max_queues=queues)


def queue_keys(index: int, refs: tuple[int, ...], port: int) -> dict[str, str]:
    numbered = {f"queue-{index}/ring-ref{page}": str(ref) for page, ref in enumerate(refs)}
    refs_keys = numbered if len(refs) > 1 else {f"queue-{index}/ring-ref": str(refs[0])}
    return {**refs_keys, f"queue-{index}/event-channel": str(port)}


def test_linux_with_one_page() -> None:
    assert parse(LINUX) == FrontendOffer((QueueOffer((8,), 15),), "x86_64-abi", True)


def test_a_frontend_without_a_protocol_is_native_and_without_a_feature_not_persistent() -> None:
    keys = {"ring-ref": "0", "event-channel": "1"}
    assert parse(keys) == FrontendOffer((QueueOffer((0,), 1),), "x86_64-abi", False)


@pytest.mark.parametrize("more", [{}, {"ring-page-order": "0"}, {"num-ring-pages": "1"}])
def test_a_single_page_may_be_numbered(more: dict[str, str]) -> None:
    assert parse({"ring-ref0": "9", "event-channel": "1", **more}).queues[0].ring_refs == (9,)


@pytest.mark.parametrize(
    "size", [{"ring-page-order": "1"}, {"num-ring-pages": "2"}, {"ring-page-order": "1", "num-ring-pages": "2"}]
)
def test_several_pages_by_either_key(size: dict[str, str]) -> None:
    keys = {"ring-ref0": "4", "ring-ref1": "5", "event-channel": "1", **size}
    assert parse(keys, order=2).queues == (QueueOffer((4, 5), 1),)


def test_what_a_boot_loader_left_beside_numbered_pages_is_passed_over() -> None:
    keys = {"ring-page-order": "1", "ring-ref": "4", "ring-ref0": "4", "ring-ref1": "5", "event-channel": "1"}
    assert parse(keys, order=1).queues[0].ring_refs == (4, 5)


def test_one_queue_that_is_counted_has_its_keys_where_they_always_were() -> None:
    assert parse(LINUX | {"multi-queue-num-queues": "1"}).queues == (QueueOffer((8,), 15),)


@pytest.mark.parametrize("pages", [1, 2, 16])
def test_several_queues(pages: int) -> None:
    keys = {"multi-queue-num-queues": "3", "ring-page-order": str(pages.bit_length() - 1), "protocol": "x86_32-abi"}
    expected = []
    for index in range(3):
        refs = tuple(range(100 * index, 100 * index + pages))
        keys |= queue_keys(index, refs, 7 + index)
        expected.append(QueueOffer(refs, 7 + index))
    assert parse(keys, order=4, queues=4) == FrontendOffer(tuple(expected), "x86_32-abi", False)


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
        ({"ring-page-order": "2"}, "ring-page-order"),
        ({"ring-page-order": "4294967295"}, "ring-page-order"),
        ({"ring-page-order": "one"}, "ring-page-order"),
        ({"num-ring-pages": "0"}, "num-ring-pages"),
        ({"num-ring-pages": "4"}, "num-ring-pages"),
        ({"num-ring-pages": "4294967295"}, "num-ring-pages"),
        ({"num-ring-pages": "2", "ring-page-order": "0"}, "num-ring-pages"),
        ({"num-ring-pages": "1", "ring-page-order": "1"}, "num-ring-pages"),
        ({"multi-queue-num-queues": "0"}, "multi-queue-num-queues"),
        ({"multi-queue-num-queues": "3"}, "multi-queue-num-queues"),
        ({"multi-queue-num-queues": "two"}, "multi-queue-num-queues"),
        ({"multi-queue-num-queues": "2"}, "queue-0/ring-ref"),
        ({"multi-queue-num-queues": "2", "queue-0/ring-ref": "9"}, "queue-0/event-channel"),
        ({"multi-queue-num-queues": "2", **queue_keys(0, (9,), 1)}, "queue-1/ring-ref"),
        ({"multi-queue-num-queues": "2", **queue_keys(0, (9,), 1), **queue_keys(1, (9,), 2)}, "queue-1/ring-ref"),
        ({"multi-queue-num-queues": "2", **queue_keys(0, (9,), 1), **queue_keys(1, (8,), 1)}, "queue-1/event-channel"),
        ({"ring-page-order": "1", "ring-ref0": "9", "ring-ref1": "9"}, "ring-ref1"),
    ],
)
def test_a_bad_key_is_named_with_its_value_and_the_fix(change: dict[str, str | None], key: str) -> None:
    keys = {name: value for name, value in (LINUX | change).items() if value is not None}
    with pytest.raises(UserError) as error:
        parse(keys, order=1, queues=2)
    assert error.value.key == key
    assert key in str(error.value)
    assert error.value.fix
    assert len(str(error.value)) < 250


def test_without_an_offer_nothing_more_than_one_page_and_queue_may_be_asked_for() -> None:
    for key, value in (("ring-page-order", "1"), ("num-ring-pages", "2"), ("multi-queue-num-queues", "2")):
        with pytest.raises(UserError, match="offers at most"):
            parse(LINUX | {key: value})


def test_several_pages_must_all_be_there() -> None:
    with pytest.raises(UserError, match="ring-ref1 is missing"):
        parse({"ring-page-order": "1", "ring-ref0": "4", "ring-ref": "4", "event-channel": "1"}, order=1)


def test_no_limit_of_ours_lifts_those_of_the_protocol() -> None:
    with pytest.raises(UserError, match="at most 4"):
        parse(LINUX | {"ring-page-order": "5"}, order=30)
    with pytest.raises(UserError, match="at most 16"):
        parse(LINUX | {"multi-queue-num-queues": "17"}, queues=2**31)


KEYS = [
    *LINUX,
    "ring-page-order",
    "num-ring-pages",
    "multi-queue-num-queues",
    *(f"ring-ref{page}" for page in range(4)),
    *(f"queue-{queue}/{key}" for queue in range(3) for key in ("ring-ref", "ring-ref0", "ring-ref1", "event-channel")),
]
NUMBERS = st.integers(-1, 6).map(str)
ANY_MACHINE = settings(deadline=None, suppress_health_check=list(HealthCheck))


@ANY_MACHINE
@given(
    st.dictionaries(st.sampled_from(KEYS), st.text() | NUMBERS | st.integers().map(str)),
    st.integers(0, 4),
    st.integers(1, 16),
)
def test_whatever_a_guest_writes_it_is_an_offer_or_a_user_error(keys: dict[str, str], order: int, queues: int) -> None:
    check(keys, order, queues)


@ANY_MACHINE
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS, st.integers(0, 40).map(str))))
def test_numbers_everywhere_are_an_offer_or_a_user_error(keys: dict[str, str]) -> None:
    check({**keys, "protocol": "x86_64-abi"}, 1, 3)


def assert_reason(said: tuple[str, str]) -> None:
    assert all(said)


def check(keys: dict[str, str], order: int, queues: int) -> None:
    try:
        offer = parse(keys, order, queues)
    except UserError as error:
        refused = (error.key, error.fix)
        assert_reason(refused)
        return
    pages = {len(queue.ring_refs) for queue in offer.queues}
    assert 1 <= len(offer.queues) <= queues
    assert len(pages) == 1
    assert pages <= {1 << n for n in range(order + 1)}
    refs = [ref for queue in offer.queues for ref in queue.ring_refs]
    ports = [queue.event_channel for queue in offer.queues]
    assert len(set(refs)) == len(refs)
    assert len(set(ports)) == len(ports)
    assert all(0 <= number < 2**32 for number in (*refs, *ports))
