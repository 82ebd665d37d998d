"""Speed of the translator: training beside the same network in torch, and beam search beside greedy search.

    python benchmarks/translation.py

Target tokens a second of whole training steps (forward, backward, clipping, Adam), float32, CPU: 96 sentences of 32
tokens on both sides, 8,000 subwords, embedding 256, 512 units, additive attention, dropout of embeddings and softmax
alone, which both have. Searching: milliseconds for each token of a batch of 32 sentences of 32 tokens whose
translations have as many, by an untrained model.
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import keras  # noqa: E402
import numpy as np  # noqa: E402

import zoo  # noqa: E402
from benchmarks.layers import medians  # noqa: E402
from zoo.backend import training_step  # noqa: E402
from zoo.tokenizers import ByteTokenizer, TokenizerPair  # noqa: E402

ROWS, TIME, VOCABULARY, EMBEDDING, UNITS, DROPOUT = 96, 32, 8000, 256, 512, 0.3
SEARCHED, LIMIT = 32, 32


class Vocabulary(ByteTokenizer):
    """Bytes that claim to be subwords: what the tokens mean does not matter here."""

    vocabulary_size = VOCABULARY


def translator():
    config = zoo.models.TranslatorConfig(
        VOCABULARY, VOCABULARY, units=UNITS, embedding_size=EMBEDDING, embedding_dropout=DROPOUT, dropout=DROPOUT
    )
    return zoo.models.Translator(config, TokenizerPair(Vocabulary(), Vocabulary()))


def batch():
    random = np.random.default_rng(0)
    source, target = random.integers(0, VOCABULARY, (ROWS, TIME)), random.integers(0, VOCABULARY, (ROWS, TIME + 1))
    lengths = np.full(ROWS, TIME)
    return tuple(x.astype("int32") for x in (source, lengths, target, lengths + 1))


def zoo_training():
    """A function that takes one training step."""
    model, arrays = translator(), batch()
    optimizer = keras.optimizers.Adam(1e-3, global_clipnorm=1.0)
    optimizer.build(model.trainable_variables)
    step, _ = training_step(model, optimizer, model.training_loss)
    return lambda: float(step(arrays, ())[0])


def torch_training():
    """The same with `torch.nn.LSTM` and a loop around `torch.nn.LSTMCell`."""
    import torch
    from torch import nn

    torch.set_num_threads(os.cpu_count())

    class Translator(nn.Module):
        def __init__(self):
            super().__init__()
            self.source, self.target = nn.Embedding(VOCABULARY, EMBEDDING), nn.Embedding(VOCABULARY, EMBEDDING)
            self.dropout = nn.Dropout(DROPOUT)
            self.encoder = nn.LSTM(EMBEDDING, UNITS // 2, bidirectional=True, batch_first=True)
            self.bridge = nn.Linear(UNITS, 2 * UNITS)
            self.keys, self.query = nn.Linear(UNITS, UNITS, bias=False), nn.Linear(UNITS, UNITS, bias=False)
            self.score = nn.Linear(UNITS, 1, bias=False)
            self.cell = nn.LSTMCell(EMBEDDING + UNITS, UNITS)
            self.readout = nn.Linear(2 * UNITS + EMBEDDING, EMBEDDING)
            self.bias = nn.Parameter(torch.zeros(VOCABULARY))

        def forward(self, source, target):
            memory, (final, _) = self.encoder(self.dropout(self.source(source)))
            h, c = torch.tanh(self.bridge(torch.cat([final[0], final[1]], -1))).chunk(2, -1)
            memory, embedded = self.dropout(memory), self.dropout(self.target(target))
            keys, outputs = self.keys(memory), []
            for x in embedded.unbind(1):
                alignment = torch.softmax(self.score(torch.tanh(keys + self.query(h)[:, None]))[..., 0], -1)
                context = (alignment[:, None] @ memory)[:, 0]
                h, c = self.cell(torch.cat([x, context], -1), (h, c))
                outputs.append(torch.cat([h, context, x], -1))
            x = self.dropout(torch.tanh(self.readout(torch.stack(outputs, 1))))
            return x @ self.target.weight.T + self.bias

    model = Translator()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    source, _, target, _ = (torch.tensor(x, dtype=torch.long) for x in batch())
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.1)

    def step():
        optimizer.zero_grad()
        logits = model(source, target[:, :-1])
        loss = loss_of(logits.reshape(-1, VOCABULARY), target[:, 1:].reshape(-1))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return float(loss.detach())

    return step


def searching(model, width):
    """A function that searches the translations of a batch, each of LIMIT tokens: the end is made impossible."""
    source, lengths, _, _ = (x[:SEARCHED] for x in batch())
    limits, penalties = np.full(SEARCHED, LIMIT, "int32"), np.array([0.6, 0.0], "float32")
    bias = np.zeros(VOCABULARY, "float32")
    bias[model.tokenizer.end_id] = -1e9
    model.output_layer.bias.assign(bias)

    def run():
        ended, _ = model.search(width, LIMIT)(source, lengths, limits, penalties)
        return keras.ops.convert_to_numpy(ended.score)

    return run


def main():
    found = medians({"zoo": zoo_training(), "torch": torch_training()}, 7)
    print("| training | target tokens a second |\n| --- | --- |")
    for name, seconds in found.items():
        print(f"| {name} | {ROWS * TIME / seconds:,.0f} ({found['torch'] / seconds:.2f} x torch) |")
    model = translator()
    found = medians({f"beam of {width}": searching(model, width) for width in (1, 4, 5)}, 7)
    print("\n| searching | milliseconds a token, 32 sentences |\n| --- | --- |")
    for name, seconds in found.items():
        print(f"| {name} | {seconds * 1000 / LIMIT:.2f} ({seconds / found['beam of 1']:.2f} x greedy) |")


if __name__ == "__main__":
    main()
