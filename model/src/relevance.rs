//! Words of questions and the points of a scene in; how likely each point is what a question is about, out.
//!
//! A word first finds where the thing that it names is, by attention over the points, and the words of a question then tell
//! each other, so that "left of" knows of which bed. After the last look each word says what it is about by features and by
//! nearness to a place that it derives from where it looked; a point's odds are the sum over the words. Boxes that a question
//! gives are words too, whose look is at all points in them.

use burn::module::{Module, Param};
use burn::nn::{Initializer, Linear, LinearConfig};
use burn::tensor::activation::{gelu, softmax, softplus};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use vantage_scene::Aabb;

use crate::config::ModelConfig;
use crate::grammar::boxes_in;
use crate::norm::{Norm, NormKind};
use crate::points::{INPUT_WIDTH, PointFeatures, PointSample};
use crate::position::{PLACE_WIDTH, place_features, scene_center};
use crate::vision::TextStates;
use crate::vision::parts::{Block, BlockConfig, Keys};

/// Looks at the points before the last.
const LOOKS: usize = 2;
/// What a look brings besides the points' features: the mean of their places, and of the squares of these.
const FOUND_PLACE: usize = 6;
/// What a word says besides its features: its log-odds, how much nearness counts, and the way to the place meant.
const SAID_PLACE: usize = 5;
/// Log-odds of a word at first: few points are what a question is about.
const FIRST_LOG_ODDS: f32 = -5.0;
/// Before the softplus, how much a square metre of distance takes off the log-odds at first.
const FIRST_NEARNESS: f32 = -4.0;
/// Bounds of a word's log-odds, so that their exponentials are numbers; also those of what a question gives.
const MAX_LOG_ODDS: f32 = 20.0;
/// A point is in a box that a question gives within this, metres: the box is rounded to 255ths of the scene.
const GIVEN_MARGIN_M: f64 = 0.05;

/// The learned part.
#[derive(Module, Debug)]
pub struct RelevanceHead {
    norm: Norm,
    point_up: Linear,
    point_down: Linear,
    /// Stands for a box that the question gives, `[1, width]`.
    given: Param<Tensor<2>>,
    looks: Vec<Look>,
    key: Linear,
    query: Linear,
    said: Linear,
}

/// One look of the words at the points, and what they tell each other of it.
#[derive(Module, Debug)]
struct Look {
    key: Linear,
    query: Linear,
    found: Linear,
    block: Block,
}

/// The points of a scene as the words look at them; made once a map.
#[derive(Debug, Clone)]
pub struct RelevancePoints {
    /// For each look and the answer, `[width, points]`.
    keys: Vec<Tensor<2>>,
    /// Features and places, `[points, width + 6]`.
    values: Tensor<2>,
    /// Metres from the scene's centre, `[3, points]`.
    metres: Tensor<2>,
    /// Their squared distances from it, `[1, points]`.
    squares: Tensor<2>,
}

impl RelevancePoints {
    /// Points.
    pub fn count(&self) -> usize {
        self.metres.dims()[1]
    }
}

/// For each box that `question` gives in the grammar of answers, such as `<obj>12, 40, 8, 20, 10, 9</obj>`, the points of
/// `positions` (metres) that lie in it; boxes without any are left out.
pub fn points_given(question: &str, bounds: &Aabb, positions: &[[f32; 3]]) -> Vec<Vec<u32>> {
    let mut boxes = boxes_in(question);
    boxes.dedup();
    boxes
        .iter()
        .map(|given| {
            let bbox = given.to_box(bounds);
            let inside = |p: &[f32; 3]| bbox.contains(p.map(f64::from), GIVEN_MARGIN_M);
            (0u32..).zip(positions).filter(|(_, p)| inside(p)).map(|(i, _)| i).collect()
        })
        .filter(|points: &Vec<u32>| !points.is_empty())
        .collect()
}

impl RelevanceHead {
    /// Random initial weights on `device`; all points are as good as irrelevant.
    pub fn new(config: &ModelConfig, device: &Device) -> Self {
        let linear = |i: usize, o: usize| LinearConfig::new(i, o).init(device);
        let (w, d, fine) = (config.embedding_width, config.text_tower.width, config.points.fine_channels());
        let block = BlockConfig::new(d, config.text_tower.heads, 2 * d);
        let look = |_| Look {
            key: linear(w, w),
            query: linear(d, w),
            found: linear(w + FOUND_PLACE, d),
            block: block.init(device),
        };
        Self {
            norm: Norm::new(NormKind::Layer, fine, 1e-5, device),
            point_up: linear(fine + INPUT_WIDTH + PLACE_WIDTH, 2 * w),
            point_down: linear(2 * w, w),
            given: Initializer::Normal { mean: 0.0, std: 0.05 }.init([1, d], device),
            looks: (0..LOOKS).map(look).collect(),
            key: linear(w, w),
            query: linear(d, w),
            said: LinearConfig::new(d, SAID_PLACE)
                .with_initializer(Initializer::Normal { mean: 0.0, std: 0.01 })
                .init(device),
        }
    }

