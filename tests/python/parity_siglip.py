"""Reference of SigLIP and SigLIP-2: small random models and what transformers makes of pictures and texts.

A case is a folder: case.json, config.json, preprocessor_config.json, model.safetensors and expected.safetensors with the pictures
as bytes (`image.N`, [height, width, 3]), `pixel_values` (NaFlex: `spatial_shapes`, `pixel_attention_mask` too), `vision.hidden.N` (the
embedded patches, then each layer), `vision.tokens`, `vision.pooled`, `input_ids`, `text.hidden.N` (the last one is normed),
`text.pooled`, `logits`; `masked.*`: the same texts with `text_mask`; `odd.*`: pixels of another size than the config's.
"""

import json
import pathlib

import numpy as np
import torch
from safetensors.numpy import save_file
from transformers import Siglip2Config, Siglip2ImageProcessor, Siglip2Model, SiglipConfig, SiglipImageProcessor, SiglipModel

# Sizes as (height, width).
SMALL = {
    # a side that is no multiple of the patch (as 384 / 14 of so400m); other sizes of pixels with interpolated positions
    "fixed": {"kind": "siglip", "image": 26, "patch": 8, "images": [(31, 45), (26, 26), (70, 20)], "odd": (17, 43)},
    # SigLIP-2's fixed files resample bilinearly; no pooling head, another width of the text's output, other activations
    "headless": {"kind": "siglip", "image": 16, "patch": 4, "images": [(9, 50)], "odd": (24, 8), "resample": 2,
                 "vision": {"vision_use_head": False, "hidden_act": "gelu"}, "text": {"projection_size": 12, "hidden_act": "quick_gelu"}},
    # wide, tall and square pictures in one batch: grids larger and smaller than the learned one, and padding
    "naflex": {"kind": "siglip2", "grid": 3, "patch": 4, "room": 20, "images": [(20, 90), (64, 40), (33, 33), (4, 4)]},
}
LARGE = {
    "fixed_96": {"kind": "siglip", "image": 64, "patch": 8, "images": [(480, 640), (100, 37)], "odd": (88, 40),
                 "hidden": 96, "layers": 4, "heads": 6, "vocab": 500},
    # the true widths of so400m, one layer each
    "width_so400m": {"kind": "siglip", "image": 100, "patch": 14, "images": [(240, 320)], "odd": (60, 130),
                     "hidden": 1152, "layers": 1, "heads": 16, "intermediate": 4304, "vocab": 300},
    "naflex_large": {"kind": "siglip2", "grid": 16, "patch": 16, "room": 256, "images": [(480, 640), (240, 100), (64, 64)],
                     "hidden": 96, "layers": 3, "heads": 4, "vocab": 300},
    # more patches than the learned grid has, most of a view is padding in the last one
    "naflex_room": {"kind": "siglip2", "grid": 4, "patch": 8, "room": 300, "images": [(333, 517), (8, 700)],
                    "hidden": 64, "layers": 2, "heads": 8},
}
TOKENS = 7


def picture(generator, height, width):
    """Waves with noise, full range at the edges, so that a cubic kernel's overshoot is cut off somewhere."""
    y, x = np.mgrid[0:height, 0:width]
    waves = [128 + 140 * np.sin(x / (4 + 2 * c) + y / (9 - c)) for c in range(3)]
    return np.clip(np.stack(waves, axis=-1) + generator.normal(0, 25, (height, width, 3)), 0, 255).astype(np.uint8)


def randomise(model, generator):
    """Weights of a trained model's scale, none left at ones or zeros."""
    for name, tensor in model.named_parameters():
        values = torch.from_numpy(generator.standard_normal(tuple(tensor.shape)).astype(np.float32))
        if "position_embedding" in name or "probe" in name:
            tensor.data.copy_(0.5 * values)
        elif tensor.ndim == 1:
            bias = name.endswith("bias")
            tensor.data.copy_(0.1 * values if bias else 1 + 0.2 * values)
        else:
            tensor.data.copy_(values / tensor[0].numel() ** 0.5)


def build(spec):
    hidden, layers = spec.get("hidden", 16), spec.get("layers", 2)
    shared = {"hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": spec.get("heads", 2),
              "intermediate_size": spec.get("intermediate", 2 * hidden + 8)}
    text = shared | {"vocab_size": spec.get("vocab", 40), "max_position_embeddings": TOKENS + 2, "pad_token_id": 1,
                     "bos_token_id": 2, "eos_token_id": 3} | spec.get("text", {})
    vision = shared | {"patch_size": spec["patch"]} | spec.get("vision", {})
    if spec["kind"] == "siglip":
        return SiglipModel(SiglipConfig(text_config=text, vision_config=vision | {"image_size": spec["image"]}))
    return Siglip2Model(Siglip2Config(text_config=text, vision_config=vision | {"num_patches": spec["grid"] ** 2}))


