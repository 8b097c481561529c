//! Scene inputs in, cached scene tokens, view embeddings, logits and boxes out: all parts of the model, wired as in 3D-R1
//! (arXiv 2507.23478): one projection per encoder into the decoder's width, tokens concatenated before the text.

use burn::module::{Module, Param};
use burn::nn::{Initializer, Linear, LinearConfig};
use burn::tensor::activation::gelu;
use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use vantage_scene::Aabb;

use crate::answer::Encoders;
use crate::box_decoder::{BoxDecoder, BoxPrediction, PaddedPoints};
use crate::config::ModelConfig;
use crate::decoder::{Decoder, KvCache};
use crate::points::{INPUT_WIDTH, PointEncoder, PointFeatures, PointPlan, PointSample};
use crate::position::{PLACE_WIDTH, place_features, scene_center};
use crate::relations::{FocusBox, POINT_RELATION_WIDTH, RELATION_WIDTH, point_relations};
use crate::relevance::RelevanceHead;
use crate::view_head::ViewHead;
use crate::view_input::ViewInput;
use crate::vision::{TextStates, TextTower, ViewFeatures, Vit};

/// What the network reads of one scene.
#[derive(Debug, Clone, Copy)]
pub struct SceneInput<'a> {
    /// The sampled points; at least one.
    pub points: &'a PointSample,
    /// The scene's bounds.
    pub bounds: &'a Aabb,
    /// The views that go to the decoder.
    pub views: &'a [&'a ViewInput],
}

/// All trainable parts.
#[derive(Module, Debug)]
pub struct Network {
    /// Text decoder.
    pub decoder: Decoder,
    /// Image encoder.
    pub image: Vit,
    /// Depth encoder.
    pub depth: Vit,
    /// Text tower.
    pub text_tower: TextTower,
    /// Point encoder.
    pub points: PointEncoder,
    /// Box decoder.
    pub box_decoder: BoxDecoder,
    /// Class of each point, an auxiliary task of training; also names clusters.
    pub point_classifier: Linear,
    /// Pooled points of an object to the decoder's width.
    object_up: Linear,
    object_down: Linear,
    /// How an object lies to those pointed at before, to the decoder's width.
    relation_projection: Linear,
    point_projection: Linear,
    place_projection: Linear,
    kind: Param<Tensor<2>>,
    text_head: Linear,
    image_head: Linear,
    points_head: Linear,
    clip_text_head: Linear,
    clip_image_head: Linear,
    /// Log scale and bias of the sigmoid contrastive losses: text to points, text to image, image to points.
    pub contrast: Param<Tensor<2>>,
    /// How likely a point is what a question is about.
    pub relevance: RelevanceHead,
    /// The weights of a view's scores.
    pub view_head: ViewHead,
}

/// Row of [`Network::kind`]: which encoder a scene token comes from.
const KIND_POINT: usize = 0;
const KIND_IMAGE: usize = 1;
const KIND_DEPTH: usize = 2;

/// Initial scale and bias of the sigmoid contrastive losses (SigLIP: t' = log 10, b = -10; a softer bias suits few views).
const CONTRAST_INIT: [f32; 2] = [std::f32::consts::LN_10, -2.0];

impl Network {
    /// Random initial weights on `device`.
    pub fn new(config: &ModelConfig, device: &Device) -> Self {
        let d = config.decoder.hidden_size;
        let linear = |i: usize, o: usize| LinearConfig::new(i, o).init(device);
        let e = config.embedding_width;
        let (fine, coarse) = (config.points.fine_channels(), config.points.coarse_channels());
        let contrast = CONTRAST_INIT.repeat(3);
        Self {
            decoder: Decoder::new(&config.decoder, device),
            image: Vit::new(&config.image, d, device),
            depth: Vit::new(&config.depth, d, device),
            text_tower: TextTower::new(&config.text_tower, config.decoder.vocab_size, device),
            points: config.points.init(device),
            box_decoder: BoxDecoder::new(d, fine, PLACE_WIDTH, config.box_width, device),
            point_classifier: linear(fine, config.point_classes.len()),
            object_up: linear(fine + config.points.in_channels, d),
            object_down: linear(d, d),
            relation_projection: linear(RELATION_WIDTH, d),
            point_projection: linear(coarse, d),
            place_projection: linear(PLACE_WIDTH, d),
            kind: Initializer::Normal { mean: 0.0, std: 0.02 }.init([3, d], device),
            text_head: linear(config.text_tower.width, e),
            image_head: linear(config.image.width, e),
            points_head: linear(fine, e),
            clip_text_head: linear(config.text_tower.width, e),
            clip_image_head: linear(config.image.width, e),
            contrast: Param::from_data(TensorData::new(contrast, [3, 2]), device),
            relevance: RelevanceHead::new(config, device),
            view_head: ViewHead::new(device),
        }
    }

