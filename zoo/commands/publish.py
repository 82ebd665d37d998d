"""`zoo publish`."""

import argparse
import sys

from zoo import hub

SUMMARY = "put a model on the hub, in one commit"


def arguments(add):
    add("model", help="folder of a model or a training, or the name of a shipped model")
    add("--to", required=True, metavar="OWNER/NAME", help="repository, which is made if there is none")
    add("--revision", default="main", help="branch, which is made if there is none (default: main)")
    add("--private", action=argparse.BooleanOptionalAction, default=True, help="of a new repository (default: private)")
    add("--create-pr", action="store_true", help="propose it as a pull request to a repository of somebody else")
    add("--license", help="for the card, as the hub writes it: mit, apache-2.0, cc-by-4.0, other")
    add("--language", action="append", help="for the card: en; can be given again")
    add("--dataset", action="append", help="for the card: owner/name of a data set on the hub; can be given again")
    add("--terms", help="for the card: under which terms the training data may be used")
    add("--yes", action="store_true", help="do not ask")


def run(options):
    said = {"license": options.license, "language": options.language, "terms": options.terms}
    about = {key: value for key, value in {**said, "datasets": options.dataset}.items() if value}
    files = hub.prepare(options.model, options.to, about)
    kind = "a pull request to" if options.create_pr else "the branch"
    print(f"To {options.to}, {kind} {options.revision}, in one commit:")
    for name, data in files.items():
        print(f"  {len(data):>14,} bytes  {name}")
    if not options.create_pr:
        print(f"A new repository will be {'private' if options.private else 'public'}.")
    if not options.yes and not _confirmed():
        print("Nothing was published.")
        return
    where = {"revision": options.revision, "private": options.private, "create_pr": options.create_pr}
    done = hub.send(files, options.to, **where)
    print(f"{done.url}\nzoo.load({done.repo!r}, revision={done.commit!r})")


def _confirmed():
    if not sys.stdin.isatty():
        raise ValueError("Nobody is there to be asked: add --yes.")
    return input("Publish? [y/N] ").strip().lower() in ("y", "yes")
