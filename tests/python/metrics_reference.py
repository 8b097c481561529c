"""metrics_reference.py SEED CAPTIONS BOXES: random captions of a small grammar scored by pycocoevalcap (needs Java), random yawed boxes
by shapely, and what follows from both: matchings, average precision, dense captioning. Prints one JSON object."""

import json
import math
import os
import random
import subprocess
import sys
import threading
from importlib.metadata import version
from itertools import permutations

import numpy as np
import pycocoevalcap.meteor.meteor as meteor_module
import shapely
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.meteor.meteor import Meteor
from pycocoevalcap.rouge.rouge import Rouge
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

COLOURS = ["red", "dark-brown", "grey", "light blue", "off-white", "black/white", "darker", "reddish"]
THINGS = ["chair", "chairs", "desk", "desks", "sofa", "couch", "bookshelf", "bookshelves", "t.v.", "tv", "night stand", "trash can",
          "lamp", "cabinet", "cabinets", "door", "doors", "L-shaped table", "box", "boxes", "Window", "windows", "bed", "pillow"]
RELATIONS = ["next to", "near", "beside", "in front of", "behind", "to the left of", "leaning against", "facing", "placed under", "above",
             "hanging over", "places beneath", "between two"]
OPENINGS = ["there is a", "this is the", "a", "the", "It's a", "these are", "I see 2", "the room has a", "that isn't the", "it's the"]
TAILS = ["", "", ".", "!", ", and it is the 2nd from the left.", "; it's 1.5 m tall.", " (the biggest one).", " -- don't move it.",
         ". the {t}'s top is {c}.", ". the {t}s' legs are {c}.", ". it has \"{c}\" doors, etc.", ". you can't miss it: it's {c}.",
         ". there are 3/4 of them; they're {c}.", " which is {c} & 2.5m wide.", ". The U.S. flag is on it, no. 5.", " at 50% height?",
         ". it was placed there, placing it there again places it.", " ... the {t}. It cannot be moved."]
ANSWERS = ["brown", "dark brown", "Brown.", "2", "two", "bed", "bedroom", "night stand", "nightstand", "left", "to the left", "yes", "no", "", "?"]
CLASSES = ["chair", "desk", "lamp"]


def sentence(rng: random.Random) -> str:
    colour, thing, other = rng.choice(COLOURS), rng.choice(THINGS), rng.choice(THINGS)
    tail = rng.choice(TAILS).format(t=rng.choice(["chair", "desk", "lamp"]), c=rng.choice(COLOURS))
    text = f"{rng.choice(OPENINGS)} {colour} {thing} {rng.choice(RELATIONS)} the {other}{tail}"
    return text.capitalize() if rng.random() < 0.3 else text


def caption(rng: random.Random) -> str:
    return " ".join(sentence(rng) for _ in range(rng.choice([1, 1, 2, 3])))


def varied(rng: random.Random, text: str) -> str:
    """The text with words dropped, doubled, swapped or exchanged."""
    words = text.split()
    for _ in range(rng.randint(0, 6)):
        i = rng.randrange(len(words))
        what = rng.randrange(4)
        if what == 0 and len(words) > 1:
            del words[i]
        elif what == 1:
            words.insert(i, rng.choice(words))
        elif what == 2:
            j = rng.randrange(len(words))
            words[i], words[j] = words[j], words[i]
        else:
            words[i] = rng.choice(COLOURS + THINGS + ["the", "is", "a"])
    return " ".join(words)


def pair(rng: random.Random) -> tuple[str, list[str]]:
    references = [caption(rng)]
    while rng.random() < 0.5 and len(references) < 5:
        references.append(varied(rng, references[0]) if rng.random() < 0.5 else caption(rng))
    chance = rng.random()
    if chance < 0.02:
        candidate = ""
    elif chance < 0.04:
        candidate = rng.choice(["the the the the", "chair", "...", "a a desk desk a"])
    elif chance < 0.2:
        candidate = caption(rng)
    else:
        candidate = varied(rng, rng.choice(references))
    return candidate, references


