"""From a checkpoint to the hub: one commit with its parent, of files that were verified just before."""

import tempfile
from pathlib import Path
from typing import NamedTuple

from zoo import checkpoint, verification
from zoo.card_metadata import eval_results
from zoo.errors import HubUnavailable, UnsafeCheckpoint
from zoo.hub.client import DEADLINE, Watch, call
from zoo.hub.names import COMMIT, parse

SLOWEST = 50_000  # bytes a second, below which an upload is given up
FIGURES = ".eval_results/zoo.yaml"


class Published(NamedTuple):
    """What a publication came to.

    Attributes:
        repo: `"owner/name"`.
        commit: 40 hexadecimal digits, which `zoo.load(repo, revision=commit)` takes.
        url: of the commit, or of the pull request.
    """

    repo: str
    commit: str
    url: str


def publish(model, repo, *, revision="main", private=True, create_pr=False, about=None):
    """Publishes a model on the hub, in one commit; interrupted, it has published all of it or nothing.

    The card and its metadata are generated from the manifest. Sign in first, with `hf auth login`.

    Args:
        model: a model of the zoo; the folder of a checkpoint or a training; or the name of a shipped model.
        repo: `"owner/name"` of the repository, which is made if there is none.
        revision: branch, made if there is none.
        private: whether a new repository is seen by its owner only.
        create_pr: whether to propose the commit as a pull request instead, for repositories of others.
        about: dict for the card, in addition to what the manifest says: `license`, `language` and `datasets` as the
            hub writes them, `terms` of the data, `limits` of the model.

    Returns:
        `Published`, with the commit.

    Raises:
        UnsafeCheckpoint: the folder holds something else, or links out of itself.
        CorruptCheckpoint, IncompatibleCheckpoint: the checkpoint is damaged.
        ValueError: a weight is not finite, or `repo` is no name.
        HubUnavailable: the hub does not answer or does not allow it.

    Example:

    >>> zoo.publish("runs/mine", "alice/shakespeare-mlstm", about={"license": "mit"})  # doctest: +SKIP
    """
    return send(prepare(model, repo, about), repo, revision=revision, private=private, create_pr=create_pr)


def prepare(model, repo, about=None):
    """The files that publishing would send: a dict from name to bytes."""
    name = parse(repo) if isinstance(repo, str) else None
    if name is None or name.revision is not None:
        raise ValueError(f"`repo` must be owner/name, without a revision. Received: repo={repo!r:.200}")
    if isinstance(model, tuple(verification.MODELS.values())):
        with tempfile.TemporaryDirectory() as folder:
            checkpoint.save(model, Path(folder) / "model")
            return _sealed(Path(folder) / "model", name.repo, about)
    from zoo.loading import find  # which itself knows the hub

    folder = checkpoint.resolve(find(model, local_files_only=True).folder)
    _check_folder(folder)
    return _sealed(folder, name.repo, about)


def send(files, repo, *, revision="main", private=True, create_pr=False):
    """Sends what `prepare` gave; arguments and errors as in `publish`."""
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    repo = parse(repo).repo
    api, what = HfApi(library_name="recurrent-zoo"), f"publishing to {repo}"
    if not create_pr:
        call(what, api.create_repo, repo, private=private, exist_ok=True)
    parent = call(what, _head, api, repo, revision, make=not create_pr)
    additions = [CommitOperationAdd(path, data) for path, data in files.items()]
    stale = {FIGURES} & {file.rfilename for file in parent.siblings} - files.keys()
    time = Watch(DEADLINE + sum(map(len, files.values())) / SLOWEST)
    where = {"revision": revision, "create_pr": create_pr}
    # First the large files, which are seen by nobody yet: given up or interrupted there, nothing is published later.
    call(what, api.preupload_lfs_files, repo, additions, free_memory=False, watch=time, **where)
    done = call(
        f"{what} (the last step; it may have arrived all the same, see its page)",
        api.create_commit,
        repo,
        [*additions, *map(CommitOperationDelete, sorted(stale))],
        commit_message=f"Publish {repo.partition('/')[2]}",
        parent_commit=parent.sha,
        **where,
    )
    if not COMMIT.fullmatch(done.oid or ""):
        raise HubUnavailable(f"{what}: the hub gave no commit. See on its page whether the files are there.")
    there = {file.rfilename for file in call(what, api.model_info, repo, revision=done.oid).siblings}
    if missing := sorted(files.keys() - there):
        raise HubUnavailable(f"{what}: the hub left out {', '.join(missing)}. Does the repository have a .gitignore?")
    return Published(repo, done.oid, done.pr_url or done.commit_url)


def _head(api, repo, revision, make):
    """What the hub knows of the commit that a branch is at; of a branch that is made, the one that `main` is at."""
    from huggingface_hub.errors import RevisionNotFoundError

    try:
        return api.model_info(repo, revision=revision)
    except RevisionNotFoundError:
        if not make:
            raise
    api.create_branch(repo, branch=revision, exist_ok=True)
    return api.model_info(repo, revision=revision)


def _check_folder(folder):
    """Refuses what does not belong to a checkpoint, so that nothing is published by mistake."""
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder}.")
    inside = folder.resolve()
    for path in sorted(folder.iterdir()):
        if path.name not in (*verification.FILES, "manifest.json"):
            raise UnsafeCheckpoint(path, "it is no file of a checkpoint; move it elsewhere, then publish")
        if path.is_symlink() and path.resolve().parent != inside:
            raise UnsafeCheckpoint(path, "it is a link out of the folder; copy the model (zoo.save), then publish that")


def _sealed(folder, repo, about):
    """All files of a verified checkpoint, with a card of its name on the hub."""
    found = checkpoint.verify(folder)
    manifest = {**found.manifest}
    if about:
        manifest["about"] = {**manifest.get("about", {}), **about}
    files = checkpoint.sealed(repo, found.contents, found.config, manifest)
    figures = eval_results(manifest)
    return files if figures is None else {**files, FIGURES: figures.encode()}
