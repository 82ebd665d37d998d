"""What the cards of the shipped checkpoints say beyond their figures: licence, terms of the training data, limits."""

import fnmatch

REVIEWS = {
    "license": "other",
    "language": ["en"],
    "datasets": ["stanfordnlp/imdb"],
    "terms": "Trained on the film reviews of Maas et al. 2011, which their authors, users of IMDB, have not licensed: "
    "the reviews themselves must not be passed on, and the paper is to be cited. The weights are given for research.",
}
CAPTIONS = {
    "license": "cc-by-nc-4.0",
    "terms": "Trained on Multi30k (Elliott et al. 2016; captions of Flickr30k's pictures, for non-commercial research "
    "and education) and on Tatoeba's sentences (CC BY 2.0 FR, tatoeba.org).",
    "limits": "It knows captions of pictures and the short everyday sentences of Tatoeba.",
}
ABOUT = {
    "*-shakespeare*": {
        "license": "apache-2.0",
        "language": ["en"],
        "datasets": ["karpathy/tiny_shakespeare"],
        "terms": "Trained on about 1 MB of Shakespeare's plays, which are in the public domain.",
        "limits": "It knows 65 characters, no digits but 3 among them.",
    },
    "mlstm-linux": {
        "license": "gpl-2.0",
        "language": ["en"],
        "terms": "Trained on sources of the Linux kernel 2.6.11, under GPL-2.0; it can repeat passages of them.",
        "limits": "What it writes looks like C and does not compile.",
    },
    "mlstm-reviews": REVIEWS,
    "mlstm-sentiment": {**REVIEWS, "limits": "It was made for reviews of films; irony and mixed reviews mislead it."},
    "mlstm-wikitext2": {
        "license": "cc-by-sa-3.0",
        "language": ["en"],
        "datasets": ["Salesforce/wikitext"],
        "terms": "Trained on WikiText-2 (Merity et al. 2016), good and featured articles of Wikipedia, CC BY-SA 3.0.",
        "limits": "It writes WikiText's own English: punctuation apart from the words, `<unk>` for rare ones, ` @-@ ` "
        "for a hyphen.",
    },
    "attention-en-de": {**CAPTIONS, "language": ["en", "de"], "datasets": ["bentrevett/multi30k"]},
    "attention-en-fr": {**CAPTIONS, "language": ["en", "fr"]},
}
MEASURED_ON = {  # data sets on the hub; Multi30k has no French there
    "imdb/test": "stanfordnlp/imdb",
    "the test file of wikitext2": "Salesforce/wikitext",
    "test_2016_flickr.en, test_2016_flickr.de": "bentrevett/multi30k",
}


def entries(name, manifest):
    """Entries for the manifest of a shipped checkpoint, a dict.

    Args:
        name: of the checkpoint.
        manifest: dict with its `metrics`.
    """
    found = [about for pattern, about in ABOUT.items() if fnmatch.fnmatch(name, pattern)]
    if not found:
        raise ValueError(f"recipes/about.py says nothing of {name}: add its licence and the terms of its data.")
    return {"about": found[0], "metrics": [_measured_on(metric) for metric in manifest.get("metrics", [])]}


def _measured_on(metric):
    """A metric, with the data set on the hub that it was measured on, if it is one."""
    found = [dataset for start, dataset in MEASURED_ON.items() if metric["data"].startswith(start)]
    own = {key: value for key, value in metric.items() if key != "dataset"}
    return {**own, "dataset": found[0]} if found else own
