"""What has been downloaded: used without a request, mended once, shared by processes and threads, and removed."""

import contextlib
import os
import signal
import socket
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from loopback import Fault

import zoo
from zoo import hub as zoo_hub
from zoo.errors import CorruptCheckpoint, HubUnavailable, UnknownModel
from zoo.hub import cache, fetching
from zoo.loading import find
from zoo.verification import FILES, verify

REPO = "alice/hello-lstm"


@pytest.fixture
def commit(hub, saved):
    """Of a model on the hub."""
    return hub.add_folder(REPO, saved)


@pytest.fixture
def no_sockets(monkeypatch):
    def forbidden(*_, **__):
        raise AssertionError("a socket is opened")

    def forbid():
        monkeypatch.setattr(socket, "socket", forbidden)
        monkeypatch.setattr(socket, "create_connection", forbidden)

    return forbid


def spoil(path, how):
    data = bytearray(path.read_bytes())
    if how == "flip":
        data[-9] ^= 1
    path.resolve().write_bytes({"flip": data, "cut": data[:-1], "empty": b""}[how])


def test_a_pinned_model_in_the_cache_costs_no_request(hub, commit, no_sockets):
    zoo.load(REPO, revision=commit)
    hub.requests.clear()
    no_sockets()
    assert zoo.load(REPO, revision=commit).task == "language-model"
    assert zoo.load(f"hf://{REPO}@{commit}").task == "language-model"
    assert zoo.load(REPO, local_files_only=True, revision=commit).task == "language-model"
    assert not hub.requests


def test_a_branch_is_asked_for_once(hub, commit):
    find(REPO)
    hub.requests.clear()
    folder = find(REPO).folder
    assert folder.name == commit
    assert all("manifest.json" in line for _, line, _ in hub.requests) and len(hub.requests) <= 2


def test_a_branch_that_moved(hub, commit, saved, tmp_path):
    find(REPO)
    zoo.checkpoint.copy(saved, tmp_path / "new", description="Newer.")
    newer = hub.add_folder(REPO, tmp_path / "new")
    assert find(REPO).folder.name == newer and find(REPO, commit).folder.name == commit
    assert zoo.info(REPO)["description"] == "Newer." and zoo.info(REPO, commit)["description"] == "Small."


def test_info_does_not_fetch_weights(hub, commit):
    assert zoo.info(REPO)["model"]["units"] == 3
    assert not any("safetensors" in line or "signed" in line for _, line, _ in hub.requests)


def test_a_folder_goes_before_the_hub(hub, commit, saved, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    zoo.checkpoint.copy(saved, tmp_path / REPO, description="Mine.")
    assert zoo.info(REPO)["description"] == "Mine." and not hub.requests
    assert zoo.info(f"hf://{REPO}")["description"] == "Small."
    assert zoo.info(REPO, revision="main")["description"] == "Small."


def test_a_preset_on_the_hub(hub, commit, saved, monkeypatch):
    import hashlib

    from zoo import loading

    sha256 = hashlib.sha256((saved / "manifest.json").read_bytes()).hexdigest()
    pin = {"repo": REPO, "revision": commit, "manifest_sha256": sha256}
    presets = {"hello": {"hub": pin}, "bad": {"hub": {**pin, "manifest_sha256": "0" * 64}}}
    monkeypatch.setattr(loading, "PRESETS", presets)
    assert find("hello") == (find(REPO, commit).folder, sha256, "hello")
    hub.requests.clear()
    zoo.load("hello")
    assert not hub.requests
    with pytest.raises(CorruptCheckpoint, match="manifest.json"):
        zoo.load("bad")


def test_shipping_pins_what_is_published(hub, commit, tmp_path):
    from recipes import ship

    pins = {"mlstm-linux": ship.pin(f"{REPO}@{commit}")}
    text = ship.generated(pins=pins)[ship.ROOT / "zoo" / "presets.py"]
    found = {}
    exec(text, found)
    assert (
        found["PRESETS"]["mlstm-linux"]["hub"] == pins["mlstm-linux"]
        and "hub" not in found["PRESETS"]["lstm-shakespeare"]
    )
    with pytest.raises(ValueError, match="COMMIT"):
        ship.pin(REPO)


@pytest.mark.parametrize("how", ["flip", "cut", "empty"])
@pytest.mark.parametrize("file", ["manifest.json", *FILES])
def test_damage_is_mended_once(hub, commit, saved, file, how):
    folder = find(REPO, commit).folder
    spoil(folder / file, how)
    with pytest.raises(CorruptCheckpoint):
        find(REPO, commit, local_files_only=True)
    spoil(folder / file, "empty")
    assert verify(find(REPO, commit).folder).contents == verify(saved).contents
    spoil(folder / file, "empty")
    hub.faults.append(Fault("/resolve/|/signed/", "status", 500))
    with pytest.raises(HubUnavailable):
        find(REPO, commit)


@pytest.mark.parametrize("file", ["manifest.json", *FILES])
def test_a_missing_file_is_fetched(hub, commit, saved, file):
    folder = find(REPO, commit).folder
    (folder / file).resolve().unlink()
    with pytest.raises(HubUnavailable, match="zoo download"):
        find(REPO, commit, local_files_only=True)
    assert verify(find(REPO, commit).folder).contents == verify(saved).contents


def start(function):
    """The id of a fork of this process, which runs a function and exits with 0 if it succeeds."""
    with warnings.catch_warnings(action="ignore"):  # this process has threads; the child does without them
        child = os.fork()
    if child == 0:
        status = 1
        with contextlib.suppress(BaseException):
            signal.alarm(60)
            function()
            status = 0
        os._exit(status)
    return child


def test_eight_processes_at_once(hub, commit, saved, tmp_path):
    def load():
        folder = find(REPO, cache_dir=tmp_path / "shared").folder
        assert verify(folder).contents == verify(saved).contents

    children = [start(load) for _ in range(8)]
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 8


def test_sixteen_threads_at_once(hub, commit, saved):
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda _: verify(find(REPO).folder).contents, range(16)))
    assert all(contents == verify(saved).contents for contents in found)


