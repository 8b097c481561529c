//! Nothing in, the bytes that this process may still take out: of the machine's memory, within the control group's limit.

use std::fs;
use std::path::Path;

/// Bytes of main memory that can be taken without swapping; what a GPU with memory of its own has is not in it. `None` where the
/// system does not say.
pub fn available_bytes() -> Option<u64> {
    let machine = meminfo(&fs::read_to_string("/proc/meminfo").ok()?)?;
    Some(group_room(Path::new("/sys/fs/cgroup")).map_or(machine, |room| room.min(machine)))
}

/// MemAvailable of /proc/meminfo, which gives it in KiB.
fn meminfo(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// What is left of the limit of a control group (version 2). Cached file pages are given back under pressure, so that they
/// count as room.
fn group_room(folder: &Path) -> Option<u64> {
    let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
    let limit: u64 = read("memory.max")?.trim().parse().ok()?;
    let used: u64 = read("memory.current")?.trim().parse().ok()?;
    let cached = read("memory.stat")
        .and_then(|stat| stat.lines().find_map(|line| line.strip_prefix("inactive_file "))?.trim().parse::<u64>().ok());
    Some(limit.saturating_sub(used.saturating_sub(cached.unwrap_or(0))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smaller_of_machine_and_group_counts() {
        assert_eq!(meminfo("MemTotal: 9 kB\nMemAvailable:    2048 kB\n"), Some(2 << 20));
        for bad in ["", "MemAvailable: x kB", "MemAvailable: 99999999999999999999 kB", "MemAvailable: 1 GB"] {
            assert_eq!(meminfo(bad), None, "{bad}");
        }
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        assert_eq!(group_room(folder.path()), None);
        write("memory.max", "1000\n");
        write("memory.current", "700\n");
        write("memory.stat", "file 300\ninactive_file 200\n");
        assert_eq!(group_room(folder.path()), Some(500));
        write("memory.max", "max\n");
        assert_eq!(group_room(folder.path()), None);
        assert!(available_bytes().is_some_and(|bytes| bytes > 0), "no /proc/meminfo here");
    }
}
