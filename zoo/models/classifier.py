"""A recurrent classifier: texts in, labels out, usually on the layers of a pretrained language model.

References: Dai & Le 2015 (from language model to classifier); Howard & Ruder 2018, section 3.3 (pooling over the
states); Radford, Jozefowicz & Sutskever 2017 (the final cell state as features, the course of a unit over a text).
"""

import functools
from dataclasses import asdict, dataclass, replace
from dataclasses import fields as dataclass_fields
from typing import NamedTuple

import keras
import numpy as np
from keras import ops, tree

from zoo import reading, strict_json, tokenizers
from zoo.backend import compiled, scan
from zoo.models import encoder
from zoo.models.encoder import Encoder, EncoderConfig
from zoo.trace import Trace

LONGEST_LABEL = 200  # characters
POOLING = ("last", "cell", "max", "mean")


@dataclass(frozen=True)
class ClassifierConfig(EncoderConfig):
    """What a classifier is made of."""

    labels: tuple = ("negative", "positive")
    pooling: tuple = ("last", "max", "mean")  # of the last layer: final hidden state, final cell state, over time
    hidden_units: int = 0  # of a layer with ReLU between pooling and output; 0 for none
    head_dropout: float = 0.0  # before the hidden layer and the output

    def __post_init__(self):
        super().__post_init__()
        for name in ("labels", "pooling"):
            if not isinstance(getattr(self, name), (list, tuple)):
                raise ValueError(f"`{name}` must be a tuple of str. Received: {name}={getattr(self, name)!r:.100}")
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if len(self.labels) < 2 or len(set(self.labels)) != len(self.labels):
            raise ValueError(f"`labels` must be two or more, all different. Received: labels={self.labels!r:.200}")
        for label in self.labels:
            if not label.isprintable() or not 0 < len(label) <= LONGEST_LABEL:
                raise ValueError(f"A label must be 1 to {LONGEST_LABEL} printable characters. Received: {label!r:.100}")
        if not self.pooling or not set(self.pooling) <= set(POOLING) or len(set(self.pooling)) != len(self.pooling):
            raise ValueError(f"`pooling` must be some of {POOLING}. Received: pooling={self.pooling!r:.200}")

    def weight_shapes(self):
        shapes, features = super().weight_shapes(), self.units * len(self.pooling)
        if self.hidden_units:
            shapes |= {"hidden/kernel": (features, self.hidden_units), "hidden/bias": (self.hidden_units,)}
            features = self.hidden_units
        return shapes | {"output/kernel": (features, len(self.labels)), "output/bias": (len(self.labels),)}


SCHEMA = {
    **encoder.SCHEMA,
    "labels": {"type": "array", "minItems": 2, "maxItems": 10_000, "items": strict_json.TEXT},
    "pooling": {"type": "array", "minItems": 1, "maxItems": len(POOLING), "items": {"enum": list(POOLING)}},
    "hidden_units": {"type": "integer", "minimum": 0, "maximum": 65_536},
    "head_dropout": {"type": "number", "minimum": 0, "exclusiveMaximum": 1},
}  # of ClassifierConfig in a checkpoint


class Classification(NamedTuple):
    """What a text is taken for."""

    label: str
    probability: float  # of that label
    probabilities: dict  # of every label