class StemMeteor(Meteor):
    """METEOR with the matchers of equal words and equal stems alone."""

    def __init__(self):
        self.meteor_cmd = ["java", "-jar", "-Xmx2G", meteor_module.METEOR_JAR, "-", "-", "-stdio", "-l", "en", "-norm"]
        self.meteor_cmd += ["-m", "exact stem", "-w", "1.0 0.6"]
        self.meteor_p = subprocess.Popen(self.meteor_cmd, cwd=os.path.dirname(os.path.abspath(meteor_module.__file__)),
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.lock = threading.Lock()


def tokenise(pairs: list[tuple[str, list[str]]]) -> tuple[dict, dict]:
    tokenizer = PTBTokenizer()
    candidates = tokenizer.tokenize({i: [{"caption": c}] for i, (c, _) in enumerate(pairs)})
    references = tokenizer.tokenize({i: [{"caption": r} for r in rs] for i, (_, rs) in enumerate(pairs)})
    return candidates, references


def score(candidates: dict, references: dict) -> dict:
    bleu, bleus = Bleu(4).compute_score(references, candidates, verbose=0)
    found = {"bleu": (bleu, np.array(bleus).T.tolist())}
    for name, scorer in (("rouge_l", Rouge()), ("cider", Cider()), ("meteor", StemMeteor()), ("meteor_full", Meteor())):
        corpus, each = scorer.compute_score(references, candidates)
        found[name] = (float(corpus), [float(x) for x in each])
    return found


def normal_form(text: str) -> str:
    return " ".join("".join(c.lower() if c.isalnum() else " " for c in text).split())


def answer(rng: random.Random) -> dict:
    said, accepted = rng.choice(ANSWERS), [rng.choice(ANSWERS) for _ in range(rng.randint(1, 3))]
    given, wanted = normal_form(said), [normal_form(a) for a in accepted]
    exact = given in wanted
    pairs = [("".join(given.split()), "".join(w.split())) for w in wanted]
    within = any(g and w and (g in w or w in g) for g, w in pairs)
    return {"said": said, "accepted": accepted, "exact": exact, "refined": exact or within}


def box(rng: random.Random, spread: float) -> list[float]:
    numbers = [rng.uniform(-spread, spread) for _ in range(3)] + [rng.uniform(0.2, 2.0) for _ in range(3)] + [rng.uniform(-4.0, 4.0)]
    return [round(x, 4) for x in numbers]


def nudged(rng: random.Random, b: list[float]) -> list[float]:
    moved = [x + rng.gauss(0.0, 0.15) for x in b[:3]] + [s * math.exp(rng.gauss(0.0, 0.15)) for s in b[3:6]] + [b[6] + rng.gauss(0.0, 0.2)]
    return [round(x, 4) for x in moved]


def footprint(b: list[float]) -> shapely.Polygon:
    cos, sin = math.cos(b[6]), math.sin(b[6])
    corners = [(-0.5 * b[3], -0.5 * b[4]), (0.5 * b[3], -0.5 * b[4]), (0.5 * b[3], 0.5 * b[4]), (-0.5 * b[3], 0.5 * b[4])]
    return shapely.Polygon([(b[0] + cos * x - sin * y, b[1] + sin * x + cos * y) for x, y in corners])


def plane_iou(a: list[float], b: list[float]) -> float:
    p, q = footprint(a), footprint(b)
    both = p.intersection(q).area
    return both / (p.area + q.area - both)


def iou(a: list[float], b: list[float]) -> float:
    height = min(a[2] + 0.5 * a[5], b[2] + 0.5 * b[5]) - max(a[2] - 0.5 * a[5], b[2] - 0.5 * b[5])
    both = footprint(a).intersection(footprint(b)).area * max(height, 0.0)
    return both / (math.prod(a[3:6]) + math.prod(b[3:6]) - both)


def matching(rng: random.Random) -> dict:
    truth = [box(rng, 1.5) for _ in range(rng.randint(1, 5))]
    found = [nudged(rng, rng.choice(truth)) if rng.random() < 0.7 else box(rng, 1.5) for _ in range(rng.randint(1, 5))]
    few, many = sorted([found, truth], key=len)
    most = max(sum(iou(a, b) for a, b in zip(few, order)) for order in permutations(many, len(few)))
    return {"found": found, "truth": truth, "score": most / len(many)}


def average_precision(found: list[dict], there: list[dict], threshold: float) -> float:
    """PASCAL VOC's, over all points: the envelope of precision, integrated over recall."""
    taken = [False] * len(there)
    right = []
    for d in sorted(found, key=lambda d: -d["score"]):
        overlaps = [(iou(d["box"], t["box"]), i) for i, t in enumerate(there) if t["scene"] == d["scene"]]
        most, i = max(overlaps, key=lambda o: o[0], default=(0.0, -1))
        right.append(most > threshold and not taken[i])
        if right[-1]:
            taken[i] = True
    hits = np.cumsum(right)
    recall = np.concatenate([[0.0], hits / len(there), [1.0]])
    precision = np.concatenate([[0.0], hits / np.arange(1, len(right) + 1), [0.0]])
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    steps = np.nonzero(recall[1:] != recall[:-1])[0]
    return float(np.sum((recall[steps + 1] - recall[steps]) * precision[steps + 1]))


def detection(rng: random.Random, scenes: int) -> dict:
    there = [{"scene": s, "class": rng.choice(CLASSES), "box": box(rng, 2.0)} for s in range(scenes) for _ in range(rng.randint(1, 4))]
    found = []
    for t in there:
        for _ in range(rng.randint(0, 2)):
            name = t["class"] if rng.random() < 0.85 else rng.choice(CLASSES)
            found.append({"scene": t["scene"], "class": name, "box": nudged(rng, t["box"]), "score": round(rng.random(), 6)})
    names = sorted({t["class"] for t in there})
    of = lambda items, name: [x for x in items if x["class"] == name]
    means = [{n: average_precision(of(found, n), of(there, n), k) for n in names} for k in (0.25, 0.5)]
    return {"found": found, "there": there, "precision_25": means[0], "precision_50": means[1]}


def dense(rng: random.Random, scenes: int) -> dict:
    """Dense captioning: the caption of the box that overlaps an object most, or an empty one where that is not above the threshold."""
    rooms, pairs = [], {0.25: [], 0.5: []}
    for _ in range(scenes):
        there = [{"box": box(rng, 2.5), "references": pair(rng)[1][:2]} for _ in range(rng.randint(1, 3))]
        said = [{"box": nudged(rng, t["box"]), "caption": varied(rng, t["references"][0])} for t in there for _ in range(rng.randint(0, 2))]
        rooms.append({"said": said, "there": there})
        for k, list_of in pairs.items():
            for t in there:
                most = max(said, key=lambda s: iou(s["box"], t["box"]), default=None)
                good = most is not None and iou(most["box"], t["box"]) > k
                list_of.append((most["caption"] if good else "", t["references"]))
    scores = [{name: s[0] for name, s in score(*tokenise(pairs[k])).items()} for k in (0.25, 0.5)]
    return {"rooms": rooms, "at_25": scores[0], "at_50": scores[1]}


def main() -> None:
    seed, captions, boxes = (int(a) for a in sys.argv[1:4])
    rng = random.Random(seed)
    own, sys.stdout = sys.stdout, sys.stderr
    pairs = [pair(rng) for _ in range(captions)]
    candidates, references = tokenise(pairs)
    scores = score(candidates, references)
    listed = [
        {"candidate": c, "references": rs, "tokens": candidates[i][0], "reference_tokens": references[i],
         **{name: each[i] for name, (_, each) in scores.items()}}
        for i, (c, rs) in enumerate(pairs)
    ]
    random_boxes = [box(rng, 0.8) for _ in range(boxes)]
    overlaps = [{"a": a, "b": b, "plane": plane_iou(a, b), "iou": iou(a, b)}
                for a in random_boxes for b in [nudged(rng, a) if rng.random() < 0.4 else box(rng, 0.8)]]
    out = {
        "versions": {name: version(name) for name in ("pycocoevalcap", "shapely")},
        "captions": listed,
        "corpus": {name: corpus for name, (corpus, _) in scores.items()},
        "answers": [answer(rng) for _ in range(boxes)],
        "boxes": overlaps,
        "matchings": [matching(rng) for _ in range(max(boxes // 8, 4))],
        "detection": detection(rng, max(boxes // 8, 6)),
        "dense": dense(rng, max(boxes // 8, 6)),
    }
    print(json.dumps(out, ensure_ascii=False, separators=(",", ":")), file=own)


main()
