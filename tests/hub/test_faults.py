"""A hub with faults: each ends in time with an error of ours, or does no harm; and the next try without it succeeds."""

import contextlib
import re
import time

import loopback
import pytest
from loopback import Fault

import zoo
from zoo.errors import CorruptCheckpoint, HubUnavailable, IncompatibleCheckpoint, UnknownModel, UnsafeCheckpoint
from zoo.hub import client, fetching, publishing
from zoo.loading import find
from zoo.verification import verify

REPO = "alice/hello-lstm"
AWAY = "http://127.0.0.1:1/nothing"  # where nobody listens


@contextlib.contextmanager
def impatient():
    """Gives the hub half a second."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((client, "DEADLINE"), (publishing, "DEADLINE"), (fetching, "STALLED")):
            patch.setattr(module, name, 0.5)
        yield


@pytest.fixture
def there(hub, saved):
    """A hub with a model."""
    hub.add_folder(REPO, saved)
    return hub


def name(fault):
    return f"{fault.where}-{fault.kind}-{fault.value}" if isinstance(fault, Fault) else ""


def check_error(error):
    text = str(error)
    assert text.isprintable() and len(text) < 1000 and "Traceback" not in text
    assert loopback.WRITER not in text and "SECRET" not in text and "signature" not in text
    assert re.search(r"[.!] |[.?]$", text)


def no_token_left_the_hub(hub):
    assert not any(authorized for host, _, authorized in hub.requests if host == "cdn")


ASKED, SENT = "HEAD .*/resolve/.*/", "GET .*/resolve/.*/"
LARGE = "GET /signed"
STATUSES = (401, 403, 404, 409, 412, (429, {"Retry-After": "3600"}), 429, 500, 502, 503, 504, 418, 507)
UNAVAILABLE = [
    *(Fault(ASKED + "manifest.json", "status", status) for status in STATUSES),
    *(Fault(ASKED + "model.safetensors", "status", status) for status in (401, 403, 404, 429, 500, 503)),
    *(Fault(SENT + "config.json", "status", status) for status in STATUSES),
    *(Fault(LARGE, "status", status) for status in STATUSES),
    *(
        Fault(where, "reset")
        for where in (ASKED + "manifest.json", ASKED + "model.safetensors", SENT + "config", LARGE)
    ),
    *(Fault(where, "slow", 1.5) for where in (ASKED + "manifest.json", SENT + "tokenizer", LARGE)),
    *(Fault(where, "truncated") for where in (SENT + "manifest.json", SENT + "README.md", LARGE)),
    *(Fault(where, "redirect", AWAY) for where in (ASKED + "config.json", SENT + "config.json", LARGE)),
    *(Fault(ASKED + name, "html") for name in ("manifest.json", "config.json", "model.safetensors")),
    Fault(ASKED + "manifest.json", "headers", {"X-Repo-Commit": "main"}),
    Fault(ASKED + "manifest.json", "headers", {"X-Repo-Commit": "../../../x"}),
]


@pytest.mark.parametrize(
    "fault", UNAVAILABLE, ids=lambda fault: f"{fault.where[:4]}-{fault.where[-12:]}-{fault.kind}-{fault.value}"
)
def test_unavailable(there, saved, fault):
    there.faults.append(fault)
    start = time.monotonic()
    with impatient(), pytest.raises((HubUnavailable, UnknownModel, UnsafeCheckpoint)) as caught:
        find(REPO)
    assert time.monotonic() - start < 5
    check_error(caught.value)
    there.faults.clear()
    no_token_left_the_hub(there)
    assert verify(find(REPO).folder).contents == verify(saved).contents


WRONG = [
    (Fault(LARGE, "flipped"), CorruptCheckpoint),
    (Fault(SENT + "config.json", "flipped"), CorruptCheckpoint),
    (Fault(SENT + "tokenizer.json", "flipped"), CorruptCheckpoint),
    (Fault(SENT + "manifest.json", "flipped"), CorruptCheckpoint),
    (Fault(SENT + "README.md", "flipped"), CorruptCheckpoint),
    (Fault(SENT + "config.json", "html"), (CorruptCheckpoint, HubUnavailable)),
    (Fault(SENT + "manifest.json", "html"), (CorruptCheckpoint, HubUnavailable)),
    (Fault(LARGE, "html"), (CorruptCheckpoint, HubUnavailable)),
    (Fault(ASKED + "config.json", "headers", {"ETag": '"/etc/passwd"'}), UnsafeCheckpoint),
    (Fault(ASKED + "config.json", "headers", {"ETag": '"../../../../x"'}), UnsafeCheckpoint),
    (Fault(ASKED + "manifest.json", "headers", {"ETag": '""'}), UnsafeCheckpoint),
    (Fault(ASKED + "model.safetensors", "headers", {"X-Linked-Size": str(2**40)}), UnsafeCheckpoint),
    (Fault(ASKED + "manifest.json", "headers", {"Content-Length": str(2**40)}), UnsafeCheckpoint),
    (Fault(LARGE, "endless", 10**6), (UnsafeCheckpoint, HubUnavailable)),
    (Fault(SENT + "tokenizer.json", "endless", 10**6), (UnsafeCheckpoint, HubUnavailable)),
]


@pytest.mark.parametrize(
    "fault, error", WRONG, ids=lambda x: f"{x.where[-14:]}-{x.kind}" if isinstance(x, Fault) else ""
)
def test_wrong_content(there, saved, fault, error):
    there.faults.append(fault)
    with impatient(), pytest.raises(error) as caught:
        zoo.load(REPO)
    check_error(caught.value)
    there.faults.clear()
    no_token_left_the_hub(there)
    assert verify(find(REPO).folder).contents == verify(saved).contents


def test_nothing_is_written_outside_the_cache(there, tmp_path):
    """Even if the first answers are honest, or none."""
    outside = tmp_path / "outside"
    outside.mkdir()
    for first in ("status", "reset", None):
        for header, value in (("ETag", f'"{outside}/x"'), ("ETag", '"../../../outside/x"'), ("X-Repo-Commit", "../x")):
            there.faults = [Fault(ASKED + "config.json", first, 500, times=1)] if first else []
            there.faults.append(Fault(ASKED + "config.json", "headers", {header: value}))
            with impatient(), pytest.raises((UnsafeCheckpoint, HubUnavailable)):
                find(REPO)
            assert not list(outside.iterdir())


def test_no_token_where_the_user_forbids_it(there, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
    find(REPO)
    assert not any(authorized for _, _, authorized in there.requests)


PASSING = [
    *(Fault(where, "flipped", times=1) for where in (LARGE, SENT + "config", SENT + "manifest", SENT + "README")),
    *(Fault(where, "status", 503, times=1) for where in (ASKED + "manifest.json", ASKED + "config.json")),
    *(Fault(where, "reset", times=1) for where in (ASKED + "manifest.json", LARGE)),
    Fault(LARGE, "truncated", times=1),
    Fault(ASKED + "model", "status", (429, {"Retry-After": "0"}), times=1),
]


@pytest.mark.parametrize("fault", PASSING, ids=name)
def test_a_fault_that_passes_is_not_noticed(there, saved, fault):
    there.faults.append(fault)
    folder = find(REPO).folder
    assert fault.times == 0
    assert verify(folder).contents == verify(saved).contents


def test_no_such_thing(there):
    for name, error in (
        ("alice/nothing", UnknownModel),
        (f"{REPO}@v9", UnknownModel),
        (f"{REPO}@{'0' * 40}", UnknownModel),
    ):
        with pytest.raises(error) as caught:
            zoo.load(name)
        check_error(caught.value)
    there.create("alice/other")
    there.commit("alice/other", {"pytorch_model.bin": b"\x80\x04K\x01."})
    with pytest.raises(IncompatibleCheckpoint, match="not a model of the zoo"):
        zoo.load("alice/other")


def test_private(there, saved, monkeypatch, tmp_path):
    there.create("alice/secret", private=True)
    there.add_folder("alice/secret", saved)
    monkeypatch.setenv("HF_TOKEN", loopback.READER)
    assert zoo.load("alice/secret").task == "language-model"
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(UnknownModel, match="sign in"):
        zoo.load("alice/secret", cache_dir=tmp_path / "empty")
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(HubUnavailable, match="401") as caught:
        zoo.load("alice/secret", cache_dir=tmp_path / "empty")
    assert "hf_wrong" not in str(caught.value)


def test_nobody_there(there, saved, monkeypatch):
    there.close()
    with impatient(), pytest.raises(HubUnavailable, match="cannot be reached|no answer"):
        zoo.load(REPO)
    with impatient(), pytest.raises(HubUnavailable, match="runs/mine"):
        zoo.load("runs/mine")


def test_offline(there, saved, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubUnavailable, match="zoo download"):
        zoo.load(REPO)
    assert not there.requests
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    zoo.load(REPO)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert zoo.load(REPO).config == zoo.load(saved).config


PUBLISHING = [
    *(
        Fault(where, "status", status)
        for where in ("POST /api/repos/create", "GET /api/models/", "POST /api/models/.*/preupload", "POST .*/batch")
        for status in (401, 403, 500)
    ),
    *(
        Fault("POST /api/models/.*/commit", "status", status)
        for status in (400, 401, 403, 404, 409, 412, 413, 429, 500)
    ),
    *(Fault("PUT /signed", "status", status) for status in (400, 403, 500)),
    *(
        Fault(where, "reset")
        for where in ("repos/create", "validate-yaml", "preupload", "PUT", "verify", "commit/main")
    ),
    *(Fault(where, "html") for where in ("repos/create", "validate-yaml", "preupload", "batch", "commit/main")),
    *(Fault(where, "garbage") for where in ("GET /api/models", "preupload", "batch", "commit/main")),
    Fault("PUT", "slow", 1.5),
]


@pytest.mark.parametrize("fault", PUBLISHING, ids=name)
def test_publishing(hub, saved, fault):
    hub.faults.append(fault)
    with impatient(), pytest.raises((HubUnavailable, UnknownModel)) as caught:
        zoo.publish(saved, REPO)
    check_error(caught.value)
    hub.faults.clear()
    no_token_left_the_hub(hub)
    done = zoo.publish(saved, REPO)
    assert verify(find(f"{REPO}@{done.commit}").folder).config == verify(saved).config
