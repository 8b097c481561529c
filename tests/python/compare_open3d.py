#!/usr/bin/env python3
"""Fuse a folder of RGB-D frames with Open3D and compare with a cloud and a mesh: one JSON line with distances in metres.

    compare_open3d.py ../shared/data/livingroom1 map.ply mesh.ply
"""
import json
import sys
from pathlib import Path

import numpy as np
import open3d as o3d

VOXEL_M, MAX_DEPTH_M, TRUNCATION_VOXELS = 0.02, 4.0, 4.0
# odom is the trajectory's world turned so that z points up: the optical frame's axes seen from a body frame
LINK_FROM_OPTICAL = np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]], float)


def poses(path):
    lines = path.read_text().split("\n")
    return [np.array([[float(x) for x in row.split()] for row in lines[i + 1:i + 5]]) for i in range(0, len(lines) - 4, 5)]


def distances(cloud, surface):
    """Of the points of a cloud to the triangles of a mesh: how points are spread over a surface does not count."""
    scene = o3d.t.geometry.RaycastingScene()
    scene.add_triangles(surface)
    return scene.compute_distance(o3d.core.Tensor(np.asarray(cloud.points, np.float32))).numpy()


def main():
    frames, cloud, mesh = (Path(argument) for argument in sys.argv[1:4])
    device, tensor = o3d.core.Device("CPU:0"), o3d.core.Tensor
    grid = o3d.t.geometry.VoxelBlockGrid(
        attr_names=("tsdf", "weight"), attr_dtypes=(o3d.core.float32, o3d.core.float32), attr_channels=((1), (1)),
        voxel_size=VOXEL_M, block_resolution=16, block_count=20000, device=device,
    )
    intrinsics = tensor(np.array([[525.0, 0, 319.5], [0, 525.0, 239.5], [0, 0, 1]]))
    count = 0
    for file, pose in zip(sorted((frames / "depth").glob("*.png")), poses(frames / "trajectory.log")):
        depth = o3d.t.io.read_image(str(file))
        extrinsics = tensor(np.linalg.inv(LINK_FROM_OPTICAL @ pose))
        blocks = grid.compute_unique_block_coordinates(depth, intrinsics, extrinsics, 1000.0, MAX_DEPTH_M, TRUNCATION_VOXELS)
        grid.integrate(blocks, depth, intrinsics, extrinsics, 1000.0, MAX_DEPTH_M, TRUNCATION_VOXELS)
        count += 1
    theirs = grid.extract_point_cloud(weight_threshold=1.0).to_legacy()
    their_surface = grid.extract_triangle_mesh(weight_threshold=1.0)
    ours = o3d.io.read_point_cloud(str(cloud))
    our_surface = o3d.t.io.read_triangle_mesh(str(mesh))
    if not theirs.points or not ours.points:
        sys.exit(f"{count} frames in {frames} give {len(theirs.points)} points, {cloud} holds {len(ours.points)}: nothing to compare")
    forth = distances(ours, their_surface)
    back = distances(theirs, our_surface)
    print(json.dumps({
        "open3d": o3d.__version__, "frames": count, "our_points": len(ours.points), "their_points": len(theirs.points),
        "ours_to_theirs_median_m": float(np.median(forth)), "ours_to_theirs_p95_m": float(np.percentile(forth, 95)),
        "theirs_to_ours_median_m": float(np.median(back)), "theirs_to_ours_p95_m": float(np.percentile(back, 95)),
    }))


if __name__ == "__main__":
    main()
