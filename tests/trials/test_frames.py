"""The ledger's files survive what is cut off, overwritten or half written: all other rows are still read."""

import numpy as np
import pytest

from atb.trials.frames import MAGIC, Frame, packed, unpacked

FRAMES = [Frame({"number": k}, {"values": np.arange(k * 3.0), "flags": np.array([k], np.uint8)}) for k in range(4)]
WHOLE = [packed(frame) for frame in FRAMES]


def numbers(content: bytes) -> list[int | None]:
    return [None if frame is None else frame.header["number"] for frame, _ in unpacked(content)]


def test_frames_come_back_as_they_were():
    found = [frame for frame, _ in unpacked(b"".join(WHOLE))]
    assert [frame.header for frame in found] == [frame.header for frame in FRAMES]
    for frame, was in zip(found, FRAMES, strict=True):
        assert {name: array.tolist() for name, array in frame.arrays.items()} == {
            name: array.tolist() for name, array in was.arrays.items()
        }


@pytest.mark.parametrize("kept", range(0, len(WHOLE[1]), 5))
def test_a_frame_that_was_cut_off_costs_itself_alone(kept):
    wanted = [0, None, 2, 3] if kept else [0, 2, 3]
    assert numbers(WHOLE[0] + WHOLE[1][:kept] + WHOLE[2] + WHOLE[3]) == wanted
    assert numbers(WHOLE[0] + WHOLE[2] + WHOLE[1][:kept]) == [0, 2, None][: 3 if kept else 2]


@pytest.mark.parametrize("at", range(0, len(WHOLE[1]), 5))
def test_a_changed_byte_is_never_taken_for_a_trial(at):
    changed = bytearray(WHOLE[1])
    changed[at] ^= 0x55
    assert numbers(WHOLE[0] + bytes(changed) + WHOLE[2]) == [0, None, 2]


def test_noise_and_a_lone_beginning_are_passed_over():
    assert numbers(b"") == []
    assert numbers(b"\0" * 100 + WHOLE[1] + MAGIC) == [None, 1, None]
