"""A translator: recurrent layers that read a sentence in both directions, an attention LSTM that writes another.

References: Bahdanau, Cho & Bengio 2015 and Luong, Pham & Manning 2015 (attention); Wu et al. 2016 (stacked residual
layers, the context for each of them); Sutskever, Vinyals & Le 2014 (without attention); Press & Wolf 2016 (tied
softmax); Gal & Ghahramani 2016 (variational dropout); Szegedy et al. 2016 (label smoothing).
"""

import functools
from dataclasses import asdict

import keras
from keras import ops

from zoo import layers, tokenizers, translation
from zoo.backend import compiled
from zoo.models.encoder import RECURRENT
from zoo.models.translator_config import SCHEMA, TranslatorConfig


@keras.saving.register_keras_serializable(package="zoo")
class Translator(keras.Model):
    """Encoder, attention, decoder, softmax; with the two tokenizers inside, so that it translates once it is loaded.

    The encoder's first layer reads in both directions, its states side by side being the memory m_1 ... m_S; further
    layers add to what they read. From its final states the bridge makes the decoder's first ones, tanh(h W + b). The
    decoder's first layer is `zoo.layers.AttentionLSTM`; further ones read its output and the context, and add to the
    output. Output, context and embedded token pass through a layer with tanh on to the softmax (the "deep output" of
    Bahdanau et al. 2015, A.2.2, with tanh for maxout).

    Args:
        config: a `TranslatorConfig`.
        tokenizer: a `zoo.tokenizers.TokenizerPair`.

    Call arguments:
        source: int `(batch, source time)`.
        target: int `(batch, target time)`, from the start token on.
        source_mask: boolean `(batch, source time)` or None: False where there is no token.
        training: whether dropout is on.

    Returns:
        Logits of the next token of the target, float32 `(batch, target time, vocabulary)`.

    Example:

    >>> tokenizer = zoo.tokenizers.TokenizerPair(zoo.tokenizers.ByteTokenizer(), zoo.tokenizers.ByteTokenizer())
    >>> model = zoo.models.Translator(zoo.models.TranslatorConfig(256, 256, units=8, embedding_size=4), tokenizer)
    >>> tuple(model(np.zeros((2, 5), "int32"), np.zeros((2, 3), "int32")).shape)
    (2, 3, 256)
    >>> isinstance(model.translate("Guten Tag!"), str)
    True
    """

    task = "translation"
    config_class = TranslatorConfig
    schema = SCHEMA

    def __init__(self, config, tokenizer, **kwargs):
        kwargs.setdefault("name", "translator")
        super().__init__(**kwargs)
        if config.vocabulary_size != tokenizer.vocabulary_size:
            raise ValueError(
                f"The vocabulary sizes of the configuration are {config.vocabulary_size}, those of the tokenizer "
                f"{tokenizer.vocabulary_size}."
            )
        self.config = config
        self.tokenizer = tokenizer
        self.source_embedding = _embedding(config.source_vocabulary_size, config, "source_embedding")
        self.target_embedding = (
            self.source_embedding
            if config.shared_embedding
            else _embedding(config.target_vocabulary_size, config, "target_embedding")
        )
        self.embedding_dropout = keras.layers.Dropout(config.embedding_dropout, noise_shape=(None, 1, None))
        self.dropout = keras.layers.Dropout(config.dropout, noise_shape=(None, 1, None))
        self.forward_layer = _recurrent(config, config.units // 2, "encoder_0_forward")
        self.backward_layer = _recurrent(config, config.units // 2, "encoder_0_backward", go_backwards=True)
        self.encoder_layers = [_recurrent(config, config.units, f"encoder_{i}") for i in range(1, config.layers)]
        self.bridge = keras.layers.Dense(sum(config.state_counts) * config.units, "tanh", name="bridge")
        if self.attends:
            self.first_layer = layers.AttentionLSTM(
                config.units,
                attention=config.attention,
                attend=config.attend,
                unit_forget_bias=config.forget_bias,
                recurrent_dropout=config.recurrent_dropout,
                return_sequences=True,
                return_state=True,
                return_alignments=True,
                name="decoder_0",
            )
        else:
            self.first_layer = _recurrent(config, config.units, "decoder_0")
        self.decoder_layers = [_recurrent(config, config.units, f"decoder_{i}") for i in range(1, config.layers)]
        self.readout = keras.layers.Dense(config.embedding_size, "tanh", name="readout")
        self.output_layer = _Output(config.target_vocabulary_size, config.tied, name="output")
        self.build()

    @property
    def attends(self):
        """Whether there is attention."""
        return self.config.attention != "none"

    def build(self, input_shape=None):
        units, size = self.config.units, self.config.embedding_size
        for layer in (self.source_embedding, self.target_embedding):
            layer.build((None, None))
        for layer in (self.forward_layer, self.backward_layer):
            layer.build((None, None, size))
        for layer in self.encoder_layers:
            layer.build((None, None, units))
        self.bridge.build((None, units * self.config.layers))
        if self.attends:
            self.first_layer.build((None, None, size), memory_shape=(None, None, units))
        else:
            self.first_layer.build((None, None, size))
        seen = 2 * units if self.attends else units
        for layer in self.decoder_layers:
            layer.build((None, None, seen))
        self.readout.build((None, None, seen + size))
        self.output_layer.build((None, None, size))
        self.built = True

    def named_weights(self):
        """The weights by the names of `TranslatorConfig.weight_shapes`, in its order."""
        embeddings = [self.source_embedding, self.target_embedding][: 1 if self.config.shared_embedding else 2]
        encoder_layers = [self.forward_layer, self.backward_layer, *self.encoder_layers]
        decoder_layers = [self.first_layer, *self.decoder_layers]
        named = (*embeddings, *encoder_layers, self.bridge, *decoder_layers, self.readout, self.output_layer)
        return {f"{layer.name}/{v.name}": v for layer in named for v in layer.weights}

    def encode(self, source, mask=None, training=False):
        """Reads sentences.

        Args:
            source: int `(batch, source time)`.
            mask: boolean `(batch, source time)` or None.
            training: whether dropout is on.

        Returns:
            The memory `(batch, source time, units)`, and the first states of the decoder: for every layer a tuple of
            tensors `(batch, units)`.
        """
        x = self.embedding_dropout(self.source_embedding(source), training=training)
        forward, forward_state, *_ = self.forward_layer(x, mask=mask, training=training)
        backward, backward_state, *_ = self.backward_layer(x, mask=mask, training=training)
        memory = ops.concatenate([forward, ops.flip(backward, axis=1)], axis=-1)
        final = [forward_state, backward_state]
        for layer in self.encoder_layers:
            memory = self.dropout(memory, training=training)
            added, state, *_ = layer(memory, mask=mask, training=training)
            memory = memory + added
            final.append(state)
        first = iter(ops.split(self.bridge(ops.concatenate(final, axis=-1)), sum(self.config.state_counts), axis=-1))
        states = [tuple(next(first) for _ in range(count)) for count in self.config.state_counts]
        if self.attends and self.config.attend == "after":
            states[0] += (ops.zeros_like(states[0][0]),)  # nothing has been found yet
        return self.dropout(memory, training=training), tuple(states)

    def decode(self, target, states, memory, mask=None, training=False):
        """Logits of the next tokens `(batch, target time, vocabulary)`, after the tokens `(batch, target time)`."""
        embedded = self.embedding_dropout(self.target_embedding(target), training=training)
        if self.attends:
            attended = {"memory": memory, "memory_mask": mask}
            x, *_, alignments = self.first_layer(embedded, initial_state=list(states[0]), training=training, **attended)
            context = [ops.matmul(alignments, memory)]
        else:
            (x, *_), context = self.first_layer(embedded, initial_state=list(states[0]), training=training), []
        for layer, layer_states in zip(self.decoder_layers, states[1:]):
            x = self.dropout(x, training=training)
            added, *_ = layer(
                ops.concatenate([x, *context], axis=-1), initial_state=list(layer_states), training=training
            )
            x = x + added
        return self._logits(x, context, embedded, training)

    def step(self, tokens, states, memory, keys, mask=None):
        """One timestep of the decoder.

        Args:
            tokens: int `(batch,)`.
            states: from `encode` or an earlier step.
            memory: from `encode`.
            keys: from `project_keys`.
            mask: boolean `(batch, source time)` or None.

        Returns:
            Logits of the next token `(batch, vocabulary)`, the alignment `(batch, source time)` (without attention,
            of zeros), and the new states.
        """
        embedded = self.target_embedding(tokens)
        if self.attends:
            attended = {"memory": memory, "memory_mask": mask, "keys": keys}
            x, state, alignment = self.first_layer.cell(embedded, list(states[0]), return_alignments=True, **attended)
            context = [ops.squeeze(ops.matmul(alignment[:, None], memory), 1)]
        else:
            x, state = self.first_layer.cell(embedded, list(states[0]))
            alignment, context = ops.zeros_like(memory[:, :, 0]), []
        new_states = [tuple(state)]
        for layer, layer_states in zip(self.decoder_layers, states[1:]):
            added, state = layer.cell(ops.concatenate([x, *context], axis=-1), list(layer_states))
            new_states.append(tuple(state))
            x = x + added
        return self._logits(x, context, embedded, False), alignment, tuple(new_states)

    def project_keys(self, memory):
        """What the attention's scores see of the memory, to be computed once for all steps."""
        return self.first_layer.cell.project_keys(memory) if self.attends else memory

    def _logits(self, x, context, embedded, training):
        x = self.readout(ops.concatenate([x, *context, embedded], axis=-1))
        x = self.dropout(x, training=training)
        return self.output_layer(x, embedding=self.target_embedding if self.config.tied else None)

    def call(self, source, target, source_mask=None, training=False):
        memory, states = self.encode(source, source_mask, training)
        return self.decode(target, states, memory, source_mask, training)

    def training_loss(self, batch, carry=(), label_smoothing=0.1):
        """What `zoo.training.fit` minimises.

        Args:
            batch: `(source, source lengths, target, target lengths)`, int32; the target from the start token to the
                end token.
            carry: passed on.
            label_smoothing: how much of the wanted distribution is spread over all tokens (Szegedy et al. 2016).

        Returns:
            The mean cross entropy of a token in nats, and the carry.
        """
        losses, smooth, weights = self._token_losses(batch, training=True)
        mixed = (1 - label_smoothing) * losses + label_smoothing * smooth
        return ops.sum(mixed * weights) / ops.maximum(ops.sum(weights), 1.0), carry

    def mean_loss(self, batches):
        """The mean cross entropy of a token in nats over batches, without dropout and smoothing."""
        batches = batches(epoch=0)
        sums = [[float(x) for x in self._sums(batches[i])] for i in range(len(batches))]
        return sum(loss for loss, _ in sums) / sum(weight for _, weight in sums)

    @functools.cached_property
    def _sums(self):
        def sums(batch):
            losses, _, weights = self._token_losses(batch, training=False)
            return ops.sum(losses * weights), ops.sum(weights)

        return compiled(sums, self.variables)

    def _token_losses(self, batch, training):
        """Of each token the cross entropy, that with a uniform distribution, and whether it counts."""
        source, source_lengths, target, target_lengths = batch
        mask = ops.arange(source.shape[1])[None] < source_lengths[:, None]
        logits = ops.cast(self(source, target[:, :-1], mask, training=training), "float32")
        total = ops.logsumexp(logits, axis=-1)
        wanted = ops.take_along_axis(logits, target[:, 1:, None], axis=-1)[..., 0]
        weights = ops.cast(ops.arange(1, target.shape[1])[None] < target_lengths[:, None], "float32")
        return total - wanted, total - ops.mean(logits, axis=-1), weights

    def translate(
        self,
        text,
        beam_width=5,
        length_penalty=0.6,
        coverage_penalty=0.0,
        n_best=1,
        return_alignments=False,
        batch_size=32,
        progress=None,
    ):
        """Translates sentences by beam search (`zoo.beam_search`).

        White space of any kind and length is read as one space. A text of more than 128 tokens is cut into pieces,
        after a sentence, else after a comma, else at a space, which are translated one by one. An empty text is
        translated by an empty one.

        Args:
            text: str, or a list of str.
            beam_width: how many hypotheses are followed; 1 is greedy search.
            length_penalty: alpha of Wu et al. 2016, equation 14: 0 favours short translations.
            coverage_penalty: beta of the same: above 0 favours translations that look at all of the source.
            n_best: how many translations of each text to give, at most `beam_width`.
            return_alignments: whether to give a `Translation` with the alignment, not only a str.
            batch_size: how many texts are translated side by side.
            progress: called with the number of texts done and in all.

        Returns:
            A str; with `n_best` above 1 or `return_alignments` a `zoo.translation.Translation` with `.text`, `.score`,
            `.alignment`, `.n_best` and `plot_alignment(path)`. For a list a list.
        """
        found = translation.translate(
            self, text, beam_width, length_penalty, coverage_penalty, n_best, batch_size, progress
        )
        if n_best == 1 and not return_alignments:
            found = [one.text for one in found]
        return found[0] if isinstance(text, str) else found

    @functools.cached_property
    def search(self):
        return translation.compiled_search(self)

    def get_config(self):
        return {"config": asdict(self.config), "tokenizer": self.tokenizer.to_json()}

    @classmethod
    def from_config(cls, config):
        return cls(TranslatorConfig(**config["config"]), tokenizers.from_json(config["tokenizer"]))


class _Output(keras.layers.Layer):
    """Logits, by a kernel of its own or the matrix of an embedding, and a bias."""

    def __init__(self, size, tied, **kwargs):
        super().__init__(**kwargs)
        self.size, self.tied = size, tied

    def build(self, input_shape):
        if not self.tied:
            self.kernel = self.add_weight(shape=(input_shape[-1], self.size), name="kernel")
        self.bias = self.add_weight(shape=(self.size,), initializer="zeros", name="bias")
        self.built = True

    def call(self, x, embedding=None):
        return (embedding(x, reverse=True) if self.tied else ops.matmul(x, self.kernel)) + self.bias


def _embedding(size, config, name):
    initializer = keras.initializers.RandomNormal(stddev=config.embedding_size**-0.5)
    return keras.layers.ReversibleEmbedding(size, config.embedding_size, embeddings_initializer=initializer, name=name)


def _recurrent(config, units, name, **options):
    if config.recurrent in ("lstm", "peephole", "mlstm"):
        options["unit_forget_bias"] = config.forget_bias
    return RECURRENT[config.recurrent](
        units,
        return_sequences=True,
        return_state=True,
        recurrent_dropout=config.recurrent_dropout,
        name=name,
        **options,
    )
