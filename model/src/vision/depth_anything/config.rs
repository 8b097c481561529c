//! config.json in, checked sizes of backbone, neck and head out; a field that is left out has transformers' default.

use serde::{Deserialize, Serialize};

use crate::error::ModelError;
use crate::vision::dinov2::Dinov2Config;
use crate::vision::parts::limits;

/// Most feature maps that a neck fuses; the published ones fuse four.
const MOST_MAPS: usize = 16;

/// What the head's numbers mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DepthKind {
    /// Larger is nearer, without a unit: inverse depth up to scale and shift.
    #[default]
    Relative,
    /// Metres, up to `max_depth`.
    Metric,
}

/// How a neck's layer changes the resolution of its feature map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resize {
    /// By a transposed convolution of this factor.
    Up(usize),
    /// Not at all.
    Keep,
    /// By a convolution of this stride.
    Down(usize),
}

/// config.json of a Depth-Anything checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DepthAnythingConfig {
    /// The backbone, whose `out_indices` feed the neck.
    pub backbone_config: Dinov2Config,
    /// Pixels along a side of a patch, as in the backbone.
    #[serde(default = "patch_size", deserialize_with = "limits::side")]
    pub patch_size: usize,
    /// Channels of the backbone's tokens.
    #[serde(default = "reassemble_hidden_size")]
    pub reassemble_hidden_size: usize,
    /// Resolution of each feature map over that of the patches.
    #[serde(default = "reassemble_factors")]
    pub reassemble_factors: Vec<f64>,
    /// Channels of each feature map.
    #[serde(default = "neck_hidden_sizes")]
    pub neck_hidden_sizes: Vec<usize>,
    /// Channels of the fused map.
    #[serde(default = "fusion_hidden_size")]
    pub fusion_hidden_size: usize,
    /// Which fused map the head reads, from the end when negative.
    #[serde(default = "head_in_index")]
    pub head_in_index: i64,
    /// Channels of the head's last hidden map.
    #[serde(default = "head_hidden_size")]
    pub head_hidden_size: usize,
    /// What the head's numbers mean.
    #[serde(default)]
    pub depth_estimation_type: DepthKind,
    /// Metres that the head's 1 stands for; a factor of the relative depth too, 1 in published checkpoints.
    #[serde(default)]
    pub max_depth: Option<f64>,
}

fn patch_size() -> usize {
    14
}

fn reassemble_hidden_size() -> usize {
    384
}

fn reassemble_factors() -> Vec<f64> {
    vec![4.0, 2.0, 1.0, 0.5]
}

fn neck_hidden_sizes() -> Vec<usize> {
    vec![48, 96, 192, 384]
}

fn fusion_hidden_size() -> usize {
    64
}

fn head_in_index() -> i64 {
    -1
}

fn head_hidden_size() -> usize {
    32
}

impl DepthAnythingConfig {
    /// Reads and checks the bytes of a config.json that came from `origin`.
    ///
    /// # Errors
    /// [`ModelError::Config`] naming the field.
    pub fn from_json(origin: &str, json: &[u8]) -> Result<Self, ModelError> {
        let config: Self = serde_json::from_slice(json)
            .map_err(|e| ModelError::Config { origin: origin.to_owned(), reason: e.to_string() })?;
        config.check().map_err(|reason| ModelError::Config { origin: origin.to_owned(), reason })?;
        Ok(config)
    }

    /// Whether the sizes fit each other.
    ///
    /// # Errors
    /// The field that does not, and why.
    pub fn check(&self) -> Result<(), String> {
        self.backbone_config.check("backbone_config")?;
        let width = self.backbone_config.hidden_size;
        if self.reassemble_hidden_size != width {
            return Err(format!(
                "reassemble_hidden_size {} is not backbone_config.hidden_size {width}",
                self.reassemble_hidden_size
            ));
        }
        if self.patch_size != self.backbone_config.patch_size {
            return Err(format!(
                "patch_size {} is not backbone_config.patch_size {}",
                self.patch_size, self.backbone_config.patch_size
            ));
        }
        let (maps, stages) = (self.neck_hidden_sizes.len(), self.backbone_config.stages()?.len());
        if maps == 0 || maps > MOST_MAPS || maps != stages || maps != self.reassemble_factors.len() {
            return Err(format!(
                "neck_hidden_sizes has {maps} entries, reassemble_factors {}, the backbone gives {stages} stages; they must be \
                 as many, 1 to {MOST_MAPS}",
                self.reassemble_factors.len()
            ));
        }
        for &size in &self.neck_hidden_sizes {
            limits::channels("neck_hidden_sizes", size)?;
        }
        self.resizes()?;
        limits::channels("fusion_hidden_size", self.fusion_hidden_size)?;
        if self.fusion_hidden_size < 2 {
            return Err("fusion_hidden_size is 1, the head halves it".to_owned());
        }
        limits::channels("head_hidden_size", self.head_hidden_size)?;
        self.head_map()?;
        match self.depth_scale() {
            scale if scale > 0.0 && scale.is_finite() => Ok(()),
            scale => Err(format!("max_depth is {scale}, it must be above 0 m")),
        }
    }