    /// The points of a scene: `features.fine` of `sample`, within `bounds`.
    pub fn points(
        &self,
        features: &PointFeatures,
        sample: &PointSample,
        bounds: &Aabb,
        device: &Device,
    ) -> RelevancePoints {
        let count = sample.positions.len();
        let center = scene_center(bounds);
        let mut places = Vec::with_capacity(count * PLACE_WIDTH);
        let mut metres = Vec::with_capacity(count * 3);
        for &p in &sample.positions {
            place_features(p, bounds, &mut places);
            metres.extend((0..3).map(|k| (f64::from(p[k]) - center[k]) as f32));
        }
        let inputs: Vec<f32> = sample.features.iter().flatten().copied().collect();
        let table =
            |data: Vec<f32>, columns: usize| Tensor::<2>::from_data(TensorData::new(data, [count, columns]), device);
        let metres = table(metres, 3);
        let fine = self.norm.forward(features.fine.clone());
        let known = Tensor::cat(vec![fine, table(inputs, INPUT_WIDTH), table(places, PLACE_WIDTH)], 1);
        let own = self.point_down.forward(gelu(self.point_up.forward(known)));
        let keys = self.looks.iter().map(|look| &look.key).chain([&self.key]);
        RelevancePoints {
            keys: keys.map(|key| key.forward(own.clone()).transpose()).collect(),
            squares: metres.clone().square().sum_dim(1).transpose(),
            values: Tensor::cat(vec![own, metres.clone(), metres.clone().square()], 1),
            metres: metres.transpose(),
        }
    }

    /// Log-odds that each point is what each text is about, `[texts, points]`. `given[t]`: the points in each box that text `t`
    /// gives, see [`points_given`]; they are what it is about.
    pub fn forward(
        &self,
        texts: &TextStates,
        points: &RelevancePoints,
        given: &[Vec<Vec<u32>>],
        device: &Device,
    ) -> Tensor<2> {
        let rows = Rows::new(&texts.lengths, given);
        let total = points.count();
        let [count, longest, width] = texts.tokens.dims();
        let tokens = texts.tokens.clone().reshape([count * longest, width]);
        let indices = |list: Vec<usize>| {
            let data: Vec<i32> = list.into_iter().map(|i| i as i32).collect();
            let length = data.len();
            Tensor::<1, Int>::from_data(TensorData::new(data, [length]), device)
        };
        let words = rows.words(longest);
        let (worded, boxed) = (words.len(), rows.boxes.len());
        let mut x = tokens.select(0, indices(words));
        if boxed > 0 {
            x = Tensor::cat(vec![x, self.given.val().expand([boxed, width])], 0);
        }
        let padded = indices(rows.padded());
        let unpadded = indices(rows.unpadded());
        let hidden = TensorData::new(rows.hidden(), [count, rows.longest]);
        let hidden = Tensor::<2, Bool>::from_data(hidden, device);
        let scale = (points.values.dims()[1] as f32 - FOUND_PLACE as f32).powf(-0.5);
        let at_boxes = (boxed > 0).then(|| {
            let shares = TensorData::new(rows.shares(total), [boxed, total]);
            Tensor::<2>::from_data(shares, device).matmul(points.values.clone())
        });
        let mut found = x.clone();
        for (look, keys) in self.looks.iter().zip(&points.keys) {
            let query = look.query.forward(x.clone().narrow(0, 0, worded));
            let attention = softmax(query.matmul(keys.clone()).mul_scalar(scale), 1);
            found = attention.matmul(points.values.clone());
            if let Some(at_boxes) = &at_boxes {
                found = Tensor::cat(vec![found, at_boxes.clone()], 0);
            }
            x = x + look.found.forward(found.clone());
            // each text's words by themselves; a row of zeros behind the last stands for none
            let with_none = Tensor::cat(vec![x, Tensor::zeros([1, width], device)], 0);
            let mixed = with_none.select(0, padded.clone()).reshape([count, rows.longest, width]);
            let mixed = look.block.forward(mixed, Keys::Visible(&hidden), None);
            x = mixed.reshape([count * rows.longest, width]).select(0, unpadded.clone());
        }
        let said = self.said.forward(x.clone());
        let part = |start: usize, length: usize| said.clone().narrow(1, start, length);
        let looked_at = found.narrow(1, points.values.dims()[1] - FOUND_PLACE, 3);
        let place = looked_at + part(2, 3);
        // squared distance of every point to the place meant: |p|^2 + |c|^2 - 2 p.c
        let distance2 = place.clone().matmul(points.metres.clone()).mul_scalar(-2.0)
            + place.square().sum_dim(1)
            + points.squares.clone();
        let last = points.keys[self.looks.len()].clone();
        let logits = self.query.forward(x).matmul(last).mul_scalar(scale) + (part(0, 1) + FIRST_LOG_ODDS)
            - distance2 * softplus(part(1, 1) + FIRST_NEARNESS, 1.0);
        let odds = logits.clamp(-MAX_LOG_ODDS, MAX_LOG_ODDS).exp();
        let own = TensorData::new(rows.of_text(count), [count, rows.texts.len()]);
        // a text without any token is about nothing
        let log_odds = Tensor::<2>::from_data(own, device).matmul(odds).clamp_min((-MAX_LOG_ODDS).exp()).log();
        if boxed == 0 {
            return log_odds;
        }
        let sure = Tensor::<2, Bool>::from_data(TensorData::new(rows.inside(count, total), [count, total]), device);
        log_odds.mask_fill(sure, MAX_LOG_ODDS)
    }
}

