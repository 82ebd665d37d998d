"""What is published: all of it or nothing, nothing by mistake, with a card that the hub can read."""

import json
import re
import shutil
import sys
import time
from pathlib import Path

import loopback
import numpy as np
import pytest
import yaml
from loopback import Fault

import zoo
from zoo import audit, card_metadata, cli
from zoo import hub as zoo_hub
from zoo.errors import CorruptCheckpoint, HubUnavailable, UnknownModel, UnsafeCheckpoint
from zoo.loading import find
from zoo.verification import FILES

REPO = "alice/hello-lstm"
ALL = {*FILES, "manifest.json"}


@pytest.fixture
def folder(saved, tmp_path):
    """A copy of the small checkpoint, to spoil."""
    return Path(shutil.copytree(saved, tmp_path / "model"))


def published(hub, repo=REPO, revision="main"):
    """What a repository has of a model, or None."""
    found = hub.repos.get(repo)
    files = hub.files(repo, revision) if found and revision in found.refs else {}
    return {name: data for name, data in files.items() if name in ALL} or None


def test_one_commit_with_its_parent(hub, folder):
    done = zoo.publish(folder, REPO)
    repo = hub.repos[REPO]
    assert len(repo.commits) == 2 and repo.refs["main"] == done.commit and done.commit in done.url
    assert zoo.publish(folder, REPO).commit == done.commit and len(repo.commits) == 2  # nothing new: no commit
    zoo.checkpoint.update_manifest(folder, description="Better.")
    assert zoo.publish(folder, REPO).commit == repo.refs["main"] != done.commit


def test_a_model_that_is_no_folder_yet(hub, saved):
    model = zoo.load(saved)
    done = zoo.publish(model, REPO, private=False)
    assert not hub.repos[REPO].private
    assert zoo.load(REPO, revision=done.commit).config == model.config


def test_a_training(hub, saved, tmp_path):
    zoo.checkpoint.copy(saved, tmp_path / "run" / "best")
    (tmp_path / "run" / "log.csv").write_text("epoch\n")
    zoo.publish(tmp_path / "run", REPO)
    assert published(hub).keys() == ALL


def test_a_branch_and_a_tag(hub, folder):
    from huggingface_hub import HfApi

    done = zoo.publish(folder, REPO, revision="v1-candidate")
    assert published(hub) is None and published(hub, revision="v1-candidate").keys() == ALL
    HfApi().create_tag(REPO, tag="v1.0", revision="v1-candidate")
    assert find(f"{REPO}@v1.0").folder.name == done.commit


def test_a_pull_request(hub, folder):
    hub.create("bob/his")
    before = dict(hub.repos["bob/his"].refs)
    done = zoo.publish(folder, "bob/his", create_pr=True)
    refs = hub.repos["bob/his"].refs
    assert refs["main"] == before["main"] and refs["refs/pr/1"] == done.commit and "discussions/1" in done.url
    assert zoo.load("bob/his", revision="refs/pr/1").task == "language-model"


def test_to_nobodys_or_somebody_elses(hub, folder):
    with pytest.raises(HubUnavailable, match="403"):
        zoo.publish(folder, "others/model")
    with pytest.raises(UnknownModel):
        zoo.publish(folder, "bob/none", create_pr=True)
    for repo in ("model", "a/b/c", "alice/x@main", "", None, 3):
        with pytest.raises(ValueError, match="owner/name"):
            zoo.publish(folder, repo)


