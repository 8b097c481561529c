//! The transforms that a recording holds in, whether they carry the depth camera into the global frame out.

use std::collections::{BTreeMap, BTreeSet};

/// Frames that hang on a loop and are looked at one by one.
const MAX_LOOKED_AT: usize = 256;
use super::verdict::{Finding, Verdict};

/// Most frames of a chain; a longer one is a loop.
const MAX_CHAIN: usize = 256;
/// Share of depth images with a pose that is fine: the first and last may lie outside of the transforms.
const COVERED_OK: f64 = 0.9;
/// Below this share most of the recording is not fused.
const COVERED_WARN: f64 = 0.5;
/// Poses further apart than this are guessed rather than interpolated for a hand-held camera, Hz.
const SLOW_HZ: f64 = 8.0;

/// One parent and child with all that was said about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameEdge {
    /// Parent frame.
    pub parent: String,
    /// Child frame.
    pub child: String,
    /// Whether it holds for ever.
    pub is_static: bool,
    /// Stamps, nanoseconds; not looked at for static ones.
    pub stamps: Vec<i64>,
}

/// What the transforms of a recording make.
#[derive(Debug, Clone, PartialEq)]
pub struct TreeReport {
    /// Frames from the global frame to the depth camera, both included; `None` when they are not joined.
    pub chain: Option<Vec<String>>,
    /// All frames, sorted.
    pub frames: Vec<String>,
    /// Frames with more than one parent, each with its parents.
    pub double_parents: Vec<(String, Vec<String>)>,
    /// Frames that hang below themselves.
    pub in_loops: Vec<String>,
    /// Whether any transform is static.
    pub has_static: bool,
    /// Rate of the slowest moving transform of the chain, Hz; `None` when all of it is static or there is no chain.
    pub slowest_hz: Option<f64>,
}

/// ROS 1 wrote names with a leading slash; both forms mean the same frame.
fn plain(name: &str) -> &str {
    name.strip_prefix('/').unwrap_or(name)
}

/// Examines the transforms between `global_frame` and `depth_frame`.
pub fn examine_tree(edges: &[FrameEdge], global_frame: &str, depth_frame: &str) -> TreeReport {
    let mut parents: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut frames: BTreeSet<&str> = BTreeSet::new();
    for edge in edges {
        let (parent, child) = (plain(&edge.parent), plain(&edge.child));
        parents.entry(child).or_default().insert(parent);
        frames.extend([parent, child]);
    }
    // of several parents the first by name: what is said about double parents matters more than which is followed
    let up = |from: &str| -> Vec<String> {
        let mut path = vec![from.to_owned()];
        while let Some(parent) = path
            .last()
            .and_then(|at| parents.get(at.as_str()))
            .and_then(|all| all.first())
            .filter(|_| path.len() < MAX_CHAIN)
        {
            if path.iter().any(|seen| seen == parent) {
                break;
            }
            path.push((*parent).to_owned());
        }
        path
    };
    let (from_global, from_depth) = (up(plain(global_frame)), up(plain(depth_frame)));
    let meeting = from_depth.iter().enumerate().find_map(|(i, f)| Some((i, from_global.iter().position(|g| g == f)?)));
    let chain: Option<Vec<String>> =
        meeting.map(|(d, g)| from_global[..g].iter().chain(from_depth[..=d].iter().rev()).cloned().collect());
    let on_chain = |edge: &&FrameEdge| {
        let pair = [plain(&edge.parent), plain(&edge.child)];
        chain.as_ref().is_some_and(|c| c.windows(2).any(|w| pair == [&w[0], &w[1]] || pair == [&w[1], &w[0]]))
    };
    let rate = |edge: &FrameEdge| {
        let (first, last) = (edge.stamps.iter().min()?, edge.stamps.iter().max()?);
        let span_s = (i128::from(*last) - i128::from(*first)) as f64 * 1e-9;
        (span_s > 0.0).then(|| (edge.stamps.len() - 1) as f64 / span_s)
    };
    let rates = edges.iter().filter(on_chain).filter(|e| !e.is_static).map(|e| rate(e).unwrap_or(0.0));
    TreeReport {
        slowest_hz: rates.min_by(f64::total_cmp),
        frames: frames.iter().map(|f| (*f).to_owned()).collect(),
        double_parents: parents
            .iter()
            .filter(|(_, all)| all.len() > 1)
            .map(|(child, all)| ((*child).to_owned(), all.iter().map(|p| (*p).to_owned()).collect()))
            .collect(),
        in_loops: frames_in_loops(&parents).into_iter().map(str::to_owned).collect(),
        has_static: edges.iter().any(|e| e.is_static),
        chain,
    }
}

