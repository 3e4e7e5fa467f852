//! What stands in `deploy/` for those who run the broker.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::job::{Job, Stop, cargo, root, target};
use crate::tools;

pub(super) fn deploy(job: &mut Job) -> Result<(), Stop> {
    tools::ensure(job, &[tools::SYSTEMD, tools::OPENSSL])?;
    measure_unit(job)?;
    try_authority(job)
}

/// systemd's own measure of what a service may do, from 0 to 10, in tenths here.
fn measure_unit(job: &mut Job) -> Result<(), Stop> {
    let unit = root().join("deploy/systemd/skein.service");
    let mut command = Command::new("systemd-analyze");
    command.args(["security", "--offline=true", "--no-pager", "--threshold=15"]).arg(unit);
    job.run(&mut command)
}

/// The broker takes what the script makes: certificates, the authority and its list.
fn try_authority(job: &mut Job) -> Result<(), Stop> {
    let folder = target().join("xtask").join("authority");
    let _ = fs::remove_dir_all(&folder);
    let script = root().join("deploy/make-test-ca.sh");
    job.run(Command::new(&script).arg(&folder))?;
    job.run(Command::new(&script).arg(&folder).args(["client", "thermometer"]))?;
    job.run(Command::new(&script).arg(&folder).args(["revoke", "thermometer"]))?;
    let file = folder.join("skein.toml");
    fs::write(&file, configuration(&folder))
        .map_err(|error| Stop::Missing(format!("cannot write {}: {error}", file.display())))?;
    let mut command = cargo();
    job.run(command.args(["run", "--bin", "skein", "--", "check-config"]).arg(&file))
}

fn configuration(folder: &Path) -> String {
    let file = |name: &str| format!("{:?}", folder.join(name).display().to_string());
    format!(
        "[[listener]]\naddress = \"127.0.0.1:8883\"\n[listener.tls]\ncertificate = {}\nkey = {}\n\
         client_certificates = \"required\"\nclient_ca = {}\ncrl = {}\n",
        file("broker.pem"),
        file("broker.key"),
        file("ca.pem"),
        file("clients.crl")
    )
}
