"""`zoo list`."""

import sys

import zoo

SUMMARY = "list the shipped models"


def arguments(add):
    add("pattern", nargs="?", default="*", help='such as "mlstm*"')
    add("--task", help="only models of this task, such as language-model")


def run(options):
    names = zoo.list_models(options.pattern, options.task)
    for name in names:
        info = zoo.info(name)
        print(f"{name:24} {info['task']:16} {info['bytes'] / 2**20:5.1f} MiB  {info.get('description', '')}")
    if not names:
        print(f"No model matches {options.pattern!r}. All: {', '.join(zoo.list_models())}", file=sys.stderr)
