//! Content types as text: `application/senml+json; charset=utf-8`.

use std::borrow::Cow;

/// The type without its parameters, in small letters: case does not count (RFC 9110, 8.3.1).
pub(super) fn essence(content_type: &str) -> Cow<'_, str> {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if essence.bytes().any(|byte| byte.is_ascii_uppercase()) {
        essence.to_ascii_lowercase().into()
    } else {
        essence.into()
    }
}

/// A content type that there is a feature for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Json,
    Cbor,
    MessagePack,
}

impl Kind {
    /// By the type itself, or by what stands behind its plus (RFC 6839).
    pub(super) fn of(content_type: &str) -> Option<Self> {
        let essence = essence(content_type);
        match &*essence {
            super::JSON | "text/json" => Some(Self::Json),
            super::CBOR => Some(Self::Cbor),
            // The one that is registered, and those from before it was.
            super::MESSAGE_PACK | "application/msgpack" | "application/x-msgpack" => {
                Some(Self::MessagePack)
            }
            essence => match essence.rsplit_once('+')?.1 {
                "json" => Some(Self::Json),
                "cbor" => Some(Self::Cbor),
                "msgpack" => Some(Self::MessagePack),
                _ => None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_and_case_do_not_count() {
        let rows = [
            ("application/json", Some(Kind::Json)),
            ("Application/JSON; charset=utf-8", Some(Kind::Json)),
            (" application/json ;a=b", Some(Kind::Json)),
            ("text/json", Some(Kind::Json)),
            ("application/senml+json", Some(Kind::Json)),
            ("application/senml+cbor", Some(Kind::Cbor)),
            ("application/cbor", Some(Kind::Cbor)),
            ("application/vnd.msgpack", Some(Kind::MessagePack)),
            ("application/x-msgpack", Some(Kind::MessagePack)),
            ("application/json+x", None),
            ("application/jsonl", None),
            ("application/xml", None),
            ("json", None),
            ("", None),
        ];
        for (text, kind) in rows {
            assert_eq!(Kind::of(text), kind, "{text:?}");
        }
    }
}
