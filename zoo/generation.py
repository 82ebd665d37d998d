"""The generation loop of the language models: one compiled loop that reads the prompts and writes on."""

import functools
import numbers

import numpy as np
from keras import ops

from zoo import samplers
from zoo.backend import compiled

PROMPT_LIMIT = 16_384  # tokens, more than a recurrent state can be said to remember
CHUNK = 256  # steps that one call of the compiled loop can take


def generate(model, prompts, length, temperature, top_k, top_p, seed, stop, clamp, streaming=False):
    """Yields what a language model writes after each prompt, piece by piece; see `LanguageModel.generate`.

    Args:
        streaming: whether to begin with small pieces.

    Yields:
        A list with one str for each prompt, which may be empty.
    """
    _check(length, seed, stop)
    samplers.check_sampling(temperature, top_k, top_p, model.tokenizer.vocabulary_size)
    held = _held(clamp, model.config.units)
    return _generate(model, prompts, length, temperature, top_k, top_p, seed, stop, held, streaming)


def _generate(model, prompts, length, temperature, top_k, top_p, seed, stop, held, streaming):
    stops = [stop] if isinstance(stop, str) else list(stop or [])
    if seed is None:
        seed = np.random.SeedSequence().entropy
    rows = [_Row(model.tokenizer, p, length, stops, [seed, i]) for i, p in enumerate(prompts)]
    settings = [None if value is None else np.asarray(value, dtype) for value, dtype in
                ((min(temperature, 1e30) or None, "float32"), (top_k, "int32"), (top_p, "float32"))]  # fmt: skip
    loop = model.generation_loop
    token = np.full(len(rows), model.tokenizer.start_id, "int32")
    state = tuple(tuple(ops.cast(s, "float32") for s in states) for states in model.initial_state(len(rows)))
    steps = 8
    while not all(row.done for row in rows):
        most = max(row.steps_left for row in rows if not row.done)
        steps = min(2 * steps, CHUNK, most) if streaming else min(CHUNK, most)
        forced, uniforms = np.full((CHUNK, len(rows)), -1, "int32"), np.zeros((CHUNK, len(rows)), "float32")
        for i, row in enumerate(rows):
            forced[:steps, i], uniforms[:steps, i] = row.inputs(steps)
        tokens, token, state = loop(forced, uniforms, np.int32(steps), token, state, *settings, held)
        tokens = ops.convert_to_numpy(tokens)[:steps]
        yield [row.take(tokens[forced[:steps, i] < 0, i]) for i, row in enumerate(rows)]


class _Row:
    """One prompt and what is being written after it."""

    def __init__(self, tokenizer, prompt, length, stops, seed):
        self.prompt = tokenizer.encode(prompt)[-PROMPT_LIMIT:]
        self.random = np.random.default_rng(seed)
        self.decode = tokenizer.decoder()
        self.characters_left = length
        self.stops = stops
        self.held = ""  # text that may yet turn out to be the beginning of a stop
        self.done = length == 0

    @property
    def steps_left(self):
        return len(self.prompt) + max(self.characters_left - len(self.held), 1)

    def inputs(self, steps):
        """For the next steps, the tokens of the prompt and then -1; and a random number for each -1."""
        read, self.prompt = self.prompt[:steps], self.prompt[steps:]
        forced = np.pad(read, (0, steps - len(read)), constant_values=-1)
        return forced, np.pad(self.random.random(steps - len(read), dtype="float32"), (len(read), 0))

    def take(self, tokens):
        """The text that the next tokens add."""
        if self.done:
            return ""
        text = (self.held + self.decode(tokens))[: self.characters_left]
        ends = [(text.index(stop) + len(stop), text.index(stop)) for stop in self.stops if stop in text]
        if ends:  # the one that was complete first, wherever the pieces end
            text, self.held, self.done = text[: min(ends)[1]], "", True
        elif len(text) == self.characters_left:
            self.held, self.done = "", True
        else:
            text, self.held = _hold_back(text, self.stops)
        self.characters_left -= len(text)
        return text


def _hold_back(text, stops):
    """Splits off the longest end of the text with which a stop begins."""
    for size in range(min(len(text), max(map(len, stops), default=1) - 1), 0, -1):
        if any(stop.startswith(text[-size:]) for stop in stops):
            return text[:-size], text[-size:]
    return text, ""


