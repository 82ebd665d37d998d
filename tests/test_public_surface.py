"""What users can rely on: the public names and the arguments they take. A change here is a change for them."""

import inspect
import re

import zoo

SURFACE = """
zoo.finetune(base, data, text_column='text', label_column='label', *, output, pretrained=True, validation=0.1, \
bad_rows='error', pooling=('last', 'max', 'mean'), hidden_units=0, embedding_dropout=0.0, dropout=0.2, \
recurrent_dropout=0.0, head_dropout=0.3, class_weights=None, longest=1024, \
batch_tokens=16384, epochs=6, patience=2, learning_rate=0.001, layer_decay=0.5, \
unfreeze_epochs=0.0, average=0.99, seed=1, dtype='float16', checkpoint_minutes=5.0, command=None, report=<print>)
zoo.finetune_translator(base, source, target=None, *, output, validation=0.05, bad_rows='error', reverse=False, \
epochs=5, patience=2, learning_rate=0.0005, batch_tokens=2048, label_smoothing=0.1, average=0.99, seed=1, \
dtype='float16', checkpoint_minutes=5.0, command=None, report=<print>)
zoo.dynamic_evaluation.score(model, text, learning_rate, decay=0.001, steps=32, clip_norm=1.0, progress=None)
zoo.export(model, path, format='keras')
zoo.info(name, revision=None, *, local_files_only=False, cache_dir=None)
zoo.list_models(pattern='*', task=None)
zoo.load(name, revision=None, *, local_files_only=False, cache_dir=None)
zoo.publish(model, repo, *, revision='main', private=True, create_pr=False, about=None)
zoo.save(model, folder, manifest=None, dtype='float32')
zoo.models.Classifier.classify(texts, batch_size=64, progress=None)
zoo.models.Classifier.trace(text)
zoo.models.LanguageModel.features(texts, batch_size=64, progress=None)
zoo.models.LanguageModel.generate(prompt='', length=400, temperature=1.0, top_k=None, top_p=None, seed=None, \
stop=None, clamp=None)
zoo.models.LanguageModel.stream(prompt='', length=400, temperature=1.0, top_k=None, top_p=None, seed=None, \
stop=None, clamp=None)
zoo.models.LanguageModel.score(text, progress=None)
zoo.models.LanguageModel.step(tokens, state)
zoo.models.LanguageModel.initial_state(batch_size=1)
zoo.models.Translator.translate(text, beam_width=5, length_penalty=0.6, coverage_penalty=0.0, n_best=1, \
return_alignments=False, batch_size=32, progress=None)
zoo.models.Translator.step(tokens, states, memory, keys, mask=None)
zoo.models.Translator.encode(source, mask=None, training=False)
""".strip().splitlines()


def signature(path):
    value = zoo
    for name in path.split(".")[1:]:
        value = getattr(value, name)
    shown = re.sub(r"<built-in function (\w+)>", r"<\1>", str(inspect.signature(value)))
    return f"{path}{shown}".replace("(self, ", "(")


def test_signatures():
    assert [signature(line.split("(")[0]) for line in SURFACE] == SURFACE


def test_names():
    assert set(zoo.__all__) == {
        "checkpoint",
        "dynamic_evaluation",
        "errors",
        "export",
        "finetune",
        "finetune_translator",
        "info",
        "layers",
        "list_models",
        "load",
        "models",
        "publish",
        "samplers",
        "save",
        "streams",
        "tokenizers",
        "training",
    }
    assert set(zoo.layers.__all__) == {
        "AttentionLSTM",
        "AttentionLSTMCell",
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
