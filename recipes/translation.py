"""Translation with attention (Bahdanau, Cho & Bengio 2015; Luong, Pham & Manning 2015).

python recipes/translation.py --pair en-de --output runs/en-de                      # Multi30k, by TensorFlow Datasets
python recipes/translation.py --pair en-de --tsv deu-eng.tsv.xz --output runs/en-de # and Tatoeba
python recipes/translation.py --source train.en --target train.de --output runs/mine
"""

import argparse
import functools
import shlex
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a clone works without installation

import keras  # noqa: E402

import zoo  # noqa: E402
from recipes import messages, parallel_data  # noqa: E402
from recipes.sentiment_figures import add_metric  # noqa: E402
from zoo import distributed, translator_training  # noqa: E402
from zoo.models.encoder import RECURRENT  # noqa: E402
from zoo.models.translator_config import ATTENTION, TranslatorConfig  # noqa: E402
from zoo.stored_weights import DTYPES  # noqa: E402
from zoo.translation_scores import evaluate_translations  # noqa: E402

NO_RESULT = ("output", "checkpoint_minutes", "distribute", "manual_dir", "card", "test_source", "test_target")
FILES = ("source", "target", "valid_source", "valid_target", "tsv")  # of which the manifest has the content's hash
TRAINING = "longest batch_tokens epochs patience learning_rate clip_norm label_smoothing average seed".split()


