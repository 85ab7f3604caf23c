"""Makes the reference vectors of tests/tokenizer with Hugging Face `tokenizers`.

    python3 -m venv DIR && DIR/bin/pip install tokenizers
    DIR/bin/python tools/golden/tokenizer.py tests/tokenizer/golden

Four small tokenizers are trained on generated text, one for each family's settings, next to the demo
model's. 20,000 lines are generated from a seed by `line()` below, which tests/tokenizer/golden_lines.h
repeats in C++ over the same alphabets.json; only the SHA-256 of the ids of every 100 lines is kept, and
some lines in full for diagnosis. Decoding is kept the same way for random id sequences.
"""

import hashlib
import json
import pathlib
import sys
import unicodedata

import tokenizers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers, processors, trainers

LINES, LINES_PER_HASH, LINES_IN_FULL = 20_000, 100, 60
STREAMS, STREAMS_IN_FULL = 2_000, 40
MASK = (1 << 64) - 1


def random_bits(seed, counter):
    """base/hashing.h's random_bits."""
    z = (seed * 0xD1342543DE82EF95 + (counter + 1) * 0x9E3779B97F4A7C15) & MASK
    for _ in range(2):
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        z ^= z >> 31
    return z


class Draw:
    def __init__(self, seed):
        self.seed, self.counter = seed, 0

    def below(self, count):
        self.counter += 1
        return random_bits(self.seed, self.counter - 1) % count


def settled(code_point):
    """Assigned since Unicode 3.2 with the class it has today: no library's table can disagree."""
    old = unicodedata.ucd_3_2_0.category(chr(code_point))
    return old not in ("Cn", "Cs", "Co") and old[0] == unicodedata.category(chr(code_point))[0]


def settled_ranges(*blocks):
    ranges = []
    for low, high in blocks:
        for code_point in range(low, high + 1):
            if not settled(code_point):
                continue
            if ranges and ranges[-1][1] == code_point - 1:
                ranges[-1][1] = code_point
            else:
                ranges.append([code_point, code_point])
    return ranges


