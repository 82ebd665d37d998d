"""The time loop of every gated layer, with a hand-written backward pass.

A recurrent layer is fast when its loop does only what must be sequential:

1. the product of the inputs with every gate's kernel is one matrix product before the loop;
2. the backward loop computes the gradients of the pre-activations only; the gradient of a weight is one matrix
   product over time x batch after the loop, instead of `time` small ones added up into a big matrix;
3. activations are kept, not recomputed (`FusedRNN.recompute` offers the contrary, where memory is short).

It is what cuDNN does, and it is exact: the gradients are those of automatic differentiation.

A `Recurrence` states one layer's mathematics; `run` turns it into a differentiable loop. Everything here is
time-major, `(time, batch, features)`.
"""

from collections.abc import Callable
from typing import NamedTuple

from keras import ops

from zoo.backend import scan


class Recurrence(NamedTuple):
    """One timestep of a recurrent layer, forward and backward.

    `states` are the states before the step, the hidden state first. `hidden` is that hidden state as the recurrent
    kernel sees it, after recurrent dropout. `projected` are the inputs, already multiplied with their kernels.

    Attributes:
        forward: `(hidden, states, projected, weights) -> (new_states, saved)`; `saved` is what `backward` wants.
        backward: `(gradients, states, saved, transposed) -> (projected_gradients, hidden_gradient,
            state_gradients)`, from the gradients of the new states; `transposed` are the weights, transposed.
            After the projected inputs' gradients may stand others, for `weight_gradients` alone.
        weight_gradients: `(projected_gradients, hidden, states, new_states, saved) -> gradients`, one for each
            weight, from tensors with a leading time axis.
        sums: `weights -> zeros`, what `backward` adds up from step to step because its terms would be too large to
            keep. It takes the sums so far as further arguments and returns the new ones as further results;
            `weight_gradients` takes the last ones as further arguments.
    """

    forward: Callable
    backward: Callable
    weight_gradients: Callable
    sums: Callable = lambda weights: ()


def run(recurrence, projected, initial_states, weights, mask=None, hidden_dropout=None, shown=(0,)):
    """Runs a recurrence over time.

    Args:
        recurrence: a `Recurrence`.
        projected: tuple of tensors `(time, batch, ...)`.
        initial_states: tuple of tensors `(batch, units)`, the hidden state first.
        weights: tuple of tensors that every step sees: kernels of rank two, which `backward` gets transposed, and
            others.
        mask: boolean `(time, batch, 1)` or None. Where it is False the states stay as they are.
        hidden_dropout: `(batch, units)` factors for the hidden state on its way to the recurrent kernel, or None.
        shown: which of the states are wanted after every step, by position.

    Returns:
        The tuple of states shown, `(time, batch, units)`, and the tuple of final states.
    """
    # Masks and factors are arguments, too, whose gradients are zero: JAX lets no tensor in by a closure where the loop
    # is computed again for the backward pass.
    masks = () if mask is None else (ops.cast(mask, projected[0].dtype),)
    factors = () if hidden_dropout is None else (hidden_dropout,)
    counts = len(projected), len(initial_states), len(weights), len(masks), len(factors)

    @ops.custom_gradient
    def loop(*tensors):
        projected, initial_states, weights, masks, factors = _split(tensors, *counts)

        def dropped(hidden):
            return hidden * factors[0] if factors else hidden

        def forward(states, inputs):
            projected, keep = _split(inputs, len(inputs) - len(masks), len(masks))
            new_states, saved = recurrence.forward(dropped(states[0]), states, projected, weights)
            if keep:
                new_states = tuple(ops.where(keep[0] > 0, new, old) for new, old in zip(new_states, states))
            return new_states, (*new_states, *saved)

        final_states, history = scan(forward, initial_states, (*projected, *masks))
        new_states, saved = _split(history, len(initial_states), len(history) - len(initial_states))

        def gradient(*arguments, upstream=None):
            # TensorFlow passes the gradients as arguments, JAX as one tuple, torch by keyword.
            upstream = arguments if upstream is None else upstream
            upstream = upstream[0] if len(upstream) == 1 else upstream
            shown_gradients, final_gradients = _split(upstream, len(shown), len(initial_states))
            transposed = tuple(ops.transpose(w) if len(w.shape) == 2 else w for w in weights)
            sums = recurrence.sums(weights)
            states = tuple(
                ops.concatenate([first[None], later[:-1]]) if later.shape[0] != 0 else later
                for first, later in zip(initial_states, new_states)
            )

            def backward(carry, inputs):
                gradients, sums = _split(carry, *carry_counts)
                shown_gradients, states, saved, keep = _split(inputs, *backward_counts)
                arrived = list(gradients)
                for position, gradient in zip(shown, shown_gradients):
                    arrived[position] = arrived[position] + gradient
                gradients = tuple(arrived)
                if keep:
                    gradients = tuple(ops.where(keep[0] > 0, g, ops.zeros_like(g)) for g in arrived)
                projected_gradients, hidden_gradient, previous, *sums = recurrence.backward(
                    gradients, states, saved, transposed, *sums
                )
                previous = (previous[0] + dropped(hidden_gradient), *previous[1:])
                if keep:
                    previous = tuple(ops.where(keep[0] > 0, p, g) for p, g in zip(previous, arrived))
                return (*previous, *sums), projected_gradients

            carry_counts = len(states), len(sums)
            backward_counts = len(shown), len(states), len(saved), len(masks)
            carry, projected_gradients = scan(
                backward, (*final_gradients, *sums), (*shown_gradients, *states, *saved, *masks), reverse=True
            )
            initial_gradients, sums = _split(carry, *carry_counts)
            weight_gradients = recurrence.weight_gradients(
                projected_gradients, dropped(states[0]), states, new_states, saved, *sums
            )
            no_gradients = (ops.zeros_like(x) for x in (*masks, *factors))
            return (*projected_gradients[: len(projected)], *initial_gradients, *weight_gradients, *no_gradients)

        return (*(new_states[position] for position in shown), *final_states), gradient

    found = loop(*projected, *initial_states, *weights, *masks, *factors)
    return _split(found, len(shown), len(initial_states))


