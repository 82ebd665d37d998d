"""`zoo trace`."""

from pathlib import Path

from zoo.commands.terminal import MODEL, load

SUMMARY = "show what a classifier thinks after every character or token of a text"


def arguments(add):
    add("model", help=MODEL)
    add("text")
    add("--html", type=Path, help="write a page instead of printing colours")
    add("--png", type=Path, help="write a picture instead")


def run(options):
    trace = load(options.model, "text-classification").trace(options.text)
    if options.html:
        trace.to_html(options.html)
    if options.png:
        trace.plot(options.png)
    if not (options.html or options.png):
        print(trace)
