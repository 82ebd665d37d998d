"""Dynamic evaluation: a language model that goes on learning from the text it is scored on (Krause et al. 2018).

The text is read in segments s[1], s[2], ... Each is scored with the weights before it, and learnt from afterwards:

    theta[i] = theta[i-1] - rate * gradient of the mean loss of s[i] at theta[i-1] + decay * (theta[0] - theta[i-1])

which is their gradient descent with the trained weights theta[0] as a prior (section 4).
"""

import keras
import numpy as np
from keras import ops

from zoo.backend import training_step
from zoo.errors import TrainingDiverged
from zoo.models.language_model import Score


class DescentWithPrior(keras.optimizers.Optimizer):
    """Gradient descent that is drawn back to where it began.

    Args:
        learning_rate: float.
        decay: float, what part of the way back is gone in every step.
    """

    def __init__(self, learning_rate, decay, **kwargs):
        super().__init__(learning_rate=learning_rate, **kwargs)
        self.decay = decay

    def build(self, variables):
        if not self.built:
            super().build(variables)
            self.priors = self.add_optimizer_variables(variables, "prior")
            for prior, variable in zip(self.priors, variables):
                prior.assign(variable)

    def update_step(self, gradient, variable, learning_rate):
        prior = self.priors[self._get_variable_index(variable)]
        step = ops.cast(learning_rate, variable.dtype) * ops.cast(gradient, variable.dtype)
        self.assign_add(variable, self.decay * (prior - variable) - step)


def score(model, text, learning_rate, decay=1e-3, steps=32, clip_norm=1.0, progress=None):
    """How well a language model predicts a text that it learns from as it reads.

    Args:
        model: a `zoo.models.LanguageModel`; its weights are afterwards what they were.
        text: str.
        learning_rate: float, above 0, best chosen on another text.
        decay: float, at least 0 and at most 1.
        steps: tokens of a segment.
        clip_norm: largest norm of the gradient of all weights.
        progress: called with the number of tokens done and in all, now and then.

    Returns:
        A `zoo.models.language_model.Score` without log-probabilities of the single tokens.

    Raises:
        ValueError: a number is out of its range.
        TrainingDiverged: with this learning rate the loss does not stay finite.

    Example:

    >>> tokenizer = zoo.tokenizers.ByteTokenizer()
    >>> model = zoo.models.LanguageModel(zoo.models.LanguageModelConfig(256, "mlstm", units=8), tokenizer)
    >>> learning = zoo.dynamic_evaluation.score(model, "over and over and over again " * 8, learning_rate=0.5)
    >>> learning.nats < model.score("over and over and over again " * 8).nats
    True
    """
    for name, value, sound, wanted in (
        ("learning_rate", learning_rate, 0 < learning_rate < np.inf, "above 0"),
        ("decay", decay, 0 <= decay <= 1, "at least 0 and at most 1"),
        ("steps", steps, type(steps) is int and steps >= 1, "a positive int"),
        ("clip_norm", clip_norm, clip_norm > 0, "above 0"),
    ):
        if not sound:
            raise ValueError(f"`{name}` must be {wanted}. Received: {name}={value!r:.100}")
    tokens = model.tokenizer.encode(text)
    before = np.concatenate([[model.tokenizer.start_id], tokens])[: len(tokens)].astype("int32")
    trained = model.get_weights()
    optimizer = DescentWithPrior(learning_rate, decay, global_clipnorm=clip_norm)
    optimizer.build(model.trainable_variables)
    step, _ = training_step(model, optimizer, model.batch_loss)
    state, nats = model.initial_state(1), 0.0
    try:
        for start in range(0, len(tokens), steps):
            part = slice(start, start + steps)
            segment = before[None, part], tokens[None, part]
            loss, state = step(segment, state)
            nats += float(loss) * len(tokens[part])
            if not np.isfinite(nats):
                raise TrainingDiverged(
                    f"Learning from what it reads, the model lost its way at token {start:,}. "
                    f"Use a lower learning rate than {learning_rate}."
                )
            if progress is not None:
                progress(min(start + steps, len(tokens)), len(tokens))
    finally:
        model.set_weights(trained)
    return Score.of(text, len(tokens), nats)
