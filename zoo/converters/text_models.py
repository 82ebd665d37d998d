"""From the arrays of an embedding, recurrent and dense layers to a model of the zoo, and from a list to its tokenizer.

Models of others do not hold their vocabulary; whoever converts one has it, as a list of its tokens.
"""

import json
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from zoo.errors import IncompatibleCheckpoint, UnsafeCheckpoint
from zoo.models import Classifier, ClassifierConfig, LanguageModel, LanguageModelConfig
from zoo.text_files import read_text
from zoo.tokenizers import ByteTokenizer, CharacterTokenizer

PADDING, UNKNOWN = "", "[UNK]"  # as Keras' TextVectorization and StringLookup call them
NEVER = -1e4  # the logit of a token that the file does not know


class Layers(NamedTuple):
    """What was found in a file."""

    embedding: np.ndarray  # (rows, embedding size)
    recurrent: str  # a key of zoo.models.encoder.RECURRENT
    cells: list  # of each recurrent layer its arrays by name
    dense: list  # of each dense layer its arrays by name; all but the last are followed by ReLU
    pooling: str | None = "last"  # None: the dense layers see every timestep
    masks_zero: bool = False  # whether token 0 is skipped


def text_model(path, layers, vocabulary=None, labels=None):
    """A language model, or a classifier where there are labels.

    A single output is the logit of the second of two labels: softmax of (-z/2, z/2) is sigmoid of z.

    Args:
        path: for the messages.
        layers: a `Layers`.
        vocabulary: tokens, see `read_vocabulary`; None for a model on bytes.
        labels: of a classifier, list of str in the order of its outputs.

    Raises:
        ValueError: vocabulary or labels are missing, or do not fit the file.
        IncompatibleCheckpoint: the zoo has no such model.
    """
    cells = [_with_bias(cell, layers.recurrent) for cell in layers.cells]
    *hidden, output = [_with_bias(dense) for dense in layers.dense]
    matrices = [cells[0]["recurrent_kernel"], *(dense["kernel"] for dense in (*hidden, output)), layers.embedding]
    if any(matrix.ndim != 2 for matrix in matrices):
        raise UnsafeCheckpoint(path, "an embedding or kernel in it is not a matrix")
    rows, size = layers.embedding.shape
    tokenizer, order = tokenizer_of(vocabulary, rows, layers.masks_zero)
    sizes = {
        "vocabulary_size": tokenizer.vocabulary_size,
        "recurrent": layers.recurrent,
        "units": len(matrices[0]),
        "layers": len(cells),
        "embedding_size": size,
    }
    named = {"embedding": {"embeddings": np.pad(layers.embedding, ((0, 1), (0, 0)))[order]}}
    named |= {f"recurrent_{i}": cell for i, cell in enumerate(cells)}
    if labels is None:
        _check_language_model(path, layers)
        model_class, config = LanguageModel, LanguageModelConfig(**sizes)
        kernel = np.pad(output["kernel"], ((0, 0), (0, 1)))
        output = {"kernel": kernel[:, order], "bias": np.append(output["bias"], np.float32(NEVER))[order]}
    else:
        _check_classifier(path, layers, labels)
        model_class, config = Classifier, ClassifierConfig(**sizes, labels=labels, pooling=(layers.pooling,))
        for dense in hidden:
            named["hidden"] = dense
            config = replace(config, hidden_units=dense["kernel"].shape[1])
        if output["kernel"].shape[1] == 1:
            output = {name: np.concatenate([-array / 2, array / 2], axis=-1) for name, array in output.items()}
    named["output"] = output
    values = {f"{layer}/{name}": array for layer, arrays in named.items() for name, array in arrays.items()}
    _check_shapes(path, values, config.weight_shapes())
    model = model_class(config, tokenizer)
    for name, weight in model.named_weights().items():
        weight.assign(values[name])
    return model


def read_vocabulary(path):
    """A vocabulary from a file of JSON.

    It is the list of all tokens, the first that of id 0; or an object from token to id, where some ids may be missing.
    A token is one character, "[UNK]" for all unknown ones, or "" for padding, as in
    `keras.layers.TextVectorization(split="character").get_vocabulary()`.
    """
    try:
        vocabulary = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} is not JSON: {error!s:.200}. Write the tokens of the model with json.dump(tokens, file)."
        ) from None
    if not isinstance(vocabulary, (list, dict)):
        raise ValueError(f"{path} must hold a list of tokens or an object from token to id.")
    return vocabulary