def run_cell(cell, inputs, states, mask=None, unroll=False, training=False, shown=(0,)):
    """Runs any cell over time, differentiated automatically: the path of every option `run` does not cover.

    Args:
        cell: a Keras RNN cell, `(inputs, states) -> (output, states)`.
        inputs: `(time, batch, features)`.
        states: list of tensors `(batch, units)`.
        mask: boolean `(time, batch, 1)` or None.
        unroll: whether to write the loop out, which needs a static number of timesteps.
        training: passed on to the cell.
        shown: which of the states are wanted after every step, by position.

    Returns:
        The list of states shown, `(time, batch, units)`, and the list of final states.
    """
    masks = () if mask is None else (mask,)

    def step(states, inputs):
        inputs, *keep = inputs
        _, new_states = cell(inputs, list(states), training=training)
        if keep:
            new_states = [ops.where(keep[0], new, old) for new, old in zip(new_states, states)]
        return tuple(new_states), tuple(new_states[position] for position in shown)

    if not unroll:
        states, histories = scan(step, tuple(states), (inputs, *masks))
        return list(histories), list(states)
    histories = []
    for time in range(inputs.shape[0]):
        states, current = step(states, tuple(x[time] for x in (inputs, *masks)))
        histories.append(current)
    return [ops.stack(history) for history in zip(*histories)], list(states)


def project(inputs, kernel, bias=None):
    """`inputs @ kernel + bias` for all timesteps at once: `(time, batch, m), (m, n) -> (time, batch, n)`."""
    time, batch, _ = ops.shape(inputs)
    projected = ops.matmul(ops.reshape(inputs, (-1, inputs.shape[-1])), kernel)
    if bias is not None:
        projected = projected + bias
    return ops.reshape(projected, (time, batch, kernel.shape[-1]))


def outer_product(left, right):
    """Sum over time and batch of the outer products: `(time, batch, m), (time, batch, n) -> (m, n)`."""
    left = ops.reshape(left, (-1, left.shape[-1]))
    right = ops.reshape(right, (-1, right.shape[-1]))
    return ops.matmul(ops.transpose(left), right)


def _split(tensors, *counts):
    parts, start = [], 0
    for count in counts:
        parts.append(tuple(tensors[start : start + count]))
        start += count
    return parts
