"""Reference of Depth-Anything-V2: small random models and what transformers makes of pictures.

A case is a folder: case.json, config.json, preprocessor_config.json, model.safetensors and expected.safetensors with, for each picture N,
its bytes (`image.N`, [height, width, 3]), `N.pixel_values`, `N.hidden.K` (the embedded patches, then each layer of the backbone),
`N.encoder` (the last one, normed), `N.stage.K` (what the neck reads), `N.map.K` (what it fuses) and `N.depth`; `batch.pixel_values` and
`batch.depth`: random pixels of two views in one call.
"""

import json
import pathlib

import numpy as np
import torch
from safetensors.numpy import save_file
from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config, DPTImageProcessor

from parity_siglip import picture, randomise

# Sizes as (height, width).
SMALL = {
    # four maps, the published factors; the learned grid itself, a wide one; a tall batch
    "relative": {"layers": 4, "out": {"out_indices": [1, 2, 3, 4]}, "patch": 14, "image": 42, "size": 42,
                 "fusion": 4,
                 "images": [(50, 50), (36, 62)], "batch": (45, 30)},
    # metres; stages by name and without the last norm; no biases of q, k and v; another map for the head; tanh GELU
    "metric": {"layers": 3, "out": {"out_features": ["stem", "stage2", "stage3"]}, "patch": 4, "image": 20, "size": 24,
               "images": [(24, 40)], "batch": (25, 13), "factors": [2, 1, 0.5], "neck": [6, 8, 10], "head_in_index": -2,
               "backbone": {"qkv_bias": False, "apply_layernorm": False, "hidden_act": "gelu_pytorch_tanh"},
               "depth": {"depth_estimation_type": "metric", "max_depth": 20}, "keep": False, "resample": 2},
}
LARGE = {
    "relative_96": {"layers": 6, "out": {"out_indices": [2, 3, 5, 6]}, "patch": 14, "image": 112, "size": 140, "hidden": 96, "heads": 6,
                    "neck": [24, 32, 48, 64], "fusion": 32, "images": [(480, 640), (200, 111)], "batch": (98, 70)},
    # the true width of ViT-L, two layers
    "width_l": {"layers": 2, "out": {"out_indices": [0, 1, 2]}, "patch": 14, "image": 518, "size": 98, "hidden": 1024, "heads": 16,
                "factors": [4, 2, 0.5], "neck": [256, 512, 1024], "fusion": 256, "images": [(120, 160)], "batch": (56, 84),
                "depth": {"depth_estimation_type": "metric", "max_depth": 80}},
}


def build(spec):
    hidden = spec.get("hidden", 16)
    backbone = Dinov2Config(hidden_size=hidden, num_hidden_layers=spec["layers"], num_attention_heads=spec.get("heads", 2),
                            mlp_ratio=3 if hidden == 16 else 4, image_size=spec["image"], patch_size=spec["patch"],
                            reshape_hidden_states=False, **spec["out"], **spec.get("backbone", {}))
    return DepthAnythingForDepthEstimation(DepthAnythingConfig(
        backbone_config=backbone, patch_size=spec["patch"], reassemble_hidden_size=hidden, reassemble_factors=spec.get("factors", [4, 2, 1, 0.5]),
        neck_hidden_sizes=spec.get("neck", [6, 8, 10, 12]), fusion_hidden_size=spec.get("fusion", 8), head_hidden_size=5,
        head_in_index=spec.get("head_in_index", -1), **spec.get("depth", {})))


def reference(model, pixels, prefix, stages):
    hidden = []
    modules = [model.backbone.embeddings, *model.backbone.encoder.layer]
    hooks = [module.register_forward_hook(lambda _m, _i, out: hidden.append(out[0] if isinstance(out, tuple) else out)) for module in modules]
    maps = model.neck.register_forward_hook(lambda _m, inputs, out: stages.update(
        {f"{prefix}.stage.{k}": stage for k, stage in enumerate(inputs[0])} | {f"{prefix}.map.{k}": fused for k, fused in enumerate(out)}))
    stages[f"{prefix}.depth"] = model(pixels).predicted_depth
    for hook in [*hooks, maps]:
        hook.remove()
    stages |= {f"{prefix}.hidden.{k}": x for k, x in enumerate(hidden)}
    stages[f"{prefix}.encoder"] = model.backbone.layernorm(hidden[-1])


def write_case(folder, spec, seed):
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    torch.manual_seed(seed)
    model = build(spec).eval()
    randomise(model, generator)
    # relative depth ends in a ReLU: most of it should be above 0
    model.head.conv3.bias.data.fill_(0.7)
    fields = {"image_processor_type": "DPTImageProcessor", "do_normalize": True, "do_pad": False, "do_rescale": True, "do_resize": True,
              "ensure_multiple_of": spec["patch"], "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225],
              "keep_aspect_ratio": spec.get("keep", True), "resample": spec.get("resample", 3), "rescale_factor": 0.00392156862745098,
              "size": {"height": spec["size"], "width": spec["size"]}, "size_divisor": None}
    processor = DPTImageProcessor(**{name: value for name, value in fields.items() if name != "image_processor_type"})
    assert processor.backend == "torchvision", "the reference is the default backend: install torchvision"
    images = [picture(generator, height, width) for height, width in spec["images"]]
    stages = {}
    for number, image in enumerate(images):
        pixels = processor(images=image, return_tensors="pt", input_data_format="channels_last")["pixel_values"]
        stages[f"{number}.pixel_values"] = pixels
        reference(model, pixels, str(number), stages)
    pixels = torch.from_numpy(generator.standard_normal((2, 3, *spec["batch"])).astype(np.float32))
    stages |= {"batch.pixel_values": pixels, "batch.depth": model(pixels).predicted_depth}
    expected = {name: np.ascontiguousarray(tensor.detach().numpy()) for name, tensor in stages.items()}
    expected |= {f"image.{number}": image for number, image in enumerate(images)}
    save_file(expected, str(folder / "expected.safetensors"))
    model.save_pretrained(folder)
    for name, content in [
        ("preprocessor_config.json", fields),
        ("case.json", {"part": "depth_anything", "format_version": 1, "seed": seed}),
    ]:
        (folder / name).write_text(json.dumps(content, indent=1) + "\n")


@torch.no_grad()
def cases(out_dir, seed, small):
    """Writes every case into a folder of its own below `out_dir`."""
    torch.set_num_threads(1)
    for number, (name, spec) in enumerate({**SMALL, **({} if small else LARGE)}.items()):
        write_case(pathlib.Path(out_dir) / name, spec, seed + number)


if __name__ == "__main__":
    import sys

    cases(sys.argv[1], int(sys.argv[2]), sys.argv[3] == "small")
