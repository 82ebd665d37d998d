"""What has come from the hub and lies in the client's cache; only models of the zoo are seen and removed."""

import contextlib
import time
from pathlib import Path
from typing import NamedTuple

from zoo.errors import ZooError
from zoo.verification import read_manifest

ABANDONED = 3600  # seconds after which an unfinished download is taken for a dead one


class Cached(NamedTuple):
    """A commit of a model in the cache.

    Attributes:
        repo, commit: as in `zoo.load(repo, revision=commit)`.
        refs: the branches and tags that pointed to it when it came, and the commit itself if that was asked for; none
            if a later commit has taken its place.
        size: bytes.
        folder: path.
    """

    repo: str
    commit: str
    refs: tuple
    size: int
    folder: Path


def cached(cache_dir=None):
    """The models of the zoo in the cache, a list of `Cached` sorted by name."""
    found = [
        Cached(repo.repo_id, one.commit_hash, tuple(sorted(one.refs)), one.size_on_disk, one.snapshot_path)
        for repo in _scan(cache_dir).repos
        for one in repo.revisions
        if repo.repo_type == "model" and _is_ours(one)
    ]
    return sorted(found)


def prune(repos=None, cache_dir=None):
    """Removes from the cache what a later commit of its branch has replaced, and what unfinished downloads left.

    Args:
        repos: list of `"owner/name"`, of which everything is removed; None for what is said above, of all.
        cache_dir: path; None for the client's own.

    Returns:
        The list of `Cached` that were removed, and the bytes that this freed.

    Raises:
        ValueError: one of `repos` is not in the cache.
    """
    here = cached(cache_dir)
    if missing := set(repos or ()) - {one.repo for one in here}:
        raise ValueError(f"Not in the cache: {', '.join(sorted(missing))}. `zoo cache list` shows what is.")
    doomed = [one for one in here if (not one.refs if repos is None else one.repo in repos)]
    freed = 0
    if doomed:
        strategy = _scan(cache_dir).delete_revisions(*(one.commit for one in doomed))
        freed = strategy.expected_freed_size
        strategy.execute()
    for one in here:
        for litter in (one.folder.parent.parent / "blobs").glob("*.incomplete"):
            with contextlib.suppress(OSError):
                if litter.stat().st_mtime < time.time() - ABANDONED:
                    freed += litter.stat().st_size
                    litter.unlink()
    return doomed, freed


def _scan(cache_dir):
    from huggingface_hub import constants, scan_cache_dir

    folder = Path(cache_dir or constants.HF_HUB_CACHE).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    return scan_cache_dir(folder)


def _is_ours(revision):
    try:
        return bool(read_manifest(revision.snapshot_path))
    except (ZooError, OSError):
        return False
