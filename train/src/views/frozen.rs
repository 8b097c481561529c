//! A sample in; what the encoders make of it, as plain numbers, and what each of its views shows of each object, out.

use anyhow::Result;
use burn::tensor::{Device, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use vantage_model::{ModelConfig, Network, PointFeatures, PointSample, Tokenizer, ViewFeatures, ViewInput};
use vantage_scene::{Aabb, things};

use crate::dataset::{BatchConfig, ScenePart, SceneSample, TextRow, WELL_SHARE, part_and_rows};

/// A scene as the frozen encoders see it.
#[derive(Debug, Clone)]
pub(super) struct FrozenScene {
    /// Features of the fine points, `[points, channels]` row by row.
    fine: Vec<f32>,
    /// Pooled picture of each view, `[views, width]` row by row.
    pooled: Vec<f32>,
    /// The points.
    pub(super) sample: PointSample,
    /// The scene's bounds.
    pub(super) bounds: Aabb,
    /// Points that each view sees.
    pub(super) visible: Vec<Vec<u32>>,
    /// How many pixels each view spends on each of them.
    pub(super) point_pixels: Vec<Vec<f32>>,
    /// The thing that each point is of.
    pub(super) things: Vec<u32>,
    /// Object of each point, -1 for none.
    pub(super) point_object: Vec<i16>,
    /// For each view and object, 1 where it shows it well, less in proportion.
    shown: Vec<Vec<f32>>,
}

/// A question about it.
#[derive(Debug, Clone)]
pub(super) struct FrozenQuestion {
    /// Tokens.
    pub(super) words: Vec<u32>,
    /// For each box that it gives, the points in it.
    pub(super) given: Vec<Vec<u32>>,
    /// Objects it is about; none where it asks for something that is not there.
    pub(super) referents: Vec<usize>,
}

impl FrozenScene {
    /// Encodes `part` with `network`, which is without gradients.
    pub(super) fn of(part: &ScenePart, network: &Network, config: &ModelConfig, device: &Device) -> Self {
        let views: Vec<&ViewInput> = part.views.iter().collect();
        let samples: [&PointSample; 1] = [&part.points];
        let (_, points) = network.encode_points(&samples, config, device);
        let pooled = if views.is_empty() {
            Vec::new()
        } else {
            network.encode_views(&views, config, device).0.pooled.into_data().iter::<f32>().collect()
        };
        let shown = part
            .pixel_shares
            .iter()
            .map(|of_view| of_view.iter().map(|s| (s / WELL_SHARE).min(1.0)).collect())
            .collect();
        let things = things(&part.points.positions, &network.point_kinds(&points));
        Self {
            fine: points.fine.into_data().iter::<f32>().collect(),
            pooled,
            sample: part.points.clone(),
            bounds: part.bounds,
            visible: part.visible.clone(),
            point_pixels: part.point_pixels.clone(),
            things,
            point_object: part.point_object.clone(),
            shown,
        }
    }

    /// Points.
    pub(super) fn points(&self) -> usize {
        self.point_object.len()
    }

    /// Views.
    pub(super) fn views(&self) -> usize {
        self.visible.len()
    }

    /// The points' features for a network's heads.
    pub(super) fn point_features(&self, device: &Device) -> PointFeatures {
        let channels = self.fine.len() / self.points().max(1);
        let fine = Tensor::from_data(TensorData::new(self.fine.clone(), [self.points(), channels]), device);
        PointFeatures { coarse: fine.clone(), fine }
    }

    /// The views' features for a network's heads.
    pub(super) fn view_features(&self, device: &Device) -> ViewFeatures {
        let width = self.pooled.len() / self.views().max(1);
        let pooled = Tensor::<2>::from_data(TensorData::new(self.pooled.clone(), [self.views(), width]), device);
        ViewFeatures { tokens: pooled.clone().reshape([self.views(), 1, width]), pooled }
    }

    /// How well `view` shows what `question` is about, 0 to 1: the mean over its objects.
    pub(super) fn quality(&self, view: usize, question: &FrozenQuestion) -> f32 {
        let sum: f32 = question.referents.iter().map(|&o| self.shown[view][o]).sum();
        sum / question.referents.len().max(1) as f32
    }
}

/// `sample`, turned by a random quarter turn, with all its views, and questions about it.
pub(super) fn freeze(
    sample: &SceneSample,
    network: &Network,
    config: &ModelConfig,
    tokenizer: &Tokenizer,
    batch: &BatchConfig,
    device: &Device,
    rng: &mut ChaCha8Rng,
) -> Result<(FrozenScene, Vec<FrozenQuestion>)> {
    let (part, rows) = part_and_rows(sample, tokenizer, batch, rng)?;
    let question = |row: TextRow| FrozenQuestion { words: row.words, given: row.given, referents: row.referents };
    Ok((FrozenScene::of(&part, network, config, device), rows.into_iter().map(question).collect()))
}

#[cfg(test)]
impl FrozenScene {
    /// Four views of 12 points of three objects and the shell, random features; view `i` shows object `i` alone, the last none.
    pub(super) fn made_up(channels: usize, width: usize, rng: &mut ChaCha8Rng) -> Self {
        use rand::RngExt;
        const OBJECTS: usize = 3;
        let point_object: Vec<i16> = (0..12).map(|i| i16::try_from(i / 3).unwrap_or(0) - 1).collect();
        let of = |object: i16| {
            let own = (0u32..).zip(&point_object).filter(move |(_, o)| **o == object || **o < 0);
            own.map(|(i, _)| i)
        };
        Self {
            fine: (0..point_object.len() * channels).map(|_| rng.random_range(-1.0..1.0)).collect(),
            pooled: (0..(OBJECTS + 1) * width).map(|_| rng.random_range(-1.0..1.0)).collect(),
            sample: PointSample {
                positions: point_object.iter().map(|o| [3.0 * f32::from(*o), 0.0, 0.0]).collect(),
                features: vec![[0.5; 9]; point_object.len()],
                grid_m: 0.07,
            },
            bounds: Aabb { min: [-3.0, -1.0, 0.0], max: [6.0, 1.0, 2.0] },
            visible: (0..=OBJECTS as i16).map(|view| of(view).collect()).collect(),
            point_pixels: (0..=OBJECTS as i16).map(|view| vec![1.0; of(view).count()]).collect(),
            things: point_object.iter().map(|o| u32::from((o + 1).unsigned_abs())).collect(),
            shown: (0..=OBJECTS).map(|view| (0..OBJECTS).map(|o| f32::from(u8::from(o == view))).collect()).collect(),
            point_object,
        }
    }
}
