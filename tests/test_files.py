from __future__ import annotations

from pathlib import Path

import pytest

from recsys.files import write_text


def test_a_device_is_not_replaced() -> None:
    device = Path("/dev/null")
    with pytest.raises(OSError, match="device, not a file"):
        write_text(device, "text")
    assert device.is_char_device()


def test_a_file_is_replaced(tmp_path: Path) -> None:
    for text in ("one", "two"):
        assert write_text(tmp_path / "a.txt", text).read_text() == text
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]
