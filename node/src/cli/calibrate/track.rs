//! All transforms of a recording in, where a camera was at every moment out.

use std::collections::{BTreeMap, VecDeque};

use nalgebra::Isometry3;
use vantage_calibration::check::{FrameEdge, PoseTrack};
use vantage_scene::TransformBuffer;

use super::inventory::Faults;

/// A pose waits this long for transforms of other publishers, nanoseconds.
const PATIENCE_NANOS: i64 = 1_000_000_000;
/// Most transforms kept: 80 minutes of ten joints at 40 Hz.
const MAX_TRANSFORMS: usize = 2_000_000;

/// One transform of a recording; frames by their number.
#[derive(Debug, Clone)]
struct Sample {
    stamp: i64,
    parent: usize,
    child: usize,
    parent_from_child: Isometry3<f64>,
    is_static: bool,
}

/// The transforms of a recording.
#[derive(Debug, Default)]
pub(super) struct Transforms {
    samples: Vec<Sample>,
    names: Vec<String>,
    numbers: BTreeMap<String, usize>,
    /// Transforms that no buffer takes, and why the first was refused.
    pub(super) refused: Faults,
}

impl Transforms {
    /// Adds one transform.
    pub(super) fn push(
        &mut self,
        stamp: i64,
        parent: &str,
        child: &str,
        parent_from_child: Isometry3<f64>,
        is_static: bool,
    ) {
        if self.samples.len() >= MAX_TRANSFORMS {
            self.refused.note(|| format!("more than {MAX_TRANSFORMS} transforms; the later ones are left out"));
            return;
        }
        let (parent, child) = (self.number(parent), self.number(child));
        self.samples.push(Sample { stamp, parent, child, parent_from_child, is_static });
    }

    /// The number of a frame, given when it is new. ROS 1 wrote names with a leading slash; both forms mean the same.
    fn number(&mut self, name: &str) -> usize {
        let name = name.strip_prefix('/').unwrap_or(name);
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        self.names.push(name.to_owned());
        self.numbers.insert(name.to_owned(), self.names.len() - 1);
        self.names.len() - 1
    }

    /// Every parent and child with its stamps.
    pub(super) fn edges(&self) -> Vec<FrameEdge> {
        let mut edges: BTreeMap<(usize, usize, bool), Vec<i64>> = BTreeMap::new();
        for s in &self.samples {
            edges.entry((s.parent, s.child, s.is_static)).or_default().push(s.stamp);
        }
        let name = |number: usize| self.names[number].clone();
        edges
            .into_iter()
            .map(|((parent, child, is_static), stamps)| FrameEdge {
                parent: name(parent),
                child: name(child),
                is_static,
                stamps,
            })
            .collect()
    }

    /// The parent of `frame` by its last static transform.
    pub(super) fn static_parent(&self, frame: &str) -> Option<&str> {
        let number = self.numbers.get(frame.strip_prefix('/').unwrap_or(frame))?;
        let found = self.samples.iter().rev().find(|s| s.is_static && s.child == *number)?;
        Some(&self.names[found.parent])
    }

    /// `target_from_source` when static transforms alone join the two.
    pub(super) fn fixed(&self, target: &str, source: &str) -> Option<Isometry3<f64>> {
        let mut buffer = TransformBuffer::new();
        for s in self.samples.iter().filter(|s| s.is_static) {
            // those refused are counted in `track`
            let _ = buffer.insert(&self.names[s.parent], &self.names[s.child], s.stamp, s.parent_from_child, true);
        }
        buffer.lookup(target, source, 0).ok()
    }

    /// `global_from_frame` at the stamp of every moving transform at which it is known.
    ///
    /// Looked up while the transforms are fed in order, as the buffer forgets what is older than its history.
    pub(super) fn track(&mut self, global_frame: &str, frame: &str) -> PoseTrack {
        let mut buffer = TransformBuffer::new();
        // static ones first: they hold at all times, also before they were said
        self.samples.sort_by_key(|s| (!s.is_static, s.stamp));
        let mut waiting: VecDeque<i64> = VecDeque::new();
        let mut poses = Vec::new();
        for s in &self.samples {
            if let Err(error) =
                buffer.insert(&self.names[s.parent], &self.names[s.child], s.stamp, s.parent_from_child, s.is_static)
            {
                self.refused.note(|| error.to_string());
                continue;
            }
            if s.is_static {
                continue;
            }
            if waiting.back() != Some(&s.stamp) {
                waiting.push_back(s.stamp);
            }
            while let Some(&stamp) = waiting.front() {
                match buffer.lookup(global_frame, frame, stamp) {
                    Ok(pose) => poses.push((stamp, pose)),
                    Err(error) if error.may_resolve() && s.stamp.saturating_sub(stamp) < PATIENCE_NANOS => break,
                    Err(_) => {}
                }
                waiting.pop_front();
            }
        }
        PoseTrack::new(poses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn along_x(x: f64) -> Isometry3<f64> {
        Isometry3::translation(x, 0.0, 0.0)
    }

    #[test]
    fn a_chain_of_two_publishers_is_followed_over_a_long_recording() {
        let mut transforms = Transforms::default();
        for i in 0..2000i64 {
            // 100 Hz and 20 Hz, out of step; 20 s are more than a buffer remembers
            transforms.push(i * 10_000_000, "odom", "base", along_x(i as f64), false);
            if i % 5 == 0 {
                transforms.push(i * 10_000_000 + 3, "map", "odom", along_x(0.0), false);
            }
        }
        transforms.push(i64::MAX, "base", "camera", along_x(0.5), true);
        let track = transforms.track("map", "camera");
        assert!(track.len() > 2300, "{}", track.len());
        assert!((track.at(5_000_000_000).unwrap().translation.x - 500.5).abs() < 1e-6);
        assert_eq!(transforms.fixed("base", "camera").unwrap().translation.x, 0.5);
        assert!(transforms.fixed("map", "camera").is_none());
    }

    #[test]
    fn nonsense_is_refused_and_counted() {
        let mut transforms = Transforms::default();
        transforms.push(0, "odom", "camera", along_x(f64::NAN), false);
        transforms.push(1, "odom", "", along_x(0.0), false);
        assert!(transforms.track("odom", "camera").is_empty());
        let Faults { count, first: Some(why) } = transforms.refused else { panic!("nothing was refused") };
        assert!(count == 2 && why.contains("odom <- camera"), "{why}");
        assert!(Transforms::default().track("a", "b").is_empty());
    }
}
