#!/usr/bin/env python3
"""Write a tiny rosbag2 recording with one thing wrong, with the pure-Python `rosbags` library.

    broken_bag.py /tmp/bag mcap no-depth
"""
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

FAULTS = [
    "none", "no-depth", "no-color", "no-info", "no-transform", "short-image", "small-step", "unknown-encoding", "millimetres",
    "huge-size", "empty-image", "bad-png", "png-bomb", "bad-lens", "no-focal-length", "cut-message",
    "no-reading",
]
WIDTH, HEIGHT, FRAMES = 64, 48, 4
START = 1_700_000_000_000_000_000
OPTICAL = "camera_color_optical_frame"


def png_bomb():
    """A PNG of a few hundred bytes whose header asks for 60000 x 60000 16-bit pixels."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 60000, 60000, 16, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(4096))) + chunk(b"IEND", b"")


def main():
    place, storage, fault = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    if fault not in FAULTS:
        sys.exit(f"{fault}: not one of {FAULTS}")
    store = get_typestore(Stores.ROS2_HUMBLE)
    t = store.types
    image, compressed, info = t["sensor_msgs/msg/Image"], t["sensor_msgs/msg/CompressedImage"], t["sensor_msgs/msg/CameraInfo"]
    tf = t["tf2_msgs/msg/TFMessage"]

    def header(ns, frame):
        return t["std_msgs/msg/Header"](t["builtin_interfaces/msg/Time"](ns // 10**9, ns % 10**9), frame)

    def color(ns):
        data = np.full(WIDTH * HEIGHT * 3, 90, np.uint8)
        return image(header(ns, OPTICAL), HEIGHT, WIDTH, "rgb8", 0, WIDTH * 3, data)

    def depth(ns):
        width, height, step, encoding = WIDTH, HEIGHT, WIDTH * 2, "16UC1"
        data = np.full(WIDTH * HEIGHT, 1500, "<u2")
        match fault:
            case "short-image":
                data = data[: data.size // 2]
            case "small-step":
                step = WIDTH
            case "unknown-encoding":
                encoding = "yuv422_yuy2"
            case "millimetres":
                encoding, step, data = "32FC1", WIDTH * 4, data.astype("<f4")
            case "huge-size":
                width, height, step = 2**31, 2**31, 2**31
            case "no-reading":
                data = np.zeros_like(data)
            case "empty-image":
                data = data[:0]
            case "bad-png":
                noise = np.arange(300, dtype=np.uint8)
                return compressed(header(ns, OPTICAL), "16UC1; compressedDepth png", noise)
            case "png-bomb":
                bytes_ = np.frombuffer(bytes(12) + png_bomb(), np.uint8)
                return compressed(header(ns, OPTICAL), "16UC1; compressedDepth png", bytes_)
        return image(header(ns, OPTICAL), height, width, encoding, 0, step, np.frombuffer(data.tobytes(), np.uint8))

    def calibration(ns):
        f = 0.0 if fault == "no-focal-length" else 60.0
        model, d = ("omnidirectional", np.full(4, 0.1)) if fault == "bad-lens" else ("plumb_bob", np.zeros(5))
        k = np.array([f, 0, 31.5, 0, f, 23.5, 0, 0, 1.0])
        p = np.array([f, 0, 31.5, 0, 0, f, 23.5, 0, 0, 0, 1.0, 0])
        roi = t["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
        return info(header(ns, OPTICAL), HEIGHT, WIDTH, model, d, k, np.eye(3).reshape(-1), p, 0, 0, roi)

    def transform(ns):
        one = t["geometry_msgs/msg/TransformStamped"](
            header(ns, "odom"),
            OPTICAL,
            t["geometry_msgs/msg/Transform"](t["geometry_msgs/msg/Vector3"](0.0, 0.0, 1.0), t["geometry_msgs/msg/Quaternion"](0.0, 0.0, 0.0, 1.0)),
        )
        return tf([one])

    small = fault in ("bad-png", "png-bomb")
    streams = [
        ("no-transform", "/tf", tf, transform),
        ("no-info", "/camera/depth/camera_info", info, calibration),
        ("no-color", "/camera/color/image_raw", image, color),
        ("no-depth", "/camera/depth/image_raw" + ("/compressedDepth" if small else ""), compressed if small else image, depth),
    ]
    plugin = StoragePlugin.MCAP if storage == "mcap" else StoragePlugin.SQLITE3
    with Writer(place, version=9, storage_plugin=plugin) as bag:
        made = [(bag.add_connection(topic, kind.__msgtype__, typestore=store), make) for left_out, topic, kind, make in streams if left_out != fault]
        for i in range(FRAMES):
            ns = START + i * 10**8
            for connection, make in made:
                message = make(ns)
                data = store.serialize_cdr(message, message.__msgtype__)
                if fault == "cut-message" and make is depth and i == 2:
                    data = data[: len(data) // 3]
                bag.write(connection, ns, data)


if __name__ == "__main__":
    main()
