"""The LSTM of Keras, on the zoo's time loop."""

import keras
from keras import ops, regularizers

from zoo.backend import tanh
from zoo.layers.fused_rnn import FusedRNN, shows_cell
from zoo.layers.sequence_kernels import Recurrence, outer_product, project


@keras.saving.register_keras_serializable(package="zoo")
class LSTMCell(keras.layers.LSTMCell):
    """One timestep of an LSTM (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000).

    i, f, g, o = sigmoid(z_i), sigmoid(z_f), tanh(z_c), sigmoid(z_o)  where  z = x W + h[t-1] U + b
    c[t] = f * c[t-1] + i * g
    h[t] = o * tanh(c[t])

    `keras.layers.LSTMCell`, weights included, but for two things. `unit_forget_bias` may be a number. With
    `recurrent_dropout` the four gates share one mask (Gal & Ghahramani 2016, "tied weights"), so that the products
    stay fused; Keras draws four, and so does this cell with `implementation=1`.

    Args:
        units: positive integer, size of the hidden state.
        unit_forget_bias: the initial bias of the forget gate: `True` for 1.0 (Jozefowicz et al. 2015), `False` for
            what `bias_initializer` gives, or any number.
        Others: as in `keras.layers.LSTMCell`, in the same order.

    Call arguments:
        inputs: `(batch, features)`.
        states: `[h, c]`, each `(batch, units)`.
        training: whether dropout is on.

    Example:

    >>> output, (hidden, cell) = zoo.layers.LSTMCell(3)(np.ones((2, 5)), [np.zeros((2, 3))] * 2)
    >>> tuple(output.shape)
    (2, 3)
    """

    gate_count = 4

    def __init__(self, units, *args, **kwargs):
        implementation = kwargs.get("implementation", 2)
        super().__init__(units, *args, **kwargs)
        # Keras has set implementation 1 and several masks wherever there is recurrent dropout.
        self.implementation = implementation
        self.dropout_mask_count = self.gate_count if implementation == 1 else None

    def build(self, input_shape):
        forget_bias, plain = self.unit_forget_bias, self.bias_initializer
        if forget_bias is not False:
            units = self.units

            def bias_initializer(shape, *args, **kwargs):
                bias = plain(shape, *args, **kwargs)
                forget = ops.full((units,), float(forget_bias), dtype=bias.dtype)
                return ops.concatenate([bias[:units], forget, bias[2 * units :]])

            self.bias_initializer, self.unit_forget_bias = bias_initializer, False
        super().build(input_shape)
        self.bias_initializer, self.unit_forget_bias = plain, forget_bias

    def dropout_masks(self, inputs, hidden, training):
        """The masks of the inputs and of the hidden state: each a tensor, a list of four, or None."""
        return (
            self.get_dropout_mask(inputs) if training and self.dropout else None,
            self.get_recurrent_dropout_mask(hidden) if training and self.recurrent_dropout else None,
        )

    def call(self, inputs, states, training=False):
        h, c = states
        h, c = self.gates(self.pre_activations(inputs, h, training), c)
        return h, [h, c]

    def pre_activations(self, inputs, hidden, training=False):
        """z `(batch, 4 * units)`, from the inputs and the hidden state, with their dropouts."""
        input_mask, hidden_mask = self.dropout_masks(inputs, hidden, training)
        z = gate_products(inputs, self.kernel, input_mask) + gate_products(hidden, self.recurrent_kernel, hidden_mask)
        return z + self.bias if self.use_bias else z

    def gates(self, z, c):
        """The new hidden and cell state from the pre-activations `(batch, 4 * units)` and the cell state."""
        i, f, g, o = ops.split(z, 4, axis=-1)
        c = self.recurrent_activation(f) * c + self.recurrent_activation(i) * self.activation(g)
        return self.recurrent_activation(o) * self.activation(c), c

    def get_config(self):
        return {**super().get_config(), "implementation": self.implementation}


def gate_products(inputs, kernel, mask):
    """`(inputs * mask) @ kernel`; with one mask for each gate, block by block."""
    if mask is None:
        return ops.matmul(inputs, kernel)
    if not isinstance(mask, (list, tuple)):
        return ops.matmul(inputs * mask, kernel)
    blocks = ops.split(kernel, len(mask), axis=-1)
    return ops.concatenate([ops.matmul(inputs * m, block) for m, block in zip(mask, blocks)], axis=-1)


def gates_forward(z, c):
    """The gates at the defaults: `(h, c), (i, f, g, o, tanh_c)` from `z` `(batch, 4 * units)` and `c`."""
    i, f, g, o = ops.split(z, 4, axis=-1)
    i, f, g, o = ops.sigmoid(i), ops.sigmoid(f), tanh(g), ops.sigmoid(o)
    c = f * c + i * g
    tanh_c = tanh(c)
    return (o * tanh_c, c), (i, f, g, o, tanh_c)


