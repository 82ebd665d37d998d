"""What the zoo's recurrent layers share: `keras.layers.RNN` with the time loop of `sequence_kernels`."""

import functools

from keras import StatelessScope, Variable, activations, ops, remat, tree

from zoo.layers import sequence_kernels


def shows_cell(*names):
    """Class decorator: the layer shows these attributes of its cell, as the layers of Keras do."""

    def decorate(layer):
        for name in names:
            setattr(layer, name, property(lambda self, name=name: getattr(self.cell, name)))
        return layer

    return decorate


class FusedRNN:
    """Mixin for subclasses of `keras.layers.RNN`, to stand before it among the bases.

    It runs the layer's `Recurrence` where the options allow, the cell itself where they do not (other activations,
    `unroll=True`, `implementation=1`); both give the same numbers. Beyond what `keras.layers.RNN` does:

    * an implicit mask survives `initial_state=`, which Keras 3.15 loses;
    * `go_backwards`, masks and `unroll` may be combined;
    * a sequence without timesteps returns its initial state;
    * with `recompute=32`, only the states between segments of 32 timesteps are kept, and the activations of one segment
      after another computed again for the backward pass (Chen et al. 2016): little memory for long sequences, for
      another forward pass. It acts on sequences of known length where the layer is `fused`; `AttentionLSTM` and
      `read_distinct` keep all.

    The layer provides `recurrence(sequences)`: for sequences `(time, batch, features)`, after dropout, its
    `sequence_kernels.Recurrence`, the tuple of projected inputs, and the tuple of weights.
    """

    def __init__(self, *args, recompute=None, **kwargs):
        if recompute is not None and (type(recompute) is not int or recompute < 1):
            raise ValueError(
                f"`recompute` must be a positive int, the timesteps of a segment, or None. Received: {recompute!r:.100}"
            )
        super().__init__(*args, **kwargs)
        self.recompute = recompute

    def get_config(self):
        own = {} if self.recompute is None else {"recompute": self.recompute}
        return {**super().get_config(), **own}

    @property
    def fused(self):
        """Whether the options allow the hand-written loop."""
        cell = self.cell
        return (
            not self.unroll
            and getattr(cell, "implementation", 2) == 2
            and cell.activation is activations.tanh
            and getattr(cell, "recurrent_activation", activations.sigmoid) is activations.sigmoid
        )

    def call(self, sequences, initial_state=None, mask=None, training=False):
        sequences = ops.convert_to_tensor(sequences)
        if mask is None:
            mask = getattr(sequences, "_keras_mask", None)
        if sequences.shape[1] == 0:
            return self._without_timesteps(sequences, initial_state)
        return super().call(sequences, initial_state=initial_state, mask=mask, training=training)

    def _without_timesteps(self, sequences, initial_state):
        batch = ops.shape(sequences)[0]
        if initial_state is None:
            initial_state = self.states if self.stateful else self.get_initial_state(batch)
        states = [ops.convert_to_tensor(s, dtype=self.compute_dtype) for s in tree.flatten(initial_state)]
        output = states[0]
        if self.return_sequences:
            output = ops.zeros((batch, 0, self.cell.output_size), dtype=self.compute_dtype)
        return (output, *states) if self.return_state else output

    def inner_loop(self, sequences, initial_state, mask, training=False):
        sequences, mask = self._in_order(sequences, mask)
        initial_state = tuple(tree.flatten(initial_state))
        if self.fused:
            (outputs,), states = self._fused_loop(sequences, initial_state, mask, training)
        else:
            (outputs,), states = sequence_kernels.run_cell(
                self.cell, sequences, initial_state, mask, self.unroll, training
            )
        outputs, last_output = self._after_mask(outputs, states[0], mask)
        return last_output, ops.transpose(outputs, (1, 0, 2)), list(states)

    def _in_order(self, sequences, mask):
        """Sequences and mask with the timesteps in front, in the order in which they are read."""
        if getattr(self, "use_cudnn", "auto") is True:
            raise ValueError(
                f"There is no cuDNN kernel for {type(self).__name__}. Use `use_cudnn='auto'`, which runs the zoo's "
                "own loop. Received: use_cudnn=True"
            )
        sequences = ops.transpose(sequences, (1, 0, 2))
        mask = _time_major(mask)
        if self.go_backwards:
            sequences = ops.flip(sequences, axis=0)
            mask = None if mask is None else ops.flip(mask, axis=0)
        return sequences, mask

    def _after_mask(self, outputs, last_output, mask):
        """A masked step repeats the output before it, or is zero: always so, or until there is such an output."""
        if mask is None:
            return outputs, last_output
        visible = mask if self.zero_output_for_mask else ops.cumsum(ops.cast(mask, "int32"), axis=0) > 0
        outputs = ops.where(visible, outputs, ops.zeros_like(outputs))
        return outputs, ops.where(ops.all(visible[-1:], axis=0), last_output, ops.zeros_like(last_output))

    def _fused_loop(self, sequences, initial_state, mask, training):
        if training and self.cell.dropout:
            sequences = sequences * self.cell.get_dropout_mask(sequences[0])
        factors = self._hidden_dropout(initial_state, training)
        time = sequences.shape[0]
        if self.recompute and time is not None and time > self.recompute:
            return self._in_segments(sequences, initial_state, mask, factors)
        return self._run(self.recurrence(sequences), initial_state, mask, factors)

    def _in_segments(self, sequences, states, mask, factors):
        count, variables = len(states), self.cell.weights
        values, found = [_tensor(v) for v in variables], []

        def loop(mask, sequences, *tensors):
            with StatelessScope(state_mapping=list(zip(variables, tensors[count:]))):
                recurrence, *others = self.recurrence(sequences)
                # TensorFlow computes again outside the layer's call, where Keras does not cast the weights.
                projected, weights = ([ops.cast(x, self.compute_dtype) for x in some] for some in others)
            (outputs,), states = self._run((recurrence, projected, weights), tensors[:count], mask, factors)
            return outputs, *states

        for start in range(0, sequences.shape[0], self.recompute):
            part = slice(start, start + self.recompute)
            segment = functools.partial(loop, None if mask is None else mask[part])
            outputs, *states = remat(segment)(sequences[part], *states, *values)
            found.append(outputs)
        return (ops.concatenate(found),), tuple(states)

    def read_distinct(self, inputs, places, initial_state, mask=None, training=False):
        """Reads sequences of inputs that recur, each of which is multiplied with the kernels only once.

        Args:
            inputs: `(count, features)`. The layer must have no `dropout`, which is different in every sequence.
            places: int `(batch, time)`, which of the inputs stands there.
            initial_state: list of tensors `(batch, units)`.
            mask: boolean `(batch, time)` or None.
            training: whether recurrent dropout is on.

        Returns:
            The hidden states `(batch, time, units)`, and the list of final states. A masked step repeats the state
            before it.
        """
        recurrence, tables, weights = self.recurrence(inputs[None])
        places = ops.transpose(places)
        projected = tuple(ops.take(table[0], places, axis=0) for table in tables)
        factors = self._hidden_dropout(initial_state, training)
        (hidden,), states = self._run(
            (recurrence, projected, weights), tuple(initial_state), _time_major(mask), factors
        )
        self._maybe_reset_dropout_masks(self.cell)  # as the `call` of Keras does: each call has its own
        return ops.transpose(hidden, (1, 0, 2)), list(states)

    def _hidden_dropout(self, states, training):
        """What the hidden state is multiplied with on its way to the recurrent kernel, or None."""
        drops = training and self.cell.recurrent_dropout
        return self.cell.get_recurrent_dropout_mask(states[0]) if drops else None

    def _run(self, recurrence, initial_state, mask, factors, shown=(0,)):
        recurrence, projected, weights = recurrence
        weights = tuple(_tensor(w) for w in weights)
        return sequence_kernels.run(recurrence, projected, initial_state, weights, mask, factors, shown)


def _tensor(weight):
    """A tensor, not a variable: TensorFlow's custom gradients take no variables as arguments."""
    return ops.reshape(weight, weight.shape) if isinstance(weight, Variable) else weight


def _time_major(mask):
    if mask is None:
        return None
    mask = ops.cast(tree.flatten(mask)[0], "bool")
    return ops.transpose(ops.reshape(mask, ops.shape(mask)[:2]))[:, :, None]
