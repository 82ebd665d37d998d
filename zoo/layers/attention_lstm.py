"""The LSTM that attends to a memory at every step: the decoder of a translator."""

import keras
from keras import ops, tree

from zoo.backend import tanh
from zoo.layers import sequence_kernels
from zoo.layers.attention_recurrences import attend_after, attend_before
from zoo.layers.attention_scores import ADDITIVE, DOT, attend
from zoo.layers.fused_rnn import shows_cell
from zoo.layers.lstm import LSTM, LSTMCell
from zoo.layers.sequence_kernels import project

SCORES = ("additive", "normalized_additive", "dot", "scaled_dot", "general")


@keras.saving.register_keras_serializable(package="zoo")
class AttentionLSTMCell(LSTMCell):
    """One timestep of an LSTM that attends to a memory m_1 ... m_S, such as the encoded source of a translation.

    With `attend="before"` the hidden state looks first, then steps (Bahdanau, Cho & Bengio 2015, eq. 4-6 and appendix
    A.2.2, with an LSTM for their gated unit):

    e_j = score(h[t-1], m_j)
    alpha = softmax(e)
    context = sum over j of alpha_j m_j
    z = x W + h[t-1] U + context C + b
    h[t], c[t] = gates(z, c[t-1])
    output = h[t]

    With `attend="after"` it steps first, then looks (Luong, Pham & Manning 2015, eq. 5 and 7), and what it found is fed
    to the next step ("input feeding", section 3.3):

    z = x W + h[t-1] U + a[t-1] F + b
    h[t], c[t] = gates(z, c[t-1])
    e_j = score(h[t], m_j)
    alpha = softmax(e)
    context = sum over j of alpha_j m_j
    a[t] = tanh([context, h[t]] W_c)
    output = a[t]

    `gates` are those of `zoo.layers.LSTMCell`. The scores of h and m_j:

    * `"additive"`: v . tanh(h W_a + m_j U_a) (Bahdanau et al. 2015, A.1.2);
    * `"normalized_additive"`: g v / |v| . tanh(h W_a + m_j U_a + b_a), v being a direction and g a trained gain
      (Salimans & Kingma 2016), as `BahdanauAttention(normalize=True)` of TensorFlow Addons has it;
    * `"dot"`: h . m_j (Luong et al. 2015, eq. 8), for a memory of `units` features;
    * `"scaled_dot"`: h . m_j / sqrt(units) (Vaswani et al. 2017, eq. 1), the same;
    * `"general"`: h . (m_j U_a) (Luong et al. 2015, eq. 8).

    m_j U_a, the keys, are the same for every step: `project_keys` computes them once.

    Weights, in order: `kernel` W `(features, 4 * units)`, `recurrent_kernel` U `(units, 4 * units)`, `bias`
    `(4 * units,)`; before: `context_kernel` C `(memory features, 4 * units)`; after: `feeding_kernel` F
    `(units, 4 * units)` and `attention_kernel` W_c `(memory features + units, units)`; then, as the score has them,
    `key_kernel` U_a `(memory features, size)`, `query_kernel` W_a `(units, size)`, `score_kernel` v `(size, 1)`,
    `score_bias` b_a `(size,)` and `score_gain` g `()`; size is `attention_units`, or `units` for `"general"`. Zero
    C or F leave h and c those of the LSTM. Initializers, regularizers and constraints of `kernel` hold for all these
    kernels.

    Args:
        units: positive integer, size of the hidden state.
        attention: the score, `"additive"` by default.
        attend: `"before"` the step (the default) or `"after"` it.
        attention_units: size of the additive scores' hidden layer; `units` by default.
        Others: as in `zoo.layers.LSTMCell`, in the same order.

    Call arguments:
        inputs: `(batch, features)`.
        states: `[h, c]`, after the step `[h, c, a]`, each `(batch, units)`.
        training: whether dropout is on.
        memory: `(batch, source, memory features)`.
        memory_mask: boolean `(batch, source)`; `False` hides a place. With nothing to see the context is zero.
        keys: what `project_keys(memory)` gave, to compute it only once for many steps.
        return_alignments: whether alpha `(batch, source)` comes as a third result.

    Example:

    >>> cell = zoo.layers.AttentionLSTMCell(3)
    >>> memory = np.ones((2, 6, 4))
    >>> output, states, alignment = cell(
    ...     np.ones((2, 5)), [np.zeros((2, 3))] * 2, memory=memory, return_alignments=True
    ... )
    >>> tuple(output.shape), len(states), tuple(alignment.shape)
    ((2, 3), 2, (2, 6))
    """

    def __init__(self, units, *args, attention="additive", attend="before", attention_units=None, **kwargs):
        super().__init__(units, *args, **kwargs)
        if attention not in SCORES:
            raise ValueError(f"`attention` must be one of {', '.join(SCORES)}. Received: attention={attention!r}")
        if attend not in ("before", "after"):
            raise ValueError(f"`attend` must be 'before' or 'after' the step. Received: attend={attend!r}")
        self.additive = attention in ("additive", "normalized_additive")
        if attention_units is not None and not self.additive:
            raise ValueError(
                "`attention_units` is the size of the hidden layer of attention='additive' and 'normalized_additive'; "
                f"leave it out. Received: attention={attention!r}, attention_units={attention_units}"
            )
        if attention_units is not None and attention_units <= 0:
            raise ValueError(f"`attention_units` must be a positive integer. Received: {attention_units}")
        self.attention = attention
        self.attend = attend
        self.attention_units = attention_units
        if attend == "after":
            self.state_size = [units] * 3

    def build(self, inputs_shape, memory_shape=None):
        self.check_memory_shape(memory_shape)
        self.memory_features = features = memory_shape[-1]
        super().build(inputs_shape)
        units = self.units
        if self.attend == "before":
            self.context_kernel = self._add_kernel("context", (features, 4 * units))
        else:
            self.feeding_kernel = self._add_kernel("feeding", (units, 4 * units))
            self.attention_kernel = self._add_kernel("attention", (features + units, units))
        size = self.attention_units or units
        if self.additive or self.attention == "general":
            self.key_kernel = self._add_kernel("key", (features, size))
        if self.additive:
            self.query_kernel = self._add_kernel("query", (units, size))
            self.score_kernel = self._add_kernel("score", (size, 1))
        self.score_bias = None
        if self.attention == "normalized_additive":
            self.score_bias = self.add_weight(shape=(size,), name="score_bias", initializer="zeros")
            self.score_gain = self.add_weight(
                shape=(), name="score_gain", initializer=keras.initializers.Constant(size**-0.5)
            )

    def check_memory_shape(self, memory_shape):
        """Raises a ValueError, which says what to pass, where the cell cannot attend to such a memory."""
        if memory_shape is None:
            raise ValueError(
                f"{type(self).__name__} attends to a memory: pass `memory=` `(batch, source, features)`, as in "
                "`zoo.layers.AttentionLSTM(units)(targets, memory=encoded)`. Received: memory=None"
            )
        if len(memory_shape) != 3 or memory_shape[-1] is None:
            raise ValueError(
                "`memory` must be `(batch, source, features)` with a known number of features. "
                f"Received: memory.shape={tuple(memory_shape)}"
            )
        if self.attention in ("dot", "scaled_dot") and memory_shape[-1] != self.units:
            raise ValueError(
                f"attention={self.attention!r} multiplies the hidden state with the memory, so they must be of one "
                "size; attention='general' projects the memory first. "
                f"Received: units={self.units}, memory.shape={tuple(memory_shape)}"
            )
        if self.built and memory_shape[-1] != self.memory_features:
            raise ValueError(
                f"`memory` must have the {self.memory_features} features that the weights were built for. "
                f"Received: memory.shape={tuple(memory_shape)}"
            )

    def _add_kernel(self, name, shape):
        return self.add_weight(
            shape=shape,
            name=f"{name}_kernel",
            initializer=self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )

    def project_keys(self, memory):
        """What the scores see of a memory `(batch, source, features)`: `(batch, source, size)`."""
        if self.attention == "dot":
            return memory
        if self.attention == "scaled_dot":
            return memory * self.units**-0.5
        return project(memory, self.key_kernel, self.score_bias)

    @property
    def score(self):
        return ADDITIVE if self.additive else DOT

    def score_weights(self):
        """The weights that the score takes beside the keys."""
        if not self.additive:
            return ()
        v = self.score_kernel
        if self.attention == "normalized_additive":
            v = v * (self.score_gain * ops.rsqrt(ops.sum(v * v)))
        return self.query_kernel, v

    def call(self, inputs, states, training=False, memory=None, memory_mask=None, keys=None, return_alignments=False):
        self.check_memory_shape(getattr(memory, "shape", None))
        h, c, *fed = states
        keys = self.project_keys(memory) if keys is None else keys
        z = self.pre_activations(inputs, h, training)
        if self.attend == "before":
            alignment, context = self._attend(h, memory, keys, memory_mask)
            h, c = self.gates(z + ops.matmul(context, self.context_kernel), c)
            output, states = h, [h, c]
        else:
            h, c = self.gates(z + ops.matmul(fed[0], self.feeding_kernel), c)
            alignment, context = self._attend(h, memory, keys, memory_mask)
            output = tanh(ops.matmul(ops.concatenate([context, h], axis=-1), self.attention_kernel))
            states = [h, c, output]
        return (output, states, alignment) if return_alignments else (output, states)

    def _attend(self, h, memory, keys, memory_mask):
        alignment, context, _ = attend(self.score, h, memory, keys, self.score_weights(), memory_mask)
        return alignment, context

    def get_config(self):
        return {
            **super().get_config(),
            "attention": self.attention,
            "attend": self.attend,
            "attention_units": self.attention_units,
        }