    /// Runs the point encoder over a batch of scenes.
    pub fn encode_points(
        &self,
        samples: &[&PointSample],
        config: &ModelConfig,
        device: &Device,
    ) -> (PointPlan, PointFeatures) {
        let plan = PointPlan::new(samples, &config.points);
        let flat: Vec<f32> = samples.iter().flat_map(|s| s.features.iter().flatten().copied()).collect();
        let rows = flat.len() / config.points.in_channels.max(1);
        let features = Tensor::<2>::from_data(TensorData::new(flat, [rows, config.points.in_channels]), device);
        let features = self.points.forward(features, &plan);
        (plan, features)
    }

    /// Runs the image and the depth encoder over views; both in the order given.
    pub fn encode_views(
        &self,
        views: &[&ViewInput],
        config: &ModelConfig,
        device: &Device,
    ) -> (ViewFeatures, ViewFeatures) {
        let (w, h) = (config.image.image_width, config.image.image_height);
        let stack = |channels: usize, of: fn(&ViewInput) -> &Vec<f32>| {
            let flat: Vec<f32> = views.iter().flat_map(|v| of(v).iter().copied()).collect();
            Tensor::<4>::from_data(TensorData::new(flat, [views.len(), channels, h, w]), device)
        };
        let image = self.image.forward(stack(3, |v| &v.image));
        let depth = self.depth.forward(stack(2, |v| &v.depth));
        (image, depth)
    }

