"""Reference cases of the text decoder: small random Qwen2.5-VL text models of transformers, their hidden states and logits."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLTextConfig
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLTextModel

FORMAT_VERSION = 1


def cases(out: Path, seed: int, small: bool) -> None:
    """Writes the cases below `out`; `small` those that are kept."""
    # name, vocabulary, width, mlp, layers, heads, key heads, M-RoPE sections, tied head, tokens
    sizes = [
        ("tied", 61, 32, 48, 2, 4, 2, [1, 1, 2], True, 17),
        ("untied", 53, 48, 40, 2, 6, 1, [2, 1, 1], False, 9),
    ]
    if not small:
        sizes += [
            ("deep", 1021, 128, 352, 6, 8, 2, [2, 3, 3], True, 300),
            ("layer_7b", 512, 3584, 18944, 1, 28, 4, [16, 24, 24], False, 40),
        ]
    for index, size in enumerate(sizes):
        one(out, seed + index, *size)


def one(out, seed, name, vocab, width, mlp, layers, heads, key_heads, sections, tied, tokens) -> None:
    torch.manual_seed(seed)
    theta = 1_000_000.0
    config = Qwen2_5_VLTextConfig(
        vocab_size=vocab,
        hidden_size=width,
        intermediate_size=mlp,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=key_heads,
        rope_parameters={"rope_type": "default", "rope_theta": theta, "mrope_section": sections},
        tie_word_embeddings=tied,
        attn_implementation="eager",
    )
    model = Qwen2_5_VLTextModel(config).eval()
    with torch.no_grad():
        for key, value in model.named_parameters():
            # norms around one, biases that matter, matrices that keep the scale
            scale = 0.1 if value.dim() == 1 else value.shape[1] ** -0.5
            value.copy_(torch.randn_like(value) * scale + (1.0 if "norm" in key else 0.0))
    head = torch.randn(vocab, width) * width**-0.5
    ids = torch.randint(0, vocab, (1, tokens))
    # text, then a picture whose rows and columns run on their own, then text
    third = tokens // 3
    positions = torch.arange(tokens).repeat(3, 1)
    positions[0, third : 2 * third] = third
    positions[1, third : 2 * third] = third + torch.arange(third) // 3
    positions[2, third : 2 * third] = third + torch.arange(third) % 3
    with torch.no_grad():
        hidden = model(input_ids=ids, position_ids=positions[:, None, :]).last_hidden_state
        logits = hidden[0] @ (model.embed_tokens.weight if tied else head).T
        weights = {f"model.{key}": value.contiguous().clone() for key, value in model.state_dict().items()}
        rounded = model.to(torch.bfloat16)
        hidden16 = rounded(input_ids=ids, position_ids=positions[:, None, :]).last_hidden_state
        head16 = rounded.embed_tokens.weight if tied else head.to(torch.bfloat16)
        logits16 = (hidden16[0] @ head16.T).float()
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    if not tied:
        weights["lm_head.weight"] = head
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    save_file(
        {"ids": ids[0], "positions": positions, "hidden": hidden, "logits": logits, "logits_bf16": logits16},
        folder / "expected.safetensors",
    )
    description = {
        "format_version": FORMAT_VERSION,
        "part": "decoder",
        "decoder": {
            "vocab_size": vocab,
            "hidden_size": width,
            "intermediate_size": mlp,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "num_key_value_heads": key_heads,
            "rms_norm_eps": config.rms_norm_eps,
            "rope_theta": theta,
            "tie_word_embeddings": tied,
            "mrope_section": sections,
        },
    }
    (folder / "case.json").write_text(json.dumps(description, indent=1) + "\n")
