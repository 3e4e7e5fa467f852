//! The listeners beside the plain one: TLS, WebSocket, both, and a Unix socket; the files they need,
//! and the variables by which a script learns of them.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use skein_test_authority::Authority;

/// A configuration, and what scripts are told of it.
pub(crate) struct Transports {
    /// As TOML.
    pub(crate) settings: String,
    pub(crate) variables: Vec<(&'static str, String)>,
}

/// A broker with a listener at `plain` and one of every other kind, whose files lie in `folder`.
///
/// # Errors
/// What the machine refuses: a file, a port.
pub(crate) fn prepare(folder: &Path, plain: SocketAddr) -> Result<Transports, String> {
    let told = |error: std::io::Error| format!("cannot prepare {}: {error}", folder.display());
    fs::create_dir_all(folder).map_err(told)?;
    let authority = Authority::new("skein interop");
    authority.write(folder, "ca");
    authority.server(&["localhost", "127.0.0.1"]).write(folder, "broker");
    let path = |name: &str| folder.join(name).display().to_string();
    let [tls, websocket, secure] = [
        super::broker::free_address(),
        super::broker::free_address(),
        super::broker::free_address(),
    ]
    .map(|address| address.map_err(told));
    let (tls, websocket, secure) = (tls?, websocket?, secure?);
    let files = format!(
        "[listener.tls]\ncertificate = {:?}\nkey = {:?}\n",
        path("broker.pem"),
        path("broker.key")
    );
    // A Unix socket's path is short, and that of the working folder may not be.
    let socket = std::env::temp_dir().join(format!("skein-interop-{}", plain.port()));
    let settings = format!(
        "[[listener]]\naddress = \"{plain}\"\n\
         [[listener]]\naddress = \"{tls}\"\n{files}\
         [[listener]]\naddress = \"{websocket}\"\nprotocol = \"websocket\"\n\
         [[listener]]\naddress = \"{secure}\"\nprotocol = \"websocket\"\n{files}\
         [[listener]]\naddress = \"unix:{}\"\n",
        socket.display()
    );
    let variables = vec![
        ("BROKER_CA", path("ca.pem")),
        ("BROKER_TLS_PORT", tls.port().to_string()),
        ("BROKER_WS_PORT", websocket.port().to_string()),
        ("BROKER_WSS_PORT", secure.port().to_string()),
        ("BROKER_UNIX", socket.display().to_string()),
    ];
    Ok(Transports { settings, variables })
}
