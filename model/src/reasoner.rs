//! A fused scene and a question in, an [`Answer`] out: select, encode, reason, ground.

mod scene_cache;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use burn::module::Module;
use burn::tensor::Device;
use vantage_scene::Scene;

use crate::answer::{
    Answer, AskOptions, Encoders, Grounding, Latency, SelectedView, ViewChoice, ViewId, ViewStrategy, check_question,
};
use crate::checkpoint::{self, CheckpointFiles};
use crate::config::ModelConfig;
use crate::error::ModelError;
use crate::generate::{Aids, Sampling, generate};
use crate::grammar::{self, Guide, GuideVocabulary};
use crate::grounding::ObjectRegistry;
use crate::network::{Network, SceneInput};
use crate::pointing::{objects_in_focus, world_boxes};
use crate::prompt::prompt_tokens;
use crate::tokenizer::{StreamDecoder, Tokenizer};
use crate::view_choice::{Candidates, Limits};
use crate::view_input::ViewInput;
use scene_cache::{CachedView, ReadScene, SceneCache};

pub use scene_cache::VISIBILITY_TOLERANCE_M;

/// The embedded model.
const EMBEDDED: [&[u8]; 3] = [
    include_bytes!("../checkpoints/nano/config.json"),
    include_bytes!("../checkpoints/nano/model.safetensors"),
    include_bytes!("../checkpoints/nano/tokenizer.json"),
];

/// A loaded model with the caches of the scene it was last asked about.
pub struct Reasoner {
    config: ModelConfig,
    tokenizer: Tokenizer,
    guide: GuideVocabulary,
    network: Network,
    device: Device,
    views: BTreeMap<u32, CachedView>,
    scene: Option<SceneCache>,
    registry: ObjectRegistry,
    /// What encoding and reading a view took last.
    view_time: Option<Duration>,
}

/// The views for a question and what it is about.
struct Chosen {
    choice: ViewChoice,
    /// The views of the map as the encoders read them.
    map_inputs: Vec<ViewInput>,
    /// How likely each sampled point is what the question is about, 0 to 1.
    probabilities: Vec<f32>,
}

impl Reasoner {
    /// Loads a model folder (config.json, model.safetensors, tokenizer.json) onto `device`.
    ///
    /// # Errors
    /// [`ModelError`] naming the file, tensor or token at fault.
    pub fn load(dir: &Path, device: &Device) -> Result<Self, ModelError> {
        Self::from_files(&CheckpointFiles::read(dir)?, device)
    }

    /// Loads the model that is part of this executable onto `device`.
    ///
    /// # Errors
    /// [`ModelError`] when the executable was built with a damaged checkpoint.
    pub fn embedded(device: &Device) -> Result<Self, ModelError> {
        let files = CheckpointFiles::from_bytes("embedded nano", EMBEDDED[0], EMBEDDED[1], EMBEDDED[2]);
        Self::from_files(&files, device)
    }

    fn from_files(files: &CheckpointFiles<'_>, device: &Device) -> Result<Self, ModelError> {
        let config = ModelConfig::from_json(&files.config, &files.origin)?;
        config.check_file_size(files.weights.len(), &files.origin)?;
        let tokenizer = Tokenizer::from_bytes(&files.tokenizer)?;
        tokenizer.check_vocab(config.decoder.vocab_size)?;
        let mut network = Network::new(&config, device);
        checkpoint::apply(&mut network, files)?;
        Self::new(config, tokenizer, network, device.clone())
    }

    /// Wraps a network that is already in memory, for example one in training.
    ///
    /// # Errors
    /// [`ModelError`] when the tokenizer cannot decode one of its tokens.
    pub fn new(
        config: ModelConfig,
        tokenizer: Tokenizer,
        network: Network,
        device: Device,
    ) -> Result<Self, ModelError> {
        Ok(Self {
            guide: GuideVocabulary::new(&tokenizer)?,
            config,
            tokenizer,
            network,
            device,
            views: BTreeMap::new(),
            scene: None,
            registry: ObjectRegistry::default(),
            view_time: None,
        })
    }

    /// The model's name.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// Trainable parameters.
    pub fn parameters(&self) -> usize {
        self.network.num_params()
    }

    /// The model's sizes.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Tokens of the scene that the decoder keeps for the next question, where that shows the same views of the same map.
    pub fn kept_scene_tokens(&self) -> usize {
        self.scene.as_ref().and_then(|cache| cache.read.as_ref()).map_or(0, |read| read.tokens)
    }

