"""Reference cases of Point Transformer v3 (arXiv 2312.10035, Pointcept's PT-v3m1): random weights in the published names, and every stage
computed point by point from the paper's formulas. It shares no data structure with ours: neighbours come from a dictionary of voxels, curves from
lists of bits, patches are explicit lists of points."""

import collections
import json
from pathlib import Path

import torch
from safetensors.torch import save_file

FORMAT_VERSION = 1
EPSILON = 1e-3  # of the reference's batch norms


def cases(out: Path, seed: int, small: bool) -> None:
    """Writes the cases below `out`; `small` those that are kept."""
    orders = ["z", "z-trans", "hilbert", "hilbert-trans"]
    base = dict(model_type="ptv3", in_channels=6, mlp_ratio=2)
    tiny = dict(
        base,
        order=orders,
        enc_depths=[2, 5, 1],
        enc_channels=[8, 12, 16],
        enc_num_head=[2, 3, 4],
        enc_patch_size=[16, 16, 4],
        dec_depths=[2, 1],
        dec_channels=[8, 12],
        dec_num_head=[2, 4],
    )
    # of the first scene the patches do not divide, the second is smaller than a patch
    one(out / "two_scenes", seed, tiny, [(90, (13, 9, 7)), (11, (5, 5, 4))])
    # as a training run saves it; the sizes are such that its shapes tell them
    saved = dict(
        base,
        in_channels=1,
        order=orders,
        enc_depths=[1, 1],
        enc_channels=[16, 16],
        enc_num_head=[1, 1],
        enc_patch_size=[1024, 1024],
        dec_depths=[1],
        dec_channels=[16],
        dec_num_head=[1],
    )
    one(out / "saved_by_training", seed + 4, saved, [(40, (9, 8, 7)), (9, (4, 4, 4))], training=True)
    if small:
        return
    lone = dict(base, order=["hilbert"], enc_depths=[3], enc_channels=[24], enc_num_head=[3], enc_patch_size=[32])
    lone |= dict(dec_depths=[], dec_channels=[], dec_num_head=[])
    one(out / "one_stage", seed + 1, lone, [(200, (21, 17, 6))])
    deep = dict(
        base,
        order=["hilbert-trans", "z"],
        mlp_ratio=4,
        enc_depths=[2, 2, 2, 2, 1],
        enc_channels=[32, 64, 64, 96, 128],
        enc_num_head=[2, 4, 4, 6, 8],
        enc_patch_size=[48] * 5,
        dec_depths=[1, 1, 2, 1],
        dec_channels=[64, 64, 64, 96],
        dec_num_head=[4, 4, 8, 6],
    )
    # five halvings of a cube of 64: and a scene so small that its cube is used up before the last
    one(out / "deep", seed + 2, deep, [(700, (60, 40, 20)), (5, (3, 2, 2))])
    wide = dict(
        base,
        order=orders,
        mlp_ratio=4,
        enc_depths=[1, 1],
        enc_channels=[256, 512],
        enc_num_head=[16, 32],
        enc_patch_size=[64, 64],
        dec_depths=[1],
        dec_channels=[256],
        dec_num_head=[16],
    )
    one(out / "published_widths", seed + 3, wide, [(150, (17, 11, 9))])


def one(folder: Path, seed: int, config: dict, scenes: list, training: bool = False) -> None:
    generator = torch.Generator().manual_seed(seed)
    voxels, scene_of = [], []
    for number, (count, size) in enumerate(scenes):
        cells = torch.randperm(size[0] * size[1] * size[2], generator=generator)[:count]
        # no order whatever
        voxels += [(int(c) % size[0], int(c) // size[0] % size[1], int(c) // size[0] // size[1]) for c in cells]
        scene_of += [number] * count
    features = torch.rand(len(voxels), config["in_channels"], generator=generator) * 2 - 1
    weights = Weights(generator, torch.float16 if training else torch.float32)
    stages = network(config, voxels, scene_of, features, weights)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    if training:
        torch.save(training_state(weights.made), folder / "checkpoint.pth")
    else:
        save_file(weights.made, folder / "model.safetensors", metadata={"format": "pt"})
    expected = stages | {"voxels": torch.tensor(voxels), "scene": torch.tensor(scene_of), "features": features}
    narrow = {torch.int64: torch.int32}
    expected = {name: value.to(narrow.get(value.dtype, value.dtype)).contiguous() for name, value in expected.items()}
    save_file(expected, folder / "expected.safetensors")
    (folder / "case.json").write_text(json.dumps({"format_version": FORMAT_VERSION, "part": "ptv3"}) + "\n")


def training_state(made: dict) -> dict:
    """What Pointcept's training saves of a segmentor, wrapped for several processes, with a head of 5 classes."""
    model = {f"module.backbone.{name}": tensor for name, tensor in made.items()}
    head = torch.nn.Linear(made["dec.dec0.up.proj.0.weight"].shape[0], 5)
    model |= {f"module.seg_head.{name}": tensor.detach() for name, tensor in head.state_dict().items()}
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-3)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-3, total_steps=10)
    for parameter in head.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    scheduler.step()
    state = {"epoch": 3, "state_dict": collections.OrderedDict(model), "optimizer": optimizer.state_dict()}
    return state | {"scheduler": scheduler.state_dict(), "scaler": None, "best_metric_value": 0.5}


