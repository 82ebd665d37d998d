"""A recurrent language model: text in, text out.

References: Mikolov et al. 2010 (recurrent language models); Graves 2013 and Karpathy 2015 (characters, generation);
Press & Wolf 2016 (tied softmax).
"""

import functools
from dataclasses import asdict, dataclass, replace
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from zoo import generation, reading, tokenizers
from zoo.backend import compiled
from zoo.models import encoder
from zoo.models.encoder import Encoder, EncoderConfig

SCORED_AT_ONCE = 1024  # tokens


@dataclass(frozen=True)
class LanguageModelConfig(EncoderConfig):
    """What a language model is made of."""

    tied: bool = False  # whether the softmax uses the embedding's matrix, whose size must then be `units`

    def __post_init__(self):
        super().__post_init__()
        if self.tied and self.embedding_size != self.units:
            raise ValueError(
                "A tied softmax needs `embedding_size` equal to `units`. "
                f"Received: embedding_size={self.embedding_size}, units={self.units}"
            )

    def weight_shapes(self):
        shapes = super().weight_shapes()
        if not self.tied:
            shapes |= {"output/kernel": (self.units, self.vocabulary_size), "output/bias": (self.vocabulary_size,)}
        return shapes


class Score(NamedTuple):
    """How well a model predicted a text."""

    tokens: int
    characters: int
    bytes: int  # of the text in UTF-8
    words: int  # what stands between spaces; the end of a line is one, too, as for models of words
    nats: float  # in all
    log_probabilities: np.ndarray | None  # natural, `(tokens,)` float32

    @classmethod
    def of(cls, text, tokens, nats, log_probabilities=None):
        """Of a text, by what a model said of it."""
        size = len(text.encode("utf-8", "surrogatepass"))
        return cls(tokens, len(text), size, len(text.split()) + text.count("\n"), nats, log_probabilities)

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
    def bits_per_byte(self):
        return self.nats / max(self.bytes, 1) / np.log(2)

    @property
    def perplexity(self):
        """Of a token."""
        with np.errstate(over="ignore"):
            return float(np.exp(self.nats_per_token))

    @property
    def word_perplexity(self):
        """Of a word, however many tokens it has: comparable among models of bytes, subwords and words."""
        with np.errstate(over="ignore"):  # infinite where a text is one endless word
            return float(np.exp(self.nats / max(self.words, 1)))


