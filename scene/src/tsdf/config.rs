//! Settings of a map in, checked ones out; and everything that can be wrong with a map or a frame.

use serde::{Deserialize, Serialize};
use vantage_calibration::{DepthModel, DepthNoise};

use super::store::BLOCK_COST_BYTES;
use crate::frame::FrameError;

/// Readings at this distance count once; nearer ones more, further ones less, metres.
const REFERENCE_DEPTH_M: f32 = 1.0;
/// Most that one reading counts.
const MAX_READING_WEIGHT: f32 = 4.0;
/// Largest weight that a voxel can hold.
pub(super) const WEIGHT_LIMIT: f32 = 63.0;
/// Voxels behind a surface that are always written, so that its place can be interpolated.
const BAND_VOXELS: f32 = 2.0;
/// The band behind a surface is deeper by this many deviations of the depth noise.
const BAND_DEVIATIONS: f32 = 3.0;
/// A surface counts from the weight of this many readings at the largest depth on: of two there, or of one nearer than
/// some nine tenths of it.
const MIN_SURFACE_READINGS: f32 = 1.5;
/// Keeps noise from being nothing, metres.
const NO_NOISE_M: f32 = 1.0e-9;
/// Least memory of a map, in blocks.
const MIN_BLOCKS: usize = 64;

/// Settings of a map.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TsdfConfig {
    /// Side of a voxel, metres.
    pub voxel_size_m: f32,
    /// Distance from the surface that is kept, metres.
    pub truncation_m: f32,
    /// Depths beyond this are not fused, metres.
    pub max_depth_m: f32,
    /// Most memory of the map, bytes. When it is reached, blocks that are far away and long unseen make room.
    pub max_bytes: usize,
    /// Weight at which a voxel's average stops growing stiffer, in readings at one metre. With 10 what was put down two metres away
    /// shows within some seconds, and the noise of near readings is still a third.
    pub max_weight: f32,
    /// Noise of the depth camera; readings count by its inverse square.
    pub noise: DepthNoise,
    /// Whether a frame takes back what it sees through, so that moved objects vanish. What frames say of a voxel is then no mere mean:
    /// where they contradict each other, the later one wins.
    pub carving: bool,
    /// Time after which what is not seen again has lost half of its weight, seconds; never without it.
    pub decay_half_life_s: Option<f32>,
}

impl Default for TsdfConfig {
    /// 2 cm voxels, 512 MB, and the noise of a structured-light camera.
    fn default() -> Self {
        Self {
            voxel_size_m: 0.02,
            truncation_m: 0.08,
            max_depth_m: 4.0,
            max_bytes: 512 << 20,
            max_weight: 10.0,
            noise: DepthNoise::STRUCTURED_LIGHT,
            carving: true,
            decay_half_life_s: None,
        }
    }
}

/// Why a map or a frame was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TsdfError {
    /// A setting is not usable.
    #[error("map setting {field} is {value}: {reason}")]
    Config {
        /// Name of the setting.
        field: &'static str,
        /// Its value.
        value: f64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The camera does not fit the depth image.
    #[error(
        "camera is {camera_width}x{camera_height} but the depth image is {width}x{height}; check the depth camera_info topic"
    )]
    CameraSize {
        /// Width in the camera's calibration.
        camera_width: u32,
        /// Height in the camera's calibration.
        camera_height: u32,
        /// Width of the depth image.
        width: u32,
        /// Height of the depth image.
        height: u32,
    },
    /// An image does not hold what its size says.
    #[error("the frame at stamp {stamp}: {source}")]
    Image {
        /// Stamp of the frame.
        stamp: i64,
        /// What does not fit.
        source: FrameError,
    },
    /// The frame is not that of a pinhole camera.
    #[error("the frame's camera bends straight lines; straighten its images first, as the synchroniser does")]
    Lens,
    /// The pose is not finite, or further away than a map can reach.
    #[error("the camera's pose at stamp {stamp} is not finite or too far away; check the transforms")]
    Pose {
        /// Stamp of the frame.
        stamp: i64,
    },
}

