//! A difficulty in, the settings that rooms are made by out.

use clap::ValueEnum;

use super::catalog::{CLASSES, FIRST_CLASSES};

/// How hard rooms are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Difficulty {
    /// One room with few classes and few objects.
    Easy,
    /// All classes, some of them with distractors; a quarter of the flats have two rooms: what the embedded model was trained on.
    #[default]
    Default,
    /// Many objects, many distractors, up to three rooms.
    Hard,
}

impl std::str::FromStr for Difficulty {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        ValueEnum::from_str(text, false).map_err(|_| format!("difficulty `{text}`: it is easy, default or hard"))
    }
}

impl std::fmt::Display for Difficulty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Easy => "easy",
            Self::Default => "default",
            Self::Hard => "hard",
        })
    }
}

/// What rooms are like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RoomConfig {
    /// Shortest and longest side of a single room's floor, metres.
    pub side_m: (f64, f64),
    /// Fewest and most objects, of all rooms together.
    pub objects: (usize, usize),
    /// How many of [`CLASS_NAMES`](super::CLASS_NAMES), from the first, can come up.
    pub classes: usize,
    /// Chance that a class which is there gets a further copy of another colour and size.
    pub same_class: f64,
    /// Fewest and most rooms in a row.
    pub rooms: (usize, usize),
    /// Chance that a room which may be followed by another one is.
    pub next_room: f64,
}

impl RoomConfig {
    /// The settings of `difficulty`.
    pub fn of(difficulty: Difficulty) -> Self {
        let single = Self {
            side_m: (3.6, 5.6),
            objects: (7, 13),
            classes: FIRST_CLASSES,
            same_class: 0.0,
            rooms: (1, 1),
            next_room: 0.0,
        };
        match difficulty {
            Difficulty::Easy => single,
            Difficulty::Default => Self {
                objects: (8, 16),
                classes: CLASSES.len(),
                same_class: 0.25,
                rooms: (1, 2),
                next_room: 0.25,
                ..single
            },
            Difficulty::Hard => Self {
                objects: (12, 24),
                classes: CLASSES.len(),
                same_class: 0.5,
                rooms: (1, 3),
                next_room: 0.6,
                ..single
            },
        }
    }
}

impl Default for RoomConfig {
    fn default() -> Self {
        Self::of(Difficulty::Default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_difficulties_are_read_as_they_are_written() {
        for difficulty in [Difficulty::Easy, Difficulty::Default, Difficulty::Hard] {
            assert_eq!(difficulty.to_string().parse(), Ok(difficulty));
        }
        assert!("harder".parse::<Difficulty>().unwrap_err().contains("hard"));
        assert_eq!(RoomConfig::default(), RoomConfig::of(Difficulty::default()));
    }
}
