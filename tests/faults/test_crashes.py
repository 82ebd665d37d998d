"""Saves that are killed, or run out of disk: the old checkpoint or the new one, whole."""

import os
import resource
import shutil
import signal
import sys
import threading

import numpy as np
import pytest
from faults import in_child, same

import zoo
from zoo import checkpoint
from zoo.checkpoint import copy, resolve, verify

EVENTS = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.chmod", "shutil.rmtree"}


def _killed_at(number, root):
    """Arranges that this process kills itself just before it touches something below `root` for the nth time."""
    touched = 0

    def hook(event, arguments):
        nonlocal touched
        if event in EVENTS and isinstance(arguments[0], str | os.PathLike) and str(arguments[0]).startswith(str(root)):
            if touched == number:
                os.kill(os.getpid(), signal.SIGKILL)
            touched += 1

    sys.addaudithook(hook)


def _left(folder):
    """What a save left beside the checkpoint."""
    return [path.name for path in folder.parent.iterdir() if path != folder]


def test_killed_at_every_step_of_a_save(folder, good, other, monkeypatch):
    old, new = verify(good), verify(other)
    monkeypatch.setattr(checkpoint, "ABANDONED", -1)
    outcomes = []
    for step in range(200):

        def save(step=step):
            _killed_at(step, folder.parent)
            copy(other, folder)

        status = in_child(save)
        found = verify(resolve(folder))
        assert same(found, old) or same(found, new)
        outcomes.append(same(found, new))
        if status == 0:
            break
        assert status == -signal.SIGKILL
        copy(good, folder)  # a later save succeeds, and removes what the dead one left
        assert same(verify(folder), old) and not _left(folder)
    assert status == 0 and len(outcomes) > 25
    assert outcomes == sorted(outcomes)  # the old one up to some step, from there on the new one


def test_the_first_save_killed(tmp_path, good):
    folder = tmp_path / "model"

    def save():
        _killed_at(12, tmp_path)
        copy(good, folder)

    assert in_child(save) == -signal.SIGKILL
    assert not folder.exists()
    with pytest.raises(zoo.errors.UnknownModel):
        zoo.load(folder)


@pytest.mark.parametrize("part", range(20))
def test_disk_full(folder, good, other, part):
    limit = part * (max(path.stat().st_size for path in other.iterdir()) - 1) // 19

    def save():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        with pytest.raises(OSError, match="File too large"):
            copy(other, folder)

    assert in_child(save) == 0
    assert same(verify(folder), verify(good)) and not _left(folder)


def test_the_previous_checkpoint_stands_in(folder, good, other):
    folder.rename(checkpoint._previous(folder))
    assert same(verify(resolve(folder)), verify(good))
    assert zoo.load(folder).config == zoo.load(good).config
    assert zoo.info(folder)["parameters"] == zoo.info(good)["parameters"]
    assert not folder.exists()  # reading changes nothing
    checkpoint.update_manifest(folder, description="Found again.")
    assert same(verify(folder), verify(good)) and not _left(folder)
    copy(other, folder)
    shutil.rmtree(folder)
    with pytest.raises(zoo.errors.UnknownModel):
        zoo.load(folder)


def test_the_best_of_a_killed_training_stands_in(folder, tmp_path):
    (tmp_path / "run").mkdir()
    folder.rename(checkpoint._previous(tmp_path / "run" / "best"))
    assert zoo.info(tmp_path / "run")["task"] == "language-model"


def test_a_failed_save_puts_the_old_one_back(folder, good, other, monkeypatch):
    def fail(_):
        raise OSError("no")

    rename = type(folder).rename
    monkeypatch.setattr(
        type(folder), "rename", lambda a, b: fail(b) if b == folder and ".tmp" in a.name else rename(a, b)
    )
    with pytest.raises(OSError, match="no"):
        copy(other, folder)
    assert same(verify(folder), verify(good)) and not _left(folder)


def test_saves_at_once(folder, good, other):
    """Any number of them may fail, but what is there is whole."""
    errors = []

    def save(source):
        for _ in range(10):
            try:
                copy(source, folder)
            except OSError as error:
                errors.append(error)

    threads = [threading.Thread(target=save, args=[source]) for source in (good, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = verify(resolve(folder))
    assert same(found, verify(good)) or same(found, verify(other))
    assert len(errors) < 20 and np.all([isinstance(error.filename, str) for error in errors])


def test_a_disk_that_keeps_other_bytes(folder, good, other, monkeypatch):
    write = checkpoint.atomic_write
    monkeypatch.setattr(checkpoint, "atomic_write", lambda path, data: write(path, data[:-1] + b"?"))
    with pytest.raises(zoo.errors.ZooError):
        copy(other, folder)
    assert same(verify(folder), verify(good)) and not _left(folder)


def test_the_new_checkpoint_is_on_the_disk_before_the_old_one_goes(folder, other, monkeypatch):
    synced = []
    monkeypatch.setattr(
        checkpoint, "sync_folder", lambda path: synced.append((path, checkpoint._previous(folder).exists()))
    )
    copy(other, folder)
    assert synced == [(folder.parent, True)]


def test_an_unfinished_save_is_removed_only_when_it_is_old(folder, other):
    young, old = checkpoint._temporary(folder), checkpoint._temporary(folder)
    young.mkdir()
    old.mkdir()
    os.utime(old, (0, 0))
    copy(other, folder)
    assert young.exists() and not old.exists()