def compiled_loop(model):
    """The loop of one model, compiled; `generate` runs it."""
    return compiled(functools.partial(_loop, model), model.variables)


def _loop(model, forced, uniforms, steps, token, state, temperature, top_k, top_p, held):
    """Reads or writes `steps` tokens.

    Each step reads the token before, updates the state and yields the next token: `forced` where that is not
    negative, else a sample. The products of all embeddings with the first layer's kernels are one table, made
    before the loop.

    Args:
        forced: int32 `(CHUNK, batch)`.
        uniforms: float32 `(CHUNK, batch)`.
        token: int32 `(batch,)`.
        temperature: scalar, or None for the likeliest token.
        held: None, or values for the last state of the last layer, `(units,)`, NaN for those that are free.

    Returns:
        The tokens `(CHUNK, batch)`, of which the first `steps` count; the last token and the last state.
    """
    embeddings = ops.convert_to_tensor(model.encoder.embedding.embeddings)
    first, *others = model.encoder.recurrent
    recurrence, tables, first_weights = first.recurrence(embeddings[None])
    unknown = model.tokenizer.unknown_id

    def next_state(token, state):
        projected = tuple(ops.take(table[0], token, axis=0) for table in tables)
        new_state = [recurrence.forward(state[0][0], state[0], projected, first_weights)[0]]
        for layer, states in zip(others, state[1:]):
            _, projected, weights = layer.recurrence(new_state[-1][0][None])
            projected = tuple(p[0] for p in projected)
            new_state.append(recurrence.forward(states[0], states, projected, weights)[0])
        if held is not None:
            *before, last = new_state[-1]
            new_state[-1] = (*before, ops.where(ops.isnan(held), last, held))
        return tuple(new_state)

    def next_token(hidden, uniform):
        if model.output_layer is None:
            logits = ops.matmul(hidden, ops.transpose(embeddings))
        else:
            logits = ops.matmul(hidden, model.output_layer.kernel) + model.output_layer.bias
        if unknown is not None:
            logits = ops.where(ops.arange(logits.shape[-1]) == unknown, -float("inf"), logits)
        if temperature is None:
            return ops.cast(ops.argmax(logits, axis=-1), "int32")
        return samplers.sample(logits, uniform, temperature, top_k, top_p)

    def body(step, token, state, tokens):
        state = next_state(token, state)
        wanted = ops.take(forced, step, axis=0)
        token = ops.where(wanted >= 0, wanted, next_token(state[-1][0], ops.take(uniforms, step, axis=0)))
        return step + 1, token, state, ops.slice_update(tokens, (step, 0), token[None])

    start = ops.zeros((), "int32"), token, state, ops.zeros_like(forced)
    _, token, state, tokens = ops.while_loop(lambda step, *_: step < steps, body, start)
    return tokens, token, state


def _held(clamp, units):
    if not clamp:
        return None
    if not isinstance(clamp, dict):
        raise TypeError(f"`clamp` must be a dict from units to values. Received: clamp={clamp!r:.100}")
    held = np.full(units, np.nan, "float32")
    for unit, value in clamp.items():
        if isinstance(unit, bool) or not isinstance(unit, numbers.Integral) or not 0 <= unit < units:
            raise ValueError(f"`clamp` names units by numbers from 0 to {units - 1}. Received: {unit!r:.100}")
        if not isinstance(value, numbers.Real) or not abs(value) <= float(np.finfo("float32").max):
            raise ValueError(f"`clamp` must give finite float32 numbers. Received: clamp={{{unit}: {value!r:.100}}}")
        held[unit] = value
    return held


def _check(length, seed, stop):
    for name, value in (("length", length), ("seed", 0 if seed is None else seed)):
        if isinstance(value, bool) or not isinstance(value, numbers.Integral):
            raise TypeError(f"`{name}` must be an int. Received: {name}={value!r}")
        if value < 0:
            raise ValueError(f"`{name}` must not be negative. Received: {name}={value}")
    for text in stop if isinstance(stop, (list, tuple)) else [] if stop is None else [stop]:
        if not (isinstance(text, str) and text):
            raise ValueError(f"`stop` must be a str that is not empty, or a list of them. Received: stop={stop!r}")
