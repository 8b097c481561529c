#!/usr/bin/env python3
"""Time Open3D's fusion on a folder of RGB-D frames: one JSON line for each operation, milliseconds a frame, median of the runs.

    bench_open3d_fusion.py ../shared/data/livingroom1 [RUNS]

Reading files is not counted. Of the ways that Open3D offers for one operation the fastest is reported.
"""
import json
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np
import open3d as o3d

DEPTH_SCALE, MAX_DEPTH_M, TRUNCATION_VOXELS = 1000.0, 4.0, 4.0
LINK_FROM_OPTICAL = np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]], float)
INTRINSICS = np.array([[525.0, 0, 319.5], [0, 525.0, 239.5], [0, 0, 1]])
CPU, Tensor = o3d.core.Device("CPU:0"), o3d.core.Tensor
FLOAT, U16 = o3d.core.float32, o3d.core.uint16


def poses(path):
    lines = path.read_text().split("\n")
    rows = [lines[i + 1:i + 5] for i in range(0, len(lines) - 4, 5)]
    return [LINK_FROM_OPTICAL @ np.array([[float(x) for x in row.split()] for row in four]) for four in rows]


def milliseconds(work, runs, frames, prepare=lambda: None):
    """Median of the runs; what `prepare` makes for each of them is not counted."""
    times = []
    for _ in range(runs):
        prepared = prepare()
        start = time.perf_counter()
        output = work(prepared)
        times.append((time.perf_counter() - start) * 1e3 / frames)
    return median(times), output


def empty_grid(voxel_m, resolution, dtypes):
    return o3d.t.geometry.VoxelBlockGrid(
        attr_names=("tsdf", "weight", "color"), attr_dtypes=dtypes, attr_channels=((1), (1), (3)),
        voxel_size=voxel_m, block_resolution=resolution, block_count=20000 if resolution == 8 else 5000, device=CPU)


def fuse(grid, images, extrinsics, intrinsics):
    for (depth, color), extrinsic in zip(images, extrinsics):
        blocks = grid.compute_unique_block_coordinates(
            depth, intrinsics, extrinsic, DEPTH_SCALE, MAX_DEPTH_M, TRUNCATION_VOXELS)
        grid.integrate(blocks, depth, color, intrinsics, extrinsic, DEPTH_SCALE, MAX_DEPTH_M, TRUNCATION_VOXELS)
    return int(grid.hashmap().size())


def clouds_tensor(images, extrinsics, intrinsics):
    points = 0
    for (depth, color), extrinsic in zip(images, extrinsics):
        rgbd = o3d.t.geometry.RGBDImage(color, depth)
        cloud = o3d.t.geometry.PointCloud.create_from_rgbd_image(rgbd, intrinsics, extrinsic, DEPTH_SCALE, MAX_DEPTH_M)
        points += len(cloud.point.positions)
    return points


def clouds_legacy(images, world_from_camera):
    camera = o3d.camera.PinholeCameraIntrinsic(640, 480, 525.0, 525.0, 319.5, 239.5)
    points = 0
    for (depth, color), pose in zip(images, world_from_camera):
        rgbd = o3d.geometry.RGBDImage.create_from_color_and_depth(
            color, depth, depth_scale=DEPTH_SCALE, depth_trunc=MAX_DEPTH_M, convert_rgb_to_intensity=False)
        cloud = o3d.geometry.PointCloud.create_from_rgbd_image(rgbd, camera)
        cloud.transform(pose)
        points += len(cloud.points)
    return points


def nothing():
    return None


def main():
    folder, runs = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 5
    world_from_camera = poses(folder / "trajectory.log")
    depths = [o3d.t.io.read_image(str(f)) for f in sorted((folder / "depth").glob("*.png"))]
    colors = [o3d.t.io.read_image(str(f)) for f in sorted((folder / "color").glob("*.jpg"))]
    images = list(zip(depths, colors))
    # what works on floats is given floats; the conversion is not counted
    floats = [(d.to(FLOAT, scale=1.0), c.to(FLOAT, scale=1.0 / 255.0)) for d, c in images]
    count = len(images)
    if count == 0:
        sys.exit(f"no frames under {folder}")
    intrinsics = Tensor(INTRINSICS)
    extrinsics = [Tensor(np.linalg.inv(pose)) for pose in world_from_camera]

    def report(name, ways):
        timed = {}
        for way, (work, prepare) in ways.items():
            timed[way] = milliseconds(work, 1, count, prepare)[0]
        best = min(timed, key=timed.get)
        work, prepare = ways[best]
        ms, output = milliseconds(work, runs, count, prepare)
        print(json.dumps({"name": name, "peer": "open3d 0.20", "peer_ms": ms, "way": best, "input": count, "output": output}),
              flush=True)

    for name, voxel_m in (("tsdf_2cm", 0.02), ("tsdf_1cm", 0.01)):
        report(name, {
            f"{resolution}^3 blocks of {voxels}, {pictures} images": (
                lambda grid, i=inputs: fuse(grid, i, extrinsics, intrinsics),
                lambda r=resolution, d=dtypes, v=voxel_m: empty_grid(v, r, d))
            for resolution in (8, 16)
            for voxels, dtypes in (("f32", (FLOAT, FLOAT, FLOAT)), ("u16", (FLOAT, U16, U16)))
            for pictures, inputs in (("integer", images), ("float", floats))
        })
    legacy = [(d.to_legacy(), c.to_legacy()) for d, c in images]
    report("rgbd_to_cloud", {
        "tensor, integer images": (lambda _: clouds_tensor(images, extrinsics, intrinsics), nothing),
        "tensor, float images": (lambda _: clouds_tensor(floats, extrinsics, intrinsics), nothing),
        "legacy": (lambda _: clouds_legacy(legacy, world_from_camera), nothing),
    })


if __name__ == "__main__":
    main()
