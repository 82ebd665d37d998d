"""The contract of Keras' recurrent layers, point by point, over all layers."""

import inspect

import keras
import numpy as np
import pytest
from keras import ops
from numerics import (
    BATCH,
    CLASSES,
    DROPOUT,
    FEATURES,
    KERAS_TWINS,
    LAYERS,
    MASK,
    RIGHT_PADDED,
    TIME,
    UNITS,
    arrays,
    assert_close,
    example,
    make,
    normal,
    outputs_and_gradients,
    randomized,
    slow,
)

import zoo
from zoo.backend import tanh

LSTMS = [zoo.layers.LSTM, zoo.layers.PeepholeLSTM, zoo.layers.MultiplicativeLSTM]
CELLS = [zoo.layers.LSTMCell, zoo.layers.PeepholeLSTMCell, zoo.layers.MultiplicativeLSTMCell]
EVERYTHING = {"return_sequences": True, "return_state": True, "dtype": "float64"}

every_layer = pytest.mark.parametrize("name", LAYERS)
every_class = pytest.mark.parametrize("layer_class", CLASSES)
on_tensorflow = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="JAX has static shapes only")


# ---- arguments and configuration ----


@pytest.mark.parametrize("layer_class", LSTMS)
def test_arguments_of_keras_in_order(layer_class):
    ours = list(inspect.signature(layer_class).parameters.values())
    theirs = list(inspect.signature(keras.layers.LSTM).parameters.values())
    assert [(p.name, p.default, p.kind) for p in ours] == [(p.name, p.default, p.kind) for p in theirs]


@every_class
def test_arguments_by_position_and_configuration(layer_class):
    """Each argument gets a value that is not its default, by position, and comes out of the configuration."""
    twin = KERAS_TWINS.get(layer_class, keras.layers.LSTM)
    values = {
        "units": 3,
        "activation": "relu",
        "recurrent_activation": "tanh",
        "use_bias": False,
        "kernel_initializer": "ones",
        "recurrent_initializer": "zeros",
        "bias_initializer": "ones",
        "unit_forget_bias": False,
        "kernel_regularizer": "l1",
        "recurrent_regularizer": "l2",
        "bias_regularizer": "l1",
        "activity_regularizer": "l2",
        "kernel_constraint": "non_neg",
        "recurrent_constraint": "unit_norm",
        "bias_constraint": "non_neg",
        "dropout": 0.1,
        "recurrent_dropout": 0.2,
        "seed": 7,
        "return_sequences": True,
        "return_state": True,
        "go_backwards": True,
        "stateful": True,
        "unroll": True,
        "reset_after": False,
        "use_cudnn": False,
    }
    names = [name for name in inspect.signature(twin).parameters if name != "kwargs"]
    layer = layer_class(*(values[name] for name in names))
    config = layer.get_config()
    expected = twin(*(values[name] for name in names)).get_config()
    assert {k: config[k] for k in expected if k != "name"} == {k: v for k, v in expected.items() if k != "name"}
    assert "cell" not in config
    assert layer_class.from_config(config).get_config() == config
    for name in names:
        if hasattr(twin, name):
            assert getattr(layer, name) == getattr(layer.cell, name)
    assert layer_class(3).get_config()["go_backwards"] is False


@every_layer
def test_configuration_round_trip(name):
    layer_class, own = LAYERS[name]
    options = {"name": "mine", "trainable": False, "dtype": "mixed_bfloat16", "zero_output_for_mask": True}
    layer = layer_class(3, **own, **options)
    config = layer.get_config()
    assert config["name"] == "mine" and config["zero_output_for_mask"] and config.items() >= own.items()
    restored = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(restored) is layer_class and restored.get_config() == config
    assert not restored.trainable and restored.cell.compute_dtype == "bfloat16"
    restored.build((None, None, FEATURES))
    assert restored.trainable_weights == []


