"""Every shipped checkpoint: loads, writes, scores, and its card and tables are what its manifest says."""

import hashlib

import pytest

import zoo
from recipes import ship
from zoo import cards
from zoo.presets import PRESETS
from zoo.verification import verify

SONNET = """Shall I compare thee to a summer's day?
Thou art more lovely and more temperate:
Rough winds do shake the darling buds of May,
And summer's lease hath all too short a date;
"""  # Shakespeare, sonnet 18; no part of the training text
FUNCTION = """static int __init init_module(void)
{
	int ret = 0;

	if (ret < 0)
		return -EINVAL;
	return 0;
}
"""

REVIEW = """I had no great hopes for this one, but the acting is superb and the story kept me guessing.
My wife fell asleep after half an hour. Still, one of the better thrillers of that year.
"""
ARTICLE = """ = Arch bridge =

 An arch bridge is a bridge with abutments at each end shaped as a curved arch . The oldest bridges of this type were
 built by the Greeks , and the Romans were the first to use them for whole roads and aqueducts .
"""
TEXTS = {"shakespeare": SONNET, "linux": FUNCTION, "reviews": REVIEW, "wikitext": ARTICLE}
OPINIONS = {
    "pos": ["An absolute joy from start to finish.", "Not bad at all, I loved every minute of it.", "Superb acting!"],
    "neg": ["A dreadful bore.", "I wanted to like it, but it is a complete mess.", "Don't waste your money on this."],
}


def each(task=None):
    return pytest.mark.parametrize("name", zoo.list_models(task=task))


@each("language-model")
def test_loads_writes_and_predicts_its_kind_of_text(name):
    model = zoo.load(name)
    text = model.generate("\n", length=120, temperature=0.7, seed=1)
    assert len(text) == 120 and text == model.generate("\n", length=120, temperature=0.7, seed=1)
    (kind,) = (kind for kind in TEXTS if kind in name)
    scores = {other: model.score(text).nats_per_character for other, text in TEXTS.items()}
    assert scores[kind] == min(scores.values()) < 2.0 < max(scores.values())  # English is English, but no C


@each("text-classification")
def test_knows_an_opinion_and_where_it_turns(name):
    model = zoo.load(name)
    for label, texts in OPINIONS.items():
        assert [result.label for result in model.classify(texts)] == [label] * len(texts)
    trace = model.trace("I loved every minute of the first half. Then it fell apart, and the rest is awful.")
    turn = trace.pieces.index(".")
    assert trace.moment_scores[turn] > 0 > trace.moment_scores[-1]


SENTENCES = {  # and what their translations must have, in this order
    "attention-en-de": {
        "A man is riding a bicycle.": ("Mann", "fährt", "Fahrrad"),
        "Two dogs are playing in the snow.": ("Hunde", "spielen", "Schnee"),
        "I have never seen him.": ("Ich", "habe", "gesehen"),
    },
    "attention-en-fr": {
        "A man is riding a bicycle.": ("homme", "vélo"),
        "Two dogs are playing in the snow.": ("Deux", "chiens", "neige"),
        "I have never seen him.": ("jamais", "vu"),
    },
}


@each("translation")
def test_translates_captions_and_everyday_sentences(name):
    model = zoo.load(name)
    for sentence, words in SENTENCES[name].items():
        result = model.translate(sentence, return_alignments=True)
        places = [result.text.find(word) for word in words]
        assert -1 not in places and places == sorted(places), result.text
        looked = result.alignment.sum(axis=1)  # the rest at the end of the sentence
        assert (looked <= 1.001).all() and looked.mean() > 0.7


@each()
def test_the_manifest_tells_where_it_comes_from(name):
    info = zoo.info(name)
    assert info["training"]["command"].startswith("python recipes/")
    assert len(info["training"]["data"]["sha256"]) == 64
    assert info["training"].keys() >= {"seed", "versions", "hardware", "minutes"}
    first, *others = (metric["command"] for metric in info["metrics"])
    assert first.startswith(f"zoo evaluate {name} ")
    assert all(command.startswith(("zoo ", "python recipes/")) for command in others)


@each()
def test_the_card_is_the_generated_one(name):
    found = verify(ship.ROOT / "checkpoints" / name, PRESETS[name]["manifest_sha256"])
    expected = cards.card(name, found.config, found.manifest, len(found.contents["model.safetensors"]))
    assert found.contents["README.md"].decode() == expected


def test_model_cards_and_presets_are_the_generated_ones():
    for path, text in ship.generated().items():
        assert path.read_text() == text, f"{path} is stale: run python recipes/ship.py"


def test_size():
    files = [path for path in (ship.ROOT / "checkpoints").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 120 * 2**20


def test_presets_know_every_checkpoint():
    assert sorted(PRESETS) == sorted(path.parent.name for path in (ship.ROOT / "checkpoints").glob("*/manifest.json"))
    for name, preset in PRESETS.items():
        manifest = (ship.ROOT / "checkpoints" / name / "manifest.json").read_bytes()
        assert hashlib.sha256(manifest).hexdigest() == preset["manifest_sha256"]


@pytest.mark.parametrize(
    "recipe, name, said",
    [
        ("char_lm", "mlstm-shakespeare", "reached {nats_per_character:.4f} nats a character"),
        ("byte_lm", "mlstm-wikitext2", "reached {bits_per_byte:.4f} bits a byte and {word_perplexity:.1f}"),
    ],
)
def test_the_recipe_claims_what_its_checkpoint_reached(recipe, name, said):
    info = zoo.info(name)
    claim = " ".join((ship.ROOT / "recipes" / f"{recipe}.py").read_text().split('"""')[1].split())
    assert f"took {info['training']['minutes']:.0f} minutes" in claim
    assert said.format(**info["metrics"][0]["figures"]) in claim
