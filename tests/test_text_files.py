"""The user's own text: plain, compressed, damaged, in another encoding, not there."""

import gzip
import lzma

import pytest

from zoo.text_files import read_bytes, read_text

TEXT = "né 🦓\r\nline\n\0\ufeff" * 500
COMPRESS = {"": bytes, ".txt": bytes, ".gz": gzip.compress, ".xz": lzma.compress}


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("text", [TEXT, "", "x"])
def test_what_is_written_is_read(tmp_path, suffix, text):
    path = tmp_path / f"text{suffix}"
    path.write_bytes(COMPRESS[suffix](text.encode()))
    assert read_text(path) == read_text(str(path)) == text
    assert read_bytes(path) == text.encode()


@pytest.mark.parametrize("suffix", [".gz", ".xz"])
def test_compressed_files_cut_short(tmp_path, suffix):
    path = tmp_path / f"text{suffix}"
    data = COMPRESS[suffix](TEXT.encode())
    for length in range(1, len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(ValueError, match=rf"text\{suffix} is not a whole \{suffix} file"):
            read_text(path)


@pytest.mark.parametrize("suffix", [".gz", ".xz"])
def test_compressed_files_with_a_flipped_bit(tmp_path, suffix):
    path = tmp_path / f"text{suffix}"
    data = COMPRESS[suffix](TEXT.encode())
    refused = 0
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        try:
            assert read_text(path) == TEXT  # a bit of the name or the date in the head of a .gz
        except ValueError as error:
            assert str(path) in str(error)
            refused += 1
    assert refused > 0.7 * 8 * len(data)


@pytest.mark.parametrize("suffix", [".gz", ".xz"])
def test_compressed_in_name_only(tmp_path, suffix):
    path = tmp_path / f"text{suffix}"
    path.write_text("plain")
    with pytest.raises(ValueError, match=f"is not a whole \\{suffix} file"):
        read_text(path)


@pytest.mark.parametrize(
    "data, position, line",
    [
        ("one\ntwo né".encode("latin1"), 9, 2),
        ("é".encode("utf-16"), 0, 1),
        (b"a\n\n\xed\xa0\x80", 3, 3),
        ("né".encode()[:-1], 1, 1),
    ],
)
@pytest.mark.parametrize("suffix", COMPRESS)
def test_another_encoding(tmp_path, data, position, line, suffix):
    path = tmp_path / f"text{suffix}"
    path.write_bytes(COMPRESS[suffix](data))
    with pytest.raises(ValueError, match=rf"text.* is not UTF-8: .* position {position} \(line {line}\).*iconv"):
        read_text(path)


@pytest.mark.parametrize("suffix", COMPRESS)
def test_no_file(tmp_path, suffix):
    with pytest.raises(FileNotFoundError, match="text"):
        read_text(tmp_path / f"text{suffix}")
    (tmp_path / f"text{suffix}").mkdir()
    with pytest.raises(IsADirectoryError, match="text"):
        read_text(tmp_path / f"text{suffix}")
    with pytest.raises(OSError):
        read_text(tmp_path / ("x" * 300 + suffix))