@every_class
def test_implementation_and_use_cudnn_are_kept(layer_class):
    if layer_class is zoo.layers.SimpleRNN:
        pytest.skip("keras.layers.SimpleRNN has neither")
    layer = layer_class(3, implementation=1, use_cudnn=False)
    restored = layer_class.from_config(layer.get_config())
    assert restored.cell.implementation == 1 and restored.use_cudnn is False and not restored.fused
    assert layer_class.from_config(layer_class(3).get_config()).fused


@pytest.mark.parametrize("layer_class", LSTMS)
def test_configurations_of_keras_2_load(layer_class):
    config = {**layer_class(3).get_config(), "time_major": False}
    assert layer_class.from_config(config).get_config().keys() == config.keys() - {"time_major"}


@pytest.mark.parametrize("layer_class", KERAS_TWINS)
def test_configurations_of_keras_load(layer_class):
    config = KERAS_TWINS[layer_class](3, go_backwards=True, dropout=0.25, activation="relu").get_config()
    assert layer_class.from_config(config).get_config().items() >= config.items()


@pytest.mark.parametrize("layer_class", [*LSTMS, zoo.layers.GRU])
def test_use_cudnn_true_is_an_error(layer_class):
    with pytest.raises(ValueError, match=f"no cuDNN kernel for {layer_class.__name__}.*Received: use_cudnn=True"):
        layer_class(3, use_cudnn=True)(normal(2, 4, 2))


@pytest.mark.parametrize("layer_class", LSTMS)
def test_use_cudnn_is_one_of_three(layer_class):
    with pytest.raises(ValueError, match="`use_cudnn` must be.*Received: use_cudnn=never"):
        layer_class(3, use_cudnn="never")


@every_class
@pytest.mark.parametrize("units", [0, -1])
def test_units_must_be_positive(layer_class, units):
    with pytest.raises(ValueError, match=f"`units`.*positive integer.*{units}"):
        layer_class(units)


@every_class
def test_unknown_arguments_are_errors(layer_class):
    with pytest.raises((TypeError, ValueError), match="peephole_dropout"):
        layer_class(3, peephole_dropout=0.5)


@every_class
def test_inputs_must_be_sequences(layer_class):
    with pytest.raises(ValueError, match="expected ndim=3, found ndim=2"):
        layer_class(3)(normal(2, 4))


@on_tensorflow
@every_class
def test_unroll_needs_static_time(layer_class):
    import tensorflow as tf

    layer = tf.function(layer_class(3, unroll=True), autograph=False)
    with pytest.raises(ValueError, match="Cannot unroll a RNN if the time dimension is undefined"):
        layer.get_concrete_function(tf.TensorSpec([2, None, 2]))


# ---- the layers of Keras in our place ----

OPTIONS = {
    "default": {},
    "without bias": {"use_bias": False},
    "backwards": {"go_backwards": True},
    "zeros for masked": {"zero_output_for_mask": True},
    "unrolled": {"unroll": True},
    "implementation 1": {"implementation": 1},
    "softsign": {"activation": "softsign"},
    "hard_sigmoid": {"recurrent_activation": "hard_sigmoid"},
    "reset before": {"reset_after": False},
    "dropout": {"dropout": 0.4, "seed": 3},
}
OF_SOME = {
    "implementation": [zoo.layers.LSTM, zoo.layers.GRU],
    "recurrent_activation": [zoo.layers.LSTM, zoo.layers.GRU],
}
OF_SOME["reset_after"] = [zoo.layers.GRU]


@pytest.mark.parametrize(
    "layer_class, options",
    [
        pytest.param(layer_class, options, id=f"{layer_class.__name__}, {name}")
        for layer_class in KERAS_TWINS
        for name, options in OPTIONS.items()
        if all(layer_class in OF_SOME.get(option, KERAS_TWINS) for option in options)
    ],
)
def test_weights_and_numbers_of_keras(layer_class, options):
    """In float32: Keras' own tanh is no better on JAX."""
    if keras.backend.backend() == "jax" and layer_class is zoo.layers.GRU and "use_bias" in options:
        pytest.skip("keras.layers.GRU without bias fails on JAX where float64 is enabled")
    ours, theirs = (
        cls(UNITS, return_sequences=True, return_state=True, **options)
        for cls in (layer_class, KERAS_TWINS[layer_class])
    )
    for layer in (ours, theirs):
        layer.build((BATCH, TIME, FEATURES))
    assert [(w.name, w.shape) for w in ours.weights] == [(w.name, w.shape) for w in theirs.weights]
    ours.set_weights(randomized(theirs).get_weights())
    sequences, states = example(ours)
    mask = RIGHT_PADDED[:, ::-1] if options.get("go_backwards") else RIGHT_PADDED
    for call in ({}, {"mask": mask}, {"training": True}):
        result, expected = (outputs_and_gradients(layer, sequences, states, **call) for layer in (ours, theirs))
        for tensors, expected_tensors in zip(result, expected):
            assert_close(tensors, expected_tensors, rtol=1e-4, atol=1e-5)