@keras.saving.register_keras_serializable(package="zoo")
@shows_cell("attention", "attend", "attention_units")
class AttentionLSTM(LSTM):
    """LSTM that attends to a memory at every step, as the decoder of a translator does.

    See `zoo.layers.AttentionLSTMCell` for the equations, the scores and the weights. Everything that does not depend on
    the steps before is computed before the loop: the products of all inputs and, once, the keys of the memory.

    Args:
        units: positive integer, size of the hidden state and of the output.
        attention: the score: `"additive"` (Bahdanau et al. 2015; the default), `"normalized_additive"`, `"dot"`,
            `"general"` (Luong et al. 2015) or `"scaled_dot"`.
        attend: `"before"` the step, with h[t-1] (Bahdanau et al.; the default), or `"after"` it, with an attentional
            vector that is the output and is fed to the next step (Luong et al.).
        attention_units: size of the additive scores' hidden layer; `units` by default.
        return_alignments: whether the alignments come as the last result.
        Others: as in `keras.layers.LSTM`, in the same order; see `zoo.layers.LSTM`.

    Call arguments:
        sequences: `(batch, time, features)`.
        initial_state: `[h, c]`, each `(batch, units)`; zeros by default. After the step `[h, c, a]`; the attentional
            vector a is zero where only `[h, c]` is given, as by an encoder.
        mask: boolean `(batch, time)`; `False` leaves the states as they are.
        training: whether dropout is on.
        memory: `(batch, source, memory features)`, required.
        memory_mask: boolean `(batch, source)`; `False` hides a place. By default the mask that comes with `memory`.

    Returns:
        `(batch, units)`, or `(batch, time, units)` with `return_sequences=True`; with `return_state=True` the final
        states after it, with `return_alignments=True` the alignments `(batch, time, source)` last. The contexts are
        `alignments @ memory`.

    Example:

    >>> layer = zoo.layers.AttentionLSTM(4, attention="additive", return_sequences=True, return_alignments=True)
    >>> outputs, alignments = layer(np.ones((2, 7, 3)), memory=np.ones((2, 6, 5)))
    >>> tuple(outputs.shape), tuple(alignments.shape)
    ((2, 7, 4), (2, 7, 6))
    """

    cell_class = AttentionLSTMCell
    cell_arguments = ("attention", "attend", "attention_units")

    def __init__(self, units, *args, return_alignments=False, **kwargs):
        if kwargs.get("recompute") is not None:
            raise ValueError("`AttentionLSTM` keeps all activations: leave out `recompute`.")
        super().__init__(units, *args, **kwargs)
        self.return_alignments = return_alignments

    def build(self, sequences_shape, initial_state_shape=None, memory_shape=None):
        if not self.cell.built:
            self.cell.build((sequences_shape[0], sequences_shape[-1]), memory_shape)
            self.cell.built = True
        super().build(sequences_shape)

    def call(self, sequences, initial_state=None, mask=None, training=False, memory=None, memory_mask=None):
        self.cell.check_memory_shape(getattr(memory, "shape", None))
        sequences, memory = ops.convert_to_tensor(sequences), ops.convert_to_tensor(memory)
        mask = getattr(sequences, "_keras_mask", None) if mask is None else mask
        memory_mask = getattr(memory, "_keras_mask", None) if memory_mask is None else memory_mask
        memory_mask = None if memory_mask is None else ops.cast(memory_mask, "bool")
        self._check_shapes(sequences, memory, memory_mask)
        states = self._initial_states(initial_state, ops.shape(sequences)[0])

        sequences, mask = self._in_order(sequences, mask)
        loop = self._fused_loop if self.fused else self._cell_loop
        loop = self._no_steps if sequences.shape[0] == 0 else loop
        # The alignment is carried as a last state, which no step looks at, so that masks treat it like the others.
        states = (*states, ops.zeros_like(memory[:, :, 0]))
        (outputs, alignments), states = loop(sequences, states, mask, training, memory, memory_mask)
        self._maybe_reset_dropout_masks(self.cell)
        outputs, last_output = self._after_mask(outputs, states[self._shown[0]], mask)
        alignments, _ = self._after_mask(alignments, states[-1], mask)

        if self.stateful:
            for variable, state in zip(self.states, states):
                variable.assign(state)
        results = [ops.transpose(outputs, (1, 0, 2)) if self.return_sequences else last_output]
        results += states[:-1] if self.return_state else []
        results += [ops.transpose(alignments, (1, 0, 2))] if self.return_alignments else []
        return tuple(results) if len(results) > 1 else results[0]

    @property
    def _shown(self):
        """The places of output and alignment among the states."""
        return (0, 2) if self.attend == "before" else (2, 3)

    def _check_shapes(self, sequences, memory, memory_mask):
        if self.unroll and sequences.shape[1] is None:
            raise ValueError(
                "`unroll=True` needs a known number of timesteps: give it in `keras.Input((time, features))`, or leave "
                f"`unroll` out. Received: sequences.shape={tuple(sequences.shape)}"
            )
        if None not in (sequences.shape[0], memory.shape[0]) and sequences.shape[0] != memory.shape[0]:
            raise ValueError(
                "`sequences` and `memory` must be of one batch; repeat the memory for each of several sequences. "
                f"Received: sequences.shape={tuple(sequences.shape)}, memory.shape={tuple(memory.shape)}"
            )
        places = tuple(memory.shape[:2])
        if memory_mask is not None and (
            len(memory_mask.shape) != 2
            or any(None not in pair and pair[0] != pair[1] for pair in zip(places, memory_mask.shape))
        ):
            raise ValueError(
                f"`memory_mask` must be `(batch, source)` like the memory, {places}. "
                f"Received: memory_mask.shape={tuple(memory_mask.shape)}"
            )

    def _initial_states(self, initial_state, batch):
        if initial_state is None:
            initial_state = self.states if self.stateful else self.get_initial_state(batch)
        states = [ops.convert_to_tensor(state, dtype=self.compute_dtype) for state in tree.flatten(initial_state)]
        count = len(self.cell.state_size)
        if len(states) not in (2, count):
            raise ValueError(
                f"`initial_state` must be [h, c]{' or [h, c, a]' if self.attend == 'after' else ''}. "
                f"Received {len(states)} tensors"
            )
        return (*states, *(ops.zeros_like(states[0]) for _ in range(count - len(states))))

    def _no_steps(self, sequences, states, *others):
        return [ops.zeros((0, *ops.shape(states[k])), dtype=self.compute_dtype) for k in self._shown], states

    def recurrence(self, sequences, memory, memory_mask):
        """As of the other layers, for sequences `(time, batch, features)` and their memory."""
        cell = self.cell
        if self.attend == "before":
            make, kernels = attend_before, (cell.recurrent_kernel, cell.context_kernel)
        else:
            make, kernels = attend_after, (cell.recurrent_kernel, cell.feeding_kernel, cell.attention_kernel)
        weights = (*kernels, memory, cell.project_keys(memory), *cell.score_weights())
        return make(cell.score, memory_mask), (project(sequences, cell.kernel, cell.bias),), weights

    def _fused_loop(self, sequences, states, mask, training, memory, memory_mask):
        if training and self.cell.dropout:
            sequences = sequences * self.cell.get_dropout_mask(sequences[0])
        factors = self._hidden_dropout(states, training)
        return self._run(self.recurrence(sequences, memory, memory_mask), states, mask, factors, self._shown)

    def _cell_loop(self, sequences, states, mask, training, memory, memory_mask):
        cell = self.cell
        cell.dropout_masks(sequences[0], states[0], training)  # drawn before the loop, once for all steps
        attended = {"memory": memory, "memory_mask": memory_mask, "keys": cell.project_keys(memory)}

        def step(inputs, states, training):
            output, states, alignment = cell(inputs, states[:-1], training=training, return_alignments=True, **attended)
            return output, [*states, alignment]

        return sequence_kernels.run_cell(step, sequences, states, mask, self.unroll, training, self._shown)

    def compute_output_shape(self, sequences_shape, initial_state_shape=None, memory_shape=None):
        self.cell.check_memory_shape(memory_shape)
        batch, time = sequences_shape[:2]
        shapes = [(batch, time, self.units) if self.return_sequences else (batch, self.units)]
        shapes += [(batch, self.units) for _ in self.cell.state_size] if self.return_state else []
        shapes += [(batch, time, memory_shape[1])] if self.return_alignments else []
        return tuple(shapes) if len(shapes) > 1 else shapes[0]

    def compute_mask(self, sequences, mask):
        masks = super().compute_mask(sequences, mask)
        if not self.return_alignments:
            return masks
        return [*(masks if self.return_state else [masks]), None]

    def get_config(self):
        return {**super().get_config(), "return_alignments": self.return_alignments}
