"""The multiplicative LSTM of Krause et al. (not the matrix LSTM of xLSTM, which has the same nickname, mLSTM)."""

import keras
from keras import ops

from zoo.layers.fused_rnn import shows_cell
from zoo.layers.lstm import LSTM, LSTMCell, gate_products, gates_backward, gates_forward
from zoo.layers.sequence_kernels import Recurrence, outer_product, project


@keras.saving.register_keras_serializable(package="zoo")
class MultiplicativeLSTMCell(LSTMCell):
    """One timestep of a multiplicative LSTM (Krause, Lu, Murray & Renals 2016, section 3).

    m = (x M_x) * (h[t-1] M_h)
    i, f, g, o = sigmoid(z_i), sigmoid(z_f), tanh(z_c), sigmoid(z_o)  where  z = x W + m U + b
    c[t] = f * c[t-1] + i * g
    h[t] = o * tanh(c[t])

    The recurrent product thus depends on the input: each input has its own transition matrix, factored. The gates
    and their order, i, f, c, o, are those of Keras' LSTM.

    Weights, in order: `kernel` W `(features, 4 * units)`, `recurrent_kernel` U `(units, 4 * units)`, `bias`
    `(4 * units,)`, `multiplicative_kernel` M_x `(features, units)`, `multiplicative_recurrent_kernel` M_h
    `(units, units)`; then, where asked for, the factors' biases `multiplicative_bias` and
    `multiplicative_recurrent_bias` `(units,)`; then the gains of the weight normalisation, `kernel_gain`,
    `recurrent_kernel_gain` `(4 * units,)`, `multiplicative_kernel_gain` and `multiplicative_recurrent_kernel_gain`
    `(units,)`. Initializers, regularizers and constraints of `kernel` hold for `multiplicative_kernel` too, those
    of `recurrent_kernel` for `multiplicative_recurrent_kernel`.

    Args:
        units: positive integer, size of the hidden state.
        unit_forget_bias: `True` (1.0), `False`, or the initial bias of the forget gate as a number.
        use_multiplicative_bias: whether each of the two factors of m has a bias. With M_x = 0, a bias of one on that
            factor and M_h = I the cell is the LSTM.
        weight_normalization: whether every kernel is its direction, column by column, times a trained gain
            (Salimans & Kingma 2016), as Krause et al. and OpenAI trained it. `folded` takes it out again.
        Others: as in `keras.layers.LSTMCell`, in the same order. `recurrent_dropout` is of h on its way to M_h.

    Example:

    >>> cell = zoo.layers.MultiplicativeLSTMCell(3)
    >>> output, states = cell(np.ones((2, 5)), [np.zeros((2, 3)), np.zeros((2, 3))])
    >>> tuple(cell.multiplicative_kernel.shape), tuple(cell.multiplicative_recurrent_kernel.shape)
    ((5, 3), (3, 3))
    """

    gate_count = 5  # masks with implementation 1: the four gates', and that of the factors

    def __init__(self, units, *args, use_multiplicative_bias=False, weight_normalization=False, **kwargs):
        super().__init__(units, *args, **kwargs)
        self.use_multiplicative_bias = use_multiplicative_bias
        self.weight_normalization = weight_normalization

    def build(self, input_shape):
        super().build(input_shape)
        of_input = self.kernel_initializer, self.kernel_regularizer, self.kernel_constraint
        of_hidden = self.recurrent_initializer, self.recurrent_regularizer, self.recurrent_constraint
        self.multiplicative_kernel = self._add_factor("kernel", (input_shape[-1], self.units), *of_input)
        self.multiplicative_recurrent_kernel = self._add_factor(
            "recurrent_kernel", (self.units, self.units), *of_hidden
        )
        self.multiplicative_bias = self.multiplicative_recurrent_bias = None
        if self.use_multiplicative_bias:
            of_bias = self.bias_initializer, self.bias_regularizer, self.bias_constraint
            self.multiplicative_bias = self._add_factor("bias", (self.units,), *of_bias)
            self.multiplicative_recurrent_bias = self._add_factor("recurrent_bias", (self.units,), *of_bias)
        if self.weight_normalization:
            self.kernel_gain = self._add_gain(self.kernel)
            self.recurrent_kernel_gain = self._add_gain(self.recurrent_kernel)
            self.multiplicative_kernel_gain = self._add_gain(self.multiplicative_kernel)
            self.multiplicative_recurrent_kernel_gain = self._add_gain(self.multiplicative_recurrent_kernel)

    def _add_factor(self, name, shape, initializer, regularizer, constraint):
        return self.add_weight(
            shape=shape,
            name=f"multiplicative_{name}",
            initializer=initializer,
            regularizer=regularizer,
            constraint=constraint,
        )

    def _add_gain(self, kernel):
        """A gain that leaves the kernel, at first, as it was drawn."""
        return self.add_weight(
            shape=kernel.shape[-1:],
            name=f"{kernel.name}_gain",
            initializer=lambda shape, dtype: ops.cast(ops.norm(ops.convert_to_tensor(kernel), axis=0), dtype),
        )

    def kernels(self):
        """W, U, M_x and M_h as the equations have them, weight normalisation applied."""
        kernels = (
            self.kernel,
            self.recurrent_kernel,
            self.multiplicative_kernel,
            self.multiplicative_recurrent_kernel,
        )
        if not self.weight_normalization:
            return kernels
        gains = (
            self.kernel_gain,
            self.recurrent_kernel_gain,
            self.multiplicative_kernel_gain,
            self.multiplicative_recurrent_kernel_gain,
        )
        return tuple(_normalized(kernel, gain) for kernel, gain in zip(kernels, gains))

    def call(self, inputs, states, training=False):
        h, c = states
        input_mask, hidden_mask = self.dropout_masks(inputs, h, training)
        factor_mask = input_mask
        if isinstance(input_mask, list):
            *input_mask, factor_mask = input_mask
        if isinstance(hidden_mask, list):
            hidden_mask = hidden_mask[-1]
        w, u, m_x, m_h = self.kernels()
        by_input = gate_products(inputs, m_x, factor_mask)
        by_hidden = gate_products(h, m_h, hidden_mask)
        if self.use_multiplicative_bias:
            by_input = by_input + self.multiplicative_bias
            by_hidden = by_hidden + self.multiplicative_recurrent_bias
        z = gate_products(inputs, w, input_mask) + ops.matmul(by_input * by_hidden, u)
        if self.use_bias:
            z = z + self.bias
        h, c = self.gates(z, c)
        return h, [h, c]

    def get_config(self):
        return {
            **super().get_config(),
            "use_multiplicative_bias": self.use_multiplicative_bias,
            "weight_normalization": self.weight_normalization,
        }


