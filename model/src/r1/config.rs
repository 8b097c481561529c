//! A preset and the encoders that are switched on in, sizes of every part out.

use std::fmt;
use std::str::FromStr;

use crate::config::DecoderConfig;
use crate::points::v3::PtV3Config;
use crate::vision::dinov2::Dinov2Config;
use crate::vision::qwen::QwenVisionConfig;
use crate::vision::siglip::SiglipConfig;

/// An encoder of 3D-R1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Encoder {
    /// Qwen2.5-VL's own vision tower.
    Own,
    /// SigLIP-2's image tower.
    Image,
    /// Depth-Anything-V2's backbone, on depth images.
    Depth,
    /// Point Transformer v3.
    Points,
}

/// No encoder is called so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("encoder `{0}`: there are own, image, depth and points")]
pub struct UnknownEncoder(String);

impl Encoder {
    /// All of them, in the order in which the decoder reads their tokens.
    pub const ALL: [Self; 4] = [Self::Points, Self::Own, Self::Image, Self::Depth];

    /// As options write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Image => "image",
            Self::Depth => "depth",
            Self::Points => "points",
        }
    }
}

impl fmt::Display for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Encoder {
    type Err = UnknownEncoder;

    fn from_str(text: &str) -> Result<Self, UnknownEncoder> {
        let named = Self::ALL.into_iter().find(|encoder| encoder.name() == text);
        named.ok_or_else(|| UnknownEncoder(text.chars().take(40).collect()))
    }
}

/// An encoder of views of one size.
#[derive(Debug, Clone, PartialEq)]
pub struct ViewEncoder<C> {
    /// Its sizes.
    pub config: C,
    /// Width of its input, pixels; a multiple of patch and merge.
    pub image_width: usize,
    /// Height of its input, pixels; a multiple of patch and merge.
    pub image_height: usize,
    /// Side of the square of patches whose features become one token.
    pub merge: usize,
}

impl<C> ViewEncoder<C> {
    /// Rows and columns of tokens that a view gives, with patches of `patch` pixels.
    pub fn grid(&self, patch: usize) -> [usize; 2] {
        let step = (patch * self.merge).max(1);
        [self.image_height / step, self.image_width / step]
    }
}

/// Sizes of a whole 3D-R1.
#[derive(Debug, Clone, PartialEq)]
pub struct R1Config {
    /// The text decoder.
    pub decoder: DecoderConfig,
    /// Qwen2.5-VL's own tower; merges by itself, into the decoder's width.
    pub own: Option<ViewEncoder<QwenVisionConfig>>,
    /// SigLIP-2.
    pub image: Option<ViewEncoder<SiglipConfig>>,
    /// Depth-Anything-V2's backbone.
    pub depth: Option<ViewEncoder<Dinov2Config>>,
    /// Point Transformer v3.
    pub points: Option<PtV3Config>,
}

impl R1Config {
    /// `r1-7b`: the decoder and tower of Qwen2.5-VL-7B, SigLIP-2 large at 384, the backbone of Depth-Anything-V2 large, and Point
    /// Transformer v3. Views are 4:3, but for SigLIP, which was trained on squares.
    pub fn r1_7b(encoders: &[Encoder]) -> Self {
        let decoder = DecoderConfig {
            vocab_size: 152_064,
            hidden_size: 3584,
            intermediate_size: 18_944,
            num_hidden_layers: 28,
            num_attention_heads: 28,
            num_key_value_heads: 4,
            rms_norm_eps: 1e-6,
            rope_theta: 1e6,
            tie_word_embeddings: false,
            mrope_section: Some([16, 24, 24]),
        };
        let own = QwenVisionConfig { hidden_size: 1280, out_hidden_size: 3584, ..QwenVisionConfig::default() };
        let depth = Dinov2Config {
            hidden_size: 1024,
            num_hidden_layers: 24,
            num_attention_heads: 16,
            image_size: 518,
            ..Dinov2Config::default()
        };
        let on = |encoder| encoders.contains(&encoder);
        let view = |image_width, image_height, merge| (image_width, image_height, merge);
        fn of<C>(config: C, (image_width, image_height, merge): (usize, usize, usize)) -> ViewEncoder<C> {
            ViewEncoder { config, image_width, image_height, merge }
        }
        Self {
            decoder,
            own: on(Encoder::Own).then(|| of(own, view(448, 336, 2))),
            image: on(Encoder::Image).then(|| of(SiglipConfig::siglip2_large(384), view(384, 384, 2))),
            depth: on(Encoder::Depth).then(|| of(depth, view(448, 336, 2))),
            points: on(Encoder::Points).then(PtV3Config::base),
        }
    }

    /// Encoders that are switched on.
    pub fn encoders(&self) -> Vec<Encoder> {
        let on = |encoder: &Encoder| match encoder {
            Encoder::Own => self.own.is_some(),
            Encoder::Image => self.image.is_some(),
            Encoder::Depth => self.depth.is_some(),
            Encoder::Points => self.points.is_some(),
        };
        Encoder::ALL.into_iter().filter(on).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_subset_can_be_named() {
        for encoder in Encoder::ALL {
            assert_eq!(encoder.to_string().parse(), Ok(encoder));
        }
        assert_eq!(
            "lidar".parse::<Encoder>().unwrap_err().to_string(),
            "encoder `lidar`: there are own, image, depth and points"
        );
        let some = R1Config::r1_7b(&[Encoder::Depth, Encoder::Points]);
        assert_eq!(some.encoders(), [Encoder::Points, Encoder::Depth]);
        let all = R1Config::r1_7b(&Encoder::ALL);
        assert_eq!(all.decoder.problem(), None);
        assert_eq!(all.depth.map(|d| d.grid(14)), Some([12, 16]));
        assert_eq!(all.image.map(|i| i.grid(16)), Some([12, 12]));
    }
}
