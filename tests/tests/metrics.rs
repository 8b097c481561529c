//! Metrics against the public scorers (pycocoevalcap, shapely): a kept sample of their scores, and fresh random ones by `--peers`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use vantage_scene::OrientedBox;
use vantage_tests::{peers_python, root, run_python};
use vantage_train::metrics::{
    DescribedObject, Detection, Labelled, SaidObject, Words, bleu, captions_of_found, cider, exact_match, match_boxes,
    mean_average_precision, meteor, refined_exact_match, rouge_l, tokens,
};

/// Largest difference of a score.
const TOLERANCE: f64 = 1e-4;
/// Largest difference of overlaps in the plane.
const PLANE_TOLERANCE: f64 = 1e-9;
/// Captions and boxes of a run with the peers.
const CAPTIONS: &str = "1200";
const BOXES: &str = "400";

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn texts(value: &Value) -> Vec<String> {
    list(value).iter().map(|t| text(t).to_owned()).collect()
}

fn bbox(value: &Value) -> OrientedBox {
    let n: Vec<f64> = list(value).iter().map(number).collect();
    OrientedBox { center: [n[0], n[1], n[2]], size: [n[3], n[4], n[5]], yaw: n[6] }
}

fn boxes(value: &Value) -> Vec<OrientedBox> {
    list(value).iter().map(bbox).collect()
}

/// The largest difference seen of each metric.
#[derive(Debug, Default)]
struct Differences(BTreeMap<String, f64>);

impl Differences {
    fn add(&mut self, metric: &str, found: f64, expected: f64) {
        let difference = if found.is_finite() { (found - expected).abs() } else { f64::INFINITY };
        let most = self.0.entry(metric.to_owned()).or_default();
        *most = most.max(difference);
    }

    fn add_captions(&mut self, name: &str, captions: &[Words], expected: &Value) {
        let bleus = bleu(captions);
        for n in 0..4 {
            self.add(&format!("{name} BLEU-{}", n + 1), bleus.corpus[n], number(&expected["bleu"][n]));
        }
        for (metric, score) in
            [("rouge_l", rouge_l(captions)), ("meteor", meteor(captions)), ("cider", cider(captions))]
        {
            self.add(&format!("{name} {metric}"), score.corpus, number(&expected[metric]));
        }
    }
}

fn compare_captions(found: &Value, differences: &mut Differences) {
    let listed = list(&found["captions"]);
    let captions: Vec<Words> =
        listed.iter().map(|c| Words::of(text(&c["candidate"]), &texts(&c["references"]))).collect();
    for (words, peer) in captions.iter().zip(listed) {
        assert_eq!(words.candidate.join(" "), text(&peer["tokens"]), "{}", peer["candidate"]);
        for (reference, peer) in list(&peer["references"]).iter().zip(texts(&peer["reference_tokens"])) {
            assert_eq!(tokens(text(reference)).join(" "), peer, "{reference}");
        }
    }
    differences.add_captions("corpus", &captions, &found["corpus"]);
    let (bleus, rouges, meteors, ciders) = (bleu(&captions), rouge_l(&captions), meteor(&captions), cider(&captions));
    for (i, peer) in listed.iter().enumerate() {
        for n in 0..4 {
            differences.add(&format!("BLEU-{}", n + 1), bleus.each[i][n], number(&peer["bleu"][n]));
        }
        differences.add("rouge_l", rouges.each[i], number(&peer["rouge_l"]));
        differences.add("meteor", meteors.each[i], number(&peer["meteor"]));
        differences.add("cider", ciders.each[i], number(&peer["cider"]));
    }
    for peer in list(&found["answers"]) {
        let (said, accepted) = (text(&peer["said"]), texts(&peer["accepted"]));
        assert_eq!(exact_match(said, &accepted), peer["exact"].as_bool().unwrap(), "{peer}");
        assert_eq!(refined_exact_match(said, &accepted), peer["refined"].as_bool().unwrap(), "{peer}");
    }
}

