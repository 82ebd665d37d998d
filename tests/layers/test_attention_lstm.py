"""Attention inside the recurrence: against NumPy, its own cell, finite differences and the LSTM."""

import subprocess
import sys

import keras
import numerics
import numpy as np
import pytest
from keras import ops
from numerics import (
    BATCH,
    DROPOUT,
    FEATURES,
    MASK,
    RIGHT_PADDED,
    TIME,
    UNITS,
    arrays,
    assert_close,
    normal,
    outputs_and_gradients,
    randomized,
    sigmoid,
    slow,
)

import zoo
from zoo.backend import tanh
from zoo.layers.attention_lstm import SCORES

SOURCE = 3
MEMORY_MASK = np.array([[1, 1, 1], [1, 0, 1], [0, 1, 0], [0, 0, 0]], dtype="bool")
EVERYTHING = {"return_sequences": True, "return_state": True, "return_alignments": True}
SCANNED = {"activation": tanh}  # not Keras' own tanh, which alone takes the fast path, but the same function
UNROLLED = {"unroll": True, **SCANNED}

every_score = pytest.mark.parametrize("attention", SCORES)
both_orders = pytest.mark.parametrize("attend", ["before", "after"])
on_tensorflow = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="of TensorFlow alone")


def make(attention="additive", attend="before", **options):
    """A layer in float64 that returns everything, with random weights."""
    options = {"units": UNITS, "dtype": "float64", **EVERYTHING, **options}
    layer = zoo.layers.AttentionLSTM(attention=attention, attend=attend, **options)
    layer.build((BATCH, TIME, FEATURES), memory_shape=(BATCH, SOURCE, memory_features(attention)))
    return randomized(layer)


def memory_features(attention):
    return UNITS if attention in ("dot", "scaled_dot") else 4


def example(layer, time=TIME):
    """A batch of sequences, of memories, and the initial states."""
    memory = normal(BATCH, SOURCE, memory_features(layer.attention), seed=7)
    return normal(BATCH, time, FEATURES), memory, [normal(BATCH, UNITS, seed=k) for k in layer.state_size]


class WithMemory:
    """A layer as `numerics` calls it: the memory is the first of the states."""

    def __init__(self, layer, memory_mask=None):
        self.layer, self.memory_mask = layer, memory_mask
        self.trainable_variables, self.compute_dtype = layer.trainable_variables, layer.compute_dtype

    def __call__(self, sequences, initial_state, mask, training):
        memory, *states = initial_state
        attended = {"memory": memory, "memory_mask": self.memory_mask}
        return self.layer(sequences, initial_state=states, mask=mask, training=training, **attended)


def assert_same_function(one, other, memory_mask=None, **call):
    sequences, memory, states = example(one)
    results = (
        outputs_and_gradients(WithMemory(layer, memory_mask), sequences, [memory, *states], **call)
        for layer in (one, other)
    )
    for result, expected in zip(*results):
        assert_close(result, expected)


# ---- in NumPy ----


def scores_in_numpy(attention, h, memory, w):
    if attention == "dot":
        return np.einsum("bu,bsu->bs", h, memory)
    if attention == "scaled_dot":
        return np.einsum("bu,bsu->bs", h, memory) / np.sqrt(UNITS)
    if attention == "general":
        return np.einsum("bu,mu,bsm->bs", h, w["key_kernel"], memory)
    fit = (h @ w["query_kernel"])[:, None] + memory @ w["key_kernel"]
    v = w["score_kernel"][:, 0]
    if attention == "additive":
        return np.tanh(fit) @ v
    return np.tanh(fit + w["score_bias"]) @ v * w["score_gain"] / np.linalg.norm(v)