/// Which row of a table of all words, and then of all boxes that are given, belongs to which text.
struct Rows<'a> {
    lengths: &'a [usize],
    /// Text of each row.
    texts: Vec<usize>,
    /// Row of each text's first word, and of its first box.
    firsts: Vec<[usize; 2]>,
    boxes: Vec<&'a [u32]>,
    /// Most rows of a text.
    longest: usize,
    given: &'a [Vec<Vec<u32>>],
}

impl<'a> Rows<'a> {
    fn new(lengths: &'a [usize], given: &'a [Vec<Vec<u32>>]) -> Self {
        let mut texts: Vec<usize> = Vec::new();
        let mut firsts = Vec::with_capacity(lengths.len());
        for (text, length) in lengths.iter().enumerate() {
            firsts.push([texts.len(), 0]);
            texts.extend(std::iter::repeat_n(text, *length));
        }
        for ((text, of_text), first) in given.iter().enumerate().zip(&mut firsts) {
            first[1] = texts.len();
            texts.extend(std::iter::repeat_n(text, of_text.len()));
        }
        let boxes = given.iter().flatten().map(Vec::as_slice).collect();
        let rows = |(length, of_text): (&usize, &Vec<Vec<u32>>)| length + of_text.len();
        let longest = lengths.iter().zip(given).map(rows).max().unwrap_or(0);
        Self { lengths, texts, firsts, boxes, longest, given }
    }

    /// Of each word, its place in a table with `longest` tokens a text.
    fn words(&self, longest: usize) -> Vec<usize> {
        let of_text = |(text, length): (usize, &usize)| (0..*length).map(move |i| text * longest + i);
        self.lengths.iter().enumerate().flat_map(of_text).collect()
    }

    /// The row at each place of each text, words before boxes; one behind the last where there is none.
    fn padded(&self) -> Vec<usize> {
        let mut out = vec![self.texts.len(); self.lengths.len() * self.longest];
        for (row, place) in self.unpadded().into_iter().enumerate() {
            out[place] = row;
        }
        out
    }

    /// The place of each row in a table with [`Self::longest`] rows a text.
    fn unpadded(&self) -> Vec<usize> {
        let words: usize = self.lengths.iter().sum();
        let place = |(row, &text): (usize, &usize)| {
            let [word, first_box] = self.firsts[text];
            let own = if row < words { row - word } else { self.lengths[text] + row - first_box };
            text * self.longest + own
        };
        self.texts.iter().enumerate().map(place).collect()
    }

    fn hidden(&self) -> Vec<bool> {
        let none = self.texts.len();
        self.padded().into_iter().map(|row| row == none).collect()
    }

    /// What each box's look takes of each point.
    fn shares(&self, points: usize) -> Vec<f32> {
        let mut out = vec![0.0; self.boxes.len() * points];
        for (row, inside) in out.chunks_mut(points.max(1)).zip(&self.boxes) {
            let share = 1.0 / inside.len().max(1) as f32;
            inside.iter().for_each(|&i| row[i as usize] = share);
        }
        out
    }

