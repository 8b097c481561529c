#!/usr/bin/env python3
"""Time Open3D's point cloud operations on a file of points: one JSON line an operation.

    bench_open3d_clouds.py points.bin 12932561

The file holds COUNT records of 15 bytes: x, y, z as little-endian f32 in metres, then red, green, blue as u8. Voxel
downsampling runs on all of it, the others on what downsampling leaves, or on the points of `--small FILE` (x, y, z in f32), so
that a peer works on the very same. Of Open3D's two interfaces (legacy and tensor) the faster one counts, named in
`call`. What a call needs beforehand (its own copy of the points, in f64 where it wants that) is not timed.
"""
import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import open3d as o3d

VOXEL_M = 0.02
NORMAL_RADIUS_M, NORMAL_NEIGHBOURS = 0.1, 30
CLUSTER_RADIUS_M, CLUSTER_MIN_POINTS = 0.05, 10
OUTLIER_NEIGHBOURS, OUTLIER_DEVIATIONS = 20, 2.0
SAMPLES = 1024
PLANE_TOLERANCE_M, PLANE_TRIPLES = 0.02, 1000
RUNS = 5
RECORD = np.dtype([("xyz", "<f4", 3), ("rgb", "u1", 3)])


def timed_ms(call):
    """Milliseconds of one call, and what it gave."""
    start = time.perf_counter()
    result = call()
    return 1e3 * (time.perf_counter() - start), result


def report(name, points, calls):
    """Times `calls` (name -> (function, how to count its result)) and prints the fastest.

    Each is run once to warm up; only those within twice the fastest of these are run RUNS times for their median.
    """
    warm = {call: timed_ms(function) for call, (function, _) in calls.items()}
    fastest = min(ms for ms, _ in warm.values())
    medians = {
        call: statistics.median(timed_ms(calls[call][0])[0] for _ in range(RUNS))
        for call, (ms, _) in warm.items() if ms <= 2 * fastest
    }
    call = min(medians, key=medians.get)
    print(json.dumps({
        "name": name, "peer": f"open3d {'.'.join(o3d.__version__.split('.')[:2])}", "peer_ms": round(medians[call], 3),
        "call": call, "points": points, "output": int(calls[call][1](warm[call][1])),
        "others_ms": {other: round(medians.get(other, warm[other][0]), 3) for other in calls if other != call},
    }), flush=True)


def main():
    parser = argparse.ArgumentParser(description="Time Open3D on a file of points.")
    parser.add_argument("points", type=Path)
    parser.add_argument("count", type=int)
    parser.add_argument("--small", type=Path, help="downsampled points, x, y, z as f32, instead of its own")
    arguments = parser.parse_args()
    expected = arguments.count * RECORD.itemsize
    if arguments.points.stat().st_size != expected:
        sys.exit(f"{arguments.points} has {arguments.points.stat().st_size} bytes, {arguments.count} points are {expected}")
    records = np.fromfile(arguments.points, RECORD)

    tensor = o3d.t.geometry.PointCloud(o3d.core.Tensor(np.ascontiguousarray(records["xyz"])))
    tensor.point.colors = o3d.core.Tensor(np.ascontiguousarray(records["rgb"]))
    legacy = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(records["xyz"].astype(np.float64)))
    legacy.colors = o3d.utility.Vector3dVector(records["rgb"] / 255.0)
    report("voxel_down_2cm", len(records), {
        "PointCloud.voxel_down_sample": (lambda: legacy.voxel_down_sample(VOXEL_M), lambda cloud: len(cloud.points)),
        "t.PointCloud.voxel_down_sample": (
            lambda: tensor.voxel_down_sample(VOXEL_M), lambda cloud: len(cloud.point.positions)),
    })

    if arguments.small:
        small = np.fromfile(arguments.small, "<f4").reshape(-1, 3)
    else:
        small = np.asarray(legacy.voxel_down_sample(VOXEL_M).points).astype("<f4")
    legacy = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(small.astype(np.float64)))
    tensor = o3d.t.geometry.PointCloud(o3d.core.Tensor(np.ascontiguousarray(small, np.float32)))
    hybrid = o3d.geometry.KDTreeSearchParamHybrid(NORMAL_RADIUS_M, NORMAL_NEIGHBOURS)
    report("normals", len(small), {
        "PointCloud.estimate_normals": (lambda: legacy.estimate_normals(hybrid), lambda _: len(legacy.normals)),
        "t.PointCloud.estimate_normals": (
            lambda: tensor.estimate_normals(NORMAL_NEIGHBOURS, NORMAL_RADIUS_M), lambda _: len(tensor.point.normals)),
    })
    report("cluster", len(small), {
        "PointCloud.cluster_dbscan": (
            lambda: legacy.cluster_dbscan(CLUSTER_RADIUS_M, CLUSTER_MIN_POINTS), lambda labels: np.asarray(labels).max() + 1),
        "t.PointCloud.cluster_dbscan": (
            lambda: tensor.cluster_dbscan(CLUSTER_RADIUS_M, CLUSTER_MIN_POINTS), lambda labels: labels.numpy().max() + 1),
    })
    report("statistical_outliers", len(small), {
        "PointCloud.remove_statistical_outlier": (
            lambda: legacy.remove_statistical_outlier(OUTLIER_NEIGHBOURS, OUTLIER_DEVIATIONS), lambda found: len(found[1])),
        "t.PointCloud.remove_statistical_outliers": (
            lambda: tensor.remove_statistical_outliers(OUTLIER_NEIGHBOURS, OUTLIER_DEVIATIONS),
            lambda found: found[1].numpy().sum()),
    })
    report("farthest_points", len(small), {
        "PointCloud.farthest_point_down_sample": (
            lambda: legacy.farthest_point_down_sample(SAMPLES), lambda cloud: len(cloud.points)),
        "t.PointCloud.farthest_point_down_sample": (
            lambda: tensor.farthest_point_down_sample(SAMPLES), lambda cloud: len(cloud.point.positions)),
    })
    report("plane", len(small), {
        "PointCloud.segment_plane": (
            lambda: legacy.segment_plane(PLANE_TOLERANCE_M, 3, PLANE_TRIPLES), lambda found: len(found[1])),
        "t.PointCloud.segment_plane": (
            lambda: tensor.segment_plane(PLANE_TOLERANCE_M, 3, PLANE_TRIPLES), lambda found: len(found[1])),
    })


if __name__ == "__main__":
    main()
