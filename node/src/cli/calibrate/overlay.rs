//! Color pictures and depth edges in, pictures with the outlines of depth drawn on color out.

use std::io::Cursor;

use anyhow::{Context, Result, ensure};
use image::{ImageFormat, Rgb, RgbImage};
use vantage_calibration::check::DepthEdge;

use super::examine::Examination;
use super::reduced::Reduced;

/// Outlines as the recording has them.
const BEFORE: Rgb<u8> = Rgb([255, 60, 60]);
/// Outlines after the correction that was found.
const AFTER: Rgb<u8> = Rgb([60, 255, 110]);
/// Small pictures are enlarged to at least this width.
const MIN_WIDTH: u32 = 480;
/// But by no more than this: a picture may be one pixel wide.
const MAX_ENLARGED: u32 = 8;
/// Side of a dot, pixels.
const DOT: u32 = 2;
/// Pixels between pictures on a sheet.
const GAP: u32 = 8;

/// A color picture twice: with the outlines as recorded, and corrected in time and place.
pub(super) struct Pair {
    pub(super) before: Option<RgbImage>,
    pub(super) after: Option<RgbImage>,
}

/// The pictures to look at.
pub(super) fn pairs(examined: &Examination) -> Vec<Pair> {
    let shift = examined.alignment.whole.map_or([0.0; 2], |peak| peak.shift_px.map(|x| x / examined.pictures.pixel));
    examined
        .drawn
        .iter()
        .map(|drawn| {
            let edges = &examined.pictures.outlines[drawn.outline].edges;
            let draw = |picture: &Option<Reduced>, shift: [f64; 2], color| {
                picture.as_ref().and_then(|p| outlined(p, edges, shift, color))
            };
            Pair { before: draw(&drawn.uncorrected, [0.0; 2], BEFORE), after: draw(&drawn.corrected, shift, AFTER) }
        })
        .collect()
}

/// All pictures on one sheet as PNG: a row each, before on the left and after on the right.
///
/// # Errors
/// When there is no picture to draw on.
pub(super) fn sheet(examined: &Examination) -> Result<Vec<u8>> {
    let pairs = pairs(examined);
    let pictures = || pairs.iter().flat_map(|p| [&p.before, &p.after]).flatten();
    ensure!(pictures().next().is_some(), "no depth image with outlines has a color image near it; nothing to draw");
    let (width, height) = pictures().fold((0, 0), |(w, h), p| (w.max(p.width()), h.max(p.height())));
    let rows = pairs.len() as u32;
    let mut sheet = RgbImage::new(2 * width + GAP, rows * (height + GAP) - GAP);
    for (row, pair) in (0u32..).zip(&pairs) {
        for (column, picture) in (0u32..).zip([&pair.before, &pair.after]) {
            if let Some(picture) = picture {
                let (x, y) = (column * (width + GAP), row * (height + GAP));
                image::imageops::replace(&mut sheet, picture, i64::from(x), i64::from(y));
            }
        }
    }
    png(&sheet)
}

/// A picture as the bytes of a PNG.
///
/// # Errors
/// When it cannot be encoded.
pub(super) fn png(picture: &RgbImage) -> Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).context("encoding a PNG")?;
    Ok(bytes.into_inner())
}

/// The picture, darkened, with a dot at every edge moved by `shift` pixels.
fn outlined(picture: &Reduced, edges: &[DepthEdge], shift: [f64; 2], color: Rgb<u8>) -> Option<RgbImage> {
    let small = RgbImage::from_raw(picture.width, picture.height, picture.rgb.clone())?;
    let scale = MIN_WIDTH.div_ceil(picture.width.max(1)).clamp(1, MAX_ENLARGED);
    let mut large = RgbImage::from_fn(small.width() * scale, small.height() * scale, |u, v| {
        Rgb(small.get_pixel(u / scale, v / scale).0.map(|x| (u16::from(x) * 3 / 4) as u8))
    });
    for edge in edges {
        let place = |x: f32, d: f64| ((f64::from(x) + d + 0.5) * f64::from(scale)).floor();
        let (u, v) = (place(edge.u, shift[0]), place(edge.v, shift[1]));
        let inside = u >= 0.0 && v >= 0.0 && u < f64::from(large.width()) && v < f64::from(large.height());
        if !inside {
            continue;
        }
        let (u, v) = (u as u32, v as u32);
        for (x, y) in (0..DOT * DOT).map(|i| (u + i % DOT, v + i / DOT)) {
            if x < large.width() && y < large.height() {
                large.put_pixel(x, y, color);
            }
        }
    }
    Some(large)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dot_lies_where_the_edge_and_the_shift_say() {
        let picture = Reduced { width: 500, height: 20, rgb: vec![100; 500 * 20 * 3], gray: vec![100; 500 * 20] };
        let edges = [
            DepthEdge { u: 10.5, v: 7.0, depth_m: 1.0 },
            DepthEdge { u: 499.0, v: 19.0, depth_m: 1.0 },
            DepthEdge { u: f32::NAN, v: 0.0, depth_m: 1.0 },
        ];
        let drawn = outlined(&picture, &edges, [3.0, -2.0], AFTER).unwrap();
        assert_eq!(drawn.get_pixel(14, 5), &AFTER);
        assert_eq!(drawn.pixels().filter(|p| **p == AFTER).count(), 4);
        assert_eq!(drawn.get_pixel(0, 0), &Rgb([75, 75, 75]));
    }
}
