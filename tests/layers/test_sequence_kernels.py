"""The hand-written gradients, and the fast path against the general one."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numerics
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from numerics import (
    DROPOUT,
    LAYERS,
    MASK,
    RIGHT_PADDED,
    arrays,
    assert_close,
    example,
    make,
    normal,
    outputs_and_gradients,
    slow,
)

import zoo
from zoo.backend import tanh
from zoo.layers.sequence_kernels import outer_product, project

CALLS = {
    "plain": {},
    "masked": {"mask": MASK},
    "dropout": {"training": True},
    "masked, dropout": {"mask": MASK, "training": True},
}


SCANNED = {"activation": tanh}  # not Keras' own tanh, which alone takes the fast path, but the same function
UNROLLED = {"unroll": True, **SCANNED}


@pytest.mark.parametrize("call", ["masked, dropout", *(slow(call) for call in CALLS if call != "masked, dropout")])
@pytest.mark.parametrize("name", LAYERS)
def test_gradients_equal_finite_differences(name, call):
    layer = make(name, **DROPOUT)
    assert layer.fused
    sequences, states = example(layer)
    _, gradients = outputs_and_gradients(layer, sequences, states, **CALLS[call])
    assert_close(gradients, numerics.finite_differences(layer, sequences, states, **CALLS[call]), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("segment", [slow(2), 3, slow(100)])
@pytest.mark.parametrize("call", [slow("plain"), "masked, dropout"])
@pytest.mark.parametrize("name", LAYERS)
def test_recomputed_activations_give_the_same(name, call, segment):
    layer = make(name, **DROPOUT)
    sequences, states = example(layer)
    expected = outputs_and_gradients(layer, sequences, states, **CALLS[call])
    layer.recompute = segment
    for found, kept in zip(outputs_and_gradients(layer, sequences, states, **CALLS[call]), expected):
        assert_close(found, kept)


@pytest.mark.parametrize("name", [slow("lstm"), "multiplicative"])
def test_recomputed_in_mixed_precision(name):
    layer = make(name, dtype="mixed_bfloat16", **DROPOUT)
    sequences, states = example(layer)
    expected = outputs_and_gradients(layer, sequences, states, mask=MASK, training=True)
    layer.recompute = 3
    for found, kept in zip(outputs_and_gradients(layer, sequences, states, mask=MASK, training=True), expected):
        for one, other in zip(found, kept):
            scale = max(1, np.abs(other.astype("float32")).max())
            np.testing.assert_allclose(one.astype("float32"), other.astype("float32"), rtol=0, atol=0.05 * scale)


@pytest.mark.parametrize("name", LAYERS)
def test_recompute_is_an_argument_that_is_kept(name):
    layer = make(name, recompute=3)
    assert type(layer).from_config(layer.get_config()).recompute == layer.recompute == 3
    assert "recompute" not in make(name).get_config()
    for wrong in (0, -5, 2.0, True):
        with pytest.raises(ValueError, match="`recompute` must be a positive int"):
            make(name, recompute=wrong)


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="JAX shows what is kept for the backward pass")
def test_recomputed_activations_are_not_kept():
    import jax

    layer = zoo.layers.MultiplicativeLSTM(64)
    layer.build((None, None, 8))
    sequences = np.zeros((4, 256, 8), "float32")

    def kept(segment):
        layer.recompute = segment
        _, backward = jax.vjp(lambda x: ops.sum(layer(x)), sequences)
        return sum(x.nbytes for x in jax.tree.leaves(backward))

    assert kept(16) < 0.2 * kept(None)


@pytest.mark.parametrize("activation", ["softsign", slow("relu"), slow("linear")])
@pytest.mark.parametrize("name", LAYERS)
def test_gradients_of_other_activations_equal_finite_differences(name, activation):
    layer = make(name, activation=activation)
    assert not layer.fused
    sequences, states = example(layer, time=3)
    _, gradients = outputs_and_gradients(layer, sequences, states)
    assert_close(gradients, numerics.finite_differences(layer, sequences, states), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("general", [UNROLLED, SCANNED], ids=["unrolled", "scanned"])
@pytest.mark.parametrize("name", LAYERS)
def test_fast_path_equals_general_path(name, general, call):
    options = {"dropout": 0.4, "seed": 1} if name == "gru" else DROPOUT  # Keras' GRU cell draws three recurrent masks
    fast, slow = make(name, **options), make(name, **options, **general)
    assert fast.fused and not slow.fused
    assert_same_function(fast, slow, **CALLS[call])


@pytest.mark.parametrize("name", [name for name in LAYERS if name != "simple"])
def test_fast_path_equals_implementation_1(name):
    fast, slow = make(name), make(name, implementation=1, **SCANNED)
    assert fast.fused and not slow.fused
    assert_same_function(fast, slow, mask=MASK)


@pytest.mark.parametrize("name", LAYERS)
def test_fast_path_equals_the_loop_of_keras(name):
    fast = make(name)
    slow = keras.layers.RNN(make(name, **SCANNED).cell, return_sequences=True, return_state=True, dtype="float64")
    assert_same_function(fast, slow)


def assert_same_function(fast, slow, time=numerics.TIME, **call):
    sequences, states = example(fast, time)
    outputs, gradients = outputs_and_gradients(fast, sequences, states, **call)
    expected_outputs, expected_gradients = outputs_and_gradients(slow, sequences, states, **call)
    assert_close(outputs, expected_outputs)
    assert_close(gradients, expected_gradients)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_shapes_and_flags(data):
    """Outputs and gradients against the general path, one step unrolled after the other."""
    flag = st.booleans()
    name = data.draw(st.sampled_from(list(LAYERS)))
    options = {
        "units": data.draw(st.integers(1, 4)),
        "use_bias": data.draw(flag),
        "go_backwards": data.draw(flag),
        "return_sequences": data.draw(flag),
        "return_state": data.draw(flag),
        "zero_output_for_mask": data.draw(flag),
        "dropout": data.draw(st.sampled_from([0, 0.5])),
        "seed": 1,
    }
    batch, time, features = data.draw(st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 3)))
    visible = data.draw(st.none() | st.lists(flag, min_size=batch * time, max_size=batch * time))
    call = {
        "sequences": normal(batch, time, features),
        "states": [normal(batch, options["units"], seed=k) for k in make(name).state_size] if data.draw(flag) else (),
        "mask": None if visible is None else np.reshape(visible, (batch, time)),
        "training": data.draw(flag),
    }
    fast, slow = (make(name, features, **options, **general) for general in ({}, UNROLLED))
    for result, expected in zip(outputs_and_gradients(fast, **call), outputs_and_gradients(slow, **call)):
        assert_close(result, expected)


@pytest.mark.parametrize("name", LAYERS)
def test_masked_steps_have_no_part(name):
    """A padded row gives what it gives alone; what stands in the padding changes nothing and has no gradient."""
    layer = make(name)
    sequences, states = example(layer)
    outputs, gradients = outputs_and_gradients(layer, sequences, states, RIGHT_PADDED)
    elsewhere = np.where(RIGHT_PADDED[:, :, None], sequences, 9.0)
    assert_close(outputs_and_gradients(layer, elsewhere, states, RIGHT_PADDED), (outputs, gradients))
    assert np.all(gradients[0][~RIGHT_PADDED] == 0) and np.all(gradients[0][RIGHT_PADDED] != 0)

    alone = arrays(layer(sequences[1:2, :3], initial_state=[s[1:2] for s in states]))
    assert_close(outputs[0][1, :3], alone[0][0])
    assert_close([s[1] for s in outputs[1:]], [s[0] for s in alone[1:]])


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_in_a_compiled_function(name):
    """One compiled function, of any batch and time on TensorFlow, gives the gradients of eager execution."""
    layer = make(name)
    sequences, states = example(layer)
    _, expected = outputs_and_gradients(layer, sequences, states)
    if keras.backend.backend() == "jax":
        import jax

        variables = [variable.value for variable in layer.trainable_variables]
        loss = numerics.as_function(layer, states)
        gradients = jax.grad(lambda *tensors: loss(*tensors)[0], argnums=range(1 + len(states) + len(variables)))
        with jax.disable_jit():
            assert_close(gradients(sequences, *states, *variables), expected)
        return
    import tensorflow as tf

    cotangents = [normal(*x.shape, seed=k) for k, x in enumerate(layer(sequences, initial_state=states))]

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, None, numerics.FEATURES], "float64"),
            [tf.TensorSpec([None, numerics.UNITS], "float64")] * len(states),
        ],
        autograph=False,
    )
    def gradients(sequences, states):
        weights = [variable.value for variable in layer.trainable_variables]
        with tf.GradientTape() as tape:
            tape.watch([sequences, states])
            outputs = layer(sequences, initial_state=states)
            loss = sum(tf.reduce_sum(x * c) for x, c in zip(outputs, cotangents))
        return tape.gradient(loss, [sequences, *states, *weights])

    assert_close(gradients(tf.constant(sequences), [tf.constant(s) for s in states]), expected)


def test_tensorflow_and_jax_agree(tmp_path):
    other = {"tensorflow": "jax", "jax": "tensorflow"}[keras.backend.backend()]
    pytest.importorskip(other)
    subprocess.run(
        [sys.executable, numerics.__file__, tmp_path / "other.npz"],
        env={**os.environ, "KERAS_BACKEND": other, "PYTHONPATH": str(Path(__file__).parents[2])},
        check=True,
    )
    numerics.main(tmp_path / "this.npz")
    with np.load(tmp_path / "this.npz") as ours, np.load(tmp_path / "other.npz") as theirs:
        assert set(ours) == set(theirs) and len(ours) > 10 * len(LAYERS)
        for key in ours:
            np.testing.assert_allclose(ours[key], theirs[key], rtol=1e-9, atol=1e-11, err_msg=key)


def test_project_and_outer_product():
    inputs, kernel, bias = normal(5, 4, 2), normal(2, 3), normal(3)
    assert_close(project(inputs, kernel, bias), np.einsum("tbm,mn->tbn", inputs, kernel) + bias)
    assert_close(project(inputs, kernel), inputs @ kernel)
    assert_close(outer_product(inputs, normal(5, 4, 3)), np.einsum("tbm,tbn->mn", inputs, normal(5, 4, 3)))
    assert arrays(project(normal(0, 4, 2), kernel))[0].shape == (0, 4, 3)
