//! A recording in, everything that can be measured of its calibration, and the findings, out.

use std::path::Path;

use anyhow::Result;
use vantage_calibration::check::{
    Alignment, Between, DepthFit, Finding, FitError, InfoFacts, MotionSignal, PoseTrack, TimeOffset, Verdict,
    examine_tree, fit_depth, judge_clock, judge_info, judge_missing, judge_offset, judge_pairs, judge_scale,
    judge_stamps, judge_tree, judge_unit, stamp_report, time_offset,
};

use super::inventory::{Faults, Inventory, StreamFacts};
use super::pictures::{Drawn, Pictures};
use crate::source::TopicRequest;

/// Offsets up to this are looked for, seconds.
const OFFSET_LIMIT_S: f64 = 0.5;
/// Depth scales of a camera that is calibrated badly rather than read in a wrong unit.
const BELIEVED_SCALES: std::ops::RangeInclusive<f64> = 0.5..=2.0;
/// Share of images that may be unreadable before it counts as a failure.
const UNREADABLE_WARN: f64 = 0.05;

/// All that was measured.
pub(super) struct Examination {
    pub(super) inventory: Inventory,
    pub(super) pictures: Pictures,
    pub(super) track: PoseTrack,
    pub(super) alignment: Alignment,
    pub(super) drawn: Vec<Drawn>,
    /// How much later color is stamped than depth: by outlines.
    pub(super) color_by_edges: Option<TimeOffset>,
    /// The same by motion.
    pub(super) color_by_motion: Option<TimeOffset>,
    /// How much later color is stamped than the transforms.
    pub(super) color_against_tf: Option<TimeOffset>,
    /// How much later depth is stamped than the transforms: by motion.
    pub(super) depth_against_tf: Option<TimeOffset>,
    /// Scale, bias and time of depth against the transforms.
    pub(super) fit: Result<DepthFit, FitError>,
    /// The motion that the transforms ask for.
    pub(super) tf_motion: MotionSignal,
}

/// The other way round: how much later the second is stamped becomes how much later the first is.
fn turned(offset: TimeOffset) -> TimeOffset {
    TimeOffset { offset_s: -offset.offset_s, ..offset }
}

impl Examination {
    /// Reads and measures.
    ///
    /// # Errors
    /// When the recording cannot be read; what is wrong with its calibration is no error.
    pub(super) fn of(bag: &Path, topics: &TopicRequest, global_frame: &str) -> Result<Self> {
        let mut inventory = Inventory::read(bag, topics)?;
        let depth_frame = inventory.depth.frame_id.clone();
        let track = inventory.transforms.track(global_frame, &depth_frame);
        let pictures = Pictures::read(&mut inventory)?;
        let color_by_edges = pictures.lags.estimate();
        let color_by_motion = time_offset(&pictures.depth_motion, &pictures.color_motion, OFFSET_LIMIT_S);
        let lag_s = color_by_edges.or(color_by_motion).map_or(0.0, |offset| offset.offset_s);
        let (scores, drawn) = pictures.compare(&mut inventory, lag_s)?;
        let alignment = scores.estimate(pictures.pixel);

        let inverse_depth = pictures.statistics.mean_inverse_depth().unwrap_or(0.0);
        let expected = |stream: &StreamFacts, motion: &MotionSignal| {
            let focal_px = stream.camera().map_or(f64::NAN, |c| (c.fx + c.fy) / 2.0);
            track.apparent_motion(motion.period_s(), focal_px, inverse_depth)
        };
        let tf_motion = expected(&inventory.depth, &pictures.depth_motion);
        let late = |stream: &StreamFacts, motion: &MotionSignal| {
            time_offset(motion, &expected(stream, motion), OFFSET_LIMIT_S).map(turned)
        };
        let depth_against_tf = late(&inventory.depth, &pictures.depth_motion);
        let color_against_tf = late(&inventory.color, &pictures.color_motion);
        let first_guess_s = depth_against_tf.map_or(0.0, |offset| -offset.offset_s);
        let fit = match &pictures.sample_camera {
            Some(camera) => fit_depth(camera, &pictures.samples, &track, first_guess_s),
            None => Err(FitError::NoParallax),
        };
        Ok(Self {
            inventory,
            pictures,
            track,
            alignment,
            drawn,
            color_by_edges,
            color_by_motion,
            color_against_tf,
            depth_against_tf,
            fit,
            tf_motion,
        })
    }

    /// How much later color is stamped than depth, by the better of the two measurements.
    pub(super) fn color_against_depth(&self) -> Option<TimeOffset> {
        self.color_by_edges.or(self.color_by_motion)
    }

    /// How much later depth is stamped than the transforms, by the fit of surfaces.
    pub(super) fn depth_by_surfaces(&self) -> Option<TimeOffset> {
        let DepthFit { scale, offset_s: offset, .. } = *self.fit.as_ref().ok()?;
        // surfaces in a wrong unit are too coarse to tell times by; the unit is what must be mended first
        let usable = offset.determined && scale.determined && BELIEVED_SCALES.contains(&scale.value);
        let (offset_s, error_s) = (-offset.value, offset.error);
        usable.then_some(TimeOffset { offset_s, error_s, score: 1.0, rival: 0.0 })
    }