def _normalized(kernel, gain):
    kernel = ops.convert_to_tensor(kernel)
    squares = ops.sum(ops.square(ops.cast(kernel, "float32" if kernel.dtype != "float64" else "float64")), axis=0)
    return kernel * ops.cast(ops.rsqrt(squares), kernel.dtype) * gain


def _forward(hidden, states, projected, weights):
    (z, by_input), (u, m_h, *bias) = projected, weights
    by_hidden = ops.matmul(hidden, m_h)
    if bias:
        by_hidden = by_hidden + bias[0]
    new_states, activations = gates_forward(z + ops.matmul(by_input * by_hidden, u), states[1])
    return new_states, (*activations, by_input, by_hidden)


def _backward(gradients, states, saved, transposed):
    *activations, by_input, by_hidden = saved
    u, m_h, *_ = transposed
    dz, dc = gates_backward(gradients, states[1], activations)
    dm = ops.matmul(dz, u)
    return (dz, dm * by_hidden, dm * by_input), ops.matmul(dm * by_input, m_h), (0, dc)


def _weight_gradients(projected_gradients, hidden, states, new_states, saved):
    dz, _, d_by_hidden = projected_gradients
    *_, by_input, by_hidden = saved
    return outer_product(by_input * by_hidden, dz), outer_product(hidden, d_by_hidden)


def _weight_and_bias_gradients(projected_gradients, *others):
    return *_weight_gradients(projected_gradients, *others), ops.sum(projected_gradients[2], axis=(0, 1))


RECURRENCE = Recurrence(_forward, _backward, _weight_gradients)
BIASED_RECURRENCE = Recurrence(_forward, _backward, _weight_and_bias_gradients)


@keras.saving.register_keras_serializable(package="zoo")
@shows_cell("use_multiplicative_bias", "weight_normalization")
class MultiplicativeLSTM(LSTM):
    """Multiplicative LSTM, "mLSTM" (Krause et al. 2016), a drop-in for `keras.layers.LSTM`.

    See `zoo.layers.MultiplicativeLSTMCell` for the equations and the weights. It is the layer of the sentiment
    neuron (Radford, Jozefowicz & Sutskever 2017) and of UniRep; xLSTM's matrix LSTM is another thing.

    Args:
        units: positive integer, size of the hidden state.
        use_multiplicative_bias: whether each of the two factors has a bias; `False` by default.
        weight_normalization: whether kernels are trained as direction and gain; `False` by default.
        Others: as in `keras.layers.LSTM`, in the same order; see `zoo.layers.LSTM`.

    Call arguments and returns: as `zoo.layers.LSTM`.

    Example:

    >>> layer = zoo.layers.MultiplicativeLSTM(4, return_sequences=True)
    >>> tuple(layer(np.ones((2, 7, 3))).shape)
    (2, 7, 4)
    """

    cell_class = MultiplicativeLSTMCell
    cell_arguments = ("use_multiplicative_bias", "weight_normalization")

    def recurrence(self, sequences):
        cell = self.cell
        w, u, m_x, m_h = cell.kernels()
        projected = (
            project(sequences, w, cell.bias),
            project(sequences, m_x, cell.multiplicative_bias),
        )
        if cell.use_multiplicative_bias:
            return BIASED_RECURRENCE, projected, (u, m_h, cell.multiplicative_recurrent_bias)
        return RECURRENCE, projected, (u, m_h)

    def folded(self):
        """A layer of the same function without weight normalisation: each kernel is its direction times its gain.

        Returns:
            A built `MultiplicativeLSTM` with `weight_normalization=False`.
        """
        layer = type(self).from_config({**self.get_config(), "weight_normalization": False})
        layer.build((None, None, self.cell.kernel.shape[0]))
        for target, kernel in zip(layer.cell.kernels(), self.cell.kernels()):
            target.assign(kernel)
        for name in ("bias", "multiplicative_bias", "multiplicative_recurrent_bias"):
            if getattr(self.cell, name) is not None:
                getattr(layer.cell, name).assign(getattr(self.cell, name))
        return layer
