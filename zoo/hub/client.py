"""Calls of `huggingface_hub`, the only code that opens a socket: each ends in time, and fails with an error of ours."""

import threading
import time

from zoo.errors import HubUnavailable, IncompatibleCheckpoint, UnknownModel, ZooError
from zoo.hub import guard

DEADLINE = 60.0  # seconds that a call about little data may take in all, with every retry of the client
STALLED = 600.0  # seconds after which a transfer of much data that does not move is given up; it moves by 10 MiB


class GivenUp(HubUnavailable):
    """The time is over; the client may still be at work in its thread."""


class Watch:
    """When a transfer last moved.

    Args:
        seconds: after so many without a `tick` it is given up.
        sign: a function whose result changes while it moves, even if another process moves it.
    """

    def __init__(self, seconds=None, sign=lambda: None):
        self.seconds = DEADLINE if seconds is None else seconds
        self.sign, self.seen = sign, sign()
        self.tick()

    def tick(self):
        self.last = time.monotonic()

    @property
    def left(self):
        """Seconds."""
        seen = self.sign()
        if seen != self.seen:
            self.seen = seen
            self.tick()
        return self.last + self.seconds - time.monotonic()


def call(what, function, *args, watch=None, **kwargs):
    """What a function of the client gives.

    Args:
        what: str, what is asked for, to be told if it cannot be had.
        function: called in a thread, which is left alone when its time is over.
        watch: `Watch`; without it, the whole call has `DEADLINE` seconds.

    Raises:
        ZooError: see `as_ours`.
    """
    watch, outcome, done = watch or Watch(), [], threading.Event()

    def run():
        try:
            outcome.append((function(*args, **kwargs), None))
        except BaseException as error:
            outcome.append((None, error))
        done.set()

    guard.install()
    threading.Thread(target=run, daemon=True, name=f"{guard.THREAD}{what}").start()
    while not done.wait(min(1.0, max(0.0, watch.left))):
        if watch.left <= 0:
            raise GivenUp(f"{what}: the hub gave no answer for {watch.seconds:g} seconds. {ADVICE}")
    result, error = outcome[0]
    if error is not None:
        ours = as_ours(error, what)
        if ours is error:
            raise error
        raise ours from None
    return result


ADVICE = (
    "Try again later, or use a model that is on this machine: `zoo cache list` shows those that came from the hub, "
    "`zoo list` those that came with the package."
)
OFFLINE = (
    "It is not in the cache, and the hub may not be asked (offline). Get it with `zoo download` where there is a "
    "network, or unset HF_HUB_OFFLINE and leave local_files_only away."
)
SIGN_IN = "If it is private, sign in first (`hf auth login`), with a token that may read it, and to publish, write it."


def as_ours(error, what):
    """An error of the client as one of the zoo; anything else, such as a full disk or Ctrl-C, as it is.

    Nothing of the client's message is repeated but the status: it may hold addresses that are signed, or tokens.
    """
    from huggingface_hub import errors

    if isinstance(error, ZooError):
        return error
    if isinstance(error, errors.OfflineModeIsEnabled | errors.LocalEntryNotFoundError):
        return _unreachable(error.__cause__, what) or HubUnavailable(f"{what}: {OFFLINE}")
    if isinstance(error, errors.GatedRepoError):
        return HubUnavailable(f"{what}: its owner gives access on request only. Ask on its page on the hub. {SIGN_IN}")
    if isinstance(error, errors.RepositoryNotFoundError):
        return UnknownModel(what, advice=f"The hub knows no such repository. {SIGN_IN}")
    if isinstance(error, errors.RevisionNotFoundError):
        return UnknownModel(what, advice="The hub knows the repository, but no such branch, tag or commit in it.")
    if isinstance(error, errors.EntryNotFoundError):
        return IncompatibleCheckpoint(f"{what}: the repository has no such file, so it is not a model of the zoo.")
    if isinstance(error, errors.HfHubHTTPError):
        return HubUnavailable(f"{what}: {_status(error.response.status_code)}")
    found = _unreachable(error, what)
    if found is not None:
        return found
    if isinstance(error, errors.FileMetadataError):
        return HubUnavailable(f"{what}: what answered is no hub; is there a proxy, or a wrong HF_ENDPOINT? {ADVICE}")
    if isinstance(error, RuntimeError) and error.__cause__ is not None:  # of an upload, with the reason behind it
        return as_ours(error.__cause__, what)
    if isinstance(error, OSError) and error.errno is not None:
        return error
    if isinstance(error, OSError | ValueError | KeyError | TypeError | AttributeError | RuntimeError):
        return HubUnavailable(f"{what}: the hub's answer makes no sense ({type(error).__name__}). {ADVICE}")
    return error


def _unreachable(error, what):
    """HubUnavailable, if no answer came at all."""
    from huggingface_hub import errors

    if isinstance(error, errors.HTTPError):  # of the library for HTTP that the client uses
        return HubUnavailable(f"{what}: the hub cannot be reached ({type(error).__name__}). {ADVICE}")
    return None


def _status(code):
    """What an HTTP status means to a user."""
    said = {
        401: f"the hub wants to know who asks (401). {SIGN_IN}",
        403: f"the hub does not allow it (403). {SIGN_IN}",
        404: "the hub does not have it (404). Check the name and the revision.",
        409: "somebody changed the repository at the same time (409). Nothing was published; run it again.",
        412: "somebody changed the repository at the same time (412). Nothing was published; run it again.",
        413: "it is too large for the hub (413).",
        429: f"too many requests (429). {ADVICE}",
    }
    if 500 <= code:
        return f"the hub has a fault ({code}). {ADVICE}"
    return said.get(code, f"the hub answered with status {code}. {ADVICE}")
