//! What was prepared already. In: the texts a result depends on. Out: a short name of them, and marks of finished work.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, Result};

/// The file that is written last into a prepared folder.
const MARK: &str = "complete";

/// A name of eight hexadecimal digits for a list of texts (FNV-1a, 64 bits folded to 32: a name, not a secret).
pub(crate) fn name_of<'a>(texts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for text in texts {
        // The length goes in too, so that ["ab", "c"] and ["a", "bc"] differ.
        for byte in (text.len() as u64).to_le_bytes().iter().chain(text) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    format!("{:08x}", (hash >> 32) ^ (hash & 0xffff_ffff))
}

/// Makes `folder` once: `make` runs only when its mark is missing, on an emptied folder, and one process at a time.
/// Returns whether it ran.
pub(crate) fn once(folder: &Path, make: impl FnOnce() -> Result<()>) -> Result<bool> {
    let parent = folder.parent().context("a prepared folder needs a parent")?;
    fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    let lock_path = folder.with_extension("lock");
    let lock = File::create(&lock_path).with_context(|| format!("cannot write {}", lock_path.display()))?;
    lock.lock().with_context(|| format!("cannot lock {}", lock_path.display()))?;
    if folder.join(MARK).is_file() {
        return Ok(false);
    }
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove the unfinished {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    make()?;
    fs::write(folder.join(MARK), "").with_context(|| format!("cannot mark {}", folder.display()))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_texts_apart() {
        let name = name_of([&b"ab"[..], b"c"]);
        assert_eq!(name.len(), 8);
        assert_eq!(name, name_of([&b"ab"[..], b"c"]));
        assert_ne!(name, name_of([&b"a"[..], b"bc"]));
    }

    #[test]
    fn unfinished_work_is_done_again_and_finished_work_is_not() {
        let folder = std::env::temp_dir().join(format!("vantage-stamp-{}", std::process::id())).join("thing");
        let failed = once(&folder, || {
            fs::write(folder.join("half"), "")?;
            anyhow::bail!("interrupted")
        });
        assert!(failed.is_err() && folder.join("half").exists());
        let mut emptied = false;
        let made = once(&folder, || {
            emptied = !folder.join("half").exists();
            Ok(())
        });
        assert!(made.unwrap() && emptied);
        assert!(!once(&folder, || anyhow::bail!("must not run")).unwrap());
        fs::remove_dir_all(folder.parent().unwrap()).unwrap();
    }
}