def alphabets():
    r = settled_ranges
    return {"classes": [
        {"name": "lower", "ranges": r((0x61, 0x7A))},
        {"name": "upper", "ranges": r((0x41, 0x5A))},
        {"name": "digits", "ranges": r((0x30, 0x39))},
        {"name": "ascii punctuation", "ranges": r((0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0x7E))},
        {"name": "controls", "ranges": [[0x01, 0x08], [0x0E, 0x1F], [0x7F, 0x84], [0x86, 0x9F]]},
        {"name": "line ends", "strings": ["\n", "\r\n", "\r", "\n\n", "\n \n", " \n", "\t\n", "\v", "\f"]},
        {"name": "spaces", "strings": [" ", "  ", "   ", "\t", "\t\t", " \t ", "      "]},
        {"name": "odd spaces", "strings": ["\u00a0", "\u1680", "\u2000", "\u2003", "\u2009", "\u200a", "\u2028",
                                            "\u2029", "\u202f", "\u3000", "\u0085", "\u180e", "\u200b", "\u200d",
                                            "\ufeff", "\u2060", "\u001c", "\u001f", "\u0000"]},
        {"name": "contractions", "strings": ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'T", "'RE", "'Ll",
                                              "'\u017f", "I'm", "don't", "we'VE", "\u2019s", "''s", " 's"]},
        {"name": "latin", "ranges": r((0xC0, 0x17F))},
        {"name": "latin more", "ranges": r((0x180, 0x24F), (0x1E00, 0x1EFF))},
        {"name": "combining", "ranges": r((0x300, 0x34E), (0x360, 0x36F))},
        {"name": "greek", "ranges": r((0x370, 0x3FF), (0x1F00, 0x1FFF))},
        {"name": "cyrillic", "ranges": r((0x400, 0x4FF))},
        {"name": "hebrew", "ranges": r((0x591, 0x5F4))},
        {"name": "arabic", "ranges": r((0x621, 0x6D3), (0x6F0, 0x6F9))},
        {"name": "devanagari", "ranges": r((0x901, 0x96F))},
        {"name": "bengali tamil", "ranges": r((0x981, 0x9FA), (0xB82, 0xBF2))},
        {"name": "thai lao", "ranges": r((0xE01, 0xE5B), (0xE81, 0xEDD))},
        {"name": "tibetan", "ranges": r((0xF00, 0xFCF))},
        {"name": "hangul", "ranges": r((0xAC00, 0xD7A3))},
        {"name": "jamo", "ranges": r((0x1100, 0x1112), (0x1161, 0x1175), (0x11A8, 0x11C2))},
        {"name": "kana", "ranges": r((0x3041, 0x30FE))},
        {"name": "han", "ranges": r((0x4E00, 0x9FA5))},
        {"name": "compatibility", "ranges": r((0xF900, 0xFA2D), (0xFB00, 0xFB4F), (0xFF01, 0xFF9F))},
        {"name": "symbols", "ranges": r((0x2010, 0x2027), (0x2030, 0x2057), (0x20A0, 0x20B1), (0x2100, 0x214B),
                                         (0x2190, 0x23CE), (0x2460, 0x24FE), (0x2500, 0x2614))},
        {"name": "numbers", "ranges": r((0xB2, 0xB3), (0xBC, 0xBE), (0x660, 0x669), (0x966, 0x96F), (0x2070, 0x2089),
                                         (0x2153, 0x2183), (0x3021, 0x3029), (0x1D7CE, 0x1D7FF))},
        {"name": "astral", "ranges": r((0x10300, 0x1031E), (0x10400, 0x10425), (0x1D400, 0x1D454), (0x20000, 0x200FF))},
        {"name": "emoji", "strings": ["😀", "👍🏽", "👩‍💻", "🇩🇪", "❤️", "👨‍👩‍👧‍👦", "1️⃣", "🏳️‍🌈", "🤖", "🫠"]},
        {"name": "composing", "strings": ["e\u0301", "a\u0323\u0302", "a\u0302\u0323", "o\u031b\u0301", "\u212b", "\u1112\u1161\u11ab",
                                           "q\u0307\u0323", "\u0340", "\u0958", "\u0929", "\u0b94", "c\u0327\u0301",
                                           "\ufb1d", "\u1e9b\u0323", "\u0344", "\u2adc", "\U0001d15e"]},
        {"name": "words", "strings": ["the", " the", " of", " and", " Hello", "world", " tokenizer", " ignore",
                                       " 2024", "3.14", " 1,000,000", "ÀÉÎ", " naïve", " façade", " Straße", "İstanbul"]},
        {"name": "code", "strings": ["def f(x):\n    return x + 1\n", "if (a && b) {\n\t++i;\n}", "std::vector<int> v{1, 2};",
                                      "<div class=\"a\">&nbsp;</div>", "{\"k\": [1, 2.5e-3, null]}", "$HOME/.bin",
                                      "https://example.org/a?b=c#d", "/* x */", "\\n\\t\\\\", "a_b-c.d@e"]},
        {"name": "near specials", "strings": ["<|im_end|>", "<|im_start|>", "<|endoftext|>", "<|im_end", "|>", "<|",
                                               "<think>", "</think>", "<tool_call>", "<tool_call", "<|begin_of_text|>",
                                               "<|im_end|>\n", " <|im_end|> ", "<|only_in_config|>", "re\u0301sume\u0301"]},
    ]}


def line(alphabet, index):
    draw = Draw(index)
    text = ""
    for _ in range(1 + draw.below(14)):
        kind = alphabet["classes"][draw.below(len(alphabet["classes"]))]
        if "strings" in kind:
            text += kind["strings"][draw.below(len(kind["strings"]))]
            continue
        for _ in range(1 + draw.below(9)):
            low, high = kind["ranges"][draw.below(len(kind["ranges"]))]
            text += chr(low + draw.below(high - low + 1))
    return text


CASED = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
PATTERNS = {
    "qwen3": CASED + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "qwen35": CASED + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "llama3": CASED + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
}
ADDED = {
    "qwen3": [("<|endoftext|>", True, False), ("<|im_start|>", True, False), ("<|im_end|>", True, False),
              ("<|im", False, False), ("<think>", False, False), ("</think>", False, False), ("<tool_call>", False, False)],
    "qwen35": [("<|endoftext|>", True, False), ("<|im_start|>", True, False), ("<|im_end|>", True, False),
               ("<think>", False, False), ("</think>", False, False), ("r\u00e9sum\u00e9", False, True)],
    "llama3": [("<|begin_of_text|>", True, False), ("<|end_of_text|>", True, False), ("<|im_end|>", True, False)],
    "smollm2": [("<|endoftext|>", True, False), ("<|im_start|>", True, False), ("<|im_end|>", True, False)],
}


