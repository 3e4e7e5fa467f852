//! One connection of a crowd, on its way to being ready and afterwards.

use std::{io, time::Duration};

use hdrhistogram::Histogram;
use skein_protocol::{
    Disconnect, DisconnectProperties, Frame, Packet, PacketType, QoS, ReasonCode,
};

use crate::{
    client::{Accepted, Connection, check_suback, encode_subscribe},
    plan::Target,
    report::latency::histogram,
};

/// What came of opening connections.
#[derive(Debug)]
pub(crate) struct Opened {
    /// Connections that became ready.
    pub(crate) ready: u64,
    /// Connections that were refused or failed.
    pub(crate) failed: u64,
    /// Why the first of those failed.
    pub(crate) reason: Option<io::Error>,
    /// Connections of earlier arrivals that the broker closed meanwhile.
    pub(crate) closed: u64,
    /// How long it took.
    pub(crate) took: Duration,
    /// From CONNECT to CONNACK, nanoseconds.
    pub(crate) connack: Histogram<u64>,
    /// From SUBSCRIBE to the last SUBACK, nanoseconds.
    pub(crate) suback: Histogram<u64>,
}

/// One connection of a crowd.
pub(super) struct Seat {
    pub(super) connection: Connection,
    pub(super) stage: Stage,
    /// When it asked for what it waits for.
    since_ns: u64,
}

/// Where a connection stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// CONNECT is on its way.
    Connecting,
    /// So many SUBACKs are missing.
    Subscribing(usize),
    /// It is served.
    Ready,
}

/// What a seat needs to become ready.
pub(super) struct Steps<'a> {
    pub(super) target: &'a Target,
    pub(super) filters: &'a dyn Fn() -> Vec<String>,
    pub(super) qos: QoS,
    /// Sees every packet that is no step, with the buffer for answers.
    pub(super) visit: &'a mut dyn FnMut(Frame<'_>, &mut Vec<u8>) -> io::Result<()>,
}

impl Seat {
    /// One whose CONNECT leaves now.
    pub(super) fn new(connection: Connection, now_ns: u64) -> Self {
        Self { connection, stage: Stage::Connecting, since_ns: now_ns }
    }

    /// Reads all that has come and writes what the kernel takes.
    pub(super) fn serve(
        &mut self,
        buffer: &mut Vec<u8>,
        now_ns: u64,
        mut visit: impl FnMut(Frame<'_>, &mut Vec<u8>) -> io::Result<()>,
    ) -> io::Result<()> {
        while let Some(filled) = self.connection.fill(buffer)? {
            self.connection.cut(&buffer[..filled], &mut visit)?;
        }
        self.connection.flush(now_ns)
    }

    /// The same on the way to being ready; what comes afterwards is forgotten.
    pub(super) fn advance(
        &mut self,
        buffer: &mut Vec<u8>,
        now_ns: u64,
        steps: &mut Steps<'_>,
        opened: &mut Opened,
    ) -> io::Result<()> {
        let (mut stage, mut since_ns) = (self.stage, self.since_ns);
        let version = steps.target.version;
        let outcome = self.serve(buffer, now_ns, |frame, out| {
            if !matches!(frame.packet_type(), PacketType::ConnAck | PacketType::SubAck) {
                return (steps.visit)(frame, out);
            }
            let latency = now_ns.saturating_sub(since_ns);
            match Packet::decode(frame, version).map_err(io::Error::other)? {
                Packet::ConnAck(connack) => {
                    Accepted::new(&connack)?;
                    opened.connack.saturating_record(latency);
                    let packets = encode_subscribe(version, &(steps.filters)(), steps.qos, out)?;
                    (stage, since_ns) = (Stage::after(packets), now_ns);
                }
                Packet::SubAck(suback) => {
                    check_suback(&suback, steps.qos)?;
                    if let Stage::Subscribing(left) = stage {
                        stage = Stage::after(left - 1);
                    }
                    if stage == Stage::Ready {
                        opened.suback.saturating_record(latency);
                    }
                }
                _ => {}
            }
            Ok(())
        });
        (self.stage, self.since_ns) = (stage, since_ns);
        outcome
    }

    /// Appends the SUBSCRIBE packets of these filters.
    pub(super) fn subscribe(
        &mut self,
        target: &Target,
        filters: &[String],
        qos: QoS,
        now_ns: u64,
    ) -> io::Result<()> {
        let out = self.connection.outgoing();
        self.stage = Stage::after(encode_subscribe(target.version, filters, qos, out)?);
        self.since_ns = now_ns;
        Ok(())
    }

    /// DISCONNECT. Whoever does not take it sees the connection close.
    pub(super) fn say_goodbye(&mut self, version: skein_protocol::Version, now_ns: u64) {
        let properties = DisconnectProperties::default();
        let disconnect = Disconnect { reason: ReasonCode::Success, properties };
        Packet::Disconnect(disconnect).encode(version, self.connection.outgoing());
        let _ = self.connection.flush(now_ns);
    }
}

impl Stage {
    /// That with so many SUBACKs missing.
    fn after(subacks: usize) -> Self {
        if subacks == 0 { Self::Ready } else { Self::Subscribing(subacks) }
    }
}

impl Opened {
    pub(super) fn new() -> Self {
        Self {
            ready: 0,
            failed: 0,
            reason: None,
            closed: 0,
            took: Duration::ZERO,
            connack: histogram(),
            suback: histogram(),
        }
    }

    /// A connection was refused or failed.
    pub(super) fn fail(&mut self, reason: io::Error) {
        self.failed += 1;
        self.reason.get_or_insert(reason);
    }

    /// Nobody may have failed.
    ///
    /// # Errors
    /// Why the first one did.
    pub(crate) fn check(&mut self) -> io::Result<()> {
        let late = || io::Error::other("the broker does not answer");
        match self.failed {
            0 => Ok(()),
            _ => Err(self.reason.take().unwrap_or_else(late)),
        }
    }

    /// Connections whose fate is known.
    pub(super) fn settled(&self) -> u64 {
        self.ready + self.failed
    }
}