impl TsdfConfig {
    /// Refuses settings that make no map.
    ///
    /// # Errors
    /// [`TsdfError::Config`] naming the setting.
    pub fn check(&self) -> Result<(), TsdfError> {
        let fault = |field, value: f32, reason| Err(TsdfError::Config { field, value: f64::from(value), reason });
        let lengths = [
            ("voxel_size_m", self.voxel_size_m),
            ("truncation_m", self.truncation_m),
            ("max_depth_m", self.max_depth_m),
        ];
        for (field, value) in lengths {
            if !(1.0e-3..=100.0).contains(&value) {
                return fault(field, value, "it must be from 0.001 to 100 m");
            }
        }
        if self.truncation_m < self.voxel_size_m || self.truncation_m > 32.0 * self.voxel_size_m {
            return fault("truncation_m", self.truncation_m, "it must be from 1 to 32 voxels");
        }
        if self.max_bytes / BLOCK_COST_BYTES < MIN_BLOCKS {
            return fault("max_bytes", self.max_bytes as f32, "a map needs at least 400 000 bytes");
        }
        if !(1.0..=WEIGHT_LIMIT).contains(&self.max_weight) {
            return fault("max_weight", self.max_weight, "it must be from 1 to 63");
        }
        DepthModel { noise: self.noise, ..DepthModel::default() }.check().map_err(|e| TsdfError::Config {
            field: e.field,
            value: e.value,
            reason: e.reason,
        })?;
        match self.decay_half_life_s {
            Some(half_life) if !(0.1..=1.0e6).contains(&half_life) => {
                fault("decay_half_life_s", half_life, "it must be from 0.1 to 1 000 000 s, or left out")
            }
            _ => Ok(()),
        }
    }

    /// Deviation of a reading at `z` metres, metres.
    #[inline(always)]
    pub(super) fn sigma_m(&self, z: f32) -> f32 {
        let DepthNoise { base_m, linear, quadratic_per_m } = self.noise;
        base_m as f32 + z * (linear as f32 + z * quadratic_per_m as f32)
    }

    /// How much a reading at `z` metres counts: the inverse square of its noise, 1 at [`REFERENCE_DEPTH_M`].
    #[inline(always)]
    pub(super) fn reading_weight(&self, z: f32) -> f32 {
        let ratio = self.sigma_m(REFERENCE_DEPTH_M) / (self.sigma_m(z) + NO_NOISE_M);
        let weight = ratio * ratio;
        if weight < MAX_READING_WEIGHT { weight } else { MAX_READING_WEIGHT }
    }

    /// How far behind a reading at `z` metres voxels are written, metres.
    #[inline(always)]
    pub(super) fn band_m(&self, z: f32) -> f32 {
        let band = BAND_VOXELS * self.voxel_size_m + BAND_DEVIATIONS * self.sigma_m(z);
        if band < self.truncation_m { band } else { self.truncation_m }
    }

    /// Weight from which a voxel takes part in the surface.
    pub(super) fn min_surface_weight(&self) -> f32 {
        MIN_SURFACE_READINGS * self.reading_weight(self.max_depth_m)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_make_no_map_are_refused_by_name() {
        let good = TsdfConfig::default();
        assert!(good.check().is_ok());
        let noiseless = DepthNoise { base_m: 0.0, linear: 0.0, quadratic_per_m: 0.0 };
        for (bad, name) in [
            (TsdfConfig { voxel_size_m: 0.0, ..good }, "voxel_size_m"),
            (TsdfConfig { voxel_size_m: f32::NAN, ..good }, "voxel_size_m"),
            (TsdfConfig { truncation_m: 0.01, ..good }, "truncation_m"),
            (TsdfConfig { max_depth_m: f32::INFINITY, ..good }, "max_depth_m"),
            (TsdfConfig { max_bytes: 1000, ..good }, "max_bytes"),
            (TsdfConfig { max_weight: 100.0, ..good }, "max_weight"),
            (TsdfConfig { noise: noiseless, ..good }, "noise.base_m"),
            (TsdfConfig { decay_half_life_s: Some(0.0), ..good }, "decay_half_life_s"),
        ] {
            let message = bad.check().unwrap_err().to_string();
            assert!(message.contains(name), "{message}");
        }
    }

    #[test]
    fn readings_count_by_the_inverse_square_of_their_noise() {
        let config = TsdfConfig::default();
        assert!((config.reading_weight(1.0) - 1.0).abs() < 1e-5);
        let (near, far) = (config.reading_weight(0.1), config.reading_weight(4.0));
        assert!(near > 1.0 && near <= MAX_READING_WEIGHT && far < 0.02, "{near} {far}");
        assert!(config.band_m(0.5) < config.band_m(3.0) && config.band_m(50.0) == config.truncation_m);
    }
}
