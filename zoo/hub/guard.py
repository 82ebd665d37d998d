"""Answers that the client would take as they are, refused before it uses what they say as the names of files."""

import re
import threading

from zoo.errors import UnsafeCheckpoint

THREAD = "zoo: "  # how the threads are named in which the client works for us; its other work is not our concern
EXPECTED = threading.local()  # of a thread, `most`: bytes of the file that it asks for, at most
HASH = re.compile(r'(W/)?"?([0-9a-f]{40}|[0-9a-f]{64})"?')


def install():
    """Lets the client's HTTP sessions check what they receive for us, and keeps the factory that the user has set."""
    from huggingface_hub import set_client_factory
    from huggingface_hub.utils import _http

    before = _http._GLOBAL_CLIENT_FACTORY
    if getattr(before, "checks", None) is check:
        return

    def factory():
        client = before()
        client.event_hooks = {**client.event_hooks, "response": [*client.event_hooks["response"], check]}
        return client

    factory.checks = check
    set_client_factory(factory)


def check(response):
    """Refuses an ETag or a commit that is no hash (the client would write to the path that it spells), and a size that
    is too large."""
    ours = threading.current_thread().name.startswith(THREAD)
    if not ours or response.request.method != "HEAD" or response.status_code >= 400:
        return
    file, most = response.request.url.path.rpartition("/")[2], getattr(EXPECTED, "most", None)
    size = response.headers.get("X-Linked-Size") or response.headers.get("Content-Length") or "0"
    if most is not None and size.isdigit() and int(size) > most:
        raise UnsafeCheckpoint(file, f"the hub says it has {size} bytes, of at most {most:,}")
    etag = response.headers.get("X-Linked-Etag") or response.headers.get("ETag")
    for name, value in (("ETag", etag), ("commit", response.headers.get("X-Repo-Commit"))):
        if value is not None and not HASH.fullmatch(value):
            raise UnsafeCheckpoint(file, f"the hub gives it the {name} {value!r:.100}, which is no hash")