def tokenizer_of(vocabulary, rows, masks_zero=False):
    """The tokenizer, and for each of its ids the row of the file's embedding, -1 where that has none.

    Ours have id 0 for unknown characters. It takes the row of "[UNK]"; where the file has none, or skips it, unknown
    characters are an error, as they were for the file's model.

    >>> tokenizer, order = tokenizer_of(["", "[UNK]", "e", "a"], 4)
    >>> tokenizer, order
    (CharacterTokenizer(characters='ea', unknown='replace'), [1, 2, 3])
    >>> tokenizer_of(["a", "b"], 2)
    (CharacterTokenizer(characters='ab', unknown='error'), [-1, 0, 1])
    """
    if vocabulary is None:
        if rows != ByteTokenizer.vocabulary_size:
            raise ValueError(
                f"The model has {rows} tokens, and its file does not say which. Give them with --vocabulary FILE, "
                "a JSON list in the order of their ids."
            )
        return ByteTokenizer(), list(range(rows))
    tokens = _tokens(vocabulary, rows)
    if masks_zero and tokens[0] not in (PADDING, UNKNOWN):
        raise ValueError(f"The model skips token 0 as padding (mask_zero), in the vocabulary it is {tokens[0]!r}.")
    characters = [i for i, token in enumerate(tokens) if len(token) == 1]
    unknown = [i for i, token in enumerate(tokens) if token == UNKNOWN and not (masks_zero and i == 0)]
    others = [i for i, token in enumerate(tokens) if token in (UNKNOWN, PADDING)]
    tokenizer = CharacterTokenizer("".join(tokens[i] for i in characters), "replace" if unknown else "error")
    return tokenizer, [*(unknown or others or [-1])[:1], *characters]


def _tokens(vocabulary, rows):
    """All tokens by id."""
    tokens = list(vocabulary)
    if isinstance(vocabulary, dict):
        ids = list(vocabulary.values())
        if any(type(i) is not int or not 0 <= i < rows for i in ids) or len(set(ids)) != len(ids):
            raise ValueError(f"The ids in the vocabulary must be distinct, from 0 to {rows - 1}: the model's tokens.")
        token_of = {i: token for token, i in vocabulary.items()}
        tokens = [token_of.get(i, PADDING) for i in range(rows)]
    if len(tokens) != rows:
        raise ValueError(
            f"The vocabulary has {len(tokens)} tokens, the model {rows}. List all of them in the order of their ids, "
            f'"{UNKNOWN}" for unknown characters and "" for padding among them.'
        )
    for token in tokens:
        if not isinstance(token, str) or (len(token) > 1 and token != UNKNOWN):
            raise ValueError(
                f"The vocabulary has {token!r:.80}, which is not one character. Models on bytes and on characters "
                "can be converted; the zoo has no tokenizer of words."
            )
    return tokens


def _with_bias(arrays, recurrent=None):
    """The arrays, with zeros where a layer has no bias."""
    if "bias" in arrays:
        return arrays
    gates = arrays["kernel"].shape[1:]
    return {**arrays, "bias": np.zeros((2, *gates) if recurrent == "gru" else gates, "float32")}


def _check_language_model(path, layers):
    tokens, outputs = len(layers.embedding), layers.dense[-1]["kernel"].shape[1]
    if outputs != tokens:
        raise ValueError(
            f"{path} has {outputs} outputs and {tokens} tokens, so it is no language model. For a classifier give "
            f"its {max(outputs, 2)} labels, such as --labels negative,positive"
        )
    if len(layers.dense) > 1 or layers.pooling not in (None, "last"):
        raise IncompatibleCheckpoint(
            f"{path} cannot be converted: in a language model of the zoo the output follows the last recurrent layer. "
            "Train it anew without what is between them; or give --labels, if it is a classifier."
        )


def _check_classifier(path, layers, labels):
    outputs = layers.dense[-1]["kernel"].shape[1]
    if layers.pooling is None:
        raise IncompatibleCheckpoint(
            f"{path} cannot be converted: it has an output for every token, a classifier of the zoo one for the text. "
            "Give its last recurrent layer return_sequences=False; or leave --labels away, if it is a language model."
        )
    if len(layers.dense) > 2:
        raise IncompatibleCheckpoint(
            f"{path} cannot be converted: it has {len(layers.dense)} Dense layers, a classifier of the zoo one or two. "
            "Train it anew with these."
        )
    if len(labels) != max(outputs, 2):
        raise ValueError(f"{path} has outputs for {max(outputs, 2)} labels. Received: labels={labels!r:.200}")


def _check_shapes(path, values, shapes):
    found = {name: array.shape for name, array in values.items()}
    different = [name for name in {**shapes, **found} if found.get(name) != shapes.get(name)]
    if different:
        first = different[0]
        raise IncompatibleCheckpoint(
            f"{path}: {len(different)} weights do not fit, the first of them {first}: expected {shapes.get(first)}, "
            f"got {found.get(first)}. All recurrent layers must be of one kind and size, a GRU with reset_after=True, "
            "and at most one dense layer may stand before the output."
        )
