//! Ways to the broker that need something in between, and who vouches for it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use crate::broker::Broker;
use crate::program::{BOTH, command, start};

/// A SOCKS5 proxy (RFC 1928) for one connection, which lets everybody through to this machine; what
/// it was asked for.
fn socks(listener: &TcpListener) -> io::Result<String> {
    let (mut client, _) = listener.accept()?;
    let mut greeting = [0; 2];
    client.read_exact(&mut greeting)?;
    let mut methods = vec![0; greeting[1].into()];
    client.read_exact(&mut methods)?;
    assert!(greeting[0] == 5 && methods.contains(&0), "{greeting:?} {methods:?}");
    client.write_all(&[5, 0])?;
    let mut request = [0; 5];
    client.read_exact(&mut request)?;
    assert_eq!(request[..4], [5, 1, 0, 3], "CONNECT to a name, which the proxy looks up");
    let mut rest = vec![0; usize::from(request[4]) + 2];
    client.read_exact(&mut rest)?;
    let (name, port) = rest.split_at(rest.len() - 2);
    let port = u16::from_be_bytes([port[0], port[1]]);
    let broker = TcpStream::connect(("127.0.0.1", port))?;
    client.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 0])?;
    let ways = [(client.try_clone()?, broker.try_clone()?), (broker, client)];
    let ways = ways.map(|(mut from, mut to)| {
        thread::spawn(move || {
            // Whoever hangs up first ends both ways.
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Both);
        })
    });
    ways.into_iter().for_each(|way| way.join().expect("it only copies"));
    Ok(String::from_utf8_lossy(name).into_owned())
}

pub(crate) fn a_proxy_is_used_the_same() {
    let broker = Broker::start();
    for (name, words) in [
        ("pub", &["-t", "t", "-m", "x", "-q", "1"][..]),
        ("sub", &["-t", "t", "-E"]),
        ("rr", &["-t", "t", "-e", "t", "-m", "x", "-q", "1"]),
    ] {
        let asked = BOTH.map(|whose| {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
            let url = format!("socks5h://{}", listener.local_addr().expect("it is bound"));
            let proxy = thread::spawn(move || socks(&listener));
            let mut command = command(whose, name);
            command.args(["-p", &broker.port.to_string(), "-h", "broker.invalid", "--proxy", &url]);
            let ended = start(command.args(words), Some(b"")).wait().succeeded();
            (proxy.join().expect("no assertion fails").expect("a connection"), ended.out)
        });
        assert_eq!(asked[1], asked[0], "{name}");
        assert_eq!(asked[1].0, "broker.invalid");
    }
}