def step_in_numpy(layer, x, memory, states, memory_mask):
    """The output, the new states and the alignment."""
    w = {weight.name: arrays(weight)[0] for weight in layer.weights}
    h, c, *fed = states

    def looked(h):
        e = np.exp(scores_in_numpy(layer.attention, h, memory, w)) * memory_mask
        alpha = e / np.maximum(e.sum(-1, keepdims=True), 1e-300)
        return alpha, np.einsum("bs,bsm->bm", alpha, memory)

    z = x @ w["kernel"] + h @ w["recurrent_kernel"] + w["bias"]
    if layer.attend == "before":
        alpha, context = looked(h)
        z = z + context @ w["context_kernel"]
    else:
        z = z + fed[0] @ w["feeding_kernel"]
    i, f, g, o = np.split(z, 4, axis=-1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    if layer.attend == "before":
        return h, [h, c], alpha
    alpha, context = looked(h)
    a = np.tanh(np.concatenate([context, h], -1) @ w["attention_kernel"])
    return a, [h, c, a], alpha


def run_in_numpy(layer, sequences, memory, states, mask=None, memory_mask=None):
    mask = np.ones(sequences.shape[:2], "bool") if mask is None else mask
    memory_mask = np.ones(memory.shape[:2], "bool") if memory_mask is None else memory_mask
    last = [np.zeros((BATCH, UNITS)), np.zeros(memory.shape[:2])]
    history = []
    for x, visible in zip(np.swapaxes(sequences, 0, 1), mask.T[:, :, None]):
        output, new_states, alpha = step_in_numpy(layer, x, memory, states, memory_mask)
        states = [np.where(visible, new, old) for new, old in zip(new_states, states)]
        last = [
            np.where(visible, new, 0 if layer.zero_output_for_mask else old) for new, old in zip([output, alpha], last)
        ]
        history.append(last)
    outputs, alignments = (np.stack(values, axis=1) for values in zip(*history))
    return [outputs, *states, alignments]


@pytest.mark.parametrize("masks", [{}, {"mask": MASK, "memory_mask": MEMORY_MASK}], ids=["plain", "masked"])
@both_orders
@every_score
def test_equals_numpy(attention, attend, masks):
    layer = make(attention, attend)
    sequences, memory, states = example(layer)
    expected = run_in_numpy(layer, sequences, memory, states, **masks)
    assert_close(layer(sequences, memory=memory, initial_state=states, **masks), expected)


@both_orders
def test_flags_equal_numpy(attend):
    layer = make(attend=attend, zero_output_for_mask=True, go_backwards=True)
    sequences, memory, states = example(layer)
    expected = run_in_numpy(layer, sequences[:, ::-1], memory, states, MASK[:, ::-1], MEMORY_MASK)
    assert_close(layer(sequences, memory=memory, initial_state=states, mask=MASK, memory_mask=MEMORY_MASK), expected)


# ---- gradients, and the fast path against the cell ----


@both_orders
@every_score
def test_gradients_equal_finite_differences(attention, attend):
    """By sequences, memory, states and weights; the loss is of outputs, states and alignments."""
    layer = make(attention, attend, **DROPOUT)
    assert layer.fused
    sequences, memory, states = example(layer, time=3)
    call = {"mask": MASK[:, :3], "training": True}
    _, gradients = outputs_and_gradients(WithMemory(layer, MEMORY_MASK), sequences, [memory, *states], **call)
    assert all(np.any(gradient != 0) for gradient in gradients)
    expected = numerics.finite_differences(WithMemory(layer, MEMORY_MASK), sequences, [memory, *states], **call)
    assert_close(gradients, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    "call", [{}, {"mask": MASK, "memory_mask": MEMORY_MASK, "training": True}], ids=["plain", "masked, dropout"]
)
@both_orders
@every_score
def test_fast_path_equals_cell(attention, attend, call):
    fast, general = make(attention, attend, **DROPOUT), make(attention, attend, **DROPOUT, **SCANNED)
    assert fast.fused and not general.fused
    assert_same_function(fast, general, **call)


@both_orders
@pytest.mark.parametrize("options", [UNROLLED, {"implementation": 1, **SCANNED}], ids=["unrolled", "implementation 1"])
def test_fast_path_equals_other_paths(attend, options):
    assert_same_function(make(attend=attend), make(attend=attend, **options), mask=MASK, memory_mask=MEMORY_MASK)


def test_other_activations_and_no_bias():
    layer = make("general", "after", activation="softsign", use_bias=False)
    sequences, memory, states = example(layer, time=2)
    _, gradients = outputs_and_gradients(WithMemory(layer), sequences, [memory, *states])
    expected = numerics.finite_differences(WithMemory(layer), sequences, [memory, *states])
    assert_close(gradients, expected, rtol=1e-6, atol=1e-9)


# ---- the LSTM inside ----


@pytest.mark.parametrize("options", [{}, {"unroll": True}], ids=["fused", "unrolled"])
@pytest.mark.parametrize("attend, kernel", [("before", "context_kernel"), ("after", "feeding_kernel")])
@every_score
def test_zero_context_kernel_is_the_lstm(attention, attend, kernel, options):
    """To the last bit: outputs and states before the step, states after it."""
    layer = make(attention, attend, dtype="float32", **options)
    kernel = getattr(layer.cell, kernel)
    kernel.assign(np.zeros(kernel.shape))
    lstm = zoo.layers.LSTM(UNITS, return_sequences=True, return_state=True, **options)
    lstm.build((BATCH, TIME, FEATURES))
    lstm.set_weights(layer.get_weights()[:3])
    sequences, memory, states = example(layer)
    outputs, h, c, *_ = arrays(layer(sequences, memory=memory, initial_state=states, mask=MASK))
    expected_outputs, expected_h, expected_c = arrays(lstm(sequences, initial_state=states[:2], mask=MASK))
    np.testing.assert_array_equal([h, c], [expected_h, expected_c])
    assert np.array_equal(outputs, expected_outputs) == (attend == "before")


# ---- masks and alignments ----


@both_orders
@every_score
def test_alignments_and_hidden_places(attention, attend):
    """Alignments sum to one over what is visible; what is hidden has no influence; without any the context is zero."""
    layer = make(attention, attend)
    sequences, memory, _ = example(layer)
    result = arrays(layer(sequences, memory=memory, memory_mask=MEMORY_MASK))
    sums = result[-1].sum(-1)
    assert_close(sums, np.broadcast_to(MEMORY_MASK.any(-1)[:, None], sums.shape))
    assert np.all((result[-1] > 0) == MEMORY_MASK[:, None])
    changed = np.where(MEMORY_MASK[:, :, None], memory, 1e6)
    assert_close(layer(sequences, memory=changed, memory_mask=MEMORY_MASK), result)
    for row in range(3):
        alone = layer(sequences[row : row + 1], memory=memory[row : row + 1, MEMORY_MASK[row]])
        assert_close([x[0] for x in arrays(alone)][:-1], [x[row] for x in result][:-1])
    nothing = arrays(layer(sequences[3:], memory=np.zeros_like(memory[3:])))
    assert_close([x[3:] for x in result[:-1]], nothing[:-1])


@both_orders
@every_score
def test_nothing_visible_has_finite_gradients(attention, attend):
    layer = make(attention, attend)
    sequences, memory, states = example(layer)
    for memory_mask in (np.zeros_like(MEMORY_MASK), MEMORY_MASK):
        for x in sum(outputs_and_gradients(WithMemory(layer, memory_mask), sequences, [memory, *states]), []):
            assert np.all(np.isfinite(x))


def test_extreme_scores_stay_finite():
    layer = make("dot", dtype="float32")
    sequences, memory, states = example(layer)
    for x in sum(outputs_and_gradients(WithMemory(layer, MEMORY_MASK), sequences, [1e4 * memory, *states]), []):
        assert np.all(np.isfinite(x))


@both_orders
def test_implicit_masks(attend):
    """Of the targets and of the memory, with and without `initial_state`, as arguments and within a model."""
    embed = keras.layers.Embedding(10, 4, mask_zero=True)
    targets = np.arange(1, 1 + BATCH * TIME).reshape(BATCH, TIME) % 9 * RIGHT_PADDED
    source = np.array([[1, 2, 3], [4, 5, 0], [6, 0, 0], [7, 8, 9]])
    layer = zoo.layers.AttentionLSTM(UNITS, attend=attend, **EVERYTHING)
    sequences, memory = embed(targets), embed(source)
    states = [normal(BATCH, UNITS, seed=k) for k in range(2)]
    masks = {"mask": targets != 0, "memory_mask": source != 0}
    for initial_state in (None, states):
        implicit = layer(sequences, initial_state=initial_state, memory=memory)
        plain = [np.array(x) for x in arrays([sequences, memory])]
        explicit = arrays(layer(plain[0], initial_state=initial_state, memory=plain[1], **masks))
        assert_close(implicit, explicit)
        assert not np.allclose(arrays(layer(plain[0], initial_state=initial_state, memory=plain[1]))[0], explicit[0])
    inputs = keras.Input((None,), dtype="int32"), keras.Input((None,), dtype="int32")
    model = keras.Model(inputs, layer(embed(inputs[0]), initial_state=None, memory=embed(inputs[1])))
    assert_close(model([targets, source]), layer(sequences, memory=memory), rtol=1e-5, atol=1e-6)


# ---- as a layer of Keras ----


@pytest.mark.parametrize("return_alignments", [False, True])
@pytest.mark.parametrize("return_state", [False, True])
@pytest.mark.parametrize("return_sequences", [False, True])
@both_orders
def test_results(attend, return_sequences, return_state, return_alignments):
    flags = {"return_sequences": return_sequences, "return_state": return_state, "return_alignments": return_alignments}
    layer, everything = make(attend=attend, **flags), make(attend=attend)
    sequences, memory, states = example(layer)
    outputs, *others, alignments = arrays(everything(sequences, memory=memory, initial_state=states))
    expected = [outputs if return_sequences else outputs[:, -1]]
    expected += others if return_state else []
    expected += [alignments] if return_alignments else []
    result = layer(sequences, memory=memory, initial_state=states)
    assert isinstance(result, tuple) == (len(expected) > 1)
    assert_close(result, expected)
    symbolic = keras.tree.flatten(layer(keras.Input((TIME, FEATURES)), memory=keras.Input((SOURCE, 4))))
    assert [x.shape[1:] for x in symbolic] == [x.shape[1:] for x in expected]


def test_weights():
    def weights(*arguments, **options):
        return [(w.name, w.shape) for w in make(*arguments, **options).weights]

    lstm = [("kernel", (FEATURES, 12)), ("recurrent_kernel", (UNITS, 12)), ("bias", (12,))]
    context, feeding = ("context_kernel", (4, 12)), ("feeding_kernel", (UNITS, 12))
    additive = [("key_kernel", (4, 5)), ("query_kernel", (UNITS, 5)), ("score_kernel", (5, 1))]
    assert weights(attention_units=5) == [*lstm, context, *additive]
    normalized = [*additive, ("score_bias", (5,)), ("score_gain", ())]
    attentional = ("attention_kernel", (4 + UNITS, UNITS))
    assert weights("normalized_additive", "after", attention_units=5) == [*lstm, feeding, attentional, *normalized]
    assert weights("general") == [*lstm, context, ("key_kernel", (4, UNITS))]
    assert weights("dot") == weights("scaled_dot") == [*lstm, ("context_kernel", (UNITS, 12))]


def test_configuration():
    options = {"attention": "normalized_additive", "attend": "after", "attention_units": 5, "return_alignments": True}
    layer = zoo.layers.AttentionLSTM(3, "relu", "tanh", False, unit_forget_bias=2.0, dropout=0.1, **options)
    config = layer.get_config()
    assert {name: config[name] for name in options} == options
    assert zoo.layers.AttentionLSTM.from_config(config).get_config() == config
    cell = layer.cell.get_config()
    assert zoo.layers.AttentionLSTMCell.from_config(cell).get_config() == cell


@both_orders
@pytest.mark.parametrize("attention", ["normalized_additive", "dot"])
def test_file_round_trip(attention, attend, tmp_path):
    layer = zoo.layers.AttentionLSTM(UNITS, attention=attention, attend=attend, dropout=0.3, **EVERYTHING)
    inputs = keras.Input((None, FEATURES)), keras.Input((None, memory_features(attention)))
    model = keras.Model(inputs, layer(inputs[0], memory=keras.layers.Masking()(inputs[1])))
    randomized(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.layers[-1].get_config() == layer.get_config()
    sequences, memory, _ = example(layer)
    memory = memory * MEMORY_MASK[:, :, None]
    for result, expected in zip(arrays(loaded([sequences, memory])), arrays(model([sequences, memory]))):
        np.testing.assert_array_equal(result, expected)
    for batch, time, source in ((2, 7, 1), (1, 1, 6)):
        shapes = [
            x.shape
            for x in model.predict(
                [normal(batch, time, FEATURES), normal(batch, source, 4)[:, :, : memory.shape[-1]]], verbose=0
            )
        ]
        assert shapes[0] == (batch, time, UNITS) and shapes[-1] == (batch, time, source)


@keras.saving.register_keras_serializable(package="tests")
class Translator(keras.Model):
    """Encoder and decoder, as one writes them by subclassing."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.embed = keras.layers.Embedding(11, 4, mask_zero=True)
        self.encode = zoo.layers.LSTM(UNITS, return_sequences=True, return_state=True)
        self.decode = zoo.layers.AttentionLSTM(UNITS, attention="general", attend="after", return_sequences=True)
        self.logits = keras.layers.Dense(11)

    def call(self, inputs, training=False):
        source, targets = inputs
        memory, *states = self.encode(self.embed(source), training=training)
        hidden = self.decode(self.embed(targets), initial_state=states, memory=memory, training=training)
        return self.logits(hidden)


def translations():
    targets = 1 + np.arange(4 * TIME).reshape(4, TIME) % 10
    return (np.flip(targets, 1)[:, :4] * RIGHT_PADDED[:, :4], targets), targets


@pytest.mark.parametrize("jit_compile", [slow(False), True])
def test_subclassed_model_learns_and_is_saved(jit_compile, tmp_path):
    inputs, targets = translations()
    model = Translator()
    model.compile(
        keras.optimizers.Adam(0.05), keras.losses.SparseCategoricalCrossentropy(True), jit_compile=jit_compile
    )
    losses = model.fit(inputs, targets, epochs=60, batch_size=4, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(*arrays([loaded(inputs), model(inputs)]))


@pytest.mark.parametrize(
    "attention, attend, jit_compile",
    [
        ("additive", "before", True),
        ("general", "after", True),
        *(slow(attention, "before", True) for attention in SCORES if attention != "additive"),
        slow("additive", "after", False),
    ],
)
def test_one_step_of_training(attention, attend, jit_compile):
    """Under `model.fit`, XLA and not: one step of gradient descent, as taken by hand."""
    layer = zoo.layers.AttentionLSTM(UNITS, attention=attention, attend=attend)
    inputs = keras.Input((TIME, FEATURES)), keras.Input((SOURCE, memory_features(attention)))
    model = keras.Model(inputs, layer(inputs[0], memory=inputs[1]))
    model.compile(keras.optimizers.SGD(1.0), lambda target, output: ops.sum(target * output), jit_compile=jit_compile)
    randomized(model)
    before = layer.get_weights()
    sequences, memory, _ = example(layer)
    _, gradients = outputs_and_gradients(WithMemory(layer), sequences.astype("float32"), [memory, *zeros(layer)])
    # The targets are what `outputs_and_gradients` projects on; the mean is over the batch.
    model.fit([sequences, memory], normal(BATCH, UNITS), batch_size=BATCH, shuffle=False, verbose=0)
    changes = [b - a for a, b in zip(layer.get_weights(), before)]
    assert_close(changes, gradients[2 + len(layer.state_size) :], rtol=1e-4, atol=1e-5)


def zeros(layer):
    return [np.zeros((BATCH, UNITS))] * len(layer.state_size)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@both_orders
@pytest.mark.parametrize("attention", ["normalized_additive", "scaled_dot"])
def test_precision(attention, attend, policy):
    """Variables in float32, everything else in the compute type, and the same function but for rounding."""
    layer, plain = make(attention, attend, dtype=policy), make(attention, attend, dtype="float32")
    sequences, memory, states = example(layer)
    compute = layer.compute_dtype
    call = (sequences, [memory, *states], MASK)
    outputs = layer(sequences, memory=memory, initial_state=states, mask=MASK, memory_mask=MEMORY_MASK)
    assert {keras.backend.standardize_dtype(x.dtype) for x in outputs} == {compute}
    assert {w.dtype for w in layer.weights} == {"float32"}
    results = outputs_and_gradients(WithMemory(layer, MEMORY_MASK), *call)
    expected = outputs_and_gradients(WithMemory(plain, MEMORY_MASK), *call)
    tolerance = {"float16": 5e-3, "bfloat16": 5e-2}[compute]
    for value, reference in zip(sum(results, []), sum(expected, [])):
        scale = max(1, np.max(np.abs(reference)))
        np.testing.assert_allclose(value.astype("float64"), reference, rtol=0, atol=5 * tolerance * scale)


@pytest.fixture
def of_policy():
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy("float32")


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_learns_in_mixed_precision(policy, of_policy):
    inputs, targets = translations()
    of_policy(policy)
    model = Translator()
    model.compile(keras.optimizers.Adam(0.05), keras.losses.SparseCategoricalCrossentropy(True), jit_compile=True)
    losses = model.fit(inputs, targets, epochs=60, batch_size=4, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]


def test_no_recomputation():
    with pytest.raises(ValueError, match="leave out `recompute`"):
        zoo.layers.AttentionLSTM(4, recompute=2)


@both_orders
def test_stateful(attend):
    layer, whole = make(attend=attend, stateful=True), make(attend=attend)
    sequences, memory, _ = example(layer)
    outputs, *others, alignments = arrays(whole(sequences, memory=memory))
    first, second = (arrays(layer(part, memory=memory)) for part in (sequences[:, :2], sequences[:, 2:]))
    assert_close(np.concatenate([first[0], second[0]], axis=1), outputs)
    assert_close(np.concatenate([first[-1], second[-1]], axis=1), alignments)
    assert_close(second[1:-1], others)
    layer.reset_state()
    assert_close(layer(sequences, memory=memory), [outputs, *others, alignments])


@both_orders
def test_no_timesteps(attend):
    layer = make(attend=attend, return_sequences=False)
    sequences, memory, states = example(layer)
    output, *final_states, alignments = arrays(layer(sequences[:, :0], memory=memory, initial_state=states))
    assert_close(final_states, states)
    assert_close(output, states[-1 if attend == "after" else 0])
    assert alignments.shape == (BATCH, 0, SOURCE)


@on_tensorflow
@both_orders
def test_dynamic_shapes(attend):
    """Batch, time and source unknown, down to no timesteps, forward and backward."""
    import tensorflow as tf

    layer = make(attend=attend)
    unknown = [tf.TensorSpec((None, None, size), "float64") for size in (FEATURES, 4)]

    @tf.function(input_signature=unknown, autograph=False)
    def run(sequences, memory):
        with tf.GradientTape() as tape:
            tape.watch(memory)
            results = layer(sequences, memory=memory)
            loss = tf.add_n([tf.reduce_sum(x) for x in results])
        return results, tape.gradient(loss, memory)

    for batch, time, source in ((2, 4, 3), (1, 1, 6), (3, 0, 2)):
        sequences, memory = normal(batch, time, FEATURES), normal(batch, source, 4)
        results, gradient = run(sequences, memory)
        assert_close(results, layer(sequences, memory=memory))
        assert gradient.shape == memory.shape and np.all(np.isfinite(gradient))


def test_memory_is_not_kept():
    layer = make(**DROPOUT)
    sequences, memory, states = example(layer)
    layer(sequences, memory=memory, initial_state=states, training=True, memory_mask=MEMORY_MASK)
    for value in [*vars(layer).values(), *vars(layer.cell).values()]:
        assert isinstance(value, keras.Variable) or not keras.ops.is_tensor(value)


# ---- one step at a time ----


@both_orders
@every_score
def test_cell_step_by_step_equals_the_layer(attention, attend):
    """As a decoder runs it: keys once, then the cell; or the layer, on one timestep."""
    layer = make(attention, attend)
    sequences, memory, states = example(layer)
    expected = arrays(layer(sequences, memory=memory, initial_state=states, memory_mask=MEMORY_MASK))
    keys = layer.cell.project_keys(ops.convert_to_tensor(memory))
    by_cell = by_layer = states
    for time in range(TIME):
        attended = {"memory": memory, "memory_mask": MEMORY_MASK}
        output, by_cell, alignment = layer.cell(
            sequences[:, time], by_cell, keys=keys, return_alignments=True, **attended
        )
        assert_close([output, alignment], [expected[0][:, time], expected[-1][:, time]], atol=1e-6)
        _, *by_layer, _ = layer(sequences[:, time : time + 1], initial_state=list(by_layer), **attended)
    assert_close(by_cell, expected[1:-1], atol=1e-6)  # Keras' tanh on JAX is of float32
    assert_close(by_layer, expected[1:-1])
    without_keys, _ = layer.cell(sequences[:, 0], states, memory=memory, memory_mask=MEMORY_MASK)
    assert_close(without_keys, expected[0][:, 0], atol=1e-6)


def test_states_of_an_encoder_start_the_decoder():
    layer = make(attend="after")
    sequences, memory, (h, c, a) = example(layer)
    expected = layer(sequences, memory=memory, initial_state=[h, c, np.zeros_like(a)])
    assert_close(layer(sequences, memory=memory, initial_state=[h, c]), expected)


# ---- export ----


def exported(tmp_path):
    layer = zoo.layers.AttentionLSTM(UNITS, **EVERYTHING)
    inputs = keras.Input((None, FEATURES)), keras.Input((None, 4))
    model = keras.Model(inputs, layer(inputs[0], memory=keras.layers.Masking()(inputs[1])))
    model.export(tmp_path / "exported", verbose=False)
    sequences, memory, _ = example(layer)
    inputs = [sequences.astype("float32"), (memory * MEMORY_MASK[:, :, None]).astype("float32")]
    return inputs, arrays(model(inputs))


@on_tensorflow
def test_export(tmp_path):
    """What TensorFlow Addons' wrapper could not (addons#2675)."""
    import tensorflow as tf

    inputs, expected = exported(tmp_path)
    loaded = tf.saved_model.load(tmp_path / "exported")
    assert_close(loaded.serve(tuple(inputs)), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@on_tensorflow
def test_exported_model_runs_without_zoo(tmp_path):
    inputs, expected = exported(tmp_path)
    np.savez(tmp_path / "inputs.npz", *inputs)
    script = (
        "import sys, numpy as np, tensorflow as tf\n"
        "inputs = np.load('inputs.npz')\n"
        "loaded = tf.saved_model.load('exported')\n"
        "outputs = loaded.serve((inputs['arr_0'], inputs['arr_1']))\n"
        "assert 'zoo' not in sys.modules\n"
        "np.savez('outputs.npz', *outputs)\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    outputs = np.load(tmp_path / "outputs.npz")
    assert_close([outputs[name] for name in outputs], expected, rtol=1e-5, atol=1e-6)


# ---- errors ----


@pytest.mark.parametrize(
    "options, message",
    [
        ({"attention": "bilinear"}, "`attention` must be one of additive, .*general.*Received: attention='bilinear'"),
        ({"attend": "during"}, "`attend` must be 'before' or 'after'.*Received: attend='during'"),
        ({"attention_units": 0}, "`attention_units` must be a positive integer.*0"),
        ({"attention": "dot", "attention_units": 4}, "leave it out.*attention='dot', attention_units=4"),
        ({"units": 0}, "`units`.*positive integer.*0"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        zoo.layers.AttentionLSTM(**{"units": 3, **options})


def test_bad_calls():
    layer = make()
    sequences, memory, states = example(layer)
    fresh = zoo.layers.AttentionLSTM(UNITS, attention="dot")
    for attempt, message in (
        (lambda: fresh(sequences), "pass `memory=`.*Received: memory=None"),
        (lambda: layer(sequences), "pass `memory=`"),
        (lambda: layer(keras.Input((TIME, FEATURES))), "pass `memory=`"),
        (lambda: fresh(sequences, memory=memory), "attention='general' projects.*units=3, memory.shape=\\(4, 3, 4\\)"),
        (lambda: fresh(sequences, memory=memory[0]), "`memory` must be `\\(batch, source, features\\)`.*\\(3, 4\\)"),
        (lambda: layer(sequences, memory=memory[:2]), "one batch.*4.*2"),
        (lambda: layer(sequences, memory=memory, memory_mask=MASK), "`memory_mask` must be .*\\(4, 3\\).*\\(4, 5\\)"),
        (lambda: layer(sequences, memory=memory, initial_state=states[:1]), "\\[h, c\\].*Received 1 tensor"),
        (lambda: make(use_cudnn=True)(sequences, memory=memory), "no cuDNN kernel for AttentionLSTM"),
        (lambda: keras.layers.RNN(layer.cell)(sequences), "AttentionLSTM"),
    ):
        with pytest.raises(ValueError, match=message):
            attempt()
