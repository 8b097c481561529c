//! A scene and an answer in, one picture (SVG) of all views that could have been chosen, with their scores and the chosen ones
//! marked by their rank, out.

use std::fmt::Write as _;
use std::io::Cursor;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::imageops::FilterType;
use image::{ImageFormat, RgbImage};
use vantage_model::{Answer, SelectedView};
use vantage_scene::{ColorImage, Scene};

use super::folder::escape;

/// Width of a view's picture, pixels.
const PICTURE: u32 = 200;
/// Space around a view, and height of its two lines of scores, pixels.
const GAP: f64 = 10.0;
const LINES: f64 = 32.0;
/// Views side by side at most.
const ACROSS: usize = 6;
/// Height of the lines above, the question and what the numbers are, pixels.
const TITLE: f64 = 46.0;
/// Most views drawn; of more, the chosen ones and those of highest gain.
const MOST: usize = 120;
/// Colour of a chosen view's frame and of its bars.
const CHOSEN: &str = "#d55e00";
const BAR: &str = "#0072b2";

/// The sheet; `None` where the answer names no candidates.
///
/// # Errors
/// When a picture cannot be encoded.
pub(crate) fn contact_sheet(scene: &Scene, answer: &Answer) -> Result<Option<String>> {
    let shown = shown(answer);
    if shown.is_empty() {
        return Ok(None);
    }
    let gains = shown.iter().map(|v| v.gain);
    let (low, high) = gains.fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), g| (l.min(g), h.max(g)));
    let mut cells = String::new();
    let mut drawn = 0usize;
    let mut tallest = 0.0f64;
    let pictures: Vec<(SelectedView, RgbImage)> = shown
        .into_iter()
        .filter_map(|view| {
            let frame = view.view.frame(scene.keyframes(), &answer.map_views)?;
            Some((view, thumbnail(&frame.color)?))
        })
        .collect();
    for (_, picture) in &pictures {
        tallest = tallest.max(f64::from(picture.height()));
    }
    let (width, height) = (f64::from(PICTURE) + GAP, tallest + LINES + GAP);
    for (view, picture) in &pictures {
        let rank = answer.views.iter().position(|v| v.view == view.view);
        let (x, y) = ((drawn % ACROSS) as f64 * width + GAP, (drawn / ACROSS) as f64 * height + TITLE);
        drawn += 1;
        let share = if high > low { (view.gain - low) / (high - low) } else { 1.0 };
        let name = view.view.name(&answer.map_views);
        cells += &cell(view, &name, rank, picture, [x, y], share)?;
    }
    let rows = drawn.div_ceil(ACROSS).max(1) as f64;
    let (width, height) = (drawn.min(ACROSS) as f64 * width + GAP, rows * height + TITLE);
    let width = width.max(3.0 * f64::from(PICTURE));
    Ok(Some(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" font-family=\"sans-serif\" \
         font-size=\"10\"><rect width=\"100%\" height=\"100%\" fill=\"white\"/>\
         <text x=\"{GAP}\" y=\"22\" font-size=\"15\" font-weight=\"bold\">{}</text>\n\
         <text x=\"{GAP}\" y=\"36\" fill=\"#666\">gain and new: of each view, were it the first</text>\n{cells}</svg>\n",
        escape(&answer.question)
    )))
}

/// All candidates in the order of time, or, of too many, the chosen and those of highest gain.
fn shown(answer: &Answer) -> Vec<SelectedView> {
    let mut shown = answer.candidates.clone();
    if shown.len() > MOST {
        let is_chosen = |v: &SelectedView| answer.views.iter().any(|c| c.view == v.view);
        shown.sort_by(|a, b| is_chosen(b).cmp(&is_chosen(a)).then(b.gain.total_cmp(&a.gain)));
        shown.truncate(MOST);
        shown.sort_by_key(|v| v.view);
    }
    shown
}

/// One view, called `name`: picture, rank where it was chosen, scores, and a bar for its gain among all.
fn cell(
    view: &SelectedView,
    name: &str,
    rank: Option<usize>,
    picture: &RgbImage,
    [x, y]: [f64; 2],
    share: f32,
) -> Result<String> {
    let mut png = Cursor::new(Vec::new());
    picture.write_to(&mut png, ImageFormat::Png).context("encoding a picture of the contact sheet")?;
    let (w, h) = picture.dimensions();
    let mut svg = format!(
        "<image x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" href=\"data:image/png;base64,{}\"/>",
        STANDARD.encode(png.into_inner())
    );
    // writing to a String cannot fail
    if let Some(rank) = rank {
        let _ = write!(
            svg,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" fill=\"none\" stroke=\"{CHOSEN}\" stroke-width=\"4\"/>\
             <circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"11\" fill=\"{CHOSEN}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" fill=\"white\" font-size=\"14\" text-anchor=\"middle\">{}</text>",
            x + 14.0,
            y + 14.0,
            x + 14.0,
            y + 19.0,
            rank + 1
        );
    }
    let bottom = y + f64::from(h);
    let scores = &view.scores;
    let _ = writeln!(
        svg,
        "<rect x=\"{x}\" y=\"{bottom}\" width=\"{:.1}\" height=\"4\" fill=\"{}\"/>\
         <text x=\"{x}\" y=\"{:.1}\">{name}: gain {:.2}, new {:.0}%</text>\
         <text x=\"{x}\" y=\"{:.1}\" fill=\"#666\">U {:.2}, text {:.2}, image {:.2}, clip {:.2}</text>",
        f64::from(w) * f64::from(share.clamp(0.0, 1.0)),
        if rank.is_some() { CHOSEN } else { BAR },
        bottom + 15.0,
        view.gain,
        100.0 * view.new,
        bottom + 27.0,
        scores.utility,
        scores.text,
        scores.image,
        scores.clip
    );
    Ok(svg)
}

/// The picture at the sheet's width; `None` where it is empty.
fn thumbnail(color: &ColorImage) -> Option<RgbImage> {
    let picture = RgbImage::from_raw(color.width, color.height, color.data.clone())?;
    if color.width == 0 || color.height == 0 {
        return None;
    }
    let height =
        (u64::from(PICTURE) * u64::from(color.height) / u64::from(color.width)).clamp(1, u64::from(2 * PICTURE));
    Some(image::imageops::resize(&picture, PICTURE, u32::try_from(height).ok()?, FilterType::Triangle))
}

#[cfg(test)]
mod tests {
    use super::*;
    use vantage_scene::ViewScores;

    #[test]
    fn a_picture_keeps_its_shape_and_a_long_one_is_bounded() {
        let picture = |width: u32, height: u32| {
            thumbnail(&ColorImage::new(width, height, vec![9; 3 * (width * height) as usize]).unwrap()).unwrap()
        };
        assert_eq!(picture(160, 120).dimensions(), (200, 150));
        assert_eq!(picture(1, 4000).dimensions(), (200, 400));
    }

    #[test]
    fn a_chosen_view_is_marked_by_its_rank() {
        let view = SelectedView { gain: 1.25, new: 0.5, ..SelectedView::keyframe(4, ViewScores::default()) };
        let chosen = cell(&view, "keyframe 4", Some(1), &RgbImage::new(8, 6), [0.0, 0.0], 0.5).unwrap();
        assert!(chosen.contains(">2</text>") && chosen.contains("keyframe 4: gain 1.25") && chosen.contains("new 50%"));
        assert!(!cell(&view, "", None, &RgbImage::new(8, 6), [0.0, 0.0], 0.5).unwrap().contains("circle"));
    }
}