/// Frames that hang below themselves. Frames without parents are taken away, and children without frames below them, until none is
/// left to take; only of the rest each is looked at, as far as [`MAX_LOOKED_AT`].
fn frames_in_loops<'a>(parents: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> Vec<&'a str> {
    let mut children: BTreeMap<&str, BTreeSet<&'a str>> = BTreeMap::new();
    for (child, all) in parents {
        for parent in all {
            children.entry(parent).or_default().insert(child);
        }
    }
    let mut above: BTreeMap<&'a str, usize> = parents.iter().map(|(child, all)| (*child, all.len())).collect();
    let roots = parents.values().flatten().copied().filter(|frame| !parents.contains_key(frame));
    let mut free: Vec<&'a str> = roots.collect::<BTreeSet<_>>().into_iter().collect();
    while let Some(frame) = free.pop() {
        for child in children.get(frame).into_iter().flatten() {
            if let Some(left) = above.get_mut(child) {
                *left -= 1;
                if *left == 0 {
                    free.push(child);
                }
            }
        }
    }
    let bound = above.into_iter().filter(|(_, left)| *left > 0).map(|(frame, _)| frame);
    bound.take(MAX_LOOKED_AT).filter(|frame| hangs_below_itself(frame, parents)).collect()
}

fn hangs_below_itself(frame: &str, parents: &BTreeMap<&str, BTreeSet<&str>>) -> bool {
    let mut open: Vec<&str> = parents.get(frame).into_iter().flatten().copied().collect();
    let mut seen = BTreeSet::new();
    while let Some(at) = open.pop() {
        if at == frame {
            return true;
        }
        if seen.insert(at) {
            open.extend(parents.get(at).into_iter().flatten());
        }
    }
    false
}

