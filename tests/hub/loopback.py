"""A hub on this machine, for the real client: repositories, commits, LFS on a second host, and faults on demand.

What it answers follows the requests that `huggingface_hub` 2.4 makes. It cannot show Xet, the hub's newer way of
storing large files, whose other side is not public: the tests switch Xet off by the client's own setting.
"""

import base64
import hashlib
import json
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import yaml

WRITER, READER = "hf_writerTOKEN", "hf_readerTOKEN"


@dataclass
class Repo:
    """A repository: commits by hash, each with the files it has, and what points to them."""

    private: bool
    commits: dict = field(default_factory=dict)  # hash -> {path: Blob}
    refs: dict = field(default_factory=dict)  # branch, tag or refs/pr/1 -> hash

    def commit_of(self, revision):
        return self.refs.get(revision) or (revision if revision in self.commits else None)


@dataclass
class Blob:
    data: bytes
    lfs: bool

    @property
    def etag(self):
        if self.lfs:
            return hashlib.sha256(self.data).hexdigest()
        return hashlib.sha1(b"blob %d\0" % len(self.data) + self.data).hexdigest()


@dataclass
class Fault:
    """What goes wrong.

    Attributes:
        where: pattern that `"METHOD /path"` must contain.
        kind: `status`, `reset`, `slow`, `truncated`, `flipped`, `html`, `redirect`, `headers`, `garbage`, `endless`.
        value: of that kind.
        times: how often; None for always.
    """

    where: str
    kind: str
    value: object = None
    times: int | None = None


class Server(ThreadingHTTPServer):
    daemon_threads, block_on_close = True, False

    def handle_error(self, *_):
        """Clients that hang up are what is tested here."""


class LoopbackHub:
    """Two servers: the hub, and the host its large files lie on.

    Attributes:
        url, cdn: addresses.
        repos: dict from `"owner/name"` to `Repo`.
        requests: list of `(host, "METHOD /path", whether it had an Authorization header)`.
        faults: list of `Fault`.
    """

    def __init__(self):
        self.repos, self.lfs, self.requests, self.faults = {}, {}, [], []
        self.lock, self.stop_at = threading.RLock(), None
        self.servers = [Server(("127.0.0.1", 0), _handler(self, host)) for host in ("hub", "cdn")]
        for server in self.servers:
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        self.url, self.cdn = (f"http://127.0.0.1:{server.server_port}" for server in self.servers)

    def close(self):
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def create(self, repo, private=False):
        self.repos[repo] = Repo(private)
        self.commit(repo, {".gitattributes": b"*.safetensors filter=lfs\n"})

    def commit(self, repo, files, revision="main", lfs=()):
        """Adds files to a branch, and gives the commit."""
        found = self.repos[repo]
        parent = found.refs.get(revision)
        tree = dict(found.commits.get(parent, {}))
        tree |= {path: Blob(data, path in lfs or path.endswith(".safetensors")) for path, data in files.items()}
        tree = {path: blob for path, blob in tree.items() if blob.data is not None}  # None removes
        self.lfs |= {blob.etag: blob.data for blob in tree.values() if blob.lfs}
        parts = "".join(f"{path} {blob.etag}\n" for path, blob in sorted(tree.items()))
        commit = hashlib.sha1(f"{parent}\n{len(found.commits)}\n{parts}".encode()).hexdigest()
        found.commits[commit], found.refs[revision] = tree, commit
        return commit

    def add_folder(self, repo, folder):
        """Publishes a folder without the client, and gives the commit."""
        if repo not in self.repos:
            self.create(repo)
        return self.commit(repo, {path.name: path.read_bytes() for path in folder.iterdir()})

    def files(self, repo, revision="main"):
        found = self.repos[repo]
        return {path: blob.data for path, blob in found.commits[found.commit_of(revision)].items()}

    def fault_at(self, line):
        with self.lock:
            for fault in self.faults:
                if re.search(fault.where, line) and fault.times != 0:
                    if fault.times is not None:
                        fault.times -= 1
                    return fault
        return None


