//! Transforms between frames in, the transform between any two frames at a stamp out.
//!
//! As ROS tf2, and stricter: nothing is ever answered for another moment than the one asked for. Between two samples the
//! translation is interpolated linearly and the rotation spherically; outside of them there is an error, and so there is
//! between two samples that are far apart in time *and* in place, where tf2 would draw a straight line. A frame that rests
//! may be published as rarely as it likes.
//!
//! A child has one parent and one kind, static or moving: the last word holds, as in tf2, and its history begins anew.
//! tf2 keeps the samples under the former parent, which hides that two publishers disagree; here [`Inserted`] tells.

use std::collections::VecDeque;

use nalgebra::Isometry3;
use rustc_hash::FxHashMap;

use crate::frame::StampNanos;
use crate::transform_error::{MAX_FRAMES, MAX_NAME_BYTES, TransformError};

/// Age at which a sample is forgotten, counted back from its edge's newest; tf2's default cache holds as much.
pub const HISTORY_NANOS: i64 = 10_000_000_000;
/// Most samples of one edge: ten seconds at 400 Hz.
const MAX_SAMPLES: usize = 4_096;
/// Two samples further apart than this in time are joined only when the frame hardly moved between them: correctors such
/// as `map <- odom` come once a second or more rarely, while a wheel's odometry that pauses this long has lost its way.
pub const MAX_GAP_NANOS: u64 = 1_000_000_000;
/// "Hardly moved", metres: about a voxel.
const GAP_STEP_M: f64 = 0.05;
/// "Hardly turned", radians: a voxel or two at a few metres.
const GAP_TURN_RAD: f64 = 0.02;
/// A rotation's quaternion may be this far from unit length.
const UNIT_TOLERANCE: f64 = 1.0e-3;

/// What adding a transform did to the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inserted {
    /// A new edge, or a further sample of a known one.
    Added,
    /// The child left another parent, and its history with it. Once, a robot changed its tree; again and again, two
    /// publishers claim the same child.
    Reparented {
        /// The parent that it left.
        from: String,
    },
    /// The edge was static and moves now, or the reverse; its history began anew.
    KindChanged,
}

/// How a frame hangs on its parent.
#[derive(Debug, Clone)]
struct Edge {
    parent: usize,
    motion: Motion,
}

#[derive(Debug, Clone)]
enum Motion {
    /// Holds at all times.
    Static(Isometry3<f64>),
    /// Samples in order of their stamps, at least one.
    Samples(VecDeque<(StampNanos, Isometry3<f64>)>),
}

#[derive(Debug, Clone)]
struct Node {
    name: String,
    edge: Option<Edge>,
}

/// A tree of frames with the recent history of every edge.
#[derive(Debug, Clone, Default)]
pub struct TransformBuffer {
    index: FxHashMap<String, usize>,
    nodes: Vec<Node>,
}

/// ROS 1 wrote names with a leading slash; both forms mean the same frame.
fn plain(name: &str) -> &str {
    name.strip_prefix('/').unwrap_or(name)
}

