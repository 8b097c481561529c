"""Reference of Qwen2.5-VL's pictures: small random vision towers and what transformers makes of them.

A case is a folder: case.json, config.json, preprocessor_config.json, model.safetensors and expected.safetensors with the pictures
as bytes (`image.N`, [height, width, 3]), `pixel_values`, `grid_thw`, `window_index`, `window_ends`, `cos`, `sin`, `hidden.N` (the patch
embedding, then each block; in the order of pixel rows) and `tokens`.
"""

import json
import pathlib

import numpy as np
import torch
from safetensors.numpy import save_file
from transformers import Qwen2VLImageProcessor
from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLConfig, Qwen2_5_VLVisionConfig
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VisionTransformerPretrainedModel

# Sizes as (height, width). With patches of 4 and windows of 16 pixels a window holds 2x2 merged tokens of 8 pixels.
SMALL = {
    # one picture: cut-off windows at the right, at the bottom and in the corner
    "odd_windows": {"blocks": 2, "full": [1], "images": [(41, 55)], "names": "new"},
    # three sizes in one call, one of them smaller than a window, one that divides into whole windows
    "several_images": {"blocks": 3, "full": [1], "images": [(30, 52), (5, 9), (32, 16)], "names": "old"},
}
LARGE = {
    "wide_grids": {"blocks": 4, "full": [1, 3], "images": [(97, 130), (64, 64), (301, 40), (7, 7)], "names": "new", "hidden": 96},
    "one_size_twice": {"blocks": 2, "full": [0], "images": [(50, 70), (50, 70)], "names": "old", "hidden": 64},
    # the true width of 3B and 7B: one block of windows, one of whole frames
    "width_7b": {"blocks": 2, "full": [1], "images": [(230, 310), (112, 56)], "names": "new", "size_7b": True},
}


def vision_config(spec):
    if spec.get("size_7b"):
        return Qwen2_5_VLVisionConfig(
            depth=spec["blocks"], hidden_size=1280, intermediate_size=3420, num_heads=16, out_hidden_size=3584,
            patch_size=14, window_size=112, fullatt_block_indexes=spec["full"],
        )
    hidden = spec.get("hidden", 16)
    return Qwen2_5_VLVisionConfig(
        depth=spec["blocks"], hidden_size=hidden, intermediate_size=2 * hidden + 4, num_heads=hidden // 8, out_hidden_size=24,
        patch_size=4, window_size=16, fullatt_block_indexes=spec["full"],
    )


def picture(generator, height, width):
    """Smooth waves with noise, full range at the edges: overshoots of the cubic kernel are clamped somewhere."""
    y, x = np.mgrid[0:height, 0:width]
    waves = np.stack([128 + 150 * np.sin(x / (5 + 3 * c) + c) * np.cos(y / (7 + c)) for c in range(3)], axis=-1)
    noise = generator.normal(0, 30, (height, width, 3))
    return np.clip(waves + noise, 0, 255).astype(np.uint8)


def randomise(model, generator):
    """Weights of a trained model's scale, none left at ones or zeros."""
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            values = torch.from_numpy(generator.standard_normal(tuple(tensor.shape)).astype(np.float32))
            if tensor.ndim == 1 and not name.endswith("bias"):
                tensor.copy_(1 + 0.2 * values)
            elif tensor.ndim == 1:
                tensor.copy_(0.1 * values)
            else:
                tensor.copy_(values / tensor[0].numel() ** 0.5)


def natural(rows, window_index, merge):
    """Rows in window order back in the order of pixel rows."""
    together = rows.reshape(len(window_index), merge * merge, -1)
    return together[torch.argsort(window_index)].reshape(rows.shape)


def reference(model, pixel_values, grid_thw):
    config, stages = model.config, {}
    merge = config.spatial_merge_size
    from transformers.vision_utils import get_vision_position_ids, get_vision_window_index

    window_index, window_ends = get_vision_window_index(grid_thw, merge, config.window_size, config.patch_size)
    stages["window_index"], stages["window_ends"] = window_index.long(), window_ends.long()
    cos, sin = model.rotary_pos_emb(pixel_values, get_vision_position_ids(grid_thw, merge))
    stages["cos"], stages["sin"] = cos, sin
    hooks = [model.patch_embed.register_forward_hook(lambda _m, _i, out: stages.__setitem__("hidden.0", out))]
    for number, block in enumerate(model.blocks, 1):
        def keep(_module, _inputs, out, number=number):
            stages[f"hidden.{number}"] = natural(out[0] if isinstance(out, tuple) else out, window_index, merge)
        hooks.append(block.register_forward_hook(keep))
    with torch.no_grad():
        stages["tokens"] = model(pixel_values, grid_thw=grid_thw).pooler_output
    for hook in hooks:
        hook.remove()
    return stages


def write_case(folder, spec, seed):
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    config = vision_config(spec)
    model = Qwen2_5_VisionTransformerPretrainedModel(config).eval()
    randomise(model, generator)
    whole = Qwen2_5_VLConfig(vision_config=config.to_dict()).to_dict()
    vision = whole["vision_config"]
    pixels = {"min_pixels": 4 * (2 * config.patch_size) ** 2 // 4, "max_pixels": 100 * (2 * config.patch_size) ** 2}
    if spec["names"] == "old":
        vision = {key: value for key, value in vision.items() if key != "rope_parameters"}
        vision["in_chans"] = vision.pop("in_channels")
        processor_file = dict(pixels)
    else:
        processor_file = {"size": {"shortest_edge": pixels["min_pixels"], "longest_edge": pixels["max_pixels"]}}
    processor_file |= {
        "image_processor_type": "Qwen2VLImageProcessor", "patch_size": config.patch_size, "merge_size": 2,
        "temporal_patch_size": 2, "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711], "rescale_factor": 0.00392156862745098,
    }
    images = [picture(generator, height, width) for height, width in spec["images"]]
    processor = Qwen2VLImageProcessor(**{k: v for k, v in processor_file.items() if k != "image_processor_type"})
    assert processor.backend == "torchvision", "the reference is the default backend: install torchvision"
    read = processor(images=images, return_tensors="pt", input_data_format="channels_last")
    stages = reference(model, read["pixel_values"], read["image_grid_thw"])
    expected = {"pixel_values": read["pixel_values"], "grid_thw": read["image_grid_thw"], **stages}
    expected = {name: np.ascontiguousarray(tensor.numpy()) for name, tensor in expected.items()}
    expected |= {f"image.{number}": image for number, image in enumerate(images)}
    save_file(expected, str(folder / "expected.safetensors"))
    weights = {f"visual.{name}": tensor.detach().numpy() for name, tensor in model.state_dict().items()}
    save_file(weights, str(folder / "model.safetensors"))
    config_file = {"model_type": "qwen2_5_vl", "vision_config": vision}
    for name, content in [
        ("config.json", config_file),
        ("preprocessor_config.json", processor_file),
        ("case.json", {"part": "qwen_vision", "format_version": 1, "seed": seed}),
    ]:
        (folder / name).write_text(json.dumps(content, indent=1, default=str) + "\n")


def cases(out_dir, seed, small):
    """Writes every case into a folder of its own below `out_dir`."""
    torch.set_num_threads(1)
    for number, (name, spec) in enumerate({**SMALL, **({} if small else LARGE)}.items()):
        write_case(pathlib.Path(out_dir) / name, spec, seed + number)


if __name__ == "__main__":
    import sys

    cases(sys.argv[1], int(sys.argv[2]), sys.argv[3] == "small")
