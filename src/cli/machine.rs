//! What a configuration of Mosquitto leaves to the machine.

use std::net::{Ipv6Addr, TcpListener, ToSocketAddrs};

use crate::config::Machine;

/// This machine.
pub(super) fn this_machine() -> Machine {
    Machine {
        has_v6: TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok(),
        resolve: |host, port| {
            let found = (host, port).to_socket_addrs().map_err(|error| error.to_string())?;
            Ok(found.collect())
        },
    }
}
