//! `vantage calibrate`: a recording in; verdicts on its calibration, or its calibration estimated from motion, out.

mod bursts;
mod check;
mod depth;
mod examine;
mod inventory;
mod overlay;
mod pictures;
mod reduced;
mod report;
mod track;

use anyhow::Result;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};

use crate::source::TopicRequest;

/// Arguments of `vantage calibrate`.
#[derive(Debug, Args)]
pub(crate) struct CalibrateArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say with numbers whether depth, color, stamps, transforms and camera_info fit together; exit 1 when one does not.
    Check(check::CheckArgs),
    /// Estimate depth scale, bias and time offsets from motion, and write them as a rig file.
    Depth(depth::DepthArgs),
}

/// Which topics and frame of the recording are meant.
#[derive(Debug, Args)]
struct Which {
    /// Topic of the color images; found by type and name when left out.
    #[arg(long)]
    color_topic: Option<String>,
    /// Topic of the depth images.
    #[arg(long)]
    depth_topic: Option<String>,
    /// Topic of the depth images' camera_info.
    #[arg(long)]
    depth_info_topic: Option<String>,
    /// Topic of the color images' camera_info.
    #[arg(long)]
    color_info_topic: Option<String>,
    /// Name of the camera, whose topics are NAME/color/image_raw, NAME/depth/image_raw and so on.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["color_topic", "depth_topic", "depth_info_topic", "color_info_topic"])]
    camera: Option<String>,
    /// Frame in which the camera moves.
    #[arg(long, default_value = "odom")]
    global_frame: String,
}

impl Which {
    fn topics(&self) -> TopicRequest {
        TopicRequest {
            color: self.color_topic.clone(),
            depth: self.depth_topic.clone(),
            depth_info: self.depth_info_topic.clone(),
            color_info: self.color_info_topic.clone(),
            cameras: self.camera.iter().cloned().collect(),
            rig: None,
        }
    }
}

/// Runs `vantage calibrate`.
pub(crate) fn run(args: &CalibrateArgs) -> Result<()> {
    match &args.command {
        Command::Check(args) => check::run(args),
        Command::Depth(args) => depth::run(args),
    }
}

/// A bar that shows `what` is being done, on a terminal alone; a spinner where the length is unknown.
fn progress(what: &str, length: Option<u64>) -> ProgressBar {
    let bar = length.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    if let Ok(style) = ProgressStyle::with_template(&format!("{what} {{bar:30}} {{pos}}/{{len}} messages {{elapsed}}"))
    {
        bar.set_style(style);
    }
    bar
}