def _handler(hub, host):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def _serve(self):
            line = f"{self.command} {unquote(self.path)}"
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if "chunked" in (self.headers.get("Transfer-Encoding") or ""):
                body = self._chunks()
            with hub.lock:
                hub.requests.append((host, line, self.headers.get("Authorization") is not None))
                stopped = hub.stop_at is not None and len(hub.requests) > hub.stop_at
            fault = Fault("", "reset") if stopped else hub.fault_at(line)
            answer = _cdn if host == "cdn" else _answer
            status, headers, data = (0, {}, b"") if stopped else answer(hub, self, body)
            self._reply(fault, status, dict(headers), data)

        do_GET = do_HEAD = do_POST = do_PUT = _serve

        def _chunks(self):
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def _reply(self, fault, status, headers, data):
            cut = None
            if fault is not None:
                kind, value = fault.kind, fault.value
                if kind == "reset":
                    self.close_connection = True
                    self.connection.close()
                    return
                if kind == "slow":
                    time.sleep(value)
                elif kind == "status":
                    status, extra = value if isinstance(value, tuple) else (value, {})
                    headers, data = {**extra}, b'{"error": "no"}'
                elif kind == "html":
                    status, headers, data = 200, {"Content-Type": "text/html"}, b"<html>Sign in to this Wi-Fi</html>"
                elif kind == "garbage":
                    data = b"\x00\xff not JSON"
                elif kind == "redirect":
                    status, headers, data = 302, {"Location": value}, b""
                elif kind == "headers":
                    headers.update(value)
                elif kind == "flipped" and data:
                    data = data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :]
                elif kind == "truncated":
                    cut = len(data) // 2
                elif kind == "endless":
                    headers["Content-Length"] = str(10**9)
                    data = data + bytes(value)
            self.send_response_only(status)
            headers = {"Content-Length": str(len(data)), **headers}
            for key, text in headers.items():
                self.send_header(key, text)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data[:cut])
            if cut is not None or (fault and fault.kind == "endless"):
                self.close_connection = True

    return Handler


def _json(record, status=200, **headers):
    return status, {"Content-Type": "application/json", **headers}, json.dumps(record).encode()


def _error(status, code):
    return _json({"error": code}, status, **{"X-Error-Code": code, "X-Error-Message": code})


def _cdn(hub, request, body):
    """The host of large files: its addresses are signed, so it is sent no token."""
    oid = urlsplit(request.path).path.rpartition("/")[2]
    if request.command == "PUT":
        if hashlib.sha256(body).hexdigest() != oid:
            return _error(400, "WrongContent")
        hub.lfs[oid] = body
        return 200, {}, b""
    if oid not in hub.lfs:
        return _error(404, "EntryNotFound")
    return _ranged(request, hub.lfs[oid], {"ETag": f'"{oid}"'})


def _ranged(request, data, headers):
    """A body, or the end of it that is asked for."""
    wanted = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range") or "")
    if wanted is None:
        return 200, headers, data
    start = int(wanted[1])
    return 206, {**headers, "Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}, data[start:]


def _answer(hub, request, body):
    """The hub itself."""
    path, method = urlsplit(request.path).path, request.command
    token = (request.headers.get("Authorization") or "").removeprefix("Bearer ")
    if token not in ("", WRITER, READER):
        return _json({"error": "no"}, 401, **{"X-Error-Message": "Invalid credentials in Authorization header"})
    if method == "POST" and token != WRITER and path != "/api/validate-yaml":
        return _error(403 if token else 401, "Forbidden")
    if path == "/api/repos/create":
        return _create(hub, json.loads(body))
    if path == "/api/validate-yaml":
        return _validate_yaml(json.loads(body)["content"])
    found = re.match(r"(?:/api/models)?/([^/]+/[^/]+?)(?:\.git)?/(info/lfs/\w+|resolve|[a-z-]+)(?:/(.*))?$", path)
    if found is None:  # /api/models/owner/name
        found = re.match(r"/api/models/([^/]+/[^/]+)()()$", path)
    repo = hub.repos.get(found[1]) if found else None
    if repo is None or (repo.private and not token):
        return _error(404 if token else 401, "RepoNotFound")
    return _of_repo(hub, request, body, found[1], repo, found[2], found[3] or "")


def _of_repo(hub, request, body, name, repo, what, rest):
    query = urlsplit(request.path).query
    rest = rest if what == "resolve" else unquote(rest)
    if what in ("", "revision"):
        commit = repo.commit_of(rest or "main")
        if commit is None:
            return _error(404, "RevisionNotFound")
        siblings = [{"rfilename": path} for path in sorted(repo.commits[commit])]
        return _json({"id": name, "sha": commit, "private": repo.private, "siblings": siblings})
    if what == "branch":
        if rest in repo.refs:
            return _error(409, "Exists")
        repo.refs[rest] = repo.refs["main"]
        return _json({})
    if what == "tag":
        repo.refs[json.loads(body)["tag"]] = repo.commit_of(rest)
        return _json({})
    if what == "preupload":
        found = repo.commits[repo.commit_of(rest)]
        modes = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                "shouldIgnore": False,
                "oid": found[file["path"]].etag if file["path"] in found else None,
            }
            for file in json.loads(body)["files"]
        ]
        return _json({"files": modes})
    if what == "info/lfs/objects":
        return _lfs_batch(hub, name, json.loads(body))
    if what == "info/lfs/verify":
        return _json({}) if json.loads(body)["oid"] in hub.lfs else _error(404, "NotUploaded")
    if what == "commit":
        return _commit(hub, name, repo, rest, body, "create_pr=1" in query)
    if what == "resolve":
        return _resolve(hub, request, repo, *map(unquote, rest.split("/", 1)))
    return _error(404, "NoSuchRequest")