    /// Forgets everything cached of the last scene, object ids included; call it when another scene begins.
    pub fn reset(&mut self) {
        self.views.clear();
        self.scene = None;
        self.registry = ObjectRegistry::default();
    }

    /// Answers `question` about `scene`; `on_text` sees the text as it comes, and stops it with `ControlFlow::Break`. A text
    /// that was stopped, or that the deadline cut, left the grammar: it has no boxes.
    ///
    /// # Errors
    /// [`ModelError::EmptyScene`] when nothing was fused yet, [`ModelError::EmptyQuestion`], [`ModelError::QuestionTooLong`].
    pub fn ask(
        &mut self,
        scene: &Scene,
        question: &str,
        options: &AskOptions,
        on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Answer, ModelError> {
        let start = Instant::now();
        let (Chosen { choice, map_inputs, probabilities }, latency) = self.choose(scene, question, options)?;
        let ViewChoice { chosen: views, candidates, map_views } = choice;
        let Latency { select_ms, encode_ms: encoded_ms, .. } = latency;

        let encode_start = Instant::now();
        let prompt = prompt_tokens(&self.tokenizer, question)?;
        let mut read = self.read_scene(&views, &map_inputs, options.encoders, prompt.len() + options.max_tokens)?;
        let kv = &mut read.kv;
        let Some(cache) = &self.scene else { return Err(ModelError::EmptyScene) };
        let encode_ms = encoded_ms + millis(encode_start);

        let special = self.tokenizer.special();
        let sampling = Sampling {
            max_tokens: options.max_tokens,
            deadline: options.deadline,
            temperature: options.temperature,
            seed: options.seed,
            end: special.end,
            box_open: special.box_open,
        };
        let mut stream = StreamDecoder::new(&self.tokenizer);
        let mut first_token_ms = None;
        let scene_input = SceneInput { points: &cache.sample, bounds: &cache.bounds, views: &[] };
        let padded = self.network.padded_points(&[scene_input], &cache.plan, &cache.features, &self.device);
        let aids = Aids {
            look_up: &|queries| objects_in_focus(&self.network, queries, &padded, &cache.bounds, &self.tokenizer),
            guide: options.guided.then(|| Guide::new(&self.guide)),
            on_token: &mut |token| {
                first_token_ms.get_or_insert_with(|| millis(start));
                let piece = stream.push(token);
                if piece.is_empty() { ControlFlow::Continue(()) } else { on_text(&piece) }
            },
        };
        let generated = generate(&self.network.decoder, kv, &prompt, &sampling, &self.device, aids);
        let rest = stream.finish();
        if !rest.is_empty() {
            // nothing is left to stop
            let _ = on_text(&rest);
        }
        let raw = self.tokenizer.decode(&generated.tokens)?;
        let parsed = if generated.finished { grammar::parse(&raw).ok() } else { None };
        let boxes = match &parsed {
            Some(parsed) => {
                let boxes = world_boxes(&self.network, &cache.bounds, &cache.sample, &padded, &generated.queries);
                let first_of_answer = boxes.len().saturating_sub(parsed.answer_boxes().len());
                let registry = &mut self.registry;
                parsed
                    .answer_boxes()
                    .into_iter()
                    .zip(boxes.into_iter().skip(first_of_answer))
                    .map(|((label, _), (bbox, score))| Grounding { id: registry.identify(&bbox), label, bbox, score })
                    .collect()
            }
            None => Vec::new(),
        };
        let answer = Answer {
            question: question.to_owned(),
            answer: parsed.as_ref().map_or_else(|| raw.clone(), grammar::Parsed::answer_text),
            reasoning: parsed.as_ref().map_or_else(String::new, grammar::Parsed::think_text),
            grammar_valid: parsed.is_some(),
            raw,
            views,
            candidates,
            map_views,
            confidence: probabilities.iter().copied().reduce(f32::max),
            interest: cache.interest(&probabilities),
            boxes,
            bounds: cache.bounds,
            latency: Latency {
                select_ms,
                encode_ms,
                first_token_ms: first_token_ms.unwrap_or_else(|| millis(start)),
                total_ms: millis(start),
            },
        };
        if let Some(cache) = &mut self.scene {
            cache.read = Some(read);
        }
        Ok(answer)
    }

    /// The views that [`Self::ask`] would give to the decoder; how long choosing took, and encoding what was new of the scene.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn select_views(
        &mut self,
        scene: &Scene,
        question: &str,
        options: &AskOptions,
    ) -> Result<(ViewChoice, Latency), ModelError> {
        let (chosen, latency) = self.choose(scene, question, options)?;
        Ok((chosen.choice, latency))
    }

