"""`zoo export`."""

from zoo import exporting, loading
from zoo.commands.terminal import MODEL

SUMMARY = "write a model for those who do not have the zoo"


def arguments(add):
    add("model", help=MODEL)
    add("output", help="file or folder to write")
    add(
        "--format",
        choices=exporting.FORMATS,
        default="keras",
        help="keras: a .keras file of stock layers, one step; litert: the same for LiteRT, built-in operations only; "
        "savedmodel: a folder for TensorFlow, texts in and out (default: keras)",
    )


def run(options):
    exporting.export(loading.load(options.model), options.output, options.format)
    print(options.output)
