"""`zoo verify`."""

import sys
from pathlib import Path

from zoo.audit import audit
from zoo.commands.terminal import MODEL
from zoo.errors import ZooError

SUMMARY = "check all that a model claims: hashes, schema, card, and its figures"
SAID = {True: "ok", False: "FAILED", None: "-"}


def arguments(add):
    add("model", help=MODEL)
    add("--data", type=Path, help="folder with the data that the figures were measured on: measures them again")


def run(options):
    failed = 0
    for claim, holds, detail in audit(options.model, options.data):
        print(f"{SAID[holds]:7} {claim:20} {detail}", flush=True)
        failed += holds is False
    sys.stdout.flush()
    if failed:
        raise ZooError(
            f"{options.model}: claims that do not hold: {failed}. Get it again from a source that you trust."
        )
