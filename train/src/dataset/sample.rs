//! A room's seed in, one training sample out: the room is recorded, fused by the same code that a robot runs, sampled,
//! and every point gets its object from the ground truth. Samples are cached on disk.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use vantage_model::{ModelConfig, PointSample, VISIBILITY_TOLERANCE_M, ViewInput};
use vantage_scene::{Aabb, KeyframeConfig, Scene, SceneConfig, TsdfConfig, patch_pixels, shell_mask, visible_points};

use crate::rooms::{RecordConfig, Recording, Room, RoomConfig, generate, object_at, record};

/// Version of the cached samples; a cache of another version is made anew.
pub const SAMPLE_FORMAT_VERSION: u32 = 8;
/// A sampled point belongs to the nearest object surface within this, metres.
const LABEL_TOLERANCE_M: f64 = 0.10;
/// Views kept of a scene at most, evenly spaced over the keyframes.
const MAX_VIEWS: usize = 10;
/// An object counts as seen when at least this many sampled points are its own...
const MIN_SEEN_POINTS: usize = 6;
/// ...and some frame shows at least this share of the picture's pixels of it.
const MIN_SEEN_SHARE: f32 = 0.002;
/// A view shows an object well when it has at least this share of the pixels that the best keyframe has of it.
pub(crate) const WELL_SHARE: f32 = 0.5;
/// Voxel of the map that training fuses, metres: coarse, as the point encoder samples at 7 cm.
pub const TRAINING_VOXEL_M: f32 = 0.04;

/// One view of a sample.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ViewSample {
    /// `[3, height, width]`, from -1 to 1.
    pub image: Vec<f32>,
    /// `[2, height, width]`.
    pub depth: Vec<f32>,
    /// Place of each merged token, metres.
    pub token_positions: Vec<[f32; 3]>,
    /// Indices of the sampled points that this view sees.
    pub visible: Vec<u32>,
    /// How many pixels it spends on each of them, up to a factor that all views share.
    pub point_pixels: Vec<f32>,
    /// Pixels of each of the room's objects.
    pub object_pixels: Vec<u32>,
}

/// One fused room, ready to be asked about.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SceneSample {
    /// Version of this layout.
    pub format_version: u32,
    /// The room is `generate(room_seed, RoomConfig::default())`.
    pub room_seed: u64,
    /// Bounds of the fused map.
    pub bounds: Aabb,
    /// Sampled points, metres.
    pub positions: Vec<[f32; 3]>,
    /// Their input features.
    pub features: Vec<[f32; 9]>,
    /// Side of the sampling voxel, metres.
    pub grid_m: f32,
    /// Object of each point, -1 for the shell or none.
    pub point_object: Vec<i16>,
    /// Some keyframes.
    pub views: Vec<ViewSample>,
    /// For each object, the most pixels of it in any keyframe.
    pub best_object_pixels: Vec<u32>,
    /// Which of the room's objects were seen well enough to be asked about.
    pub seen: Vec<bool>,
}

/// The fusion settings that training and evaluation share.
pub fn scene_config() -> SceneConfig {
    SceneConfig {
        tsdf: TsdfConfig {
            voxel_size_m: TRAINING_VOXEL_M,
            truncation_m: 3.0 * TRAINING_VOXEL_M,
            ..TsdfConfig::default()
        },
        keyframes: KeyframeConfig::default(),
    }
}

/// Records and fuses a room: the scene, and which objects were seen well.
///
/// # Errors
/// When the map refuses a frame.
pub fn make_scene(room: &Room, config: &RecordConfig) -> Result<(Scene, Vec<bool>)> {
    fuse_recording(&record(room, config), room.objects.len(), config)
}

/// Fuses a `recording` of a room with so many objects, made by `config`: the scene, and which objects were seen well.
///
/// # Errors
/// When the map refuses a frame.
pub(crate) fn fuse_recording(
    recording: &Recording,
    objects: usize,
    config: &RecordConfig,
) -> Result<(Scene, Vec<bool>)> {
    let mut scene = Scene::new(scene_config())?;
    let mut seen = vec![false; objects];
    let least = least_pixels(config);
    for (frame, pixels) in recording.frames.iter().zip(&recording.visible_pixels) {
        scene.fuse(frame)?;
        for (seen, &count) in seen.iter_mut().zip(pixels) {
            *seen |= count >= least;
        }
    }
    Ok((scene, seen))
}

/// A picture of a recording shows an object when this many pixels do.
pub(crate) fn least_pixels(config: &RecordConfig) -> u32 {
    (MIN_SEEN_SHARE * (config.width * config.height) as f32) as u32
}