    /// Scene tokens of a batch of scenes and how many of each row are real:
    /// points first, then images, then depths, those of `encoders` alone; `[scenes, longest, width]`.
    pub fn scene_tokens(
        &self,
        scenes: &[SceneInput<'_>],
        plan: &PointPlan,
        points: &PointFeatures,
        views: Option<(&ViewFeatures, &ViewFeatures)>,
        encoders: Encoders,
        device: &Device,
    ) -> (Tensor<3>, Vec<usize>) {
        let point_tokens = self.point_tokens(scenes, plan, points, device);
        self.tokens_behind(point_tokens, scenes, plan, views, encoders, device)
    }

    /// The tokens of the points alone, `[coarse points, d_model]`: they depend on nothing but the map.
    pub(crate) fn point_tokens(
        &self,
        scenes: &[SceneInput<'_>],
        plan: &PointPlan,
        points: &PointFeatures,
        device: &Device,
    ) -> Tensor<2> {
        let mut places = Vec::new();
        for (scene, range) in scenes.iter().zip(plan.coarse_ranges()) {
            for &p in &plan.coarse_positions()[range.clone()] {
                place_features(p, scene.bounds, &mut places);
            }
        }
        self.point_projection.forward(points.coarse.clone()) + self.place(places, device) + self.kind(KIND_POINT)
    }

    /// [`Self::scene_tokens`] with those of the points as [`Self::point_tokens`] gives them.
    pub(crate) fn tokens_behind(
        &self,
        point_tokens: Tensor<2>,
        scenes: &[SceneInput<'_>],
        plan: &PointPlan,
        views: Option<(&ViewFeatures, &ViewFeatures)>,
        encoders: Encoders,
        device: &Device,
    ) -> (Tensor<3>, Vec<usize>) {
        let [point_rows, width] = point_tokens.dims();
        // what is read, and where in it each encoder begins
        let (mut all, mut offsets, mut table_rows) = (Vec::new(), Vec::new(), 0);
        let mut per_view = 0;
        if encoders.points {
            all.push(point_tokens);
            table_rows = point_rows;
        }
        if let Some((image, depth)) = views {
            let [count, tokens, _] = image.tokens.dims();
            per_view = tokens;
            let mut flat = Vec::new();
            for scene in scenes {
                for view in scene.views {
                    for &p in &view.token_positions {
                        place_features(p, scene.bounds, &mut flat);
                    }
                }
            }
            let places = self.place(flat, device);
            for (on, of, kind) in [(encoders.image, image, KIND_IMAGE), (encoders.depth, depth, KIND_DEPTH)] {
                if on {
                    all.push(of.tokens.clone().reshape([count * tokens, width]) + places.clone() + self.kind(kind));
                    offsets.push(table_rows);
                    table_rows += count * tokens;
                }
            }
        }
        all.push(Tensor::zeros([1, width], device));
        let table = Tensor::cat(all, 0);

        let mut rows: Vec<Vec<i32>> = Vec::with_capacity(scenes.len());
        let mut next_view = 0;
        for (scene, range) in scenes.iter().zip(plan.coarse_ranges()) {
            let mut row: Vec<i32> =
                if encoders.points { range.clone().map(|i| i as i32).collect() } else { Vec::new() };
            let used = scene.views.len() * per_view;
            for offset in &offsets {
                row.extend((0..used).map(|i| (offset + next_view + i) as i32));
            }
            next_view += used;
            rows.push(row);
        }
        let lengths: Vec<usize> = rows.iter().map(Vec::len).collect();
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let index: Vec<i32> = rows
            .into_iter()
            .flat_map(|mut row| {
                row.resize(longest, table_rows as i32);
                row
            })
            .collect();
        let index = Tensor::<1, Int>::from_data(TensorData::new(index, [scenes.len() * longest]), device);
        (table.select(0, index).reshape([scenes.len(), longest, width]), lengths)
    }

    fn kind(&self, of: usize) -> Tensor<2> {
        self.kind.val().narrow(0, of, 1)
    }

    /// Places as [`place_features`] writes them, one behind the other, in the decoder's width.
    fn place(&self, features: Vec<f32>, device: &Device) -> Tensor<2> {
        let rows = features.len() / PLACE_WIDTH;
        self.place_projection.forward(Tensor::<2>::from_data(TensorData::new(features, [rows, PLACE_WIDTH]), device))
    }

    /// The fine points of a batch of scenes, padded for the box decoder.
    pub fn padded_points(
        &self,
        scenes: &[SceneInput<'_>],
        plan: &PointPlan,
        points: &PointFeatures,
        device: &Device,
    ) -> PaddedPoints {
        let ranges = plan.fine_ranges();
        let longest = ranges.iter().map(|r| r.len()).max().unwrap_or(0);
        let [total, channels] = points.fine.dims();
        let mut index = Vec::with_capacity(scenes.len() * longest);
        let mut hidden = Vec::with_capacity(scenes.len() * longest);
        let mut inputs = Vec::with_capacity(scenes.len() * longest * INPUT_WIDTH);
        let mut places = Vec::with_capacity(scenes.len() * longest * PLACE_WIDTH);
        let mut metres = Vec::with_capacity(scenes.len() * longest * 3);
        for (scene, range) in scenes.iter().zip(ranges) {
            let center = scene_center(scene.bounds);
            for i in 0..longest {
                let real = i < range.len();
                index.push(if real { (range.start + i) as i32 } else { total as i32 });
                hidden.push(!real);
                if real {
                    let p = scene.points.positions[i];
                    inputs.extend(scene.points.features[i]);
                    place_features(p, scene.bounds, &mut places);
                    metres.extend((0..3).map(|k| (f64::from(p[k]) - center[k]) as f32));
                } else {
                    inputs.extend([0.0; INPUT_WIDTH]);
                    places.extend(std::iter::repeat_n(0.0, PLACE_WIDTH));
                    metres.extend([0.0; 3]);
                }
            }
        }
        let s = scenes.len();
        let table = Tensor::cat(vec![points.fine.clone(), Tensor::zeros([1, channels], device)], 0);
        let index = Tensor::<1, Int>::from_data(TensorData::new(index, [s * longest]), device);
        PaddedPoints {
            features: table.select(0, index).reshape([s, longest, channels]),
            inputs: Tensor::from_data(TensorData::new(inputs, [s, longest, INPUT_WIDTH]), device),
            places: Tensor::from_data(TensorData::new(places, [s, longest, PLACE_WIDTH]), device),
            metres: Tensor::from_data(TensorData::new(metres, [s, longest, 3]), device),
            hidden: Tensor::<2, Bool>::from_data(TensorData::new(hidden, [s, longest]), device),
        }
    }

    /// The likeliest class of each fine point, by its place in the configuration's `point_classes`.
    pub fn point_kinds(&self, points: &PointFeatures) -> Vec<u32> {
        self.point_classifier.forward(points.fine.clone()).argmax(1).into_data().iter::<u32>().collect()
    }

    /// Boxes for hidden states at `<obj>`, `[scenes, queries, width]`. `earlier`: for each query, scene by scene, the boxes that its
    /// text pointed at before; a query without an entry has none. `excluded` as in [`BoxDecoder::forward`].
    pub fn boxes(
        &self,
        queries: Tensor<3>,
        earlier: &[&[FocusBox]],
        excluded: Option<Tensor<3, Bool>>,
        points: &PaddedPoints,
    ) -> BoxPrediction {
        let [scenes, count, _] = queries.dims();
        if earlier.iter().all(|boxes| boxes.is_empty()) {
            return self.box_decoder.forward(queries, None, excluded, points);
        }
        let total = points.metres.dims()[1];
        let metres: Vec<f32> = points.metres.clone().into_data().iter::<f32>().collect();
        let mut relations = vec![0.0f32; scenes * count * total * POINT_RELATION_WIDTH];
        let rows = relations.chunks_exact_mut((total * POINT_RELATION_WIDTH).max(1));
        for (i, (row, boxes)) in rows.zip(earlier).enumerate() {
            let scene = i / count.max(1);
            point_relations(boxes, &metres[scene * total * 3..(scene + 1) * total * 3], row);
        }
        let shape = [scenes, count, total, POINT_RELATION_WIDTH];
        let relations = Tensor::<4>::from_data(TensorData::new(relations, shape), &queries.device());
        self.box_decoder.forward(queries, Some(relations), excluded, points)
    }

    /// What the decoder reads of the object in focus, as the points show it.
    ///
    /// `share`: `[scenes, objects, points]`, the share of each point in each object, summing to one. Returns
    /// `[scenes, objects, d_model]`, to be added to the embedding of every token behind the object's `<obj>`, until the next
    /// `<obj>` moves the focus on. So the text after a box follows from what is there, its colour and its kind, and not from
    /// what the question supposed.
    pub fn object_tokens(&self, share: Tensor<3>, points: &PaddedPoints) -> Tensor<3> {
        let pooled = share.matmul(Tensor::cat(vec![points.features.clone(), points.inputs.clone()], 2));
        self.object_down.forward(gelu(self.object_up.forward(pooled)))
    }

    /// What the decoder reads, beside [`Self::object_tokens`], of how objects lie to those that the text pointed at before.
    ///
    /// `features`: `[objects, RELATION_WIDTH]`, as [`crate::relation_features`] writes them; `[objects, d_model]`.
    pub fn relation_tokens(&self, features: Tensor<2>) -> Tensor<2> {
        self.relation_projection.forward(features)
    }

    /// Reads the scene tokens into a cache that questions then extend; `capacity` as in [`Decoder::read_scenes`].
    pub fn read_scenes(&self, tokens: Tensor<3>, lengths: &[usize], capacity: usize) -> KvCache {
        self.decoder.read_scenes(tokens, lengths, capacity)
    }

    /// Itself with gradients for nothing but what chooses views: the text tower, the heads into the shared spaces, relevance, the weights.
    /// The other weights are then no part of the autodiff graph, which keeps leaves that no loss reaches and
    /// looks through all of them at every step.
    #[must_use]
    pub fn with_only_view_choice_trainable(self) -> Self {
        Self {
            decoder: self.decoder.no_grad(),
            image: self.image.no_grad(),
            depth: self.depth.no_grad(),
            points: self.points.no_grad(),
            box_decoder: self.box_decoder.no_grad(),
            point_classifier: self.point_classifier.no_grad(),
            object_up: self.object_up.no_grad(),
            object_down: self.object_down.no_grad(),
            relation_projection: self.relation_projection.no_grad(),
            point_projection: self.point_projection.no_grad(),
            place_projection: self.place_projection.no_grad(),
            kind: self.kind.no_grad(),
            ..self
        }
    }

    /// Itself with gradients for nothing but what reasons and points: the decoder, the projections in front of it, the box decoder, the
    /// objects in focus and their relations.
    #[must_use]
    pub fn with_only_reasoning_trainable(self) -> Self {
        Self {
            image: self.image.no_grad(),
            depth: self.depth.no_grad(),
            text_tower: self.text_tower.no_grad(),
            points: self.points.no_grad(),
            point_classifier: self.point_classifier.no_grad(),
            text_head: self.text_head.no_grad(),
            image_head: self.image_head.no_grad(),
            points_head: self.points_head.no_grad(),
            clip_text_head: self.clip_text_head.no_grad(),
            clip_image_head: self.clip_image_head.no_grad(),
            contrast: self.contrast.no_grad(),
            relevance: self.relevance.no_grad(),
            view_head: self.view_head.no_grad(),
            ..self
        }
    }

    /// Questions in the spaces that they share with views and points.
    pub fn embed_texts(&self, texts: &[Vec<u32>], device: &Device) -> TextEmbeddings {
        let states = self.text_tower.forward(texts, device);
        TextEmbeddings {
            text: unit(self.text_head.forward(states.pooled.clone())),
            clip_text: unit(self.clip_text_head.forward(states.pooled.clone())),
            states,
        }
    }

    /// E_img and CLIP_image of views, unit norm: `[views, embedding_width]` each.
    pub fn embed_images(&self, image: &ViewFeatures) -> (Tensor<2>, Tensor<2>) {
        (unit(self.image_head.forward(image.pooled.clone())), unit(self.clip_image_head.forward(image.pooled.clone())))
    }

    /// E_3D of views, unit norm: the mean of the fine features of the points each view sees. `visible[v]`: rows of
    /// `points.fine`; a view that sees nothing gives a zero-feature embedding.
    pub fn embed_view_points(&self, points: &PointFeatures, visible: &[Vec<u32>], device: &Device) -> Tensor<2> {
        let [total, channels] = points.fine.dims();
        let mut share = vec![0.0f32; visible.len() * total];
        for (row, seen) in share.chunks_mut(total.max(1)).zip(visible) {
            let weight = 1.0 / seen.len().max(1) as f32;
            for &i in seen {
                row[i as usize] = weight;
            }
        }
        let share = Tensor::<2>::from_data(TensorData::new(share, [visible.len(), total]), device);
        let pooled = share.matmul(points.fine.clone()).reshape([visible.len(), channels]);
        unit(self.points_head.forward(pooled))
    }
}

/// Questions in the spaces that they share with views and points, embeddings of unit norm.
#[derive(Debug, Clone)]
pub struct TextEmbeddings {
    /// E_text, `[texts, embedding_width]`.
    pub text: Tensor<2>,
    /// CLIP_text, `[texts, embedding_width]`.
    pub clip_text: Tensor<2>,
    /// What the text tower made of them.
    pub states: TextStates,
}

/// Rows scaled to unit length.
fn unit(x: Tensor<2>) -> Tensor<2> {
    let length = (x.clone().square().sum_dim(1) + 1.0e-12).sqrt();
    x / length
}
