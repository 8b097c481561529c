//! A conversation with pictures in, text out, a token at a time: Qwen2.5-VL from a Hugging Face model folder.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use burn::tensor::Tensor;
use vantage_scene::ColorImage;

use super::chat_template::{ChatTemplate, Message};
use super::config::{QwenConfig, QwenTextConfig};
use super::error::{QwenError, read_file};
use super::generation_config::GenerationDefaults;
use super::positions::{PlacedPrompt, place_images};
use super::reply::{Ending, Reply, ReplyOptions};
use super::tokenizer::{QwenTokenStream, QwenTokenizer};
use crate::decoder::{Decoder, KvCache};
use crate::grammar::TokenFilter;
use crate::memory::MemoryPlan;
use crate::sampling::{Sampler, SamplerConfig};
use crate::vision::qwen::{Grid, QwenPreprocessor, QwenVision, QwenVisionConfig};
use crate::weights::{Placed, Placement, WeightFiles, WeightReader};

/// Tokens of a prompt that are read at a time: between two chunks a caller can stop.
const CHUNK: usize = 256;
/// Tokens of a reply that room is set aside for.
const MAX_ROOM: usize = 4096;
const MAX_JSON: u64 = 1 << 24;
/// What marks are called in every Qwen tokenizer.
const IMAGE_MARK: &str = "<|image_pad|>";

/// A loaded Qwen2.5-VL, and what it read last.
pub struct QwenVl {
    config: QwenConfig,
    tokenizer: QwenTokenizer,
    template: ChatTemplate,
    preprocessor: QwenPreprocessor,
    defaults: GenerationDefaults,
    vision: QwenVision,
    decoder: Decoder,
    placement: Placement,
    placed: Vec<Placed>,
    read: Option<Read>,
    /// Made when it is first needed.
    filter: Option<TokenFilter>,
}

/// The tokens whose keys and values are cached.
struct Read {
    ids: Vec<u32>,
    images: Vec<ReadImage>,
    cache: KvCache,
}

struct ReadImage {
    first_token: usize,
    picture: ColorImage,
}

impl QwenVl {
    /// What the model of a folder takes in `placement` with a conversation of `tokens` about pictures of `[width, height]` at most.
    /// Only its settings are read.
    ///
    /// # Errors
    /// [`QwenError`] naming the file and the field, or where the model does not read pictures of that size.
    pub fn memory_plan(
        dir: &Path,
        placement: &Placement,
        tokens: usize,
        [width, height]: [u32; 2],
    ) -> Result<MemoryPlan, QwenError> {
        let config = QwenConfig::read(dir)?;
        let (bytes, origin) = file(dir, "config.json")?;
        let vision = QwenVisionConfig::from_json(&bytes, &origin)?;
        let (bytes, origin) = file(dir, "preprocessor_config.json")?;
        let preprocessor = QwenPreprocessor::from_json(&bytes, &origin)?;
        // a reader of no files counts what it is asked for and makes nothing
        let counting = WeightReader::new(WeightFiles::default(), placement.clone());
        drop(parts(&config, &vision, &counting));
        let number = if placement.packed { 4 } else { placement.matrices.bytes(1, 1).clamp(2, 4) };
        let text = &config.text;
        let per_token = 2 * (text.num_hidden_layers * text.num_key_value_heads * text.head_width()) as u64 * number;
        let tokens = tokens.min(text.max_position_embeddings);
        let patches = preprocessor.grid(0, width, height)?.patches().unwrap_or(usize::MAX);
        let reading = reading_numbers(text, tokens).max(seeing_numbers(&vision, patches));
        Ok(MemoryPlan::new(placement, &counting.placed(), tokens, per_token, reading.saturating_mul(number)))
    }

    /// Loads a model folder.
    ///
    /// # Errors
    /// [`QwenError`] naming the file, and the field, tensor or token.
    pub fn load(dir: &Path, placement: Placement) -> Result<Self, QwenError> {
        let config = QwenConfig::read(dir)?;
        let (bytes, origin) = file(dir, "config.json")?;
        let vision_config = QwenVisionConfig::from_json(&bytes, &origin)?;
        if vision_config.out_hidden_size != config.text.hidden_size {
            let reason = format!(
                "vision_config.out_hidden_size is {}, it must be hidden_size, {}",
                vision_config.out_hidden_size, config.text.hidden_size
            );
            return Err(QwenError::Config { file: origin, reason });
        }
        let (bytes, origin) = file(dir, "preprocessor_config.json")?;
        let preprocessor = QwenPreprocessor::from_json(&bytes, &origin)?;
        preprocessor.check_against(&vision_config, &origin)?;
        let defaults = GenerationDefaults::read(dir, &config.end_tokens, config.text.vocab_size)?;
        let tokenizer = QwenTokenizer::read(dir, config.text.vocab_size)?;
        tokenizer.check(IMAGE_MARK, config.visual_tokens.image)?;
        let template = ChatTemplate::read(dir)?;
        let reader = WeightReader::new(WeightFiles::open(dir)?, placement.clone());
        let (vision, decoder) = parts(&config, &vision_config, &reader);
        reader.finish()?;
        let placed = reader.placed();
        Ok(Self {
            config,
            tokenizer,
            template,
            preprocessor,
            defaults,
            vision,
            decoder,
            placement,
            placed,
            read: None,
            filter: None,
        })
    }

