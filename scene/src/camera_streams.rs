//! Images of one camera in, pairs of a depth image and the colour image nearest in time out, in order of time.
//!
//! What waits is bounded by number here and by bytes from outside; every image that is given up is counted once.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::frame::{CameraId, ColorImage, DepthImage, RgbdFrame, StampNanos, Stream};
use crate::framing::{Framing, Obstacle, Pair, Stamped};
use crate::sync::SyncConfig;
use crate::sync_stats::{CameraStats, DropReason};
use crate::transforms::TransformBuffer;

/// A colour image; one may serve several depth images.
#[derive(Debug)]
struct Color {
    image: Stamped<ColorImage>,
    matched: bool,
}

/// The streams of one camera.
#[derive(Debug, Default)]
pub(crate) struct CameraStreams {
    pub(crate) framing: Framing,
    colors: BTreeMap<StampNanos, Color>,
    depths: BTreeMap<StampNanos, Stamped<DepthImage>>,
    pairs: VecDeque<Pair>,
    newest_color: Option<StampNanos>,
    newest_depth: Option<StampNanos>,
    /// The newest depth image whose colour is decided: an earlier one would come out of order.
    decided: Option<StampNanos>,
}

impl CameraStreams {
    pub(crate) fn push_color(&mut self, image: Stamped<ColorImage>, config: &SyncConfig, stats: &mut CameraStats) {
        let stamp = image.stamp;
        if self.colors.contains_key(&stamp) {
            stats.count(Stream::Color, DropReason::Repeated, 1);
            return;
        }
        self.newest_color = self.newest_color.max(Some(stamp));
        self.colors.insert(stamp, Color { image, matched: false });
        while self.colors.len() > config.max_waiting.max(1) {
            self.drop_oldest_color(DropReason::TooMany, stats);
        }
    }

    pub(crate) fn push_depth(&mut self, image: Stamped<DepthImage>, stats: &mut CameraStats) {
        let stamp = image.stamp;
        if self.depths.contains_key(&stamp) || self.decided == Some(stamp) {
            stats.count(Stream::Depth, DropReason::Repeated, 1);
        } else if self.decided.is_some_and(|decided| stamp < decided) {
            stats.count(Stream::Depth, DropReason::Late, 1);
        } else {
            self.newest_depth = self.newest_depth.max(Some(stamp));
            self.depths.insert(stamp, image);
        }
    }

    /// Gives depth images their colour. One is sure of its nearest colour once a colour at or after its stamp has come,
    /// or `at_end`.
    pub(crate) fn match_images(&mut self, config: &SyncConfig, stats: &mut CameraStats, at_end: bool) {
        let tolerance = config.tolerance_nanos.max(0);
        while let Some((&stamp, _)) = self.depths.first_key_value() {
            let settled = self.newest_color.is_some_and(|newest| newest >= stamp) || at_end;
            if !settled && self.depths.len() <= config.max_waiting.max(1) {
                break;
            }
            let before = self.colors.range(..=stamp).next_back().map(|(s, _)| *s);
            let after = self.colors.range(stamp..).next().map(|(s, _)| *s);
            let gap = |s: &StampNanos| s.abs_diff(stamp);
            // of two equally near ones the earlier
            let nearest =
                before.into_iter().chain(after).min_by_key(gap).filter(|s| gap(s) <= tolerance.unsigned_abs());
            let Some((_, depth)) = self.depths.pop_first() else { break };
            self.decided = Some(stamp);
            match nearest.and_then(|s| self.colors.get_mut(&s)) {
                Some(color) => {
                    stats.color_matched += u64::from(!color.matched);
                    color.matched = true;
                    self.pairs.push_back(Pair { depth, color: color.image.clone() });
                }
                None => stats.count(Stream::Depth, DropReason::NoColor, 1),
            }
        }
        // colours that no depth image to come will want
        if let Some(oldest) = self.depths.first_key_value().map(|(s, _)| *s).or(self.newest_depth) {
            let wanted = self.colors.split_off(&oldest.saturating_sub(tolerance));
            let unwanted = std::mem::replace(&mut self.colors, wanted);
            stats.count(Stream::Color, DropReason::NoDepth, unmatched(&unwanted));
        }
        if at_end {
            stats.count(Stream::Color, DropReason::NoDepth, unmatched(&self.colors));
            self.colors.clear();
        }
    }

