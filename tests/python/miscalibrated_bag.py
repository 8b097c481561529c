#!/usr/bin/env python3
"""Rewrite a rosbag2 recording with one thing of its calibration wrong, with the pure-Python `rosbags` library.

    miscalibrated_bag.py GOOD_BAG NEW_BAG scaled

The recording is one with CompressedImage topics and aligned depth (16-bit PNG behind a 12-byte header), as `make_bag.py` writes.
"""
import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

FAULTS = ["none", "scaled", "metres", "tenths", "shifted", "no-static", "small-info", "one-frame", "no-image", "nan-poses", "backwards"]
HEADER = 12
SCALE = 1.05
SHIFT_PX = 6


def main():
    source, place, fault = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    if fault not in FAULTS:
        sys.exit(f"{fault}: not one of {FAULTS}")
    store = get_typestore(Stores.ROS2_HUMBLE)

    def depth(message, change):
        data = message.data.tobytes()
        z = np.asarray(Image.open(io.BytesIO(data[HEADER:]))).astype(float)
        out = io.BytesIO()
        Image.fromarray(np.clip(np.rint(change(z)), 0, 65535).astype(np.uint16)).save(out, "PNG", compress_level=1)
        message.data = np.frombuffer(data[:HEADER] + out.getvalue(), np.uint8)

    def shifted(message):
        picture = np.asarray(Image.open(io.BytesIO(message.data.tobytes())).convert("RGB"))
        out = io.BytesIO()
        Image.fromarray(np.roll(picture, SHIFT_PX, axis=1)).save(out, "JPEG", quality=92)
        message.data = np.frombuffer(out.getvalue(), np.uint8)

    def changed(topic, message, number):
        """The message as it goes into the new recording; None where it does not."""
        is_depth, is_color = topic.endswith("/compressedDepth"), topic.endswith("/compressed")
        match fault:
            case "scaled" if is_depth:
                depth(message, lambda z: z * SCALE)
            case "metres" if is_depth:
                depth(message, lambda z: z / 1000)
            case "tenths" if is_depth:
                depth(message, lambda z: z * 10)
            case "shifted" if is_color:
                shifted(message)
            case "no-static" if topic == "/tf_static":
                return None
            case "small-info" if topic.endswith("depth_to_color/camera_info"):
                message.width, message.height = 320, 240
                message.k = message.k * np.array([0.5, 1, 0.5, 1, 0.5, 0.5, 1, 1, 1])
            case "one-frame" if number > 0 and (is_depth or is_color):
                return None
            case "no-image" if is_depth or is_color:
                return None
            case "nan-poses" if topic == "/tf":
                message.transforms[0].transform.translation.x = float("nan")
                message.transforms[0].transform.rotation.w = float("nan")
            case "backwards" if is_depth and number == 20:
                message.header.stamp.sec -= 3
        return message

    with Reader(source) as reader, Writer(place, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        to = {c.id: writer.add_connection(c.topic, c.msgtype, typestore=store) for c in reader.connections}
        numbers = {}
        for connection, stamp, raw in reader.messages():
            number = numbers.setdefault(connection.id, 0)
            numbers[connection.id] += 1
            message = changed(connection.topic, store.deserialize_cdr(raw, connection.msgtype), number)
            if message is not None:
                writer.write(to[connection.id], stamp, store.serialize_cdr(message, connection.msgtype))


if __name__ == "__main__":
    main()
