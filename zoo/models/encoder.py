"""What every model of text begins with: an embedding and recurrent layers, whose state can be carried on.

References: Mikolov et al. 2010 (recurrent language models); Gal & Ghahramani 2016 (variational dropout, between the
layers and inside them).
"""

import functools
from dataclasses import dataclass, fields

import keras

from zoo import layers
from zoo.backend import compiled
from zoo.distinct import Distinct

RECURRENT = {
    "rnn": layers.SimpleRNN,
    "lstm": layers.LSTM,
    "gru": layers.GRU,
    "peephole": layers.PeepholeLSTM,
    "mlstm": layers.MultiplicativeLSTM,
}
SIZES = {"vocabulary_size": 1, "units": 1, "layers": 1, "embedding_size": 1, "hidden_units": 0}  # the least they can be


def recurrent_shapes(recurrent, features, units):
    """The name and shape of every weight of a recurrent layer, in order."""
    gates = {"rnn": 1, "gru": 3}.get(recurrent, 4) * units
    shapes = {"kernel": (features, gates), "recurrent_kernel": (units, gates)}
    shapes["bias"] = (2, gates) if recurrent == "gru" else (gates,)
    if recurrent == "peephole":
        shapes |= {f"{gate}_gate_peephole_weights": (units,) for gate in ("input", "forget", "output")}
    if recurrent == "mlstm":
        shapes |= {"multiplicative_kernel": (features, units), "multiplicative_recurrent_kernel": (units, units)}
    return shapes


@dataclass(frozen=True)
class EncoderConfig:
    """What an encoder is made of."""

    vocabulary_size: int
    recurrent: str = "lstm"  # a key of RECURRENT
    units: int = 512  # of each recurrent layer
    layers: int = 1
    embedding_size: int = 64
    weight_normalization: bool = False  # mlstm only
    forget_bias: float = 1.0  # at the start; lstm, peephole and mlstm
    # Dropout is variational (Gal & Ghahramani 2016): one mask for all timesteps of a window.
    embedding_dropout: float = 0.0
    dropout: float = 0.0  # between the layers, and after the last
    recurrent_dropout: float = 0.0  # of the hidden state on its way to the recurrent kernel

    def __post_init__(self):
        if self.recurrent not in RECURRENT:
            raise ValueError(f"`recurrent` must be one of {list(RECURRENT)}. Received: recurrent={self.recurrent!r}")
        if self.weight_normalization and self.recurrent != "mlstm":
            raise ValueError(f"`weight_normalization` is for recurrent='mlstm'. Received: {self.recurrent!r}")
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("dropout") and not 0 <= value < 1:
                raise ValueError(f"`{field.name}` must be at least 0 and below 1. Received: {field.name}={value!r}")
            if field.name in SIZES and (type(value) is not int or value < SIZES[field.name]):
                raise ValueError(
                    f"`{field.name}` must be an int of at least {SIZES[field.name]}. Received: {field.name}={value!r}"
                )

    def weight_shapes(self):
        """The name and shape of every weight, in order, without building anything."""
        shapes = {"embedding/embeddings": (self.vocabulary_size, self.embedding_size)}
        features = self.embedding_size
        for i in range(self.layers):
            layer = recurrent_shapes(self.recurrent, features, self.units)
            if self.weight_normalization:
                kernels = [name for name in layer if name.endswith("kernel")]
                layer |= {f"{name}_gain": layer[name][-1:] for name in kernels}
            shapes |= {f"recurrent_{i}/{name}": shape for name, shape in layer.items()}
            features = self.units
        return shapes


SCHEMA = {
    "vocabulary_size": {"type": "integer", "minimum": 1, "maximum": 1_000_000},
    "recurrent": {"enum": list(RECURRENT)},
    "units": {"type": "integer", "minimum": 1, "maximum": 65_536},
    "layers": {"type": "integer", "minimum": 1, "maximum": 64},
    "embedding_size": {"type": "integer", "minimum": 1, "maximum": 65_536},
    "weight_normalization": {"type": "boolean"},
    "forget_bias": {"type": "number", "minimum": -100, "maximum": 100},
    "embedding_dropout": {"type": "number", "minimum": 0, "exclusiveMaximum": 1},
    "dropout": {"type": "number", "minimum": 0, "exclusiveMaximum": 1},
    "recurrent_dropout": {"type": "number", "minimum": 0, "exclusiveMaximum": 1},
}  # of EncoderConfig in a checkpoint


