//! Answers and the scene in, a folder of results out: written beside its place and renamed, so that it is whole or not there.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use vantage_model::Answer;
use vantage_scene::{OrientedBox, Scene};

use super::contact_sheet::contact_sheet;
use super::draw::view_with_boxes;

/// Marks a folder as one that may be replaced.
const MARK: &str = "answers.jsonl";

/// Whether a file of this name is one that a folder of results holds.
fn is_result(name: &str) -> bool {
    [MARK, "map.ply", "mesh.ply", "report.html"].contains(&name)
        || (name.starts_with("question") && name.contains("_view") && name.ends_with(".png"))
        || (name.starts_with("question") && name.ends_with("_candidates.svg"))
}

/// A folder of results being written.
pub struct OutFolder {
    place: PathBuf,
    partial: PathBuf,
    sections: Vec<String>,
}

impl OutFolder {
    /// Starts a folder at `place`; an older folder of results there is replaced at the end, anything else is left alone.
    ///
    /// # Errors
    /// When `place` holds something else, or cannot be written.
    pub fn create(place: &Path) -> Result<Self> {
        ensure!(
            place.exists() || !place.is_symlink(),
            "--out {}: it is a link to nothing; name another folder",
            place.display()
        );
        if place.exists() {
            let entries = fs::read_dir(place).with_context(|| format!("--out {}", place.display()))?;
            let names: Vec<_> = entries.filter_map(Result::ok).map(|entry| entry.file_name()).collect();
            if let Some(foreign) = names.iter().find(|name| !is_result(&name.to_string_lossy())) {
                bail!(
                    "--out {}: it holds {}, which is no result; name another folder",
                    place.display(),
                    foreign.display()
                );
            }
            let empty = names.is_empty();
            ensure!(
                empty || place.join(MARK).exists(),
                "--out {}: it holds something else; name another folder",
                place.display()
            );
        }
        let name = place.file_name().with_context(|| format!("--out {} names no folder", place.display()))?;
        let partial = place.with_file_name(format!(".{}.partial-{}", name.to_string_lossy(), std::process::id()));
        fs::create_dir_all(&partial).with_context(|| format!("making {}", partial.display()))?;
        Ok(Self { place: place.to_owned(), partial, sections: Vec::new() })
    }

    /// Adds the views of one answer.
    ///
    /// # Errors
    /// When a picture cannot be written.
    pub fn add_answer(&mut self, scene: &Scene, answer: &Answer) -> Result<()> {
        let number = self.sections.len() + 1;
        let boxes: Vec<OrientedBox> = answer.boxes.iter().map(|b| b.bbox).collect();
        let mut pictures = String::new();
        for (i, view) in answer.views.iter().enumerate() {
            let Some(frame) = view.view.frame(scene.keyframes(), &answer.map_views) else { continue };
            let what = view.view.name(&answer.map_views);
            let name = format!("question{number}_view{}_{}.png", i + 1, what.replace(' ', "_"));
            let path = self.partial.join(&name);
            view_with_boxes(frame, &boxes).save(&path).with_context(|| format!("writing {}", path.display()))?;
            pictures += &format!(
                "<figure><img src=\"{name}\" alt=\"{what}\"><figcaption>{what}, gain {:.2}, utility {:.2}</figcaption></figure>",
                view.gain, view.scores.utility
            );
        }
        let mut sheet = String::new();
        if let Some(svg) = contact_sheet(scene, answer)? {
            let name = format!("question{number}_candidates.svg");
            let path = self.partial.join(&name);
            fs::write(&path, svg).with_context(|| format!("writing {}", path.display()))?;
            sheet = format!("<p><a href=\"{name}\">All {} views with their scores</a></p>", answer.candidates.len());
        }
        let boxes: String = answer
            .boxes
            .iter()
            .map(|b| {
                let [x, y, z] = b.bbox.center;
                let [w, d, h] = b.bbox.size;
                let label = escape(&b.label);
                format!(
                    "<li>{label} ({}): centre ({x:.2}, {y:.2}, {z:.2}) m, {w:.2} x {d:.2} x {h:.2} m, score {:.2}</li>",
                    b.id, b.score
                )
            })
            .collect();
        self.sections.push(format!(
            "<section><h2>{}</h2><p class=\"answer\">{}</p><p class=\"think\">{}</p><ul>{boxes}</ul><div class=\"views\">{pictures}</div>{sheet}</section>",
            escape(&answer.question),
            escape(&answer.answer),
            escape(&answer.reasoning)
        ));
        Ok(())
    }

