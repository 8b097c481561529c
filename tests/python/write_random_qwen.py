"""write_random_qwen.py OUT --size 7b|3b|tiny [--shard-gb N]: a Qwen2.5-VL checkpoint of random bfloat16 weights in the published
sizes and names, sharded with an index: for measurements of loading, memory and speed. Needs numpy alone."""

import argparse
import json
import math
import sys
import time
from pathlib import Path

import numpy as np

FIXTURES = Path(__file__).parents[2] / "model/tests/fixtures"
# vocabulary, width, mlp, layers, heads, key heads, sections, tied, vision (depth, width, mlp, heads)
SIZES = {
    "7b": (152064, 3584, 18944, 28, 28, 4, [16, 24, 24], False, (32, 1280, 3420, 16)),
    "3b": (151936, 2048, 11008, 36, 16, 2, [16, 24, 24], True, (32, 1280, 3420, 16)),
    "tiny": (512, 64, 128, 2, 4, 2, [2, 3, 3], False, (2, 32, 40, 2)),
}
# random numbers that every tensor is cut from, at an offset of its own
POOL = (1 << 25) + 7


def tensors(size):
    """Names and shapes, in the order they are written."""
    vocab, d, mlp, layers, heads, key_heads, _, tied, (depth, vd, vmlp, _) = size
    kv = d // heads * key_heads
    yield "visual.patch_embed.proj.weight", (vd, 3, 2, 14, 14)
    for i in range(depth):
        at = f"visual.blocks.{i}"
        yield f"{at}.norm1.weight", (vd,)
        yield f"{at}.norm2.weight", (vd,)
        for name, outputs, inputs in (
            ("attn.qkv", 3 * vd, vd),
            ("attn.proj", vd, vd),
            ("mlp.gate_proj", vmlp, vd),
            ("mlp.up_proj", vmlp, vd),
            ("mlp.down_proj", vd, vmlp),
        ):
            yield f"{at}.{name}.weight", (outputs, inputs)
            yield f"{at}.{name}.bias", (outputs,)
    yield "visual.merger.ln_q.weight", (vd,)
    for name, outputs in (("0", 4 * vd), ("2", d)):
        yield f"visual.merger.mlp.{name}.weight", (outputs, 4 * vd)
        yield f"visual.merger.mlp.{name}.bias", (outputs,)
    yield "model.embed_tokens.weight", (vocab, d)
    for i in range(layers):
        at = f"model.layers.{i}"
        yield f"{at}.input_layernorm.weight", (d,)
        yield f"{at}.post_attention_layernorm.weight", (d,)
        for name, outputs in (("q", d), ("k", kv), ("v", kv)):
            yield f"{at}.self_attn.{name}_proj.weight", (outputs, d)
            yield f"{at}.self_attn.{name}_proj.bias", (outputs,)
        yield f"{at}.self_attn.o_proj.weight", (d, d)
        yield f"{at}.mlp.gate_proj.weight", (mlp, d)
        yield f"{at}.mlp.up_proj.weight", (mlp, d)
        yield f"{at}.mlp.down_proj.weight", (d, mlp)
    yield "model.norm.weight", (d,)
    if not tied:
        yield "lm_head.weight", (vocab, d)


def config(size, marks):
    """config.json."""
    vocab, d, mlp, layers, heads, key_heads, sections, tied, (depth, vd, vmlp, vheads) = size
    return {
        "architectures": ["Qwen2_5_VLForConditionalGeneration"],
        "model_type": "qwen2_5_vl",
        "vocab_size": vocab,
        "hidden_size": d,
        "intermediate_size": mlp,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": key_heads,
        "max_position_embeddings": 128000,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1000000.0,
        "rope_scaling": {"type": "mrope", "mrope_section": sections},
        "tie_word_embeddings": tied,
        "hidden_act": "silu",
        "image_token_id": marks["<|image_pad|>"],
        "video_token_id": marks["<|video_pad|>"],
        "vision_start_token_id": marks["<|vision_start|>"],
        "vision_end_token_id": marks["<|vision_end|>"],
        "vision_config": {
            "depth": depth,
            "hidden_size": vd,
            "intermediate_size": vmlp,
            "num_heads": vheads,
            "out_hidden_size": d,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "window_size": 112,
            "fullatt_block_indexes": [i for i in (7, 15, 23, 31) if i < depth] or [depth - 1],
        },
    }