    /// 1 where a row is a text's.
    fn of_text(&self, count: usize) -> Vec<f32> {
        let mut out = vec![0.0; count * self.texts.len()];
        for (row, text) in self.texts.iter().enumerate() {
            out[text * self.texts.len() + row] = 1.0;
        }
        out
    }

    /// Whether a text gives a box around a point.
    fn inside(&self, count: usize, points: usize) -> Vec<bool> {
        let mut out = vec![false; count * points];
        for (row, of_text) in out.chunks_mut(points.max(1)).zip(self.given) {
            of_text.iter().flatten().for_each(|&i| row[i as usize] = true);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Network;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    const POINTS: usize = 30;
    const BOUNDS: Aabb = Aabb { min: [0.0; 3], max: [5.1, 5.1, 2.55] };

    fn network(device: &Device) -> (Network, RelevancePoints) {
        device.seed(3);
        let config = ModelConfig::nano(40, vec!["shell".to_owned()]);
        let network = Network::new(&config, device);
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let channels = config.points.fine_channels();
        let mut table =
            |columns: usize| -> Vec<f32> { (0..POINTS * columns).map(|_| rng.random_range(0.0..2.5)).collect() };
        let fine = Tensor::<2>::from_data(TensorData::new(table(channels), [POINTS, channels]), device);
        let rows = |flat: Vec<f32>| flat.chunks(3).map(|p| [p[0], p[1], p[2]]).collect();
        let sample =
            PointSample { positions: rows(table(3)), features: vec![[0.5; INPUT_WIDTH]; POINTS], grid_m: 0.07 };
        let features = PointFeatures { coarse: fine.clone(), fine };
        let points = network.relevance.points(&features, &sample, &BOUNDS, device);
        (network, points)
    }

    fn log_odds(
        (network, points): &(Network, RelevancePoints),
        texts: &[Vec<u32>],
        given: &[Vec<Vec<u32>>],
    ) -> Vec<Vec<f32>> {
        let device = &Device::flex();
        let states = network.embed_texts(texts, device).states;
        let table = network.relevance.forward(&states, points, given, device);
        assert_eq!(table.dims(), [texts.len(), POINTS]);
        crate::pointing::rows(table)
    }

    #[test]
    fn a_question_is_judged_alike_alone_and_beside_longer_ones() {
        let judge = network(&Device::flex());
        let texts = [vec![4, 9, 7], (5..25).collect(), vec![8, 2, 3, 9, 30]];
        let given = [vec![vec![1, 4]], Vec::new(), vec![vec![7], vec![2, 3, 5]]];
        let together = log_odds(&judge, &texts, &given);
        for (i, own) in together.iter().enumerate() {
            let alone = log_odds(&judge, &texts[i..=i], &given[i..=i]);
            let most = own.iter().zip(&alone[0]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(most < 1e-4, "text {i}: {most}");
        }
        assert_ne!(together[0], together[2]);
    }

    #[test]
    fn what_a_question_gives_is_sure_and_tells_about_the_rest() {
        let judge = network(&Device::flex());
        let texts = [vec![4, 9, 7]];
        let [without, with] = [Vec::new(), vec![vec![1, 4]]].map(|given| log_odds(&judge, &texts, &[given]).concat());
        assert_eq!([with[1], with[4]], [MAX_LOG_ODDS; 2]);
        assert!(without.iter().all(|x| x.is_finite() && *x < MAX_LOG_ODDS));
        assert!(without.iter().zip(&with).enumerate().all(|(i, (a, b))| i == 1 || i == 4 || a != b));
    }

    #[test]
    fn points_in_the_boxes_of_a_question_are_found() {
        let positions = [[1.0, 1.0, 1.0], [1.2, 1.1, 1.0], [4.0, 4.0, 0.5], [f32::NAN, 1.0, 1.0]];
        let at = |text: &str| points_given(text, &BOUNDS, &positions);
        // 255ths of 5.1 m are 2 cm, of 2.55 m 1 cm
        assert_eq!(at("What is at <obj>55, 52, 100, 20, 20, 20</obj>?"), [vec![0, 1]]);
        let two = "<obj>50,50,100,4,4,4</obj> or <obj>200, 200, 50, 10, 10, 10</obj>";
        assert_eq!(at(two), [vec![0], vec![2]]);
        // no box, half a box, a box of five numbers, one with 256, one where nothing is
        for text in ["", "<obj>", "<obj>1,2,3,4,5</obj>", "<obj>256,50,100,4,4,4</obj>", "<obj>1,1,1,1,1,1</obj>"] {
            assert!(at(text).is_empty(), "{text}");
        }
    }
}
