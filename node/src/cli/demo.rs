//! `vantage demo`: a room by seed, its recording replayed, five questions asked, the truth beside the answers.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::Args;

use super::replay::{Settings, replay};
use crate::questions;
use crate::source::TopicRequest;

/// Questions that the demo asks.
const QUESTIONS: usize = 5;
/// The program that makes rooms.
const ROOM_MAKER: &str = "vantage-train";

/// Arguments of `vantage demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Seed of the room.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    #[command(flatten)]
    settings: Settings,
}

/// Runs the demo.
pub(crate) fn run(args: &DemoArgs) -> Result<()> {
    let room = std::env::temp_dir().join(format!("vantage-demo-{}-{}", args.seed, std::process::id()));
    let result = make_room(args.seed, &room).and_then(|()| ask_about(&room, args));
    if room.exists() {
        std::fs::remove_dir_all(&room).with_context(|| format!("removing {}", room.display()))?;
    }
    result
}

/// Starts `vantage-train rooms`: the one beside this executable, else the one on the PATH.
fn make_room(seed: u64, room: &Path) -> Result<()> {
    let beside = std::env::current_exe().ok().map(|exe| exe.with_file_name(ROOM_MAKER)).filter(|p| p.exists());
    let program = beside.unwrap_or_else(|| PathBuf::from(ROOM_MAKER));
    tracing::info!("making room {seed} and its recording");
    let status = Command::new(&program)
        .args(["rooms", "--seed", &seed.to_string(), "--out"])
        .arg(room)
        .status()
        .with_context(|| format!("starting {}; build it with `cargo build -p vantage-train`", program.display()))?;
    ensure!(status.success(), "{} rooms --seed {seed} failed: {status}", program.display());
    Ok(())
}

fn ask_about(room: &Path, args: &DemoArgs) -> Result<()> {
    let known = questions::read(&room.join("questions.jsonl"))?;
    let asked: Vec<_> = known.into_iter().take(QUESTIONS).map(|k| (k.question.clone(), Some(k))).collect();
    ensure!(asked.len() == QUESTIONS, "room {} gives only {} questions; take another --seed", args.seed, asked.len());
    replay(&room.join("bag"), &TopicRequest::default(), &asked, &args.settings)
}
