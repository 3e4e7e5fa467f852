//! CONNECT and SUBSCRIBE, and their answers.

use std::{io, num::NonZeroU16};

use skein_protocol::{
    ConnAck, Packet, PacketId, QoS, SubAck, TopicFilter, Version,
    packet::{Connect, ConnectProperties, Subscribe, SubscriptionOptions, Will},
};

/// Filters in one SUBSCRIBE: few enough for brokers that bound packets, or filters per packet.
const FILTERS_PER_SUBSCRIBE: usize = 100;
/// What MQTT 5 assumes if the CONNACK says nothing (3.2.2.3.3).
const RECEIVE_MAXIMUM_DEFAULT: u16 = u16::MAX;

/// How a connection introduces itself.
#[derive(Clone, Debug)]
pub(crate) struct Hello<'a> {
    /// Version of MQTT.
    pub(crate) version: Version,
    /// Client identifier.
    pub(crate) client_id: &'a str,
    /// Whether an earlier session is to be forgotten.
    pub(crate) clean_start: bool,
    /// How long the session is to outlive the connection; before MQTT 5 it does so for ever, unless
    /// it starts clean.
    pub(crate) session_expiry_s: u32,
    /// Keep alive.
    pub(crate) keep_alive_s: u16,
    /// User name.
    pub(crate) user: Option<&'a str>,
    /// Password.
    pub(crate) password: Option<&'a str>,
    /// Will.
    pub(crate) will: Option<Will<'a>>,
}

/// On what terms a broker took a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// Whether an earlier session goes on.
    pub(crate) session_present: bool,
    /// Messages above QoS 0 that may be unacknowledged.
    pub(crate) receive_maximum: u16,
    /// The highest QoS the broker takes.
    pub(crate) maximum_qos: QoS,
}

impl Hello<'_> {
    /// Appends the CONNECT.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let session_expiry_s = (self.session_expiry_s > 0).then_some(self.session_expiry_s);
        let connect = Connect {
            version: self.version,
            clean_start: self.clean_start,
            keep_alive_s: self.keep_alive_s,
            client_id: self.client_id,
            will: self.will.clone(),
            user_name: self.user,
            password: self.password.map(str::as_bytes),
            properties: ConnectProperties { session_expiry_s, ..ConnectProperties::default() },
        };
        Packet::Connect(connect).encode(self.version, out);
    }
}

impl Accepted {
    /// The terms of a CONNACK.
    ///
    /// # Errors
    /// The reason for which the broker refused.
    pub(crate) fn new(connack: &ConnAck<'_>) -> io::Result<Self> {
        if connack.reason.is_error() {
            return Err(io::Error::other(format!("the broker refuses: {}", connack.reason)));
        }
        let properties = &connack.properties;
        Ok(Self {
            session_present: connack.session_present,
            receive_maximum: properties
                .receive_maximum
                .map_or(RECEIVE_MAXIMUM_DEFAULT, NonZeroU16::get),
            maximum_qos: properties.maximum_qos.unwrap_or(QoS::ExactlyOnce),
        })
    }
}

/// Appends as many SUBSCRIBE packets as the filters need; how many those are.
pub(crate) fn encode_subscribe(
    version: Version,
    filters: &[String],
    qos: QoS,
    out: &mut Vec<u8>,
) -> io::Result<usize> {
    let options = SubscriptionOptions { qos, ..SubscriptionOptions::default() };
    let packets = filters.chunks(FILTERS_PER_SUBSCRIBE);
    let count = packets.len();
    for (number, filters) in packets.enumerate() {
        let filters = filters.iter().map(|filter| Ok((TopicFilter::new(filter)?, options)));
        let filters: Result<_, skein_protocol::Error> = filters.collect();
        let packet_id = (number % usize::from(u16::MAX)) as u16 + 1;
        let subscribe = Subscribe {
            packet_id: PacketId::new(packet_id).expect("1 was added"),
            identifier: None,
            user_properties: Default::default(),
            filters: filters.map_err(io::Error::other)?,
        };
        Packet::Subscribe(subscribe).encode(version, out);
    }
    Ok(count)
}

/// Whether every filter of a SUBSCRIBE was granted, with the QoS that was asked for.
pub(crate) fn check_suback(suback: &SubAck<'_>, qos: QoS) -> io::Result<()> {
    match suback.reasons.iter().find(|reason| **reason as u8 != qos as u8) {
        None => Ok(()),
        Some(reason) => Err(io::Error::other(format!(
            "the broker answers a subscription with QoS {qos} with {reason}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_filters_take_several_packets() {
        let filters: Vec<String> = (0..250).map(|number| format!("t/{number}")).collect();
        let mut out = Vec::new();
        assert_eq!(encode_subscribe(Version::V5, &filters, QoS::AtMostOnce, &mut out).unwrap(), 3);
        let bad = ["a/#/b".to_owned()];
        assert!(encode_subscribe(Version::V5, &bad, QoS::AtMostOnce, &mut out).is_err());
    }
}
