//! Arguments of `vantage-train data generate` in, checked settings out.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::endpoint::{ClientConfig, Key, Limits, TASKS};
use super::scene::SceneList;
use super::scene_file::{self, SceneFileError};
use crate::tasks::Task;

/// Most rooms, and most questions of a scene.
const MAX_ROOMS: u32 = 10_000_000;
const MAX_PER_SCENE: u32 = 10_000;
/// Most requests under way.
const MAX_CONCURRENCY: usize = 256;
/// Most views of a request.
const MAX_IMAGES: usize = 4;
/// Longest wait for a reply, seconds.
const MAX_TIMEOUT_SECS: f64 = 3600.0;
/// Most tries after the first.
const MAX_RETRIES: u32 = 100;

/// Arguments of `vantage-train data generate`.
#[derive(Debug, Args)]
pub struct GenerateArgs {
    /// Folder to write; of the same settings, the run in it goes on.
    #[arg(long)]
    pub out: PathBuf,
    /// Procedural rooms to ask about.
    #[arg(long, default_value_t = 100, conflicts_with = "scenes")]
    pub rooms: u32,
    /// Seed of the first room; the others follow.
    #[arg(long, default_value_t = 0, conflicts_with = "scenes")]
    pub first_room: u64,
    /// File of described scenes (.json: one, .jsonl: one a line) instead of rooms; needs --endpoint.
    #[arg(long, requires = "endpoint")]
    pub scenes: Option<PathBuf>,
    /// Questions of each scene at most.
    #[arg(long, default_value_t = 12)]
    pub per_scene: u32,
    /// Seed of what is asked and of the split.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Share of the scenes for validation.
    #[arg(long, default_value_t = 0.1)]
    pub val_share: f64,
    /// Base of an OpenAI-compatible API that writes instead of templates, such as http://127.0.0.1:8000/v1.
    #[arg(long, requires = "model")]
    pub endpoint: Option<String>,
    /// Name of the endpoint's model.
    #[arg(long, requires = "endpoint")]
    pub model: Option<String>,
    /// Environment variable that holds the endpoint's key.
    #[arg(long, requires = "endpoint")]
    pub key_env: Option<String>,
    /// Tasks that the endpoint writes, one after the other.
    #[arg(long, value_delimiter = ',', value_parser = task, default_values = ["qa", "grounding", "object_caption", "planning"], requires = "endpoint")]
    pub tasks: Vec<Task>,
    /// Views shown with a scene, 0 to 4.
    #[arg(long, default_value_t = 0, requires = "endpoint")]
    pub images: usize,
    /// Sampling temperature of the endpoint.
    #[arg(long, default_value_t = 0.7, requires = "endpoint")]
    pub temperature: f64,
    /// Most tokens of a reply.
    #[arg(long, default_value_t = 700, requires = "endpoint")]
    pub max_reply_tokens: u32,
    /// Requests under way at once.
    #[arg(long, default_value_t = 4)]
    pub concurrency: usize,
    /// Longest wait for a reply, seconds.
    #[arg(long, default_value_t = 120.0, requires = "endpoint")]
    pub timeout: f64,
    /// Tries after the first, of a request that failed.
    #[arg(long, default_value_t = 6, requires = "endpoint")]
    pub retries: u32,
    /// Requests started a minute at most.
    #[arg(long, requires = "endpoint")]
    pub requests_per_minute: Option<f64>,
    /// Tokens a minute at most, prompts and replies.
    #[arg(long, requires = "endpoint")]
    pub tokens_per_minute: Option<f64>,
    /// Tokens in all, of earlier runs into the folder too; then the run ends.
    #[arg(long, requires = "endpoint")]
    pub max_tokens_total: Option<u64>,
    /// Cost in all, likewise, in the currency of the prices.
    #[arg(long, requires = "endpoint")]
    pub max_cost: Option<f64>,
    /// Price of a million prompt tokens.
    #[arg(long, default_value_t = 0.0, requires = "endpoint")]
    pub price_in: f64,
    /// Price of a million reply tokens.
    #[arg(long, default_value_t = 0.0, requires = "endpoint")]
    pub price_out: f64,
    /// End at the first bad scene or unreadable reply, rather than report and count it.
    #[arg(long)]
    pub strict: bool,
    /// Print the summary as a JSON object.
    #[arg(long)]
    pub json: bool,
}

/// What decides what is written; a folder holds one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// `templates` or `endpoint`.
    pub(crate) writer: WriterKind,
    /// Rooms; none with a scene file.
    pub(crate) rooms: Option<u32>,
    /// Seed of the first.
    pub(crate) first_room: Option<u64>,
    /// SHA-256 of the scene file.
    pub(crate) scenes: Option<String>,
    /// Questions of each scene at most.
    pub(crate) per_scene: u32,
    /// Of what is asked and of the split.
    pub(crate) seed: u64,
    /// Share of the scenes for validation.
    pub(crate) val_share: f64,
    /// The endpoint's.
    pub(crate) model: Option<String>,
    /// The endpoint's.
    pub(crate) tasks: Option<Vec<Task>>,
    /// The endpoint's.
    pub(crate) images: Option<usize>,
    /// The endpoint's.
    pub(crate) temperature: Option<f64>,
    /// The endpoint's.
    pub(crate) max_reply_tokens: Option<u32>,
}

