"""Frames: what is written is read, and nothing else is."""

import contextlib
import os
import struct

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inglenook.engine.frames import BadFrameError, FrameReader, FrameWriter, encode_frame
from inglenook.engine.protocol import (
    FRAME_LIMIT_BYTES,
    Command,
    Event,
    Generate,
    Load,
    PromptMessage,
    Text,
    Unload,
)


def read_all(data: bytes, types: object = Command) -> list[msgspec.Struct]:
    read_fd, write_fd = os.pipe()
    try:
        os.write(write_fd, data)
        os.close(write_fd)
        reader: FrameReader[msgspec.Struct] = FrameReader(read_fd, types)
        messages = []
        while (message := reader.read()) is not None:
            messages.append(message)
        return messages
    finally:
        os.close(read_fd)


def test_commands_come_back_as_they_were() -> None:
    sent = [
        Load(model_id="m", path="/x"),
        Generate(run_id="r", messages=(PromptMessage("user", "é🔥\0"),)),
        Unload(),
    ]
    assert read_all(b"".join(map(encode_frame, sent))) == sent


def test_writer_writes_frames() -> None:
    read_fd, write_fd = os.pipe()
    event = Text(run_id="r", piece="x", n_tokens=1)
    FrameWriter(write_fd).write(event)
    reader: FrameReader[Event] = FrameReader(read_fd, Event)
    assert reader.read() == event
    os.close(write_fd)
    assert reader.read() is None
    os.close(read_fd)


@given(st.binary(max_size=200))
def test_B15_any_bytes_are_refused_or_understood(data: bytes) -> None:
    with contextlib.suppress(BadFrameError):
        read_all(data)


def test_B15_a_long_frame_is_refused_before_it_is_read() -> None:
    with pytest.raises(BadFrameError):
        read_all(struct.pack("<I", FRAME_LIMIT_BYTES + 1))


def test_a_frame_cut_off_is_refused() -> None:
    with pytest.raises(BadFrameError):
        read_all(encode_frame(Unload())[:-1])
    with pytest.raises(BadFrameError):
        read_all(encode_frame(Unload())[:2])


def test_too_long_a_message_is_not_encoded() -> None:
    with pytest.raises(BadFrameError):
        encode_frame(Text(run_id="r", piece="x" * FRAME_LIMIT_BYTES, n_tokens=1))