    /// The resolution changes of `reassemble_factors`.
    pub(super) fn resizes(&self) -> Result<Vec<Resize>, String> {
        let whole = |factor: f64| (factor.fract() == 0.0 && (2.0..=16.0).contains(&factor)).then_some(factor as usize);
        self.reassemble_factors
            .iter()
            .map(|&factor| {
                let resize = if factor == 1.0 {
                    Some(Resize::Keep)
                } else if factor > 1.0 {
                    whole(factor).map(Resize::Up)
                } else {
                    whole(1.0 / factor).map(Resize::Down)
                };
                resize.ok_or_else(|| {
                    format!("reassemble_factors has {factor}; whole numbers to 16 and their inverses are read")
                })
            })
            .collect()
    }

    /// Which fused map the head reads.
    pub(super) fn head_map(&self) -> Result<usize, String> {
        let maps = self.neck_hidden_sizes.len();
        let index =
            if self.head_in_index < 0 { self.head_in_index.saturating_add(maps as i64) } else { self.head_in_index };
        usize::try_from(index)
            .ok()
            .filter(|&index| index < maps)
            .ok_or_else(|| format!("head_in_index is {}, there are {maps} fused maps", self.head_in_index))
    }

    /// What the head's last numbers are multiplied with.
    pub(super) fn depth_scale(&self) -> f64 {
        self.max_depth.unwrap_or(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<DepthAnythingConfig, String> {
        DepthAnythingConfig::from_json("here", json.as_bytes()).map_err(|e| e.to_string())
    }

    /// The shape of depth-anything/Depth-Anything-V2-Small-hf's config.json.
    const SMALL: &str = r#"{"backbone_config": {"model_type": "dinov2", "hidden_size": 384, "num_attention_heads": 6,
        "out_indices": [3, 6, 9, 12], "image_size": 518, "patch_size": 14, "reshape_hidden_states": false},
        "fusion_hidden_size": 64, "depth_estimation_type": "relative", "max_depth": null}"#;

    #[test]
    fn the_published_small_model_is_read() {
        let config = read(SMALL).unwrap();
        assert_eq!(config.backbone_config.grid(), 37);
        assert_eq!(config.resizes(), Ok(vec![Resize::Up(4), Resize::Up(2), Resize::Keep, Resize::Down(2)]));
        assert_eq!((config.head_map(), config.depth_scale()), (Ok(3), 1.0));
    }

    #[test]
    fn sizes_that_do_not_fit_are_named() {
        let with = |field: &str| read(&SMALL.replacen('{', &format!("{{{field}, "), 1)).unwrap_err();
        assert!(with(r#""reassemble_hidden_size": 768"#).contains("reassemble_hidden_size 768"));
        assert!(with(r#""patch_size": 16"#).contains("patch_size 16"));
        assert!(with(r#""neck_hidden_sizes": [8, 8]"#).contains("neck_hidden_sizes has 2"));
        assert!(with(r#""reassemble_factors": [4, 2, 1, 0.3]"#).contains("0.3"));
        assert!(with(r#""reassemble_factors": [4, 2, 1, 0]"#).contains("reassemble_factors has 0"));
        assert!(with(r#""head_in_index": 4"#).contains("head_in_index is 4"));
        assert!(read(&SMALL.replace("null", "-1")).unwrap_err().contains("max_depth is -1"));
        assert!(read(&SMALL.replace("relative", "affine")).is_err());
    }
}
