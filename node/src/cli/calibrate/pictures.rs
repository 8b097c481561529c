//! A recording's pictures in; depth statistics, motion, edges and their agreement over time out. Memory does not grow with the
//! length of the recording, but for one number a frame.

use std::collections::{BTreeMap, VecDeque};

use anyhow::Result;
use nalgebra::Isometry3;
use vantage_calibration::PinholeCamera;
use vantage_calibration::check::{
    Contrast, DepthEdge, DepthSample, DepthStatistics, LagScores, MotionSignal, Profiles, Raster, ShiftScores,
    carry_edges, depth_edges, stamp_report, thin_camera, thin_depth,
};
use vantage_scene::{ColorImage, DepthImage, SensorEvent, Stream};

use super::bursts::Bursts;
use super::inventory::{Faults, Inventory, image_header};
use super::progress;
use super::reduced::{Reduced, reduce};
use crate::source::RawMessage;
use crate::source::decode::{Carries, DecodeError, decode};
use crate::source::pixels::PixelError;

/// Depth images are thinned to at most this width for the fit of scale and bias.
const MAX_SAMPLE_WIDTH: u32 = 160;
/// Depth images compared with color.
const EDGE_FRAMES: usize = 120;
/// Depth images in the fit of scale and bias.
const SAMPLE_FRAMES: usize = 60;
/// Edges of a depth image that are compared.
const EDGES: usize = 2_000;
/// Differences of stamps between color and depth that are tried, nanoseconds: at least this, and so many periods of the slower
/// stream, for a lag stands out only among others.
const LAG_LIMIT_NANOS: i64 = 300_000_000;
const LAG_LIMIT_PERIODS: f64 = 4.5;
/// But never more.
const MAX_LAG_LIMIT_NANOS: i64 = 1_000_000_000;
/// Most pictures held while their partners are awaited.
const MAX_HELD: usize = 24;
/// Pictures further apart than this are not compared for motion, nanoseconds.
const MOTION_GAP_NANOS: i64 = 250_000_000;
/// Pictures drawn in a report.
pub(super) const DRAWN: usize = 3;

/// A depth image's edges, in pixels of the (reduced) color picture.
pub(super) struct Outline {
    pub(super) stamp: i64,
    pub(super) edges: Vec<DepthEdge>,
}

/// A color picture to draw on, before and after the correction that was found.
pub(super) struct Drawn {
    pub(super) outline: usize,
    pub(super) uncorrected: Option<Reduced>,
    pub(super) corrected: Option<Reduced>,
}

/// What the pictures say.
pub(super) struct Pictures {
    pub(super) statistics: DepthStatistics,
    /// Median of depth images that were refused for being in millimetres.
    pub(super) refused_median: Option<f64>,
    pub(super) color_size: Option<(u32, u32)>,
    pub(super) depth_size: Option<(u32, u32)>,
    pub(super) color_motion: MotionSignal,
    pub(super) depth_motion: MotionSignal,
    pub(super) lags: LagScores,
    pub(super) outlines: Vec<Outline>,
    pub(super) samples: Vec<DepthSample>,
    /// The camera of `samples`.
    pub(super) sample_camera: Option<PinholeCamera>,
    /// Size of a reduced color pixel in those of the stream.
    pub(super) pixel: f64,
    /// Why depth edges cannot be drawn into color.
    pub(super) not_comparable: Option<String>,
    /// Pictures that were decoded, or could not be: those of the bursts.
    pub(super) tried: u64,
    pub(super) color_faults: Faults,
    pub(super) depth_faults: Faults,
}

/// A depth camera beside a color camera.
struct TwoCameras {
    depth: PinholeCamera,
    color: PinholeCamera,
    color_from_depth: Isometry3<f64>,
}

/// Takes depth edges into the color picture.
enum Carry {
    /// Aligned by the driver: the same view at another size.
    Resize,
    /// Two cameras.
    Cameras(Box<TwoCameras>),
    /// Not possible, and why.
    Unknown(String),
}