@keras.saving.register_keras_serializable(package="zoo")
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
    schema = {**encoder.SCHEMA, "tied": {"type": "boolean"}}

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
        self.encoder = Encoder(config, keras.initializers.RandomNormal(stddev=stddev), name="encoder")
        self.output_layer = None if config.tied else keras.layers.Dense(config.vocabulary_size, name="output")
        self.build()

    def build(self, input_shape=None):
        if self.output_layer is not None:
            self.output_layer.build((None, None, self.config.units))
        self.built = True

    def named_weights(self):
        """The weights by the names of `LanguageModelConfig.weight_shapes`, in its order."""
        output = [] if self.output_layer is None else self.output_layer.weights
        return {**self.encoder.named_weights(), **{f"output/{v.name}": v for v in output}}

    def initial_state(self, batch_size=1):
        """States of zero: for every recurrent layer a tuple of tensors `(batch_size, units)`."""
        return self.encoder.initial_state(batch_size)

    def forward(self, tokens, state, mask=None, training=False):
        """Logits `(batch, time, vocabulary)` of the tokens `(batch, time)` after `state`, and the new state."""
        x, state = self.encoder(tokens, state, mask=mask, training=training)
        logits = self.encoder.embedding(x, reverse=True) if self.output_layer is None else self.output_layer(x)
        return logits, state

    def call(self, tokens, mask=None, training=False):
        return self.forward(tokens, self.initial_state(ops.shape(tokens)[0]), mask, training)[0]

    def training_loss(self, batch, state):
        """What `zoo.training.fit` minimises: the mean loss in nats of a batch `(inputs, targets)`, and the state."""
        return self.batch_loss(batch, state, training=True)

    def batch_loss(self, batch, state, training=False):
        """The mean loss in nats of a batch `(inputs, targets)`, and the new state."""
        inputs, targets = batch
        logits, state = self.forward(inputs, state, training=training)
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
        return compiled(lambda inputs, targets, state: self.batch_loss((inputs, targets), state), self.variables)

    def folded(self):
        """A model of the same function whose weight normalisation, if any, is multiplied out."""
        if not self.config.weight_normalization:
            return self
        model = type(self)(replace(self.config, weight_normalization=False), self.tokenizer)
        self.encoder.fold_into(model.encoder)
        if self.output_layer is not None:
            model.output_layer.set_weights(self.output_layer.get_weights())
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

    def generate(
        self, prompt="", length=400, temperature=1.0, top_k=None, top_p=None, seed=None, stop=None, clamp=None
    ):
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
            clamp: dict from a unit's number to the value at which it is held: of the last layer the cell state, or
                the hidden state if there is no other, as in `features` (Radford et al. 2017, section 5).

        Returns:
            The new text without the prompt, str; for a list of prompts a list.
        """
        prompts = reading.checked("prompt", prompt)
        texts = [""] * len(prompts)
        for pieces in generation.generate(self, prompts, length, temperature, top_k, top_p, seed, stop, clamp):
            texts = [text + piece for text, piece in zip(texts, pieces)]
        return texts[0] if isinstance(prompt, str) else texts

    @functools.cached_property
    def generation_loop(self):
        return generation.compiled_loop(self)

    def stream(self, prompt="", length=400, temperature=1.0, top_k=None, top_p=None, seed=None, stop=None, clamp=None):
        """As `generate` for one prompt, but yields the text in pieces while it is written."""
        if not isinstance(prompt, str):
            raise TypeError(f"`prompt` must be a str. Received: {prompt!r:.100}")
        pieces = generation.generate(self, [prompt], length, temperature, top_k, top_p, seed, stop, clamp, True)
        return (piece for (piece,) in pieces if piece)

    def score(self, text, progress=None):
        """How well the model predicts a text, from its first token on, the state carried through.

        Args:
            text: str, or a list of str scored one by one.
            progress: called with the number of tokens done and in all, now and then.

        Returns:
            A `Score`, with `.nats_per_token`, `.nats_per_character`, `.bits_per_character`, `.bits_per_byte`,
            `.perplexity`, `.word_perplexity` and `.log_probabilities`; for a list a list.
        """
        if not isinstance(text, str):
            return [self.score(t, progress) for t in reading.checked("text", text)]
        tokens = self.tokenizer.encode(text)
        before = np.concatenate([[self.tokenizer.start_id], tokens])[: len(tokens)].astype("int32")
        state, found, done = self.initial_state(1), [], 0
        for (inputs, mask), (targets, _) in zip(*(reading.pieces([x], most=SCORED_AT_ONCE) for x in (before, tokens))):
            log_probabilities, state = self._score_some(inputs, targets, mask, state)
            found.append(ops.convert_to_numpy(log_probabilities)[mask])
            done += mask.sum()
            if progress is not None:
                progress(int(done), len(tokens))
        log_probabilities = np.concatenate(found) if found else np.zeros(0, "float32")
        return Score.of(text, len(tokens), -float(log_probabilities.sum(dtype="float64")), log_probabilities)

    def features(self, texts, batch_size=64, progress=None):
        """What the model has made of each text: its final cell states (Radford et al. 2017), for other methods.

        Args:
            texts: list of str, or one str.
            batch_size: how many texts are read side by side.
            progress: called with the number of texts done and in all, now and then.

        Returns:
            float32 `(texts, units)`: of the last layer the cell states, or the hidden states if it has none.
        """
        return reading.features(self, texts, batch_size, progress)

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


def _mean_loss(targets, logits):
    return ops.mean(ops.sparse_categorical_crossentropy(targets, ops.cast(logits, "float32"), from_logits=True))
