//! Views and points in, scene tokens out, and the decoder that reads them.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use vantage_scene::Aabb;

use super::config::{Encoder, R1Config};
use crate::decoder::Decoder;
use crate::error::ModelError;
use crate::linear::Linear;
use crate::points::v3::{PtV3, PtV3ForwardError, PtV3Plan};
use crate::position::{PLACE_WIDTH, place_features};
use crate::vision::VisionError;
use crate::vision::dinov2::Dinov2;
use crate::vision::qwen::{Grid, QwenVision, QwenVisionError};
use crate::vision::siglip::{ImageInput, SiglipImage};
use crate::weights::{Bias, WeightReader};

/// Why a scene could not be encoded.
#[derive(Debug, thiserror::Error)]
pub enum R1Error {
    /// The input of an encoder that is switched off, or none of one that is on.
    #[error("the encoder `{0}` is switched off, or was given nothing to read")]
    Input(Encoder),
    /// Pictures that an encoder cannot read.
    #[error(transparent)]
    Vision(#[from] VisionError),
    /// Pictures that the decoder's own tower cannot read.
    #[error(transparent)]
    Own(#[from] QwenVisionError),
    /// Points that do not fit their plan or the encoder.
    #[error(transparent)]
    Points(#[from] PtV3ForwardError),
    /// A configuration that cannot be used.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Not one place a token.
    #[error("the encoder `{encoder}` gives {tokens} tokens, {places} places were given")]
    Places {
        /// Whose tokens.
        encoder: Encoder,
        /// How many there are.
        tokens: usize,
        /// Places given.
        places: usize,
    },
}

/// The views that are shown, as each encoder reads them.
#[derive(Debug, Clone)]
pub enum R1Views {
    /// Patches `[patches, patch_width]` and their grids, for Qwen2.5-VL's tower.
    Own(Tensor<2>, Vec<Grid>),
    /// For SigLIP.
    Image(Tensor<4>),
    /// `[views, 3, height, width]`, for Depth-Anything's backbone.
    Depth(Tensor<4>),
}

/// All parts.
#[derive(Module, Debug)]
pub struct R1Network {
    /// Text decoder.
    pub decoder: Decoder,
    own: Option<QwenVision>,
    image: Option<SiglipImage>,
    depth: Option<Dinov2>,
    points: Option<PtV3>,
    image_projection: Option<Linear>,
    depth_projection: Option<Linear>,
    point_projection: Option<Linear>,
    place_projection: Linear,
    /// `[4, width]`, which encoder a token comes from, in the order of [`Encoder::ALL`].
    kind: Param<Tensor<2>>,
    image_merge: usize,
    depth_merge: usize,
}

impl R1Network {
    /// Each part under a prefix of its own: `decoder`, `own`, `image`, `depth`, `points`, `projections`.
    pub fn read(config: &R1Config, reader: &WeightReader) -> Self {
        let d = config.decoder.hidden_size;
        let (decoder, to) = (reader.enter("decoder"), reader.enter("projections"));
        let merged = |width: usize, merge: usize, name: &str| to.linear(name, width * merge * merge, d, Bias::Yes);
        Self {
            decoder: Decoder::read(&config.decoder, &decoder.enter("model"), &decoder),
            own: config.own.as_ref().map(|own| QwenVision::read(&own.config, &reader.enter("own"))),
            image: config.image.as_ref().map(|image| SiglipImage::read(&image.config, &reader.enter("image"))),
            depth: config.depth.as_ref().map(|depth| Dinov2::read(&depth.config, &reader.enter("depth"))),
            points: config.points.as_ref().map(|points| PtV3::read(points, &reader.enter("points"))),
            image_projection: config
                .image
                .as_ref()
                .map(|image| merged(image.config.vision_config.hidden_size, image.merge, "image")),
            depth_projection: config.depth.as_ref().map(|depth| merged(depth.config.hidden_size, depth.merge, "depth")),
            point_projection: config
                .points
                .as_ref()
                .map(|points| to.linear("points", points.coarse_channels(), d, Bias::Yes)),
            place_projection: to.linear("place", PLACE_WIDTH, d, Bias::Yes),
            kind: to.param("kind", [Encoder::ALL.len(), d]),
            image_merge: config.image.as_ref().map_or(1, |image| image.merge),
            depth_merge: config.depth.as_ref().map_or(1, |depth| depth.merge),
        }
    }

    /// Tokens of views, `[tokens, width]`: view by view, row by row.
    ///
    /// # Errors
    /// [`R1Error`] where the encoder is switched off or cannot read them.
    pub fn encode_views(&self, views: &R1Views) -> Result<Tensor<2>, R1Error> {
        match views {
            R1Views::Own(patches, grids) => {
                let own = self.own.as_ref().ok_or(R1Error::Input(Encoder::Own))?;
                Ok(own.forward(patches.clone(), grids)?)
            }
            R1Views::Image(pixels) => {
                let (Some(image), Some(projection)) = (&self.image, &self.image_projection) else {
                    return Err(R1Error::Input(Encoder::Image));
                };
                let [rows, columns] = image.patches(pixels);
                let features = image.forward(&ImageInput::Pixels(pixels.clone()))?.tokens;
                Ok(projection.forward(merge(features, [rows, columns], self.image_merge)))
            }
            R1Views::Depth(pixels) => {
                let (Some(depth), Some(projection)) = (&self.depth, &self.depth_projection) else {
                    return Err(R1Error::Input(Encoder::Depth));
                };
                let grid = depth.patches(pixels);
                let features = depth.forward(pixels)?;
                let patches = features.dims()[1] - 1;
                // without the class token
                Ok(projection.forward(merge(features.narrow(1, 1, patches), grid, self.depth_merge)))
            }
        }
    }

    /// Tokens of the coarsest voxels of one scene, `[coarse voxels, width]`.
    ///
    /// # Errors
    /// [`R1Error`] where the encoder is switched off or the features are not of the plan's points.
    pub fn encode_points(&self, features: Tensor<2>, plan: &PtV3Plan) -> Result<Tensor<2>, R1Error> {
        let (Some(points), Some(projection)) = (&self.points, &self.point_projection) else {
            return Err(R1Error::Input(Encoder::Points));
        };
        Ok(projection.forward(points.forward(features, plan)?.coarse))
    }

    /// What the decoder reads of a scene, `[1, all tokens, width]`. `parts`: tokens of each encoder with the place of each, world,
    /// metres; `bounds` of the scene.
    ///
    /// # Errors
    /// [`R1Error::Places`] where there is not one place a token.
    pub fn scene_tokens(
        &self,
        parts: &[(Encoder, Tensor<2>, &[[f32; 3]])],
        bounds: &Aabb,
        device: &Device,
    ) -> Result<Tensor<3>, R1Error> {
        let mut all = Vec::with_capacity(parts.len());
        for encoder in Encoder::ALL {
            for (_, tokens, places) in parts.iter().filter(|(of, _, _)| *of == encoder) {
                let [count, _] = tokens.dims();
                if count != places.len() {
                    return Err(R1Error::Places { encoder, tokens: count, places: places.len() });
                }
                let mut flat = Vec::with_capacity(count * PLACE_WIDTH);
                for place in *places {
                    place_features(*place, bounds, &mut flat);
                }
                let dtype = tokens.dtype();
                let place = Tensor::<2>::from_data(TensorData::new(flat, [count, PLACE_WIDTH]), device).cast(dtype);
                let kind = Encoder::ALL.iter().position(|of| *of == encoder).unwrap_or(0);
                all.push(tokens.clone() + self.place_projection.forward(place) + self.kind.val().narrow(0, kind, 1));
            }
        }
        let width = self.kind.dims()[1];
        if all.is_empty() {
            return Ok(Tensor::zeros([1, 0, width], device));
        }
        let tokens = Tensor::cat(all, 0);
        let count = tokens.dims()[0];
        Ok(tokens.reshape([1, count, width]))
    }
}

/// `[views, rows * columns, width]` to `[views * merged tokens, merge^2 * width]`; rows and columns that do not fill a square are left
/// out.
fn merge(features: Tensor<3>, [rows, columns]: [usize; 2], merge: usize) -> Tensor<2> {
    let [views, _, width] = features.dims();
    let (down, across) = (rows / merge, columns / merge);
    features
        .reshape([views, rows, columns, width])
        .narrow(1, 0, down * merge)
        .narrow(2, 0, across * merge)
        .reshape([views, down, merge, across, merge * width])
        .swap_dims(2, 3)
        .reshape([views * down * across, merge * merge * width])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::DecoderConfig;
    use crate::packed::MatrixType;
    use crate::points::v3::{PtV3Config, PtV3Input};
    use crate::r1::ViewEncoder;
    use crate::vision::dinov2::Dinov2Config;
    use crate::vision::qwen::QwenVisionConfig;
    use crate::vision::siglip::SiglipConfig;
    use crate::weights::Placement;

    #[test]
    fn squares_of_patches_become_tokens() {
        let device = Device::flex();
        // 2 views of 3 rows and 4 columns, one channel: the last row does not fill a square
        let x = Tensor::<1, burn::tensor::Int>::arange(0..24, &device).float().reshape([2, 12, 1]);
        let merged: Vec<f32> = merge(x, [3, 4], 2).into_data().iter::<f32>().collect();
        assert_eq!(merged, [0., 1., 4., 5., 2., 3., 6., 7., 12., 13., 16., 17., 14., 15., 18., 19.]);
    }

    fn tiny() -> R1Config {
        let mut config = R1Config::r1_7b(&[]);
        config.decoder = DecoderConfig {
            vocab_size: 50,
            hidden_size: 32,
            intermediate_size: 48,
            num_hidden_layers: 2,
            num_attention_heads: 4,
            num_key_value_heads: 2,
            mrope_section: Some([1, 1, 2]),
            ..config.decoder
        };
        let own = QwenVisionConfig {
            depth: 2,
            hidden_size: 32,
            intermediate_size: 40,
            num_heads: 2,
            out_hidden_size: 32,
            fullatt_block_indexes: vec![1],
            ..QwenVisionConfig::default()
        };
        let mut image = SiglipConfig::siglip2_large(64);
        let v = &mut image.vision_config;
        (v.hidden_size, v.intermediate_size, v.num_hidden_layers, v.num_attention_heads) = (16, 32, 1, 2);
        let depth = Dinov2Config {
            hidden_size: 16,
            num_hidden_layers: 1,
            num_attention_heads: 2,
            image_size: 56,
            ..Dinov2Config::default()
        };
        let points = PtV3Config {
            enc_depths: vec![1, 1],
            enc_channels: vec![8, 16],
            enc_num_head: vec![2, 2],
            enc_patch_size: vec![8, 8],
            dec_depths: vec![1],
            dec_channels: vec![8],
            dec_num_head: vec![2],
            ..PtV3Config::base()
        };
        config.own = Some(ViewEncoder { config: own, image_width: 56, image_height: 56, merge: 2 });
        config.image = Some(ViewEncoder { config: image, image_width: 64, image_height: 64, merge: 2 });
        config.depth = Some(ViewEncoder { config: depth, image_width: 56, image_height: 56, merge: 2 });
        config.points = Some(points);
        config
    }

    #[test]
    fn every_encoder_reaches_the_decoder_in_its_place() {
        let (config, placement) = (tiny(), Placement::cpu(MatrixType::F32));
        let device = &placement.device;
        let network = R1Network::read(&config, &WeightReader::synthetic(placement.clone(), 3));
        let grid = Grid { frames: 1, height: 4, width: 4 };
        let own = network.encode_views(&R1Views::Own(Tensor::ones([16, 1176], device), vec![grid])).unwrap();
        let image = network.encode_views(&R1Views::Image(Tensor::ones([2, 3, 64, 64], device))).unwrap();
        let depth = network.encode_views(&R1Views::Depth(Tensor::ones([2, 3, 56, 56], device))).unwrap();
        let voxels = vec![[0, 0, 0], [1, 0, 0], [2, 0, 0], [7, 1, 0]];
        let input = PtV3Input::new(voxels, vec![[0.0; 3]; 4]).unwrap();
        let plan = PtV3Plan::new(&[&input], config.points.as_ref().unwrap()).unwrap();
        let points = network.encode_points(Tensor::ones([4, 6], device), &plan).unwrap();
        let counts = [own.dims()[0], image.dims()[0], depth.dims()[0], points.dims()[0]];
        assert_eq!(counts, [4, 8, 8, 3]);
        let bounds = Aabb { min: [0.0; 3], max: [1.0; 3] };
        let places = [[0.1, 0.2, 0.3]; 8];
        let parts = [
            (Encoder::Depth, depth.clone(), &places[..]),
            (Encoder::Own, own, &places[..4]),
            (Encoder::Image, image, &places[..]),
            (Encoder::Points, points.clone(), &places[..3]),
        ];
        let tokens = network.scene_tokens(&parts, &bounds, device).unwrap();
        assert_eq!(tokens.dims(), [1, 23, 32]);
        // points first, whatever order they came in: a scene of points alone begins with the same rows
        let alone = network.scene_tokens(&parts[3..], &bounds, device).unwrap();
        assert_eq!(tokens.clone().narrow(1, 0, 3).into_data(), alone.into_data());
        let mut cache = network.decoder.read_scenes(tokens, &[23], 30);
        let text = Tensor::<2, burn::tensor::Int>::from_data([[1, 2, 3]], device);
        assert_eq!(network.decoder.read_text(text, None, &mut cache).dims(), [1, 3, 32]);
        assert_eq!(cache.tokens(), 26);

        let wrong = network.scene_tokens(&[(Encoder::Depth, depth, &places[..2])], &bounds, device).unwrap_err();
        assert_eq!(wrong.to_string(), "the encoder `depth` gives 8 tokens, 2 places were given");
        let none = R1Network::read(&R1Config { own: None, ..config }, &WeightReader::synthetic(placement.clone(), 3));
        let views = R1Views::Own(Tensor::ones([16, 1176], device), vec![grid]);
        assert!(matches!(none.encode_views(&views), Err(R1Error::Input(Encoder::Own))));
    }
}
