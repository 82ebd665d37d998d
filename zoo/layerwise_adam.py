"""Learning rates layer by layer."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="zoo")
class LayerwiseAdam(keras.optimizers.Adam):
    """Adam with a learning rate of its own for each layer, some of which begin later (Howard & Ruder 2018, 3.2, 3.3).

    Args:
        rates: for each variable, a factor of the learning rate, and the step from which on it learns.
        Others: as in `keras.optimizers.Adam`.

    Example:

    >>> optimizer = LayerwiseAdam(0.1, rates=[(1.0, 0), (0.5, 0), (1.0, 1)])
    >>> variables = [keras.Variable(0.0) for _ in optimizer.rates]
    >>> optimizer.apply([ops.ones(()) for _ in variables], variables)
    >>> [round(float(v.value), 3) for v in variables]
    [-0.1, -0.05, 0.0]
    """

    def __init__(self, *args, rates, **kwargs):
        super().__init__(*args, **kwargs)
        self.rates = rates

    def update_step(self, gradient, variable, learning_rate):
        factor, begin = self.rates[self._get_variable_index(variable)]
        begun = ops.cast(self.iterations >= begin, learning_rate.dtype)
        super().update_step(gradient, variable, learning_rate * begun * factor)

    def get_config(self):
        return {**super().get_config(), "rates": self.rates}