impl Carry {
    fn of(inventory: &Inventory) -> Self {
        let (color, depth) = (&inventory.color, &inventory.depth);
        if color.frame_id == depth.frame_id {
            return Self::Resize;
        }
        let joined = inventory.transforms.fixed(&color.frame_id, &depth.frame_id);
        match (depth.camera(), color.camera(), joined) {
            (Some(depth), Some(color), Some(color_from_depth)) => {
                Self::Cameras(Box::new(TwoCameras { depth, color, color_from_depth }))
            }
            (_, _, None) => {
                Self::Unknown(format!("no static transform joins {} and {}", color.frame_id, depth.frame_id))
            }
            _ => Self::Unknown("a camera_info makes no camera".to_owned()),
        }
    }

    fn apply(&self, edges: &mut Vec<DepthEdge>, depth_size: (u32, u32), picture: (u32, u32)) {
        match self {
            Self::Resize => {
                let scale = |a: u32, b: u32| b as f32 / a.max(1) as f32;
                let (x, y) = (scale(depth_size.0, picture.0), scale(depth_size.1, picture.1));
                for edge in edges {
                    (edge.u, edge.v) = ((edge.u + 0.5) * x - 0.5, (edge.v + 0.5) * y - 0.5);
                }
            }
            Self::Cameras(two) => {
                let depth = two.depth.scaled(depth_size.0, depth_size.1);
                carry_edges(edges, &depth, &two.color.scaled(picture.0, picture.1), &two.color_from_depth);
            }
            Self::Unknown(_) => edges.clear(),
        }
    }
}

/// What is held of a color picture while depth images may still come.
struct Held {
    stamp: i64,
    contrast: Contrast,
}

struct Reader<'a> {
    pictures: Pictures,
    carry: Carry,
    camera: Option<PinholeCamera>,
    held: VecDeque<Held>,
    last_color: Option<(i64, Profiles)>,
    last_depth: Option<(i64, Profiles)>,
    picture_size: Option<(u32, u32)>,
    depth_images: usize,
    /// Edges wait here until the size of the color picture is known.
    edge_stride: usize,
    sample_stride: usize,
    lag_limit_nanos: i64,
    bursts: &'a Bursts,
}

impl Pictures {
    /// Decodes the pictures of a recording once.
    ///
    /// # Errors
    /// When the recording is damaged; a picture that cannot be decoded is counted instead.
    pub(super) fn read(inventory: &mut Inventory) -> Result<Self> {
        let (color, depth) = (&inventory.color, &inventory.depth);
        let period_s = stamp_report(&color.stamps).period_s.max(stamp_report(&depth.stamps).period_s);
        let lag_limit_nanos = ((LAG_LIMIT_PERIODS * period_s * 1e9) as i64).clamp(LAG_LIMIT_NANOS, MAX_LAG_LIMIT_NANOS);
        let bursts = Bursts::of(&[&depth.stamps, &color.stamps]);
        let wanted = depth.stamps.iter().filter(|s| bursts.wants(**s)).count();
        let carry = Carry::of(inventory);
        let pictures = Self {
            statistics: DepthStatistics::default(),
            refused_median: None,
            color_size: None,
            depth_size: None,
            color_motion: MotionSignal::default(),
            depth_motion: MotionSignal::default(),
            lags: LagScores::new(period_s, lag_limit_nanos as f64 * 1e-9),
            outlines: Vec::new(),
            samples: Vec::new(),
            sample_camera: None,
            pixel: 1.0,
            not_comparable: if let Carry::Unknown(why) = &carry { Some(why.clone()) } else { None },
            tried: 0,
            color_faults: Faults::default(),
            depth_faults: Faults::default(),
        };
        let mut reader = Reader {
            pictures,
            carry,
            camera: depth.camera(),
            held: VecDeque::new(),
            last_color: None,
            last_depth: None,
            picture_size: None,
            depth_images: 0,
            edge_stride: wanted.div_ceil(EDGE_FRAMES).max(1),
            sample_stride: wanted.div_ceil(SAMPLE_FRAMES).max(1),
            lag_limit_nanos,
            bursts: &bursts,
        };
        let total = color.stamps.len() + depth.stamps.len();
        let bar = progress("looking", u64::try_from(total).ok());
        let choice = [inventory.camera.color, inventory.camera.depth];
        inventory.storage.select(&choice)?;
        while let Some(message) = inventory.storage.next_message()? {
            bar.inc(1);
            let stream = if message.topic == choice[0] { Stream::Color } else { Stream::Depth };
            let compressed = if stream == Stream::Color { color.compressed } else { depth.compressed };
            reader.take(&message, stream, compressed);
        }
        bar.finish_and_clear();
        Ok(reader.pictures)
    }

