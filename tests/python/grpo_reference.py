"""grpo_reference.py OUT: losses and gradients of group relative policy optimisation by torch's autograd, from the papers' formulas, for
random logits, samples and rewards. Written to train/tests/fixtures/grpo.json; needs torch."""

import json
import sys

import torch

ANSWERS, TOKENS, WORDS, GROUP, LONGEST = 4, 5, 7, 2, 6
LENGTHS = [5, 1, 3, 4]


def main() -> None:
    generator = torch.Generator().manual_seed(20)
    logits = torch.randn(ANSWERS, TOKENS, WORDS, generator=generator)
    chosen = torch.randint(0, WORDS, (ANSWERS, TOKENS), generator=generator)
    own = logits.log_softmax(-1).gather(-1, chosen[..., None])[..., 0]
    sampled = own + 0.4 * torch.randn(ANSWERS, TOKENS, generator=generator)
    reference = own + 0.5 * torch.randn(ANSWERS, TOKENS, generator=generator)
    rewards = torch.tensor([0.9, 0.1, 0.3, 0.8])
    mask = torch.tensor([[1.0] * n + [0.0] * (TOKENS - n) for n in LENGTHS])
    cases = []
    for normalisation in ("answer", "token", "constant"):
        for deviation, low, high, beta in ((True, 0.2, 0.2, 0.04), (False, 0.2, 0.28, 0.0), (True, 0.1, 0.3, 0.5)):
            variable = logits.clone().requires_grad_()
            policy = variable.log_softmax(-1).gather(-1, chosen[..., None])[..., 0]
            groups = rewards.view(-1, GROUP)
            advantage = groups - groups.mean(1, keepdim=True)
            if deviation:
                advantage = advantage / (groups.std(1, keepdim=True) + 1e-6)
            advantage = advantage.view(-1, 1)
            ratio = torch.exp(policy - sampled)
            gain = torch.minimum(ratio * advantage, ratio.clamp(1 - low, 1 + high) * advantage)
            k3 = torch.exp(reference - policy) - (reference - policy) - 1
            per_token = (beta * k3 - gain) * mask
            if normalisation == "answer":
                loss = (per_token.sum(1) / mask.sum(1)).mean()
            elif normalisation == "token":
                loss = per_token.sum() / mask.sum()
            else:
                loss = per_token.sum() / (ANSWERS * LONGEST)
            loss.backward()
            case = dict(normalisation=normalisation, deviation=deviation, clip_low=low, clip_high=high, beta=beta)
            cases.append(case | dict(loss=loss.item(), gradient=variable.grad.flatten().tolist()))
    written = dict(
        logits=logits.flatten().tolist(),
        chosen=chosen.flatten().tolist(),
        sampled=sampled.flatten().tolist(),
        reference=reference.flatten().tolist(),
        mask=mask.flatten().tolist(),
        rewards=rewards.tolist(),
        group=GROUP,
        shape=[ANSWERS, TOKENS, WORDS],
        cases=cases,
    )
    with open(sys.argv[1], "w") as out:
        json.dump(written, out)
        out.write("\n")


main()
