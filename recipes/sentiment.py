"""Sentiment from a language model of reviews (Radford, Jozefowicz & Sutskever 2017; Dai & Le 2015).

python recipes/sentiment.py pretrain --data train.jsonl.xz unsupervised.jsonl.xz --output runs/mlstm-reviews
python recipes/sentiment.py probe runs/mlstm-reviews --data train.jsonl.xz --test test.jsonl.xz --output runs/probe
python recipes/sentiment.py finetune runs/mlstm-reviews --data train.jsonl.xz --test test.jsonl.xz --output runs/tuned
python recipes/sentiment.py soup runs/tuned runs/tuned-2 --test test.jsonl.xz --output runs/mlstm-sentiment
python recipes/sentiment.py curve runs/mlstm-reviews --data train.jsonl.xz --output runs/curve

The defaults suit two CPU cores: 512 units, one pass through the reviews of IMDB. The paper's sentiment unit is one of
4,096, after 38 GB. For an accelerator, with the 330 MB of IMDB's and the hotel reviews together:

    KERAS_BACKEND=jax python recipes/sentiment.py pretrain --data imdb/train.jsonl.xz imdb/unsupervised.jsonl.xz \\
        hotels/reviews.jsonl.xz --units 2048 --batch-size 256 --steps 256 --precision mixed_bfloat16 --recompute 64 \\
        --output runs/mlstm-reviews-2048
"""

import argparse
import functools
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a clone works without installation

import numpy as np  # noqa: E402

import zoo  # noqa: E402
from recipes import data, label_curve, language_models, messages  # noqa: E402
from recipes.sentiment_figures import add_metric, command, corpus_name, final_figures  # noqa: E402
from recipes.sentiment_probe import probe  # noqa: E402
from zoo import distributed, sampled_softmax  # noqa: E402
from zoo.atomic_files import atomic_write  # noqa: E402
from zoo.models.classifier import POOLING  # noqa: E402
from zoo.rows import rows  # noqa: E402
from zoo.stored_weights import DTYPES  # noqa: E402

TUNING = "pooling hidden_units embedding_dropout dropout recurrent_dropout head_dropout longest batch_tokens".split()
TUNING += "epochs patience learning_rate layer_decay unfreeze_epochs average seed".split()