fn compare_boxes(found: &Value, differences: &mut Differences) {
    for peer in list(&found["boxes"]) {
        let (a, b) = (bbox(&peer["a"]), bbox(&peer["b"]));
        differences.add("IoU", a.iou(&b), number(&peer["iou"]));
        let flat = |x: OrientedBox| OrientedBox {
            center: [x.center[0], x.center[1], 0.0],
            size: [x.size[0], x.size[1], 1.0],
            yaw: x.yaw,
        };
        differences.add("IoU in the plane", flat(a).iou(&flat(b)), number(&peer["plane"]));
    }
    for peer in list(&found["matchings"]) {
        let matching = match_boxes(&boxes(&peer["found"]), &boxes(&peer["truth"]));
        differences.add("matching", matching.score, number(&peer["score"]));
    }
    let peer = &found["detection"];
    let labelled = |x: &Value| Labelled {
        scene: usize::try_from(x["scene"].as_u64().unwrap()).unwrap(),
        class: text(&x["class"]).to_owned(),
        bbox: bbox(&x["box"]),
    };
    let there: Vec<Labelled> = list(&peer["there"]).iter().map(labelled).collect();
    let said: Vec<Detection> =
        list(&peer["found"]).iter().map(|d| Detection { object: labelled(d), score: number(&d["score"]) }).collect();
    for (threshold, name) in [(0.25, "precision_25"), (0.5, "precision_50")] {
        let expected = peer[name].as_object().expect("an object");
        let own = mean_average_precision(&said, &there, threshold);
        assert_eq!(own.classes.len(), expected.len());
        for class in &own.classes {
            differences.add(&format!("AP@{threshold}"), class.average_precision, number(&expected[&class.class]));
        }
        let mean = expected.values().map(number).sum::<f64>() / expected.len() as f64;
        differences.add(&format!("mAP@{threshold}"), own.mean, mean);
    }
}

fn compare_dense(found: &Value, differences: &mut Differences) {
    for (threshold, name) in [(0.25, "at_25"), (0.5, "at_50")] {
        let mut captions = Vec::new();
        for room in list(&found["dense"]["rooms"]) {
            let said: Vec<SaidObject> = list(&room["said"])
                .iter()
                .map(|s| SaidObject { bbox: bbox(&s["box"]), caption: text(&s["caption"]).to_owned() })
                .collect();
            let there: Vec<DescribedObject> = list(&room["there"])
                .iter()
                .map(|t| DescribedObject { bbox: bbox(&t["box"]), references: texts(&t["references"]) })
                .collect();
            captions.extend(captions_of_found(&said, &there, threshold));
        }
        differences.add_captions(&format!("@{threshold}IoU"), &captions, &found["dense"][name]);
    }
}

fn compare(printed: &str, said: &str) {
    let found: Value = serde_json::from_str(printed.trim()).expect("one JSON object");
    let mut differences = Differences::default();
    compare_boxes(&found, &mut differences);
    compare_dense(&found, &mut differences);
    compare_captions(&found, &mut differences);
    let (part, whole) = (number(&found["corpus"]["meteor"]), number(&found["corpus"]["meteor_full"]));
    let each = list(&found["captions"]).iter().map(|c| number(&c["meteor_full"]) - number(&c["meteor"]));
    let (low, high) = each.fold((0.0f64, 0.0f64), |(low, high), d| (low.min(d), high.max(d)));
    eprintln!(
        "{said}, {}: METEOR with synonyms and paraphrases {whole:.5}, without {part:.5}, of one caption {low:+.4} to {high:+.4}",
        found["versions"]
    );
    for (metric, most) in &differences.0 {
        eprintln!("  {metric:<22} within {most:.1e}");
    }
    for (metric, most) in &differences.0 {
        let tolerance = if metric == "IoU in the plane" { PLANE_TOLERANCE } else { TOLERANCE };
        assert!(*most <= tolerance, "{said}: {metric} differs by {most:e}");
    }
}

/// The sample is `metrics_reference.py 1 38 32`.
#[test]
fn metrics_equal_the_kept_scores_of_the_public_scorers() {
    let path = root().join("tests/fixtures/metrics.json");
    compare(&fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())), "the kept sample");
}

/// Needs pycocoevalcap, Java and shapely: `cargo xtask test --peers`.
#[test]
#[ignore = "needs pycocoevalcap, Java and shapely; `cargo xtask test --peers` runs it"]
fn peers_metrics_equal_the_public_scorers() {
    let Some(peers) = peers_python() else { return };
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").subsec_nanos().to_string();
    let arguments = [seed.as_str(), CAPTIONS, BOXES].map(OsStr::new);
    let printed = run_python(&peers, &root().join("tests/python/metrics_reference.py"), arguments);
    compare(&printed, &format!("seed {seed}"));
}
