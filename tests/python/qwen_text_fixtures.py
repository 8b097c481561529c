"""qwen_text_fixtures.py OUT: a small byte-level tokenizer in Qwen2's manner with encodings by transformers, and chat templates
rendered by jinja2 as transformers sets it up: the fixtures of the crate `model`'s tests."""

import json
import sys
import tempfile
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast
from transformers.utils.chat_template_utils import render_jinja_template

MARKS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]
# how Qwen2 cuts text before merging: contractions, words with one sign before them, single digits, signs, line ends, spaces
CUT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CORPUS = [
    "the chair is left of the table and the lamp stands on the floor",
    "where can I sit? the sofa is near the window, it's 2.5 metres away",
    'a list of {"bbox_2d": [10, 20, 30, 40], "label": "chair"}',
]
TEXTS = [
    "the chair is left of the table",
    "It's 1234567890 metres; they'll see, WE'RE here",
    "  two  spaces   and a tab\tend ",
    "line one\nline two\r\n\r\nline four\n\n\n",
    "naïve café – “quotes” … ﬁ",
    "你好，机器人在哪里？",
    "🤖🪑👩‍🚀 emoji",
    "e\u0301 composed and \u00e9 not",
    "{\"bbox_2d\": [1, 22, 333, 4444]}",
    "<|im_start|>user\nwhere?<|im_end|>\n",
    "<|vision_start|><|image_pad|><|vision_end|>tell",
    "<|im_end", "im_end|>", "<think>a</think>",
    "a" * 40, "\u0000\u0007", "", " ", "\n", "Ωμέγα Ж 한국어 עברית", "x²+y³≠½", "don't DON'T won't",
]
QWEN = """{%- set images = namespace(n=0) %}{% for message in messages %}
{% if loop.first and message['role'] != 'system' %}<|im_start|>system
You are a helpful assistant.<|im_end|>
{% endif %}<|im_start|>{{ message['role'] }}
{% if message['content'] is string %}{{ message['content'] }}<|im_end|>
{% else %}{% for part in message['content'] %}{% if part['type'] == 'image' or 'image' in part %}{% set images.n = images.n + 1 %}{% if add_vision_id %}Picture {{ images.n }}: {% endif %}<|vision_start|><|image_pad|><|vision_end|>{% elif 'text' in part %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>
{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
BLOCKS = """{# a remark #}
{%- macro say(part) -%}
    {%- if part.type == "image" -%}<img>{%- else -%}{{- part.text.strip() -}}{%- endif -%}
{%- endmacro %}
{% for message in messages -%}
    {%- if message.role == "system" %}
SYSTEM: {% for part in message.content %}{{ say(part) }}{% endfor %}

    {%- elif message.role in ["user", "assistant"] %}
{{ message.role | upper }} {{ loop.index0 }}/{{ loop.length }}:
        {%- for part in message.content %} {{ say(part) }}{% endfor %}
    {%- else %}
        {{- raise_exception("unknown role") }}
    {%- endif %}
{%- endfor %}
{% if add_generation_prompt %}ASSISTANT:{% endif %}"""
JOINED = (
    "{{ bos_token if bos_token is defined else '' }}{% for m in messages %}{{ '[' ~ m['role'][0] ~ '] ' }}"
    "{% for p in m['content'] if p['type'] == 'text' %}{{ p['text'] }}{{ '' if loop.last else ' / ' }}{% endfor %}"
    "{{ '\\n' }}{% endfor %}{{ 'go on:' if add_generation_prompt }}"
)


def text(words: str) -> dict:
    return {"type": "text", "text": words}


ONE = [{"role": "user", "content": [{"type": "image"}, text("where is the chair?")]}]
MANY = [
    {"role": "system", "content": [text("be brief")]},
    {"role": "user", "content": [{"type": "image"}, text("one"), {"type": "image"}, text("two")]},
    {"role": "assistant", "content": [text("it is there")]},
    {"role": "user", "content": [text("and now?")]},
]


def main() -> None:
    out = Path(sys.argv[1])
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(CUT), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=380, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_special_tokens([AddedToken(mark, special=True, normalized=False) for mark in MARKS])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tokenizer.json"
        tokenizer.save(str(file), pretty=False)
        (out / "qwen_tokenizer.json").write_bytes(file.read_bytes())
        reference = PreTrainedTokenizerFast(tokenizer_file=str(file))
    cases = []
    for words in TEXTS:
        ids = reference(words, add_special_tokens=False)["input_ids"]
        decoded = reference.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        cases.append({"text": words, "ids": ids, "decoded": decoded})
    (out / "qwen_tokenizer_cases.json").write_text(json.dumps(cases, indent=0) + "\n")
    rendered = []
    for template in (QWEN, BLOCKS, JOINED):
        for messages in (ONE, MANY):
            result, _ = render_jinja_template([messages], chat_template=template, add_generation_prompt=True)
            rendered.append({"template": template, "messages": messages, "rendered": result[0]})
    (out / "chat_templates.json").write_text(json.dumps(rendered, indent=0) + "\n")


if __name__ == "__main__":
    main()
