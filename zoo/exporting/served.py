"""SavedModels of whole tasks, for `tf.saved_model.load` and TensorFlow Serving: texts go in and come out.

    classifier      serving_default(texts) -> label, probability, probabilities
    language model  serving_default(prompts, length, temperature, seed) -> texts
    translator      serving_default(texts) -> translations, greedily, of one sentence each

Texts are strings `(batch,)`. A language model writes `length` tokens; a temperature of 0 takes the likeliest. The seed
is two integers; its random numbers are TensorFlow's, so they are not those of `LanguageModel.generate`.
"""

import tensorflow as tf

from zoo.exporting.graph_tokenizers import graph_tokenizer
from zoo.models.classifier import Classifier
from zoo.models.language_model import LanguageModel
from zoo.tokenizer_pair import END

TEXTS = tf.TensorSpec([None], tf.string)


def write(model, folder):
    """Writes the SavedModel of a model of the zoo."""
    kinds = {LanguageModel: _Writer, Classifier: _Labeller}
    served = kinds.get(type(model), _Translator)(model)
    tf.saved_model.save(served, str(folder), signatures={"serving_default": served.serve})


class _Served(tf.Module):
    def __init__(self, model):
        self.variables_of_the_model = model.variables  # so that they are saved
        self.model = model.folded() if hasattr(model, "folded") else model


class _Labeller(_Served):
    def __init__(self, model):
        super().__init__(model)
        self.tokenizer = graph_tokenizer(model.tokenizer)
        self.labels = tf.constant(list(model.config.labels))

    @tf.function(input_signature=[TEXTS])
    def serve(self, texts):
        tokens, mask = _padded(self.tokenizer(self.tokenizer.prepared(texts, self.model.tokenizer)))
        probabilities = tf.nn.softmax(self.model(tokens, mask))
        best = tf.argmax(probabilities, axis=1)
        probability = tf.reduce_max(probabilities, axis=1)
        return {"label": tf.gather(self.labels, best), "probability": probability, "probabilities": probabilities}


class _Writer(_Served):
    def __init__(self, model):
        super().__init__(model)
        self.tokenizer = graph_tokenizer(model.tokenizer)
        never = [] if model.tokenizer.unknown_id is None else [model.tokenizer.unknown_id]
        self.forbidden = tf.reduce_sum(tf.one_hot(never, model.config.vocabulary_size), axis=0) * -1e9

    @tf.function(
        input_signature=[
            TEXTS,
            tf.TensorSpec([], tf.int32, "length"),
            tf.TensorSpec([], tf.float32, "temperature"),
            tf.TensorSpec([2], tf.int32, "seed"),
        ]
    )
    def serve(self, prompts, length, temperature, seed):
        tokens = self.tokenizer(prompts)
        start = tf.fill([tf.shape(prompts)[0], 1], self.model.tokenizer.start_id)
        tokens, mask = _padded(tf.concat([tf.RaggedTensor.from_tensor(start), tokens], axis=1))
        logits, state = self.model.forward(tokens, self.model.initial_state(tf.shape(tokens)[0]), mask)
        last = tf.reduce_sum(tf.cast(mask, tf.int32), axis=1) - 1
        logits = tf.gather(logits, last, axis=1, batch_dims=1)
        written = tf.TensorArray(tf.int32, tf.maximum(length, 1))  # one step at least, or there is no shape

        def write(i, logits, state, written):
            token = self._draw(logits, temperature, tf.random.experimental.stateless_fold_in(seed, i))
            logits, state = self.model.forward(token[:, None], state)
            return i + 1, logits[:, 0], state, written.write(i, token)

        loop = tf.while_loop(lambda i, *_: i < tf.maximum(length, 1), write, (0, logits, state, written))
        return {"texts": self.tokenizer.decode(tf.transpose(loop[-1].stack())[:, :length])}

    def _draw(self, logits, temperature, seed):
        logits = tf.cast(logits, tf.float32) + self.forbidden
        drawn = tf.random.stateless_categorical(logits / tf.maximum(temperature, 1e-6), 1, seed, tf.int32)[:, 0]
        return tf.where(temperature > 0, drawn, tf.argmax(logits, axis=1, output_type=tf.int32))


class _Translator(_Served):
    def __init__(self, model):
        super().__init__(model)
        self.source, self.target = graph_tokenizer(model.tokenizer.source), graph_tokenizer(model.tokenizer.target)
        self.source_end = model.tokenizer.source.byte_id(END)
        self.start, self.end = model.tokenizer.start_id, model.tokenizer.end_id

    @tf.function(input_signature=[TEXTS])
    def serve(self, texts):
        texts = tf.strings.strip(tf.strings.regex_replace(texts, r"\s+", " "))
        tokens = self.source(texts)
        batch = tf.shape(texts)[0]
        end = tf.RaggedTensor.from_tensor(tf.fill([batch, 1], self.source_end))
        source, mask = _padded(tf.concat([tokens, end], axis=1))
        memory, states = self.model.encode(source, mask)
        keys = self.model.project_keys(memory)
        limits = 2 * tf.reduce_sum(tf.cast(mask, tf.int32), axis=1) + 10
        written = tf.TensorArray(tf.int32, tf.reduce_max(limits), clear_after_read=False)

        def unfinished(i, token, states, done, written):
            return tf.equal(i, 0) | tf.logical_not(tf.reduce_all(done))  # one step at least, or there is no shape

        def write(i, token, states, done, written):
            logits, _, states = self.model.step(token, states, memory, keys, mask)
            token = tf.argmax(logits, axis=1, output_type=tf.int32)
            done = done | (token == self.end) | (i + 1 >= limits)
            token = tf.where(done, self.end, token)
            return i + 1, token, states, done, written.write(i, token)

        token, done = tf.fill([batch], self.start), texts == ""
        found = tf.while_loop(unfinished, write, (0, token, states, done, written))
        return {"translations": _without_end(self.target, tf.transpose(found[-1].stack()), self.end)}


def _padded(ragged):
    """Dense tokens `(batch, time)`, at least one timestep, and the mask of those that are there."""
    lengths = tf.cast(ragged.row_lengths(), tf.int32)
    tokens = ragged.to_tensor(0)
    tokens = tf.pad(tokens, [[0, 0], [0, tf.cast(tf.shape(tokens)[1] == 0, tf.int32)]])
    return tokens, tf.range(tf.shape(tokens)[1])[None] < lengths[:, None]


def _without_end(tokenizer, tokens, end):
    """The texts of tokens up to the end token."""
    before = tf.cumsum(tf.cast(tokens == end, tf.int32), axis=1) == 0
    pieces = tf.where(before, tf.gather(tokenizer.pieces, tokens), "")
    return tf.strings.strip(tf.strings.reduce_join(pieces, axis=1))
