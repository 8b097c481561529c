#!/usr/bin/env python3
"""Bend and straighten points with OpenCV, for lenses in use and random ones: one JSON object.

    opencv_distortion.py SEED RANDOM_LENSES POINTS

Points are normalised (x/z, y/z). Of each lens: "points", where OpenCV bends them ("distorted"), and where it brings those
back to ("undistorted"); points that OpenCV's iteration does not bring back to within 1e-12 are left out.
"""
import json
import sys

import cv2
import numpy as np

EYE = np.eye(3)
# the iteration goes on until rounding
CRITERIA = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 2000, 1e-16)
# half the view that random lenses are asked about, as the tangent of the angle from the axis
REACH = 0.9
LENSES = [
    ("plumb_bob", [0.262383, -0.953104, -0.005358, 0.002628, 1.163314]),
    ("plumb_bob", [-0.361976, 0.110510, 0.001014, 0.000505, 0.0]),
    ("rational_polynomial", [0.33012131, -2.48939657, -0.00016178, -0.00012945, 1.45367086, 0.20891207, -2.3029151, 1.37512755]),
    ("rational_polynomial", [16.1704, 8.44953, 5.92792e-05, -1.46558e-05, 0.324469, 16.4805, 13.9441, 1.99604]),
    ("equidistant", [-0.018569763768572757, -0.012655484908141184, 0.017158815479833153, -0.008343262720920537]),
    ("equidistant", [0.0, 0.0, 0.0, 0.0]),
]


def bend(model, d, points):
    points, d = points.reshape(-1, 1, 2), np.asarray(d, float)
    if model == "equidistant":
        return cv2.fisheye.distortPoints(points, EYE, d).reshape(-1, 2)
    solid = np.concatenate([points, np.ones((len(points), 1, 1))], axis=2)
    return cv2.projectPoints(solid, np.zeros(3), np.zeros(3), EYE, d)[0].reshape(-1, 2)


def straighten(model, d, points):
    points, d = points.reshape(-1, 1, 2), np.asarray(d, float)
    if model == "equidistant":
        return cv2.fisheye.undistortPoints(points, EYE, d, criteria=CRITERIA).reshape(-1, 2)
    return cv2.undistortPoints(points, EYE, d, criteria=CRITERIA).reshape(-1, 2)


def random_lens(rng):
    """A lens whose radius grows over the whole reach, by sampling."""
    while True:
        model = ["plumb_bob", "rational_polynomial", "equidistant"][rng.integers(3)]
        size = {"plumb_bob": 5, "rational_polynomial": 8, "equidistant": 4}[model]
        d = rng.uniform(-0.3, 0.3, size)
        if size > 4:
            d[2:4] *= 0.02
        r = np.linspace(0, 1.5 * REACH, 2000)
        bent = bend(model, d, np.stack([r, 0 * r], axis=1))[:, 0]
        if np.all(np.diff(bent) > 1e-5):
            return model, d.tolist()


def main():
    seed, lenses, count = (int(x) for x in sys.argv[1:])
    rng = np.random.default_rng(seed)
    cases = []
    for model, d in LENSES + [random_lens(rng) for _ in range(lenses)]:
        points = rng.uniform(-REACH, REACH, (count, 2)) * [1.0, 0.75]
        distorted = bend(model, d, points)
        undistorted = straighten(model, d, distorted)
        kept = np.abs(bend(model, d, undistorted) - distorted).max(axis=1) < 1e-12
        cases.append({
            "model": model, "d": d, "points": points[kept].tolist(),
            "distorted": distorted[kept].tolist(), "undistorted": undistorted[kept].tolist(),
        })
    print(json.dumps({"opencv": cv2.__version__, "cases": cases}))


if __name__ == "__main__":
    main()
