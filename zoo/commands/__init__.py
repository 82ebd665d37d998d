"""The commands of `zoo`, one a file: `SUMMARY`, `arguments(add)` and `run(options)`.

What several of them have in common: `search` and `sentence_pairs`, groups of options, and `terminal`.
"""
