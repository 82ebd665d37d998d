"""The README's commands and code about the hub, run as printed, against the loopback hub."""

import shutil
from pathlib import Path

import pytest

import zoo
from tests.test_readme import README, blocks, commands, folder, run  # noqa: F401  (a fixture)


@pytest.fixture
def trained(folder, saved):  # noqa: F811
    """The README's folder, with what its earlier commands have left there."""
    for name in ("runs/mine/best", "my-model"):
        if not (folder / name).exists():
            shutil.copytree(saved, folder / name)
    return folder


def test_commands_and_code(hub, trained, monkeypatch):
    monkeypatch.chdir(trained)
    said = {}
    for command in commands("Publish"):
        if command.startswith("python recipes/finetune.py"):
            from recipes import finetune

            finetune.main(command.split()[2:])  # in this process, which knows the hub
        else:
            said[" ".join(command.split()[:2])] = run(trained, command)
    assert "zoo.load('alice/my-language-model', revision=" in said["zoo publish"]
    assert "FAILED" not in said["zoo verify"]
    assert said["zoo classify"].split()[0] in ("billing", "parcels")
    assert "freed" in said["zoo cache"] and "alice/queues" in said["zoo download"]
    assert zoo.info("alice/queues")["task"] == "text-classification"
    assert Path("step.keras").is_file() and Path("step.tflite").is_file() and Path("served/saved_model.pb").is_file()
    (code,) = (block for block in blocks("python", README) if "alice/" in block)
    found = {"zoo": zoo}
    exec(code, found)
    assert found["model"].task == "language-model" and "alice/another-language-model" in hub.repos
