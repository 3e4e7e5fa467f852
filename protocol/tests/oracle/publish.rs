//! PUBLISH read a second way: byte by byte, with copies of everything.

use skein_protocol::{Frame, Packet, Publish, Version};

/// What a PUBLISH says, owned.
#[derive(Debug, Default, PartialEq)]
struct Plain {
    dup: bool,
    qos: u8,
    retain: bool,
    topic: String,
    id: u16,
    format: Option<u8>,
    expiry: Option<u32>,
    content_type: Option<String>,
    response_topic: Option<String>,
    correlation: Option<Vec<u8>>,
    identifiers: Vec<u32>,
    alias: Option<u16>,
    user: Vec<(String, String)>,
    payload: Vec<u8>,
}

/// Asserts that `body` behind `header`, taken as a PUBLISH, reads as the plain reading says, by
/// the direct way and by that of all packets.
pub(crate) fn check(header: u8, body: &[u8], version: Version) {
    let frame = Frame { header: 0x30 | header & 0x0F, body, minimal_length: true };
    let direct = Publish::decode(frame, version);
    let plain = read(frame.header, &mut body.iter().copied(), version);
    assert_eq!(direct.as_ref().ok().map(owned), plain, "{direct:?}");
    assert_eq!(Packet::decode(frame, version), direct.map(Packet::Publish));
}

/// `None` for anything the standard forbids.
fn read(
    header: u8,
    bytes: &mut dyn ExactSizeIterator<Item = u8>,
    version: Version,
) -> Option<Plain> {
    let mut plain = Plain {
        dup: header & 8 == 8,
        qos: header / 2 % 4,
        retain: header % 2 == 1,
        topic: read_text(bytes)?,
        ..Plain::default()
    };
    if plain.qos == 3 || plain.dup && plain.qos == 0 && version != Version::V3_1 {
        return None;
    }
    if plain.qos > 0 {
        plain.id = read_number(bytes, 2)? as u16;
    }
    if version == Version::V5 {
        let length = read_varint(bytes)? as usize;
        let block = read_bytes(bytes, length)?;
        read_properties(&mut plain, &mut block.into_iter())?;
    }
    plain.payload = bytes.collect();
    let aliased = plain.topic.is_empty() && plain.alias.is_some();
    let named = aliased || is_name(&plain.topic);
    (named && (plain.qos == 0 || plain.id != 0)).then_some(plain)
}

fn read_properties(plain: &mut Plain, bytes: &mut dyn ExactSizeIterator<Item = u8>) -> Option<()> {
    while let Some(id) = bytes.next() {
        let first = match id {
            0x01 => plain.format.replace(bytes.next().filter(|format| *format < 2)?).is_none(),
            0x02 => plain.expiry.replace(read_number(bytes, 4)?).is_none(),
            0x03 => plain.content_type.replace(read_text(bytes)?).is_none(),
            0x08 => {
                let topic = read_text(bytes).filter(|topic| is_name(topic))?;
                plain.response_topic.replace(topic).is_none()
            }
            0x09 => {
                let length = read_number(bytes, 2)? as usize;
                plain.correlation.replace(read_bytes(bytes, length)?).is_none()
            }
            0x0B => {
                plain.identifiers.push(read_varint(bytes).filter(|identifier| *identifier > 0)?);
                true
            }
            0x23 => {
                let alias = read_number(bytes, 2).filter(|alias| *alias > 0)?;
                plain.alias.replace(alias as u16).is_none()
            }
            0x26 => {
                plain.user.push((read_text(bytes)?, read_text(bytes)?));
                true
            }
            _ => false,
        };
        first.then_some(())?;
    }
    Some(())
}

fn read_number(bytes: &mut dyn ExactSizeIterator<Item = u8>, count: usize) -> Option<u32> {
    let digits = read_bytes(bytes, count)?;
    Some(digits.iter().fold(0, |number, digit| number * 256 + u32::from(*digit)))
}

/// 1.5.5 as the standard's pseudo code has it, and the shortest form [MQTT-1.5.5-1].
fn read_varint(bytes: &mut dyn ExactSizeIterator<Item = u8>) -> Option<u32> {
    let (mut multiplier, mut value) = (1, 0);
    loop {
        let encoded = bytes.next()?;
        value += u32::from(encoded & 127) * multiplier;
        if encoded & 128 == 0 {
            return (encoded != 0 || multiplier == 1).then_some(value);
        }
        if multiplier == 128 * 128 * 128 {
            return None;
        }
        multiplier *= 128;
    }
}

fn read_text(bytes: &mut dyn ExactSizeIterator<Item = u8>) -> Option<String> {
    let length = read_number(bytes, 2)? as usize;
    let text = String::from_utf8(read_bytes(bytes, length)?).ok()?;
    (!text.contains('\0')).then_some(text)
}

fn read_bytes(bytes: &mut dyn ExactSizeIterator<Item = u8>, count: usize) -> Option<Vec<u8>> {
    (bytes.len() >= count).then(|| bytes.take(count).collect())
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.contains(['+', '#'])
}

fn owned(publish: &Publish<'_>) -> Plain {
    let properties = &publish.properties;
    let pair = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    Plain {
        dup: publish.dup,
        qos: publish.qos as u8,
        retain: publish.retain,
        topic: publish.topic.map_or("", |topic| topic.as_str()).to_owned(),
        id: publish.packet_id.map_or(0, |id| id.get()),
        format: properties.payload_format.map(|format| format as u8),
        expiry: properties.message_expiry_s,
        content_type: properties.content_type.map(str::to_owned),
        response_topic: properties.response_topic.map(|topic| topic.as_str().to_owned()),
        correlation: properties.correlation_data.map(<[u8]>::to_vec),
        identifiers: properties.subscription_identifiers.iter().collect(),
        alias: properties.topic_alias.map(|alias| alias.get()),
        user: properties.user_properties.iter().map(pair).collect(),
        payload: publish.payload.to_vec(),
    }
}