    /// Its weights, and the bytes that each takes.
    pub fn placed(&self) -> &[Placed] {
        &self.placed
    }

    /// The model's sizes.
    pub fn config(&self) -> &QwenConfig {
        &self.config
    }

    /// Tokens of the shortest reply that the grammar allows, the least `max_tokens` of a reply in it. The first call, of this or
    /// for a reply in the grammar, looks at the whole vocabulary.
    ///
    /// # Errors
    /// [`QwenError`] where the tokenizer's tokens cannot be kept in the grammar.
    pub fn least_grammar_tokens(&mut self) -> Result<usize, QwenError> {
        Ok(self.filter()?.least_tokens())
    }

    fn filter(&mut self) -> Result<&mut TokenFilter, QwenError> {
        let filter = match self.filter.take() {
            Some(filter) => filter,
            None => TokenFilter::new(&self.tokenizer.token_bytes()?, &self.defaults.end_tokens)?,
        };
        Ok(self.filter.insert(filter))
    }

    /// Forgets what was read.
    pub fn reset(&mut self) {
        self.read = None;
    }

    /// The size (width, height), pixels, that a picture of the given size is resized to before it is read; places that the
    /// model writes are in pixels of that.
    ///
    /// # Errors
    /// [`QwenError::Vision`] for a picture without pixels, or one that is too thin to be resized.
    pub fn resized(&self, width: u32, height: u32) -> Result<(u32, u32), QwenError> {
        let grid = self.preprocessor.grid(0, width, height)?;
        let patch = self.vision.config().patch_size;
        // both are sides that smart_resize gave
        Ok(((grid.width * patch) as u32, (grid.height * patch) as u32))
    }

    /// How `messages` about `images`, one for each image part in order, are read: tokens, positions and patch grids.
    ///
    /// # Errors
    /// [`QwenError`] where pictures and placeholders do not agree, or the prompt is too long for the model.
    pub fn prompt(&self, messages: &[Message], images: &[&ColorImage]) -> Result<(PlacedPrompt, Vec<Grid>), QwenError> {
        let ids = self.tokenizer.encode_prompt(&self.template.render(messages)?)?;
        self.place(&ids, images)
    }

    fn place(&self, ids: &[u32], images: &[&ColorImage]) -> Result<(PlacedPrompt, Vec<Grid>), QwenError> {
        let grids = images
            .iter()
            .enumerate()
            .map(|(i, image)| self.preprocessor.grid(i, image.width, image.height))
            .collect::<Result<Vec<_>, _>>()?;
        let merge = self.vision.config().spatial_merge_size;
        let limit = self.config.text.max_position_embeddings;
        let prompt = place_images(ids, self.config.visual_tokens.image, &grids, merge, limit)?;
        Ok((prompt, grids))
    }

    /// Next-token logits of every position of a prompt of ids, `[tokens, vocab]`: for comparison with another implementation.
    ///
    /// # Errors
    /// As [`Self::prompt`].
    pub fn logits(&self, ids: &[u32], images: &[&ColorImage]) -> Result<Tensor<2>, QwenError> {
        let (prompt, _) = self.place(ids, images)?;
        let embedded = self.embedded(&prompt, images, 0)?;
        let mut cache = self.decoder.cache(prompt.ids.len());
        let hidden = self.decoder.read_sequence(embedded, &prompt.positions, &mut cache, CHUNK, true, &mut || true);
        let width = self.config.text.hidden_size;
        let hidden = hidden.unwrap_or_else(|| Tensor::zeros([1, 0, width], &self.placement.device));
        let tokens = hidden.dims()[1];
        Ok(self.decoder.logits(hidden.reshape([tokens, width])))
    }

