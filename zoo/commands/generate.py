"""`zoo generate`."""

from zoo.commands.terminal import MODEL, load

SUMMARY = "let a language model write on from a prompt"


def arguments(add):
    add("model", help=MODEL)
    add("--prompt", default="", help="text to go on from")
    add("--length", type=int, default=400, help="characters to write (default 400)")
    add("--temperature", type=float, default=0.8, help="0: always the likeliest; above 1: wilder (default 0.8)")
    add("--top-k", type=int, help="draw among the k likeliest tokens")
    add("--top-p", type=float, help="draw among the likeliest tokens that have this probability together")
    add("--seed", type=int, help="the same seed gives the same text")
    add("--stop", action="append", help="end before this text; may be given more than once")
    add("--clamp", action="append", default=[], metavar="UNIT=VALUE", help="hold a unit; may be given more than once")


def run(options):
    model = load(options.model, "language-model")
    print(options.prompt, end="", flush=True)
    names = ("prompt", "length", "temperature", "top_k", "top_p", "seed", "stop")
    drawing = {name: getattr(options, name) for name in names}
    for piece in model.stream(**drawing, clamp=_clamp(options.clamp)):
        print(piece, end="", flush=True)
    print()


def _clamp(words):
    try:
        return {int(unit): float(value) for unit, value in (word.split("=") for word in words)}
    except ValueError:
        raise ValueError(f"`--clamp` wants UNIT=VALUE, such as 12=2.0. Received: {' '.join(words)}") from None