impl TransformBuffer {
    /// An empty buffer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one transform. A second one of the same edge and stamp replaces the first. A child that gets another parent, or
    /// becomes static or moving, forgets what was; the answer says so.
    ///
    /// # Errors
    /// [`TransformError`] for unusable names and motions, for cycles, and for samples older than the history; the buffer
    /// then gives the same answers as before.
    pub fn insert(
        &mut self,
        parent: &str,
        child: &str,
        stamp: StampNanos,
        parent_from_child: Isometry3<f64>,
        is_static: bool,
    ) -> Result<Inserted, TransformError> {
        let (parent, child) = (plain(parent), plain(child));
        let names = || (parent.to_owned(), child.to_owned());
        if let Some(bytes) = [parent.len(), child.len()].into_iter().find(|n| !(1..=MAX_NAME_BYTES).contains(n)) {
            return Err(TransformError::Name { bytes });
        }
        let quaternion = parent_from_child.rotation.coords;
        let finite = parent_from_child.translation.vector.iter().chain(quaternion.iter()).all(|x| x.is_finite());
        if !finite || (quaternion.norm() - 1.0).abs() > UNIT_TOLERANCE {
            let (parent, child) = names();
            return Err(TransformError::NotRigid { parent, child });
        }
        if parent == child || self.hangs_below(parent, child) {
            let (parent, child) = names();
            return Err(TransformError::Cycle { parent, child });
        }
        let parent_index = self.frame(parent)?;
        let child_index = self.frame(child)?;
        let slot = &mut self.nodes[child_index].edge;
        match slot {
            Some(Edge { parent: known, motion: Motion::Samples(samples) }) if *known == parent_index && !is_static => {
                let newest = samples.back().map_or(stamp, |(s, _)| *s);
                let age_nanos = newest.saturating_sub(stamp);
                if age_nanos > HISTORY_NANOS {
                    let (parent, child) = names();
                    return Err(TransformError::TooOld { parent, child, stamp, age_nanos });
                }
                let at = samples.partition_point(|(s, _)| *s < stamp);
                match samples.get_mut(at) {
                    Some(same) if same.0 == stamp => same.1 = parent_from_child,
                    _ => samples.insert(at, (stamp, parent_from_child)),
                }
                let limit = newest.max(stamp).saturating_sub(HISTORY_NANOS);
                // one sample from before the limit stays, so that the whole history can be interpolated
                while samples.len() > MAX_SAMPLES || samples.get(1).is_some_and(|(s, _)| *s <= limit) {
                    samples.pop_front();
                }
            }
            _ => {
                let motion = match is_static {
                    true => Motion::Static(parent_from_child),
                    false => Motion::Samples(VecDeque::from([(stamp, parent_from_child)])),
                };
                let former = slot.replace(Edge { parent: parent_index, motion });
                return Ok(match former {
                    None => Inserted::Added,
                    Some(former) if former.parent != parent_index => {
                        Inserted::Reparented { from: self.nodes[former.parent].name.clone() }
                    }
                    Some(former) if matches!(former.motion, Motion::Static(_)) == is_static => Inserted::Added,
                    Some(_) => Inserted::KindChanged,
                });
            }
        }
        Ok(Inserted::Added)
    }

    /// `target_from_source` at `stamp`.
    ///
    /// # Errors
    /// [`TransformError`] naming the frame or the edge that is missing; [`TransformError::may_resolve`] tells whether
    /// waiting can help.
    pub fn lookup(&self, target: &str, source: &str, stamp: StampNanos) -> Result<Isometry3<f64>, TransformError> {
        let (target, source) = (plain(target), plain(source));
        if target == source {
            return Ok(Isometry3::identity());
        }
        let known = |frame: &str| {
            self.index.get(frame).copied().ok_or_else(|| TransformError::UnknownFrame { frame: frame.to_owned() })
        };
        let (target_index, source_index) = (known(target)?, known(source)?);
        let up_from_target: Vec<usize> = self.ancestors(target_index).collect();
        let mut meeting_from_source = Isometry3::identity();
        let mut at = source_index;
        while !up_from_target.contains(&at) {
            let Some((parent, parent_from_at)) = self.step_up(at, stamp)? else {
                let (target_frame, source_frame) = (target.to_owned(), source.to_owned());
                return Err(TransformError::NotConnected { target_frame, source_frame });
            };
            meeting_from_source = parent_from_at * meeting_from_source;
            at = parent;
        }
        let mut meeting_from_target = Isometry3::identity();
        for &frame in up_from_target.iter().take_while(|&&frame| frame != at) {
            if let Some((_, parent_from_frame)) = self.step_up(frame, stamp)? {
                meeting_from_target = parent_from_frame * meeting_from_target;
            }
        }
        let mut target_from_source = meeting_from_target.inverse() * meeting_from_source;
        target_from_source.rotation.renormalize();
        Ok(target_from_source)
    }

    /// Stamp of the newest sample of `child`'s edge; `None` for static and unknown ones.
    pub fn newest(&self, child: &str) -> Option<StampNanos> {
        match &self.nodes[*self.index.get(plain(child))?].edge.as_ref()?.motion {
            Motion::Static(_) => None,
            Motion::Samples(samples) => samples.back().map(|(stamp, _)| *stamp),
        }
    }

    /// Names of all frames, in the order in which they were first heard of.
    pub fn frames(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(|node| node.name.as_str())
    }

    /// Forgets every moving transform, as after a jump of the clock. Static ones hold at all times and stay.
    pub fn clear(&mut self) {
        for node in &mut self.nodes {
            node.edge.take_if(|edge| matches!(edge.motion, Motion::Samples(_)));
        }
    }

