"""What users can rely on: the public names and the arguments they take. A change here is a change for them."""

import inspect

import zoo

SURFACE = """
zoo.info(name)
zoo.list_models(pattern='*', task=None)
zoo.load(name)
zoo.save(model, folder, manifest=None, dtype='float32')
zoo.models.LanguageModel.generate(prompt='', length=400, temperature=1.0, top_k=None, top_p=None, seed=None, stop=None)
zoo.models.LanguageModel.stream(prompt='', length=400, temperature=1.0, top_k=None, top_p=None, seed=None, stop=None)
zoo.models.LanguageModel.score(text, progress=None)
zoo.models.LanguageModel.step(tokens, state)
zoo.models.LanguageModel.initial_state(batch_size=1)
""".strip().splitlines()


def signature(path):
    value = zoo
    for name in path.split(".")[1:]:
        value = getattr(value, name)
    return f"{path}{inspect.signature(value)}".replace("(self, ", "(")


def test_signatures():
    assert [signature(line.split("(")[0]) for line in SURFACE] == SURFACE


def test_names():
    assert set(zoo.__all__) == {
        "checkpoint",
        "errors",
        "info",
        "layers",
        "list_models",
        "load",
        "models",
        "samplers",
        "save",
        "streams",
        "tokenizers",
        "training",
    }
    assert set(zoo.layers.__all__) == {
        "GRU",
        "LSTM",
        "LSTMCell",
        "MultiplicativeLSTM",
        "MultiplicativeLSTMCell",
        "PeepholeLSTM",
        "PeepholeLSTMCell",
        "SimpleRNN",
    }
    assert all(hasattr(zoo, name) for name in zoo.__all__)


def test_every_public_thing_has_a_docstring():
    for module in (zoo, zoo.layers, zoo.models):
        for name in module.__all__:
            assert inspect.getdoc(getattr(module, name)), name
