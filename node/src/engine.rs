//! A source and questions in, a fused scene and answers out: what replay and the demo run.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use vantage_scene::{
    CameraId, FuseReport, KeyframeConfig, RgbdFrame, Scene, SceneConfig, Stream, SyncConfig, SyncStats, Synchronizer,
    TransformError, TsdfConfig,
};

use crate::source::BagSource;

/// Truncation of the map in voxels.
const TRUNCATION_VOXELS: f32 = 4.0;
/// A frame may change its parent or its kind this often before it looks as if two publishers disagree: a robot that starts
/// up may do so once a frame.
const RECLAIMED_IS_USUAL: u64 = 10;

/// What people set for fusion, on the command line or as parameters of the node; one place makes of it what the scene reads.
#[derive(Debug, Clone, PartialEq)]
pub struct FusionSettings {
    /// Frame that everything is fused in.
    pub global_frame: String,
    /// Largest time between a colour and a depth image, seconds.
    pub sync_tolerance_s: f64,
    /// Most images of a stream that wait.
    pub max_waiting: usize,
    /// Most memory of all images that wait, bytes.
    pub max_waiting_bytes: usize,
    /// Side of a map voxel, metres.
    pub voxel_size_m: f32,
    /// Depths beyond this are not fused, metres.
    pub max_depth_m: f32,
    /// Most memory of the map, bytes.
    pub max_map_bytes: usize,
    /// Time after which what is not seen again has lost half of its weight, seconds; never without it.
    pub decay_half_life_s: Option<f32>,
    /// Motion that makes a view worth looking at, metres...
    pub keyframe_translation_m: f64,
    /// ...or radians.
    pub keyframe_rotation_rad: f64,
    /// Share of what a view shows that must be new.
    pub keyframe_new_surface: f64,
    /// Most views kept.
    pub max_keyframes: usize,
    /// Most memory of their images, bytes.
    pub max_keyframe_bytes: usize,
}

impl Default for FusionSettings {
    fn default() -> Self {
        let (sync, tsdf, keyframes) = (SyncConfig::default(), TsdfConfig::default(), KeyframeConfig::default());
        Self {
            global_frame: sync.global_frame,
            sync_tolerance_s: sync.tolerance_nanos as f64 * 1e-9,
            max_waiting: sync.max_waiting,
            max_waiting_bytes: sync.max_waiting_bytes,
            voxel_size_m: tsdf.voxel_size_m,
            max_depth_m: tsdf.max_depth_m,
            max_map_bytes: tsdf.max_bytes,
            decay_half_life_s: tsdf.decay_half_life_s,
            keyframe_translation_m: keyframes.translation_m,
            keyframe_rotation_rad: keyframes.rotation_rad,
            keyframe_new_surface: keyframes.new_surface_share,
            max_keyframes: keyframes.max_keyframes,
            max_keyframe_bytes: keyframes.max_bytes,
        }
    }
}

impl FusionSettings {
    /// As the scene reads it.
    pub fn engine(&self) -> EngineConfig {
        let sync = SyncConfig {
            global_frame: self.global_frame.clone(),
            tolerance_nanos: (self.sync_tolerance_s * 1e9).round() as i64,
            max_waiting: self.max_waiting,
            max_waiting_bytes: self.max_waiting_bytes,
            ..SyncConfig::default()
        };
        let tsdf = TsdfConfig {
            voxel_size_m: self.voxel_size_m,
            truncation_m: TRUNCATION_VOXELS * self.voxel_size_m,
            max_depth_m: self.max_depth_m,
            max_bytes: self.max_map_bytes,
            decay_half_life_s: self.decay_half_life_s,
            ..TsdfConfig::default()
        };
        let keyframes = KeyframeConfig {
            translation_m: self.keyframe_translation_m,
            rotation_rad: self.keyframe_rotation_rad,
            new_surface_share: self.keyframe_new_surface,
            visibility_range_m: f64::from(self.max_depth_m),
            max_keyframes: self.max_keyframes,
            max_bytes: self.max_keyframe_bytes,
            ..KeyframeConfig::default()
        };
        EngineConfig { sync, scene: SceneConfig { tsdf, keyframes } }
    }
}

/// How a recording is fused.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EngineConfig {
    /// Synchronisation and the global frame.
    pub sync: SyncConfig,
    /// The map and the keyframes.
    pub scene: SceneConfig,
}

/// A fused recording.
#[derive(Debug)]
pub struct Replay {
    /// The scene.
    pub scene: Scene,
    /// What became of the images.
    pub stats: SyncStats,
    /// Time spent fusing, milliseconds.
    pub fuse_ms: f64,
}

