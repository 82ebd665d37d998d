"""Bits flipped, files cut, swapped, stretched, zeroed: the named error, or the same model bit for bit."""

import random
import shutil

import pytest
from faults import refusal, rehash, same

from zoo.checkpoint import FILES, verify
from zoo.errors import CorruptCheckpoint, UnsafeCheckpoint

ALL = (*FILES, "manifest.json")


@pytest.mark.parametrize("name", ALL)
def test_a_flipped_bit(folder, good, name):
    path, expected = folder / name, verify(good)
    data = path.read_bytes()
    refused = 0
    for bit in random.Random(name).sample(range(8 * len(data)), 400):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        error = refusal(folder)
        assert error or same(verify(folder), expected)
        refused += error is not None
    assert refused == 400 or (name == "manifest.json" and refused > 200)


def _lengths(name, size):
    return range(size) if name != "model.safetensors" else sorted(random.Random(0).sample(range(size), 50))


@pytest.mark.parametrize(
    "name, hashed",
    [*((name, False) for name in ALL), ("config.json", True), ("tokenizer.json", True), ("model.safetensors", True)],
)
def test_a_file_cut_short(folder, good, name, hashed):
    path, expected, data = folder / name, verify(good), (good / name).read_bytes()
    for length in _lengths(name, len(data)):
        path.write_bytes(data[:length])
        if hashed:
            rehash(folder)
        error = refusal(folder)
        # Only the line end after the JSON can go.
        assert error or (length == len(data) - 1 and same(verify(folder), expected)), length
        if not hashed and name != "manifest.json":
            assert isinstance(error, CorruptCheckpoint) and error.got == f"{length} bytes"


@pytest.mark.parametrize("spoil", [lambda d: d + b"\0", lambda d: d + d, lambda d: bytes(len(d)), lambda d: b""])
@pytest.mark.parametrize("name", ALL)
def test_a_file_stretched_or_emptied(folder, name, spoil):
    path = folder / name
    path.write_bytes(spoil(path.read_bytes()))
    assert isinstance(refusal(folder), UnsafeCheckpoint if name == "manifest.json" else CorruptCheckpoint)


@pytest.mark.parametrize("name", ALL)
def test_a_file_missing(folder, name):
    (folder / name).unlink()
    assert isinstance(refusal(folder), CorruptCheckpoint)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_two_files_swapped(folder, name):
    path, readme = folder / name, folder / "README.md"
    data = path.read_bytes()
    path.write_bytes(readme.read_bytes())
    readme.write_bytes(data)
    assert isinstance(refusal(folder), CorruptCheckpoint)
    rehash(folder)
    assert refusal(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "manifest.json"])
def test_an_old_manifest_with_new_weights(folder, other, name):
    shutil.copy(other / name, folder / name)
    assert isinstance(refusal(folder), CorruptCheckpoint)


def test_a_file_that_is_a_folder(folder):
    (folder / "config.json").unlink()
    (folder / "config.json").mkdir()
    assert isinstance(refusal(folder), CorruptCheckpoint)


def test_the_hash_that_a_preset_pins(folder):
    with pytest.raises(CorruptCheckpoint, match="manifest.json is damaged: expected sha256 0000"):
        verify(folder, "0" * 64)