/// For each keyframe the pixels of each object; none of keyframes that the recording has no frame of.
pub(crate) fn keyframe_pixels(scene: &Scene, recording: &Recording) -> Vec<Vec<u32>> {
    let objects = recording.visible_pixels.first().map_or(0, Vec::len);
    let of = |stamp| {
        let at = recording.frames.iter().position(|f| f.stamp == stamp);
        at.and_then(|i| recording.visible_pixels.get(i)).cloned()
    };
    scene.keyframes().iter().map(|k| of(k.frame.stamp).unwrap_or_else(|| vec![0; objects])).collect()
}

impl SceneSample {
    /// Records, fuses, samples and labels the room of `room_seed`.
    ///
    /// # Errors
    /// When fusing fails or the map stays empty.
    pub fn make(room_seed: u64, model: &ModelConfig) -> Result<Self> {
        let room = generate(room_seed, &RoomConfig::default());
        let config = RecordConfig::default();
        let recording = record(&room, &config);
        let (scene, mut seen) = fuse_recording(&recording, room.objects.len(), &config)?;
        let bounds = scene.bounds().context("nothing was fused")?;
        let cloud = scene.surface();
        let shell = shell_mask(&cloud);
        let sample = PointSample::from_cloud(&cloud, &shell, &bounds, &model.point_sample);
        ensure!(!sample.positions.is_empty(), "room {room_seed}: no points were sampled");
        let point_object: Vec<i16> =
            sample.positions.iter().map(|&p| object_at(&room, p, LABEL_TOLERANCE_M).map_or(-1, |i| i as i16)).collect();
        for (i, seen) in seen.iter_mut().enumerate() {
            let own = point_object.iter().filter(|&&o| o == i as i16).count();
            *seen &= own >= MIN_SEEN_POINTS;
        }
        let keyframes = scene.keyframes();
        let pixels = keyframe_pixels(&scene, &recording);
        let best_object_pixels =
            (0..room.objects.len()).map(|o| pixels.iter().map(|p| p[o]).max().unwrap_or(0)).collect();
        let visible: Vec<Vec<u32>> =
            keyframes.iter().map(|k| visible_points(&k.frame, &sample.positions, VISIBILITY_TOLERANCE_M)).collect();
        let origins: Vec<[f32; 3]> = keyframes.iter().map(|k| k.frame.optical_center()).collect();
        let point_pixels = patch_pixels(&visible, &origins, &sample.positions, &sample.normals());
        let count = keyframes.len().min(MAX_VIEWS);
        let views = (0..count)
            .map(|i| {
                let place = i * keyframes.len() / count;
                let input = ViewInput::from_frame(&keyframes[place].frame, &model.image);
                ViewSample {
                    image: input.image,
                    depth: input.depth,
                    token_positions: input.token_positions,
                    visible: visible[place].clone(),
                    point_pixels: point_pixels[place].clone(),
                    object_pixels: pixels[place].clone(),
                }
            })
            .collect();
        Ok(Self {
            format_version: SAMPLE_FORMAT_VERSION,
            room_seed,
            bounds,
            positions: sample.positions,
            features: sample.features,
            grid_m: sample.grid_m,
            point_object,
            views,
            best_object_pixels,
            seen,
        })
    }
}

/// The samples of rooms `first_seed..first_seed + count`, from `cache` where they are there, else made and stored.
/// `on_done` is called once a sample.
///
/// # Errors
/// When a room fails or the cache cannot be written.
pub fn load_or_make(
    first_seed: u64,
    count: usize,
    model: &ModelConfig,
    cache: &Path,
    on_done: &(dyn Fn() + Sync),
) -> Result<Vec<SceneSample>> {
    std::fs::create_dir_all(cache).with_context(|| format!("making {}", cache.display()))?;
    (0..count as u64)
        .into_par_iter()
        .map(|i| {
            let path = cache.join(format!("room-{}.bin", first_seed + i));
            let sample = match read(&path) {
                Some(sample) => sample,
                None => {
                    let sample = SceneSample::make(first_seed + i, model)?;
                    write(&path, &sample)?;
                    sample
                }
            };
            on_done();
            Ok(sample)
        })
        .collect()
}

/// A cached sample; `None` when it is missing, damaged or of another version, so that it is made anew.
fn read(path: &Path) -> Option<SceneSample> {
    let file = std::fs::read(path).ok()?;
    let (bytes, checksum) = file.split_last_chunk::<4>()?;
    if crc32fast::hash(bytes).to_le_bytes() != *checksum {
        return None;
    }
    let sample: SceneSample = postcard::from_bytes(bytes).ok()?;
    (sample.format_version == SAMPLE_FORMAT_VERSION).then_some(sample)
}

fn write(path: &Path, sample: &SceneSample) -> Result<()> {
    let partial: PathBuf = path.with_extension("partial");
    let mut bytes = postcard::to_allocvec(sample).context("encoding a sample")?;
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    std::fs::write(&partial, bytes).with_context(|| format!("writing {}", partial.display()))?;
    std::fs::rename(&partial, path).with_context(|| format!("renaming {}", path.display()))
}
