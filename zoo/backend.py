"""What the backends spell differently: the time loop, compilation, and one training step.

Everything else in the zoo is written once, in `keras.ops`.
"""

import keras
from keras import ops

from zoo.distributed import placed


def tanh(x):
    """`keras.ops.tanh`, which on JAX rounds float64 to float32."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.numpy.tanh(x)
    return ops.tanh(x)


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
    _, results = tf.function(step, autograph=False).get_concrete_function(states, first).structured_outputs
    sinks = tuple(tf.TensorArray(r.dtype, size=steps, element_shape=r.shape) for r in results)

    def body(count, carry, sinks):
        time = steps - 1 - count if reverse else count
        carry, results = step(carry, tuple(source.read(time) for source in sources))
        return count + 1, carry, tuple(s.write(time, r) for s, r in zip(sinks, results))

    _, carry, sinks = tf.while_loop(
        lambda count, *_: count < steps, body, (0, tuple(carry), sinks), maximum_iterations=steps
    )
    if isinstance(steps, int):
        return carry, tuple(sink.stack() for sink in sinks)

    def stacked(sink, shape):
        # TensorFlow cannot stack nothing without knowing its shape; what it does not know here is the batch, and what
        # a carried tensor of such a shape tells.
        like = next((tensor for tensor in carry if tensor.shape.as_list() == shape.as_list()), carry[0])
        sizes = [0, *(tf.shape(like)[axis] if size is None else size for axis, size in enumerate(shape))]
        return tf.cond(steps > 0, sink.stack, lambda: tf.zeros(sizes, sink.dtype))

    return carry, tuple(stacked(sink, result.shape) for sink, result in zip(sinks, results))


def compiled(function, variables):
    """Compiles a function of tensors, with XLA where that is faster.

    Args:
        function: takes and returns nested tuples of tensors; it may read `variables` but not write them.
        variables: the Keras variables that it reads. Later assignments to them are seen.

    Returns:
        A function of the same arguments.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return _of_many_shapes(tf.function(function, jit_compile=_xla_is_faster(), autograph=False))
    if keras.backend.backend() == "jax":
        import jax

        @jax.jit
        def on_values(values, *arguments):
            with keras.StatelessScope(state_mapping=list(zip(variables, values))):
                return function(*arguments)

        return lambda *arguments: on_values([v.value for v in variables], *arguments)
    return function


def _xla_is_faster():
    """On CPUs, oneDNN takes half of XLA's time for products of bfloat16."""
    import tensorflow as tf

    return keras.config.dtype_policy().compute_dtype != "bfloat16" or bool(tf.config.list_physical_devices("GPU"))


def training_step(model, optimizer, loss_function, averages=(), momentum=0.0, jit_compile=None):
    """Compiles one step of training.

    Args:
        model: a built `keras.Model`.
        optimizer: a Keras optimizer, built for the model's trainable variables.
        loss_function: `(batch, carry) -> (loss, carry)`, in training mode.
        averages: Keras variables, one for each trainable variable, that follow them as a moving average.
        momentum: of the moving average; at step t it is at most (t + 1) / (t + 10), so the start is forgotten.
        jit_compile: whether TensorFlow compiles with XLA; None for what is faster. JAX always does.

    Returns:
        `step(batch, carry) -> (loss, carry)`, and `sync()`, which must be called before the model's, the
        optimizer's or the averages' variables are read.
    """
    if keras.backend.backend() == "tensorflow":
        jit_compile = _xla_is_faster() if jit_compile is None else jit_compile
        return _tensorflow_step(model, optimizer, loss_function, averages, momentum, jit_compile)
    if keras.backend.backend() == "jax":
        return _jax_step(model, optimizer, loss_function, averages, momentum)
    raise RuntimeError(
        f"Training runs on the TensorFlow and JAX backends. Received: KERAS_BACKEND={keras.backend.backend()}"
    )


def _averaged(averages, values, iterations, momentum):
    t = ops.cast(iterations, "float32")
    momentum = ops.minimum(momentum, (t + 1) / (t + 10))
    return [momentum * a + (1 - momentum) * ops.cast(v, "float32") for a, v in zip(averages, values)]


def _tensorflow_step(model, optimizer, loss_function, averages, momentum, jit_compile):
    import tensorflow as tf

    def step(batch, carry):
        with tf.GradientTape() as tape:
            loss, carry = loss_function(batch, carry)
        variables = model.trainable_variables
        optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)
        for average, value in zip(averages, _averaged(averages, variables, optimizer.iterations, momentum)):
            average.assign(value)
        return loss, carry

    return _of_many_shapes(tf.function(step, jit_compile=jit_compile, autograph=False)), lambda: None


def _of_many_shapes(function):
    """Tells TensorFlow that several shapes are meant: it would warn of every few new ones."""
    function._omit_frequent_tracing_warning = True
    return function


def _jax_step(model, optimizer, loss_function, averages, momentum):
    import jax

    trainable, others, optimizers = model.trainable_variables, model.non_trainable_variables, optimizer.variables

    def loss_of(trainable_values, other_values, batch, carry):
        mapping = [*zip(trainable, trainable_values), *zip(others, other_values)]
        with keras.StatelessScope(state_mapping=mapping) as scope:
            loss, carry = loss_function(batch, carry)
        return loss, (carry, [scope.get_current_value(v) for v in others])

    def pure_step(values, batch, carry):
        trainable_values, other_values, optimizer_values, average_values = values
        (loss, (carry, other_values)), gradients = jax.value_and_grad(loss_of, has_aux=True)(
            trainable_values, other_values, batch, carry
        )
        trainable_values, optimizer_values = optimizer.stateless_apply(optimizer_values, gradients, trainable_values)
        average_values = _averaged(average_values, trainable_values, optimizer_values[0], momentum)
        return loss, carry, (trainable_values, other_values, optimizer_values, average_values)

    variables = trainable, others, optimizers, list(averages)
    values = [tuple([v.value for v in group] for group in variables)]
    compiled_step = jax.jit(pure_step, donate_argnums=0)
    # Donated buffers are gone after the call: the variables' own must not be among them.
    values[0] = jax.tree.map(jax.numpy.copy, values[0])

    def step(batch, carry):
        loss, carry, values[0] = compiled_step(values[0], placed(batch), placed(carry))
        return loss, carry

    def sync():
        for group, group_values in zip(variables, values[0]):
            for variable, value in zip(group, group_values):
                variable.assign(jax.numpy.copy(value))

    return step, sync
