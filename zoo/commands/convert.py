"""`zoo convert`."""

from pathlib import Path

import zoo
from zoo import converters
from zoo.stored_weights import DTYPES

SUMMARY = "make a checkpoint of weights that others have published"
CONVERTERS = {
    "openai-mlstm": converters.openai_mlstm,
    "keras-lstm": converters.keras_lstm,
    "addons-peephole": converters.addons_model,
}


def arguments(add):
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
    add("--dtype", choices=DTYPES, default="float32", help="type of the weights on disk")


def run(options):
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