    /// Completes pairs from the front into `frames`; those behind one that waits wait too, so that the camera's frames
    /// keep the order of time.
    pub(crate) fn complete(
        &mut self,
        camera_id: CameraId,
        config: &SyncConfig,
        transforms: &TransformBuffer,
        stats: &mut CameraStats,
        at_end: bool,
        frames: &mut Vec<RgbdFrame>,
    ) {
        while let Some(pair) = self.pairs.pop_front() {
            match self.framing.frame(camera_id, &pair, &config.global_frame, transforms) {
                Ok(framed) => {
                    stats.frames += 1;
                    stats.registered += u64::from(framed.registered);
                    stats.last_transform_error = None;
                    frames.push(framed.frame);
                }
                Err(obstacle) => {
                    let last_chance = at_end || self.pairs.len() >= config.max_waiting.max(1);
                    let Obstacle { reason, may_resolve, error } = obstacle;
                    if error.is_some() {
                        stats.last_transform_error = error;
                    }
                    if may_resolve && !last_chance {
                        self.pairs.push_front(pair);
                        break;
                    }
                    stats.count(Stream::Depth, reason, 1);
                }
            }
        }
    }

    /// Forgets all images, which belong to a time that is over. Calibration stays.
    pub(crate) fn clear(&mut self, reason: DropReason, stats: &mut CameraStats) {
        stats.count(Stream::Depth, reason, self.depths.len() + self.pairs.len());
        stats.count(Stream::Color, reason, unmatched(&self.colors));
        let framing = std::mem::take(&mut self.framing);
        *self = Self { framing, ..Self::default() };
    }

    /// Images that wait: depth images, and colour images that no depth image has taken.
    pub(crate) fn waiting(&self, stream: Stream) -> usize {
        match stream {
            Stream::Color => unmatched(&self.colors),
            Stream::Depth => self.depths.len() + self.pairs.len(),
        }
    }

    /// Memory of all images held; one that is in a pair and may serve another depth image counts once.
    pub(crate) fn bytes(&self) -> usize {
        let own_color = |pair: &&Pair| {
            let kept = self.colors.get(&pair.color.stamp);
            !kept.is_some_and(|kept| Arc::ptr_eq(&kept.image.image, &pair.color.image))
        };
        let depths = self.depths.values().chain(self.pairs.iter().map(|pair| &pair.depth));
        let colors = self.colors.values().map(|color| &color.image);
        let colors = colors.chain(self.pairs.iter().filter(own_color).map(|pair| &pair.color));
        depths.map(|d| d.image.bytes()).sum::<usize>() + colors.map(|c| c.image.bytes()).sum::<usize>()
    }

    /// Drops the oldest image, for the sake of memory; false when only the newest of each stream are left, which stay so
    /// that large images can become frames at all.
    pub(crate) fn drop_oldest(&mut self, stats: &mut CameraStats) -> bool {
        let many = self.depths.len() + self.pairs.len() > 1;
        let pair = self.pairs.front().map(|pair| pair.depth.stamp).filter(|_| many);
        let depth = self.depths.first_key_value().map(|(stamp, _)| *stamp).filter(|_| many);
        let color = self.colors.first_key_value().map(|(stamp, _)| *stamp).filter(|_| self.colors.len() > 1);
        let Some(oldest) = [pair, depth, color].into_iter().flatten().min() else { return false };
        if color == Some(oldest) {
            self.drop_oldest_color(DropReason::TooManyBytes, stats);
            return true;
        }
        if pair == Some(oldest) {
            self.pairs.pop_front();
        } else {
            self.depths.pop_first();
            self.decided = self.decided.max(Some(oldest));
        }
        stats.count(Stream::Depth, DropReason::TooManyBytes, 1);
        true
    }

    fn drop_oldest_color(&mut self, reason: DropReason, stats: &mut CameraStats) {
        let dropped = self.colors.pop_first();
        stats.count(Stream::Color, reason, usize::from(dropped.is_some_and(|(_, color)| !color.matched)));
    }
}

fn unmatched(colors: &BTreeMap<StampNanos, Color>) -> usize {
    colors.values().filter(|color| !color.matched).count()
}
