//! What the null broker says to packets other than PUBLISH.

use std::io;

use skein_protocol::{
    ConnAck, ConnAckProperties, Frame, Packet, QoS, ReasonCode, SubAck, UnsubAck, Version,
};

/// What is to be done about a packet.
#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    /// Nothing.
    Nothing,
    /// This is to be sent.
    Bytes(Vec<u8>),
    /// This is to be sent to a new subscriber.
    Subscribed(Vec<u8>),
    /// The connection is to be closed.
    Close,
}

/// The answer to a whole packet; a CONNECT sets the version of the connection.
///
/// # Errors
/// The packet is malformed, or a PUBLISH that a null broker cannot copy.
pub(super) fn answer(bytes: &[u8], version: &mut Version) -> io::Result<Answer> {
    let Some((frame, _)) = Frame::decode(bytes, usize::MAX).map_err(io::Error::other)? else {
        return Ok(Answer::Nothing);
    };
    let packet = Packet::decode(frame, *version).map_err(io::Error::other)?;
    let encode = |packet: Packet<'_>, version| {
        let mut out = Vec::new();
        packet.encode(version, &mut out);
        out
    };
    Ok(match packet {
        Packet::Connect(connect) => {
            *version = connect.version;
            Answer::Bytes(encode(Packet::ConnAck(connack()), *version))
        }
        Packet::Subscribe(subscribe) => {
            let reasons = subscribe.filters.iter().map(|_| ReasonCode::Success).collect();
            let packet_id = subscribe.packet_id;
            let suback = SubAck { packet_id, reasons, properties: Default::default() };
            Answer::Subscribed(encode(Packet::SubAck(suback), *version))
        }
        Packet::Unsubscribe(unsubscribe) => {
            let reasons = unsubscribe.filters.iter().map(|_| ReasonCode::Success).collect();
            let packet_id = unsubscribe.packet_id;
            let unsuback = UnsubAck { packet_id, reasons, properties: Default::default() };
            Answer::Bytes(encode(Packet::UnsubAck(unsuback), *version))
        }
        Packet::PingReq => Answer::Bytes(encode(Packet::PingResp, *version)),
        Packet::Disconnect(_) => Answer::Close,
        Packet::Publish(_) => {
            return Err(io::Error::other("the null broker copies QoS 0 without RETAIN only"));
        }
        _ => Answer::Nothing,
    })
}

fn connack() -> ConnAck<'static> {
    let properties = ConnAckProperties {
        maximum_qos: Some(QoS::AtMostOnce),
        retain_available: Some(false),
        shared_subscription_available: Some(false),
        ..ConnAckProperties::default()
    };
    ConnAck { session_present: false, reason: ReasonCode::Success, properties }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [MQTT-3.8.4-1] [MQTT-3.12.4-1]
    #[test]
    fn each_request_has_its_answer() {
        let mut version = Version::V3_1_1;
        let connect = b"\x10\x0c\0\x04MQTT\x04\x02\0\0\0\0";
        let rows: [(&[u8], Answer); 4] = [
            (connect, Answer::Bytes(vec![0x20, 2, 0, 0])),
            (&[0x82, 6, 0, 9, 0, 1, b't', 0], Answer::Subscribed(vec![0x90, 3, 0, 9, 0])),
            (&[0xC0, 0], Answer::Bytes(vec![0xD0, 0])),
            (&[0xE0, 0], Answer::Close),
        ];
        for (request, expected) in rows {
            assert_eq!(answer(request, &mut version).unwrap(), expected, "{request:02X?}");
        }
        assert!(answer(&[0x32, 5, 0, 1, b't', 0, 1], &mut version).is_err());
    }
}
