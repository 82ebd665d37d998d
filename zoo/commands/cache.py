"""`zoo cache`."""

from zoo import hub

SUMMARY = "list the models that came from the hub, or remove those that were replaced"


def arguments(add):
    add("action", choices=("list", "prune"))
    add("models", nargs="*", metavar="model", help="owner/name; prune removes all of these")
    add("--cache-dir", help="folder (default: that of huggingface_hub)")


def run(options):
    if options.action == "prune":
        doomed, freed = hub.prune(options.models or None, options.cache_dir)
        for one in doomed:
            print(f"removed {one.repo}@{one.commit}")
        print(f"{freed / 2**20:.1f} MiB freed")
        return
    found = [one for one in hub.cached(options.cache_dir) if not options.models or one.repo in options.models]
    for one in found:
        print(f"{one.repo:40} {one.commit} {one.size / 2**20:7.1f} MiB  {', '.join(one.refs)}")
    if not found:
        print("No model of the zoo is in the cache.")
