//! A scene in, pictures of it as PNG data URIs out: rendered for a procedural room, read for a scene of a file.

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

use crate::data::engine::scene::{EngineScene, Origin};
use crate::rooms::{RecordConfig, record};

/// Size of a rendered view, pixels.
const VIEW_SIZE: (u32, u32) = (480, 360);
/// Largest picture that is read, bytes.
const MAX_VIEW_BYTES: u64 = 8 << 20;
/// How every PNG begins (PNG specification, 5.2).
const PNG_SIGNATURE: [u8; 8] = [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n'];

/// At most `count` views; none when `count` is 0.
///
/// # Errors
/// In words, when a picture cannot be had, or views are wanted and there is none.
pub(crate) fn of_scene(scene: &EngineScene, count: usize) -> Result<Vec<String>, String> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let pictures = match &scene.origin {
        Origin::Room(room) => {
            let (width, height) = VIEW_SIZE;
            let config = RecordConfig { width, height, frames: count, ..RecordConfig::default() };
            let png = |data: &[u8]| -> Result<Vec<u8>, String> {
                let mut out = Vec::new();
                let encoder = PngEncoder::new(&mut out);
                encoder
                    .write_image(data, width, height, ExtendedColorType::Rgb8)
                    .map_err(|e| format!("a view: {e}"))?;
                Ok(out)
            };
            record(room, &config).frames.iter().map(|f| png(&f.color.data)).collect::<Result<Vec<_>, _>>()?
        }
        Origin::File(paths) => paths.iter().take(count).map(|path| read(path)).collect::<Result<_, _>>()?,
    };
    if pictures.is_empty() {
        return Err("--images asks for views and the scene has none".to_owned());
    }
    Ok(pictures.iter().map(|png| format!("data:image/png;base64,{}", STANDARD.encode(png))).collect())
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let named = |fault: &dyn std::fmt::Display| format!("{}: {fault}", path.display());
    let meta = fs::metadata(path).map_err(|e| named(&e))?;
    if !meta.is_file() || meta.len() > MAX_VIEW_BYTES {
        return Err(named(&format_args!("no regular file of at most {MAX_VIEW_BYTES} bytes")));
    }
    let bytes = fs::read(path).map_err(|e| named(&e))?;
    if !bytes.starts_with(&PNG_SIGNATURE) {
        return Err(named(&"no PNG"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_are_rendered_and_files_are_read() {
        let room = EngineScene::of_room(3);
        assert!(of_scene(&room, 0).unwrap().is_empty());
        let views = of_scene(&room, 2).unwrap();
        assert_eq!(views.len(), 2);
        let png = STANDARD.decode(views[0].strip_prefix("data:image/png;base64,").unwrap()).unwrap();
        let picture = image::load_from_memory(&png).unwrap();
        assert_eq!((picture.width(), picture.height()), VIEW_SIZE);

        let dir = tempfile::tempdir().unwrap();
        let (good, bad) = (dir.path().join("a.png"), dir.path().join("b.png"));
        fs::write(&good, &png).unwrap();
        fs::write(&bad, "GIF89a").unwrap();
        let with = |paths: Vec<std::path::PathBuf>| EngineScene { origin: Origin::File(paths), ..room.clone() };
        assert_eq!(of_scene(&with(vec![good.clone(), bad.clone()]), 1).unwrap()[0], views[0]);
        assert!(of_scene(&with(vec![good, bad]), 2).unwrap_err().contains("b.png: no PNG"));
        assert!(of_scene(&with(vec![dir.path().join("c.png")]), 1).unwrap_err().contains("c.png"));
        assert!(of_scene(&with(Vec::new()), 1).unwrap_err().contains("--images"));
    }
}
