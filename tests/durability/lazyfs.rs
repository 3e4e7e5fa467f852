//! K3 on a file system that really has pages which were not synced: LazyFS, by FUSE. A kill takes the
//! broker, then LazyFS forgets what nobody has synced, then the broker starts again.
//!
//! It needs a build of LazyFS (<https://github.com/dsrhaslab/lazyfs>), `/dev/fuse` and `fusermount3`:
//! `cargo xtask durability --lazyfs PATH/TO/lazyfs`. Without them `disk.c` stands for it.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::options;
use crate::round::Drawn;

/// How long it may take to be mounted, and to end.
const MOUNT_MAX: Duration = Duration::from_secs(20);

/// A mounted LazyFS. It ends with this value.
struct Mounted {
    child: Child,
    mount: PathBuf,
    faults: Forgetful,
}

/// Where LazyFS is told to forget, and says that it has.
#[derive(Clone, Debug)]
pub(crate) struct Forgetful {
    faults: PathBuf,
    /// Open for as long as LazyFS runs, which writes to it without looking for a reader.
    completed: Arc<File>,
}

impl Forgetful {
    /// Whatever was written and not synced is gone.
    pub(crate) fn forget(&self) {
        fs::write(&self.faults, "lazyfs::clear-cache\n").expect("LazyFS takes orders");
        let mut heard = String::new();
        while !heard.contains("finished::clear-cache") {
            let mut buffer = [0; 64];
            let count = (&*self.completed).read(&mut buffer).expect("LazyFS answers");
            heard.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    }
}

impl Mounted {
    fn begin(folder: &Path) -> Self {
        let [mount, root] = ["mount", "root"].map(|name| folder.join(name));
        for made in [&mount, &root] {
            fs::create_dir(made).expect("there is room");
        }
        let [faults, completed] = ["faults", "completed"].map(|name| folder.join(name));
        let config = folder.join("lazyfs.toml");
        let text = format!(
            "[faults]\nfifo_path = {:?}\nfifo_path_completed = {:?}\n\
             [cache]\napply_eviction = false\n\
             [cache.simple]\ncustom_size = \"256mb\"\nblocks_per_page = 1\n\
             [filesystem]\nlog_all_operations = false\nlogfile = \"\"\n",
            faults, completed
        );
        fs::write(&config, text).expect("there is room");
        let binary = std::env::var_os("LAZYFS").expect("LAZYFS names the binary of LazyFS");
        let mut command = Command::new(binary);
        command.arg(&mount).arg("--config-path").arg(config).args(["-o", "modules=subdir", "-o"]);
        command.arg(format!("subdir={}", root.display())).arg("-f");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("LazyFS is a program");
        let began = Instant::now();
        let device = |path: &Path| fs::metadata(path).map(|it| it.dev()).ok();
        while device(&mount).is_none() || device(&mount) == device(folder) {
            assert!(began.elapsed() < MOUNT_MAX, "LazyFS is not mounted; is there /dev/fuse?");
            thread::sleep(Duration::from_millis(10));
        }
        let completed = File::options().read(true).write(true).open(completed);
        let completed = Arc::new(completed.expect("LazyFS has made it"));
        Self { child, mount, faults: Forgetful { faults, completed } }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // It unmounts itself, unless it has ended already.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let began = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if began.elapsed() > MOUNT_MAX {
                let _ = self.child.kill();
            }
            thread::sleep(Duration::from_millis(10));
        }
        let _ = Command::new("fusermount3").arg("-uq").arg(&self.mount).status();
    }
}

/// A run on LazyFS.
fn draw(seed: u64) -> (Mounted, Drawn) {
    let mut drawn = Drawn::new(seed, 20, 8);
    let mounted = Mounted::begin(drawn.folder.path());
    for start in [&mut drawn.round.start, &mut drawn.round.restart] {
        start.data_dir = mounted.mount.join("data");
        start.forgetful = Some(mounted.faults.clone());
    }
    (mounted, drawn)
}

#[test]
#[ignore = "needs LazyFS: cargo xtask durability --lazyfs PATH"]
fn lazyfs_what_was_acknowledged_was_synced() {
    let rounds = options::kills().div_ceil(20) as u64;
    for seed in options::seed()..options::seed() + rounds {
        let (_mounted, mut drawn) = draw(seed);
        drawn.kill_at_random(options::kills().min(20));
        drawn.round.pass("kills on LazyFS");
    }
}

/// That LazyFS forgets, and the check sees it.
#[test]
#[ignore = "needs LazyFS: cargo xtask durability --lazyfs PATH"]
fn lazyfs_acknowledgements_that_do_not_wait_for_it_are_found_out() {
    let seed = options::seed();
    let found_out = (seed..seed + 5).any(|seed| {
        let (_mounted, mut drawn) = draw(seed);
        for start in [&mut drawn.round.start, &mut drawn.round.restart] {
            start.settings.push_str("durability = \"os\"\n");
        }
        drawn.kill_at_random(5);
        drawn.round.play().is_err()
    });
    assert!(found_out);
}