# ---- what a call returns ----


@every_class
@pytest.mark.parametrize("return_sequences", [False, True])
@pytest.mark.parametrize("return_state", [False, True])
def test_returned_shapes_and_values(layer_class, return_sequences, return_state):
    layer = layer_class(UNITS, return_sequences=return_sequences, return_state=return_state, dtype="float64")
    everything = layer_class(UNITS, **EVERYTHING)
    sequences, _ = example(layer)
    outputs, *states = arrays(randomized(built(everything))(sequences))
    result = randomized(built(layer))(sequences)
    assert isinstance(result, tuple) == return_state
    expected = [outputs if return_sequences else outputs[:, -1]] + (states if return_state else [])
    assert_close(result, expected)
    np.testing.assert_array_equal(states[0], outputs[:, -1])

    shapes = layer.compute_output_shape((BATCH, TIME, FEATURES))
    assert [tuple(s) for s in (shapes if return_state else [shapes])] == [x.shape for x in expected]
    masks = layer.compute_mask(None, MASK)
    of_outputs = MASK if return_sequences else None
    assert (masks[0] if return_state else masks) is of_outputs
    assert not return_state or masks[1:] == [None] * len(states)


def built(layer, batch=BATCH):
    layer.build((batch, TIME, FEATURES))
    return layer


@every_layer
def test_one_step_and_initial_state(name):
    """T steps are T calls of one step that hand on the states."""
    layer = make(name)
    sequences, states = example(layer)
    expected = arrays(layer(sequences, initial_state=states))
    for step in range(TIME):
        output, *states = layer(sequences[:, step : step + 1], initial_state=states)
        assert_close(arrays(output)[0][:, 0], expected[0][:, step])
    assert_close(states, expected[1:])
    zeros = [np.zeros((BATCH, UNITS)) for _ in layer.state_size]
    assert_close(layer(sequences), layer(sequences, initial_state=zeros))


@every_layer
def test_go_backwards(name):
    layer, backwards = make(name), make(name, go_backwards=True)
    sequences, states = example(layer)
    expected = layer(sequences[:, ::-1], initial_state=states, mask=MASK[:, ::-1])
    assert_close(backwards(sequences, initial_state=states, mask=MASK), expected)


@every_class
@pytest.mark.parametrize("general", [{}, {"unroll": True}], ids=["fused", "unrolled"])
def test_masked_outputs(layer_class, general):
    """The choice of the zoo on every backend: zeros before the first visible step, then the last visible output."""
    for zero in (False, True):
        layer = randomized(built(layer_class(UNITS, zero_output_for_mask=zero, **EVERYTHING, **general)))
        sequences, states = example(layer)
        outputs, *final = arrays(layer(sequences, initial_state=states, mask=MASK))
        assert_close(outputs[3], np.zeros((TIME, UNITS)))  # wholly masked
        assert_close([s[3] for s in final], [s[3] for s in states])
        assert_close(outputs[2, 0], np.zeros(UNITS))  # not yet visible
        between = np.zeros((2, UNITS)) if zero else outputs[2, [1, 1]]
        assert_close(outputs[2, 2:4], between)
        assert np.all(outputs[2, [1, 4]] != 0)
        assert_close(final[0][:3], outputs[[0, 1, 2], [4, 2, 4]])