    /// Answers `messages` about `images`, one for each image part in order. `on_text` sees the text as it comes and stops the
    /// reply with `ControlFlow::Break`, at the latest after one more token; while the prompt is read it is asked with an empty text.
    ///
    /// What an earlier prompt began with in the same way, pictures included, is not read again.
    ///
    /// # Errors
    /// As [`Self::prompt`].
    pub fn reply(
        &mut self,
        messages: &[Message],
        images: &[&ColorImage],
        options: &ReplyOptions,
        on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Reply, QwenError> {
        let ids = self.tokenizer.encode_prompt(&self.template.render(messages)?)?;
        self.reply_to_ids(&ids, images, options, on_text)
    }

    /// As [`Self::reply`], of a prompt that is token ids already, with one image placeholder a picture.
    ///
    /// # Errors
    /// As [`Self::prompt`].
    pub fn reply_to_ids(
        &mut self,
        ids: &[u32],
        images: &[&ColorImage],
        options: &ReplyOptions,
        on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Reply, QwenError> {
        let start = Instant::now();
        let mut guide = if options.grammar { Some(self.filter()?.start(options.max_tokens)?) } else { None };
        let (prompt, _) = self.place(ids, images)?;
        let prompt_tokens = prompt.ids.len();
        let (mut cache, reused_tokens) = self.reusable(&prompt, images, options.max_tokens);
        let embedded = self.embedded(&prompt, images, reused_tokens)?;
        let mut reply = Reply {
            text: String::new(),
            tokens: Vec::new(),
            ending: Ending::Budget,
            prompt_tokens,
            reused_tokens,
            first_token_ms: None,
        };
        let stopped = |on_text: &mut dyn FnMut(&str) -> ControlFlow<()>, text: &str| {
            if on_text(text).is_break() {
                return Some(Ending::Cancelled);
            }
            options.deadline.filter(|deadline| Instant::now() >= *deadline).map(|_| Ending::Deadline)
        };
        let mut stop = None;
        let mut hidden = self.decoder.read_sequence(
            embedded,
            &prompt.positions[reused_tokens..],
            &mut cache,
            CHUNK,
            false,
            &mut || {
                stop = stopped(on_text, "");
                stop.is_none()
            },
        );
        let mut read_ids = prompt.ids.clone();
        read_ids.truncate(cache.tokens());
        let mut sampler = Sampler::new(self.sampling(options));
        sampler.note(&prompt.ids);
        let mut stream = QwenTokenStream::new(&self.tokenizer);
        let mut next_position = prompt.next;
        let mut filter = self.filter.as_mut();
        while let Some(state) = hidden.take() {
            if reply.tokens.len() >= options.max_tokens {
                break;
            }
            let [_, tokens, width] = state.dims();
            let last = state.narrow(1, tokens - 1, 1).reshape([1, width]);
            let mut logits: Vec<f32> = self.decoder.logits(last).into_data().iter::<f32>().collect();
            if logits.iter().any(|x| !x.is_finite()) {
                return Err(QwenError::NotFinite { token: reply.tokens.len() });
            }
            if let (Some(filter), Some(guide)) = (&mut filter, &guide) {
                filter.mask(guide).apply(&mut logits);
            }
            let token = sampler.choose(&mut logits);
            if self.defaults.end_tokens.contains(&token) {
                reply.ending = Ending::Finished;
                break;
            }
            reply.first_token_ms.get_or_insert_with(|| start.elapsed().as_secs_f64() * 1e3);
            reply.tokens.push(token);
            let mut is_whole = false;
            if let (Some(filter), Some(guide)) = (&filter, &mut guide) {
                filter.advance(guide, token);
                is_whole = filter.is_done(guide);
            }
            let text = stream.push(token)?;
            reply.text += &text;
            stop = stopped(on_text, &text);
            if is_whole {
                // only the end may follow, so the model is not asked, and a deadline is met
                reply.ending = Ending::Finished;
                stop = stop.filter(|ending| *ending == Ending::Cancelled);
                break;
            }
            if stop.is_some() || reply.tokens.len() >= options.max_tokens {
                break;
            }
            let embedded = self.decoder.embed(&[token], &self.placement.device);
            hidden = self.decoder.read_sequence(embedded, &[[next_position; 3]], &mut cache, 1, false, &mut || true);
            read_ids.push(token);
            next_position += 1;
        }
        reply.ending = stop.unwrap_or(reply.ending);
        let rest = stream.finish()?;
        if !rest.is_empty() {
            // nothing is left to stop
            let _ = on_text(&rest);
            reply.text += &rest;
        }
        let images = prompt.images.iter().zip(images);
        let images = images.map(|((first, _), picture)| ReadImage { first_token: *first, picture: (*picture).clone() });
        self.read = Some(Read { ids: read_ids, images: images.collect(), cache });
        Ok(reply)
    }

    fn sampling(&self, options: &ReplyOptions) -> SamplerConfig {
        let d = &self.defaults;
        options.sampling.clone().unwrap_or(SamplerConfig {
            temperature: if d.sample { d.temperature } else { 0.0 },
            top_k: d.top_k,
            top_p: d.top_p,
            repetition_penalty: d.repetition_penalty,
            seed: 0,
        })
    }

    /// The cache of what was read last, cut back to what `prompt` begins with too, and how many tokens that is. The last token
    /// is always read again, as its logits are needed.
    fn reusable(&mut self, prompt: &PlacedPrompt, images: &[&ColorImage], max_tokens: usize) -> (KvCache, usize) {
        let tokens = prompt.ids.len();
        // room for a reply of ordinary length; a longer one makes its own
        let room = tokens + max_tokens.min(MAX_ROOM);
        let Some(read) = self.read.take() else { return (self.decoder.cache(room), 0) };
        let mut same = read.ids.iter().zip(&prompt.ids).take_while(|(a, b)| a == b).count();
        for (i, (first, count)) in prompt.images.iter().enumerate() {
            let unchanged = read
                .images
                .get(i)
                .is_some_and(|image| image.first_token == *first && Some(&image.picture) == images.get(i).copied());
            // a picture that is cached by half is read again, as the tower gives it whole
            if *first < same && (!unchanged || first + count > same) {
                same = *first;
            }
        }
        let mut cache = read.cache;
        let kept = same.min(tokens.saturating_sub(1)).min(cache.tokens());
        cache.truncate(kept);
        (cache, kept)
    }

    /// Embeddings of the tokens of `prompt` from `from` on, `[1, tokens, width]`, pictures at their places.
    fn embedded(&self, prompt: &PlacedPrompt, images: &[&ColorImage], from: usize) -> Result<Tensor<3>, QwenError> {
        let device = &self.placement.device;
        let width = self.config.text.hidden_size;
        let new = prompt.images.iter().zip(images).filter(|((first, _), _)| *first >= from);
        let (places, pictures): (Vec<(usize, usize)>, Vec<&ColorImage>) = new.map(|(p, i)| (*p, *i)).unzip();
        let mut parts = Vec::with_capacity(2 * places.len() + 1);
        let mut at = from;
        let text = |from: usize, to: usize| self.decoder.embed(&prompt.ids[from..to], device);
        if !pictures.is_empty() {
            let pixels = self.preprocessor.pixels(&pictures)?;
            let grids = pixels.grids.clone();
            let features = self.vision.forward(pixels.into_tensor(device), &grids)?;
            let mut row = 0;
            for (first, count) in places {
                if first > at {
                    parts.push(text(at, first));
                }
                parts.push(features.clone().narrow(0, row, count).reshape([1, count, width]));
                row += count;
                at = first + count;
            }
        }
        if at < prompt.ids.len() {
            parts.push(text(at, prompt.ids.len()));
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Tensor::cat(parts, 1) })
    }
}

fn file(dir: &Path, name: &str) -> Result<(Vec<u8>, String), QwenError> {
    let path = dir.join(name);
    Ok((read_file(&path, MAX_JSON)?, path.display().to_string()))
}

/// Numbers held at a time while a chunk of text is read behind `tokens` others: the residual stream, queries, keys and values,
/// both inner rows of the MLP, the scores where the device holds them, and the logits.
fn reading_numbers(text: &QwenTextConfig, tokens: usize) -> u64 {
    let chunk = CHUNK.min(tokens);
    let streams = chunk * (4 * text.hidden_size + 3 * text.intermediate_size);
    (streams + text.num_attention_heads * chunk * tokens + 2 * text.vocab_size) as u64
}

/// Numbers held at a time while a picture of `patches` is seen: as of text, and the scores of a whole head's attention.
fn seeing_numbers(vision: &QwenVisionConfig, patches: usize) -> u64 {
    let row = vision.patch_width() + 6 * vision.hidden_size + 3 * vision.intermediate_size + patches;
    (patches as u64).saturating_mul(row as u64)
}

/// Both parts, in the names of 2025 (`visual.`, `model.layers.`) or of transformers 5 (`model.visual.`, `model.language_model.layers.`).
fn parts(config: &QwenConfig, vision: &QwenVisionConfig, reader: &WeightReader) -> (QwenVision, Decoder) {
    let model = reader.enter("model");
    let nested = model.has("language_model.embed_tokens.weight");
    let (visual, text) =
        if nested { (model.enter("visual"), model.enter("language_model")) } else { (reader.enter("visual"), model) };
    (QwenVision::read(vision, &visual), Decoder::read(&config.decoder(), &text, reader))
}