/// Fuses a whole recording, its cameras corrected as its rig says; nothing is dropped for being late. `on_frame` sees every fused frame.
///
/// # Errors
/// When the recording is broken or gives no frame at all; the error says why.
pub fn fuse_recording(
    source: &mut BagSource,
    config: &EngineConfig,
    on_frame: &mut dyn FnMut(&RgbdFrame, &FuseReport) -> Result<()>,
) -> Result<Replay> {
    let mut sync_config = config.sync.clone();
    sync_config.corrections.extend(source.corrections());
    let mut sync = Synchronizer::new(sync_config);
    let mut scene = Scene::new(config.scene)?;
    let mut fuse_ms = 0.0;
    let mut fuse = |frames: Vec<RgbdFrame>, scene: &mut Scene| -> Result<()> {
        for frame in frames {
            let start = Instant::now();
            let report = scene.fuse(&frame).with_context(|| format!("fusing the frame at stamp {}", frame.stamp))?;
            fuse_ms += start.elapsed().as_secs_f64() * 1e3;
            on_frame(&frame, &report)?;
        }
        Ok(())
    };
    while let Some(event) = source.next_event()? {
        let frames = sync.push(event);
        fuse(frames, &mut scene)?;
    }
    let rest = sync.flush();
    fuse(rest, &mut scene)?;
    let stats = sync.stats().clone();
    if scene.frames_fused() == 0 {
        bail!("{}: no frame could be fused. {}", source.file().display(), why_nothing(source, config, &stats));
    }
    if scene.bounds().is_none() {
        bail!(
            "{}: {} frames came, but no surface: their depth has no reading up to {} m (--max-depth), or they were seen too rarely, or \
             their poses are out of range; check the depth topic's unit, the focal lengths and the transforms",
            source.file().display(),
            scene.frames_fused(),
            config.scene.tsdf.max_depth_m
        );
    }
    report_drops(source, &stats);
    Ok(Replay { scene, stats, fuse_ms })
}

/// What explains best why there is no frame.
fn why_nothing(source: &BagSource, config: &EngineConfig, stats: &SyncStats) -> String {
    if source.depth_images() == 0 {
        return "The depth topic holds no message".to_owned();
    }
    let mut why: Vec<String> = drops(source, stats, Stream::Depth);
    if let Some(refused) = &stats.last_refused_transform {
        why.push(format!("{} transforms refused, the last: {refused}", stats.transforms_refused));
    }
    for (id, error) in transform_errors(stats) {
        why.push(format!(
            "{}transforms to `{}`: {error}; record /tf and /tf_static, or name another frame with --global-frame",
            source.of_camera(id),
            config.sync.global_frame
        ));
    }
    why.join("; ")
}

/// "3 depth images dropped: why", for each camera and reason.
fn drops(source: &BagSource, stats: &SyncStats, of: Stream) -> Vec<String> {
    let all = stats.cameras.iter().flat_map(|(id, camera)| camera.drops().map(move |drop| (*id, drop)));
    all.filter(|(_, (stream, ..))| *stream == of)
        .map(|(id, (stream, reason, count))| {
            format!("{}{count} {stream} images dropped: {reason}", source.of_camera(id))
        })
        .collect()
}

fn transform_errors(stats: &SyncStats) -> impl Iterator<Item = (CameraId, &TransformError)> {
    stats.cameras.iter().filter_map(|(id, camera)| Some((*id, camera.last_transform_error.as_ref()?)))
}

fn report_drops(source: &BagSource, stats: &SyncStats) {
    let file = source.file().display();
    for text in drops(source, stats, Stream::Depth) {
        tracing::warn!("{file}: {text}");
    }
    // a colour camera that is faster than its depth camera loses images by nature
    for text in drops(source, stats, Stream::Color) {
        tracing::info!("{file}: {text}");
    }
    if stats.dropped_total(Stream::Depth) > 0 {
        for (id, error) in transform_errors(stats) {
            tracing::warn!("{file}: {}last transform error: {error}", source.of_camera(id));
        }
    }
    if stats.transforms_refused > 0
        && let Some(refused) = &stats.last_refused_transform
    {
        tracing::warn!("{file}: {} transforms refused, the last: {refused}", stats.transforms_refused);
    }
    if stats.transforms_reclaimed > RECLAIMED_IS_USUAL
        && let Some(last) = &stats.last_reclaimed
    {
        let times = stats.transforms_reclaimed;
        tracing::warn!(
            "{file}: frames changed their parent or kind {times} times; do two publishers disagree? The last: {last}"
        );
    }
    if stats.transforms_stray > 0 {
        tracing::warn!("{file}: {} transforms ignored, their stamps are far from all others'", stats.transforms_stray);
    }
    if stats.clock_jumps > 0 {
        tracing::warn!("{file}: the clock was set back {} times", stats.clock_jumps);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_set_is_what_the_scene_does_by_itself() {
        let EngineConfig { sync, scene } = FusionSettings::default().engine();
        assert_eq!(sync, SyncConfig::default());
        assert_eq!(
            scene.keyframes,
            KeyframeConfig { visibility_range_m: f64::from(scene.tsdf.max_depth_m), ..Default::default() }
        );
        assert!((scene.tsdf.truncation_m / scene.tsdf.voxel_size_m - TRUNCATION_VOXELS).abs() < 1e-6);
    }
}
