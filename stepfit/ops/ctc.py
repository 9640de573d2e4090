"""Connectionist temporal classification: labels from frames, without their alignment."""

import jax
import jax.numpy as jnp

from stepfit.core import errors
from stepfit.core.op import op
from stepfit.ops.table import tensors


def _log_probabilities(x):
    return jax.nn.log_softmax(x.astype(jnp.result_type(x.dtype, "float32")))


@op
def ctc_loss(target, output, target_length, output_length, mask_index=0):
    """Minus the logarithm of the probability of a label sequence, over all its alignments.

    Args:
        target: int labels, shape ``(batch, labels)``.
        output: logits, shape ``(batch, frames, classes)``.
        target_length, output_length: ints, shape ``(batch,)``: how much of each row counts.
        mask_index: the class that stands for no label.

    Returns:
        Array of shape ``(batch,)``.

    Raises:
        ValueError: other ranks.

    >>> import numpy as np, stepfit as keras
    >>> round(float(keras.ops.ctc_loss([[1]], np.zeros((1, 1, 2)), [1], [1])[0]), 4)
    0.6931

    Source: Graves et al., 2006, https://www.cs.toronto.edu/~graves/icml_2006.pdf.
    """
    import optax  # heavy, and needed here alone

    target, output, target_length, output_length = tensors(
        (target, output, target_length, output_length)
    )
    if target.ndim != 2 or output.ndim != 3:
        raise errors.bad_value(
            "ctc_loss(target, output)",
            "labels (batch, labels) and logits (batch, frames, classes)",
            f"{errors.describe(target)} and {errors.describe(output)}",
        )  # fmt: skip
    output = output.astype(jnp.result_type(output.dtype, "float32"))

    def beyond(lengths, size):
        return (jnp.arange(size) >= lengths.astype("int32")[:, None]).astype(output.dtype)

    return optax.ctc_loss(
        output, beyond(output_length, output.shape[1]), target.astype("int32"),
        beyond(target_length, target.shape[1]), blank_id=mask_index,
    )  # fmt: skip


@op
def ctc_decode(
    inputs,
    sequence_lengths,
    strategy="greedy",
    beam_width=100,
    top_paths=1,
    merge_repeated=True,
    mask_index=0,
):
    """Likely label sequences for the output of a model trained with CTC.

    Args:
        inputs: logits, shape ``(batch, frames, classes)``.
        sequence_lengths: ints, shape ``(batch,)``: how many frames count.
        strategy: "greedy": the likeliest class of each frame; "beam_search": the likeliest
            sequences, over all their alignments, among those that stay among the best.
        beam_width: int, how many sequences "beam_search" goes on with.
        top_paths: int, how many sequences "beam_search" returns.
        merge_repeated: whether "greedy" takes a class in successive frames for one label.
        mask_index: the class that stands for no label.

    Returns:
        Labels of shape ``(paths, batch, frames)``, -1 after the last one; and for "greedy" minus
        the sum of the largest logits, shape ``(batch, 1)``; for "beam_search" the logarithms of
        the probabilities, shape ``(batch, paths)``.

    Raises:
        ValueError: unknown strategy, or more paths than beams.

    >>> import numpy as np, stepfit as keras
    >>> logits = 9.0 * np.eye(3)[[[1, 1, 0, 2]]]
    >>> labels, _ = keras.ops.ctc_decode(logits, [4])
    >>> labels.tolist()
    [[[1, 2, -1, -1]]]
    """
    inputs, lengths = tensors((inputs, sequence_lengths))
    if strategy not in ("greedy", "beam_search"):
        known = ("greedy", "beam_search")
        raise errors.unknown_name("ctc_decode(strategy)", "strategy", strategy, known)
    inputs = inputs.astype(jnp.result_type(inputs.dtype, "float32"))
    mask_index = inputs.shape[-1] - 1 if mask_index is None else mask_index
    active = jnp.arange(inputs.shape[1]) < lengths[:, None]
    if strategy == "greedy":
        return _greedy(inputs, active, merge_repeated, mask_index)
    if not 1 <= top_paths <= beam_width:
        raise errors.bad_value(
            "ctc_decode(top_paths)", f"an int from 1 to beam_width = {beam_width}", repr(top_paths)
        )

    def search(x, active):
        labels, scores = _beam_search(x, active, beam_width, mask_index)
        return labels[:top_paths], scores[:top_paths]

    return jax.vmap(search, out_axes=(1, 0))(_log_probabilities(inputs), active)


def _greedy(inputs, active, merge_repeated, blank):
    labels = jnp.where(active, jnp.argmax(inputs, -1), blank).astype("int32")
    scores = -jnp.sum(jnp.where(active, jnp.max(inputs, -1), 0.0), axis=1, keepdims=True)
    kept = labels != blank
    if merge_repeated:
        kept = kept.at[:, 1:].set(kept[:, 1:] & (labels[:, 1:] != labels[:, :-1]))
    order = jnp.argsort(~kept, axis=-1, stable=True)  # labels first, in their order
    return jnp.take_along_axis(jnp.where(kept, labels, -1), order, axis=-1)[None], scores


def _beam_search(log_probs, active, beams, blank):
    """Return the best label sequences of one sample, best first, and their log-probabilities.

    A beam is a label sequence with two probabilities: of its alignments that end in the blank, and
    of those that end in its last label.
    """
    frames, classes = log_probs.shape
    places, numbers = jnp.arange(frames), jnp.arange(classes)
    never = jnp.full((beams,), -jnp.inf, log_probs.dtype)

    def step(state, frame):
        x, goes_on = frame
        labels, lengths, blanks, ends = state
        total = jnp.logaddexp(blanks, ends)
        last = jnp.where(lengths > 0, labels[jnp.arange(beams), lengths - 1], -1)
        again = last[:, None] == numbers
        grown = x + jnp.where(again, blanks[:, None], total[:, None])
        grown = grown.at[:, blank].set(-jnp.inf)
        # A beam that grows to what is a beam already (`children[i, j]`: beam i to beam j) joins it.
        shorter = jnp.where(places == (lengths - 1)[:, None], -1, labels)
        children = (shorter[None] == labels[:, None]).all(-1)
        children &= (lengths > 0) & (total > -jnp.inf)
        joining = jnp.where(children, grown[:, last], -jnp.inf)
        stay_blank = total + x[blank]
        stay_end = jnp.logaddexp(ends + x[last], jax.nn.logsumexp(joining, axis=0))
        joined = (children[:, :, None] & again[None]).any(1)
        grown = jnp.where(joined, -jnp.inf, grown)
        stay = jnp.logaddexp(stay_blank, stay_end)
        _, chosen = jax.lax.top_k(jnp.concatenate([stay, grown.ravel()]), beams)
        grows = chosen >= beams
        source = jnp.where(grows, (chosen - beams) // classes, chosen)
        label = (chosen - beams) % classes
        new = grows[:, None] & (places == lengths[source][:, None])
        after = (
            jnp.where(new, label[:, None], labels[source]),
            lengths[source] + grows,
            jnp.where(grows, -jnp.inf, stay_blank[source]),
            jnp.where(grows, grown[source, label], stay_end[source]),
        )
        return jax.tree.map(lambda a, b: jnp.where(goes_on, a, b), after, state), None

    start = (
        jnp.full((beams, frames), -1, "int32"), jnp.zeros((beams,), "int32"),
        never.at[0].set(0.0), never,
    )  # fmt: skip
    (labels, _, blanks, ends), _ = jax.lax.scan(step, start, (log_probs, active))
    scores, order = jax.lax.top_k(jnp.logaddexp(blanks, ends), beams)
    return labels[order], scores
