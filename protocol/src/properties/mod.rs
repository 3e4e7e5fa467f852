//! Properties of MQTT 5.0 (2.2.2): which there are, and how a packet lists its own.
//!
//! A packet's properties are a struct declared with `properties!`: one line per property, from
//! which reading, writing and printing follow.

mod id;
mod listed;
mod repeated;
mod slot;
mod value;

pub use id::PropertyId;
pub use listed::PropertyValue;
pub use repeated::{SubscriptionIdentifiers, UserProperties};
pub use value::PayloadFormat;

pub(crate) use listed::list;
pub(crate) use slot::Slot;
pub(crate) use value::SubscriptionIdentifier;

/// Declares the properties of one packet: fields in the order they are written.
///
/// A field is an `Option` of a type with a [`value::Value`], or one of the types that may be
/// repeated. `id` names the property on the wire.
macro_rules! properties {
    (
        $(#[$note:meta])*
        $visibility:vis struct $name:ident<'a> {
            $( $(#[$field_note:meta])* $field:ident: $type:ty = $id:ident, )*
        }
    ) => {
        $(#[$note])*
        #[derive(Clone, Debug, Default, PartialEq)]
        $visibility struct $name<'a> {
            $( $(#[$field_note])* $visibility $field: $type, )*
        }

        impl<'a> $name<'a> {
            /// Reads a Property Length and the properties it spans (2.2.2.1).
            #[inline]
            pub(crate) fn read(
                reader: &mut $crate::wire::Reader<'a>,
            ) -> Result<Self, $crate::Error> {
                match $crate::properties::read_block(reader)? {
                    [] => Ok(Self::default()),
                    block => Self::decode(block),
                }
            }

            /// Reads properties that stand one after another, without a length in front.
            ///
            /// # Errors
            /// Unknown, foreign, repeated, cut short, or with a value the property cannot have.
            $visibility fn decode(block: &'a [u8]) -> Result<Self, $crate::Error> {
                let mut properties = Self::default();
                let mut reader = $crate::wire::Reader::new(block);
                while !reader.is_empty() {
                    let occurrence = reader.rest();
                    let id = $crate::properties::PropertyId::try_from(reader.u8()?)?;
                    match id {
                        $( $crate::properties::PropertyId::$id => $crate::properties::Slot::read(
                            &mut properties.$field, id, &mut reader, occurrence)?, )*
                        _ => return Err($crate::Error::PropertyNotAllowed(id)),
                    }
                }
                Ok(properties)
            }

            /// Gives each property that is there to `tell`, in the order in which they are written;
            /// one that may be repeated as often as it is.
            // Nobody asks for those of every packet.
            #[allow(dead_code)]
            $visibility fn for_each(
                &self,
                tell: impl FnMut(
                    $crate::properties::PropertyId,
                    $crate::properties::PropertyValue<'_>,
                ),
            ) {
                let mut block = Vec::with_capacity(self.block_len());
                $( $crate::properties::Slot::write(
                    &self.$field, $crate::properties::PropertyId::$id, &mut block); )*
                $crate::properties::list(&block, tell);
            }

            /// Whether no property is there.
            #[inline]
            $visibility fn is_empty(&self) -> bool {
                true $( && $crate::properties::Slot::is_empty(&self.$field) )*
            }

            /// Bytes of the properties without the length in front.
            #[inline]
            pub(crate) fn block_len(&self) -> usize {
                // Most packets have none, and then there is nothing to add up.
                if self.is_empty() {
                    return 0;
                }
                0 $( + $crate::properties::Slot::len(&self.$field) )*
            }

            /// Bytes of the properties with the length in front.
            pub(crate) fn len(&self) -> usize {
                let block = self.block_len();
                $crate::wire::varint_len(block as u32) + block
            }

            /// Appends the Property Length and the properties.
            pub(crate) fn write(&self, out: &mut Vec<u8>) {
                let block = self.block_len();
                $crate::wire::put_varint(out, block as u32);
                if block > 0 {
                    $( $crate::properties::Slot::write(
                        &self.$field, $crate::properties::PropertyId::$id, out); )*
                }
            }
        }

        /// Each property that is present as ` name=value`; binary data by its length only.
        impl std::fmt::Display for $name<'_> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                $( $crate::properties::Slot::show(&self.$field, stringify!($field), f)?; )*
                Ok(())
            }
        }
    };
}

pub(crate) use properties;

/// The bytes that a Property Length spans.
#[inline]
pub(crate) fn read_block<'a>(
    reader: &mut crate::wire::Reader<'a>,
) -> Result<&'a [u8], crate::Error> {
    let length = reader.varint()?;
    reader.take(length as usize).map_err(|_| crate::Error::PropertyLengthPastEnd)
}
