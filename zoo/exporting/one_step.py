"""One step of a model in stock layers of Keras: a token and states go in, probabilities and states come out.

It is started with states of zero (and, of a classifier that pools the maximum, with -inf in `highest`) and called once
for each token. A language model is given the tokenizer's `start_id` first.
"""

import keras
from keras import ops

from zoo.models.classifier import Classifier
from zoo.models.language_model import LanguageModel


def one_step(model, batch_size=None):
    """A functional `keras.Model` of stock layers and operations.

    Args:
        model: a `zoo.models.LanguageModel` or a `zoo.models.Classifier`.
        batch_size: sequences side by side; None for any number.

    Returns:
        A model from a dict with `token`, int32 `(batch,)`, and `state_i_j` `(batch, units)` of each recurrent layer
        to one with `probabilities`, of the next token or of the labels, and the new states. A classifier also has
        `highest` and `total` `(batch, units)` and `count` `(batch, 1)`, the pooling so far.

    Raises:
        ValueError: it is another model.
    """
    if not isinstance(model, LanguageModel | Classifier):
        raise ValueError(f"A {model.task} model reads a whole sentence first, so it has no such step: use savedmodel.")
    model = model.folded()
    config, encoder = model.config, model.encoder
    counts = 1 if config.recurrent in ("rnn", "gru") else 2
    token = keras.Input((), batch_size=batch_size, dtype="int32", name="token")
    inputs, outputs = {"token": token}, {}
    embedding = keras.layers.Embedding(config.vocabulary_size, config.embedding_size)
    x = _with_weights(embedding, encoder.embedding.weights, token)(token)
    for i, layer in enumerate(encoder.recurrent):
        states = []
        for j in range(counts):
            states.append(keras.Input((config.units,), batch_size=batch_size, name=f"state_{i}_{j}"))
            inputs[f"state_{i}_{j}"] = states[-1]
        x, new = STEPS[config.recurrent](layer.cell, x, states)
        outputs |= {f"state_{i}_{j}": state for j, state in enumerate(new)}
    if isinstance(model, Classifier):
        x = _pooled(model, x, new, inputs, outputs, batch_size)
    logits = _logits(model, x)
    return keras.Model(inputs, {"probabilities": ops.softmax(logits), **outputs}, name="one_step")


def _logits(model, x):
    if isinstance(model, LanguageModel) and model.output_layer is None:
        kernel = ops.transpose(ops.convert_to_tensor(model.encoder.embedding.embeddings))
        return _dense(x, kernel)
    if isinstance(model, Classifier) and model.hidden is not None:
        x = ops.relu(_dense(x, *model.hidden.weights))
    return _dense(x, *model.output_layer.weights)


def _pooled(model, hidden, state, inputs, outputs, batch_size):
    """The features of a classifier after this token."""
    for name, size in (("highest", model.config.units), ("total", model.config.units), ("count", 1)):
        inputs[name] = keras.Input((size,), batch_size=batch_size, name=name)
    outputs["highest"] = ops.maximum(inputs["highest"], hidden)
    outputs["total"] = inputs["total"] + hidden
    outputs["count"] = inputs["count"] + 1.0
    pooled = {
        "last": hidden,
        "cell": state[-1],
        "max": outputs["highest"],
        "mean": outputs["total"] / outputs["count"],
    }
    return ops.concatenate([pooled[name] for name in model.config.pooling], axis=-1)


def _with_weights(layer, weights, x):
    layer.build(x.shape)
    layer.set_weights([ops.convert_to_numpy(weight) for weight in weights])
    return layer


def _dense(x, kernel, bias=None):
    """x K + b."""
    layer = keras.layers.Dense(kernel.shape[-1], use_bias=bias is not None)
    return _with_weights(layer, [kernel] if bias is None else [kernel, bias], x)(x)


def _scaled(x, vector):
    """x * v."""
    layer = keras.layers.EinsumDense("ab,b->ab", output_shape=x.shape[-1])
    return _with_weights(layer, [vector], x)(x)


def _rnn(cell, x, states):
    h = ops.tanh(_dense(x, cell.kernel, cell.bias) + _dense(states[0], cell.recurrent_kernel))
    return h, [h]


def _gru(cell, x, states):
    """With the reset gate after the product, as in `keras.layers.GRU`."""
    (h,) = states
    z, r, candidate = ops.split(_dense(x, cell.kernel, cell.bias[0]), 3, axis=-1)
    z_h, r_h, candidate_h = ops.split(_dense(h, cell.recurrent_kernel, cell.bias[1]), 3, axis=-1)
    z, r = ops.sigmoid(z + z_h), ops.sigmoid(r + r_h)
    h = z * h + (1.0 - z) * ops.tanh(candidate + r * candidate_h)
    return h, [h]


def _lstm(cell, x, states):
    h, c = states
    return _gates(*ops.split(_dense(x, cell.kernel, cell.bias) + _dense(h, cell.recurrent_kernel), 4, axis=-1), c)


def _mlstm(cell, x, states):
    """With m = (x M_x) * (h M_h) in place of h."""
    h, c = states
    m = _dense(x, cell.multiplicative_kernel) * _dense(h, cell.multiplicative_recurrent_kernel)
    return _gates(*ops.split(_dense(x, cell.kernel, cell.bias) + _dense(m, cell.recurrent_kernel), 4, axis=-1), c)


def _peephole(cell, x, states):
    h, c = states
    i, f, g, o = ops.split(_dense(x, cell.kernel, cell.bias) + _dense(h, cell.recurrent_kernel), 4, axis=-1)
    i, f = i + _scaled(c, cell.input_gate_peephole_weights), f + _scaled(c, cell.forget_gate_peephole_weights)
    c = ops.sigmoid(f) * c + ops.sigmoid(i) * ops.tanh(g)
    h = ops.sigmoid(o + _scaled(c, cell.output_gate_peephole_weights)) * ops.tanh(c)
    return h, [h, c]


def _gates(i, f, g, o, c):
    c = ops.sigmoid(f) * c + ops.sigmoid(i) * ops.tanh(g)
    h = ops.sigmoid(o) * ops.tanh(c)
    return h, [h, c]


STEPS = {"rnn": _rnn, "gru": _gru, "lstm": _lstm, "mlstm": _mlstm, "peephole": _peephole}
