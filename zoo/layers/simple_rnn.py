"""The plain recurrent layer of Keras, on the zoo's time loop."""

import keras
from keras import ops

from zoo.backend import tanh
from zoo.layers.fused_rnn import FusedRNN
from zoo.layers.sequence_kernels import Recurrence, outer_product, project


def _forward(hidden, states, projected, weights):
    h = tanh(projected[0] + ops.matmul(hidden, weights[0]))
    return (h,), (h,)


def _backward(gradients, states, saved, transposed):
    dz = gradients[0] * (1 - saved[0] * saved[0])
    return (dz,), ops.matmul(dz, transposed[0]), (0,)


def _weight_gradients(projected_gradients, hidden, states, new_states, saved):
    return (outer_product(hidden, projected_gradients[0]),)


RECURRENCE = Recurrence(_forward, _backward, _weight_gradients)


@keras.saving.register_keras_serializable(package="zoo")
class SimpleRNN(FusedRNN, keras.layers.SimpleRNN):
    """`keras.layers.SimpleRNN` (Elman 1990), faster on CPU: same equation, arguments and weights.

    h[t] = tanh(x W + h[t-1] U + b)

    Args: as `keras.layers.SimpleRNN`.

    Example:

    >>> tuple(zoo.layers.SimpleRNN(4)(np.ones((2, 7, 3))).shape)
    (2, 4)
    """

    def recurrence(self, sequences):
        cell = self.cell
        return RECURRENCE, (project(sequences, cell.kernel, cell.bias),), (cell.recurrent_kernel,)
