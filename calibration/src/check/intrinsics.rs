//! A camera_info and the size of its images in, whether they can belong together out.

use super::verdict::{Finding, Verdict};
use crate::distortion::Distortion;

/// Fields of view of RGB-D cameras on the market, with room on either side, degrees: 40 (long range) to 120 (wide ToF).
const FIELD_OF_VIEW_DEG: std::ops::RangeInclusive<f64> = 30.0..=130.0;
/// fx and fy differ by less than this share in any camera with square pixels.
const ASPECT_TOLERANCE: f64 = 0.05;
/// A principal point further than this share of a side from the middle is unusual.
const OFF_CENTRE: f64 = 0.2;

/// The numbers of a camera_info, as they stand in the message.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InfoFacts<'a> {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// `[fx, fy]`, pixels.
    pub focal_px: [f64; 2],
    /// `[cx, cy]`, pixels.
    pub principal_px: [f64; 2],
    /// Name of the lens model.
    pub model: &'a str,
    /// Its coefficients.
    pub coefficients: &'a [f64],
}

/// The verdict on a camera_info: `name` is the finding's, `stream` what the message calls it, `image` the size of the images.
pub fn judge_info(name: &'static str, stream: &str, info: &InfoFacts<'_>, image: Option<(u32, u32)>) -> Finding {
    let mut verdict = Verdict::Ok;
    let mut faults = Vec::new();
    let mut fault = |v: Verdict, what: String| {
        verdict = verdict.max(v);
        faults.push(what);
    };
    let (width, height) = (f64::from(info.width), f64::from(info.height));
    let ([fx, fy], [cx, cy]) = (info.focal_px, info.principal_px);
    match image {
        None => fault(Verdict::Undecided, "no image to compare it with".to_owned()),
        Some((w, h)) if (w, h) != (info.width, info.height) => fault(
            Verdict::Fail,
            format!(
                "it is for {}x{}, the images have {w}x{h}: publish the camera_info of the images' size",
                info.width, info.height
            ),
        ),
        Some(_) => {}
    }
    let field_of_view = |side: f64, focal: f64| 2.0 * (side / (2.0 * focal)).atan().to_degrees();
    let horizontal = field_of_view(width, fx);
    if !(fx.is_finite() && fy.is_finite() && fx > 0.0 && fy > 0.0) {
        fault(Verdict::Fail, format!("fx {fx} and fy {fy} are no focal lengths; is the camera calibrated?"));
    } else {
        if !FIELD_OF_VIEW_DEG.contains(&horizontal) {
            fault(
                Verdict::Fail,
                format!(
                    "a field of view of {horizontal:.0} degrees is that of no RGB-D camera; are fx {fx} and the width of one size?"
                ),
            );
        }
        if (fx / fy - 1.0).abs() > ASPECT_TOLERANCE {
            fault(Verdict::Warn, format!("fx {fx:.1} and fy {fy:.1} differ by more than 5%"));
        }
    }
    if !(cx >= 0.0 && cy >= 0.0 && cx < width && cy < height) {
        fault(Verdict::Fail, format!("the principal point ({cx}, {cy}) lies outside of the image"));
    } else if (cx / width - 0.5).abs() > OFF_CENTRE || (cy / height - 0.5).abs() > OFF_CENTRE {
        fault(Verdict::Warn, format!("the principal point ({cx:.1}, {cy:.1}) is far from the middle"));
    }
    let lens = match Distortion::from_ros(info.model, info.coefficients) {
        Ok(Distortion::None) => "no distortion",
        Ok(_) => info.model,
        Err(error) => {
            fault(Verdict::Fail, error.to_string());
            info.model
        }
    };
    let numbers =
        format!("{stream}: {}x{}, fx {fx:.1}, field of view {horizontal:.1} degrees, {lens}", info.width, info.height);
    let message = [numbers].into_iter().chain(faults).collect::<Vec<_>>().join("; ");
    Finding::new(name, verdict, message).measured(horizontal, *FIELD_OF_VIEW_DEG.end(), "deg")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> InfoFacts<'static> {
        InfoFacts {
            width: 640,
            height: 480,
            focal_px: [525.0, 525.0],
            principal_px: [319.5, 239.5],
            model: "plumb_bob",
            coefficients: &[0.0; 5],
        }
    }

    #[test]
    fn each_fault_is_named() {
        let judge = |info: InfoFacts<'_>| judge_info("x", "depth", &info, Some((640, 480)));
        assert_eq!(judge(good()).verdict, Verdict::Ok);
        for (info, verdict, said) in [
            (InfoFacts { width: 320, height: 240, ..good() }, Verdict::Fail, "320x240, the images have 640x480"),
            (InfoFacts { focal_px: [0.0, 525.0], ..good() }, Verdict::Fail, "no focal lengths"),
            (InfoFacts { focal_px: [2100.0, 2100.0], ..good() }, Verdict::Fail, "field of view"),
            (InfoFacts { focal_px: [525.0, 600.0], ..good() }, Verdict::Warn, "differ"),
            (InfoFacts { principal_px: [640.0, 240.0], ..good() }, Verdict::Fail, "outside"),
            (InfoFacts { principal_px: [100.0, 240.0], ..good() }, Verdict::Warn, "far from the middle"),
            (InfoFacts { principal_px: [f64::NAN, 240.0], ..good() }, Verdict::Fail, "outside"),
            (InfoFacts { model: "omni", coefficients: &[0.1], ..good() }, Verdict::Fail, "omni"),
            (InfoFacts { coefficients: &[f64::NAN, 0.0, 0.0, 0.0, 0.0], ..good() }, Verdict::Fail, "finite"),
        ] {
            let finding = judge(info);
            assert!(finding.verdict == verdict && finding.message.contains(said), "{finding:?}");
        }
        assert_eq!(judge_info("x", "depth", &good(), None).verdict, Verdict::Undecided);
    }
}
