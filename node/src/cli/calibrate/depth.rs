//! `vantage calibrate depth`: a recording of a moving camera in; depth scale and bias and time offsets, and a rig file, out.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;
use vantage_calibration::check::{DepthFit, Estimate, TimeOffset};
use vantage_calibration::{
    ColorStream, DepthEncoding, DepthModel, DepthNoise, DepthStream, RIG_VERSION, Rig, RigCamera, RigidTransform,
};

use super::Which;
use super::examine::Examination;
use crate::sink::stdout;
use crate::source::bare_name;

/// Share of readings that lie within the range written to the rig file on either side.
const RANGE_SHARES: [f64; 2] = [0.01, 0.99];

/// Name of a camera whose topics have no part in common.
const UNNAMED: &str = "camera";

/// Arguments of `vantage calibrate depth`.
#[derive(Debug, Args)]
pub(super) struct DepthArgs {
    /// A rosbag2 folder, an .mcap or a .db3 file in which the camera moves.
    bag: PathBuf,
    /// One JSON object a line on stdout instead of text.
    #[arg(long)]
    json: bool,
    /// Rig file to write.
    #[arg(long)]
    out: Option<PathBuf>,
    #[command(flatten)]
    which: Which,
}

/// A line of `--json`: a value, its standard error where it is known, and whether the recording determines it.
#[derive(Serialize)]
struct Line<'a> {
    r#type: &'a str,
    name: &'a str,
    value: f64,
    error: Option<f64>,
    unit: &'a str,
    determined: bool,
}

/// What is estimated, each to be added to a stream's stamps, or applied to its readings.
struct Estimates {
    fit: DepthFit,
    color_offset_s: Estimate,
}

/// Runs `vantage calibrate depth`.
pub(super) fn run(args: &DepthArgs) -> Result<()> {
    let examined = Examination::of(&args.bag, &args.which.topics(), &args.which.global_frame)?;
    let fit = match &examined.fit {
        Ok(fit) => *fit,
        Err(error) => bail!("{}: {error}", args.bag.display()),
    };
    if !fit.scale.determined {
        bail!("{}: {}", args.bag.display(), fit.why_undetermined());
    }
    let estimates = Estimates { fit, color_offset_s: color_offset(&fit, examined.color_against_depth()) };
    stdout::print(&if args.json { json(&estimates)? } else { text(&estimates) })?;
    // after the estimates: a rig that cannot be made must not hide them
    if let Some(out) = &args.out {
        let (color, depth) = (&examined.inventory.color.topic, &examined.inventory.depth.topic);
        let name = camera_name(args.which.camera.as_deref(), color, depth);
        rig(&args.bag, name, &examined, &estimates)?.save(out)?;
        tracing::info!("written to {}", out.display());
    }
    Ok(())
}

/// What the rig calls the camera, so that `--camera` finds its topics by the same name: as asked for, else what stands before
/// `/color/` or `/depth/` in a topic, else the first part that both topics share.
fn camera_name<'a>(asked: Option<&'a str>, color: &'a str, depth: &'a str) -> &'a str {
    if let Some(asked) = asked {
        return bare_name(asked);
    }
    let before = |topic: &'a str, part: &str| topic.split_once(part).map(|(name, _)| bare_name(name));
    let first = |topic: &'a str| bare_name(topic).split_once('/').map(|(name, _)| name);
    let shared = || first(color).filter(|name| first(depth) == Some(name));
    let name = before(color, "/color/").or_else(|| before(depth, "/depth/")).or_else(shared);
    name.filter(|name| !name.is_empty()).unwrap_or(UNNAMED)
}

/// What to add to color's stamps: as for depth, less what color is later than depth.
fn color_offset(fit: &DepthFit, color_against_depth: Option<TimeOffset>) -> Estimate {
    let depth = fit.offset_s;
    match color_against_depth {
        Some(later) => Estimate {
            value: depth.value - later.offset_s,
            error: if depth.determined { depth.error.hypot(later.error_s) } else { later.error_s },
            determined: true,
        },
        // both streams of one camera share their clock unless something tells otherwise
        None => Estimate { determined: false, error: f64::NAN, ..depth },
    }
}

impl Estimates {
    fn all(&self) -> [(&'static str, Estimate, &'static str); 4] {
        [
            ("depth_scale", self.fit.scale, ""),
            ("depth_bias", self.fit.bias_m, "m"),
            ("depth_time_offset", self.fit.offset_s, "s"),
            ("color_time_offset", self.color_offset_s, "s"),
        ]
    }
}