def _create(hub, wanted):
    name = f"{wanted['organization']}/{wanted['name']}"
    record = {"url": f"{hub.url}/{name}", "name": name}
    if name.startswith("others/"):
        return _error(403, "Forbidden")
    if name in hub.repos:
        return _json({**record, "error": "You already created this model repo"}, 409)
    hub.create(name, wanted.get("visibility") == "private")
    return _json(record)


def _validate_yaml(content):
    found = re.match(r"---\n(.*?)\n---\n", content, re.DOTALL)
    try:
        head = yaml.safe_load(found[1])
        assert isinstance(head, dict) and head["library_name"] == "keras"
    except (TypeError, yaml.YAMLError, AssertionError) as error:
        return _json({"errors": [{"message": str(error)}], "warnings": []}, 400)
    return _json({"errors": [], "warnings": []})


def _lfs_batch(hub, name, wanted):
    objects = []
    for one in wanted["objects"]:
        entry = {"oid": one["oid"], "size": one["size"]}
        if one["oid"] not in hub.lfs:
            upload = {"href": f"{hub.cdn}/signed/{one['oid']}", "header": {}}
            entry["actions"] = {"upload": upload, "verify": {"href": f"{hub.url}/{name}.git/info/lfs/verify"}}
        objects.append(entry)
    return _json({"transfer": "basic", "objects": objects})


def _commit(hub, name, repo, branch, body, create_pr):
    lines = [json.loads(line) for line in body.splitlines()]
    header, files = lines[0]["value"], {}
    for line in lines[1:]:
        value = line["value"]
        if line["key"] == "deletedFile":
            files[value["path"]] = None
            continue
        if line["key"] == "lfsFile" and value["oid"] not in hub.lfs:
            return _error(400, "LfsNotUploaded")
        data = hub.lfs[value["oid"]] if line["key"] == "lfsFile" else base64.b64decode(value["content"])
        files[value["path"]] = data
    with hub.lock:
        if "parentCommit" in header and header["parentCommit"] != repo.refs.get(branch):
            return _error(412, "ParentMoved")
        if create_pr:
            number = 1 + sum(ref.startswith("refs/pr/") for ref in repo.refs)
            branch, parent = f"refs/pr/{number}", repo.refs[branch]
            repo.refs[branch] = parent
        commit = hub.commit(name, files, branch)
    record = {"commitUrl": f"{hub.url}/{name}/commit/{commit}", "commitOid": commit}
    return _json({**record, "pullRequestUrl": f"{hub.url}/{name}/discussions/{branch.rpartition('/')[2]}"})


def _resolve(hub, request, repo, revision, path):
    commit = repo.commit_of(revision)
    if commit is None:
        return _error(404, "RevisionNotFound")
    blob = repo.commits[commit].get(path)
    if blob is None:
        status, headers, data = _error(404, "EntryNotFound")
        return status, {**headers, "X-Repo-Commit": commit}, data
    headers = {"X-Repo-Commit": commit, "ETag": f'"{blob.etag}"'}
    if not blob.lfs:
        return _ranged(request, blob.data, headers)
    large = {"X-Linked-Etag": f'"{blob.etag}"', "X-Linked-Size": str(len(blob.data))}
    return 302, {**headers, **large, "Location": f"{hub.cdn}/signed/{blob.etag}?signature=SECRET"}, b""