    /// The node of a name, made when new.
    fn frame(&mut self, name: &str) -> Result<usize, TransformError> {
        if let Some(&i) = self.index.get(name) {
            return Ok(i);
        }
        if self.nodes.len() >= MAX_FRAMES {
            return Err(TransformError::TooManyFrames { frame: name.to_owned() });
        }
        self.nodes.push(Node { name: name.to_owned(), edge: None });
        self.index.insert(name.to_owned(), self.nodes.len() - 1);
        Ok(self.nodes.len() - 1)
    }

    /// The frame itself, its parent, and so on to the root. Ends, as cycles are refused.
    fn ancestors(&self, from: usize) -> impl Iterator<Item = usize> {
        std::iter::successors(Some(from), |&i| self.nodes[i].edge.as_ref().map(|e| e.parent))
    }

    fn hangs_below(&self, frame: &str, above: &str) -> bool {
        match (self.index.get(frame), self.index.get(above)) {
            (Some(&frame), Some(above)) => self.ancestors(frame).any(|i| i == *above),
            _ => false,
        }
    }

    /// A frame's parent and `parent_from_frame` at `stamp`; `None` at a root.
    fn step_up(&self, frame: usize, stamp: StampNanos) -> Result<Option<(usize, Isometry3<f64>)>, TransformError> {
        let node = &self.nodes[frame];
        let Some(edge) = &node.edge else { return Ok(None) };
        let samples = match &edge.motion {
            Motion::Static(iso) => return Ok(Some((edge.parent, *iso))),
            Motion::Samples(samples) => samples,
        };
        let names = || (self.nodes[edge.parent].name.clone(), node.name.clone());
        let after = samples.partition_point(|(s, _)| *s < stamp);
        match (after.checked_sub(1).and_then(|i| samples.get(i)), samples.get(after)) {
            (_, Some((s, iso))) if *s == stamp => Ok(Some((edge.parent, *iso))),
            (Some((s0, a)), Some((s1, b))) => {
                let gap_nanos = s1.abs_diff(*s0);
                if gap_nanos > MAX_GAP_NANOS && !close_by(a, b) {
                    let (parent, child) = names();
                    return Err(TransformError::Gap { parent, child, stamp, gap_nanos });
                }
                let share = stamp.abs_diff(*s0) as f64 / gap_nanos as f64;
                Ok(Some((edge.parent, interpolate(a, b, share))))
            }
            (None, Some((oldest, _))) => {
                let (parent, child) = names();
                Err(TransformError::BeforeOldest { parent, child, stamp, oldest: *oldest })
            }
            (newest, None) => {
                let (parent, child) = names();
                Err(TransformError::AfterNewest { parent, child, stamp, newest: newest.map_or(i64::MIN, |(s, _)| *s) })
            }
        }
    }
}

/// Whether a frame that went from `a` to `b` can be taken to have been near both all the time.
fn close_by(a: &Isometry3<f64>, b: &Isometry3<f64>) -> bool {
    (a.translation.vector - b.translation.vector).norm() <= GAP_STEP_M
        && a.rotation.angle_to(&b.rotation) <= GAP_TURN_RAD
}

