//! A number of rooms in, how many a second are furnished by one thread out.

use std::time::Instant;

use anyhow::{Result, ensure};
use clap::Args;
use serde::Serialize;
use vantage_node::sink::stdout;

use crate::rooms::{Difficulty, RoomConfig, generate};

/// Most rooms that a benchmark makes.
const MAX_ROOMS: u64 = 1_000_000;

/// Arguments of `vantage-train bench rooms`.
#[derive(Debug, Args)]
pub(super) struct RoomsArgs {
    /// Rooms to make.
    #[arg(long, default_value_t = 1000)]
    count: u64,
    /// How hard they are.
    #[arg(long, value_enum, default_value_t = Difficulty::Default)]
    difficulty: Difficulty,
    /// One JSON object instead of a sentence.
    #[arg(long)]
    json: bool,
}

/// The line of `--json`.
#[derive(Debug, Serialize)]
struct Summary {
    #[serde(rename = "type")]
    kind: &'static str,
    difficulty: String,
    rooms: u64,
    objects: usize,
    seconds: f64,
    rooms_per_s: f64,
}

/// Makes the rooms of seeds 0, 1, ... and prints how long it took.
pub(super) fn run(args: &RoomsArgs) -> Result<()> {
    ensure!((1..=MAX_ROOMS).contains(&args.count), "--count {}: give 1 to {MAX_ROOMS}", args.count);
    let config = RoomConfig::of(args.difficulty);
    let start = Instant::now();
    let objects = (0..args.count).map(|seed| generate(seed, &config).objects.len()).sum();
    let seconds = start.elapsed().as_secs_f64();
    let summary = Summary {
        kind: "rooms",
        difficulty: args.difficulty.to_string(),
        rooms: args.count,
        objects,
        seconds,
        rooms_per_s: args.count as f64 / seconds.max(f64::MIN_POSITIVE),
    };
    if args.json {
        return stdout::print(&serde_json::to_string(&summary)?);
    }
    let Summary { difficulty, rooms, objects, rooms_per_s, .. } = summary;
    stdout::print(&format!(
        "{rooms} rooms ({difficulty}, {objects} objects) in {seconds:.2} s: {rooms_per_s:.0} a second"
    ))
}