class Weights:
    """Makes up tensors as they are asked for, and remembers them under their published names in `dtype`."""

    def __init__(self, generator, dtype):
        self.generator, self.dtype, self.made = generator, dtype, {}

    def normal(self, name, shape, scale, middle=0.0):
        return self.keep(name, torch.randn(shape, generator=self.generator) * scale + middle)

    def keep(self, name, tensor):
        self.made[name] = tensor.to(self.dtype)
        return self.made[name].float()

    def linear(self, name, x, to):
        weight = self.normal(f"{name}.weight", (to, x.shape[1]), x.shape[1] ** -0.5)
        return x @ weight.T + self.normal(f"{name}.bias", (to,), 0.1)

    def layer_norm(self, name, x):
        weight = self.normal(f"{name}.weight", (x.shape[1],), 0.1, 1.0)
        bias = self.normal(f"{name}.bias", (x.shape[1],), 0.1)
        middle = x - x.mean(1, keepdim=True)
        return middle / ((middle**2).mean(1, keepdim=True) + 1e-5).sqrt() * weight + bias

    def batch_norm(self, name, x):
        width = x.shape[1]
        weight = torch.randn(width, generator=self.generator) * 0.1 + 1
        # every third below zero: the largest of some points before the norm is then not the largest after it
        weight[::3] *= -1
        weight = self.keep(f"{name}.weight", weight)
        bias = self.normal(f"{name}.bias", (width,), 0.1)
        mean = self.normal(f"{name}.running_mean", (width,), 0.3)
        variance = self.keep(f"{name}.running_var", (torch.randn(width, generator=self.generator) * 0.2 + 1).abs())
        self.made[f"{name}.num_batches_tracked"] = torch.tensor(7)
        return (x - mean) / (variance + EPSILON).sqrt() * weight + bias

    def sparse_conv(self, name, x, rows, side, to, bias):
        """`rows`: (scene, voxel) -> row. spconv keeps `[out, side, side, side, in]`, the first side along x."""
        weight = self.normal(f"{name}.weight", (to, side, side, side, x.shape[1]), (8 * x.shape[1]) ** -0.5)
        out = torch.zeros(len(rows), to)
        half = side // 2
        for (scene, voxel), row in rows.items():
            for i in range(side):
                for j in range(side):
                    for k in range(side):
                        at = (voxel[0] + i - half, voxel[1] + j - half, voxel[2] + k - half)
                        source = rows.get((scene, at))
                        if source is not None:
                            out[row] += weight[:, i, j, k] @ x[source]
        return out + self.normal(f"{name}.bias", (to,), 0.1) if bias else out


def gelu(x):
    return x * 0.5 * (1 + torch.erf(x / 2**0.5))


def z_order(voxel, depth):
    code = 0
    for bit in reversed(range(depth)):
        for c in voxel:
            code = code * 2 + (c >> bit & 1)
    return code


def hilbert(voxel, depth):
    """Place along the Hilbert curve, bit by bit as a list: from the highest bit down, where an axis has the bit, the lower bits of the first axis
    are inverted, otherwise exchanged with this axis's; what is left, axis after axis within each bit, is a Gray code of the place
    (Skilling, "Programming the Hilbert curve", 2004)."""
    bits = [[c >> bit & 1 for bit in reversed(range(depth))] for c in voxel]
    for level in range(depth):
        for axis in range(3):
            if bits[axis][level]:
                bits[0][level + 1 :] = [1 - b for b in bits[0][level + 1 :]]
            else:
                lower = bits[0][level + 1 :], bits[axis][level + 1 :]
                bits[axis][level + 1 :], bits[0][level + 1 :] = lower[0], lower[1]
    place, parity = 0, 0
    for level in range(depth):
        for axis in range(3):
            parity ^= bits[axis][level]
            place = place * 2 + parity
    return place


def code(order, voxel, depth):
    x, y, z = voxel
    turned = (y, x, z) if order.endswith("-trans") else (x, y, z)
    return z_order(turned, depth) if order.startswith("z") else hilbert(turned, depth)


def attention(weights, name, x, heads, patches):
    """`patches`: (points that read, points that are read)."""
    width = x.shape[1] // heads
    q, k, v = weights.linear(f"{name}.qkv", x, 3 * x.shape[1]).split(x.shape[1], 1)
    out = torch.zeros_like(x)
    for readers, read in patches:
        for h in range(heads):
            part = slice(h * width, (h + 1) * width)
            scores = q[readers][:, part] @ k[read][:, part].T / width**0.5
            out[readers, part] = scores.softmax(1) @ v[read][:, part]
    return weights.linear(f"{name}.proj", out, x.shape[1])


