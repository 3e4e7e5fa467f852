//! Unix sockets: a path, its permissions, and what is left of it.

use std::os::unix::fs::PermissionsExt;

use skein_protocol::Version;

use crate::harness::{Broker, Doors, Way, connect, serial};

#[test]
fn a_unix_socket_has_the_permissions_it_was_given_and_goes_with_the_broker() {
    let path = std::env::temp_dir().join(format!("skein-{}-{}", std::process::id(), serial()));
    let settings = format!(
        "[[listener]]\naddress = \"127.0.0.1:0\"\n\
         [[listener]]\naddress = \"unix:{}\"\nunix_mode = 0o600\n",
        path.display()
    );
    for _ in 0..2 {
        let broker = Broker::start_as_configured(1, &settings);
        let mode = std::fs::metadata(&path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        broker.signal("TERM");
        assert_eq!(broker.wait().code(), Some(0));
        assert!(!path.exists(), "the path is free again");
    }
    // One that is killed cannot tidy up; the next one does.
    let broker = Broker::start_as_configured(1, &settings);
    broker.signal("KILL");
    broker.wait();
    assert!(path.exists());
    drop(Broker::start_as_configured(1, &settings));
    let _ = std::fs::remove_file(&path);
}

#[test]
fn many_clients_come_through_one_path() {
    let doors = Doors::open(4);
    let mut peers: Vec<_> = (0..50)
        .map(|number| {
            let mut peer = doors.peer(Way::Unix, Version::V5);
            peer.send(&connect(Version::V5, &doors.case.name(&number.to_string())));
            peer.receive().connack();
            peer
        })
        .collect();
    for peer in &mut peers {
        peer.expect_nothing();
    }
}