def arguments(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    stages = parser.add_subparsers(required=True, dest="stage")
    pretrain = stages.add_parser("pretrain", help="train a language model on reviews")
    add = pretrain.add_argument
    add("--output", required=True, type=Path, help="folder of the run: best checkpoint, state, log, curve")
    add("--data", nargs="+", type=Path, help=".csv, .tsv or .jsonl with the reviews; without it, TFDS imdb_reviews")
    add("--text-column", default="text")
    add("--tokenizer", choices=("bytes", "subwords"), default="bytes")
    add("--vocabulary-size", type=int, default=16_000, help="of subwords")
    add("--lowercase", action="store_true", help="subwords without capitals")
    add("--samples", type=int, default=0, help="train with so many sampled tokens instead of the whole softmax")
    add("--recurrent", choices=("lstm", "gru", "peephole", "mlstm"), default="mlstm")
    add("--units", type=int, default=512)
    add("--layers", type=int, default=1)
    add("--embedding-size", type=int, default=64)
    add("--tied", action="store_true", help="softmax with the embedding's matrix")
    add("--embedding-dropout", type=float, default=0.0)
    add("--dropout", type=float, default=0.0)
    add("--recurrent-dropout", type=float, default=0.0)
    add("--batch-size", type=int, default=64)
    add("--steps", type=int, default=128, help="timesteps of truncated back-propagation")
    add("--parts", type=int, default=20, help="an epoch is one of so many parts of the corpus")
    add("--epochs", type=int, default=20, help="with as many as parts, one pass through the corpus")
    add("--learning-rate", type=language_models.above_zero, default=2e-3, help="peak; then cosine to a hundredth")
    add("--clip-norm", type=language_models.above_zero, default=1.0)
    add("--average", type=float, default=0.999, help="momentum of the moving average of the weights; 0 for none")
    add("--seed", type=int, default=1)
    add("--precision", choices=("float32", "mixed_bfloat16"), default="float32")
    add("--store", choices=DTYPES, default="float16", help="type of the weights on disk")
    add("--recompute", type=language_models.positive, help="keep activations of so many timesteps at a time")
    add("--checkpoint-minutes", type=float, default=5.0)
    add("--distribute", choices=distributed.CHOICES, help="train on several devices, or processes of a cluster (JAX)")
    probe = stages.add_parser("probe", help="find what the states of a language model know of two labels")
    finetune = stages.add_parser("finetune", help="train the whole model into a classifier")
    curve = stages.add_parser("curve", help="what the pretraining is worth: accuracy over the number of labels")
    soup = stages.add_parser("soup", help="average the weights of fine-tuned models")
    soup.add_argument("model", nargs="+", help="names or folders of models that were tuned from one")
    for sub in (probe, finetune, curve):
        add = sub.add_argument
        add("model", help="name or folder of a model")
        add("--data", required=True, type=Path, help=".csv, .tsv or .jsonl with texts and labels")
        add("--seed", type=int, default=1)
    for sub in (probe, finetune, curve, soup):
        add = sub.add_argument
        add("--output", required=True, type=Path, help="folder for all that comes out")
        add("--text-column", default="text")
        add("--label-column", default="label")
        add("--card", type=Path, help="checkpoint whose card shall show the figures, too")
    for sub in (probe, finetune, soup):
        add = sub.add_argument
        add("--test", type=Path, help="as --data, for the final figure")
        add("--store", choices=DTYPES, default="float16", help="type of the weights on disk")
    finetune.add_argument("--checkpoint-minutes", type=float, default=5.0)
    add = curve.add_argument
    add("--sizes", nargs="+", type=int, default=[50, 100, 500, 2000], help="labels, besides all there are")
    add("--held-back", type=float, default=0.1, help="fraction of the data for the figures")
    add("--most-epochs", type=int, default=20, help="with few labels")
    for sub in (finetune, curve):
        add = sub.add_argument
        add("--pooling", nargs="+", choices=POOLING, default=["last", "max", "mean"])
        add("--hidden-units", type=int, default=0)
        add("--embedding-dropout", type=float, default=0.0)
        add("--dropout", type=float, default=0.0, help="after each recurrent layer")
        add("--recurrent-dropout", type=float, default=0.0)
        add("--head-dropout", type=float, default=0.5)
        add("--longest", type=int, default=512, help="tokens read of a text in training")
        add("--batch-tokens", type=int, default=16_384)
        add("--epochs", type=int, default=4)
        add("--patience", type=int, default=2)
        add("--learning-rate", type=language_models.above_zero, default=1e-3)
        add("--layer-decay", type=float, default=0.5)
        add("--unfreeze-epochs", type=float, default=0.0)
        add("--average", type=float, default=0.99)
    options = parser.parse_args(argv)
    return options, stages.choices[options.stage]


def pretrain(options, parser):
    language_models.begin(options)
    if options.samples and options.recompute:
        raise ValueError(
            "--samples keeps all activations, since tokens that recur are read together: leave out --recompute."
        )
    texts, record = data.reviews(options.data, options.text_column)
    if options.tokenizer == "bytes":
        tokenizer = zoo.tokenizers.ByteTokenizer("review")
    else:
        tokenizer = zoo.tokenizers.SubwordTokenizer.of(texts, options.vocabulary_size, options.lowercase, "review")
    config = language_models.config_of(options, tokenizer, weight_normalization=options.recurrent == "mlstm")
    zoo.training.claim_folder(options.output)
    train, validation, test = data.in_parts(texts, tokenizer, options.seed)
    unit = "bytes" if options.tokenizer == "bytes" else "tokens"
    streams = functools.partial(zoo.streams.Streams, steps=options.steps, seed=options.seed, unit=unit)
    batches = streams(train, options.batch_size, parts=options.parts)
    held_back = streams(validation, min(options.batch_size, 16))
    loss_of = None
    if options.samples:
        counts = np.bincount(train, minlength=tokenizer.vocabulary_size)
        batches = sampled_softmax.Sampled(batches, counts, options.samples, options.seed)
        loss_of = functools.partial(functools.partial, sampled_softmax.sampled_loss)
    print(f"{len(train):,} {unit} to train on", flush=True)
    training = {"command": command(options, parser), "data": record}
    if not language_models.train(options, config, tokenizer, batches, held_back, training, loss_of):
        return
    text = tokenizer.decode(test)
    atomic_write(options.output / "held-back.txt", text.encode())
    score = zoo.load(options.output).score(text)
    metric = {
        "data": f"reviews of {record['name']} that were held back in held-back.txt, {score.bytes:,} bytes",
        "figures": {"bits_per_byte": score.bits_per_byte},
        "command": f"zoo evaluate {options.output.name} --text held-back.txt",
    }
    description = (
        f"A language model of {options.tokenizer} with {options.layers} x {options.units} units of "
        f"{options.recurrent}, trained on the reviews in {record['name']}."
    )
    zoo.checkpoint.update_manifest(options.output / "best", description=description, metrics=[metric])
    print(f"held back: {score.bits_per_byte:.4f} bits a byte")


def finetune(options, parser):
    zoo.finetune(
        options.model,
        options.data,
        options.text_column,
        options.label_column,
        output=options.output,
        dtype=options.store,
        checkpoint_minutes=options.checkpoint_minutes,
        command=command(options, parser),
        report=functools.partial(print, flush=True),
        **{name: getattr(options, name) for name in TUNING},
    )
    final_figures(options, parser, f"after fine-tuning on {corpus_name(options.data)}")


def soup(options, parser):
    """The mean of the weights of models that were tuned from one base in different ways (Wortsman et al. 2022)."""
    if options.output.exists() and any(options.output.iterdir()):
        raise FileExistsError(f"{options.output} is not empty. Choose another folder.")
    first, *others = (zoo.load(model) for model in options.model)
    if first.task != "text-classification":
        raise ValueError(f"{options.model[0]} is a model for {first.task}; soup averages classifiers.")
    shapes = first.config.weight_shapes()
    for name, model in zip(options.model[1:], others):
        if model.config.weight_shapes() != shapes or model.tokenizer != first.tokenizer or model.task != first.task:
            raise ValueError(f"{name} is not of the architecture and tokenizer of {options.model[0]}.")
        if model.config.labels != first.config.labels:
            raise ValueError(
                f"{name} has the labels {', '.join(model.config.labels)}; {options.model[0]} has "
                f"{', '.join(first.config.labels)}."
            )
    named = [model.named_weights() for model in others]
    for name, weight in first.named_weights().items():
        weight.assign(sum((weights[name] for weights in named), weight) / len(options.model))
    trained = [zoo.info(model)["training"] for model in options.model]
    training = {
        **trained[0],
        "command": command(options, parser),
        "averaged": [one["command"] for one in trained],
        "minutes": sum(one["minutes"] for one in trained),
    }
    del training["history"]
    labels = ", ".join(first.config.labels)
    origin = f"the mean of {len(trained)} that were fine-tuned from {training['base']}"
    manifest = {"description": f"A classifier of texts into {labels}, {origin}.", "training": training}
    zoo.save(first, options.output / "best", manifest, dtype=options.store)
    final_figures(options, parser, "after averaging")


def curve(options, parser):
    settings = {name: getattr(options, name) for name in TUNING}
    found = list(rows(options.data, options.text_column, options.label_column))
    points = label_curve.measure(
        options.model, found, options.sizes, options.held_back, options.most_epochs, settings, options.output
    )
    for start in label_curve.STARTS if options.card else ():
        metric = {
            "data": f"held-back texts of {corpus_name(options.data)}, by number of labels, {start}",
            "figures": {f"accuracy_with_{size}": value for (size, s), value in points.items() if s == start},
            "command": command(options, parser),
        }
        add_metric(options.card, metric)


def main(argv=None):
    options, parser = arguments(argv)
    {"pretrain": pretrain, "probe": probe, "finetune": finetune, "soup": soup, "curve": curve}[options.stage](
        options, parser
    )


if __name__ == "__main__":
    with messages():
        main()
