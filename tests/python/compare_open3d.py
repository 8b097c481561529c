#!/usr/bin/env python3
"""Fuse a folder of RGB-D frames with Open3D and compare with a cloud: one JSON line with distances in metres.

    compare_open3d.py ../shared/data/livingroom1 map.ply
"""
import json
import sys
from pathlib import Path

import numpy as np
import open3d as o3d

VOXEL_M, MAX_DEPTH_M = 0.02, 4.0
# odom is the trajectory's world turned so that z points up: the optical frame's axes seen from a body frame
LINK_FROM_OPTICAL = np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]], float)


def poses(path):
    lines = path.read_text().split("\n")
    return [np.array([[float(x) for x in row.split()] for row in lines[i + 1:i + 5]]) for i in range(0, len(lines) - 4, 5)]


def main():
    frames, cloud = Path(sys.argv[1]), Path(sys.argv[2])
    volume = o3d.pipelines.integration.ScalableTSDFVolume(
        voxel_length=VOXEL_M, sdf_trunc=4 * VOXEL_M, color_type=o3d.pipelines.integration.TSDFVolumeColorType.RGB8
    )
    intrinsics = o3d.camera.PinholeCameraIntrinsic(640, 480, 525.0, 525.0, 319.5, 239.5)
    files = zip(sorted((frames / "color").glob("*.jpg")), sorted((frames / "depth").glob("*.png")), poses(frames / "trajectory.log"))
    count = 0
    for color, depth, pose in files:
        rgbd = o3d.geometry.RGBDImage.create_from_color_and_depth(
            o3d.io.read_image(str(color)), o3d.io.read_image(str(depth)), 1000.0, MAX_DEPTH_M, convert_rgb_to_intensity=False
        )
        volume.integrate(rgbd, intrinsics, np.linalg.inv(LINK_FROM_OPTICAL @ pose))
        count += 1
    theirs = volume.extract_point_cloud()
    ours = o3d.io.read_point_cloud(str(cloud))
    forth = np.asarray(ours.compute_point_cloud_distance(theirs))
    back = np.asarray(theirs.compute_point_cloud_distance(ours))
    print(json.dumps({
        "open3d": o3d.__version__, "frames": count, "our_points": len(ours.points), "their_points": len(theirs.points),
        "ours_to_theirs_median_m": float(np.median(forth)), "ours_to_theirs_p95_m": float(np.percentile(forth, 95)),
        "theirs_to_ours_median_m": float(np.median(back)), "theirs_to_ours_p95_m": float(np.percentile(back, 95)),
    }))


if __name__ == "__main__":
    main()
