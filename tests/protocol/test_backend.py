# SPDX-License-Identifier: MIT
import pytest

from usblkback_tui.protocol.backend import (
    BackendIdentity,
    Offer,
    attach_keys,
    feature_keys,
    image_of,
    parse_identity,
    size_keys,
)
from usblkback_tui.protocol.errors import UserError
from usblkback_tui.protocol.keys import parse_id

GOOD = {"frontend": "/local/domain/3/device/vbd/51728", "frontend-id": "3", "params": "/srv/a.img", "mode": "w"}


def identity(changes: dict[str, str]) -> BackendIdentity:
    return parse_identity((GOOD | changes).get, 3, 51728)


def test_what_we_write_is_what_we_read() -> None:
    written = BackendIdentity(3, 51728, "/srv/a.img", "w")
    back, front = attach_keys(0, "usblkback", written)
    assert parse_identity(dict(back).get, 3, 51728) == written
    assert dict(front)["backend"] == "/local/domain/0/backend/usblkback/3/51728"
    assert dict(front)["backend-id"] == "0"
    assert dict(back)["dev"] == "xvdb"
    assert back[-1] == front[-1] == ("state", "1")


def test_a_cd_and_its_options_are_read_as_they_were_written() -> None:
    written = BackendIdentity(
        3, 51728, "/srv/a.iso", "r", discard_enabled=False, device_type="cdrom", removable=True, options='{"a": 1}'
    )
    back, front = attach_keys(0, "usblkback", written)
    assert parse_identity(dict(back).get, 3, 51728) == written
    assert dict(front)["device-type"] == "cdrom"
    assert back[-1] == ("state", "1")


def test_a_cd_is_never_writable() -> None:
    assert not identity({"device-type": "cdrom", "mode": "w"}).writable


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"frontend": "/local/domain/4/device/vbd/51728"}, "frontend"),
        ({"frontend": "/local/domain/3/device/vbd/51744"}, "frontend"),
        ({"frontend": ""}, "frontend"),
        ({"frontend-id": "4"}, "frontend-id"),
        ({"frontend-id": "03"}, "frontend-id"),
        ({"params": ""}, "params"),
        ({"params": "''"}, "params"),
        ({"device-type": "floppy"}, "device-type"),
    ],
)
def test_a_directory_that_contradicts_its_own_path_is_refused(changes: dict[str, str], key: str) -> None:
    with pytest.raises(UserError) as error:
        identity(changes)
    assert error.value.key == key
    assert error.value.fix


@pytest.mark.parametrize(("mode", "writable"), [("w", True), ("r", False), ("rw", True), ("", False), ("ro", False)])
def test_only_a_w_in_mode_makes_a_disk_writable(mode: str, writable: bool) -> None:
    assert identity({"mode": mode}).writable is writable
    assert not parse_identity({k: v for k, v in GOOD.items() if k != "mode"}.get, 3, 51728).writable


def test_params_may_be_quoted_and_prefixed() -> None:
    assert image_of("'C:\\disk.img'") == "C:\\disk.img"
    assert image_of("usblkback:/srv/a.img") == "/srv/a.img"
    assert image_of("'") == "'"


def test_discard_enable_is_honoured() -> None:
    assert identity({}).discard_enabled
    assert not identity({"discard-enable": "0"}).discard_enabled


def test_features_and_sizes() -> None:
    offer = Offer(
        sectors=2048,
        readonly=True,
        physical_sector_size=4096,
        max_ring_page_order=4,
        max_queues=3,
        indirect_segments=256,
        discard=True,
        discard_granularity=4096,
    )
    features, sizes = dict(feature_keys(offer)), dict(size_keys(offer))
    assert features["feature-max-indirect-segments"] == "256"
    assert features["discard-granularity"] == "4096"
    assert features["discard-secure"] == "0"
    assert (features["max-ring-page-order"], features["max-ring-pages"]) == ("4", "16")
    assert features["multi-queue-max-queues"] == "3"
    assert sizes == {"sectors": "2048", "sector-size": "512", "physical-sector-size": "4096", "info": "4"}
    plain = dict(feature_keys(Offer(sectors=8, readonly=False, persistent=False)))
    assert plain["feature-persistent"] == plain["feature-discard"] == "0"
    assert (plain["max-ring-page-order"], plain["max-ring-pages"], plain["multi-queue-max-queues"]) == ("0", "1", "1")
    assert "feature-max-indirect-segments" not in plain
    assert dict(size_keys(Offer(sectors=8, readonly=False)))["info"] == "0"


def test_secure_discard_is_offered_when_there_is_one() -> None:
    offer = Offer(sectors=8, readonly=False, discard=True, secure_discard=True)
    assert dict(feature_keys(offer))["discard-secure"] == "1"


@pytest.mark.parametrize(
    ("readonly", "cdrom", "removable", "info"),
    [(False, False, False, 0), (True, False, False, 4), (True, True, True, 7), (False, False, True, 2)],
)
def test_info_has_a_flag_for_each(readonly: bool, cdrom: bool, removable: bool, info: int) -> None:
    keys = dict(size_keys(Offer(sectors=8, readonly=readonly, cdrom=cdrom, removable=removable)))
    assert keys["info"] == str(info)


def test_large_sectors_are_counted_in_small_ones() -> None:
    keys = dict(size_keys(Offer(sectors=2048, readonly=False, sector_size=4096, physical_sector_size=512)))
    assert (keys["sectors"], keys["sector-size"], keys["physical-sector-size"]) == ("2048", "4096", "4096")


@pytest.mark.parametrize("text", ["-1", "+1", "01", "1 ", "x", "", "99999999999", "\u0661"])
def test_a_stray_child_is_no_id(text: str) -> None:
    assert parse_id(text) is None


def test_ids() -> None:
    assert parse_id("0") == 0
    assert parse_id("51712") == 51712
