//! The memory this process may use.

use std::fs;
use std::path::{Path, PathBuf};

/// The bytes of memory this process may use: what the machine has, or less where its control group
/// or one above it is limited. `None` where the system does not say.
pub fn available_memory() -> Option<usize> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| machine_bytes(&text));
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let group = group_limits(Path::new("/sys/fs/cgroup"), &groups);
    machine.into_iter().chain(group).min()
}

/// `MemTotal` of `/proc/meminfo`, in bytes.
fn machine_bytes(meminfo: &str) -> Option<usize> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// The least limit among the process's control group and those above it. `groups` is
/// `/proc/self/cgroup`: `0::/path` for version 2, `N:memory:/path` for version 1.
fn group_limits(root: &Path, groups: &str) -> Option<usize> {
    let limits = groups.lines().flat_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next().unwrap_or(""), fields.next().unwrap_or("/"));
        let (top, file) = match controllers {
            "" => (root.to_owned(), "memory.max"),
            "memory" => (root.join("memory"), "memory.limit_in_bytes"),
            _ => return Vec::new(),
        };
        // In a container the path may be one of the outside, and the top is the container's own.
        let folders = Path::new(path.trim_start_matches('/')).ancestors();
        folders.map(|folder| top.join(folder).join(file)).collect::<Vec<PathBuf>>()
    });
    limits.filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok()).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_says_its_memory_in_kibibytes() {
        assert_eq!(machine_bytes("MemTotal:       2048 kB\nMemFree: 1 kB\n"), Some(2_097_152));
        assert_eq!(machine_bytes("MemFree: 1 kB\n"), None);
    }

    #[test]
    fn the_least_limit_above_a_control_group_counts() {
        let root = std::env::temp_dir().join(format!("skein-groups-{}", std::process::id()));
        fs::create_dir_all(root.join("outer/inner")).expect("a folder for temporary files");
        fs::write(root.join("outer/memory.max"), "5000\n").expect("room for a line");
        fs::write(root.join("outer/inner/memory.max"), "max\n").expect("room for a line");
        let limit = group_limits(&root, "0::/outer/inner\n");
        let unlimited = group_limits(&root, "0::/\n");
        fs::remove_dir_all(&root).expect("it is ours");
        assert_eq!((limit, unlimited), (Some(5_000), None));
    }

    #[test]
    fn this_machine_says_how_much_it_has() {
        assert!(available_memory().is_some_and(|bytes| bytes > 16 * 1024 * 1024));
    }
}
