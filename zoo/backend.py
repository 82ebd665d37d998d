"""What the backends spell differently: the time loop, compilation, and one training step.

Everything else in the zoo is written once, in `keras.ops`.
"""

import keras
from keras import ops


def scan(step, carry, inputs, reverse=False):
    """Runs `step` over the first axis of `inputs`, as `jax.lax.scan` does.

    `keras.ops.scan` on TensorFlow wants the stacked results to look like the carry and keeps the carry in
    tensor arrays; this loop has neither the limit nor the copies.

    Args:
        step: `(carry, inputs_t) -> (carry, result_t)`, on tuples of tensors.
        carry: tuple of tensors, with the same shapes and dtypes after every step.
        inputs: tuple of tensors of shape `(time, ...)`.
        reverse: whether to run from the last timestep to the first. Results keep the order of the inputs.

    Returns:
        The last carry, and the tuple of results stacked to `(time, ...)`.
    """
    if keras.backend.backend() == "tensorflow":
        return _tensorflow_scan(step, carry, inputs, reverse)
    return ops.scan(step, carry, inputs, reverse=reverse)


def _tensorflow_scan(step, carry, inputs, reverse):
    import tensorflow as tf

    inputs = tuple(tf.convert_to_tensor(x) for x in inputs)
    steps = inputs[0].shape[0]
    if steps is None:
        steps = tf.shape(inputs[0])[0]
    sources = [tf.TensorArray(x.dtype, size=steps, element_shape=x.shape[1:]).unstack(x) for x in inputs]
    # One abstract step tells how many results there are and what they look like.
    first = tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape[1:], x.dtype), inputs)
    states = tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape, x.dtype), carry)
    _, results = tf.function(step).get_concrete_function(states, first).structured_outputs
    sinks = tuple(tf.TensorArray(r.dtype, size=steps, element_shape=r.shape) for r in results)

    def body(count, carry, sinks):
        time = steps - 1 - count if reverse else count
        carry, results = step(carry, tuple(source.read(time) for source in sources))
        return count + 1, carry, tuple(s.write(time, r) for s, r in zip(sinks, results))

    _, carry, sinks = tf.while_loop(
        lambda count, *_: count < steps, body, (0, tuple(carry), sinks), maximum_iterations=steps
    )
    return carry, tuple(sink.stack() for sink in sinks)
