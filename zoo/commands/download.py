"""`zoo download`."""

from zoo import loading
from zoo.commands.terminal import MODEL

SUMMARY = "get models from the hub into the cache, for use without a network"


def arguments(add):
    add("models", nargs="+", metavar="model", help=MODEL)
    add("--revision", help="branch, tag or commit")
    add("--cache-dir", help="folder (default: that of huggingface_hub)")


def run(options):
    for name in options.models:
        found = loading.find(name, options.revision, cache_dir=options.cache_dir)
        print(f"{found.origin or name:32} {found.folder}")
