#!/usr/bin/env python3
"""An rclpy process that plays a recording to the node, asks, and prints what came back as one JSON line.

    live_peer.py BAG QUESTION --rate 15 --then QUESTION

It publishes every message of the bag, read by `rosbags`, on its own topic, at the given rate of frames, then asks on
~/question and ~/get_views. To each further question it waits for the ~/suggested_view that comes with the answer.
"""
import argparse
import importlib
import json
import struct
import sys
import time
from pathlib import Path

import rclpy
from geometry_msgs.msg import PoseStamped
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import String
from vantage_interfaces.msg import Answer
from vantage_interfaces.srv import GetViews
from vision_msgs.msg import Detection3DArray
from visualization_msgs.msg import MarkerArray

NODE = "/vantage"
CLOCK_TOPIC = "/camera/aligned_depth_to_color/image_raw"


def message_class(type_name):
    """sensor_msgs/msg/Image -> its class."""
    package, _, name = type_name.split("/")
    return getattr(importlib.import_module(f"{package}.msg"), name)


def stamp(header):
    return header.stamp.sec * 10**9 + header.stamp.nanosec


class Peer:
    def __init__(self, limit_s):
        rclpy.init()
        self.node = rclpy.create_node("peer")
        self.limit_s = limit_s
        self.got = {"points": [], "detections": [], "markers": [], "answer": [], "suggested_view": []}
        kinds = {
            "points": PointCloud2, "detections": Detection3DArray, "markers": MarkerArray, "answer": Answer,
            "suggested_view": PoseStamped,
        }
        self.subscriptions = [
            self.node.create_subscription(kind, f"{NODE}/{name}", self.got[name].append, 10) for name, kind in kinds.items()
        ]
        self.views = self.node.create_client(GetViews, f"{NODE}/get_views")
        self.question = self.node.create_publisher(String, f"{NODE}/question", 10)

    def wait(self, what, done):
        """Spins until `done()`; fails with `what` after the limit."""
        end = time.monotonic() + self.limit_s
        while not done():
            if time.monotonic() > end:
                sys.exit(f"after {self.limit_s} s: no {what}")
            rclpy.spin_once(self.node, timeout_sec=0.05)

    def play(self, bag, rate):
        store = get_typestore(Stores.ROS2_HUMBLE)
        stamps = []
        with AnyReader([Path(bag)], default_typestore=store) as reader:
            publishers = {}
            for connection in reader.connections:
                qos = QoSProfile(depth=20, reliability=ReliabilityPolicy.RELIABLE)
                if connection.topic == "/tf_static":
                    qos.durability = DurabilityPolicy.TRANSIENT_LOCAL
                publishers[connection.topic] = self.node.create_publisher(message_class(connection.msgtype), connection.topic, qos)
            self.wait("subscriber on every topic", lambda: all(p.get_subscription_count() for p in publishers.values()))
            self.wait("node that publishes", lambda: self.node.count_publishers(f"{NODE}/answer") == 1)
            self.wait("node that listens to questions", lambda: self.question.get_subscription_count() == 1)
            due = time.monotonic()
            for connection, _, data in reader.messages():
                if connection.topic.startswith(CLOCK_TOPIC):
                    due += 1.0 / rate
                    while time.monotonic() < due:
                        rclpy.spin_once(self.node, timeout_sec=max(0.0, min(0.01, due - time.monotonic())))
                    header = reader.deserialize(data, connection.msgtype).header
                    stamps.append(stamp(header))
                # the recording's bytes as they are: rclpy takes serialised messages
                publishers[connection.topic].publish(bytes(data))
        return stamps

    def ask(self, question):
        before = len(self.got["answer"])
        self.question.publish(String(data=question))
        self.wait("answer", lambda: len(self.got["answer"]) > before)
        return self.got["answer"][-1]

    def ask_where_to_look(self, question):
        before = len(self.got["suggested_view"])
        confidence = self.ask(question).confidence
        self.wait(f"suggested view for `{question}`", lambda: len(self.got["suggested_view"]) > before)
        suggested = self.got["suggested_view"][-1]
        p, q = suggested.pose.position, suggested.pose.orientation
        return {
            "confidence": confidence, "frame": suggested.header.frame_id, "stamp": stamp(suggested.header), "position": [p.x, p.y, p.z],
            "turn": [q.x, q.y, q.z, q.w],
        }

    def ask_views(self, question, count, with_images):
        self.wait("service ~/get_views", self.views.service_is_ready)
        future = self.views.call_async(GetViews.Request(question=question, count=count, with_images=with_images))
        self.wait("views", future.done)
        return future.result()


