"""bench_torch_decoder.py PROMPT TOKENS RUNS: transformers' Qwen2.5-VL text decoder of 42 million parameters on the CPU in float32.

Prints a JSON line each for reading the prompt and for a generated token (median, key-value cache)."""

import json
import statistics
import sys
import time

import torch
from transformers import DynamicCache
from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLTextConfig
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLTextModel


def main() -> None:
    prompt, tokens, runs = (int(a) for a in sys.argv[1:4])
    torch.manual_seed(1)
    config = Qwen2_5_VLTextConfig(
        vocab_size=8192,
        hidden_size=512,
        intermediate_size=1408,
        num_hidden_layers=12,
        num_attention_heads=8,
        num_key_value_heads=4,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6, "mrope_section": [8, 12, 12]},
        bos_token_id=None,
        eos_token_id=None,
        attn_implementation="sdpa",
    )
    model = Qwen2_5_VLTextModel(config).eval()
    head = model.embed_tokens.weight
    ids = torch.randint(0, config.vocab_size, (1, prompt))
    with torch.inference_mode():
        prefill = []
        for _ in range(runs + 1):
            cache = DynamicCache(config=config)
            start = time.perf_counter()
            hidden = model(input_ids=ids, past_key_values=cache, use_cache=True).last_hidden_state
            token = (hidden[:, -1] @ head.T).argmax(-1)
            prefill.append((time.perf_counter() - start) * 1e3)
        decode = []
        for _ in range(tokens):
            start = time.perf_counter()
            hidden = model(input_ids=token[:, None], past_key_values=cache, use_cache=True).last_hidden_state
            token = (hidden[:, -1] @ head.T).argmax(-1)
            decode.append((time.perf_counter() - start) * 1e3)
    # the first pass allocates
    for name, times in (("prefill", prefill[1:]), ("decode", decode)):
        line = {"type": "bench", "name": name, "peer": f"torch {torch.__version__}", "peer_ms": statistics.median(times)}
        print(json.dumps(line | {"threads": torch.get_num_threads()}), flush=True)


if __name__ == "__main__":
    main()
