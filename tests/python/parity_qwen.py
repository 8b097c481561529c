"""Reference cases of the whole Qwen2.5-VL: small random models of transformers with pictures and text, logits of every position and
greedy continuations; one saved in shards, one in the names of 2025."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

FORMAT_VERSION = 1
VOCAB = 400
GENERATED = 64
FIXTURES = Path(__file__).parents[2] / "model/tests/fixtures"


def cases(out: Path, seed: int, small: bool) -> None:
    """Writes the cases below `out`; `small` those that are kept."""
    # name, width, layers, heads, key heads, sections, tied, pictures (width, height), shards, names of 2025
    sizes = [("tied_two_images", 32, 2, 4, 2, [1, 1, 2], True, [(90, 60), (56, 120)], 1, False)]
    if not small:
        sizes += [
            ("untied_sharded", 64, 3, 8, 2, [1, 2, 1], False, [(200, 140)], 3, True),
            ("text_only", 48, 2, 6, 1, [2, 1, 1], True, [], 1, False),
            ("three_images", 96, 4, 6, 3, [2, 3, 3], False, [(60, 60), (300, 56), (111, 77)], 2, False),
        ]
    for index, size in enumerate(sizes):
        one(out, seed + index, *size)


def one(out, seed, name, width, layers, heads, key_heads, sections, tied, sizes, shards, old_names) -> None:
    torch.manual_seed(seed)
    tokenizer = json.loads((FIXTURES / "qwen_tokenizer.json").read_text())
    ids_of = {token["content"]: token["id"] for token in tokenizer["added_tokens"]}
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": VOCAB,
            "hidden_size": width,
            "intermediate_size": 2 * width,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "num_key_value_heads": key_heads,
            "max_position_embeddings": 4096,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": sections},
            "bos_token_id": ids_of["<|endoftext|>"],
            "eos_token_id": ids_of["<|im_end|>"],
            "pad_token_id": ids_of["<|endoftext|>"],
        },
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 40,
            "num_heads": 2,
            "out_hidden_size": width,
            "fullatt_block_indexes": [1],
            "patch_size": 14,
            "window_size": 112,
        },
        tie_word_embeddings=tied,
        image_token_id=ids_of["<|image_pad|>"],
        video_token_id=ids_of["<|video_pad|>"],
        vision_start_token_id=ids_of["<|vision_start|>"],
        vision_end_token_id=ids_of["<|vision_end|>"],
        attn_implementation="eager",
    )
    model = Qwen2_5_VLForConditionalGeneration(config).eval()
    for key, value in model.named_parameters():
        scale = 0.1 if value.dim() == 1 else value[0].numel() ** -0.5
        norm = "norm" in key or "ln_q" in key
        value.copy_(torch.randn_like(value) * scale + (1.0 if norm and key.endswith("weight") else 0.0))
    model.tie_weights()
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    processor = {
        "image_processor_type": "Qwen2VLImageProcessor",
        "patch_size": 14,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "min_pixels": 28 * 28 * 4,
        "max_pixels": 28 * 28 * 64,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor, indent=1) + "\n")
    from transformers import Qwen2VLImageProcessor

    images = [torch.randint(0, 256, (height, w, 3), dtype=torch.uint8) for w, height in sizes]
    text = torch.randint(0, 256, (12,)).tolist()
    ids, inputs = [], {}
    if images:
        read = Qwen2VLImageProcessor(**{k: v for k, v in processor.items() if k != "image_processor_type"})(
            images=[image.permute(2, 0, 1) for image in images], return_tensors="pt"
        )
        inputs = {"pixel_values": read["pixel_values"], "image_grid_thw": read["image_grid_thw"]}
    image_id = config.image_token_id
    short = list(text[:5])
    full = list(text[:5])
    for index in range(len(images)):
        tokens = int(inputs["image_grid_thw"][index].prod()) // 4
        start, end = config.vision_start_token_id, config.vision_end_token_id
        short += [start, image_id, end, text[5 + index]]
        full += [start] + [image_id] * tokens + [end, text[5 + index]]
    short += text[8:]
    full += text[8:]
    full_ids = torch.tensor([full])
    kinds = (full_ids == image_id).int()
    logits = model(input_ids=full_ids, mm_token_type_ids=kinds, **inputs).logits
    # to the end of the budget, whatever token comes
    model.generation_config.eos_token_id = None
    written = model.generate(
        input_ids=full_ids,
        attention_mask=torch.ones_like(full_ids),
        mm_token_type_ids=kinds,
        max_new_tokens=GENERATED,
        do_sample=False,
        **inputs,
    )[0, len(full) :]
    weights = {key: value.contiguous().clone() for key, value in model.state_dict().items()}
    # the reference's own error with 16-bit numbers
    model.to(torch.bfloat16)
    inputs16 = {key: value.to(torch.bfloat16) if value.is_floating_point() else value for key, value in inputs.items()}
    logits16 = model(input_ids=full_ids, mm_token_type_ids=kinds, **inputs16).logits.float()
    if tied:
        weights.pop("lm_head.weight", None)
    if old_names:
        weights = {
            key.replace("model.visual.", "visual.").replace("model.language_model.", "model."): value
            for key, value in weights.items()
        }
    save(folder, weights, shards)
    adapted = {}
    if name in ("tied_two_images", "untied_sharded"):
        adapted = {"logits_adapted": adapt(config, weights, folder / "adapter", full_ids, kinds, inputs, old_names)}
    saved = config.to_dict()
    (folder / "config.json").write_text(json.dumps(saved, indent=1, default=str) + "\n")
    # one that the reference did not write, as it wrote on to the end of the budget
    end = next(token for token in reversed(range(VOCAB)) if token not in written.tolist())
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": end, "do_sample": False}) + "\n")
    (folder / "tokenizer.json").write_bytes((FIXTURES / "qwen_tokenizer.json").read_bytes())
    templates = json.loads((FIXTURES / "chat_templates.json").read_text())
    (folder / "chat_template.jinja").write_text(templates[0]["template"])
    expected = {"ids": torch.tensor(short), "logits": logits[0], "logits_bf16": logits16[0], "written": written}
    expected |= adapted
    expected |= {f"image_{i}": image for i, image in enumerate(images)}
    save_file(expected, folder / "expected.safetensors")
    (folder / "case.json").write_text(json.dumps({"format_version": FORMAT_VERSION, "part": "qwen"}) + "\n")


def adapt(config, weights, folder, ids, kinds, inputs, old_names):
    """A random LoRA of PEFT on some of the decoder's matrices: saved, merged, and the logits with it."""
    from peft import LoraConfig, get_peft_model

    model = Qwen2_5_VLForConditionalGeneration(config).eval()
    if old_names:
        back = lambda key: key.replace("visual.", "model.visual.") if key.startswith("visual.") else key
        weights = {back(key.replace("model.", "model.language_model.", 1) if key.startswith("model.") else key): value for key, value in weights.items()}
    model.load_state_dict(weights, strict=False)
    model.tie_weights()
    modules = r"model\.language_model\.layers\.\d+\.(self_attn\.[qkvo]_proj|mlp\.(gate|up|down)_proj)"
    lora = LoraConfig(r=4, lora_alpha=10, target_modules=modules, use_rslora=old_names)
    model = get_peft_model(model, lora)
    for key, value in model.named_parameters():
        if "lora_" in key:
            # a change of the base's size, not ten times it
            value.copy_(torch.randn_like(value) * 0.4 * value.shape[1] ** -0.5)
    model.save_pretrained(folder)
    (folder / "README.md").unlink()
    return model.merge_and_unload()(input_ids=ids, mm_token_type_ids=kinds, **inputs).logits[0]


def save(folder: Path, weights: dict, shards: int) -> None:
    """Writes the weights as one file, or dealt out over `shards` files with an index."""
    if shards == 1:
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        return
    names = sorted(weights)
    place = {}
    for shard in range(shards):
        file = f"model-{shard + 1:05}-of-{shards:05}.safetensors"
        part = {name: weights[name] for name in names[shard::shards]}
        save_file(part, folder / file, metadata={"format": "pt"})
        place |= dict.fromkeys(part, file)
    size = sum(value.numel() * value.element_size() for value in weights.values())
    index = {"metadata": {"total_size": size}, "weight_map": dict(sorted(place.items()))}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")
