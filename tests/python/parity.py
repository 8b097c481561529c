"""parity.py OUT [--seed N] [--small] [--part NAME]...: writes reference cases of every part of the model below OUT."""

import argparse
import importlib
import sys
import time
from pathlib import Path

import torch

PARTS = ["decoder", "depth_anything", "ptv3", "qwen", "qwen_vision", "siglip"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--small", action="store_true", help="the small cases that are kept in the repository")
    parser.add_argument("--part", action="append", choices=PARTS)
    options = parser.parse_args()
    torch.set_grad_enabled(False)
    for part in options.part or PARTS:
        start = time.monotonic()
        module = importlib.import_module(f"parity_{part}")
        module.cases(options.out / part, options.seed, options.small)
        print(f"{part}: {time.monotonic() - start:.1f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
