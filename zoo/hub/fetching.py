"""From the hub to a verified folder: into the cache of `huggingface_hub`, checked before anything of it is parsed."""

import contextlib
import functools
import hashlib
from pathlib import Path

from zoo import verification
from zoo.atomic_files import atomic_write
from zoo.errors import CorruptCheckpoint, HubUnavailable, UnsafeCheckpoint
from zoo.hub import guard
from zoo.hub.client import STALLED, GivenUp, Watch, call
from zoo.hub.names import COMMIT
from zoo.verification import FILES, LARGEST

MANIFEST = "manifest.json"


def fetch(name, manifest_sha256=None, *, cache_dir=None, local_files_only=False, files=FILES):
    """The folder in which a model of the hub lies, its files downloaded if they are not in the cache, and intact.

    Of a name without a commit, the hub is asked once which commit it means; a model whose commit is named and whose
    files are in the cache costs no request. A damaged file of the cache is removed and fetched once more.

    Args:
        name: `zoo.hub.names.HubName`.
        manifest_sha256: what the manifest must hash to, where that is known.
        cache_dir: path; None for the client's own, `~/.cache/huggingface/hub` unless HF_HOME says otherwise.
        local_files_only: whether to do without requests.
        files: which of `zoo.verification.FILES` are wanted, besides the manifest.

    Returns:
        Path of the commit's folder.

    Raises:
        UnknownModel, HubUnavailable, CorruptCheckpoint, UnsafeCheckpoint, IncompatibleCheckpoint: see `zoo.errors`.
    """
    download = _Download(name, cache_dir, local_files_only)
    folder = download.manifest()
    download.mend(MANIFEST, lambda: _check_manifest(folder, manifest_sha256))
    manifest = verification.read_manifest(folder, manifest_sha256)
    for file in sorted(files, key=("config.json", "tokenizer.json", "README.md", "model.safetensors").index):
        entry = manifest["files"][file]
        if entry["size"] > LARGEST[file]:
            problem = f"the manifest gives it {entry['size']:,} bytes, and at most {LARGEST[file]:,} make sense there"
            raise UnsafeCheckpoint(folder / file, problem)
        download(file, entry["size"])
        download.mend(file, lambda file=file: verification.check_file(folder, file, manifest), entry["size"])
        if file == "config.json":
            verification.read_config(folder, manifest)  # refuses weights of another size before they are fetched
    download.keep()
    return folder


class _Download:
    """The files of one commit. Called with a file's name and size, it is in the cache afterwards."""

    def __init__(self, name, cache_dir, local_files_only):
        self.name, self.cache_dir, self.local_files_only = name, cache_dir, local_files_only
        self.commit = name.revision if name.is_pinned else None

    def manifest(self):
        """Downloads the manifest, which says of which commit everything else must be; gives the commit's folder."""
        folder = self(MANIFEST, None).parent
        if not COMMIT.fullmatch(folder.name) or self.commit not in (None, folder.name):
            raise HubUnavailable(f"{self.name}: the hub's answer names no commit. Is HF_ENDPOINT a hub?")
        self.commit = folder.name
        return folder

    def mend(self, file, check, size=None):
        """If a file is damaged, replaces it once."""
        try:
            check()
        except CorruptCheckpoint:
            if self.local_files_only:
                raise
            self(file, size, force_download=True)
            check()

    def __call__(self, file, size, force_download=False):
        from huggingface_hub import errors, hf_hub_download

        most = LARGEST[file] if size is None else size
        watch = Watch() if most <= LARGEST[MANIFEST] else Watch(STALLED, self._arrived)
        download = functools.partial(
            hf_hub_download,
            self.name.repo,
            file,
            revision=self.commit or self.name.revision,
            cache_dir=self.cache_dir,
            local_files_only=self.local_files_only,
            force_download=force_download,
            library_name="recurrent-zoo",
            tqdm_class=_progress(file, most, watch),
        )

        def twice():
            guard.EXPECTED.most = most
            try:
                return download()
            except errors.HfHubHTTPError:
                raise
            except errors.HTTPError:  # after a connection that breaks, the client itself does not try again
                return download()

        try:
            return Path(call(f"{file} of {self.name}", twice, watch=watch))
        except GivenUp:
            for lock in (self._cache() / ".locks" / self._own_folder()).glob("*.lock"):
                with contextlib.suppress(OSError):  # the thread that is given up holds one, and others can do without
                    lock.unlink()
            raise

    def keep(self):
        """Notes that this commit was asked for by name, so that `zoo.hub.prune` leaves it."""
        ref = self._cache() / self._own_folder() / "refs" / self.commit
        if self.name.is_pinned and not ref.exists():
            with contextlib.suppress(OSError):  # a cache that is read only
                ref.parent.mkdir(exist_ok=True)
                atomic_write(ref, self.commit.encode())

    def _arrived(self):
        """Bytes of the unfinished files of this repository, whichever process fetches them."""
        found = 0
        for path in (self._cache() / self._own_folder() / "blobs").glob("*.incomplete"):
            with contextlib.suppress(OSError):
                found += path.stat().st_size
        return found

    def _cache(self):
        from huggingface_hub import constants

        return Path(self.cache_dir or constants.HF_HUB_CACHE).expanduser()

    def _own_folder(self):
        return f"models--{self.name.repo.replace('/', '--')}"


def _progress(file, most, watch):
    """The client's progress bar, which also ends a transfer that does not move, or that brings more than it should."""
    from huggingface_hub.utils import tqdm

    class Progress(tqdm):
        received = 0

        def __init__(self, *args, name=None, **kwargs):
            super().__init__(*args, name=name, **kwargs)
            self.of_the_file = not (name or "").endswith(".transfer")  # what Xet receives may be more than the file

        def update(self, n=1):
            if most > LARGEST[MANIFEST]:
                watch.tick()
            self.received += (n or 0) if self.of_the_file else 0
            if self.received > most:
                raise UnsafeCheckpoint(file, f"the hub sends more than the {most:,} bytes that it should have")
            return super().update(n)

    return Progress


def _check_manifest(folder, sha256):
    """Raises CorruptCheckpoint unless the manifest has the hash that is known, or that the hub said when it came."""
    path = folder / MANIFEST
    size = path.stat().st_size
    if size > LARGEST[MANIFEST]:
        raise UnsafeCheckpoint(path, f"it has {size:,} bytes, and at most {LARGEST[MANIFEST]:,} make sense there")
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if sha256 not in (None, found):
        raise CorruptCheckpoint(path, f"sha256 {sha256}", found)
    said = path.resolve().name if path.is_symlink() else ""  # the client names a file by its git or LFS hash
    if len(said) == 40:
        found = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
    if len(said) in (40, 64) and said != found:
        raise CorruptCheckpoint(path, f"hash {said}", found)
