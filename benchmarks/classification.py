"""Speed of classification, raw text to labels, beside the same network in torch.

    python benchmarks/classification.py --data test.jsonl.xz                       # reviews, such as IMDB's
    python benchmarks/classification.py --data test.jsonl.xz --model runs/probe    # any classifier

Texts a second at batch 64, all in one interleaved run; encoding is included. In torch the network is written as anyone
would: the products with the inputs of all timesteps at once, then a loop over time, `torch.nn.LSTM` where the layer is
that; texts sorted by length, each batch padded to its longest. Both give the same probabilities, which is checked.
"""

import argparse
import itertools
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.layers import medians  # noqa: E402

BATCH = 64


def without_sharing(model):
    """Texts to probabilities as the model does it, but with every token's products computed where it stands."""
    import numpy as np
    from keras import ops

    from zoo import reading
    from zoo.backend import compiled

    read = compiled(lambda tokens, mask, carry: model.read(tokens, carry, mask), model.variables)
    head = compiled(lambda carry: ops.softmax(model.logits(carry)), model.variables)

    def probabilities(texts):
        documents = [model.tokenizer.encode_document(text) for text in texts]
        result = np.zeros((len(texts), len(model.config.labels)), "float32")
        for indices, carry in reading.read(
            documents,
            lambda found, mask, carry: read(found.tokens[found.places], mask, carry),
            model.initial_carry,
            BATCH,
        ):
            result[indices] = ops.convert_to_numpy(head(carry))[: len(indices)]
        return result

    return probabilities


def torch_network(model):
    """Texts to probabilities by torch, with the weights of a `zoo.models.Classifier` of lstm or mlstm layers."""
    import numpy as np
    import torch
    from keras import ops

    torch.set_num_threads(os.cpu_count())
    config = model.config
    weights = {name: torch.tensor(ops.convert_to_numpy(w)) for name, w in model.named_weights().items()}
    layers = []
    for i in range(config.layers):
        own = {name.split("/")[1]: w for name, w in weights.items() if name.startswith(f"recurrent_{i}/")}
        layers.append({"lstm": _torch_lstm, "mlstm": _torch_mlstm}[config.recurrent](own))

    def pooled(hidden, final, mask):
        seen = mask[:, :, None]
        found = {
            "last": lambda: final[0],
            "cell": lambda: final[1],
            "max": lambda: hidden.masked_fill(~seen, -torch.inf).amax(1),
            "mean": lambda: (hidden * seen).sum(1) / seen.sum(1),
        }
        return torch.cat([found[name]() for name in config.pooling], dim=-1)

    def probabilities(texts):
        documents = [model.tokenizer.encode_document(text) for text in texts]
        order = np.argsort([-len(document) for document in documents], kind="stable")
        result = np.zeros((len(texts), len(config.labels)), "float32")
        with torch.inference_mode():
            for indices in np.split(order, range(BATCH, len(order), BATCH)):
                lengths = torch.tensor([len(documents[i]) for i in indices])
                tokens = torch.zeros((len(indices), int(lengths.max())), dtype=torch.long)
                for row, i in zip(tokens, indices):
                    row[: len(documents[i])] = torch.from_numpy(documents[i].astype("int64"))
                mask = torch.arange(tokens.shape[1])[None] < lengths[:, None]
                x = weights["embedding/embeddings"][tokens]
                for layer in layers:
                    x, final = layer(x, lengths)
                z = pooled(x, final, mask)
                if config.hidden_units:
                    z = torch.relu(z @ weights["hidden/kernel"] + weights["hidden/bias"])
                z = z @ weights["output/kernel"] + weights["output/bias"]
                result[indices] = torch.softmax(z, -1).numpy()
        return result

    return probabilities


def _torch_lstm(weights):
    import torch

    features, units = weights["kernel"].shape[0], weights["recurrent_kernel"].shape[0]
    lstm = torch.nn.LSTM(features, units, batch_first=True)
    lstm.load_state_dict(
        {
            "weight_ih_l0": weights["kernel"].T,
            "weight_hh_l0": weights["recurrent_kernel"].T,
            "bias_ih_l0": weights["bias"],
            "bias_hh_l0": torch.zeros(4 * units),
        }
    )

    def run(x, lengths):
        packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True)
        hidden, (last, cell) = lstm(packed)
        return torch.nn.utils.rnn.pad_packed_sequence(hidden, batch_first=True)[0], (last[0], cell[0])

    return run


def _torch_mlstm(weights):
    import torch

    w, u, b = weights["kernel"], weights["recurrent_kernel"], weights["bias"]
    m_x, m_h = weights["multiplicative_kernel"], weights["multiplicative_recurrent_kernel"]

    def run(x, lengths):
        z_x, by_input = x @ w + b, x @ m_x
        h = c = x.new_zeros((len(x), len(m_h)))
        hidden = []
        for t in range(x.shape[1]):
            i, f, g, o = (z_x[:, t] + (by_input[:, t] * (h @ m_h)) @ u).chunk(4, dim=-1)
            new_c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            new_h = torch.sigmoid(o) * torch.tanh(new_c)
            seen = (t < lengths)[:, None]
            h, c = torch.where(seen, new_h, h), torch.where(seen, new_c, c)
            hidden.append(h)
        return torch.stack(hidden, dim=1), (h, c)

    return run


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path, help=".csv, .tsv or .jsonl with the texts")
    parser.add_argument("--text-column", default="text")
    parser.add_argument("--model", default="mlstm-sentiment")
    parser.add_argument("--count", type=int, default=1024, help="how many of the texts")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()

    import numpy as np

    import zoo
    from zoo.rows import rows

    model = zoo.load(options.model)
    found = itertools.islice(rows(options.data, options.text_column, None), options.count)
    texts = [row.text for row in found]
    plain = without_sharing(model)
    runs = {f"zoo {options.model}": lambda: model.probabilities(texts, batch_size=BATCH)}
    runs["every token by itself"] = lambda: plain(texts)
    try:
        network = torch_network(model)
        runs["the same in torch"] = lambda: network(texts)
        difference = np.abs(model.probabilities(texts) - network(texts)).max()
    except ImportError:
        difference = None
    seconds = medians(runs, options.rounds)
    tokens = sum(len(model.tokenizer.encode_document(text)) for text in texts)
    print(f"{len(texts):,} texts of {options.data.name}, {tokens / len(texts):.0f} tokens each")
    if difference is not None:
        print(f"probabilities differ by {difference:.1e} at most")
    print("\n| | texts a second | tokens a second | zoo's gain |\n| --- | --- | --- | --- |")
    first = next(iter(seconds.values()))
    for name, value in seconds.items():
        print(f"| {name} | {len(texts) / value:.0f} | {tokens / value:,.0f} | {value / first:.2f} |")


if __name__ == "__main__":
    main()
