"""The command `zoo`."""

import argparse
import json
import sys
import time
from pathlib import Path

import zoo
from zoo.text_files import read_text


def main(argv=None):
    """Runs `zoo` with these arguments and returns its exit status: 0, 2 for an error, 130 when interrupted."""
    options = _parser().parse_args(argv)
    try:
        options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        sys.stdout = None
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130
    except (zoo.errors.ZooError, ValueError, TypeError, OSError) as error:
        print(f"zoo: {error}", file=sys.stderr)
        return 2
    return 0


def _parser():
    parser = argparse.ArgumentParser(prog="zoo", description="Recurrent networks that load in one line.")
    parser.add_argument("--version", action="version", version=f"zoo {zoo.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name, run, summary):
        sub = commands.add_parser(name, help=summary, description=summary)
        sub.set_defaults(run=run)
        return sub.add_argument

    add = command("list", _list, "list the shipped models")
    add("pattern", nargs="?", default="*", help='such as "mlstm*"')
    add("--task", help="only models of this task, such as language-model")

    model = "name of a shipped model, or the folder of a model or a training"
    add = command("info", _info, "show what is known about a model")
    add("model", help=model)
    add("--json", action="store_true", help="print JSON")

    add = command("generate", _generate, "let a language model write on from a prompt")
    add("model", help=model)
    add("--prompt", default="", help="text to go on from")
    add("--length", type=int, default=400, help="characters to write (default 400)")
    add("--temperature", type=float, default=0.8, help="0: always the likeliest; above 1: wilder (default 0.8)")
    add("--top-k", type=int, help="draw among the k likeliest tokens")
    add("--top-p", type=float, help="draw among the likeliest tokens that have this probability together")
    add("--seed", type=int, help="the same seed gives the same text")
    add("--stop", action="append", help="end before this text; may be given more than once")

    add = command("evaluate", _evaluate, "measure how well a language model predicts a text")
    add("model", help=model)
    add("--text", required=True, type=Path, help="UTF-8 file; .gz and .xz too")
    add("--last", type=float, default=1.0, help="only the last part of the text, such as 0.1 for its last tenth")
    add("--json", action="store_true", help="print JSON")
    return parser


def _list(options):
    names = zoo.list_models(options.pattern, options.task)
    for name in names:
        info = zoo.info(name)
        print(f"{name:24} {info['task']:16} {info['bytes'] / 2**20:5.1f} MiB  {info.get('description', '')}")
    if not names:
        print(f"No model matches {options.pattern!r}. All: {', '.join(zoo.list_models())}", file=sys.stderr)


def _info(options):
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


def _generate(options):
    model = _load(options.model, "language-model")
    print(options.prompt, end="", flush=True)
    for piece in model.stream(
        options.prompt,
        options.length,
        options.temperature,
        options.top_k,
        options.top_p,
        options.seed,
        options.stop,
    ):
        print(piece, end="", flush=True)
    print()


def _evaluate(options):
    if not 0 < options.last <= 1:
        raise ValueError(f"`--last` must be above 0 and at most 1. Received: {options.last}")
    text = read_text(options.text)
    text = text[int(len(text) * (1 - options.last)) :]
    if not text:
        raise ValueError(f"There is nothing to evaluate: {options.text} is empty.")
    model = _load(options.model, "language-model")
    start = time.monotonic()
    score = model.score(text, progress=_progress if sys.stderr.isatty() else None)
    figures = {
        "nats_per_character": score.nats_per_character,
        "bits_per_character": score.bits_per_character,
        "perplexity": score.perplexity,
        "characters": score.characters,
        "seconds": round(time.monotonic() - start, 2),
    }
    if options.json:
        print(json.dumps(figures))
    else:
        for key, value in figures.items():
            print(f"{key:20} {value:.4f}" if isinstance(value, float) else f"{key:20} {value:,}")


def _load(name, task):
    model = zoo.load(name)
    if model.task != task:
        raise ValueError(f"{name} is a model for {model.task}; this command wants one for {task}.")
    return model


def _progress(done, total):
    print(f"\r{done / total:6.1%} of {total:,} tokens", end="\n" if done == total else "", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
