//! Payloads by content type: written, sent, read, and what happens if they are not what they say.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use skein_client::format::{
    CBOR, Format, FormatError, Formats, JSON, MESSAGE_PACK, Take, erased_serde,
};
use skein_client::test::Harness;
use skein_client::{Message, Options, PayloadFormat, Publish};

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Reading {
    room: String,
    celsius: f64,
    tags: BTreeMap<String, Option<i64>>,
}

fn reading() -> Reading {
    let tags = BTreeMap::from([("floor".to_owned(), Some(-1)), ("none".to_owned(), None)]);
    Reading { room: "hall \u{1F9CA}".into(), celsius: -21.5, tags }
}

/// The message as the one who has subscribed to it gets it.
fn carried(publish: Publish) -> Message {
    let mut harness = Harness::connected(Options::new(["mqtt://a"]));
    harness.publish(publish).unwrap();
    // A PUBLISH of QoS 0 looks the same on both of its ways.
    let packet = std::mem::take(&mut harness.link.to_server);
    harness.say_bytes(&packet);
    harness.messages.remove(0)
}

#[test]
fn each_format_comes_back_as_what_it_was() {
    for content_type in [
        JSON,
        CBOR,
        MESSAGE_PACK,
        "application/senml+json",
        "Application/JSON; charset=utf-8",
        "application/x-msgpack",
    ] {
        let publish = Publish::encode("home/hall", content_type, &reading()).unwrap();
        let properties = publish.properties().unwrap();
        assert_eq!(properties.content_type.as_deref(), Some(content_type));
        let is_text = properties.payload_format == Some(PayloadFormat::Utf8);
        assert_eq!(is_text, content_type.to_lowercase().contains("json"), "{content_type}");
        assert_eq!(carried(publish).decode::<Reading>().unwrap(), reading(), "{content_type}");
    }
}

/// What other programs write and expect, byte for byte.
#[test]
fn the_bytes_are_those_of_the_formats() {
    #[derive(Serialize)]
    struct Small {
        a: u8,
    }
    let encode = |content_type| Formats::new().encode(content_type, &Small { a: 1 }).unwrap();
    assert_eq!(encode(JSON), br#"{"a":1}"#);
    assert_eq!(encode(CBOR), [0xA1, 0x61, b'a', 1]);
    assert_eq!(encode(MESSAGE_PACK), [0x81, 0xA1, b'a', 1]);
}

/// The error names the content type, so that one knows whom to ask.
#[test]
fn what_is_not_what_it_says_is_an_error_with_its_content_type() {
    for content_type in [JSON, CBOR, MESSAGE_PACK] {
        let whole = Formats::new().encode(content_type, &reading()).unwrap();
        let trailing = [&whole[..], b"0"].concat();
        let payloads = [&b""[..], b"\xFFwarm", &whole[..whole.len() - 1], &trailing];
        for payload in payloads {
            let publish = Publish::new("a", payload.to_vec()).content_type(content_type);
            let error = carried(publish).decode::<Reading>().unwrap_err();
            assert!(matches!(error, FormatError::Decode { .. }), "{error}");
            assert_eq!(error.content_type(), Some(content_type));
            assert!(error.to_string().contains(content_type), "{error}");
        }
        let other = Publish::encode("a", content_type, &vec![1, 2]).unwrap();
        assert!(matches!(carried(other).decode::<Reading>(), Err(FormatError::Decode { .. })));
    }
}

/// A peer cannot overflow the stack, nor have memory reserved that nothing is going to fill.
#[test]
fn nesting_and_lengths_are_bounded() {
    let deep = [(JSON, vec![b'['; 100_000]), (CBOR, vec![0x81; 100_000])];
    let long =
        [(CBOR, [&[0x9B][..], &[0x7F; 8]].concat()), (CBOR, [&[0x5B][..], &[0x7F; 8]].concat())];
    let packed =
        [(MESSAGE_PACK, vec![0x91; 100_000]), (MESSAGE_PACK, vec![0xDD, 0xFF, 0xFF, 0xFF, 0xFF])];
    for (content_type, payload) in deep.into_iter().chain(long).chain(packed) {
        let read = Formats::new().decode::<serde_json::Value>(content_type, &payload);
        assert!(matches!(read, Err(FormatError::Decode { .. })), "{content_type}");
    }
}

#[test]
fn an_unknown_or_missing_content_type_is_an_error_of_its_own() {
    let error = carried(Publish::new("a", "1")).decode::<u8>().unwrap_err();
    assert_eq!((error.clone(), error.content_type()), (FormatError::Missing, None));
    let unknown = carried(Publish::new("a", "1").content_type("application/xml"));
    let error = unknown.decode::<u8>().unwrap_err();
    assert!(matches!(error, FormatError::Unknown { .. }));
    assert_eq!(error.content_type(), Some("application/xml"));
    assert_eq!(unknown.decode_as::<u8>(JSON).unwrap(), 1, "whoever knows better says so");
    assert!(matches!(Publish::encode("a", "x/y", &1), Err(FormatError::Unknown { .. })));
    let no_key = BTreeMap::from([(vec![1], 2)]);
    assert!(matches!(Publish::encode("a", JSON, &no_key), Err(FormatError::Encode { .. })));
}

struct Toml;

impl Format for Toml {
    fn encode(&self, value: &dyn erased_serde::Serialize) -> Result<Vec<u8>, String> {
        toml::to_string(value).map(String::into_bytes).map_err(|error| error.to_string())
    }

    fn decode(&self, payload: &[u8], take: &mut Take<'_>) -> Result<(), String> {
        let text = str::from_utf8(payload).map_err(|error| error.to_string())?;
        let document = toml::Deserializer::parse(text).map_err(|error| error.to_string())?;
        take(&mut <dyn erased_serde::Deserializer<'_>>::erase(document))
            .map_err(|error| error.to_string())
    }
}

/// A format that forgets to read.
struct Nothing;

impl Format for Nothing {
    fn encode(&self, _: &dyn erased_serde::Serialize) -> Result<Vec<u8>, String> {
        Err("not to be written".into())
    }

    fn decode(&self, _: &[u8], _: &mut Take<'_>) -> Result<(), String> {
        Ok(())
    }
}

#[test]
fn formats_of_ones_own_are_found_first() {
    let formats = Formats::new().with("application/TOML", Toml).with(JSON, Nothing);
    let value = BTreeMap::from([("celsius".to_owned(), 21.5)]);
    let publish = Publish::encode_with(&formats, "a", "application/toml", &value).unwrap();
    assert_eq!(&publish.payload()[..], b"celsius = 21.5\n");
    let message = carried(publish);
    assert_eq!(message.decode_with::<BTreeMap<String, f64>>(&formats).unwrap(), value);
    assert!(matches!(message.decode::<u8>(), Err(FormatError::Unknown { .. })));
    let encoded = formats.encode("application/json; a=b", &1);
    assert!(matches!(encoded, Err(FormatError::Encode { why, .. }) if why == "not to be written"));
    assert!(matches!(formats.decode::<u8>(JSON, b"1"), Err(FormatError::Decode { .. })));
}