def patches_of(codes, scene_of, size):
    """Along the curve, scene by scene: pieces of `size`; a last piece that is shorter reads the points before it too."""
    pieces = []
    for scene in sorted(set(scene_of)):
        along = sorted((i for i, s in enumerate(scene_of) if s == scene), key=lambda i: codes[i])
        for start in range(0, len(along), size):
            own = along[start : start + size]
            pieces.append((own, own if len(along) <= size else along[: start + len(own)][-size:]))
    return pieces


def block(weights, name, x, convolved, rows, heads, mlp_ratio, patches):
    channels = x.shape[1]
    near = weights.sparse_conv(f"{name}.cpe.0", convolved, rows, 3, channels, True)
    x = x + weights.layer_norm(f"{name}.cpe.2", weights.linear(f"{name}.cpe.1", near, channels))
    x = x + attention(weights, f"{name}.attn", weights.layer_norm(f"{name}.norm1.0", x), heads, patches)
    y = weights.linear(f"{name}.mlp.0.fc1", weights.layer_norm(f"{name}.norm2.0", x), mlp_ratio * channels)
    return x + weights.linear(f"{name}.mlp.0.fc2", gelu(y), channels)


def network(config, voxels, scene_of, x, weights):
    depth = (max(c for v in voxels for c in v) + 1).bit_length()
    stages = {}
    codes = [[code(order, v, depth) for v in voxels] for order in config["order"]]
    stages["codes"] = torch.tensor(codes)
    rows = {(s, v): i for i, (s, v) in enumerate(zip(scene_of, voxels))}
    x = weights.sparse_conv("embedding.stem.conv", x, rows, 5, config["enc_channels"][0], False)
    x = gelu(weights.batch_norm("embedding.stem.norm", x))
    stages["stem"] = x
    levels = []
    for s, channels in enumerate(config["enc_channels"]):
        name = f"enc.enc{s}"
        if s > 0:
            y = weights.linear(f"{name}.down.proj", x, channels)
            # points of the same code without its last three bits fall together, in the order of the codes
            step = 1 if depth >= 1 else 0
            parents = [(scene, c >> 3 * step) for scene, c in zip(scene_of, codes[0])]
            families = sorted(set(parents))
            parent = [families.index(p) for p in parents]
            members = [[i for i, p in enumerate(parent) if p == f] for f in range(len(families))]
            x = torch.stack([y[m].max(0).values for m in members])
            x = gelu(weights.batch_norm(f"{name}.down.norm.0", x))
            codes = [[c[m[0]] >> 3 * step for m in members] for c in codes]
            voxels = [tuple(c >> step for c in voxels[m[0]]) for m in members]
            scene_of = [scene_of[m[0]] for m in members]
            depth -= step
            levels[-1]["parent"] = parent
            rows = {(s_, v): i for i, (s_, v) in enumerate(zip(scene_of, voxels))}
        patches = [patches_of(c, scene_of, config["enc_patch_size"][s]) for c in codes]
        for i in range(config["enc_depths"][s]):
            at = patches[i % len(patches)]
            x = block(weights, f"{name}.block{i}", x, x, rows, config["enc_num_head"][s], config["mlp_ratio"], at)
        levels.append({"rows": rows, "patches": patches, "x": x})
        stages[f"enc{s}"] = sorted_rows(x, rows)
        stages[f"enc{s}_voxels"] = torch.tensor([[scene, *voxel] for scene, voxel in sorted(rows)])
    for s in reversed(range(len(config["dec_channels"]))):
        level, name, channels = levels[s], f"dec.dec{s}", config["dec_channels"][s]
        x = gelu(weights.batch_norm(f"{name}.up.proj.1", weights.linear(f"{name}.up.proj.0", x, channels)))
        skip = gelu(weights.batch_norm(f"{name}.up.proj_skip.1", weights.linear(f"{name}.up.proj_skip.0", level["x"], channels)))
        x = skip + x[level["parent"]]
        for i in range(config["dec_depths"][s]):
            at = level["patches"][i % len(level["patches"])]
            # the published code convolves the skipped features alone in the first block after an unpooling
            convolved = skip if i == 0 else x
            heads = config["dec_num_head"][s]
            x = block(weights, f"{name}.block{i}", x, convolved, level["rows"], heads, config["mlp_ratio"], at)
        stages[f"dec{s}"] = sorted_rows(x, level["rows"])
    return stages


def sorted_rows(x, rows):
    """By scene, then voxel: how either side numbers its points shall not matter."""
    return x[[rows[key] for key in sorted(rows)]]
