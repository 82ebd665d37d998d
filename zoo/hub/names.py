"""Names of models on the hub: `alice/shakespeare-mlstm`, `alice/shakespeare-mlstm@v1.0`, `hf://alice/...@<commit>`."""

import re
from typing import NamedTuple

SCHEME = "hf://"
NAME = re.compile(r"(?P<repo>[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})(?:@(?P<revision>[^@]*))?", re.ASCII)
REVISION = re.compile(r"(?!.*\.\.)[\w][\w./+-]{0,254}", re.ASCII)
COMMIT = re.compile(r"[0-9a-f]{40}")


class HubName(NamedTuple):
    """A model on the hub.

    Attributes:
        repo: `"owner/name"`.
        revision: branch, tag or commit; None for the branch `main`.
    """

    repo: str
    revision: str | None = None

    @property
    def is_pinned(self):
        """Whether the revision is a commit, which never changes."""
        return COMMIT.fullmatch(self.revision or "") is not None

    def __str__(self):
        return self.repo if self.revision is None else f"{self.repo}@{self.revision}"


def _is_repo(repo):
    """Whether the hub takes it for a repository, besides what the pattern says."""
    ends = (".git", ".", "-")
    return len(repo) <= 96 and not any(part in repo for part in ("--", "..")) and not repo.endswith(ends)


def parse(name, revision=None):
    """The `HubName` that a str is, or None if it cannot be one.

    Args:
        name: str, with or without `hf://` and `@revision`.
        revision: in place of `@revision`.

    Raises:
        ValueError: the name begins with `hf://` and goes on as no name does, or the revision is none.

    >>> parse("alice/shakespeare-mlstm@v1.0")
    HubName(repo='alice/shakespeare-mlstm', revision='v1.0')
    >>> parse("./runs/mine"), parse("mlstm-sentiment")
    (None, None)
    """
    found = NAME.fullmatch(name.removeprefix(SCHEME))
    if found is None or not _is_repo(found["repo"]):
        if name.startswith(SCHEME):
            raise ValueError(f"A model on the hub is {SCHEME}owner/name or {SCHEME}owner/name@revision: {name!r:.200}")
        return None
    given = found["revision"]
    if given is not None and revision is not None and given != revision:
        raise ValueError(f"{name!r:.200} names one revision and `revision={revision!r:.100}` another.")
    revision = given if revision is None else revision
    if revision is not None and (not isinstance(revision, str) or not REVISION.fullmatch(revision)):
        raise ValueError(f"`revision` must be a branch, a tag or a commit. Received: revision={revision!r:.100}")
    return HubName(found["repo"], revision)