    /// Compares depth edges with the color picture that `lag_s` says is of the same moment; the pictures to draw come along.
    ///
    /// # Errors
    /// When the recording is damaged.
    pub(super) fn compare(&self, inventory: &mut Inventory, lag_s: f64) -> Result<(ShiftScores, Vec<Drawn>)> {
        let mut stamps = inventory.color.stamps.clone();
        stamps.sort_unstable();
        let lag_nanos = (lag_s * 1e9) as i64;
        let nearest = |stamp: i64| {
            let at = stamps.partition_point(|s| *s < stamp);
            let around = [at.checked_sub(1), Some(at)].into_iter().flatten().filter_map(|i| stamps.get(i).copied());
            around.min_by_key(|s| s.abs_diff(stamp)).filter(|s| s.abs_diff(stamp) < MOTION_GAP_NANOS.unsigned_abs())
        };
        // color stamp -> outlines that are compared with it
        let mut partners: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
        for (i, outline) in self.outlines.iter().enumerate() {
            if let Some(stamp) = nearest(outline.stamp.saturating_add(lag_nanos)) {
                partners.entry(stamp).or_default().push(i);
            }
        }
        let mut drawn: Vec<Drawn> = (0..DRAWN.min(self.outlines.len()))
            .map(|k| Drawn {
                outline: (2 * k + 1) * self.outlines.len() / (2 * DRAWN),
                uncorrected: None,
                corrected: None,
            })
            .collect();
        drawn.dedup_by_key(|d| d.outline);
        let uncorrected: Vec<Option<i64>> = drawn.iter().map(|d| nearest(self.outlines[d.outline].stamp)).collect();
        let mut scores = ShiftScores::default();
        let compressed = inventory.color.compressed;
        let bar = progress("comparing", u64::try_from(stamps.len()).ok());
        inventory.storage.select(&[inventory.camera.color])?;
        while let Some(message) = inventory.storage.next_message()? {
            bar.inc(1);
            // what cannot be read was counted when the pictures were read
            let Ok((stamp, ..)) = image_header(compressed, &message.data) else { continue };
            let partners = partners.remove(&stamp).unwrap_or_default();
            if partners.is_empty() && !uncorrected.contains(&Some(stamp)) {
                continue;
            }
            let carries = Carries::Images { stream: Stream::Color, compressed };
            let Ok(events) = decode(carries, &message.data) else { continue };
            for event in events {
                let SensorEvent::Color { image, .. } = event else { continue };
                let picture = reduce(&image);
                let raster = Raster::new(picture.width, picture.height, &picture.gray);
                if let Some(contrast) = raster.ok().and_then(|r| Contrast::of(&r)) {
                    partners.iter().for_each(|i| scores.add(&self.outlines[*i].edges, &contrast));
                }
                for (d, uncorrected) in drawn.iter_mut().zip(&uncorrected) {
                    if *uncorrected == Some(stamp) {
                        d.uncorrected = Some(picture.clone());
                    }
                    if partners.contains(&d.outline) {
                        d.corrected = Some(picture.clone());
                    }
                }
            }
        }
        bar.finish_and_clear();
        Ok((scores, drawn))
    }
}

