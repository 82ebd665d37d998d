"""The command `zoo`."""

import argparse
import functools
import json
import shlex
import sys
import time
from pathlib import Path

import zoo
from zoo import converters
from zoo.bulk import classify_file, translate_file
from zoo.evaluation import evaluate
from zoo.pairs import pairs
from zoo.rows import rows
from zoo.text_files import read_text
from zoo.translation_scores import evaluate_translations

CONVERTERS = {
    "openai-mlstm": converters.openai_mlstm,
    "keras-lstm": converters.keras_lstm,
    "addons-peephole": converters.addons_model,
}


def main(argv=None):
    """Runs `zoo` with these arguments and returns its exit status: 0, 2 for an error, 130 when interrupted."""
    parser = _parser()
    options, rest = parser.parse_known_args(argv)
    if rest and (options.run not in (_classify, _translate) or any(word.startswith("-") for word in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        options.text += rest  # texts after an option, which argparse takes for nobody's
    try:
        options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        sys.stdout = None
    except KeyboardInterrupt:
        goes_on = options.run is _finetune or getattr(options, "file", None)
        print("\nInterrupted. The same command goes on from here." if goes_on else "", file=sys.stderr)
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
    add("--clamp", action="append", default=[], metavar="UNIT=VALUE", help="hold a unit; may be given more than once")

    table = ".csv, .tsv or .jsonl file; .gz and .xz too"
    add = command("classify", _classify, "label texts")
    add("model", help=model)
    add("text", nargs="*", help="texts to label")
    add("--file", type=Path, help=f"label every row of a {table}")
    add("--text-column", default="text", help="column of the file with the text (default: text)")
    add("--output", type=Path, help="where to write the rows of the file with their labels: .csv, .tsv or .jsonl")
    add("--bad-rows", choices=("error", "skip"), default="error", help="what to do about rows without text")
    add("--json", action="store_true", help="print JSON, with the probability of every label")

    add = command("trace", _trace, "show what a classifier thinks after every character or token of a text")
    add("model", help=model)
    add("text")
    add("--html", type=Path, help="write a page instead of printing colours")
    add("--png", type=Path, help="write a picture instead")

    def search(add):
        add("--beam-width", type=int, default=5, help="hypotheses that are followed; 1 is greedy search (default 5)")
        add("--length-penalty", type=float, default=0.6, help="0 favours short translations (default 0.6)")
        add("--coverage-penalty", type=float, default=0.0, help="above 0 favours looking at all of the source")

    add = command("translate", _translate, "translate sentences")
    add("model", help=model)
    add("text", nargs="*", help="sentences to translate")
    add("--file", type=Path, help="translate every line of a file; .gz and .xz too")
    add("--output", type=Path, help="where to write a line for every line of the file")
    add("--alignment", type=Path, help="write a picture of where the model looked for each word of the translation")
    search(add)

    add = command("finetune", _finetune, "turn a pretrained model into a classifier, or a translator, of your own")
    add("model", help=model)
    add("--data", type=Path, help=f"for a classifier: {table}")
    add("--source", type=Path, help="for a translator: file with a sentence in each line; .gz and .xz too")
    add("--target", type=Path, help="for a translator: file with the translations")
    add("--tsv", type=Path, help="for a translator, instead of both: file with source, tab, target in each line")
    add("--text-column", default="text", help="column with the text (default: text)")
    add("--label-column", default="label", help="column with the label (default: label)")
    add("--output", required=True, type=Path, help="folder of the new model; interrupted, the same command goes on")
    add("--epochs", type=int, help="at most (default: 6, of a translator 5)")
    add("--learning-rate", type=float, help="at its peak (default: 0.001, of a translator 0.0005)")
    add("--class-weights", choices=("balanced",), help="let every label count alike, however rare")
    add("--bad-rows", choices=("error", "skip"), default="error", help="what to do about rows without text or label")
    add("--seed", type=int, default=1)

    add = command("convert", _convert, "make a checkpoint of weights that others have published")
    add(
        "layout",
        choices=tuple(CONVERTERS),
        help="openai-mlstm: the fifteen arrays of the sentiment neuron; keras-lstm: a .keras or .weights.h5 file with "
        "LSTM, GRU or SimpleRNN layers; addons-peephole: an .h5 or .npz file with TensorFlow Addons' PeepholeLSTMCell",
    )
    add("source", type=Path, help="folder or file of the weights")
    add("output", type=Path, help="folder of the checkpoint")
    add(
        "--vocabulary",
        type=Path,
        help="JSON file: the list of all tokens, the first that of id 0, or an object from token to id; each one "
        'character, "[UNK]" or "" for padding. Not needed for models on bytes',
    )
    add("--labels", help="of a classifier, in the order of its outputs, such as negative,positive")
    add("--dtype", choices=("float16", "float32"), default="float32", help="type of the weights on disk")

    add = command("evaluate", _evaluate, "measure a language model on a text, or a classifier on labelled texts")
    add("model", help=model)
    add("--text", type=Path, help="for language models: UTF-8 file; .gz and .xz too")
    add("--last", type=float, default=1.0, help="only the last part of the text, such as 0.1 for its last tenth")
    add("--data", type=Path, help=f"for classifiers: {table}")
    add("--text-column", default="text", help="column with the text (default: text)")
    add("--label-column", default="label", help="column with the label (default: label)")
    add("--bad-rows", choices=("error", "skip"), default="error", help="what to do about rows without text or label")
    add("--source", type=Path, help="for translators: file with a sentence in each line; .gz and .xz too")
    add("--target", type=Path, help="for translators: file with the translations")
    add("--tsv", type=Path, help="for translators, instead of both: file with source, tab, target in each line")
    search(add)
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
        _clamp(options.clamp),
    ):
        print(piece, end="", flush=True)
    print()


def _classify(options):
    if bool(options.text) == bool(options.file) or bool(options.file) != bool(options.output):
        raise ValueError("Give texts to label; or --file, with --output.")
    if options.file and options.json:
        raise ValueError("--json is for texts; of a file's labels, --output tells the format by its ending.")
    model = _load(options.model, "text-classification")
    if options.file:
        bad = _report_skipped if options.bad_rows == "skip" else None
        progress = (lambda n: print(f"\r{n:,} rows", end="", file=sys.stderr, flush=True)) if _watched() else None
        count = classify_file(model, options.file, options.output, options.text_column, bad, progress)
        print(f"{count:,} rows in {options.output}")
        return
    for text, result in zip(options.text, model.classify(options.text)):
        if options.json:
            print(json.dumps({"text": text, **result._asdict()}, ensure_ascii=False))
        else:
            print(f"{result.label}  {result.probability:.4f}  {text}")


def _trace(options):
    trace = _load(options.model, "text-classification").trace(options.text)
    if options.html:
        trace.to_html(options.html)
    if options.png:
        trace.plot(options.png)
    if not (options.html or options.png):
        print(trace)


def _translate(options):
    if bool(options.text) == bool(options.file) or bool(options.file) != bool(options.output):
        raise ValueError("Give sentences to translate; or --file, with --output.")
    if options.alignment and len(options.text) != 1:
        raise ValueError("--alignment draws the translation of one sentence.")
    model = _load(options.model, "translation")
    if options.file:
        progress = (lambda n: print(f"\r{n:,} lines", end="", file=sys.stderr, flush=True)) if _watched() else None
        count = translate_file(model, options.file, options.output, progress, **_search(options))
        print(f"{count:,} lines in {options.output}")
        return
    for result in model.translate(options.text, return_alignments=True, **_search(options)):
        print(result.text)
        if options.alignment:
            result.plot_alignment(options.alignment)


def _search(options):
    return {name: getattr(options, name) for name in ("beam_width", "length_penalty", "coverage_penalty")}


def _finetune(options):
    pairs_given = _pairs_given(options)
    if bool(options.data) == pairs_given:
        raise ValueError("Give --data for a classifier; --source and --target, or --tsv, for a translator.")
    shared = {
        name: getattr(options, name) for name in ("epochs", "learning_rate") if getattr(options, name) is not None
    }
    shared |= {
        "output": options.output,
        "bad_rows": options.bad_rows,
        "seed": options.seed,
        "command": _finetune_command(options),
        "report": functools.partial(print, flush=True),
    }
    if pairs_given:
        if options.class_weights:
            raise ValueError("--class-weights is for classifiers; pairs of sentences have no labels.")
        zoo.finetune_translator(options.model, options.tsv or options.source, options.target, **shared)
        print(f'zoo translate {options.output} "..."')
        return
    columns = options.text_column, options.label_column
    zoo.finetune(options.model, options.data, *columns, class_weights=options.class_weights, **shared)
    print(f'zoo classify {options.output} "..."')


def _pairs_given(options):
    """Whether there are pairs of sentences."""
    if bool(options.source) != bool(options.target) or (options.source and options.tsv):
        raise ValueError("Give --source and --target, or --tsv.")
    return bool(options.source or options.tsv)


def _finetune_command(options):
    words = ["zoo", "finetune", options.model]
    for name in ("data", "source", "target", "tsv"):
        if getattr(options, name):
            words += [f"--{name}", getattr(options, name).name]
    words += ["--text-column", options.text_column, "--label-column", options.label_column] if options.data else []
    for name in ("epochs", "learning_rate", "class_weights"):
        if getattr(options, name) is not None:
            words += [f"--{name.replace('_', '-')}", getattr(options, name)]
    words += ["--bad-rows", options.bad_rows, "--seed", options.seed]
    return shlex.join([*map(str, words), "--output", options.output.name])


def _convert(options):
    convert, beyond = CONVERTERS[options.layout], {}
    if options.vocabulary:
        beyond["vocabulary"] = converters.read_vocabulary(options.vocabulary)
    if options.labels:
        beyond["labels"] = [label.strip() for label in options.labels.split(",")]
    if beyond and convert is converters.openai_mlstm:
        raise ValueError("The sentiment neuron is a language model on bytes: leave --vocabulary and --labels away.")
    if options.output.exists() and (not options.output.is_dir() or any(options.output.iterdir())):
        raise FileExistsError(f"{options.output} exists. Choose another folder, or remove it.")
    model = convert(options.source, **beyond)
    zoo.save(model, options.output, dtype=options.dtype)
    print(f"{model.count_params():,} weights in {options.output}")


def _clamp(words):
    try:
        return {int(unit): float(value) for unit, value in (word.split("=") for word in words)}
    except ValueError:
        raise ValueError(f"`--clamp` wants UNIT=VALUE, such as 12=2.0. Received: {' '.join(words)}") from None


def _evaluate(options):
    pairs_given = _pairs_given(options)
    if [bool(options.text), bool(options.data), pairs_given].count(True) != 1:
        raise ValueError(
            "Give --text for language models, --data for classifiers; --source and --target or --tsv for translators."
        )
    start = time.monotonic()
    evaluate_them = _evaluate_pairs if pairs_given else _evaluate_labels if options.data else _evaluate_text
    figures = evaluate_them(options)
    figures["seconds"] = round(time.monotonic() - start, 2)
    if options.json:
        print(json.dumps(figures))
        return
    for key, value in figures.items():
        print(f"{key:20} {value:.4f}" if isinstance(value, float) else f"{key:20} {value}")


def _evaluate_pairs(options):
    found = pairs(options.tsv or options.source, options.target)
    model = _load(options.model, "translation")
    progress = (lambda n, m: print(f"\r{n:,} of {m:,}", end="", file=sys.stderr, flush=True)) if _watched() else None
    return evaluate_translations(model, found, progress, **_search(options))


def _evaluate_labels(options):
    model = _load(options.model, "text-classification")
    progress = (lambda n: print(f"\r{n:,} rows", end="", file=sys.stderr, flush=True)) if _watched() else None
    bad = _report_skipped if options.bad_rows == "skip" else None
    return evaluate(model, rows(options.data, options.text_column, options.label_column, bad), progress)


def _evaluate_text(options):
    if not 0 < options.last <= 1:
        raise ValueError(f"`--last` must be above 0 and at most 1. Received: {options.last}")
    text = read_text(options.text)
    text = text[int(len(text) * (1 - options.last)) :]
    if not text:
        raise ValueError(f"There is nothing to evaluate: {options.text} is empty.")
    score = _load(options.model, "language-model").score(text, progress=_progress if _watched() else None)
    return {
        "nats_per_character": score.nats_per_character,
        "bits_per_character": score.bits_per_character,
        "bits_per_byte": score.bits_per_byte,
        "perplexity": score.perplexity,
        "characters": score.characters,
    }


def _load(name, task):
    model = zoo.load(name)
    if model.task != task:
        raise ValueError(f"{name} is a model for {model.task}; this command wants one for {task}.")
    return model


def _report_skipped(error):
    print(f"zoo: skipped: {error}", file=sys.stderr)


def _watched():
    return sys.stderr.isatty()


def _progress(done, total):
    print(f"\r{done / total:6.1%} of {total:,} tokens", end="\n" if done == total else "", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