/// The verdict on the tree; `covered_share` of the depth images have a pose.
pub fn judge_tree(report: &TreeReport, global_frame: &str, depth_frame: &str, covered_share: f64) -> Finding {
    const NAME: &str = "transforms";
    let Some(chain) = &report.chain else {
        let known = |frame: &str| report.frames.iter().any(|f| f == plain(frame));
        let what = match (known(global_frame), known(depth_frame)) {
            (_, false) if !report.has_static => {
                format!("no transform names {depth_frame}, and no static transform is there: record /tf_static too")
            }
            (_, false) => format!("no transform names {depth_frame}, the frame of the depth images"),
            (false, true) => format!("no transform names {global_frame}; choose another with --global-frame"),
            (true, true) => {
                format!("{global_frame} and {depth_frame} are not joined; is a publisher or /tf_static missing?")
            }
        };
        let frames = if report.frames.is_empty() { "none".to_owned() } else { report.frames.join(", ") };
        return Finding::new(NAME, Verdict::Fail, format!("{what}. Frames: {frames}")).measured(0.0, COVERED_OK, "");
    };
    let mut verdict = match covered_share {
        s if s.is_nan() => Verdict::Undecided,
        s if s >= COVERED_OK => Verdict::Ok,
        s if s >= COVERED_WARN => Verdict::Warn,
        _ => Verdict::Fail,
    };
    let mut message = chain.join(" <- ");
    if !covered_share.is_nan() {
        message += &format!("; {:.1}% of the depth images have a pose", 100.0 * covered_share);
    }
    match report.slowest_hz {
        Some(hz) if hz < SLOW_HZ => {
            verdict = verdict.max(Verdict::Warn);
            message += &format!("; only {hz:.1} transforms a second: poses in between are guesses");
        }
        Some(hz) => message += &format!(", {hz:.1} transforms a second"),
        None => message += ", all static: the camera does not move",
    }
    if !report.has_static {
        message += ", no static transform";
    }
    for (child, parents) in &report.double_parents {
        verdict = verdict.max(Verdict::Warn);
        message += &format!("; {child} has {} parents ({}): two publishers fight", parents.len(), parents.join(", "));
    }
    if !report.in_loops.is_empty() {
        verdict = Verdict::Fail;
        message += &format!("; these frames hang below themselves: {}", report.in_loops.join(", "));
    }
    Finding::new(NAME, verdict, message).measured(covered_share, COVERED_OK, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn edge(parent: &str, child: &str, is_static: bool) -> FrameEdge {
        let stamps = if is_static { vec![0] } else { (0..100).map(|i| i * 33_333_333).collect() };
        FrameEdge { parent: parent.to_owned(), child: child.to_owned(), is_static, stamps }
    }

    fn robot() -> Vec<FrameEdge> {
        vec![
            edge("map", "odom", false),
            edge("/odom", "base", false),
            edge("base", "optical", true),
            edge("base", "arm", true),
        ]
    }

    #[test]
    fn the_chain_and_its_rate_are_found() {
        let report = examine_tree(&robot(), "odom", "optical");
        assert_eq!(report.chain.as_ref().unwrap(), &["odom", "base", "optical"]);
        assert!((report.slowest_hz.unwrap() - 30.0).abs() < 0.1);
        let finding = judge_tree(&report, "odom", "optical", 1.0);
        assert_eq!(finding.verdict, Verdict::Ok, "{finding:?}");
        assert_eq!(judge_tree(&report, "odom", "optical", 0.2).verdict, Verdict::Fail);
        // over the fork
        assert_eq!(examine_tree(&robot(), "arm", "optical").chain.unwrap(), ["arm", "base", "optical"]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let without_static: Vec<FrameEdge> = robot().into_iter().filter(|e| !e.is_static).collect();
        let said = |edges: &[FrameEdge], global: &str| {
            judge_tree(&examine_tree(edges, global, "optical"), global, "optical", f64::NAN).message
        };
        assert!(said(&without_static, "odom").contains("/tf_static"));
        assert!(said(&robot(), "world").contains("--global-frame"));
        assert!(said(&[], "odom").contains("Frames: none"));
        assert!(said(&[edge("odom", "base", false), edge("x", "optical", true)], "odom").contains("not joined"));
    }

    #[test]
    fn double_parents_and_loops_are_named() {
        let mut edges = robot();
        edges.push(edge("arm", "optical", false));
        let finding = judge_tree(&examine_tree(&edges, "odom", "optical"), "odom", "optical", 1.0);
        assert!(finding.verdict == Verdict::Warn && finding.message.contains("optical has 2 parents (arm, base)"));
        edges.push(edge("optical", "map", false));
        let finding = judge_tree(&examine_tree(&edges, "odom", "optical"), "odom", "optical", 1.0);
        assert!(finding.verdict == Verdict::Fail && finding.message.contains("below themselves"), "{finding:?}");
    }

    proptest! {
        #[test]
        fn any_graph_is_taken(pairs in prop::collection::vec((0u8..6, 0u8..6, any::<bool>()), 0..30)) {
            let edges: Vec<FrameEdge> = pairs.iter().map(|(p, c, s)| edge(&format!("f{p}"), &format!("f{c}"), *s)).collect();
            let report = examine_tree(&edges, "f0", "f1");
            if let Some(chain) = &report.chain {
                prop_assert!(chain.first().unwrap() == "f0" && chain.last().unwrap() == "f1");
            }
            let _ = judge_tree(&report, "f0", "f1", 0.5);
        }
    }
}