@every_class
def test_numbers_as_mask(layer_class):
    """Numbers, and Keras' masks of shape (batch, time, 1)."""
    layer = randomized(built(layer_class(UNITS, **EVERYTHING)))
    sequences, _ = example(layer)
    expected = layer(sequences, mask=MASK)
    assert_close(layer(sequences, mask=MASK.astype("float32")), expected)
    assert_close(layer(sequences, mask=MASK[:, :, None]), expected)


@every_class
def test_implicit_mask_survives_initial_state(layer_class):
    """Keras 3.15 loses it, in eager calls and in functional models."""
    tokens = np.array([[1, 2, 3, 0, 0], [4, 0, 0, 0, 0]])
    embedding = keras.layers.Embedding(5, FEATURES, mask_zero=True)
    layer = layer_class(UNITS)
    states = [normal(2, UNITS, seed=k) for k in layer.state_size]
    embedded = embedding(tokens)
    expected = layer(arrays(embedded)[0], initial_state=states, mask=tokens != 0)
    assert not np.allclose(*arrays([expected, layer(arrays(embedded)[0], initial_state=states)]))
    assert_close(layer(embedded, initial_state=states), expected, atol=1e-6)

    inputs, states_in = keras.Input((None,), dtype="int32"), [keras.Input((UNITS,)) for _ in states]
    model = keras.Model([inputs, *states_in], layer(embedding(inputs), initial_state=states_in))
    assert_close(model([tokens, *states]), expected, atol=1e-6)
    assert_close(layer(embedded), layer(arrays(embedded)[0], mask=tokens != 0), atol=1e-6)


# ---- no timesteps ----


@every_layer
@pytest.mark.parametrize("general", [{}, {"unroll": True}], ids=["fused", "unrolled"])
def test_no_timesteps(name, general):
    layer = make(name, **general)
    sequences, states = example(layer, time=0)
    for call in ({}, {"mask": MASK[:, :0]}):
        assert_close(layer(sequences, initial_state=states, **call), [np.zeros((BATCH, 0, UNITS)), *states])
    _, gradients = outputs_and_gradients(layer, sequences, states)
    assert_close(gradients[1 : 1 + len(states)], [normal(BATCH, UNITS, seed=1 + k) for k in range(len(states))])
    last = make(name, return_sequences=False, return_state=False, **general)
    assert_close(last(sequences), np.zeros((BATCH, UNITS)))
    assert_close(last(sequences, initial_state=states), states[0])


@on_tensorflow
@every_class
@pytest.mark.parametrize("masked", [False, True])
def test_no_timesteps_in_a_graph_of_any_time(layer_class, masked):
    import tensorflow as tf

    layer = randomized(built(layer_class(UNITS, dropout=0.5, **EVERYTHING)))
    last = randomized(built(layer_class(UNITS, dtype="float64")))
    sequences, states = example(layer, time=0)

    @tf.function(input_signature=[tf.TensorSpec([None, None, FEATURES], "float64")], autograph=False)
    def run(sequences):
        mask = tf.ones(tf.shape(sequences)[:2], "bool") if masked else None
        with tf.GradientTape() as tape:
            outputs = layer(sequences, initial_state=states, mask=mask)
            loss = tf.reduce_sum(outputs[0]) + tf.reduce_sum(outputs[1])
        kernel = tape.gradient(loss, layer.cell.kernel.value)
        return outputs, last(sequences, initial_state=states, mask=mask), kernel

    outputs, last_output, kernel_gradient = run(sequences)
    assert_close(outputs, [np.zeros((BATCH, 0, UNITS)), *states])
    assert_close(last_output, states[0])
    assert_close(kernel_gradient, np.zeros(layer.cell.kernel.shape))
    longer = normal(BATCH, TIME, FEATURES)
    assert_close(run(longer)[0], layer(longer, initial_state=states))


# ---- states from call to call ----