def observed(prefix, embeddings, layers, stages):
    """Hooks that keep what `embeddings` and each of `layers` give out."""
    def keep(number):
        def hook(_module, _inputs, out):
            stages[f"{prefix}.hidden.{number}"] = (out[0] if isinstance(out, tuple) else out).detach()
        return hook
    return [module.register_forward_hook(keep(number)) for number, module in enumerate([embeddings, *layers])]


def vision_stages(model, prefix, stages, **inputs):
    tower = model.vision_model
    hooks = observed(prefix, tower.embeddings, tower.encoder.layers, stages)
    out = tower(**inputs)
    for hook in hooks:
        hook.remove()
    stages[f"{prefix}.tokens"] = out.last_hidden_state
    if out.pooler_output is not None:
        stages[f"{prefix}.pooled"] = out.pooler_output


def text_stages(model, prefix, stages, **inputs):
    tower = model.text_model
    hooks = observed(prefix, tower.embeddings, tower.encoder.layers, stages)
    out = tower(**inputs)
    for hook in hooks:
        hook.remove()
    stages[f"{prefix}.hidden.{len(tower.encoder.layers) + 1}"] = out.last_hidden_state
    stages[f"{prefix}.pooled"] = out.pooler_output


def processor_of(spec):
    fields = {"do_rescale": True, "rescale_factor": 0.00392156862745098, "do_normalize": True, "do_resize": True}
    if spec["kind"] == "siglip":
        fields |= {"image_processor_type": "SiglipImageProcessor", "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
                   "resample": spec.get("resample", 3), "size": {"height": spec["image"], "width": spec["image"]}}
        kind = SiglipImageProcessor
    else:
        # uneven statistics: a channel that is taken for another shows
        fields |= {"image_processor_type": "Siglip2ImageProcessor", "image_mean": [0.5, 0.4, 0.3], "image_std": [0.5, 0.6, 0.7],
                   "resample": 2, "patch_size": spec["patch"], "max_num_patches": spec["room"], "size": None}
        kind = Siglip2ImageProcessor
    processor = kind(**{name: value for name, value in fields.items() if name != "image_processor_type" and value is not None})
    assert processor.backend == "torchvision", "the reference is the default backend: install torchvision"
    return fields, processor


def write_case(folder, spec, seed):
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    torch.manual_seed(seed)
    model = build(spec).eval()
    randomise(model, generator)
    fields, processor = processor_of(spec)
    images = [picture(generator, height, width) for height, width in spec["images"]]
    read = processor(images=images, return_tensors="pt", input_data_format="channels_last")
    stages = {name: read[name] for name in ("pixel_values", "spatial_shapes", "pixel_attention_mask") if name in read}
    vision_stages(model, "vision", stages, **stages)
    if "odd" in spec:
        odd = torch.from_numpy(generator.standard_normal((2, 3, *spec["odd"])).astype(np.float32))
        stages["odd.pixel_values"] = odd
        vision_stages(model, "odd", stages, pixel_values=odd, interpolate_pos_encoding=True)
    vocabulary = model.config.text_config.vocab_size
    ids = torch.from_numpy(generator.integers(0, vocabulary, (3, TOKENS)))
    mask = torch.ones_like(ids)
    mask[0, :3] = 0
    mask[2, 5:] = 0
    stages |= {"input_ids": ids, "text_mask": mask}
    text_stages(model, "text", stages, input_ids=ids)
    text_stages(model, "masked", stages, input_ids=ids, attention_mask=mask)
    if "vision.pooled" in stages and "projection_size" not in spec.get("text", {}):
        pixels = {name: read[name] for name in ("pixel_values", "spatial_shapes", "pixel_attention_mask") if name in read}
        stages["logits"] = model(input_ids=ids, **pixels).logits_per_image
    expected = {name: np.ascontiguousarray(tensor.detach().numpy()) for name, tensor in stages.items()}
    expected |= {f"image.{number}": image for number, image in enumerate(images)}
    save_file(expected, str(folder / "expected.safetensors"))
    model.save_pretrained(folder)
    for name, content in [
        ("preprocessor_config.json", fields),
        ("case.json", {"part": "siglip", "format_version": 1, "seed": seed}),
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