def test_signed_in_as_a_reader(hub, folder, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", loopback.READER)
    with pytest.raises(HubUnavailable, match="hf auth login"):
        zoo.publish(folder, REPO)
    assert not hub.repos


def test_interrupted_at_each_request(hub, folder, saved):
    """The hub has the old model or the whole new one; and publishing again completes it."""
    zoo.publish(saved, REPO)
    old, outcomes, number = published(hub), [], 0
    while True:
        zoo.checkpoint.update_manifest(folder, description=f"Number {number}.")
        new = {name: data for name, data in zoo_hub.prepare(folder, REPO).items() if name in ALL}
        hub.stop_at = len(hub.requests) + number
        try:
            zoo.publish(folder, REPO)
            done = True
        except (HubUnavailable, UnknownModel):
            done = False
        hub.stop_at = None
        assert published(hub) in (old, new)
        outcomes.append(published(hub) == new)
        assert outcomes[-1] or not done
        zoo.publish(folder, REPO)
        assert published(hub) == new
        old, number = new, number + 1
        if done:
            break
    assert len(outcomes) >= 6 and outcomes[-1] and not outcomes[0]


@pytest.mark.parametrize("where", ["repos/create", "preupload", "batch", "PUT", "verify", "commit/main"])
def test_an_answer_is_lost(hub, folder, where):
    """What was asked for has been done, and nobody told us."""

    hub.faults.append(Fault(where, "truncated"))
    try:
        zoo.publish(folder, REPO)
    except (HubUnavailable, UnknownModel):
        assert published(hub) is None or published(hub).keys() == ALL
    hub.faults.clear()
    zoo.publish(folder, REPO)
    assert published(hub).keys() == ALL


def test_somebody_else_publishes_meanwhile(hub, folder, saved, monkeypatch):
    from zoo.hub import publishing

    zoo.publish(saved, REPO)
    find_head = publishing._head

    def and_then_another(*arguments, **options):
        found = find_head(*arguments, **options)
        hub.commit(REPO, {"README.md": b"theirs"})
        return found

    zoo.checkpoint.update_manifest(folder, description="Mine.")
    monkeypatch.setattr(publishing, "_head", and_then_another)
    with pytest.raises(HubUnavailable, match="412"):
        zoo.publish(folder, REPO)
    assert hub.files(REPO)["README.md"] == b"theirs"


def test_the_hub_leaves_a_file_out(hub, folder, monkeypatch):
    answer = loopback._of_repo

    def ignoring(*arguments):
        status, headers, data = answer(*arguments)
        if arguments[5] == "preupload":
            data = data.replace(b'"shouldIgnore": false', b'"shouldIgnore": true', 1)
            headers = {"Content-Type": "application/json"}
        return status, headers, data

    monkeypatch.setattr(loopback, "_of_repo", ignoring)
    with pytest.raises(HubUnavailable, match="config.json"):
        zoo.publish(folder, REPO)


def test_refused(hub, folder, tmp_path):
    def spoilt(spoil):
        copy = Path(shutil.copytree(folder, tmp_path / "copy", dirs_exist_ok=True, symlinks=True))
        spoil(copy)
        return copy

    def link(copy):
        (copy / "README.md").unlink()
        (tmp_path / "secret").write_bytes((folder / "README.md").read_bytes())
        (copy / "README.md").symlink_to(tmp_path / "secret")

    for spoil, error in (
        (lambda copy: (copy / "notes.txt").write_text("mine"), UnsafeCheckpoint),
        (lambda copy: (copy / ".env").write_text("TOKEN=1"), UnsafeCheckpoint),
        (lambda copy: (copy / "sub").mkdir(), UnsafeCheckpoint),
        (link, UnsafeCheckpoint),
        (lambda copy: (copy / "README.md").unlink(), CorruptCheckpoint),
        (lambda copy: (copy / "README.md").write_text("My own card."), CorruptCheckpoint),
        (lambda copy: (copy / "config.json").write_bytes(b"{}"), CorruptCheckpoint),
        (lambda copy: (copy / "manifest.json").unlink(), CorruptCheckpoint),
        (shutil.rmtree, UnknownModel),
    ):
        copy = spoilt(spoil)
        with pytest.raises(error):
            zoo.publish(copy, REPO)
        shutil.rmtree(copy, ignore_errors=True)
    model = zoo.load(folder)
    next(iter(model.named_weights().values())).assign_add(np.float32("nan"))
    with pytest.raises(ValueError, match="not finite"):
        zoo.publish(model, REPO)
    assert not hub.requests


ABOUT = {
    "license": "cc-by-4.0",
    "language": ["en"],
    "datasets": ["bob/texts"],
    "terms": "Public domain.",
    "limits": "Few.",
}


def test_the_card(hub, folder):
    from huggingface_hub import EvalResultEntry, ModelCard, parse_eval_result_entries

    metric = {"data": "a text", "figures": {"nats_per_character": 1.5}, "command": "zoo evaluate"}
    history = [{"epoch": i + 1, "loss": 3.0 - i, "minutes": 1.0} for i in range(3)]
    training = {"command": "python train.py", "hardware": "two cores", "minutes": 3.0, "history": history}
    entries = {"metrics": [metric, {**metric, "dataset": "bob/texts"}], "training": training}
    zoo.checkpoint.update_manifest(folder, **entries, base_model="carol/base@" + "0" * 40)
    zoo.publish(folder, REPO, about=ABOUT)
    files = hub.files(REPO)
    card = ModelCard(files["README.md"].decode())
    data = card.data.to_dict()
    assert data["library_name"] == "keras" and data["pipeline_tag"] == "text-generation"
    assert data["license"] == "cc-by-4.0" and data["language"] == ["en"] and data["datasets"] == ["bob/texts"]
    assert data["base_model"] == "carol/base" and "recurrent-zoo" in data["tags"]
    assert [one.metric_value for one in card.data.eval_results] == [1.5, 1.5]
    assert card_metadata.figures(card.content) == [("a text", "nats per character", 1.5)] * 2
    for said in (
        f'zoo.load("{REPO}")',
        "Public domain.",
        "Few.",
        "python train.py",
        "two cores",
        "| 3 | 1 |",
        "zoo evaluate",
    ):
        assert said in card.content, said
    entry = parse_eval_result_entries(yaml.safe_load(files[".eval_results/zoo.yaml"]))
    assert entry == [EvalResultEntry("bob/texts", "nats_per_character", 1.5, notes="zoo evaluate")]


def test_figures_that_no_longer_hold_are_taken_away(hub, folder):
    metric = {"data": "a text", "figures": {"accuracy": 0.9}, "command": "zoo evaluate", "dataset": "bob/texts"}
    zoo.checkpoint.update_manifest(folder, metrics=[metric])
    zoo.publish(folder, REPO)
    assert ".eval_results/zoo.yaml" in hub.files(REPO)
    zoo.checkpoint.update_manifest(folder, metrics=[])
    zoo.publish(folder, REPO)
    assert ".eval_results/zoo.yaml" not in hub.files(REPO)


def test_given_up_while_it_sends_it_publishes_nothing_later(hub, folder, monkeypatch):
    monkeypatch.setattr("zoo.hub.publishing.DEADLINE", 0.3)
    monkeypatch.setattr("zoo.hub.publishing.SLOWEST", 10**9)
    hub.faults.append(Fault("PUT", "slow", 1.0))
    with pytest.raises(HubUnavailable):
        zoo.publish(folder, REPO)
    time.sleep(1.5)
    assert published(hub) is None


def test_other_ways_to_name_both_sides(hub, folder):
    assert zoo.publish(folder, "hf://alice/new").repo == "alice/new"
    assert zoo.publish("mlstm-linux", "alice/linux").commit in hub.repos["alice/linux"].commits
    with pytest.raises(ValueError, match="owner/name"):
        zoo.publish(folder, "alice/my--model")


def test_fine_tuning_records_the_commit_that_it_began_with(hub, saved, tmp_path):
    first = zoo.publish(saved, REPO)
    texts = (["hello", "wide"] * 4, ["greeting", "size"] * 4)
    moved = []

    def report(line):
        if not moved:  # somebody publishes, and then the hub is gone
            moved.append(hub.commit(REPO, {"README.md": b"another"}))
            hub.faults.append(Fault("", "reset"))

    zoo.finetune(REPO, texts, output=tmp_path / "tuned", epochs=1, report=report)
    assert json.loads((tmp_path / "tuned/best/manifest.json").read_text())["base_model"] == f"{REPO}@{first.commit}"
    assert moved


def test_about_that_the_hub_would_not_take(hub, folder):
    for about in ({"license": "My own!"}, {"language": "en"}, {"datasets": ["a b"]}, {"colour": "red"}):
        with pytest.raises(ValueError, match="cannot be stored"):
            zoo.publish(folder, REPO, about=about)
    assert not hub.requests


def run(capsys, *words):
    status = cli.main(list(words))
    out, err = capsys.readouterr()
    assert "Traceback" not in err and loopback.WRITER not in out + err
    return status, out, err


def test_commands(hub, folder, saved, capsys, monkeypatch):
    status, out, err = run(capsys, "publish", str(folder), "--to", REPO, "--license", "mit", "--language", "en")
    assert status == 2 and "--yes" in err and not hub.repos
    for said, count in (("n", 0), ("y", 1)):
        monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
        monkeypatch.setattr("builtins.input", lambda _, said=said: said)
        status, out, err = run(capsys, "publish", str(folder), "--to", REPO, "--license", "mit", "--language", "en")
        assert status == 0 and len(hub.repos) == count and "model.safetensors" in out
    line = out.strip().splitlines()[-1]
    commit = hub.repos[REPO].refs["main"]
    assert line == f"zoo.load({REPO!r}, revision={commit!r})"
    status, out, err = run(capsys, "download", REPO)
    assert status == 0 and commit in out
    status, out, err = run(capsys, "cache", "list")
    assert status == 0 and REPO in out and commit in out and "main" in out
    status, out, err = run(capsys, "verify", f"{REPO}@{commit}")
    assert status == 0 and "FAILED" not in out and out.count("\nok") >= 5
    status, out, err = run(capsys, "generate", REPO, "--prompt", "he", "--length", "5", "--seed", "1")
    assert status == 0 and len(out.strip("\n")) >= 5
    status, out, err = run(capsys, "cache", "prune", REPO)
    assert status == 0 and commit in out
    status, out, err = run(capsys, "cache", "list")
    assert status == 0 and "No model" in out
    hub.faults.append(Fault("", "reset"))
    status, out, err = run(capsys, "info", REPO)
    assert status == 2 and "zoo cache list" in err


def test_verify_finds_what_is_wrong(folder, capsys, tmp_path):
    text = "hello wide world\n" * 3
    (tmp_path / "text.txt").write_text(text)
    score = zoo.load(folder).score(text)
    metric = {"data": "a text", "command": "zoo evaluate model --text text.txt"}
    good = {**metric, "figures": {"nats_per_character": score.nats_per_character}}
    zoo.checkpoint.update_manifest(folder, metrics=[good, {**metric, "figures": {"perplexity": 1.0}}])
    found = {finding.claim: finding.holds for finding in audit.audit(folder)}
    assert found == {
        **dict.fromkeys(("manifest.json", *FILES, "card"), True),
        "nats_per_character on a text": None,
        "perplexity on a text": None,
    }
    found = {finding.claim: finding.holds for finding in audit.audit(folder, tmp_path)}
    assert found["nats_per_character on a text"] is True and found["perplexity on a text"] is False
    status, out, err = run(capsys, "verify", str(folder), "--data", str(tmp_path))
    assert status == 2 and "FAILED" in out and "claims that do not hold: 1." in err
    for command, figures in (
        ("zoo evaluate m --help", {"perplexity": 1.0}),
        ("zoo evaluate m --bogus", {"perplexity": 1.0}),
        ("zoo evaluate m", {"perplexity": 1.0}),
        ("zoo evaluate m --text 'text.txt", {"perplexity": 1.0}),
        ("zoo evaluate m --text text.txt --last 7", {"perplexity": 1.0}),
        ("zoo evaluate m --text text.txt", {"accuracy_of_everything": 1.0}),
        ("zoo evaluate m --text text.txt", {**good["figures"], "accuracy_of_everything": 1.0}),
    ):
        zoo.checkpoint.update_manifest(folder, metrics=[{"data": "x", "command": command, "figures": figures}])
        assert [finding.holds for finding in audit.audit(folder, tmp_path)][-1] is False
    elsewhere = {"data": "x", "command": "zoo evaluate m --text=/etc/hostname", "figures": {"perplexity": 1.0}}
    zoo.checkpoint.update_manifest(folder, metrics=[elsewhere])
    assert [finding.holds for finding in audit.audit(folder, tmp_path)][-1] is None
    (folder / "tokenizer.json").write_bytes(b"{}")
    found = {finding.claim: finding.holds for finding in audit.audit(folder)}
    assert found["tokenizer.json"] is False and found["model.safetensors"] is True and "card" not in found
    (folder / "manifest.json").write_bytes(b"{")
    assert [finding.holds for finding in audit.audit(folder)] == [False]


HEAD = "---\nlibrary_name: keras\n{}\n---\n"
BOMB = "a: &a [1, 1]\nb: &b [*a, *a]\nmodel-index: [*b, *b]"


@pytest.mark.parametrize(
    "head", ["model-index:\n- name: x", "model-index: 3", BOMB, "model-index: [{results: 3}]", "{", ""]
)
def test_heads_that_are_none(head):
    text = HEAD.format(head) if head else "# A card"
    with pytest.raises(ValueError):
        card_metadata.figures(text)


def test_manifests_that_would_move_the_cursor(folder):
    good = {"data": "x", "command": "y", "figures": {"z": 1.0}}
    for metric in (
        {**good, "figures": {"\x1b[2Jx": 1.0}},
        {**good, "figures": {"z": 10**400}},
        {**good, "data": "x\rok      all is well"},
        {**good, "data": "x\nok      all is well"},
        {**good, "command": "\u202ex"},
    ):
        with pytest.raises(ValueError, match="cannot be stored"):
            zoo.checkpoint.update_manifest(folder, metrics=[metric])
    with pytest.raises(ValueError, match="cannot be stored"):
        zoo.checkpoint.update_manifest(folder, training={"\x1b[2J": 1})


def test_the_whole_circle(hub, saved, tmp_path):
    """Publish, load from an empty cache, fine-tune, publish again."""
    first = zoo.publish(saved, REPO)
    texts = (["hello", "hello hello", "wide", "wide wide"] * 4, ["greeting", "greeting", "size", "size"] * 4)
    tuned = zoo.finetune(f"{REPO}@{first.commit}", texts, output=tmp_path / "tuned", epochs=1, report=lambda line: None)
    second = zoo.publish(tmp_path / "tuned", "bob/hello-topics", about={"license": "mit"})
    back = zoo.load("bob/hello-topics", revision=second.commit, cache_dir=tmp_path / "empty")
    assert [r.label for r in back.classify(["hello", "wide"])] == [r.label for r in tuned.classify(["hello", "wide"])]
    manifest = json.loads(hub.files("bob/hello-topics")["manifest.json"])
    assert manifest["base_model"] == f"{REPO}@{first.commit}"
    assert re.search(rf"^base_model: {REPO}$", hub.files("bob/hello-topics")["README.md"].decode(), re.MULTILINE)
    assert (tmp_path / "empty" / "models--bob--hello-topics").is_dir()
