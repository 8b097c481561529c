//! A room's seed or a line of a scene file in, a scene to ask about out, and what a writer is told of it.

use std::fmt::Write;
use std::path::PathBuf;

use sha2::{Digest, Sha256};
use vantage_model::TextBox;
use vantage_scene::{Aabb, OrientedBox};

use crate::rooms::{Room, RoomConfig, generate};

/// An object of a scene.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SceneObject {
    /// What it is called.
    pub(crate) label: String,
    /// Name of its colour, where it is known.
    pub(crate) color: Option<String>,
    /// Metres, in the scene's world frame.
    pub(crate) bbox: OrientedBox,
}

/// What a scene was made from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Origin {
    /// A procedural room.
    Room(Box<Room>),
    /// A scene file, with its recorded views.
    File(Vec<PathBuf>),
}

/// A scene to ask about.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EngineScene {
    /// Unique among the scenes of a run.
    pub(crate) id: String,
    /// By which boxes are written as text.
    pub(crate) bounds: Aabb,
    /// Everything in it.
    pub(crate) objects: Vec<SceneObject>,
    /// What it was made from.
    pub(crate) origin: Origin,
}

/// The scenes of a run, in order.
#[derive(Debug, Clone)]
pub(crate) enum SceneList {
    /// Procedural rooms of consecutive seeds.
    Rooms {
        /// Seed of the first.
        first: u64,
        /// How many.
        count: u32,
    },
    /// Scenes of a file.
    Listed(Vec<EngineScene>),
}

impl SceneList {
    /// How many there are.
    pub(crate) fn len(&self) -> u32 {
        match self {
            Self::Rooms { count, .. } => *count,
            Self::Listed(scenes) => u32::try_from(scenes.len()).unwrap_or(u32::MAX),
        }
    }

    /// Scene `index`; `None` beyond the last.
    pub(crate) fn get(&self, index: u32) -> Option<EngineScene> {
        match self {
            Self::Rooms { first, count } => (index < *count).then(|| EngineScene::of_room(first + u64::from(index))),
            Self::Listed(scenes) => scenes.get(index as usize).cloned(),
        }
    }

    /// All of them, made one at a time.
    pub(crate) fn iter(&self) -> impl Iterator<Item = EngineScene> {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}

impl EngineScene {
    /// The procedural room of `seed`; its bounds are its walls.
    pub(crate) fn of_room(seed: u64) -> Self {
        let room = generate(seed, &RoomConfig::default());
        let object = |o: &crate::rooms::Object| SceneObject {
            label: o.class.to_owned(),
            color: Some(o.color.to_owned()),
            bbox: o.bbox,
        };
        Self {
            id: format!("room-{seed}"),
            bounds: Aabb { min: [0.0; 3], max: room.size },
            objects: room.objects.iter().map(object).collect(),
            origin: Origin::Room(Box::new(room)),
        }
    }

    /// The box of object `index` as text.
    pub(crate) fn text_box(&self, index: usize) -> Option<TextBox> {
        self.objects.get(index).map(|o| TextBox::from_box(&o.bbox, &self.bounds))
    }

    /// Every object with its name, colour, place, size and text box, a line each.
    pub(crate) fn description(&self) -> String {
        let mut out = String::new();
        for (i, object) in self.objects.iter().enumerate() {
            let color = object.color.as_ref().map_or_else(String::new, |c| format!("{c} "));
            let ([x, y, z], [w, d, h]) = (object.bbox.center, object.bbox.size);
            let turn = object.bbox.yaw.to_degrees();
            let text_box = TextBox::from_box(&object.bbox, &self.bounds);
            // writing to a String cannot fail
            let _ = writeln!(
                out,
                "{}. {color}{}: centre ({x:.2}, {y:.2}, {z:.2}) m, size {w:.2} x {d:.2} x {h:.2} m, turned {turn:.0} \
                 degrees, {text_box}",
                i + 1,
                object.label
            );
        }
        out
    }

    /// Equal for scenes of equal objects, whatever they are called.
    pub(crate) fn content(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        for object in &self.objects {
            for text in [Some(&object.label), object.color.as_ref()] {
                let text = text.map_or("", |t| t.as_str());
                digest.update((text.len() as u64).to_le_bytes());
                digest.update(text);
            }
            let OrientedBox { center, size, yaw } = object.bbox;
            for number in center.into_iter().chain(size).chain([yaw]) {
                digest.update(number.to_le_bytes());
            }
        }
        digest.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_object_is_described_with_a_box_that_leads_back_to_it() {
        let scene = EngineScene::of_room(5);
        let text = scene.description();
        assert_eq!(text.lines().count(), scene.objects.len());
        for (i, (line, object)) in text.lines().zip(&scene.objects).enumerate() {
            assert!(line.contains(&format!("{} {}", object.color.as_ref().unwrap(), object.label)), "{line}");
            let text_box = scene.text_box(i).unwrap();
            assert!(line.ends_with(&text_box.to_string()), "{line}");
            assert!(text_box.to_box(&scene.bounds).iou(&object.bbox) > 0.4, "{line}");
        }
    }

    #[test]
    fn the_content_does_not_depend_on_the_name() {
        let a = EngineScene::of_room(5);
        let b = EngineScene { id: "other".to_owned(), ..a.clone() };
        assert_eq!(a.content(), b.content());
        assert_ne!(a.content(), EngineScene::of_room(6).content());
        let mut moved = a.clone();
        moved.objects[0].bbox.yaw += 1e-6;
        assert_ne!(a.content(), moved.content());
    }

    #[test]
    fn rooms_are_listed_by_seed() {
        let list = SceneList::Rooms { first: 7, count: 2 };
        assert_eq!(list.iter().map(|s| s.id).collect::<Vec<_>>(), ["room-7", "room-8"]);
        assert!(list.get(2).is_none());
    }
}
