"""A recurrent language model: text in, text out.

References: Mikolov et al. 2010 (recurrent language models); Graves 2013 and Karpathy 2015 (characters, generation);
Gal & Ghahramani 2016 (variational dropout, between the layers and inside them); Press & Wolf 2016 (tied softmax).
"""

import functools
from dataclasses import asdict, dataclass, replace
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from zoo import generation, layers, tokenizers
from zoo.backend import compiled

RECURRENT = {
    "rnn": layers.SimpleRNN,
    "lstm": layers.LSTM,
    "gru": layers.GRU,
    "peephole": layers.PeepholeLSTM,
    "mlstm": layers.MultiplicativeLSTM,
}
SCORED_AT_ONCE = 1024  # tokens


@dataclass(frozen=True)
class LanguageModelConfig:
    """What a language model is made of."""

    vocabulary_size: int
    recurrent: str = "lstm"  # a key of RECURRENT
    units: int = 512  # of each recurrent layer
    layers: int = 1
    embedding_size: int = 64  # must be `units` if tied
    tied: bool = False  # whether the softmax uses the embedding's matrix
    weight_normalization: bool = False  # mlstm only
    forget_bias: float = 1.0  # at the start; lstm, peephole and mlstm
    # Dropout is variational (Gal & Ghahramani 2016): one mask for all timesteps of a window.
    embedding_dropout: float = 0.0
    dropout: float = 0.0  # between the layers, and before the softmax
    recurrent_dropout: float = 0.0  # of the hidden state on its way to the recurrent kernel

    def __post_init__(self):
        if self.recurrent not in RECURRENT:
            raise ValueError(f"`recurrent` must be one of {list(RECURRENT)}. Received: recurrent={self.recurrent!r}")
        if self.tied and self.embedding_size != self.units:
            raise ValueError(
                "A tied softmax needs `embedding_size` equal to `units`. "
                f"Received: embedding_size={self.embedding_size}, units={self.units}"
            )
        if self.weight_normalization and self.recurrent != "mlstm":
            raise ValueError(f"`weight_normalization` is for recurrent='mlstm'. Received: {self.recurrent!r}")

    def weight_shapes(self):
        """The name and shape of every weight, in order, without building the model."""
        shapes = {"embedding/embeddings": (self.vocabulary_size, self.embedding_size)}
        features, units = self.embedding_size, self.units
        gates = {"rnn": 1, "gru": 3}.get(self.recurrent, 4) * units
        for i in range(self.layers):
            layer = {"kernel": (features, gates), "recurrent_kernel": (units, gates)}
            layer["bias"] = (2, gates) if self.recurrent == "gru" else (gates,)
            if self.recurrent == "peephole":
                layer |= {f"{gate}_gate_peephole_weights": (units,) for gate in ("input", "forget", "output")}
            if self.recurrent == "mlstm":
                layer["multiplicative_kernel"] = (features, units)
                layer["multiplicative_recurrent_kernel"] = (units, units)
            if self.weight_normalization:
                kernels = [name for name in layer if name.endswith("kernel")]
                layer |= {f"{name}_gain": layer[name][-1:] for name in kernels}
            shapes |= {f"recurrent_{i}/{name}": shape for name, shape in layer.items()}
            features = units
        if not self.tied:
            shapes |= {"output/kernel": (units, self.vocabulary_size), "output/bias": (self.vocabulary_size,)}
        return shapes


SCHEMA = {
    "vocabulary_size": {"type": "integer", "minimum": 1, "maximum": 1_000_000},
    "recurrent": {"enum": list(RECURRENT)},
    "units": {"type": "integer", "minimum": 1, "maximum": 65_536},
    "layers": {"type": "integer", "minimum": 1, "maximum": 64},
    "embedding_size": {"type": "integer", "minimum": 1, "maximum": 65_536},
    "tied": {"type": "boolean"},
    "weight_normalization": {"type": "boolean"},
    "forget_bias": {"type": "number", "minimum": -100, "maximum": 100},
    "embedding_dropout": {"type": "number", "minimum": 0, "exclusiveMaximum": 1},
    "dropout": {"type": "number", "minimum": 0, "exclusiveMaximum": 1},
    "recurrent_dropout": {"type": "number", "minimum": 0, "exclusiveMaximum": 1},
}  # of LanguageModelConfig in a checkpoint


class Score(NamedTuple):
    """How well a model predicted a text."""

    tokens: int
    characters: int
    nats: float  # in all
    log_probabilities: np.ndarray  # natural, `(tokens,)` float32

    @property
    def nats_per_token(self):
        return self.nats / max(self.tokens, 1)

    @property
    def nats_per_character(self):
        return self.nats / max(self.characters, 1)

    @property
    def bits_per_character(self):
        return self.nats_per_character / np.log(2)

    @property
    def perplexity(self):
        """Of a token."""
        return float(np.exp(self.nats_per_token))


