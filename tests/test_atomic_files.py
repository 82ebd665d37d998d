"""A file is the old one or the new one, whatever happens while it is written."""

import os
import stat

import pytest

from zoo.atomic_files import atomic_write


@pytest.mark.parametrize("name", ["file", "x" * 255, "🦓", os.fsdecode(b"\xff")])
def test_writes_and_replaces(tmp_path, name):
    for data in (b"old", b"", b"new" * 100_000):
        atomic_write(tmp_path / name, data)
        assert (tmp_path / name).read_bytes() == data
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_the_mode_follows_the_umask(tmp_path, mask):
    before = os.umask(mask)
    try:
        atomic_write(tmp_path / "file", b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o666 & ~mask


@pytest.mark.parametrize("failing", ["os.fsync", "pathlib.Path.replace"])
@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file(tmp_path, monkeypatch, failing, error):
    atomic_write(tmp_path / "file", b"old")

    def fail(*_):
        raise error

    monkeypatch.setattr(failing, fail)
    with pytest.raises(error):
        atomic_write(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_it_is_on_the_disk_before_it_is_in_place(tmp_path, monkeypatch):
    """fsync of the file, rename, fsync of the folder, in this order."""
    steps = []
    fsync, replace = os.fsync, type(tmp_path).replace

    def recorded_fsync(descriptor):
        steps.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def recorded_replace(source, target):
        steps.append("rename")
        return replace(source, target)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(type(tmp_path), "replace", recorded_replace)
    atomic_write(tmp_path / "file", b"x")
    assert steps == ["file", "rename", "folder"]


@pytest.mark.parametrize("place", ["missing/file", "file/below", ".", "x" * 256])
def test_a_place_where_nothing_can_be(tmp_path, place):
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(OSError):
        atomic_write(tmp_path / place, b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
