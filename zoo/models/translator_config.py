"""What a translator is made of, and the shapes of its weights that follow from it."""

from dataclasses import dataclass, fields

from zoo.layers.attention_lstm import SCORES
from zoo.models import encoder
from zoo.models.encoder import RECURRENT, recurrent_shapes

ATTENTION = (*SCORES, "none")
SIZES = ("source_vocabulary_size", "target_vocabulary_size", "units", "layers", "embedding_size")


@dataclass(frozen=True)
class TranslatorConfig:
    """What a translator is made of."""

    source_vocabulary_size: int
    target_vocabulary_size: int
    recurrent: str = "lstm"  # of the encoder, and of the decoder's layers but the one that attends; a key of RECURRENT
    units: int = 512  # of each layer; the two directions of the encoder's first one have half of them each
    layers: int = 1  # of the encoder, and of the decoder; from the second on they are residual
    embedding_size: int = 256
    attention: str = "additive"  # the score of zoo.layers.AttentionLSTM, or "none" for a decoder that only remembers
    attend: str = "before"  # or "after" the decoder's step
    shared_embedding: bool = False  # one embedding for source and target, which then have one vocabulary
    tied: bool = True  # whether the softmax uses the matrix of the target's embedding
    forget_bias: float = 1.0  # at the start; lstm, peephole, mlstm and the attention LSTM
    # Dropout is variational (Gal & Ghahramani 2016): one mask for all timesteps of a sentence.
    embedding_dropout: float = 0.0
    dropout: float = 0.0  # after each layer, and before the softmax
    recurrent_dropout: float = 0.0  # of the hidden state on its way to the recurrent kernel

    def __post_init__(self):
        for name, known in (("recurrent", RECURRENT), ("attention", ATTENTION), ("attend", ("before", "after"))):
            if getattr(self, name) not in known:
                raise ValueError(f"`{name}` must be one of {list(known)}. Received: {name}={getattr(self, name)!r}")
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith("dropout") and not 0 <= value < 1:
                raise ValueError(f"`{field.name}` must be at least 0 and below 1. Received: {field.name}={value!r}")
            if field.name in SIZES and (type(value) is not int or value < 1):
                raise ValueError(f"`{field.name}` must be a positive int. Received: {field.name}={value!r}")
        if self.units % 2:
            raise ValueError(f"`units` must be even, half for each direction of reading. Received: units={self.units}")
        if self.shared_embedding and self.source_vocabulary_size != self.target_vocabulary_size:
            raise ValueError(
                "`shared_embedding` is for one vocabulary. Received: "
                f"source_vocabulary_size={self.source_vocabulary_size}, "
                f"target_vocabulary_size={self.target_vocabulary_size}"
            )

    @property
    def vocabulary_size(self):
        """Of source and target, as `zoo.tokenizers.TokenizerPair` has it."""
        return self.source_vocabulary_size, self.target_vocabulary_size

    @property
    def state_counts(self):
        """How many states each layer of the decoder begins with."""
        others = 1 if self.recurrent in ("rnn", "gru") else 2
        return ((others if self.attention == "none" else 2), *[others] * (self.layers - 1))

    def weight_shapes(self):
        """The name and shape of every weight, in order, without building anything."""
        units, size = self.units, self.embedding_size
        attends = self.attention != "none"
        shapes = {}

        def add(name, weights):
            shapes.update({f"{name}/{weight}": shape for weight, shape in weights.items()})

        add("source_embedding", {"embeddings": (self.source_vocabulary_size, size)})
        if not self.shared_embedding:
            add("target_embedding", {"embeddings": (self.target_vocabulary_size, size)})
        for name in ("forward", "backward"):
            add(f"encoder_0_{name}", recurrent_shapes(self.recurrent, size, units // 2))
        for i in range(1, self.layers):
            add(f"encoder_{i}", recurrent_shapes(self.recurrent, units, units))
        states = sum(self.state_counts) * units
        add("bridge", {"kernel": (self.layers * units, states), "bias": (states,)})
        first = recurrent_shapes("lstm" if attends else self.recurrent, size, units)
        add("decoder_0", first | (self._attention_shapes() if attends else {}))
        seen = 2 * units if attends else units  # by what stands above the first layer: the context, too
        for i in range(1, self.layers):
            add(f"decoder_{i}", recurrent_shapes(self.recurrent, seen, units))
        add("readout", {"kernel": (seen + size, size), "bias": (size,)})
        output = {} if self.tied else {"kernel": (size, self.target_vocabulary_size)}
        add("output", output | {"bias": (self.target_vocabulary_size,)})
        return shapes

    def _attention_shapes(self):
        units = self.units
        if self.attend == "before":
            shapes = {"context_kernel": (units, 4 * units)}
        else:
            shapes = {"feeding_kernel": (units, 4 * units), "attention_kernel": (2 * units, units)}
        if self.attention not in ("dot", "scaled_dot"):
            shapes["key_kernel"] = (units, units)
        if self.attention in ("additive", "normalized_additive"):
            shapes |= {"query_kernel": (units, units), "score_kernel": (units, 1)}
        if self.attention == "normalized_additive":
            shapes |= {"score_bias": (units,), "score_gain": ()}
        return shapes


SCHEMA = {
    "source_vocabulary_size": encoder.SCHEMA["vocabulary_size"],
    "target_vocabulary_size": encoder.SCHEMA["vocabulary_size"],
    **{name: encoder.SCHEMA[name] for name in ("recurrent", "units", "layers", "embedding_size")},
    "attention": {"enum": list(ATTENTION)},
    "attend": {"enum": ["before", "after"]},
    "shared_embedding": {"type": "boolean"},
    "tied": {"type": "boolean"},
    **{name: encoder.SCHEMA[name] for name in ("forget_bias", "embedding_dropout", "dropout", "recurrent_dropout")},
}  # of TranslatorConfig in a checkpoint