    /// Writes the map, the lines and the report, and puts the folder in its place.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn finish(self, scene: &Scene, lines: &[String]) -> Result<PathBuf> {
        let at = |name: &str| self.partial.join(name);
        let create = |name: &str| {
            File::create(at(name)).map(BufWriter::new).with_context(|| format!("writing {}", at(name).display()))
        };
        scene.surface().write_ply(create("map.ply")?).context("writing map.ply")?;
        scene.map().mesh().write_ply(create("mesh.ply")?).context("writing mesh.ply")?;
        let mut jsonl = create(MARK)?;
        for line in lines {
            writeln!(jsonl, "{line}").context("writing answers.jsonl")?;
        }
        jsonl.flush().context("writing answers.jsonl")?;
        fs::write(at("report.html"), self.report(scene)).context("writing report.html")?;
        self.put_in_place().with_context(|| format!("moving the results to {}", self.place.display()))?;
        Ok(self.place.clone())
    }

    /// Older results go only when the new ones are there.
    fn put_in_place(&self) -> io::Result<()> {
        if !self.place.exists() {
            return fs::rename(&self.partial, &self.place);
        }
        let older = self.partial.with_extension("older");
        match fs::rename(&self.place, &older) {
            Ok(()) => {
                if let Err(error) = fs::rename(&self.partial, &self.place) {
                    fs::rename(&older, &self.place)?;
                    return Err(error);
                }
                // the new ones are in place, whatever becomes of the older
                if let Err(error) = fs::remove_dir_all(&older) {
                    tracing::warn!("removing {}: {error}", older.display());
                }
                Ok(())
            }
            // the place itself cannot move, as where something is mounted: file by file
            Err(_) => {
                let name = |entry: io::Result<fs::DirEntry>| entry.map(|entry| entry.file_name());
                let new: Vec<OsString> = fs::read_dir(&self.partial)?.map(name).collect::<io::Result<_>>()?;
                for file in &new {
                    fs::copy(self.partial.join(file), self.place.join(file))?;
                }
                for file in fs::read_dir(&self.place)?.map(name).collect::<io::Result<Vec<_>>>()? {
                    if !new.contains(&file) && is_result(&file.to_string_lossy()) {
                        fs::remove_file(self.place.join(file))?;
                    }
                }
                Ok(())
            }
        }
    }

    fn report(&self, scene: &Scene) -> String {
        const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem;color:#222}\
            h2{margin:2rem 0 .3rem}.answer{font-size:1.2rem;font-weight:600;margin:.2rem 0}.think{color:#555}\
            .views{display:flex;flex-wrap:wrap;gap:.8rem}figure{margin:0;flex:1 1 18rem}img{width:100%;border-radius:.3rem}\
            figcaption{color:#666;font-size:.85rem}";
        format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Vantage report</title><style>{STYLE}</style>\
             <h1>Vantage</h1><p>{} frames, {} surface points, {} keyframes. The fused map as points is <a href=\"map.ply\">map.ply</a>, as a mesh <a href=\"mesh.ply\">mesh.ply</a>.</p>{}</html>\n",
            scene.frames_fused(),
            scene.surface().len(),
            scene.keyframes().len(),
            self.sections.concat()
        )
    }
}

impl Drop for OutFolder {
    fn drop(&mut self) {
        // after a failure nothing half-written stays; after success there is nothing left to remove
        if self.partial.exists()
            && let Err(error) = fs::remove_dir_all(&self.partial)
        {
            tracing::warn!("removing {}: {error}", self.partial.display());
        }
    }
}

/// Text for HTML.
pub(crate) fn escape(text: &str) -> String {
    // XML has no way to write these
    let is_none_of_xml =
        |c: char| (c.is_control() && !['\t', '\n', '\r'].contains(&c)) || ['\u{fffe}', '\u{ffff}'].contains(&c);
    text.replace(is_none_of_xml, "\u{fffd}")
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_results_are_replaced_by_moving_or_file_by_file() {
        for place_is_stuck in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let place = dir.path().join("results");
            fs::create_dir(&place).unwrap();
            fs::write(place.join(MARK), "old").unwrap();
            fs::write(place.join("question7_candidates.svg"), "old").unwrap();
            let out = OutFolder::create(&place).unwrap();
            fs::write(out.partial.join(MARK), "new").unwrap();
            if place_is_stuck {
                // nothing can be moved to where something is
                let taken = out.partial.with_extension("older");
                fs::create_dir(&taken).unwrap();
                fs::write(taken.join("file"), "").unwrap();
            }
            out.put_in_place().unwrap();
            let names: Vec<_> = fs::read_dir(&place).unwrap().map(|e| e.unwrap().file_name()).collect();
            assert_eq!(names, [MARK]);
            assert_eq!(fs::read_to_string(place.join(MARK)).unwrap(), "new");
        }
    }

    #[test]
    fn what_xml_cannot_write_is_replaced() {
        assert_eq!(
            escape("<a & \"b\">\u{1b}[31m\u{1}\n\u{ffff}"),
            "&lt;a &amp; &quot;b&quot;&gt;\u{fffd}[31m\u{fffd}\n\u{fffd}"
        );
    }

    #[test]
    fn a_link_to_nothing_is_no_place() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path().join("nowhere"), &link).unwrap();
        assert!(OutFolder::create(&link).err().unwrap().to_string().contains("link to nothing"));
    }
}