impl Reader<'_> {
    fn take(&mut self, message: &RawMessage, stream: Stream, compressed: bool) {
        // a header that cannot be read was counted by the inventory
        let Ok((stamp, ..)) = image_header(compressed, &message.data) else { return };
        if !self.bursts.wants(stamp) {
            return;
        }
        self.pictures.tried += 1;
        match decode(Carries::Images { stream, compressed }, &message.data) {
            Ok(events) => events.into_iter().for_each(|event| match event {
                SensorEvent::Color { image, .. } => self.take_color(stamp, &image),
                SensorEvent::Depth { image, .. } => self.take_depth(stamp, &image),
                _ => {}
            }),
            Err(DecodeError::Pixels(PixelError::Millimetres { median })) => {
                self.pictures.refused_median.get_or_insert(f64::from(median));
            }
            Err(error) => match stream {
                Stream::Color => self.pictures.color_faults.add(message, &error),
                Stream::Depth => self.pictures.depth_faults.add(message, &error),
            },
        }
    }

    fn take_color(&mut self, stamp: i64, image: &ColorImage) {
        let picture = reduce(image);
        self.pictures.color_size.get_or_insert((image.width, image.height));
        self.pictures.pixel = f64::from(image.width) / f64::from(picture.width);
        let size = (picture.width, picture.height);
        // sizes that change are said of camera_info; edges are compared in the first
        if *self.picture_size.get_or_insert(size) != size {
            return;
        }
        let Ok(raster) = Raster::new(picture.width, picture.height, &picture.gray) else { return };
        let profiles = Profiles::of_gray(&raster);
        push_motion(&mut self.pictures.color_motion, &mut self.last_color, stamp, profiles, self.pictures.pixel);
        let Some(contrast) = Contrast::of(&raster) else { return };
        for (i, outline) in self.pictures.outlines.iter_mut().enumerate().rev() {
            let lag = stamp.saturating_sub(outline.stamp);
            if lag.saturating_abs() <= self.lag_limit_nanos {
                self.pictures.lags.add(lag as f64 * 1e-9, i, &outline.edges, &contrast);
            } else if lag > 10 * self.lag_limit_nanos {
                break;
            }
        }
        self.held.retain(|h| stamp.saturating_sub(h.stamp) <= 2 * self.lag_limit_nanos);
        if self.held.len() >= MAX_HELD {
            self.held.pop_front();
        }
        self.held.push_back(Held { stamp, contrast });
    }

    fn take_depth(&mut self, stamp: i64, image: &DepthImage) {
        let size = (image.width, image.height);
        self.pictures.statistics.add(&image.data);
        if *self.pictures.depth_size.get_or_insert(size) != size {
            return;
        }
        let Ok(raster) = Raster::new(image.width, image.height, &image.data) else { return };
        push_motion(&mut self.pictures.depth_motion, &mut self.last_depth, stamp, Profiles::of_depth(&raster), 1.0);
        let number = self.depth_images;
        self.depth_images += 1;
        if number.is_multiple_of(self.sample_stride)
            && let Some(camera) = self.camera.filter(|c| (c.width, c.height) == size)
        {
            let stride = image.width.div_ceil(MAX_SAMPLE_WIDTH);
            self.pictures.sample_camera = Some(thin_camera(&camera, stride));
            let depth_m = thin_depth(&raster, stride);
            self.pictures.samples.push(DepthSample { stamp_nanos: stamp, depth_m });
        }
        // the first depth images may come before any color; they have no partner to be compared with yet
        let Some(picture) = self.picture_size.filter(|_| number.is_multiple_of(self.edge_stride)) else { return };
        let mut edges = Vec::new();
        depth_edges(&raster, EDGES, &mut edges);
        self.carry.apply(&mut edges, size, picture);
        if edges.is_empty() {
            return;
        }
        let frame = self.pictures.outlines.len();
        for held in &self.held {
            let lag = held.stamp.saturating_sub(stamp);
            if lag.saturating_abs() <= self.lag_limit_nanos {
                self.pictures.lags.add(lag as f64 * 1e-9, frame, &edges, &held.contrast);
            }
        }
        self.pictures.outlines.push(Outline { stamp, edges });
    }
}

/// Adds the shift since the last picture, which is replaced.
fn push_motion(
    signal: &mut MotionSignal,
    last: &mut Option<(i64, Profiles)>,
    stamp: i64,
    profiles: Profiles,
    pixel: f64,
) {
    if let Some((before, earlier)) = last
        && stamp.saturating_sub(*before) <= MOTION_GAP_NANOS
        && let Some(shift) = earlier.shift_to(&profiles)
    {
        signal.push_shift(*before, stamp, shift.map(|x| x * pixel));
    }
    *last = Some((stamp, profiles));
}