def train(name, corpus):
    tokenizer = Tokenizer(models.BPE())
    if name in ("qwen3", "qwen35"):
        tokenizer.normalizer = normalizers.NFC()
    if name == "smollm2":
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Split(Regex(PATTERNS[name]), "isolated"),
             pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=1500, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(corpus, trainer)
    raw = json.loads(tokenizer.to_str())
    if name == "llama3":  # entries that only ignore_merges can reach
        raw["model"]["ignore_merges"] = True
        for word in ("\u0120ignore", "\u0120tokenizer", "world", "\u0120Hello"):
            raw["model"]["vocab"].setdefault(word, len(raw["model"]["vocab"]))
    if name == "smollm2":  # the older way to write merges
        raw["model"]["merges"] = [" ".join(pair) for pair in raw["model"]["merges"]]
    tokenizer = Tokenizer.from_str(json.dumps(raw))
    for content, special, normalized in ADDED[name]:
        token = AddedToken(content, special=special, normalized=normalized)
        (tokenizer.add_special_tokens if special else tokenizer.add_tokens)([token])
    if name == "llama3":
        bos = "<|begin_of_text|>"
        tokenizer.post_processor = processors.Sequence(
            [processors.ByteLevel(trim_offsets=False),
             processors.TemplateProcessing(single=f"{bos}:0 $A:0", pair=f"{bos}:0 $A:0 {bos}:1 $B:1",
                                           special_tokens=[(bos, tokenizer.token_to_id(bos))])])
    if name == "smollm2":
        tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return tokenizer


def config_of(name, tokenizer):
    """A tokenizer_config.json; the one of qwen35 names a token that tokenizer.json lacks."""
    config = {"eos_token": "<|im_end|>", "pad_token": {"content": "<|endoftext|>"}}
    if name == "llama3":
        config = {"bos_token": "<|begin_of_text|>", "eos_token": "<|end_of_text|>"}
    if name == "qwen35":
        extra = {"content": "<|only_in_config|>", "lstrip": False, "normalized": False, "rstrip": False,
                 "single_word": False, "special": True}
        config["added_tokens_decoder"] = {str(tokenizer.get_vocab_size()): extra}
        tokenizer.add_special_tokens([AddedToken(extra["content"], special=True, normalized=False)])
    return config


def hashed(texts):
    return [hashlib.sha256("".join(texts[i:i + LINES_PER_HASH]).encode()).hexdigest()
            for i in range(0, len(texts), LINES_PER_HASH)]


def vectors(tokenizer, lines):
    encoded = [e.ids for e in tokenizer.encode_batch(lines, add_special_tokens=False)]
    framed = [e.ids for e in tokenizer.encode_batch(lines[:LINES_IN_FULL], add_special_tokens=True)]
    as_text = [",".join(map(str, ids)) + "\n" for ids in encoded]
    size = max(tokenizer.get_vocab(with_added_tokens=True).values()) + 1
    streams = []
    for index in range(STREAMS):
        draw = Draw(1_000_000 + index)
        # Half of the draws stay among the 256 byte entries' ids, where characters get torn apart.
        streams.append([draw.below(300) if draw.below(2) else draw.below(size) for _ in range(draw.below(24))])
    skipped = [tokenizer.decode(s, skip_special_tokens=True) for s in streams]
    kept = [tokenizer.decode(s, skip_special_tokens=False) for s in streams]
    return {
        "vocab_size": size,
        "encode_sha256": hashed(as_text),
        "encode_full": encoded[:LINES_IN_FULL],
        "encode_framed": framed,
        "decode_skip_sha256": hashed([t + "\x00\n" for t in skipped]),
        "decode_keep_sha256": hashed([t + "\x00\n" for t in kept]),
        "decode_full": [[s, skipped[i], kept[i]] for i, s in enumerate(streams[:STREAMS_IN_FULL])],
    }


def write(path, value, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":"), **options) + "\n")


def main(folder):
    folder = pathlib.Path(folder)
    alphabet = alphabets()
    write(folder / "alphabets.json", alphabet)
    lines = [line(alphabet, index) for index in range(LINES)]
    for name in ADDED:
        tokenizer = train(name, [line(alphabet, 100_000 + i) for i in range(8_000)])
        (folder / name).mkdir(parents=True, exist_ok=True)
        write(folder / name / "tokenizer.json", json.loads(tokenizer.to_str()))
        write(folder / name / "tokenizer_config.json", config_of(name, tokenizer))
        write(folder / name / "vectors.json", {"made_with": f"tokenizers {tokenizers.__version__}"} | vectors(tokenizer, lines))
    demo = Tokenizer.from_file(str(folder / "demo" / "tokenizer.json"))
    write(folder / "demo" / "vectors.json", {"made_with": f"tokenizers {tokenizers.__version__}"} | vectors(demo, lines))


if __name__ == "__main__":
    main(sys.argv[1])