@every_layer
@pytest.mark.parametrize("general", [{}, {"unroll": True, "activation": tanh}], ids=["fused", "unrolled"])
def test_stateful(name, general):
    stateful, layer = make(name, stateful=True, **general), make(name)
    sequences, _ = example(layer, time=4)
    expected = layer(sequences)
    halves = [arrays(stateful(half)) for half in (sequences[:, :2], sequences[:, 2:])]
    assert_close([np.concatenate([halves[0][0], halves[1][0]], axis=1), *halves[1][1:]], expected)
    assert_close(list(stateful.states), expected[1:])
    stateful.reset_state()
    assert_close(stateful(sequences), expected)
    assert_close(stateful(sequences[:, :0])[1:], expected[1:])


@every_class
def test_stateful_batch_is_fixed(layer_class):
    layer = layer_class(3, stateful=True)
    layer(normal(4, 2, 2))
    with pytest.raises(ValueError, match="(?s)Expected batch size: 4.*Received batch size: 3"):
        layer(normal(3, 2, 2))
    with pytest.raises(ValueError, match="batch size must be static"):
        layer_class(3, stateful=True)(keras.Input((2, 2)))


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="Keras on JAX carries no states through `predict`")
@every_class
def test_stateful_in_a_model(layer_class):
    model = keras.Sequential([keras.Input((None, FEATURES), batch_size=2), layer_class(UNITS, stateful=True)])
    sequences = normal(2, 4, FEATURES)
    expected = model.predict(sequences, verbose=0)
    model.layers[0].reset_state()
    model.predict(sequences[:, :3], verbose=0)
    assert_close(model.predict(sequences[:, 3:], verbose=0), expected, rtol=1e-5, atol=1e-6)


# ---- dropout ----


@every_layer
@pytest.mark.parametrize("kind", ["dropout", "recurrent_dropout"])
@pytest.mark.parametrize("general", [{}, slow({"unroll": True}), slow({"implementation": 1})], ids=str)
def test_dropout_is_honoured(name, kind, general):
    """In training only, alike for the same seed, another for each call, and on the average nothing changes."""
    if name == "simple" and "implementation" in general:
        pytest.skip("keras.layers.SimpleRNN has no implementations")
    options = {kind: 0.5, **general}
    layer, again, plain = make(name, **options, seed=1), make(name, **options, seed=1), make(name)
    sequences, states = example(layer)
    expected = arrays(plain(sequences, initial_state=states))
    assert_close(plain(sequences, initial_state=states, training=True), expected)
    first, second = (arrays(layer(sequences, initial_state=states, training=True)) for _ in range(2))
    assert not np.allclose(first[0], expected[0]) and not np.allclose(first[0], second[0])
    assert_close(again(sequences, initial_state=states, training=True), first)
    assert_close(layer(sequences, initial_state=states), expected, atol=1e-6)
    other = make(name, **options, seed=2)
    assert not np.allclose(arrays(other(sequences, initial_state=states, training=True))[0], first[0])


@every_class
def test_dropout_without_a_seed_differs(layer_class):
    layers = [randomized(built(layer_class(UNITS, dropout=0.5))) for _ in range(2)]
    results = [arrays(layer(normal(BATCH, TIME, FEATURES), training=True))[0] for layer in layers]
    assert not np.allclose(*results)


@every_class
@pytest.mark.parametrize("cell_runs", [{}, {"unroll": True}], ids=["fused", "unrolled"])
def test_dropout_of_nearly_everything(layer_class, cell_runs):
    """With all inputs and all hidden states dropped, only biases are left: every row and every input is the same."""
    layer = randomized(
        built(layer_class(UNITS, dropout=1 - 1e-9, recurrent_dropout=1 - 1e-9, **EVERYTHING, **cell_runs))
    )
    dropped = arrays(layer(normal(BATCH, TIME, FEATURES), training=True))[0]
    assert_close(dropped, np.broadcast_to(dropped[:1], dropped.shape))
    assert not np.allclose(arrays(layer(normal(BATCH, TIME, FEATURES)))[0], dropped)


# ---- inside other layers ----


@pytest.mark.parametrize("layer_class", LSTMS)
def test_keras_never_takes_us_for_its_own(layer_class):
    """What is a `keras.layers.LSTM` may run its cuDNN kernel, within `Bidirectional` too, and so plain LSTM numbers."""
    assert issubclass(layer_class, keras.layers.RNN) and not issubclass(layer_class, keras.layers.LSTM)