def arguments(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--output", required=True, type=Path, help="folder of the run: best checkpoint, state, log, curve")
    add("--pair", help="languages of Multi30k, such as en-de; the default, en-de, if no files are given")
    add("--manual-dir", type=Path, help="folder with Multi30k's files, where there is no network")
    add("--source", type=Path, help="file with a sentence in each line, instead of Multi30k; .gz and .xz too")
    add("--target", type=Path, help="file with the translations")
    add("--valid-source", type=Path, help="to choose the epoch; without it, a twentieth of the pairs")
    add("--valid-target", type=Path)
    add("--test-source", type=Path, help="for the final figure")
    add("--test-target", type=Path)
    add("--tsv", type=Path, help="further pairs, or the only ones: source, tab, target")
    add("--reverse", action="store_true", help="the second column of --tsv is the source")
    add("--held-out", type=int, default=1000, help="source texts of --tsv for validation, and as many for the test")
    add("--oversample", type=int, default=1, help="how often an epoch reads the other pairs for once those of --tsv")
    add("--vocabulary-size", type=int, default=8000, help="subwords of each language")
    add("--shared", action="store_true", help="one vocabulary and one embedding for both languages")
    add("--recurrent", choices=tuple(RECURRENT), default="lstm", help="of the encoder, and of the upper decoder layers")
    add("--units", type=int, default=512)
    add("--layers", type=int, default=1, help="of the encoder, and of the decoder")
    add("--embedding-size", type=int, default=256)
    add("--attention", choices=ATTENTION, default="additive")
    add("--attend", choices=("before", "after"), default="before")
    add("--untied", action="store_true", help="softmax with a matrix of its own")
    add("--embedding-dropout", type=float, default=0.2)
    add("--dropout", type=float, default=0.4, help="after each layer and before the softmax")
    add("--recurrent-dropout", type=float, default=0.2)
    add("--label-smoothing", type=float, default=0.1)
    add("--longest", type=int, default=100, help="tokens; longer pairs are left out of the training")
    add("--batch-tokens", type=int, default=3072, help="of the target, padding included")
    add("--epochs", type=int, default=20)
    add("--patience", type=int, help="stop after so many epochs without a better BLEU")
    add("--learning-rate", type=float, default=2e-3, help="peak; then cosine to a hundredth")
    add("--clip-norm", type=float, default=1.0)
    add("--average", type=float, default=0.999, help="momentum of the moving average of the weights; 0 for none")
    add("--seed", type=int, default=1)
    add("--precision", choices=("float32", "mixed_bfloat16"), default="float32")
    add("--store", choices=DTYPES, default="float16", help="type of the weights on disk")
    add("--checkpoint-minutes", type=float, default=5.0)
    add("--distribute", choices=distributed.CHOICES, help="train on several devices, or processes of a cluster (JAX)")
    add("--card", type=Path, help="checkpoint whose card shall show the figures, too")
    options = parser.parse_args(argv)
    for one, other in (("source", "target"), ("valid_source", "valid_target"), ("test_source", "test_target")):
        if (getattr(options, one) is None) != (getattr(options, other) is None):
            flags = [f"--{name.replace('_', '-')}" for name in (one, other)]
            parser.error(f"{flags[0]} and {flags[1]} belong together")
    if options.pair and options.source:
        parser.error("give --pair for Multi30k, or --source and --target for other files")
    if not options.source and not options.tsv:
        options.pair = options.pair or "en-de"
    return options, parser


def command(options, parser):
    """The command line that repeats this run, without what does not change its result."""
    words = ["python", "recipes/translation.py"]
    for name, value in vars(options).items():
        if name in NO_RESULT or value == parser.get_default(name):
            continue
        words += ["--" + name.replace("_", "-")]
        words += [] if value is True else [value.name if isinstance(value, Path) else str(value)]
    return shlex.join([*words, "--output", f"runs/{options.output.name}"])


def corpora(options):
    """The main corpus and that of --tsv, either of which may be None."""
    main = table = None
    if options.pair:
        main = parallel_data.multi30k(options.pair, options.manual_dir)
    elif options.source:
        valid, test = (options.valid_source, options.valid_target), (options.test_source, options.test_target)
        main = parallel_data.of_files(options.source, options.target, valid, test)
    if options.tsv:
        table = parallel_data.of_table(options.tsv, options.reverse, options.held_out)
    return main, table


def tokenizer_of(train, vocabulary_size, shared):
    """The subwords of the training pairs."""
    texts = [[pair.source for pair in train], [pair.target for pair in train]]
    texts = [[" ".join(text.split()) for text in one] for one in texts]
    texts = [texts[0] + texts[1]] * 2 if shared else texts
    of = functools.cache(lambda i: zoo.tokenizers.SubwordTokenizer.of(texts[i], vocabulary_size))
    source, target = of(0), of(0 if shared else 1)
    for one in (source, target):
        if one.vocabulary_size < vocabulary_size:
            raise ValueError(
                f"These texts support only {one.vocabulary_size:,} subwords: use --vocabulary-size "
                f"{min(source.vocabulary_size, target.vocabulary_size)} or less."
            )
    return zoo.tokenizers.TokenizerPair(source, target)


def main(argv=None):
    options, parser = arguments(argv)
    settings = {k: v for k, v in vars(options).items() if k not in (*NO_RESULT, *FILES)}
    distributed.start(options.distribute)
    keras.config.set_dtype_policy(options.precision)
    keras.utils.set_random_seed(options.seed)
    corpus, table = corpora(options)
    both = [one for one in (corpus, table) if one]
    record = parallel_data.joined([one.record for one in both])
    train = [pair for one in both for pair in one.train * (options.oversample if one is corpus and table else 1)]
    validation = (corpus or table).validation
    tokenizer = tokenizer_of([pair for one in both for pair in one.train], options.vocabulary_size, options.shared)
    fields = {name: settings[name] for name in TranslatorConfig.__dataclass_fields__ if name in settings}
    config = TranslatorConfig(
        *tokenizer.vocabulary_size, tied=not options.untied, shared_embedding=options.shared, **fields
    )
    zoo.training.claim_folder(options.output)
    model = zoo.models.Translator(config, tokenizer)
    training = {"command": command(options, parser), "data": record, "seed": options.seed}
    training |= zoo.training.environment()

    def save(history):
        training.update(minutes=history[-1]["minutes"], history=history)
        zoo.save(model, options.output / "best", {"training": training}, dtype=options.store)

    translator_training.fit(
        model,
        train,
        validation,
        save,
        output=options.output,
        settings={**settings, "data": record},
        checkpoint_minutes=options.checkpoint_minutes,
        report=functools.partial(print, flush=True),
        **{name: settings[name] for name in TRAINING},
    )
    if not distributed.end():
        return
    keras.config.set_dtype_policy("float32")  # as whoever loads it
    final_figures(options, parser, corpus, table, record["name"])


def final_figures(options, parser, corpus, table, trained_on):
    """BLEU and chrF on what was held back for them, by beam search and greedily."""
    model, name, metrics = zoo.load(options.output), options.output.name, []
    sets = []
    if corpus and corpus.test:
        two = (options.test_source, options.test_target) if options.test_source else _multi30k_files(options.pair)
        sets.append((_name_of(two), corpus.test, f"--source {two[0].name} --target {two[1].name}"))
    if table:
        file = f"{name}-held-out.tsv"
        parallel_data.write_table(options.output / file, table.test)
        sets.append((f"held-out pairs of {options.tsv.name}", table.test, f"--tsv {file}"))
    for data, found, flags in sets:
        for search, beam in (("beam of 5", {}), ("greedy", {"beam_width": 1})):
            figures = evaluate_translations(model, found, **beam)
            print(f"{data}, {search}: BLEU {figures['bleu']:.2f}, chrF {figures['chrf']:.2f}", flush=True)
            metric = {
                "data": f"{data}, {len(found):,} sentences, {search}, sacrebleu {figures['bleu_signature']}",
                "figures": {"bleu": figures["bleu"], "chrf": figures["chrf"]},
                "command": f"zoo evaluate {name} {flags}" + (" --beam-width 1" if beam else ""),
            }
            metrics.append(metric)
            if options.card and not beam:
                told = f"{metric['data']}, attention={options.attention}"
                add_metric(options.card, {**metric, "data": told, "command": command(options, parser)})
    how = f"{options.attention} attention" if model.attends else "no attention"
    languages = f" from {options.pair.replace('-', ' to ')}" if options.pair else ""
    description = (
        f"A translator{languages} with {options.layers} x {options.units} units of {options.recurrent} and {how}, "
        f"trained on {trained_on}."
    )
    zoo.checkpoint.update_manifest(options.output / "best", description=description, metrics=metrics)


def _multi30k_files(languages):
    return tuple(Path(f"test_2016_flickr.{language}") for language in languages.split("-"))


def _name_of(two):
    return f"{two[0].name}, {two[1].name}"


if __name__ == "__main__":
    with messages():
        main()
