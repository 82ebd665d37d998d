"""The GRU of Keras, on the zoo's time loop."""

import keras
from keras import ops

from zoo.backend import tanh
from zoo.layers.fused_rnn import FusedRNN
from zoo.layers.sequence_kernels import Recurrence, outer_product, project


def _forward(hidden, states, projected, weights):
    (x,), (u, bias), h = projected, weights, states[0]
    x_z, x_r, x_h = ops.split(x, 3, axis=-1)
    h_z, h_r, h_h = ops.split(ops.matmul(hidden, u) + bias, 3, axis=-1)
    z, r = ops.sigmoid(x_z + h_z), ops.sigmoid(x_r + h_r)
    g = tanh(x_h + r * h_h)
    return (z * h + (1 - z) * g,), (z, r, g, h_h)


def _backward(gradients, states, saved, transposed):
    (dh,), (h,) = gradients, states
    z, r, g, h_h = saved
    dg = dh * (1 - z) * (1 - g * g)
    dz = dh * (h - g) * z * (1 - z)
    dr = dg * h_h * r * (1 - r)
    dx = ops.concatenate([dz, dr, dg], axis=-1)
    d_hidden = ops.matmul(ops.concatenate([dz, dr, dg * r], axis=-1), transposed[0])
    return (dx,), d_hidden, (dh * z,)


def _weight_gradients(projected_gradients, hidden, states, new_states, saved):
    dz, dr, dg = ops.split(projected_gradients[0], 3, axis=-1)
    d = ops.concatenate([dz, dr, dg * saved[1]], axis=-1)
    return outer_product(hidden, d), ops.sum(d, axis=(0, 1))


RECURRENCE = Recurrence(_forward, _backward, _weight_gradients)


@keras.saving.register_keras_serializable(package="zoo")
class GRU(FusedRNN, keras.layers.GRU):
    """`keras.layers.GRU` (Cho et al. 2014), faster on CPU: same equations, arguments and weights.

    z, r = sigmoid(x W_z + h[t-1] U_z + b_z), sigmoid(x W_r + h[t-1] U_r + b_r)
    g = tanh(x W_h + b_h + r * (h[t-1] U_h + b'_h))
    h[t] = z * h[t-1] + (1 - z) * g

    With `recurrent_dropout` the three products share one mask (Gal & Ghahramani 2016); Keras draws three, and so
    does this layer wherever it runs the cell: with `reset_after=False`, `implementation=1`, `unroll=True` or other
    activations.

    Args: as `keras.layers.GRU`.

    Example:

    >>> tuple(zoo.layers.GRU(4)(np.ones((2, 7, 3))).shape)
    (2, 4)
    """

    def __init__(self, units, *args, **kwargs):
        implementation = kwargs.get("implementation", 2)
        super().__init__(units, *args, **kwargs)
        self.cell.implementation = implementation
        if self.fused:
            self.cell.dropout_mask_count = None
        elif self.cell.recurrent_dropout:
            self.cell.implementation = 1

    @property
    def fused(self):
        return super().fused and self.cell.reset_after

    def get_config(self):
        return {**super().get_config(), "implementation": self.cell.implementation, "use_cudnn": self.use_cudnn}

    def recurrence(self, sequences):
        cell = self.cell
        u = ops.convert_to_tensor(cell.recurrent_kernel)
        if cell.use_bias:
            input_bias, recurrent_bias = ops.unstack(ops.convert_to_tensor(cell.bias), axis=0)
        else:
            input_bias, recurrent_bias = None, ops.zeros((u.shape[-1],), dtype=u.dtype)
        return RECURRENCE, (project(sequences, cell.kernel, input_bias),), (u, recurrent_bias)