def gates_backward(gradients, c, activations):
    """The gradients of `z` and of the cell state before the step, from those of `h` and `c` after it."""
    dh, dc = gradients
    i, f, g, o, tanh_c = activations
    dc = dc + dh * o * (1 - tanh_c * tanh_c)
    dz = [dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g * g), dh * tanh_c * o * (1 - o)]
    return ops.concatenate(dz, axis=-1), dc * f


def _forward(hidden, states, projected, weights):
    return gates_forward(projected[0] + ops.matmul(hidden, weights[0]), states[1])


def _backward(gradients, states, saved, transposed):
    dz, dc = gates_backward(gradients, states[1], saved)
    return (dz,), ops.matmul(dz, transposed[0]), (0, dc)


def _weight_gradients(projected_gradients, hidden, states, new_states, saved):
    return (outer_product(hidden, projected_gradients[0]),)


RECURRENCE = Recurrence(_forward, _backward, _weight_gradients)


@keras.saving.register_keras_serializable(package="zoo")
@shows_cell(
    "units",
    "activation",
    "recurrent_activation",
    "use_bias",
    "unit_forget_bias",
    "kernel_initializer",
    "recurrent_initializer",
    "bias_initializer",
    "kernel_regularizer",
    "recurrent_regularizer",
    "bias_regularizer",
    "kernel_constraint",
    "recurrent_constraint",
    "bias_constraint",
    "dropout",
    "recurrent_dropout",
    "implementation",
)
class LSTM(FusedRNN, keras.layers.RNN):
    """`keras.layers.LSTM`, faster on CPU: same equations, arguments and weights, on the zoo's time loop.

    See `zoo.layers.LSTMCell` for the equations and the two differences.

    Args:
        units: positive integer, size of the hidden state.
        unit_forget_bias: `True` (1.0), `False`, or the initial bias of the forget gate as a number.
        use_cudnn: `"auto"` or `False`; `True` is an error, there being no cuDNN kernel here.
        Others: as in `keras.layers.LSTM`, in the same order.

    Call arguments:
        sequences: `(batch, time, features)`.
        initial_state: `[h, c]`, each `(batch, units)`; zeros by default.
        mask: boolean `(batch, time)`; `False` leaves the states as they are.
        training: whether dropout is on.

    Returns:
        `(batch, units)`, or `(batch, time, units)` with `return_sequences=True`; with `return_state=True` a tuple
        of it and the final `h` and `c`.

    Example:

    >>> layer = zoo.layers.LSTM(4, return_sequences=True)
    >>> tuple(layer(np.ones((2, 7, 3))).shape)
    (2, 7, 4)
    """

    cell_class = LSTMCell
    cell_arguments = ()  # what a subclass' cell takes beyond these

    def __init__(
        self,
        units,
        activation="tanh",
        recurrent_activation="sigmoid",
        use_bias=True,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        unit_forget_bias=True,
        kernel_regularizer=None,
        recurrent_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        recurrent_constraint=None,
        bias_constraint=None,
        dropout=0.0,
        recurrent_dropout=0.0,
        seed=None,
        return_sequences=False,
        return_state=False,
        go_backwards=False,
        stateful=False,
        unroll=False,
        use_cudnn="auto",
        **kwargs,
    ):
        if use_cudnn not in ("auto", True, False):
            raise ValueError(f"`use_cudnn` must be 'auto', True or False. Received: use_cudnn={use_cudnn}")
        kwargs.pop("time_major", None)  # always False in files of Keras 2
        cell = self.cell_class(
            units,
            activation=activation,
            recurrent_activation=recurrent_activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            unit_forget_bias=unit_forget_bias,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            seed=seed,
            implementation=kwargs.pop("implementation", 2),
            dtype=kwargs.get("dtype"),
            trainable=kwargs.get("trainable", True),
            name=f"{self.cell_class.__name__}_cell".lower(),
            **{name: kwargs.pop(name) for name in self.cell_arguments if name in kwargs},
        )
        super().__init__(
            cell,
            activity_regularizer=activity_regularizer,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            **kwargs,
        )
        self.input_spec = keras.layers.InputSpec(ndim=3)
        self.use_cudnn = use_cudnn

    def recurrence(self, sequences):
        cell = self.cell
        return RECURRENCE, (project(sequences, cell.kernel, cell.bias),), (cell.recurrent_kernel,)

    def get_config(self):
        config = super().get_config()
        cell = config.pop("cell")["config"]
        for key in ("name", "trainable", "dtype"):
            del cell[key]
        activity_regularizer = regularizers.serialize(self.activity_regularizer)
        return {**config, **cell, "activity_regularizer": activity_regularizer, "use_cudnn": self.use_cudnn}

    @classmethod
    def from_config(cls, config):
        return cls(**config)
