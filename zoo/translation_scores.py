"""How good translations are: BLEU (Papineni et al. 2002) and chrF (Popović 2015), as sacrebleu counts (Post 2018)."""

import time


def evaluate_translations(model, pairs, progress=None, **search):
    """BLEU and chrF of a translator on pairs of sentences, cased and detokenised.

    Args:
        model: a `zoo.models.Translator`.
        pairs: list of `zoo.pairs.Pair`s.
        progress: called with the number of sentences done and in all.
        search: arguments of `zoo.models.Translator.translate`.

    Returns:
        Dict with `bleu`, `chrf`, `sentences`, `sentences_per_second`, and the `bleu_signature` and `chrf_signature` by
        which others can count the same way. BLEU counts sequences of up to four words; where no reference has four,
        up to as many as there are.
    """
    from sacrebleu.metrics import BLEU, CHRF

    start = time.monotonic()
    found = model.translate([pair.source for pair in pairs], progress=progress, **search)
    seconds = time.monotonic() - start
    figures, order = {}, min(4, max(len(pair.target.split()) for pair in pairs))
    for name, metric in (("bleu", BLEU(max_ngram_order=order)), ("chrf", CHRF())):
        figures[name] = metric.corpus_score(found, [[pair.target for pair in pairs]]).score
        figures[f"{name}_signature"] = str(metric.get_signature())
    return {**figures, "sentences": len(pairs), "sentences_per_second": len(pairs) / seconds}