class LanguageModel(keras.Model):
    """Embedding, recurrent layers, softmax; with the tokenizer inside.

    Args:
        config: a `LanguageModelConfig`.
        tokenizer: from `zoo.tokenizers`.

    Call arguments:
        tokens: int `(batch, time)`.
        mask: boolean `(batch, time)` or None: where it is False, the states stay as they are.
        training: whether dropout is on.

    Returns:
        Logits of the next token, `(batch, time, vocabulary)`, from states of zero; `forward` takes and gives states.

    Example:

    >>> tokenizer = zoo.tokenizers.ByteTokenizer()
    >>> model = zoo.models.LanguageModel(zoo.models.LanguageModelConfig(256, "mlstm", units=8), tokenizer)
    >>> tuple(model(np.zeros((2, 5), "int32")).shape)
    (2, 5, 256)
    >>> len(model.generate("Once", length=20, seed=1))
    20
    """

    task = "language-model"
    config_class = LanguageModelConfig
    schema = SCHEMA

    def __init__(self, config, tokenizer, **kwargs):
        kwargs.setdefault("name", "language_model")
        super().__init__(**kwargs)
        if config.vocabulary_size != tokenizer.vocabulary_size:
            raise ValueError(
                f"config.vocabulary_size is {config.vocabulary_size}, the tokenizer's {tokenizer.vocabulary_size}."
            )
        self.config = config
        self.tokenizer = tokenizer
        stddev = config.embedding_size**-0.5 if config.tied else 1.0
        self.embedding = keras.layers.ReversibleEmbedding(
            config.vocabulary_size,
            config.embedding_size,
            embeddings_initializer=keras.initializers.RandomNormal(stddev=stddev),
            name="embedding",
        )
        self.embedding.supports_masking = True  # Keras would warn where it serves as a tied softmax
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
        self.output_layer = None if config.tied else keras.layers.Dense(config.vocabulary_size, name="output")
        self.build()

    def build(self, input_shape=None):
        self.embedding.build((None, None))
        features = self.config.embedding_size
        for layer in self.recurrent:
            layer.build((None, None, features))
            features = self.config.units
        if self.output_layer is not None:
            self.output_layer.build((None, None, features))
        self.built = True

    def named_weights(self):
        """The weights by the names of `LanguageModelConfig.weight_shapes`, in its order."""
        named = [("embedding", self.embedding), *((layer.name, layer) for layer in self.recurrent)]
        if self.output_layer is not None:
            named.append(("output", self.output_layer))
        return {f"{name}/{v.name}": v for name, layer in named for v in layer.weights}

    def initial_state(self, batch_size=1):
        """States of zero: for every recurrent layer a tuple of tensors `(batch_size, units)`."""
        return tuple(tuple(layer.get_initial_state(batch_size)) for layer in self.recurrent)

    def forward(self, tokens, state, mask=None, training=False):
        """Logits `(batch, time, vocabulary)` of the tokens `(batch, time)` after `state`, and the new state."""
        x = self.embedding_dropout(self.embedding(tokens), training=training)
        new_state = []
        for layer, layer_state in zip(self.recurrent, state):
            x, *layer_state = layer(x, initial_state=list(layer_state), mask=mask, training=training)
            new_state.append(tuple(layer_state))
            x = self.dropout(x, training=training)
        logits = self.embedding(x, reverse=True) if self.output_layer is None else self.output_layer(x)
        return logits, tuple(new_state)

    def call(self, tokens, mask=None, training=False):
        return self.forward(tokens, self.initial_state(ops.shape(tokens)[0]), mask, training)[0]

    def training_loss(self, batch, state):
        """What `zoo.training.fit` minimises: the mean loss in nats of a batch `(inputs, targets)`, and the state."""
        inputs, targets = batch
        logits, state = self.forward(inputs, state, training=True)
        return _mean_loss(targets, logits), state

    def mean_loss(self, streams):
        """The mean loss in nats over a `zoo.streams.Streams`, without dropout, the state carried."""
        state, total = None, 0.0
        batches = streams(epoch=0)
        for i in range(len(batches)):
            inputs, targets = batches[i]
            loss, state = self._loss_of_batch(inputs, targets, state or self.initial_state(len(inputs)))
            total += float(loss)
        return total / len(batches)

    @functools.cached_property
    def _loss_of_batch(self):
        def loss_of_batch(inputs, targets, state):
            logits, state = self.forward(inputs, state)
            return _mean_loss(targets, logits), state

        return compiled(loss_of_batch, self.variables)

    def folded(self):
        """A model of the same function whose weight normalisation, if any, is multiplied out."""
        if not self.config.weight_normalization:
            return self
        model = type(self)(replace(self.config, weight_normalization=False), self.tokenizer)
        for source, target in zip(self.recurrent, model.recurrent):
            target.set_weights(source.folded().get_weights())
        weights = self.named_weights()
        for name, target in model.named_weights().items():
            if not name.startswith("recurrent_"):
                target.assign(weights[name])
        return model

    def step(self, tokens, state):
        """One timestep by hand.

        Args:
            tokens: int `(batch,)`.
            state: from `initial_state` or an earlier step.

        Returns:
            Logits of the next token `(batch, vocabulary)`, and the new state.
        """
        logits, state = self.forward(ops.expand_dims(ops.convert_to_tensor(tokens, "int32"), 1), state)
        return logits[:, 0], state

    def generate(self, prompt="", length=400, temperature=1.0, top_k=None, top_p=None, seed=None, stop=None):
        """Writes on from a prompt.

        Args:
            prompt: str, or a list of str for a batch; may be empty. Of a longer prompt the last 16,384 tokens are
                read. Characters that a character model does not know are read as its unknown token.
            length: how many characters to write, at most.
            temperature: 0 always takes the likeliest token; below 1 is safer, above 1 wilder.
            top_k: draw among the k likeliest tokens only.
            top_p: draw among the likeliest tokens that have this probability together.
            seed: integer; the same seed gives the same text, on every backend up to rounding. None for a new one.
            stop: str or list of str: end before the first of them.

        Returns:
            The new text without the prompt, str; for a list of prompts a list.
        """
        prompts = _texts("prompt", prompt)
        texts = [""] * len(prompts)
        for pieces in generation.generate(self, prompts, length, temperature, top_k, top_p, seed, stop):
            texts = [text + piece for text, piece in zip(texts, pieces)]
        return texts[0] if isinstance(prompt, str) else texts

    @functools.cached_property
    def generation_loop(self):
        return generation.compiled_loop(self)

    def stream(self, prompt="", length=400, temperature=1.0, top_k=None, top_p=None, seed=None, stop=None):
        """As `generate` for one prompt, but yields the text in pieces while it is written."""
        if not isinstance(prompt, str):
            raise TypeError(f"`prompt` must be a str. Received: {prompt!r:.100}")
        pieces = generation.generate(self, [prompt], length, temperature, top_k, top_p, seed, stop, streaming=True)
        return (piece for (piece,) in pieces if piece)

    def score(self, text, progress=None):
        """How well the model predicts a text, from its first token on, the state carried through.

        Args:
            text: str, or a list of str scored one by one.
            progress: called with the number of tokens done and in all, now and then.

        Returns:
            A `Score`, with `.nats_per_token`, `.nats_per_character`, `.bits_per_character`, `.perplexity` and
            `.log_probabilities`; for a list a list.
        """
        if not isinstance(text, str):
            return [self.score(t, progress) for t in _texts("text", text)]
        tokens = self.tokenizer.encode(text)
        before = np.concatenate([[self.tokenizer.start_id], tokens])[: len(tokens)].astype("int32")
        state, found = self.initial_state(1), []
        for start in range(0, len(tokens), SCORED_AT_ONCE):
            inputs, targets = (x[start : start + SCORED_AT_ONCE] for x in (before, tokens))
            size = max(16, 1 << (len(inputs) - 1).bit_length())  # few shapes, so few compilations
            padded = [np.pad(x, (0, size - len(inputs)))[None] for x in (inputs, targets)]
            log_probabilities, state = self._score_some(*padded, np.arange(size)[None] < len(inputs), state)
            found.append(ops.convert_to_numpy(log_probabilities)[0, : len(inputs)])
            if progress is not None:
                progress(start + len(inputs), len(tokens))
        log_probabilities = np.concatenate(found) if found else np.zeros(0, "float32")
        return Score(len(tokens), len(text), -float(log_probabilities.sum(dtype="float64")), log_probabilities)

    @functools.cached_property
    def _score_some(self):
        def score_some(inputs, targets, mask, state):
            logits, state = self.forward(inputs, state, mask)
            log_probabilities = ops.log_softmax(ops.cast(logits, "float32"), axis=-1)
            return ops.take_along_axis(log_probabilities, targets[..., None], axis=-1)[..., 0], state

        return compiled(score_some, self.variables)

    def get_config(self):
        return {"config": asdict(self.config), "tokenizer": self.tokenizer.to_json()}

    @classmethod
    def from_config(cls, config):
        return cls(LanguageModelConfig(**config["config"]), tokenizers.from_json(config["tokenizer"]))


def _texts(name, value):
    """A str, or a list of them, as a list."""
    texts = list(value) if isinstance(value, (list, tuple)) else [value]
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"`{name}` must be a str, or a list of them. Received: {text!r:.100}")
    return texts


def _mean_loss(targets, logits):
    return ops.mean(ops.sparse_categorical_crossentropy(targets, ops.cast(logits, "float32"), from_logits=True))
