"""One timestep of `zoo.layers.AttentionLSTM`, forward and backward: attention before the step, or after it.

The equations are those of `zoo.layers.AttentionLSTMCell`.
"""

from keras import ops

from zoo.backend import tanh
from zoo.layers.attention_scores import attend, attend_backward, over_time
from zoo.layers.lstm import gates_backward, gates_forward
from zoo.layers.sequence_kernels import Recurrence, outer_product


def attend_before(score, memory_mask):
    """The recurrence of states `h, c, alignment` and weights `U, C, memory, keys`, then the score's."""

    def forward(hidden, states, projected, weights):
        h, c, _ = states
        u, context_kernel, memory, keys, *score_weights = weights
        alignment, context, query = attend(score, h, memory, keys, score_weights, memory_mask)
        z = projected[0] + ops.matmul(hidden, u) + ops.matmul(context, context_kernel)
        new_states, activations = gates_forward(z, c)
        return (*new_states, alignment), (*activations, alignment, context, query)

    def backward(gradients, states, saved, transposed, *sums):
        dh, dc, d_alignment = gradients
        *activations, alignment, context, query = saved
        u, context_kernel, memory, keys, *score_weights = transposed
        dz, dc = gates_backward((dh, dc), states[1], activations)
        d_context = ops.matmul(dz, context_kernel)
        dh, d_scores, d_query, *sums = attend_backward(
            score, d_context, d_alignment, alignment, query, memory, keys, score_weights, *sums
        )
        state_gradients = dh, dc, ops.zeros_like(d_alignment)
        return (dz, d_context, d_scores, d_query), ops.matmul(dz, u), state_gradients, *sums

    def weight_gradients(projected_gradients, hidden, states, new_states, saved, *sums):
        dz, d_context, d_scores, d_query = projected_gradients
        *_, alignment, context, query = saved
        return (
            outer_product(hidden, dz),
            outer_product(context, dz),
            over_time(alignment, d_context),
            *score.gradients(d_scores, d_query, query, states[0], *sums),
        )

    return Recurrence(forward, backward, weight_gradients, lambda weights: score.sums(weights[3], weights[4:]))


def attend_after(score, memory_mask):
    """The recurrence of states `h, c, a, alignment` and weights `U, F, W_c, memory, keys`, then the score's."""

    def forward(hidden, states, projected, weights):
        _, c, a, _ = states
        u, feeding_kernel, attention_kernel, memory, keys, *score_weights = weights
        z = projected[0] + ops.matmul(hidden, u) + ops.matmul(a, feeding_kernel)
        (h, c), activations = gates_forward(z, c)
        alignment, context, query = attend(score, h, memory, keys, score_weights, memory_mask)
        found = ops.concatenate([context, h], axis=-1)
        a = tanh(ops.matmul(found, attention_kernel))
        return (h, c, a, alignment), (*activations, alignment, found, query, a)

    def backward(gradients, states, saved, transposed, *sums):
        dh, dc, da, d_alignment = gradients
        *activations, alignment, found, query, a = saved
        u, feeding_kernel, attention_kernel, memory, keys, *score_weights = transposed
        da = da * (1 - a * a)
        d_found = ops.matmul(da, attention_kernel)
        d_context = d_found[:, : memory.shape[-1]]
        by_attention, d_scores, d_query, *sums = attend_backward(
            score, d_context, d_alignment, alignment, query, memory, keys, score_weights, *sums
        )
        dh = dh + d_found[:, memory.shape[-1] :] + by_attention
        dz, dc = gates_backward((dh, dc), states[1], activations)
        state_gradients = 0, dc, ops.matmul(dz, feeding_kernel), ops.zeros_like(d_alignment)
        return (dz, da, d_context, d_scores, d_query), ops.matmul(dz, u), state_gradients, *sums

    def weight_gradients(projected_gradients, hidden, states, new_states, saved, *sums):
        dz, da, d_context, d_scores, d_query = projected_gradients
        *_, alignment, found, query, _ = saved
        return (
            outer_product(hidden, dz),
            outer_product(states[2], dz),
            outer_product(found, da),
            over_time(alignment, d_context),
            *score.gradients(d_scores, d_query, query, new_states[0], *sums),
        )

    return Recurrence(forward, backward, weight_gradients, lambda weights: score.sums(weights[4], weights[5:]))