def bits(pool, name, shape, offset):
    """bfloat16 numbers of about unit products, as unsigned bits."""
    count = math.prod(shape)
    if len(shape) == 1:
        # norms around one, biases around zero
        value = 1.0 if name.endswith("weight") else 0.0
        return np.full(count, np.float32(value).view(np.uint32) >> 16, dtype=np.uint16)
    # a power of two below 1 / sqrt(inputs): subtracted from the exponent
    shift = round(math.log2(count / shape[0]) / 2)
    start = offset % (POOL // 2)
    parts = []
    while count > 0:
        part = pool[start : start + count]
        parts.append(part)
        count -= len(part)
        start = (start + 12345) % (POOL // 2)
    return np.concatenate(parts) - np.uint16(shift << 7)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", choices=sorted(SIZES), default="7b")
    parser.add_argument("--shard-gb", type=float, default=4.0)
    options = parser.parse_args()
    size = SIZES[options.size]
    options.out.mkdir(parents=True, exist_ok=True)
    tokenizer = json.loads((FIXTURES / "qwen_tokenizer.json").read_text())
    marks = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}

    shards, room = [[]], options.shard_gb * 1e9
    for name, shape in tensors(size):
        needed = 2 * math.prod(shape)
        if needed > room and shards[-1]:
            shards.append([])
            room = options.shard_gb * 1e9
        room -= needed
        shards[-1].append((name, shape))
    rng = np.random.default_rng(1)
    # never below 2^-20, so that shifted exponents stay positive
    normal = rng.standard_normal(POOL, dtype=np.float32)
    normal = np.where(np.abs(normal) < 1e-3, np.float32(1e-3), normal)
    pool = (normal.view(np.uint32) >> 16).astype(np.uint16)
    start, written, place = time.monotonic(), 0, {}
    for index, shard in enumerate(shards):
        file = f"model-{index + 1:05}-of-{len(shards):05}.safetensors"
        header, at = {"__metadata__": {"format": "pt"}}, 0
        for name, shape in shard:
            end = at + 2 * math.prod(shape)
            header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, end]}
            place[name] = file
            at = end
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with open(options.out / file, "wb") as out:
            out.write(len(text).to_bytes(8, "little") + text)
            for name, shape in shard:
                bits(pool, name, shape, written // 2 * 7919).tofile(out)
                written += 2 * math.prod(shape)
        rate = written / 1e6 / (time.monotonic() - start)
        print(f"{file}: {written / 1e9:.2f} GB, {rate:.0f} MB/s", file=sys.stderr, flush=True)
    write = lambda name, value: (options.out / name).write_text(json.dumps(value, indent=1) + "\n")
    write("model.safetensors.index.json", {"metadata": {"total_size": written}, "weight_map": place})
    write("config.json", config(size, marks))
    write("generation_config.json", {"eos_token_id": [marks["<|im_end|>"]], "do_sample": False})
    write(
        "preprocessor_config.json",
        {
            "patch_size": 14,
            "temporal_patch_size": 2,
            "merge_size": 2,
            "min_pixels": 3136,
            "max_pixels": 12845056,
            "image_mean": [0.48145466, 0.4578275, 0.40821073],
            "image_std": [0.26862954, 0.26130258, 0.27577711],
        },
    )
    (options.out / "tokenizer.json").write_bytes((FIXTURES / "qwen_tokenizer.json").read_bytes())
    template = json.loads((FIXTURES / "chat_templates.json").read_text())[0]["template"]
    (options.out / "chat_template.jinja").write_text(template)


if __name__ == "__main__":
    main()