@pytest.mark.parametrize("at", ["manifest.json", "config.json", "tokenizer.json", "README.md", "signed"])
def test_killed_while_downloading(hub, commit, saved, tmp_path, at):
    hub.faults.append(Fault(f"GET .*{at}", "slow", 60))
    child = start(lambda: find(REPO, cache_dir=tmp_path / "killed"))
    deadline = time.monotonic() + 60
    while not any(line.startswith("GET") and at in line for _, line, _ in hub.requests):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    hub.faults.clear()
    folder = find(REPO, cache_dir=tmp_path / "killed").folder
    assert verify(folder).contents == verify(saved).contents


def test_interrupted_by_a_signal_in_the_main_thread(hub, commit):
    hub.faults.append(Fault("GET .*config", "slow", 2.0))
    timer = threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        find(REPO)
    timer.join()


def test_list_and_prune(hub, commit, saved, tmp_path):
    find(REPO)
    zoo.checkpoint.copy(saved, tmp_path / "new", description="Newer.")
    newer = hub.add_folder(REPO, tmp_path / "new")
    find(REPO)
    assert {one.commit for one in zoo_hub.cached()} == {commit, newer}
    litter = find(REPO).folder.parent.parent / "blobs" / "x.1234.incomplete"
    litter.write_bytes(bytes(1000))
    os.utime(litter, (0, 0))
    removed, freed = zoo_hub.prune()
    assert [one.commit for one in removed] == [commit] and freed >= 1000 and not litter.exists()
    assert verify(find(REPO, newer, local_files_only=True).folder)
    with pytest.raises(ValueError, match="zoo cache list"):
        zoo_hub.prune(["alice/nothing"])
    assert [one.commit for one in zoo_hub.prune([REPO])[0]] == [newer]
    assert zoo_hub.cached() == []
    with pytest.raises(HubUnavailable):
        find(REPO, local_files_only=True)


def test_what_was_asked_for_by_its_commit_is_not_pruned(hub, commit, saved, tmp_path):
    find(REPO, commit)
    zoo.checkpoint.copy(saved, tmp_path / "new", description="Newer.")
    hub.add_folder(REPO, tmp_path / "new")
    find(REPO)
    assert zoo_hub.prune() == ([], 0)
    assert verify(find(REPO, commit, local_files_only=True).folder)


def test_a_process_that_waits_for_another_is_patient(hub, commit, tmp_path, monkeypatch):
    """As long as the other's file grows; and it leaves the other's lock alone."""
    from zoo.hub import client

    blobs = tmp_path / "cache" / "models--alice--hello-lstm" / "blobs"
    blobs.mkdir(parents=True)
    download = fetching._Download(zoo_hub.parse(REPO), None, False)
    watch = client.Watch(0.5, download._arrived)
    for size in range(1, 5):
        time.sleep(0.2)
        (blobs / "x.1.incomplete").write_bytes(bytes(size))
        assert watch.left > 0.4
    time.sleep(0.6)
    assert watch.left <= 0


def test_models_of_others_are_left_alone(hub, tmp_path):
    from huggingface_hub import hf_hub_download

    hub.create("alice/other")
    theirs = hub.commit("alice/other", {"model.bin": b"x", "manifest.json": b"{}", "config.json": b"{}"})
    hf_hub_download("alice/other", "manifest.json", revision=theirs)
    hf_hub_download("alice/other", "config.json", revision=theirs)
    path = hf_hub_download("alice/other", "model.bin", revision=theirs)
    assert zoo_hub.cached() == [] and zoo_hub.prune() == ([], 0)
    assert Path(path).read_bytes() == b"x" and cache.ABANDONED > 60


def test_names(hub):
    wrong = "a/b/c", "alice/", "/x", "alice/x@", "alice/x@@y", "alice/../x", "hf:/alice/x", "-a/x", "a/-x", "a b/c"
    wrong += ("a/b--c", "a/b.git", "a/b-", "a/b.")
    for name in ("", *wrong):
        with pytest.raises((UnknownModel, ValueError)):
            zoo.load(name)
    for revision in ("../x", "", "a b", "x" * 300, 3, "-x"):
        with pytest.raises(ValueError, match="revision"):
            zoo.load("alice/x", revision=revision)
    for name in ("hf://alice", "hf://", "hf://alice/x/y", "hf://../x"):
        with pytest.raises(ValueError, match="hf://owner/name"):
            zoo.load(name)
    with pytest.raises(ValueError, match="another"):
        zoo.load("alice/x@a", revision="b")
    with pytest.raises(ValueError, match="owner/name"):
        zoo.load("mlstm-sentiment", revision="b")
    assert not hub.requests
