//! A file's name in, the split that it says out.

use std::path::Path;

use super::file;

/// A split of a file whose name tells none.
pub(crate) const ALL: &str = "all";

/// The splits that ScanQA's test set has.
const PARTS_OF_TEST: [&str; 2] = ["test_w_obj", "test_wo_obj"];

/// `train`, `val`, `test`, `test_w_obj`, `test_wo_obj`, or `all` when the file's name tells none.
pub fn split_of(path: &Path) -> &'static str {
    let stem = file::stem(path).to_lowercase();
    if let Some(part) = PARTS_OF_TEST.iter().find(|part| stem.ends_with(*part)) {
        return part;
    }
    stem.split(|c: char| !c.is_alphanumeric()).rev().find_map(of_word).unwrap_or(ALL)
}

/// The split that a word names.
pub(crate) fn of_word(word: &str) -> Option<&'static str> {
    match word {
        "train" | "training" | "Training" => Some("train"),
        "val" | "valid" | "validation" | "Validation" => Some("val"),
        "test" => Some("test"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_names_tell_their_split() {
        for (name, split) in [
            ("ScanRefer_filtered_train.json", "train"),
            ("ScanQA_v1.0_val.json", "val"),
            ("ScanQA_v1.0_test_w_obj.json", "test_w_obj"),
            ("ScanQA_v1.0_test_wo_obj.json", "test_wo_obj"),
            ("v1_balanced_questions_test_scannetv2.json", "test"),
            ("Scene-R1-cold-qa-1-train.jsonl", "train"),
            ("nr3d.csv", "all"),
            ("data_part2_scene_v2.json", "all"),
        ] {
            assert_eq!(split_of(Path::new(name)), split, "{name}");
        }
    }
}