fn json(estimates: &Estimates) -> Result<String> {
    let mut lines = Vec::new();
    for (name, Estimate { value, error, determined }, unit) in estimates.all() {
        let error = Some(error).filter(|e| e.is_finite());
        lines.push(serde_json::to_string(&Line { r#type: "estimate", name, value, error, unit, determined })?);
    }
    let fit = &estimates.fit;
    lines.push(
        serde_json::json!({"type": "depth_calibration", "pairs": fit.pairs, "points": fit.points, "residual": fit.residual_share})
            .to_string(),
    );
    Ok(lines.join("\n"))
}

fn text(estimates: &Estimates) -> String {
    let mut lines: Vec<String> = estimates
        .all()
        .into_iter()
        .map(|(name, e, unit)| {
            let error = if e.error.is_finite() { format!(" +- {:.5}", e.error) } else { String::new() };
            let note = if e.determined { "" } else { "   (not determined by this recording; left as it is)" };
            format!("{name:18} {:9.5}{error} {unit}{note}", e.value)
        })
        .collect();
    lines.push(format!(
        "from {} pairs of depth images and {} points, typical distance {:.2}% of the depth",
        estimates.fit.pairs,
        estimates.fit.points,
        100.0 * estimates.fit.residual_share
    ));
    lines.join("\n")
}

/// The rig that this recording shows: one camera of this name with its intrinsics, mounting and corrections.
fn rig(bag: &Path, name: &str, examined: &Examination, estimates: &Estimates) -> Result<Rig> {
    let (color, depth) = (&examined.inventory.color, &examined.inventory.depth);
    let intrinsics = depth.camera().with_context(|| format!("{}: its camera_info makes no camera", depth.topic))?;
    let of_color = color.camera().with_context(|| format!("{}: its camera_info makes no camera", color.topic))?;
    let transforms = &examined.inventory.transforms;
    let parent = transforms.static_parent(&depth.frame_id).unwrap_or(&depth.frame_id).to_owned();
    let fixed = |target: &str| {
        let found = transforms.fixed(target, &depth.frame_id);
        found.with_context(|| format!("no static transform joins {target} and {}; record /tf_static", depth.frame_id))
    };
    let aligned = color.frame_id == depth.frame_id;
    let color_from_depth = if aligned { None } else { Some(RigidTransform::from(&fixed(&color.frame_id)?)) };
    let model = DepthModel {
        scale: estimates.fit.scale.value,
        bias_m: estimates.fit.bias_m.value,
        // the distance of two readings scatters by the square root of two more than one; errors of the poses are in it too
        noise: DepthNoise {
            base_m: 0.0,
            linear: estimates.fit.residual_share / std::f64::consts::SQRT_2,
            quadratic_per_m: 0.0,
        },
    };
    let reading = |share: f64| examined.pictures.statistics.percentile(share).unwrap_or(0.0);
    let range_m =
        RANGE_SHARES.map(|share| (100.0 * (model.scale * reading(share) + model.bias_m)).round().max(0.0) / 100.0);
    let bag_name = bag.file_name().map_or_else(|| bag.display().to_string(), |n| n.to_string_lossy().into_owned());
    let encoding =
        if depth.encoding.starts_with("32FC1") { DepthEncoding::F32Metres } else { DepthEncoding::U16Millimetres };
    Ok(Rig {
        version: RIG_VERSION,
        name: name.to_owned(),
        source: format!(
            "vantage calibrate depth on {bag_name}: scale +- {:.4}, residual {:.2}%",
            estimates.fit.scale.error,
            100.0 * estimates.fit.residual_share
        ),
        cameras: vec![RigCamera {
            name: name.to_owned(),
            link_from_depth: RigidTransform::from(&fixed(&parent)?),
            link_frame: parent,
            color: ColorStream {
                frame_id: color.frame_id.clone(),
                intrinsics: of_color,
                time_offset_s: estimates.color_offset_s.value,
            },
            depth: DepthStream {
                frame_id: depth.frame_id.clone(),
                intrinsics,
                encoding,
                range_m,
                time_offset_s: estimates.fit.offset_s.value,
                model,
            },
            color_from_depth,
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(value: f64, error: f64, determined: bool) -> Estimate {
        Estimate { value, error, determined }
    }

    fn fit(offset: Estimate) -> DepthFit {
        DepthFit {
            scale: estimate(1.02, 0.001, true),
            bias_m: estimate(0.0, f64::NAN, false),
            offset_s: offset,
            residual_share: 0.01,
            pairs: 9,
            points: 99,
        }
    }

    #[test]
    fn colors_offset_is_relative_to_depths() {
        let later = TimeOffset { offset_s: 0.1, error_s: 0.003, score: 1.0, rival: 0.2 };
        let both = color_offset(&fit(estimate(0.02, 0.004, true)), Some(later));
        assert!((both.value + 0.08).abs() < 1e-12 && (both.error - 0.005).abs() < 1e-12 && both.determined);
        let alone = color_offset(&fit(estimate(0.02, 0.004, true)), None);
        assert!(alone.value == 0.02 && !alone.determined);
    }

    #[test]
    fn the_camera_is_called_as_its_topics_are_found() {
        for (asked, color, depth, name) in [
            (Some("/robot/front/"), "/any/color/image_raw", "/any/depth/image_raw", "robot/front"),
            (None, "/camera/color/image_raw", "/camera/aligned_depth_to_color/image_raw", "camera"),
            (None, "/robot/front/color/image_raw", "/robot/front/depth/image_raw", "robot/front"),
            (None, "/robot/kinect/rgb/image_raw", "/robot/kinect/depth/image", "robot/kinect"),
            (None, "/kinect/rgb/image_raw", "/kinect/depth_registered/image_raw", "kinect"),
            (None, "/rgb", "/depth", UNNAMED),
            (None, "/color/image_raw", "/depth/image_raw", UNNAMED),
            (None, "/left/rgb", "/right/depth_registered", UNNAMED),
        ] {
            assert_eq!(camera_name(asked, color, depth), name, "{color}");
        }
    }

    #[test]
    fn what_is_not_determined_is_said_and_is_valid_json() {
        let estimates =
            Estimates { fit: fit(estimate(0.0, f64::NAN, false)), color_offset_s: estimate(0.0, f64::NAN, false) };
        assert_eq!(text(&estimates).matches("not determined").count(), 3);
        for line in json(&estimates).unwrap().lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(value["type"].is_string(), "{line}");
        }
    }
}
