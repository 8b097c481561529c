"""Writes a .sens file by ScanNet's published layout with nothing but struct and zlib: FILE FRAMES [raw|png].

Pixel (u, v) of frame i is coloured (u + i, v, 7 i) mod 256 and has a depth of 1000 + 10 u + v + i millimetres, none where u = v. Camera i
stands at (i, 2 i, 3 i), turned by i quarter turns about z; every third frame, from the second on, has lost its pose.
"""

import struct
import sys
import zlib

COLOR, DEPTH = (20, 12), (10, 6)
TURNS = [(1, 0), (0, 1), (-1, 0), (0, -1)]


def png(width, height, rows):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def matrix(fx, fy, cx, cy):
    return [fx, 0, cx, 0, 0, fy, cy, 0, 0, 0, 1, 0, 0, 0, 0, 1]


def main(path, frames, compression):
    identity = matrix(1, 1, 0, 0)
    with open(path, "wb") as out:
        name = b"written by hand"
        out.write(struct.pack("<IQ", 4, len(name)) + name)
        for rows in (matrix(21, 22, 9.5, 5.5), identity, matrix(10.5, 11, 4.5, 2.5), identity):
            out.write(struct.pack("<16f", *rows))
        out.write(struct.pack("<iiIIIIfQ", {"raw": 0, "png": 1}[compression], 1, *COLOR, *DEPTH, 1000.0, frames))
        for i in range(frames):
            cos, sin = TURNS[i % 4]
            pose = [cos, -sin, 0, i, sin, cos, 0, 2 * i, 0, 0, 1, 3 * i, 0, 0, 0, 1]
            if i % 3 == 1:
                pose = [float("-inf")] * 16
            rows = [bytes(b for u in range(COLOR[0]) for b in ((u + i) % 256, v, 7 * i % 256)) for v in range(COLOR[1])]
            color = b"".join(rows) if compression == "raw" else png(*COLOR, rows)
            values = [0 if u == v else 1000 + 10 * u + v + i for v in range(DEPTH[1]) for u in range(DEPTH[0])]
            depth = zlib.compress(struct.pack(f"<{len(values)}H", *values))
            out.write(struct.pack("<16f", *pose))
            out.write(struct.pack("<QQQQ", 1000 * i, 1000 * i + 5, len(color), len(depth)) + color + depth)
        imu = [0.25] * 15
        out.write(struct.pack("<Q", 1) + struct.pack("<15dQ", *imu, 9))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
