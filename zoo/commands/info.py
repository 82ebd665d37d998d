"""`zoo info`."""

import json

import zoo
from zoo.commands.terminal import MODEL

SUMMARY = "show what is known about a model"


def arguments(add):
    add("model", help=MODEL)
    add("--json", action="store_true", help="print JSON")


def run(options):
    info = zoo.info(options.model)
    if options.json:
        print(json.dumps(info, indent=1))
        return
    for key in ("name", "task", "description", "parameters", "bytes", "folder"):
        if key in info:
            value = info[key]
            print(f"{key:12} {value:,}" if isinstance(value, int) else f"{key:12} {value}")
    print("model        " + ", ".join(f"{k}={v}" for k, v in info["model"].items()))
    for metric in info.get("metrics", []):
        print(f"{'figures':12} " + ", ".join(f"{k} {v:.4f}" for k, v in metric["figures"].items()))
        print(f"{'':12} on {metric['data']}\n{'':12} $ {metric['command']}")
    if "command" in info.get("training", {}):
        print(f"{'trained by':12} {info['training']['command']}")
