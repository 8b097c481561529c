//! Every file of every sample cut off and with bytes changed: nothing panics, and nothing takes memory by a number in a file.

use std::fs;
use std::path::{Path, PathBuf};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vantage_train::data::check_folder;

use super::copied;
use super::frames::{arkit_pictures, sens};

/// Changes and cuts of each file.
const CHANGES: usize = 120;
const CUTS: usize = 60;
/// Bytes changed at once.
const BYTES: usize = 3;
/// What breaks readers most: ends of numbers, quotes, brackets, signs, control characters.
const UNLUCKY: &[u8] = b"\"{}[],:-+.e0919\\/ \n\t\0\xff\x80N<>";

fn files(dir: &Path, out: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() { files(&path, out) } else { out.push(path) }
    }
}

/// Checks the folder with each file spoilt in turn; how often.
fn spoil_all(dir: &Path, mut spoil: impl FnMut(&[u8]) -> Vec<Vec<u8>>) -> usize {
    let mut all = Vec::new();
    files(dir, &mut all);
    let mut tried = 0;
    for path in all {
        let whole = fs::read(&path).unwrap();
        for bytes in spoil(&whole) {
            fs::write(&path, bytes).unwrap();
            let _ = check_folder(dir);
            tried += 1;
        }
        fs::write(&path, whole).unwrap();
    }
    tried
}

fn samples() -> tempfile::TempDir {
    let dir = copied();
    arkit_pictures(dir.path());
    fs::write(dir.path().join("scannet/scans/scene0000_00/scene0000_00.sens"), sens()).unwrap();
    dir
}

#[test]
fn cut_off_files_never_panic() {
    let dir = samples();
    let tried = spoil_all(dir.path(), |whole| (0..CUTS).map(|i| whole[..whole.len() * i / CUTS].to_vec()).collect());
    assert!(tried > 30 * CUTS, "{tried}");
    assert!(
        check_folder(dir.path()).list().iter().all(|f| f.to_string().starts_with("note")),
        "the samples are whole again"
    );
}

#[test]
fn changed_bytes_never_panic() {
    let dir = samples();
    let mut rng = ChaCha8Rng::seed_from_u64(30);
    let tried = spoil_all(dir.path(), |whole| {
        (0..CHANGES)
            .map(|_| {
                let mut bytes = whole.to_vec();
                for _ in 0..rng.random_range(1..=BYTES) {
                    let at = rng.random_range(0..bytes.len());
                    bytes[at] = if rng.random() { UNLUCKY[rng.random_range(0..UNLUCKY.len())] } else { rng.random() };
                }
                bytes
            })
            .collect()
    });
    assert!(tried > 30 * CHANGES, "{tried}");
}