def merged(forward, backward, mode):
    if mode is None:
        return [forward, backward]
    if mode == "concat":
        return np.concatenate([forward, backward], axis=-1)
    return {"sum": forward + backward, "mul": forward * backward, "ave": (forward + backward) / 2}[mode]


@every_class
@pytest.mark.parametrize("mode", ["concat", "sum", "mul", "ave", None])
def test_bidirectional(layer_class, mode):
    wrapper = keras.layers.Bidirectional(layer_class(UNITS, **EVERYTHING), merge_mode=mode, dtype="float64")
    assert type(wrapper.backward_layer) is layer_class and wrapper.backward_layer.go_backwards
    forward, backward = (built(layer_class(UNITS, go_backwards=flag, **EVERYTHING)) for flag in (False, True))
    sequences, states = example(forward)
    randomized(wrapper if wrapper.built else built_by_call(wrapper, sequences))
    weights = wrapper.get_weights()
    forward.set_weights(weights[: len(weights) // 2])
    backward.set_weights(weights[len(weights) // 2 :])
    ahead = arrays(forward(sequences, initial_state=states))
    behind = arrays(backward(sequences, initial_state=states))
    result = wrapper(sequences, initial_state=states * 2)
    assert_close(result, [merged(ahead[0], behind[0][:, ::-1], mode), *ahead[1:], *behind[1:]])


def built_by_call(layer, *arguments):
    layer(*arguments)
    return layer


@every_class
@pytest.mark.parametrize("options", [{}, slow({"unroll": True}), slow({"implementation": 1})], ids=str)
@pytest.mark.parametrize("return_sequences", [False, True])
def test_bidirectional_padded_equals_unpadded(layer_class, options, return_sequences):
    """Keras with `unroll=True` zeroes valid steps on TensorFlow."""
    if layer_class is zoo.layers.SimpleRNN and "implementation" in options:
        pytest.skip("keras.layers.SimpleRNN has no implementations")
    layer = layer_class(UNITS, return_sequences=return_sequences, dtype="float64", **options)
    wrapper = keras.layers.Bidirectional(layer, dtype="float64")
    sequences = normal(BATCH, TIME, FEATURES)
    randomized(built_by_call(wrapper, sequences))
    padded = arrays(wrapper(sequences, mask=RIGHT_PADDED))[0]
    for row, length in ((1, 3), (2, 1)):
        alone = arrays(wrapper(sequences[row : row + 1, :length]))[0][0]
        if return_sequences:
            assert_close(padded[row, length:], np.zeros((TIME - length, 2 * UNITS)))
            assert_close(padded[row, :length], alone)
        else:
            assert_close(padded[row], alone)


@every_class
def test_bidirectional_keeps_the_options(layer_class):
    own = {"unit_forget_bias": 2.5} if layer_class in LSTMS else {}
    kinds = {
        zoo.layers.PeepholeLSTM: {"peephole_initializer": "ones"},
        zoo.layers.MultiplicativeLSTM: {"weight_normalization": True, "use_multiplicative_bias": True},
    }
    own |= kinds.get(layer_class, {})
    layer = layer_class(3, dropout=0.25, **own)
    for copy in (lambda wrapper: wrapper, lambda wrapper: type(wrapper).from_config(wrapper.get_config())):
        wrapper = copy(keras.layers.Bidirectional(layer))
        for direction in (wrapper.forward_layer, wrapper.backward_layer):
            changed = {"name", "go_backwards"}
            config, expected = direction.get_config(), layer.get_config()
            assert {k: v for k, v in config.items() if k not in changed} == {
                k: v for k, v in expected.items() if k not in changed
            }


@pytest.mark.parametrize("cell_class, layer_class", list(zip(CELLS, LSTMS)))
def test_stacked_cells_equal_stacked_layers(cell_class, layer_class):
    cells = [cell_class(UNITS, dtype="float64"), cell_class(2, dtype="float64")]
    stack = keras.layers.RNN(keras.layers.StackedRNNCells(cells, dtype="float64"), **EVERYTHING)
    sequences = normal(BATCH, TIME, FEATURES)
    randomized(built_by_call(stack, sequences))
    layers = [layer_class(cell.units, **EVERYTHING) for cell in cells]
    hidden = sequences
    states = []
    for layer, cell in zip(layers, cells):
        layer.build(np.shape(hidden))
        layer.set_weights(cell.get_weights())
        hidden, *state = layer(hidden)
        states.append(state)
    assert_close(stack(sequences), [hidden, states], atol=1e-6)  # Keras' tanh on JAX is of float32
    restored = keras.layers.RNN.from_config(stack.get_config())
    assert [type(cell) for cell in restored.cell.cells] == [cell_class] * 2


@pytest.mark.parametrize("cell_class", CELLS)
def test_stacked_cells_with_dropout_and_mask(cell_class):
    cells = [cell_class(UNITS, dropout=0.5, recurrent_dropout=0.5, seed=1) for _ in range(2)]
    layer = keras.layers.RNN(cells)
    sequences = normal(BATCH, TIME, FEATURES)
    inference = arrays(layer(sequences, mask=MASK))[0]
    training = arrays(layer(sequences, mask=MASK, training=True))[0]
    assert inference.shape == (BATCH, UNITS) and not np.allclose(inference[:3], training[:3])
    assert_close(layer(sequences, mask=MASK), inference, atol=1e-6)


# ---- models ----


@every_class
def test_functional_model_of_any_batch_and_time(layer_class):
    layer = layer_class(UNITS, return_sequences=True, return_state=True)
    inputs = keras.Input((None, FEATURES))
    states_in = [keras.Input((UNITS,)) for _ in layer.state_size]
    model = keras.Model([inputs, *states_in], layer(inputs, initial_state=states_in))
    randomized(layer)
    assert [x.shape for x in model.outputs] == [(None, None, UNITS)] + [(None, UNITS)] * len(states_in)
    for batch, time in ((2, 5), (3, 1), (1, 7)):
        sequences, states = normal(batch, time, FEATURES), [normal(batch, UNITS) for _ in states_in]
        expected = layer(sequences, initial_state=states)
        assert_close(model.predict([sequences, *states], verbose=0), expected, rtol=1e-5, atol=1e-6)


@every_layer
@pytest.mark.parametrize("bidirectional", [False, True])
def test_file_round_trip(name, bidirectional, tmp_path):
    layer_class, own = LAYERS[name]
    layer = layer_class(UNITS, dropout=0.3, **own)
    layer = keras.layers.Bidirectional(layer) if bidirectional else layer
    model = keras.Sequential([keras.Input((None, FEATURES)), keras.layers.Masking(), layer])
    randomized(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    sequences = normal(BATCH, TIME, FEATURES) * RIGHT_PADDED[:, :, None]
    np.testing.assert_array_equal(*arrays([loaded(sequences), model(sequences)]))
    loaded, saved = (getattr(m.layers[-1], "backward_layer", m.layers[-1]) for m in (loaded, model))
    assert loaded.get_config() == saved.get_config()


@every_class
@pytest.mark.parametrize("jit_compile", [slow(False), True])
def test_fit(layer_class, jit_compile):
    """Under `model.fit`, XLA and not, with masks and dropout: one step of gradient descent, as taken by hand."""
    xla_on_tensorflow = jit_compile and keras.backend.backend() == "tensorflow"  # draws random numbers of its own
    layer = layer_class(UNITS, **({} if xla_on_tensorflow else DROPOUT))
    model = keras.Sequential([keras.Input((TIME, FEATURES)), keras.layers.Masking(), layer])
    model.compile(keras.optimizers.SGD(1.0), lambda target, output: ops.sum(target * output), jit_compile=jit_compile)
    randomized(model)
    before = layer.get_weights()
    sequences = (normal(BATCH, TIME, FEATURES) * RIGHT_PADDED[:, :, None]).astype("float32")
    _, (_, *gradients) = outputs_and_gradients(layer, sequences, mask=RIGHT_PADDED, training=True)
    # The targets are what `outputs_and_gradients` projects on; the mean is over the batch.
    model.fit(sequences, normal(BATCH, UNITS), batch_size=BATCH, shuffle=False, verbose=0)
    assert_close([b - a for a, b in zip(layer.get_weights(), before)], gradients, rtol=1e-4, atol=1e-5)


@every_layer
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_precision(name, policy):
    """Variables in float32, everything else in the compute type, and the same function but for rounding."""
    layer, plain = make(name, dtype=policy), make(name, dtype="float32")
    compute = keras.DTypePolicy(policy).compute_dtype
    sequences, states = example(layer)
    outputs = layer(sequences, initial_state=states, mask=MASK)
    assert [keras.backend.standardize_dtype(x.dtype) for x in outputs] == [compute] * len(outputs)
    variable = "float64" if policy == "float64" else "float32"
    assert {w.dtype for w in layer.weights} == {variable}
    tolerance = {"float16": 5e-3, "bfloat16": 5e-2, "float64": 1e-5}[compute]
    as_single = [
        [x.astype("float64") for x in arrays([ops.cast(y, variable) for y in result])]
        for result in (outputs, plain(sequences, initial_state=states, mask=MASK))
    ]
    assert_close(*as_single, rtol=tolerance, atol=tolerance)
    outputs, gradients = outputs_and_gradients(layer, sequences, states, MASK)
    _, expected = outputs_and_gradients(plain, sequences, states, MASK)
    for gradient, reference in zip(gradients, expected):
        scale = np.max(np.abs(reference))
        np.testing.assert_allclose(gradient.astype("float64"), reference, rtol=0, atol=5 * tolerance * scale)


@pytest.mark.parametrize(
    "layer_class, policy",
    [slow(zoo.layers.PeepholeLSTM, "mixed_float16"), (zoo.layers.MultiplicativeLSTM, "mixed_bfloat16")],
)
def test_fit_in_mixed_precision_with_xla_and_dropout(layer_class, policy):
    layer = layer_class(UNITS, dtype=policy, dropout=0.1, recurrent_dropout=0.1, seed=1)
    model = keras.Sequential([keras.Input((TIME, FEATURES)), layer])
    model.compile(keras.optimizers.SGD(0.5), "mse", jit_compile=True)
    losses = model.fit(
        normal(BATCH, TIME, FEATURES), 0.5 * np.ones((BATCH, UNITS)), epochs=5, batch_size=BATCH, verbose=0
    ).history["loss"]
    assert losses[-1] < losses[0]


# ---- regularizers and constraints ----


@every_class
def test_regularizers(layer_class):
    l2 = {f"{kind}_regularizer": keras.regularizers.L2(0.1) for kind in ("kernel", "recurrent", "bias", "activity")}
    layer = randomized(built(layer_class(UNITS, **l2)))
    output = layer(normal(BATCH, TIME, FEATURES))
    regularized = {w.name: w for w in layer.weights if "peephole" not in w.name}
    penalties = [0.1 * np.sum(np.square(w.numpy())) for w in regularized.values()]
    if layer_class is not zoo.layers.SimpleRNN:  # keras.layers.SimpleRNN does not pass it on
        penalties.append(0.1 * np.sum(np.square(arrays(output)[0])) / BATCH)
    assert len(layer.losses) == len(penalties)
    np.testing.assert_allclose(float(sum(layer.losses)), sum(penalties), rtol=1e-5)


@every_class
def test_constraints(layer_class):
    layer = layer_class(UNITS, **{f"{kind}_constraint": "non_neg" for kind in ("kernel", "recurrent", "bias")})
    model = keras.Sequential([keras.Input((TIME, FEATURES)), layer])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    randomized(model)
    assert all(np.any(w < 0) for w in layer.get_weights()[:3])
    model.train_on_batch(normal(BATCH, TIME, FEATURES), normal(BATCH, UNITS))
    constrained = [w.numpy() for w in layer.weights if "peephole" not in w.name]
    assert all(np.all(w >= 0) for w in constrained) and np.any(constrained[0] > 0)
