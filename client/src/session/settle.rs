//! The end of what an earlier process has begun in a session that this one takes over.
//!
//! Which messages of QoS 2 that process had sent, nobody knows any more. The server may hold some of
//! their identifiers, and would take a new message with such an identifier for the old one, sent
//! again [MQTT-4.3.3-10]: it would acknowledge it and deliver nothing. PUBREL frees an identifier
//! that is held, and does nothing to one that is not.

use std::time::Duration;

use skein_protocol::{Ack, Packet, PacketId};

use super::Session;

impl Session {
    /// A connection begins; `present` says whether the server has the session, `was_there` whether
    /// this process has had a connection in it.
    pub(super) fn settle(&mut self, present: bool, was_there: bool, now: Duration) {
        if !present {
            self.settling.clear();
        } else if !was_there {
            let ids_max = self.options.packet_ids_max.unwrap_or(0);
            self.settling = (1..=ids_max).filter_map(PacketId::new).collect();
        }
        for id in self.settling.clone() {
            self.write(&Packet::PubRel(Ack::success(id)), now);
        }
    }
}
