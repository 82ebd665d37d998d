"""The LSTM whose gates look at the cell state."""

import keras
from keras import constraints, initializers, ops, regularizers

from zoo.backend import tanh
from zoo.layers.fused_rnn import shows_cell
from zoo.layers.lstm import LSTM, LSTMCell
from zoo.layers.sequence_kernels import Recurrence, outer_product, project


@keras.saving.register_keras_serializable(package="zoo")
class PeepholeLSTMCell(LSTMCell):
    """One timestep of a peephole LSTM (Gers & Schmidhuber 2000; Gers, Schraudolph & Schmidhuber 2002).

    z = x W + h[t-1] U + b, in quarters z_i, z_f, z_c, z_o
    i = sigmoid(z_i + c[t-1] * p_i)
    f = sigmoid(z_f + c[t-1] * p_f)
    c[t] = f * c[t-1] + i * tanh(z_c)
    o = sigmoid(z_o + c[t] * p_o)
    h[t] = o * tanh(c[t])

    The peepholes p are diagonal: each gate sees its own cell only. With peepholes of zero, the default start, this
    is the LSTM. Weights of TensorFlow Addons' cell of this name fit in order and shape, and its configurations
    (`Addons>PeepholeLSTMCell`) load.

    Weights, in order: `kernel` `(features, 4 * units)`, `recurrent_kernel` `(units, 4 * units)`, `bias`
    `(4 * units,)`, `input_gate_peephole_weights`, `forget_gate_peephole_weights`, `output_gate_peephole_weights`,
    each `(units,)`.

    Args:
        units: positive integer, size of the hidden state.
        unit_forget_bias: `True` (1.0), `False`, or the initial bias of the forget gate as a number.
        peephole_initializer: of the three peephole vectors. Addons took `kernel_initializer`.
        peephole_regularizer: of the three peephole vectors.
        peephole_constraint: on the three peephole vectors.
        Others: as in `keras.layers.LSTMCell`, in the same order.

    Example:

    >>> cell = zoo.layers.PeepholeLSTMCell(3)
    >>> output, (hidden, memory) = cell(np.ones((2, 5)), [np.zeros((2, 3)), np.zeros((2, 3))])
    >>> tuple(cell.output_gate_peephole_weights.shape)
    (3,)
    """

    def __init__(
        self,
        units,
        *args,
        peephole_initializer="zeros",
        peephole_regularizer=None,
        peephole_constraint=None,
        **kwargs,
    ):
        super().__init__(units, *args, **kwargs)
        self.peephole_initializer = initializers.get(peephole_initializer)
        self.peephole_regularizer = regularizers.get(peephole_regularizer)
        self.peephole_constraint = constraints.get(peephole_constraint)

    def build(self, input_shape):
        super().build(input_shape)
        self.input_gate_peephole_weights = self._add_peephole("input")
        self.forget_gate_peephole_weights = self._add_peephole("forget")
        self.output_gate_peephole_weights = self._add_peephole("output")

    def _add_peephole(self, gate):
        return self.add_weight(
            shape=(self.units,),
            name=f"{gate}_gate_peephole_weights",
            initializer=self.peephole_initializer,
            regularizer=self.peephole_regularizer,
            constraint=self.peephole_constraint,
        )

    def gates(self, z, c):
        i, f, g, o = ops.split(z, 4, axis=-1)
        i = self.recurrent_activation(i + c * self.input_gate_peephole_weights)
        f = self.recurrent_activation(f + c * self.forget_gate_peephole_weights)
        c = f * c + i * self.activation(g)
        o = self.recurrent_activation(o + c * self.output_gate_peephole_weights)
        return o * self.activation(c), c

    def get_config(self):
        return {
            **super().get_config(),
            "peephole_initializer": initializers.serialize(self.peephole_initializer),
            "peephole_regularizer": regularizers.serialize(self.peephole_regularizer),
            "peephole_constraint": constraints.serialize(self.peephole_constraint),
        }


def _forward(hidden, states, projected, weights):
    (z,), (u, p_i, p_f, p_o), c = projected, weights, states[1]
    i, f, g, o = ops.split(z + ops.matmul(hidden, u), 4, axis=-1)
    i, f, g = ops.sigmoid(i + c * p_i), ops.sigmoid(f + c * p_f), tanh(g)
    c = f * c + i * g
    o = ops.sigmoid(o + c * p_o)
    tanh_c = tanh(c)
    return (o * tanh_c, c), (i, f, g, o, tanh_c)


def _backward(gradients, states, saved, transposed):
    (dh, dc), c = gradients, states[1]
    i, f, g, o, tanh_c = saved
    u, p_i, p_f, p_o = transposed
    do = dh * tanh_c * o * (1 - o)
    dc = dc + dh * o * (1 - tanh_c * tanh_c) + do * p_o
    di = dc * g * i * (1 - i)
    df = dc * c * f * (1 - f)
    dz = ops.concatenate([di, df, dc * i * (1 - g * g), do], axis=-1)
    return (dz,), ops.matmul(dz, u), (0, dc * f + di * p_i + df * p_f)


def _weight_gradients(projected_gradients, hidden, states, new_states, saved):
    (dz,) = projected_gradients
    di, df, _, do = ops.split(dz, 4, axis=-1)
    peepholes = (ops.sum(d * c, axis=(0, 1)) for d, c in ((di, states[1]), (df, states[1]), (do, new_states[1])))
    return (outer_product(hidden, dz), *peepholes)


RECURRENCE = Recurrence(_forward, _backward, _weight_gradients)


@keras.saving.register_keras_serializable(package="zoo")
@shows_cell("peephole_initializer", "peephole_regularizer", "peephole_constraint")
class PeepholeLSTM(LSTM):
    """LSTM with peephole connections (Gers & Schmidhuber 2000), a drop-in for `keras.layers.LSTM`.

    See `zoo.layers.PeepholeLSTMCell` for the equations and the weights.

    Args:
        units: positive integer, size of the hidden state.
        peephole_initializer: of the three peephole vectors, `"zeros"` by default: training starts as an LSTM.
        peephole_regularizer: of the three peephole vectors.
        peephole_constraint: on the three peephole vectors.
        Others: as in `keras.layers.LSTM`, in the same order; see `zoo.layers.LSTM`.

    Call arguments and returns: as `zoo.layers.LSTM`.

    Example:

    >>> layer = zoo.layers.PeepholeLSTM(4, return_sequences=True, return_state=True)
    >>> outputs, hidden, cell = layer(np.ones((2, 7, 3)))
    >>> tuple(outputs.shape), tuple(cell.shape)
    ((2, 7, 4), (2, 4))
    """

    cell_class = PeepholeLSTMCell
    cell_arguments = ("peephole_initializer", "peephole_regularizer", "peephole_constraint")

    def recurrence(self, sequences):
        cell = self.cell
        peepholes = (
            cell.input_gate_peephole_weights,
            cell.forget_gate_peephole_weights,
            cell.output_gate_peephole_weights,
        )
        projected = project(sequences, cell.kernel, cell.bias)
        return RECURRENCE, (projected,), (cell.recurrent_kernel, *peepholes)


# Configurations saved by TensorFlow Addons load as ours.
keras.saving.get_custom_objects()["Addons>PeepholeLSTMCell"] = PeepholeLSTMCell
