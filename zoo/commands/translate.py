"""`zoo translate`."""

from pathlib import Path

from zoo.bulk import translate_file
from zoo.commands import search
from zoo.commands.terminal import MODEL, load, progress

SUMMARY = "translate sentences"


def arguments(add):
    add("model", help=MODEL)
    add("text", nargs="*", help="sentences to translate")
    add("--file", type=Path, help="translate every line of a file; .gz and .xz too")
    add("--output", type=Path, help="where to write a line for every line of the file")
    add("--alignment", type=Path, help="write a picture of where the model looked for each word of the translation")
    search.arguments(add)


def run(options):
    if bool(options.text) == bool(options.file) or bool(options.file) != bool(options.output):
        raise ValueError("Give sentences to translate; or --file, with --output.")
    if options.alignment and len(options.text) != 1:
        raise ValueError("--alignment draws the translation of one sentence.")
    if options.alignment and not options.alignment.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {options.alignment.parent} for the picture.")
    model = load(options.model, "translation")
    if options.file:
        count = translate_file(model, options.file, options.output, progress("lines"), **search.given(options))
        print(f"{count:,} lines in {options.output}")
        return
    for result in model.translate(options.text, return_alignments=True, **search.given(options)):
        print(result.text)
        if options.alignment:
            result.plot_alignment(options.alignment)