/// The pose at `share` (0 to 1) of the way from `a` to `b`.
fn interpolate(a: &Isometry3<f64>, b: &Isometry3<f64>, share: f64) -> Isometry3<f64> {
    let translation = a.translation.vector.lerp(&b.translation.vector, share);
    // half a turn has no shortest way; the nearer end is as good as any
    let nearer = if share < 0.5 { a.rotation } else { b.rotation };
    let rotation = a.rotation.try_slerp(&b.rotation, share, 1.0e-9).unwrap_or(nearer);
    Isometry3::from_parts(translation.into(), rotation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::{Translation3, UnitQuaternion, Vector3};
    use proptest::prelude::*;

    fn pose(x: f64, turn: f64) -> Isometry3<f64> {
        Isometry3::new(Vector3::new(x, 0.0, 0.0), Vector3::new(0.0, 0.0, turn))
    }

    fn any_pose() -> impl Strategy<Value = Isometry3<f64>> {
        (prop::array::uniform3(-5.0..5.0f64), prop::array::uniform3(-3.0..3.0f64))
            .prop_map(|(t, r)| Isometry3::new(Vector3::from(t), Vector3::from(r)))
    }

    fn close(a: &Isometry3<f64>, b: &Isometry3<f64>) -> bool {
        (a.translation.vector - b.translation.vector).norm() < 1e-9 && a.rotation.angle_to(&b.rotation) < 1e-7
    }

    proptest! {
        #[test]
        fn chains_compose_and_invert(a in any_pose(), b in any_pose(), c in any_pose()) {
            let mut buffer = TransformBuffer::new();
            buffer.insert("odom", "base_link", 5, a, false).unwrap();
            buffer.insert("base_link", "camera", 0, b, true).unwrap();
            buffer.insert("base_link", "arm", 5, c, false).unwrap();
            prop_assert!(close(&buffer.lookup("odom", "camera", 5).unwrap(), &(a * b)));
            prop_assert!(close(&buffer.lookup("camera", "odom", 5).unwrap(), &(a * b).inverse()));
            // over the fork: neither is above the other
            prop_assert!(close(&buffer.lookup("arm", "camera", 5).unwrap(), &(c.inverse() * b)));
        }

        #[test]
        fn interpolation_keeps_the_ends_and_lies_between(a in any_pose(), b in any_pose(), share in 0.0..1.0f64) {
            let mid = interpolate(&a, &b, share);
            let whole = a.rotation.angle_to(&b.rotation);
            prop_assert!((a.rotation.angle_to(&mid.rotation) - share * whole).abs() < 1e-6);
            prop_assert!(close(&interpolate(&a, &b, 0.0), &a) && close(&interpolate(&a, &b, 1.0), &b));
        }

        #[test]
        fn a_tree_stays_a_tree_whatever_is_published(edges in prop::collection::vec((0u8..6, 0u8..6), 0..40)) {
            let mut buffer = TransformBuffer::new();
            for (stamp, (parent, child)) in edges.iter().enumerate() {
                let _ = buffer.insert(&format!("f{parent}"), &format!("f{child}"), stamp as i64, pose(1.0, 0.0), false);
            }
            for from in 0..buffer.nodes.len() {
                prop_assert!(buffer.ancestors(from).take(10).count() <= 6);
            }
        }
    }

    #[test]
    fn midway_is_halfway() {
        let mut buffer = TransformBuffer::new();
        buffer.insert("odom", "camera", 100, pose(0.0, 0.0), false).unwrap();
        buffer.insert("odom", "camera", 200, pose(2.0, 1.0), false).unwrap();
        assert!(close(&buffer.lookup("odom", "camera", 150).unwrap(), &pose(1.0, 0.5)));
        assert!(close(&buffer.lookup("/odom", "/camera", 200).unwrap(), &pose(2.0, 1.0)));
    }

    #[test]
    fn nothing_is_extrapolated() {
        let mut buffer = TransformBuffer::new();
        buffer.insert("odom", "camera", 100, pose(0.0, 0.0), false).unwrap();
        buffer.insert("odom", "camera", 200, pose(2.0, 0.0), false).unwrap();
        let after = buffer.lookup("odom", "camera", 201).unwrap_err();
        assert!(matches!(after, TransformError::AfterNewest { newest: 200, .. }) && after.may_resolve());
        let before = buffer.lookup("odom", "camera", 99).unwrap_err();
        assert!(matches!(before, TransformError::BeforeOldest { oldest: 100, .. }) && !before.may_resolve());
    }

    #[test]
    fn a_long_gap_is_bridged_for_a_frame_that_rests_alone() {
        let mut buffer = TransformBuffer::new();
        let second = 1_000_000_000;
        for (child, moved) in [("rests", 0.01), ("goes", 3.0)] {
            for (i, x) in [0.0, 0.5 * moved, moved].into_iter().enumerate() {
                // one second, then three
                let stamp = [0, second, 4 * second][i];
                buffer.insert("odom", child, stamp, pose(x, 0.0), false).unwrap();
            }
        }
        assert!(buffer.lookup("odom", "goes", second / 2).is_ok());
        let gap = buffer.lookup("odom", "goes", 2 * second).unwrap_err();
        assert!(matches!(gap, TransformError::Gap { gap_nanos: 3_000_000_000, .. }), "{gap}");
        assert!(!gap.may_resolve() && gap.to_string().contains("odom <- goes"));
        assert!(buffer.lookup("odom", "goes", 4 * second).is_ok());
        assert!(buffer.lookup("odom", "rests", 2 * second).is_ok());
    }

    #[test]
    fn another_parent_and_another_kind_are_told() {
        let mut buffer = TransformBuffer::new();
        let mut put = |parent, stamp, is_static| buffer.insert(parent, "camera", stamp, pose(1.0, 0.0), is_static);
        assert_eq!(put("base", 0, true), Ok(Inserted::Added));
        assert_eq!(put("/base", 0, true), Ok(Inserted::Added));
        assert_eq!(put("base", 5, false), Ok(Inserted::KindChanged));
        assert_eq!(put("base", 6, false), Ok(Inserted::Added));
        assert_eq!(put("odom", 7, false), Ok(Inserted::Reparented { from: "base".to_owned() }));
        assert_eq!(put("odom", 7, true), Ok(Inserted::KindChanged));
        // the former parent is still known, and joined to nothing
        assert!(matches!(buffer.lookup("base", "camera", 6), Err(TransformError::NotConnected { .. })));
        assert!(buffer.lookup("odom", "camera", 0).is_ok());
    }

    #[test]
    fn stamps_at_the_ends_of_time_are_survived() {
        let mut buffer = TransformBuffer::new();
        for stamp in [i64::MAX, i64::MIN, 0, i64::MAX - 1] {
            let _ = buffer.insert("odom", "camera", stamp, pose(0.0, 0.0), false);
        }
        for stamp in [i64::MIN, -1, 0, i64::MAX] {
            let _ = buffer.lookup("odom", "camera", stamp);
        }
    }

    #[test]
    fn late_samples_are_put_in_their_place() {
        let mut buffer = TransformBuffer::new();
        for (stamp, x) in [(100, 0.0), (300, 4.0), (200, 1.0)] {
            buffer.insert("odom", "camera", stamp, pose(x, 0.0), false).unwrap();
        }
        assert!(close(&buffer.lookup("odom", "camera", 150).unwrap(), &pose(0.5, 0.0)));
        assert_eq!(buffer.newest("camera"), Some(300));
    }

    #[test]
    fn cycles_and_broken_motions_are_refused_by_name() {
        let mut buffer = TransformBuffer::new();
        buffer.insert("a", "b", 0, pose(0.0, 0.0), true).unwrap();
        buffer.insert("b", "c", 0, pose(0.0, 0.0), true).unwrap();
        assert!(matches!(buffer.insert("c", "a", 0, pose(0.0, 0.0), true), Err(TransformError::Cycle { .. })));
        assert!(matches!(buffer.insert("c", "c", 0, pose(0.0, 0.0), true), Err(TransformError::Cycle { .. })));
        assert!(matches!(buffer.insert("c", "", 0, pose(0.0, 0.0), true), Err(TransformError::Name { bytes: 0 })));
        let nan = buffer.insert("c", "d", 0, pose(f64::NAN, 0.0), true).unwrap_err();
        assert!(nan.to_string().contains("c <- d"));
        let zero = UnitQuaternion::from_quaternion(nalgebra::Quaternion::new(0.0, 0.0, 0.0, 0.0));
        let zero = Isometry3::from_parts(Translation3::identity(), zero);
        assert!(matches!(buffer.insert("c", "d", 0, zero, true), Err(TransformError::NotRigid { .. })));
    }

    #[test]
    fn missing_frames_and_gaps_are_named() {
        let mut buffer = TransformBuffer::new();
        buffer.insert("odom", "base", 0, pose(0.0, 0.0), true).unwrap();
        buffer.insert("arm", "camera", 0, pose(0.0, 0.0), true).unwrap();
        assert!(
            matches!(buffer.lookup("map", "base", 0), Err(TransformError::UnknownFrame { frame }) if frame == "map")
        );
        assert!(matches!(buffer.lookup("odom", "camera", 0), Err(TransformError::NotConnected { .. })));
    }

    #[test]
    fn history_is_bounded_and_clearing_keeps_what_is_static() {
        let mut buffer = TransformBuffer::new();
        buffer.insert("base", "camera", 0, pose(1.0, 0.0), true).unwrap();
        let second = 1_000_000_000;
        for i in 0..100 {
            buffer.insert("odom", "base", i * second, pose(i as f64, 0.0), false).unwrap();
        }
        assert!(buffer.lookup("odom", "camera", 90 * second).is_ok());
        assert!(matches!(buffer.lookup("odom", "camera", 80 * second), Err(TransformError::BeforeOldest { .. })));
        assert!(matches!(buffer.insert("odom", "base", 0, pose(0.0, 0.0), false), Err(TransformError::TooOld { .. })));
        buffer.clear();
        assert!(buffer.lookup("odom", "camera", 99 * second).is_err());
        assert!(buffer.lookup("base", "camera", 0).is_ok());
    }
}