/// Who writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WriterKind {
    /// Exact templates.
    Templates,
    /// A chat endpoint.
    Endpoint,
}

impl Settings {
    /// The first setting that differs: its name, its value here and there.
    pub(crate) fn difference(&self, other: &Self) -> Option<(String, String, String)> {
        let fields = |settings: &Self| match serde_json::to_value(settings) {
            Ok(Value::Object(fields)) => fields,
            _ => serde_json::Map::new(),
        };
        let (own, others) = (fields(self), fields(other));
        let show = |value: &Value| if value.is_null() { "none".to_owned() } else { value.to_string() };
        own.iter().find_map(|(name, value)| {
            let there = others.get(name).unwrap_or(&Value::Null);
            (there != value).then(|| (name.replace('_', "-"), show(value), show(there)))
        })
    }
}

/// What the arguments come to.
#[derive(Debug)]
pub(crate) struct Plan {
    /// What decides what is written.
    pub(crate) settings: Settings,
    /// What is asked about.
    pub(crate) scenes: SceneList,
    /// Scenes of the file that are of no use.
    pub(crate) bad_scenes: Vec<SceneFileError>,
    /// How the endpoint is reached, if one writes.
    pub(crate) client: Option<ClientConfig>,
    /// What the run may take.
    pub(crate) limits: Limits,
}

fn task(name: &str) -> Result<Task, String> {
    let names = || TASKS.map(Task::name).join(", ");
    TASKS.into_iter().find(|t| t.name() == name).ok_or_else(|| format!("an endpoint writes {}", names()))
}

/// Checks the arguments and reads the scene file.
///
/// # Errors
/// When an argument is out of range, the key is missing, or the scene file cannot be read.
pub(crate) fn plan(args: &GenerateArgs) -> Result<Plan> {
    ensure!((1..=MAX_PER_SCENE).contains(&args.per_scene), "--per-scene {}: give 1 to {MAX_PER_SCENE}", args.per_scene);
    ensure!((0.0..=1.0).contains(&args.val_share), "--val-share {}: give 0 to 1", args.val_share);
    ensure!(
        (1..=MAX_CONCURRENCY).contains(&args.concurrency),
        "--concurrency {}: give 1 to {MAX_CONCURRENCY}",
        args.concurrency
    );
    let (scenes, bad_scenes, digest) = match &args.scenes {
        Some(path) => {
            let file = scene_file::read(path)?;
            let digest: String = Sha256::digest(&file.bytes).iter().map(|b| format!("{b:02x}")).collect();
            (SceneList::Listed(file.scenes), file.bad, Some(digest))
        }
        None => {
            ensure!((1..=MAX_ROOMS).contains(&args.rooms), "--rooms {}: give 1 to {MAX_ROOMS}", args.rooms);
            let last = args.first_room.checked_add(u64::from(args.rooms));
            ensure!(last.is_some(), "--first-room {}: there are not {} seeds from there", args.first_room, args.rooms);
            (SceneList::Rooms { first: args.first_room, count: args.rooms }, Vec::new(), None)
        }
    };
    let client = args.endpoint.as_ref().map(|endpoint| client(args, endpoint)).transpose()?;
    let asks = client.is_some();
    let settings = Settings {
        writer: if asks { WriterKind::Endpoint } else { WriterKind::Templates },
        rooms: digest.is_none().then_some(args.rooms),
        first_room: digest.is_none().then_some(args.first_room),
        scenes: digest,
        per_scene: args.per_scene,
        seed: args.seed,
        val_share: args.val_share,
        model: args.model.clone(),
        tasks: asks.then(|| args.tasks.clone()),
        images: asks.then_some(args.images),
        temperature: asks.then_some(args.temperature),
        max_reply_tokens: asks.then_some(args.max_reply_tokens),
    };
    let limits = limits(args)?;
    Ok(Plan { settings, scenes, bad_scenes, client, limits })
}