class Encoder(keras.layers.Layer):
    """An embedding and recurrent layers, with dropout between them.

    Args:
        config: an `EncoderConfig`.
        embeddings_initializer: of the embedding.

    Call arguments:
        tokens: int `(batch, time)`, or `zoo.distinct.Distinct` tokens, which are faster in large batches.
        state: from `initial_state` or an earlier call.
        mask: boolean `(batch, time)` or None: where it is False, the states stay as they are.
        training: whether dropout is on.

    Returns:
        The hidden states of the last layer, `(batch, time, units)`, and the new state.

    Example:

    >>> encoder = Encoder(EncoderConfig(256, "mlstm", units=8))
    >>> hidden, state = encoder(np.zeros((2, 5), "int32"), encoder.initial_state(2))
    >>> tuple(hidden.shape)
    (2, 5, 8)
    """

    def __init__(self, config, embeddings_initializer="uniform", **kwargs):
        super().__init__(**kwargs)
        self.config = config
        self.supports_masking = True
        self.embedding = keras.layers.ReversibleEmbedding(
            config.vocabulary_size,
            config.embedding_size,
            embeddings_initializer=embeddings_initializer,
            name="embedding",
        )
        self.embedding.supports_masking = True  # or Keras warns where it serves as a tied softmax
        # One mask for all timesteps: variational dropout. It also spares most of the random numbers.
        self.embedding_dropout = keras.layers.Dropout(config.embedding_dropout, noise_shape=(None, 1, None))
        self.dropout = keras.layers.Dropout(config.dropout, noise_shape=(None, 1, None))
        options = {"return_sequences": True, "return_state": True, "recurrent_dropout": config.recurrent_dropout}
        if config.recurrent in ("lstm", "peephole", "mlstm"):
            options["unit_forget_bias"] = config.forget_bias
        if config.weight_normalization:
            options["weight_normalization"] = True
        self.recurrent = [
            RECURRENT[config.recurrent](config.units, name=f"recurrent_{i}", **options) for i in range(config.layers)
        ]
        self.build()

    def build(self, input_shape=None):
        self.embedding.build((None, None))
        features = self.config.embedding_size
        for layer in self.recurrent:
            layer.build((None, None, features))
            features = self.config.units
        self.built = True

    def named_weights(self):
        """The weights by the names of `EncoderConfig.weight_shapes`, in its order."""
        return {f"{layer.name}/{v.name}": v for layer in (self.embedding, *self.recurrent) for v in layer.weights}

    def initial_state(self, batch_size=1):
        """States of zero: for every recurrent layer a tuple of tensors `(batch_size, units)`."""
        return tuple(tuple(layer.get_initial_state(batch_size)) for layer in self.recurrent)

    def call(self, tokens, state, mask=None, training=False):
        first, *others = self.recurrent
        if isinstance(tokens, Distinct) and training and self.config.embedding_dropout:
            tokens = tokens.plain()  # of which every row has its own dropout
        if isinstance(tokens, Distinct):
            x = self.embedding(tokens.tokens)
            x, first_state = first.read_distinct(x, tokens.places, state[0], mask, training)
        else:
            x = self.embedding_dropout(self.embedding(tokens), training=training)
            x, *first_state = first(x, initial_state=list(state[0]), mask=mask, training=training)
        x, new_state = self.dropout(x, training=training), [tuple(first_state)]
        for layer, layer_state in zip(others, state[1:]):
            x, *layer_state = layer(x, initial_state=list(layer_state), mask=mask, training=training)
            new_state.append(tuple(layer_state))
            x = self.dropout(x, training=training)
        return x, tuple(new_state)

    @functools.cached_property
    def read_some(self):
        """`(tokens, mask, state) -> state`, compiled, without dropout."""
        return compiled(lambda tokens, mask, state: self(tokens, state, mask=mask)[1], self.variables)

    def compute_mask(self, tokens, previous_mask):
        return previous_mask  # of the hidden states; the states have no time

    def fold_into(self, encoder):
        """Gives its function to an encoder without weight normalisation."""
        for source, target in zip(self.recurrent, encoder.recurrent):
            source = source.folded() if self.config.weight_normalization else source
            target.set_weights(source.get_weights())
        encoder.embedding.set_weights(self.embedding.get_weights())
