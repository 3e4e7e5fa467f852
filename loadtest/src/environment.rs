//! The machine that a run took place on, as far as its kernel tells in `/proc` and `/sys`.

use std::{collections::BTreeMap, fs, path::Path};

use crate::report::Environment;

impl Environment {
    /// Looks at the machine, and at the broker's process if its id is known. What cannot be read
    /// is left out.
    pub(crate) fn observe(pid: Option<u32>) -> Self {
        let own = read("/proc/self/status");
        let broker = pid.map(|pid| read(&format!("/proc/{pid}/status"))).unwrap_or_default();
        Self {
            program: env!("CARGO_PKG_VERSION").into(),
            commit: option_env!("SKEIN_COMMIT").map(str::to_owned),
            broker: None,
            cpu: processor(&read("/proc/cpuinfo")),
            cores: numbers(read("/sys/devices/system/cpu/online").trim()).len() as u32,
            affinity: numbers(field(&own, "Cpus_allowed_list")),
            broker_affinity: numbers(field(&broker, "Cpus_allowed_list")),
            governor: known("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            memory_bytes: memory_bytes(&read("/proc/meminfo")),
            system: system(&read("/etc/os-release")),
            kernel: read("/proc/sys/kernel/osrelease").trim().into(),
            sysctls: sysctls(Path::new("/proc/sys")),
            open_files_max: open_files_max(&read("/proc/self/limits")),
            load_average: load_average(&read("/proc/loadavg")),
        }
    }

    /// What a reader must know of the machine before believing a figure.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let (load, cores) = (self.load_average[0], self.cores);
        let is_busy = cores > 0 && load >= f64::from(cores);
        let remark = || {
            format!("The machine was busy before: a load average of {load} on {cores} processors.")
        };
        is_busy.then(remark).into_iter().collect()
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn known(path: &str) -> Option<String> {
    Some(read(path).trim().to_owned()).filter(|text| !text.is_empty())
}

/// What follows `name:` in a list of fields, or nothing.
fn field<'a>(fields: &'a str, name: &str) -> &'a str {
    let of = |line: &'a str| line.split_once(':').filter(|(found, _)| found.trim() == name);
    fields.lines().find_map(of).map_or("", |(_, value)| value.trim())
}

/// The name of the processor; some architectures tell only who made it.
fn processor(cpuinfo: &str) -> String {
    let names = ["model name", "Model", "Processor", "CPU implementer"];
    let name = names.map(|name| field(cpuinfo, name)).into_iter().find(|name| !name.is_empty());
    name.unwrap_or("unknown").into()
}

/// A list such as `0-2,5`.
fn numbers(list: &str) -> Vec<u32> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    list.split(',').filter_map(range).flatten().collect()
}

fn memory_bytes(meminfo: &str) -> u64 {
    let kibibytes = field(meminfo, "MemTotal").trim_end_matches(" kB").parse::<u64>();
    kibibytes.unwrap_or(0) * 1024
}

fn system(os_release: &str) -> String {
    let name = os_release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.unwrap_or("unknown").trim_matches('"').into()
}

/// The settings that bound how many connections and bytes the kernel takes.
fn sysctls(root: &Path) -> BTreeMap<String, String> {
    let value = |name: &str| {
        let text = fs::read_to_string(root.join(name.replace('.', "/"))).ok()?;
        Some((name.to_owned(), text.split_whitespace().collect::<Vec<_>>().join(" ")))
    };
    SYSCTLS.iter().filter_map(|name| value(name)).collect()
}

/// The soft limit of open files.
fn open_files_max(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn load_average(loadavg: &str) -> [f64; 3] {
    let mut words = loadavg.split_whitespace().map(|word| word.parse().unwrap_or(0.0));
    [(); 3].map(|()| words.next().unwrap_or(0.0))
}

const SYSCTLS: [&str; 11] = [
    "fs.file-max",
    "fs.nr_open",
    "net.core.netdev_max_backlog",
    "net.core.rmem_max",
    "net.core.somaxconn",
    "net.core.wmem_max",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_max_syn_backlog",
    "net.ipv4.tcp_mem",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let cpuinfo = "processor\t: 0\nmodel\t\t: 85\nmodel name\t: Some CPU @ 2 GHz\n";
        assert_eq!(processor(cpuinfo), "Some CPU @ 2 GHz");
        assert_eq!(processor(""), "unknown");
        assert_eq!(memory_bytes("MemFree: 1 kB\nMemTotal:       16 kB\n"), 16_384);
        assert_eq!(system("NAME=x\nPRETTY_NAME=\"Debian 12\"\n"), "Debian 12");
    }

    #[test]
    fn lists_of_processors_are_spelled_out() {
        assert_eq!(numbers("0-2,5"), [0, 1, 2, 5]);
        assert_eq!(numbers("3"), [3]);
        assert!(numbers("").is_empty());
    }

    #[test]
    fn limits_and_loads_are_read() {
        let limits = "Max processes  1  2  processes\nMax open files   1024   4096   files\n";
        assert_eq!(open_files_max(limits), Some(1024));
        assert_eq!(open_files_max("Max open files  unlimited unlimited files"), None);
        assert_eq!(load_average("0.50 0.25 0.12 1/234 5678"), [0.5, 0.25, 0.12]);
        assert_eq!(load_average(""), [0.0; 3]);
    }

    #[test]
    fn a_busy_machine_is_remarked() {
        let remarks = |load| {
            let load_average = [load, 0.0, 0.0];
            Environment { cores: 2, load_average, ..Environment::default() }.remarks().len()
        };
        assert_eq!((remarks(1.9), remarks(2.0)), (0, 1));
        assert!(Environment::default().remarks().is_empty(), "nothing is known");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_machine_is_seen() {
        let seen = Environment::observe(Some(std::process::id()));
        assert!(seen.cores > 0 && seen.memory_bytes > 0 && !seen.kernel.is_empty());
        assert_eq!(seen.affinity, seen.broker_affinity);
        assert!(!seen.affinity.is_empty() && !seen.sysctls.is_empty());
    }
}