def views(response):
    return {
        "success": response.success, "message": response.message, "frame": response.header.frame_id, "keyframes": list(response.keyframes),
        "scores": [list(x) for x in (response.utilities, response.text_scores, response.image_scores, response.clip_scores)],
        "stamps": [s.sec * 10**9 + s.nanosec for s in response.stamps],
        "turns": [[p.orientation.x, p.orientation.y, p.orientation.z, p.orientation.w] for p in response.poses],
        "pictures": [[i.format, bytes(i.data[:2]).hex(), len(i.data)] for i in response.images],
    }


def box(d):
    c, s = d.bbox.center.position, d.bbox.size
    r = d.results[0]
    return {
        "id": d.id, "class_id": r.hypothesis.class_id, "score": r.hypothesis.score, "center": [c.x, c.y, c.z], "size": [s.x, s.y, s.z],
        "pose_is_center": r.pose.pose == d.bbox.center, "frame": d.header.frame_id, "stamp": stamp(d.header),
    }


def bounds(cloud):
    points = [struct.unpack_from("<fff", cloud.data, i * cloud.point_step) for i in range(cloud.width)]
    return {"min": [min(p[k] for p in points) for k in range(3)], "max": [max(p[k] for p in points) for k in range(3)]}


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("bag")
    arguments.add_argument("question")
    arguments.add_argument("--rate", type=float, default=15.0)
    arguments.add_argument("--then", action="append", default=[])
    arguments.add_argument("--limit", type=float, default=120.0)
    a = arguments.parse_args()
    peer = Peer(a.limit)
    stamps = peer.play(a.bag, a.rate)
    peer.wait("points of the last frame", lambda: peer.got["points"] and stamp(peer.got["points"][-1].header) == stamps[-1])
    # an empty question has no answer: the node says so and goes on
    refused = peer.ask(" ")
    answer = peer.ask(a.question)
    own, two, none = peer.ask_views(a.question, 0, False), peer.ask_views(a.question, 2, True), peer.ask_views(" ", 2, False)
    peer.wait("detections", lambda: peer.got["detections"])
    peer.wait("markers", lambda: peer.got["markers"])
    detections, markers = peer.got["detections"][-1], peer.got["markers"][-1]
    first = len(peer.got["suggested_view"])
    suggested = [peer.ask_where_to_look(question) for question in a.then]
    cloud = peer.got["points"][-1]
    print(json.dumps({
        "stamps": stamps,
        "refused": refused.error_text,
        "answer": {
            "question": answer.question, "answer": answer.answer, "error_text": answer.error_text, "model": answer.model,
            "frame": answer.header.frame_id, "stamp": stamp(answer.header), "keyframes": list(answer.keyframes), "confidence": answer.confidence,
            "boxes": [box(d) for d in answer.detections.detections],
        },
        "detections": {"frame": detections.header.frame_id, "stamp": stamp(detections.header), "boxes": [box(d) for d in detections.detections]},
        "suggested_first": first, "suggested": suggested,
        "views": views(own), "two_views": views(two), "no_views": views(none),
        "markers": len(markers.markers),
        "points": {
            "frame": cloud.header.frame_id, "stamp": stamp(cloud.header), "count": cloud.width, "bounds": bounds(cloud),
            "fields": [f.name for f in cloud.fields], "messages": len(peer.got["points"]),
        },
    }))


if __name__ == "__main__":
    main()
