//! A skein process for a test: built, started on a free port, ended when it is dropped.

use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::job::{cargo, root, target};

/// How long a broker may take until it listens.
const START_MAX: Duration = Duration::from_secs(10);

/// The command that builds the release binary.
pub(crate) fn build() -> Command {
    let mut command = cargo();
    command.current_dir(root()).args(["build", "--release", "--bin", "skein"]);
    command
}

/// The release binary.
pub(crate) fn binary() -> PathBuf {
    target().join("release").join("skein")
}

/// A broker that runs.
pub(crate) struct Broker {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Broker {
    /// Starts the release binary on a free port; what it prints goes to `log`.
    ///
    /// # Errors
    /// It does not start, or does not listen within ten seconds.
    pub(crate) fn start(config: &Path, shards: usize, log: &Path) -> io::Result<Self> {
        let address = free_address()?;
        let output = File::create(log)?;
        let child = Command::new(binary())
            .arg("serve")
            .args(["--listen", &address.to_string()])
            .args(["--shards", &shards.to_string()])
            .arg("--config")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()?;
        let mut broker = Self { child, address };
        broker.wait_until_it_listens().map(|()| broker)
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn wait_until_it_listens(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + START_MAX;
        while TcpStream::connect(self.address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!("skein ended at once: {status}")));
            }
            if Instant::now() >= deadline {
                return Err(io::Error::other("skein does not listen"));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended by itself, which the tests will have shown.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}