@keras.saving.register_keras_serializable(package="zoo")
class Classifier(keras.Model):
    """Embedding, recurrent layers, pooling over time, softmax; with the tokenizer and the labels inside.

    Args:
        config: a `ClassifierConfig`.
        tokenizer: from `zoo.tokenizers`.

    Call arguments:
        tokens: int `(batch, time)`, or `zoo.distinct.Distinct`.
        mask: boolean `(batch, time)` or None: False where there is no token.
        training: whether dropout is on.

    Returns:
        Logits, float32 `(batch, labels)`.

    Example:

    >>> config = zoo.models.ClassifierConfig(256, "mlstm", units=8, labels=("good", "bad", "odd"))
    >>> model = zoo.models.Classifier(config, zoo.tokenizers.ByteTokenizer())
    >>> result = model.classify("Who knows?")
    >>> result.label in config.labels, len(result.probabilities)
    (True, 3)
    """

    task = "text-classification"
    config_class = ClassifierConfig
    schema = SCHEMA

    def __init__(self, config, tokenizer, **kwargs):
        kwargs.setdefault("name", "classifier")
        super().__init__(**kwargs)
        if config.vocabulary_size != tokenizer.vocabulary_size:
            raise ValueError(
                f"config.vocabulary_size is {config.vocabulary_size}, the tokenizer's {tokenizer.vocabulary_size}."
            )
        self.config = config
        self.tokenizer = tokenizer
        self.encoder = Encoder(config, name="encoder")
        self.head_dropout = keras.layers.Dropout(config.head_dropout)
        self.hidden = keras.layers.Dense(config.hidden_units, "relu", name="hidden") if config.hidden_units else None
        self.output_layer = keras.layers.Dense(len(config.labels), dtype="float32", name="output")
        self.build()

    def build(self, input_shape=None):
        features = self.config.units * len(self.config.pooling)
        if self.hidden is not None:
            self.hidden.build((None, features))
            features = self.config.hidden_units
        self.output_layer.build((None, features))
        self.built = True

    @classmethod
    def on(cls, model, **fields):
        """A classifier on the embedding and the recurrent layers of another model, which are copied.

        Args:
            model: a `LanguageModel` or a `Classifier`, with its tokenizer.
            fields: of `ClassifierConfig`: the labels, and what else is to differ from the model's.
        """
        shared = {f.name: getattr(model.config, f.name) for f in dataclass_fields(EncoderConfig)}
        classifier = cls(ClassifierConfig(**{**shared, **fields}), model.tokenizer)
        targets = classifier.named_weights()
        for name, weight in model.encoder.named_weights().items():
            targets[name].assign(weight)
        return classifier

    def named_weights(self):
        """The weights by the names of `ClassifierConfig.weight_shapes`, in its order."""
        head = [layer for layer in (self.hidden, self.output_layer) if layer is not None]
        return {
            **self.encoder.named_weights(),
            **{f"{layer.name}/{v.name}": v for layer in head for v in layer.weights},
        }

    def initial_carry(self, batch_size=1):
        """What `read` starts from: states of zero, and the pooling of no timestep."""
        shape = (batch_size, self.config.units)
        lowest = ops.full(shape, -np.inf, "float32")
        return self.encoder.initial_state(batch_size), lowest, ops.zeros(shape), ops.zeros((batch_size, 1))

    def read(self, tokens, carry, mask=None, training=False):
        """Reads some timesteps.

        Args:
            tokens: int `(batch, time)`, or `zoo.distinct.Distinct`.
            carry: from `initial_carry` or an earlier call.
            mask: boolean `(batch, time)` or None.

        Returns:
            The new carry.
        """
        state, highest, total, count = carry
        hidden, state = self.encoder(tokens, state, mask=mask, training=training)
        seen = ops.ones(ops.shape(hidden)[:2] + (1,), "bool") if mask is None else mask[:, :, None]
        values = ops.cast(hidden, "float32")
        highest = ops.maximum(highest, ops.max(ops.where(seen, values, -np.inf), axis=1))
        total = total + ops.sum(ops.where(seen, values, 0.0), axis=1)
        count = count + ops.sum(ops.cast(seen, "float32"), axis=1)
        return state, highest, total, count

    def logits(self, carry, training=False):
        """Logits `(batch, labels)` of what has been read."""
        state, highest, total, count = carry
        pooled = {
            "last": lambda: ops.cast(state[-1][0], "float32"),
            "cell": lambda: ops.cast(state[-1][-1], "float32"),
            "max": lambda: ops.where(count > 0, highest, 0.0),
            "mean": lambda: total / ops.maximum(count, 1.0),
        }
        x = self.head_dropout(ops.concatenate([pooled[p]() for p in self.config.pooling], axis=-1), training=training)
        if self.hidden is not None:
            x = self.head_dropout(self.hidden(x), training=training)
        return self.output_layer(x)

    def call(self, tokens, mask=None, training=False):
        carry = self.read(tokens, self.initial_carry(ops.shape(tree.flatten(tokens)[0])[0]), mask, training)
        return self.logits(carry, training)

    def training_loss(self, batch, carry=()):
        """What `zoo.training.fit` minimises: the mean loss in nats of a batch `(tokens, lengths, labels, weights)`."""
        tokens, lengths, labels, weights = batch
        mask = ops.arange(tokens.shape[1])[None] < lengths[:, None]
        losses = ops.sparse_categorical_crossentropy(labels, self(tokens, mask, training=True), from_logits=True)
        return ops.sum(losses * weights) / ops.maximum(ops.sum(weights), 1e-6), carry

    def classify(self, texts, batch_size=64, progress=None):
        """The labels of texts.

        Args:
            texts: list of str, or one str. A text of any length is read to its end, in pieces.
            batch_size: how many texts are read side by side.
            progress: called with the number of texts done and in all, now and then.

        Returns:
            A list of `Classification`s with `.label`, `.probability` and `.probabilities`; for one str, one.
        """
        found = [
            Classification(self.config.labels[p.argmax()], float(p.max()), dict(zip(self.config.labels, p.tolist())))
            for p in self.probabilities(texts, batch_size, progress)
        ]
        return found[0] if isinstance(texts, str) else found

    def probabilities(self, texts, batch_size=64, progress=None):
        """As `classify`, but a float32 array `(texts, labels)`."""
        texts = reading.checked("texts", texts)
        documents = [self.tokenizer.encode_document(text) for text in texts]
        carries = reading.read(documents, self._read_some, self.initial_carry, batch_size, progress)
        rows = np.zeros((len(texts), len(self.config.labels)), "float32")
        for indices, carry in carries:
            rows[indices] = ops.convert_to_numpy(self._probabilities_of(carry))[: len(indices)]
        return rows

    def features(self, texts, batch_size=64, progress=None):
        """As `LanguageModel.features`."""
        return reading.features(self, texts, batch_size, progress)

    def trace(self, text):
        """What the model thinks after every token of a text.

        Args:
            text: str.

        Returns:
            A `zoo.trace.Trace`: print it, or write it with `to_html` or `plot`.
        """
        if not isinstance(text, str):
            raise TypeError(f"`text` must be a str. Received: {text!r:.100}")
        tokens = self.tokenizer.encode_document(text)
        carry, found = self.initial_carry(1), [np.zeros((0, 2, len(self.config.labels)), "float32")]
        for some, mask in reading.pieces([tokens]):
            carry, probabilities = self._trace_some(some, mask, carry)
            found.append(ops.convert_to_numpy(probabilities)[mask[0]])
        so_far, moments = np.swapaxes(np.concatenate(found), 0, 1)
        return Trace.of(self.tokenizer, tokens, so_far, moments, self.config.labels)

    @functools.cached_property
    def _read_some(self):
        return compiled(lambda tokens, mask, carry: self.read(tokens, carry, mask), self.variables)

    @functools.cached_property
    def _probabilities_of(self):
        return compiled(lambda carry: ops.softmax(self.logits(carry)), self.variables)

    @functools.cached_property
    def _trace_some(self):
        def trace_some(tokens, mask, carry):
            def step(leaves, inputs):
                token, seen = inputs
                carry = self.read(token[:, None], tree.pack_sequence_as(structure, leaves), seen[:, None])
                state, *_, count = carry
                hidden = ops.cast(state[-1][0], "float32")
                moment = state, hidden, hidden, ops.ones_like(count)  # pooled over this timestep alone
                logits = ops.concatenate([self.logits(carry), self.logits(moment)])
                return tuple(tree.flatten(carry)), (ops.softmax(logits),)

            structure = carry
            inputs = ops.transpose(tokens), ops.transpose(mask)
            leaves, (probabilities,) = scan(step, tuple(tree.flatten(carry)), inputs)
            return tree.pack_sequence_as(structure, leaves), probabilities

        return compiled(trace_some, self.variables)

    def folded(self):
        """A model of the same function whose weight normalisation, if any, is multiplied out."""
        if not self.config.weight_normalization:
            return self
        model = type(self)(replace(self.config, weight_normalization=False), self.tokenizer)
        self.encoder.fold_into(model.encoder)
        weights = self.named_weights()
        for name, target in model.named_weights().items():
            if name.startswith(("hidden/", "output/")):
                target.assign(weights[name])
        return model

    def get_config(self):
        return {"config": asdict(self.config), "tokenizer": self.tokenizer.to_json()}

    @classmethod
    def from_config(cls, config):
        return cls(ClassifierConfig(**config["config"]), tokenizers.from_json(config["tokenizer"]))