    fn choose(&mut self, scene: &Scene, question: &str, options: &AskOptions) -> Result<(Chosen, Latency), ModelError> {
        check_question(question)?;
        let start = Instant::now();
        self.encode_scene(scene)?;
        let mut encode_ms = millis(start);
        let Some(cache) = &self.scene else { return Err(ModelError::EmptyScene) };
        let words = self.tokenizer.encode(question)?;
        let embedded = self.network.embed_texts(&[words], &self.device);
        let probabilities = cache.points.probabilities(&self.network, question, &embedded, &self.device);
        let most = options.view_budget.zip(self.view_time).map(|(budget, one)| views_within(budget, one));
        let limits = Limits { default: self.config.default_views, most };
        let choose = |cache: &SceneCache, candidates: &Candidates| {
            candidates.choose(&cache.points, &probabilities, &embedded, options, limits)
        };
        let (mut map_views, mut map_inputs) = (Vec::new(), Vec::new());
        let [chosen, candidates] = if options.map_views && options.strategy == ViewStrategy::Utility {
            let rendering = Instant::now();
            let rendered = self.map_views(scene, &probabilities)?;
            let Some(cache) = &self.scene else { return Err(ModelError::EmptyScene) };
            let with_map = self.candidates(scene, &cache.sample, &cache.features, &cache.points, &rendered);
            encode_ms += millis(rendering);
            (map_views, map_inputs) = rendered.into_iter().map(|(view, cached)| (view, cached.input)).unzip();
            choose(cache, &with_map)
        } else {
            choose(cache, &cache.candidates)
        };
        let total_ms = millis(start);
        let choice = ViewChoice { chosen, candidates, map_views };
        let latency = Latency { select_ms: total_ms - encode_ms, encode_ms, total_ms, ..Latency::default() };
        Ok((Chosen { choice, map_inputs, probabilities }, latency))
    }

    /// The scene with `views` as the decoder reads it, with room for `room` more tokens: what the last question left behind
    /// where that showed the same views.
    fn read_scene(
        &mut self,
        views: &[SelectedView],
        map_inputs: &[ViewInput],
        encoders: Encoders,
        room: usize,
    ) -> Result<ReadScene, ModelError> {
        let Some(cache) = &mut self.scene else { return Err(ModelError::EmptyScene) };
        // the scene is a set: its order changes nothing but the rounding
        let mut shown: Vec<ViewId> = views.iter().map(|v| v.view).collect();
        shown.sort_unstable();
        // views of the map are others for every question
        let lasts = shown.iter().all(|view| view.keyframe().is_some());
        let is_kept = |read: &mut ReadScene| lasts && read.views == shown && read.encoders == encoders;
        if let Some(mut read) = cache.read.take_if(is_kept) {
            read.kv.truncate(read.tokens);
            return Ok(read);
        }
        let start = Instant::now();
        let input = |view: &ViewId| match view {
            ViewId::Keyframe(id) => self.views.get(id).map(|cached| &cached.input),
            ViewId::Map(place) => map_inputs.get(*place),
        };
        let inputs: Vec<&ViewInput> = shown.iter().filter_map(input).collect();
        if !encoders.points && inputs.is_empty() {
            return Err(ModelError::EmptyScene);
        }
        let scene_input = SceneInput { points: &cache.sample, bounds: &cache.bounds, views: &inputs };
        let features = (!inputs.is_empty()).then(|| self.network.encode_views(&inputs, &self.config, &self.device));
        let (tokens, _) = self.network.tokens_behind(
            cache.point_tokens.clone(),
            &[scene_input],
            &cache.plan,
            features.as_ref().map(|(image, depth)| (image, depth)),
            encoders,
            &self.device,
        );
        let count = tokens.dims()[1];
        let kv = self.network.read_scenes(tokens, &[count], count + room);
        if let Ok(views @ 1..) = u32::try_from(inputs.len()) {
            self.view_time = Some(start.elapsed() / views);
        }
        Ok(ReadScene { views: shown, encoders, kv, tokens: count })
    }
}

/// How many views of `one` each fit into `budget`; at least one.
fn views_within(budget: Duration, one: Duration) -> usize {
    let views = budget.as_nanos() / one.as_nanos().max(1);
    usize::try_from(views).unwrap_or(usize::MAX).max(1)
}

fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_views_as_fit_but_one_at_least() {
        let ms = Duration::from_millis;
        assert_eq!([0, 9, 10, 35].map(|budget| views_within(ms(budget), ms(10))), [1, 1, 1, 3]);
        assert!(views_within(ms(1), Duration::ZERO) >= 1_000_000);
    }
}
