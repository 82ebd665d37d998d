"""A training on two devices, or by two processes, has the losses of one device."""

import csv
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import keras
import pytest

import zoo
from zoo import distributed

ROOT = Path(__file__).resolve().parent.parent
SIZES = "--recurrent mlstm --units 8 --embedding-size 4 --batch-size 4 --steps 32 --epochs 2 --dropout 0.2".split()


def start(folder, *flags, **environment):
    """The recipe, in a process on JAX."""
    words = [sys.executable, "-W", "ignore", "recipes/char_lm.py", "--text", folder / "text.txt", *SIZES, *flags]
    inherited = {key: value for key, value in os.environ.items() if key != "XLA_FLAGS"}
    return subprocess.Popen(
        [*map(str, words)],
        env={**inherited, "KERAS_BACKEND": "jax", **environment},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def losses(folder):
    rows = csv.DictReader((folder / "log.csv").read_text().splitlines())
    return [float(row[name]) for row in rows for name in ("loss", "validation")]


@pytest.mark.slow  # four processes
def test_two_devices_and_two_processes(tmp_path):
    (tmp_path / "text.txt").write_text("To be, or not to be, that is the question.\n" * 150)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    cluster = {"KERAS_DISTRIBUTION_JOB_ADDRESSES": address, "KERAS_DISTRIBUTION_NUM_PROCESSES": "2"}
    runs = [
        start(tmp_path, "--output", tmp_path / "one"),
        start(
            tmp_path, "--output", tmp_path / "devices", "--distribute", "devices",
            XLA_FLAGS="--xla_force_host_platform_device_count=2",
        ),
        *(
            start(
                tmp_path, "--output", tmp_path / "processes", "--distribute", "processes",
                KERAS_DISTRIBUTION_PROCESS_ID=str(i), **cluster,
            )
            for i in range(2)
        ),
    ]  # fmt: skip
    for run in runs:
        said, _ = run.communicate(timeout=300)
        assert run.returncode == 0, said
    expected = losses(tmp_path / "one")
    assert len(expected) == 4 and expected[2] < expected[0]
    for name in ("devices", "processes"):
        assert losses(tmp_path / name) == pytest.approx(expected, abs=1e-5)
        assert zoo.info(tmp_path / name)["metrics"]


@pytest.mark.slow  # three processes
def test_begun_on_two_devices_it_goes_on_on_one(tmp_path):
    (tmp_path / "text.txt").write_text("To be, or not to be, that is the question.\n" * 150)
    devices = ("--distribute", "devices"), {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    begun = start(tmp_path, "--output", tmp_path / "moved", *devices[0], "--epochs", "50", **devices[1])
    while not (tmp_path / "moved" / "log.csv").exists():
        assert begun.poll() is None, begun.communicate()
        time.sleep(0.05)
    begun.send_signal(signal.SIGTERM)
    begun.communicate(timeout=60)
    assert begun.returncode == 128 + signal.SIGTERM
    before = len(losses(tmp_path / "moved"))
    assert 2 <= before < 100
    for output in ("moved", "one"):
        run = start(tmp_path, "--output", tmp_path / output, "--epochs", "50")
        said, _ = run.communicate(timeout=300)
        assert run.returncode == 0, said
    found, expected = losses(tmp_path / "moved"), losses(tmp_path / "one")
    assert len(found) == len(expected) == 100
    assert found[: before + 4] == pytest.approx(expected[: before + 4], abs=1e-5)


def test_what_cannot_be():
    distributed.start(None)
    assert distributed.is_first() and keras.distribution.distribution() is None
    with pytest.raises(ValueError, match="distribute"):
        distributed.start("cluster")
    message = "JAX" if keras.backend.backend() == "tensorflow" else "one device"
    with pytest.raises(ValueError, match=message):
        distributed.start("devices")
