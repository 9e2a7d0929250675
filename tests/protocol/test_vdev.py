# SPDX-License-Identifier: MIT
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usblkback_tui.protocol.errors import UserError
from usblkback_tui.protocol.vdev import MAX_XVD_DISK, Vdev, parse_vdev, vdev_from_number, vdev_name


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("xvda", 51712),
        ("xvda1", 51713),
        ("xvdb", 51728),
        ("xvdp15", 51712 + 255),
        ("xvdq", 1 << 28 | 16 << 8),
        ("xvda16", 1 << 28 | 16),
        ("xvdz", 1 << 28 | 25 << 8),
        ("xvdaa", 1 << 28 | 26 << 8),
        ("xvdzz", 1 << 28 | 701 << 8),
        ("xvdzz255", 1 << 28 | 701 << 8 | 255),
        ("sda", 2048),
        ("sdp15", 2048 + 255),
        ("hda", 768),
        ("hdb", 832),
        ("hdb63", 832 + 63),
        ("hdc", 5632),
        ("hdd1", 5697),
    ],
)
def test_names_and_numbers_of_the_interface_document(name: str, number: int) -> None:
    assert parse_vdev(name).number == number
    assert vdev_name(number) == name
    assert parse_vdev(str(number)) == parse_vdev(hex(number)) == parse_vdev(f"/dev/{name}") == parse_vdev(name)


vdevs = st.one_of(
    st.builds(Vdev, st.just("xvd"), st.integers(0, MAX_XVD_DISK), st.integers(0, 255)),
    st.builds(Vdev, st.just("sd"), st.integers(0, 15), st.integers(0, 15)),
    st.builds(Vdev, st.just("hd"), st.integers(0, 3), st.integers(0, 63)),
)


@given(vdevs)
def test_every_vdev_survives_the_way_there_and_back(vdev: Vdev) -> None:
    assert vdev_from_number(vdev.number) == vdev
    assert parse_vdev(vdev.name) == vdev


@given(vdevs, vdevs)
def test_no_two_vdevs_share_a_number(one: Vdev, other: Vdev) -> None:
    assert (one.number == other.number) == (one == other)


@given(st.integers(-(1 << 40), 1 << 40))
def test_any_number_decodes_or_is_refused(number: int) -> None:
    vdev = vdev_from_number(number)
    if vdev is not None:
        assert parse_vdev(vdev.name).name == vdev_name(number)


@pytest.mark.parametrize(
    "text",
    ["", "xvd", "xvdA", "xvdaaa", "xvda0", "xvda01", "xvda256", "sdq", "sda16", "hde", "hda64", "vda", "xvda -1",
     "-51712", "+51712", "51712.0", "1e3", "99999999999999999999", "0x", "xvd\u0430", "\u0665\u0661\u0667"],
)  # fmt: skip
def test_what_is_no_vdev_is_refused_with_a_fix(text: str) -> None:
    with pytest.raises(UserError) as error:
        parse_vdev(text)
    assert error.value.key == "vdev"
    assert error.value.fix
    assert repr(text)[1:-1] in str(error.value)