fn client(args: &GenerateArgs, endpoint: &str) -> Result<ClientConfig> {
    let authority = endpoint.strip_prefix("http://").or_else(|| endpoint.strip_prefix("https://"));
    let Some(authority) = authority.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default()) else {
        bail!("--endpoint: give an address that begins with http:// or https://");
    };
    // the address is written down, so it must hold no secret
    ensure!(!authority.is_empty() && !authority.contains('@'), "--endpoint: give a host and no name or password");
    ensure!(!endpoint.contains(['?', '#']), "--endpoint: give the base without `?` and `#`, such as https://HOST/v1");
    let model = args.model.as_deref().unwrap_or_default().trim().to_owned();
    ensure!(!model.is_empty(), "--model: give the name of the endpoint's model");
    ensure!(!args.tasks.is_empty(), "--tasks: give at least one");
    ensure!(args.images <= MAX_IMAGES, "--images {}: give 0 to {MAX_IMAGES}", args.images);
    ensure!((0.0..=2.0).contains(&args.temperature), "--temperature {}: give 0 to 2", args.temperature);
    ensure!(args.max_reply_tokens > 0, "--max-reply-tokens 0: give at least 1");
    ensure!(
        args.timeout > 0.0 && args.timeout <= MAX_TIMEOUT_SECS,
        "--timeout {}: give more than 0 and at most {MAX_TIMEOUT_SECS} seconds",
        args.timeout
    );
    ensure!(args.retries <= MAX_RETRIES, "--retries {}: give at most {MAX_RETRIES}", args.retries);
    let key = match &args.key_env {
        Some(name) => {
            let text =
                env::var(name).ok().with_context(|| format!("--key-env {name}: no such variable, or not UTF-8"))?;
            Some(
                Key::new(&text)
                    .with_context(|| format!("--key-env {name}: what it holds can stand in no HTTP header"))?,
            )
        }
        None => None,
    };
    Ok(ClientConfig {
        endpoint: endpoint.to_owned(),
        model,
        key,
        temperature: args.temperature,
        max_reply_tokens: args.max_reply_tokens,
        timeout: Duration::from_secs_f64(args.timeout),
        retries: args.retries,
    })
}

fn limits(args: &GenerateArgs) -> Result<Limits> {
    for (name, rate) in [
        ("--requests-per-minute", args.requests_per_minute),
        ("--tokens-per-minute", args.tokens_per_minute),
        ("--max-cost", args.max_cost),
    ] {
        ensure!(rate.is_none_or(|r| r.is_finite() && r > 0.0), "{name}: give a number above 0");
    }
    for (name, price) in [("--price-in", args.price_in), ("--price-out", args.price_out)] {
        ensure!(price.is_finite() && price >= 0.0, "{name} {price}: give a number from 0 on");
    }
    let priced = args.price_in > 0.0 || args.price_out > 0.0;
    ensure!(
        args.max_cost.is_none() || priced,
        "--max-cost needs --price-in and --price-out: without prices all is free"
    );
    Ok(Limits {
        requests_per_minute: args.requests_per_minute,
        tokens_per_minute: args.tokens_per_minute,
        max_tokens_total: args.max_tokens_total,
        max_cost: args.max_cost,
        price_in: args.price_in,
        price_out: args.price_out,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: GenerateArgs,
    }

    fn planned(words: &str) -> Result<Plan> {
        let words = ["generate", "--out", "x"].into_iter().chain(words.split_whitespace());
        plan(&Line::try_parse_from(words)?.args)
    }

    #[test]
    fn bad_arguments_are_named() {
        let endpoint = "--endpoint http://h/v1 --model m";
        for (words, named) in [
            ("--rooms 0", "--rooms"),
            ("--per-scene 0", "--per-scene"),
            ("--val-share 1.5", "--val-share"),
            ("--val-share NaN", "--val-share"),
            ("--concurrency 0", "--concurrency"),
            ("--first-room 18446744073709551615 --rooms 2", "--first-room"),
            ("--scenes x.json", "--endpoint"),
            ("--images 2", "--endpoint"),
            ("--endpoint http://h", "--model"),
            ("--endpoint ftp://h --model m", "http://"),
            ("--endpoint https://me:pw@h/v1 --model m", "password"),
            ("--endpoint http://h/v1?key=1 --model m", "`?`"),
            (&format!("{endpoint} --images 5"), "--images"),
            (&format!("{endpoint} --tasks qa,situated"), "situated"),
            (&format!("{endpoint} --temperature=-1"), "--temperature"),
            (&format!("{endpoint} --timeout 0"), "--timeout"),
            (&format!("{endpoint} --timeout NaN"), "--timeout"),
            (&format!("{endpoint} --requests-per-minute 0"), "--requests-per-minute"),
            (&format!("{endpoint} --tokens-per-minute inf"), "--tokens-per-minute"),
            (&format!("{endpoint} --price-in=-1"), "--price-in"),
            (&format!("{endpoint} --max-cost 1"), "--price-in"),
            (&format!("{endpoint} --key-env VANTAGE_NO_SUCH_KEY"), "VANTAGE_NO_SUCH_KEY"),
            (&format!("{endpoint} --scenes none.json"), "none.json"),
        ] {
            let said = format!("{:#}", planned(words).unwrap_err());
            assert!(said.contains(named), "{words}: {said}");
        }
    }

    #[test]
    fn the_setting_that_differs_is_named() {
        let (a, b) = (planned("--rooms 3").unwrap().settings, planned("--rooms 3 --val-share 0.2").unwrap().settings);
        assert_eq!(a.difference(&a), None);
        assert_eq!(a.difference(&b), Some(("val-share".to_owned(), "0.1".to_owned(), "0.2".to_owned())));
        // limits may change from run to run
        let endpoint = "--endpoint http://h/v1 --model m";
        let limited = format!("{endpoint} --max-tokens-total 5 --concurrency 9 --retries 0");
        assert_eq!(planned(endpoint).unwrap().settings, planned(&limited).unwrap().settings);
        let back: Settings = serde_json::from_str(&serde_json::to_string(&a).unwrap()).unwrap();
        assert_eq!(back, a);
    }
}
