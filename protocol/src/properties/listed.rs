//! Properties one after another, whatever packet they are of: for those who show them.

use super::PropertyId;
use crate::wire::Reader;

/// The value of a property (table 2-4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PropertyValue<'a> {
    /// A number of one, two, four or a variable number of bytes.
    Number(u32),
    /// A string.
    Text(&'a str),
    /// Bytes.
    Binary(&'a [u8]),
    /// A name and what it stands for, both chosen by whoever sent them.
    Pair(&'a str, &'a str),
}

/// Reads properties that stand one after another and were checked before.
pub(crate) fn list(block: &[u8], mut tell: impl FnMut(PropertyId, PropertyValue<'_>)) {
    let mut reader = Reader::new(block);
    while !reader.is_empty() {
        let read = reader.u8().and_then(PropertyId::try_from);
        let Ok((id, value)) = read.and_then(|id| Ok((id, id.read(&mut reader)?))) else {
            debug_assert!(false, "what was written can be read");
            return;
        };
        tell(id, value);
    }
}

#[cfg(test)]
mod tests {
    use crate::PublishProperties;

    #[test]
    fn every_kind_of_value_is_listed_with_its_name() {
        let block = b"\x01\x01\x02\0\0\0\x07\x03\0\x01t\x09\0\x01\xFF\x0B\x05\x0B\x80\x01\x26\0\x01k\0\x01v";
        let properties = PublishProperties::decode(block).unwrap();
        let mut listed = Vec::new();
        properties.for_each(|id, value| listed.push(format!("{id}: {value:?}")));
        let expected = [
            "Payload Format Indicator: Number(1)",
            "Message Expiry Interval: Number(7)",
            "Content Type: Text(\"t\")",
            "Correlation Data: Binary([255])",
            "Subscription Identifier: Number(5)",
            "Subscription Identifier: Number(128)",
            "User Property: Pair(\"k\", \"v\")",
        ];
        assert_eq!(listed, expected);
    }
}