    /// All findings, in a fixed order.
    pub(super) fn findings(&self, global_frame: &str, tolerance_nanos: i64) -> Vec<Finding> {
        let (color, depth, pictures) = (&self.inventory.color, &self.inventory.depth, &self.pictures);
        let (of_color, of_depth) = (stamp_report(&color.stamps), stamp_report(&depth.stamps));
        let periods = [of_color.period_s, of_depth.period_s].into_iter().filter(|p| *p > 0.0);
        let period_s = periods.fold(f64::NAN, f64::min);
        let unit = judge_unit(&pictures.statistics, &depth.encoding, pictures.refused_median);
        let edges = self.inventory.transforms.edges();
        let tree = examine_tree(&edges, global_frame, &depth.frame_id);
        let covered = match tree.slowest_hz {
            None => 1.0,
            Some(_) => self.track.covered_share(&depth.stamps),
        };
        let surfaces = ("surfaces", self.depth_by_surfaces());
        vec![
            self.judge_messages(),
            info_finding("camera_info_color", "color", color, pictures.color_size),
            info_finding("camera_info_depth", "depth", depth, pictures.depth_size),
            unit,
            judge_missing(&pictures.statistics),
            judge_scale(&self.fit),
            match &pictures.not_comparable {
                Some(why) => Finding::new("depth_to_color", Verdict::Undecided, format!("not comparable: {why}")),
                None => self.alignment.judge(),
            },
            judge_offset(
                Between { name: "time_color_depth", late: "color", against: "depth" },
                &[("outlines", self.color_by_edges), ("motion", self.color_by_motion)],
                period_s,
            ),
            judge_offset(
                Between { name: "time_depth_tf", late: "depth", against: "the transforms" },
                &[surfaces, ("motion", self.depth_against_tf)],
                period_s,
            ),
            judge_offset(
                Between { name: "time_color_tf", late: "color", against: "the transforms" },
                &[("motion", self.color_against_tf)],
                period_s,
            ),
            judge_stamps("stamps_color", "color", &of_color),
            judge_stamps("stamps_depth", "depth", &of_depth),
            judge_pairs(&color.stamps, &depth.stamps, tolerance_nanos),
            judge_clock("clock_color", "color", &color.stamps, &color.logged),
            judge_clock("clock_depth", "depth", &depth.stamps, &depth.logged),
            judge_tree(&tree, global_frame, &depth.frame_id, covered),
        ]
    }

    /// Whether all messages could be read.
    fn judge_messages(&self) -> Finding {
        const NAME: &str = "messages";
        let Inventory { color, depth, transforms, transform_faults, .. } = &self.inventory;
        let total = color.stamps.len() + depth.stamps.len();
        if total == 0 && color.faults.count + depth.faults.count == 0 {
            let message = format!("no image on {} and {}: were the cameras running?", color.topic, depth.topic);
            return Finding::new(NAME, Verdict::Fail, message);
        }
        let messages = [
            ("color", &color.faults),
            ("depth", &depth.faults),
            ("transforms", transform_faults),
            ("transforms", &transforms.refused),
        ];
        let pictures = [("color", &self.pictures.color_faults), ("depth", &self.pictures.depth_faults)];
        let faulty: Vec<String> = messages
            .iter()
            .chain(&pictures)
            .filter_map(|(what, faults)| {
                let first = faults.first.as_ref()?;
                Some(format!("{} of {what} could not be read, the first: {first}", faults.count))
            })
            .collect();
        let count = |of: &[(&str, &Faults)]| of.iter().map(|(_, faults)| faults.count as f64).sum::<f64>();
        let unread = count(&messages);
        let share = unreadable(unread, total as f64 + unread, count(&pictures), self.pictures.tried as f64);
        let verdict = match share {
            s if s > UNREADABLE_WARN => Verdict::Fail,
            s if s > 0.0 => Verdict::Warn,
            _ => Verdict::Ok,
        };
        let message = if faulty.is_empty() {
            format!("{} color and {} depth images", color.stamps.len(), depth.stamps.len())
        } else {
            faulty.join("; ")
        };
        Finding::new(NAME, verdict, message).measured(share, 0.0, "")
    }
}

/// The share of a recording that cannot be read: what is lost of all its messages, and of the rest what is lost of the pictures
/// tried, for of a long recording only a part is decoded.
fn unreadable(unread: f64, messages: f64, undecoded: f64, tried: f64) -> f64 {
    let share = |lost: f64, of: f64| if of > 0.0 { lost / of } else { 0.0 };
    1.0 - (1.0 - share(unread, messages)) * (1.0 - share(undecoded, tried))
}

fn info_finding(name: &'static str, what: &str, stream: &StreamFacts, size: Option<(u32, u32)>) -> Finding {
    let Some(info) = &stream.info else {
        let message = format!("{what}: no camera_info message; intrinsics are unknown");
        return Finding::new(name, Verdict::Fail, message);
    };
    let facts = InfoFacts {
        width: info.width,
        height: info.height,
        focal_px: [info.k[0], info.k[4]],
        principal_px: [info.k[2], info.k[5]],
        model: &info.distortion_model,
        coefficients: &info.d,
    };
    judge_info(name, what, &facts, size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_of_a_long_recording_count_for_those_never_tried() {
        // an hour at 10 Hz, a minute of it decoded, of that a tenth in vain
        assert!((unreadable(0.0, 36_000.0, 60.0, 600.0) - 0.1).abs() < 1e-12);
        assert!((unreadable(18_000.0, 36_000.0, 300.0, 600.0) - 0.75).abs() < 1e-12, "half, and half of the rest");
        assert_eq!(unreadable(0.0, 36_000.0, 0.0, 600.0), 0.0, "exactly, as anything above it warns");
        assert_eq!(unreadable(0.0, 0.0, 0.0, 0.0), 0.0);
        assert_eq!(unreadable(3.0, 3.0, 0.0, 0.0), 1.0);
    }
}
