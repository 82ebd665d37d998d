"""Tokenizers in TensorFlow's own operations, for models that take texts where there is no Python."""

import tensorflow as tf

from zoo.tokenizers import ByteTokenizer, CharacterTokenizer

LINES, OTHER = r"\t-\r", r"\t\v-\r"  # with and without the newline
SPACE = r"\t-\r \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}"
CUT = "\ufdd0"  # no character, so in no text; stands between words
WORD = rf"('s|'t|'re|'ve|'m|'ll|'d| ?\p{{L}}+| ?\p{{N}}+| ?[^{SPACE}\p{{L}}\p{{N}}{CUT}]+|[{SPACE}]+)"  # of GPT-2


ENTITIES = {"&lt;": "<", "&gt;": ">", "&quot;": '"', "&#39;": "'", "&apos;": "'", "&nbsp;": "\u00a0", "&amp;": "&"}


class GraphTokenizer(tf.Module):
    """Called with texts, string `(batch,)`, gives ragged int32 `(batch, None)`; `decode` takes dense ids back."""

    def prepared(self, texts, tokenizer):
        """Documents as `tokenizer.encode_document` prepares them; of HTML's entities it knows `ENTITIES` only."""
        if tokenizer.preparation == "plain":
            return texts
        for entity, character in ENTITIES.items():
            texts = tf.strings.regex_replace(texts, entity, character)
        texts = tf.strings.regex_replace(texts, rf"<br[{SPACE}]*/?>", "\n")
        texts = tf.strings.regex_replace(texts, rf"^[{SPACE}]+|[{SPACE}]+$", "")
        texts = tf.strings.regex_replace(texts, rf"[{SPACE}]*\n[{SPACE}]*", "\n")
        texts = tf.strings.regex_replace(texts, rf"[{SPACE.replace(LINES, OTHER)}]+", " ")
        return tf.strings.join(["\n ", texts, " "])

    def decode(self, ids):
        return tf.strings.reduce_join(tf.gather(self.pieces, ids), axis=-1)


class Bytes(GraphTokenizer):
    """As `zoo.tokenizers.ByteTokenizer`."""

    def __init__(self, tokenizer):
        super().__init__()
        self.pieces = tf.constant([bytes([byte]) for byte in range(256)])

    def __call__(self, texts):
        split = tf.strings.bytes_split(texts)
        return split.with_flat_values(_bytes_of(split.flat_values))


class Characters(GraphTokenizer):
    """As `zoo.tokenizers.CharacterTokenizer`, with id 0 for what it does not know."""

    def __init__(self, tokenizer):
        super().__init__()
        known = list(tokenizer.characters)
        self.pieces = tf.constant(["\ufffd", *known])
        entries = tf.lookup.KeyValueTensorInitializer(tf.constant(known), tf.range(1, len(known) + 1))
        self.ids = tf.lookup.StaticHashTable(entries, 0)

    def __call__(self, texts):
        split = tf.strings.unicode_split(texts, "UTF-8", errors="replace")
        return split.with_flat_values(self.ids.lookup(split.flat_values))


class Subwords(GraphTokenizer):
    """As `zoo.tokenizers.SubwordTokenizer`: cuts a text into words, then merges the pairs of each in their order."""

    def __init__(self, tokenizer):
        super().__init__()
        self.lowercase, self.size = tokenizer.lowercase, tokenizer.vocabulary_size
        id_of = {piece: i for i, piece in enumerate(tokenizer._pieces)}
        self.byte_ids = tf.constant([tokenizer.byte_id(byte) for byte in range(256)])
        self.pieces = tf.constant(tokenizer._bytes)
        pairs = [merge.split(" ") for merge in tokenizer.merges]
        keys = [id_of[left] * self.size + id_of[right] for left, right in pairs]
        self.count = len(keys)
        self.merged = tf.constant([id_of[left + right] for left, right in pairs] + [0])
        entries = tf.lookup.KeyValueTensorInitializer(tf.constant(keys, tf.int64), tf.range(self.count))
        self.rank = tf.lookup.StaticHashTable(entries, self.count)  # of a pair; `count` for one that is not merged

    def __call__(self, texts):
        texts = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace")
        if self.lowercase:
            texts = tf.strings.lower(texts, "utf-8")
        # A run of spaces before a word leaves its last one to the word.
        texts = tf.strings.regex_replace(texts, rf"([{SPACE}])([{SPACE}][^{SPACE}])", rf"\1{CUT}\2")
        texts = tf.strings.regex_replace(texts, WORD, rf"\1{CUT}")
        words = tf.strings.split(texts, CUT)
        words = tf.ragged.boolean_mask(words, words != "")
        split = tf.strings.bytes_split(words.flat_values)
        ids = split.with_flat_values(tf.gather(self.byte_ids, _bytes_of(split.flat_values)))
        merged = self._merge(ids.to_tensor(-1))
        merged = tf.RaggedTensor.from_tensor(merged, lengths=tf.reduce_sum(tf.cast(merged >= 0, tf.int64), axis=1))
        return tf.RaggedTensor.from_row_lengths(merged, words.row_lengths()).merge_dims(1, 2)

    def _merge(self, ids):
        """Merges, in each row of `(words, time)`, the leftmost pair of the first rank, until there is none."""

        def ranks(ids):
            left, right = ids[:, :-1], ids[:, 1:]
            found = self.rank.lookup(tf.cast(left, tf.int64) * self.size + tf.cast(right, tf.int64))
            return tf.where(right >= 0, found, self.count)

        def unfinished(ids):
            return tf.reduce_any(ranks(ids) < self.count)

        def merge(ids):
            found = ranks(ids)
            first = tf.reduce_min(found, axis=1)
            place = tf.cast(tf.argmin(found, axis=1), tf.int32)
            place = tf.where(first < self.count, place, tf.shape(ids)[1])  # beyond the end where nothing is merged
            at = tf.range(tf.shape(ids)[1])[None]
            moved = tf.concat([ids[:, 1:], -tf.ones_like(ids[:, :1])], axis=1)
            merged = tf.gather(self.merged, first)[:, None]
            return tf.where(at < place[:, None], ids, tf.where(at == place[:, None], merged, moved))

        shapes = [tf.TensorShape([None, None])]
        return tf.while_loop(unfinished, lambda ids: [merge(ids)], [ids], shape_invariants=shapes)[0]


def graph_tokenizer(tokenizer):
    """The `GraphTokenizer` of a tokenizer."""
    kinds = {ByteTokenizer: Bytes, CharacterTokenizer: Characters}
    return kinds.get(type(tokenizer), Subwords)(tokenizer)


def _bytes_of(strings):
    """int32 `(n,)` of strings of one byte each."""
    return tf.cast(tf.reshape(tf.io.decode_raw(strings, tf.uint8), [-1]), tf.int32)
