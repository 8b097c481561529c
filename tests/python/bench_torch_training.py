"""bench_torch_training.py WEIGHTS RUNS: a training step and sampling of transformers' Qwen2 decoder of nano's size on the CPU in float32.

Writes the decoder's random weights to WEIGHTS first, so that another program can be timed on the same ones; prints a JSON line each
(medians). The texts are the same too: word(row, place)."""

import json
import statistics
import sys
import time

import torch
from safetensors.torch import save_file
from transformers import Qwen2Config, Qwen2ForCausalLM

VOCABULARY = 1024
STEP_ROWS, STEP_TOKENS = 32, 128
SHARED, QUESTION, QUESTIONS, GROUP, ANSWER = 300, 20, 4, 8, 96


def words(rows: range, places: range) -> torch.Tensor:
    return torch.tensor([[(r * 104_729 + t * 7919 + 13) % VOCABULARY for t in places] for r in rows])


def timed(runs: int, work) -> tuple[float, object]:
    times, first = [], None
    for run in range(runs + 1):
        start = time.perf_counter()
        result = work()
        first = result if first is None else first
        # the first allocates
        if run > 0:
            times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times), first


def main() -> None:
    path, runs = sys.argv[1], int(sys.argv[2])
    torch.manual_seed(1)
    config = Qwen2Config(
        vocab_size=VOCABULARY,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=2,
        num_key_value_heads=1,
        rms_norm_eps=1e-6,
        rope_parameters={"rope_type": "default", "rope_theta": 1e4},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
        attn_implementation="sdpa",
    )
    model = Qwen2ForCausalLM(config)
    save_file({k: v.clone() for k, v in model.state_dict().items() if k != "lm_head.weight"}, path)

    question_rows = [words(range(q, q + 1), range(SHARED, SHARED + QUESTION)) for q in range(QUESTIONS)]
    shared = words(range(1), range(SHARED))
    prompts = torch.cat([torch.cat([shared, q], 1) for q in question_rows])

    model.eval()

    def sample() -> None:
        with torch.inference_mode():
            out = model.generate(
                prompts,
                attention_mask=torch.ones_like(prompts),
                do_sample=True,
                top_k=0,
                temperature=1.0,
                num_return_sequences=GROUP,
                min_new_tokens=ANSWER,
                max_new_tokens=ANSWER,
            )
        assert out.shape == (QUESTIONS * GROUP, SHARED + QUESTION + ANSWER)

    sampling_ms, _ = timed(runs, sample)

    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    ids = words(range(STEP_ROWS), range(STEP_TOKENS))

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = model(input_ids=ids, labels=ids, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.item()

    step_ms, loss = timed(runs, step)
    peer = {"type": "bench", "peer": f"torch {torch.__version__}", "threads": torch.get_num_threads(), "loss": loss}
    print(json.dumps(peer | {"name": "sft_step", "peer_ms": step_ms}), flush=True)
    print(json.dumps(peer | {"name": "sampling", "peer_ms": sampling_ms, "way": "generate"}), flush=True)


if __name__ == "__main__":
    main()
