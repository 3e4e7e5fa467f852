//! A field of a property struct: empty or filled, once or many times.

use std::fmt;

use super::PropertyId;
use super::value::Value;
use crate::Error;
use crate::wire::Reader;

/// Where a packet keeps one property: an `Option`, or one of the repeatable types.
pub(crate) trait Slot<'a> {
    /// Takes one occurrence: `reader` stands at its value, `occurrence` is everything from its
    /// identifier to the end of the properties.
    fn read(
        &mut self,
        id: PropertyId,
        reader: &mut Reader<'a>,
        occurrence: &'a [u8],
    ) -> Result<(), Error>;

    /// Whether there is no occurrence.
    fn is_empty(&self) -> bool;

    /// Bytes of all occurrences, identifiers included.
    fn len(&self) -> usize;

    /// Appends all occurrences.
    fn write(&self, id: PropertyId, out: &mut Vec<u8>);

    /// Prints ` name=value` if there is one.
    fn show(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

impl<'a, T: Value<'a>> Slot<'a> for Option<T> {
    fn read(
        &mut self,
        id: PropertyId,
        reader: &mut Reader<'a>,
        _occurrence: &'a [u8],
    ) -> Result<(), Error> {
        if self.is_some() {
            return Err(Error::PropertyDuplicate(id));
        }
        *self = Some(T::read(id, reader).map_err(|error| match error {
            Error::Truncated => Error::PropertyTruncated(id),
            other => other,
        })?);
        Ok(())
    }

    #[inline]
    fn is_empty(&self) -> bool {
        self.is_none()
    }

    fn len(&self) -> usize {
        self.as_ref().map_or(0, |value| 1 + value.len())
    }

    fn write(&self, id: PropertyId, out: &mut Vec<u8>) {
        if let Some(value) = self {
            out.push(id as u8);
            value.write(out);
        }
    }

    fn show(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(value) = self else { return Ok(()) };
        write!(f, " {name}=")?;
        value.show(f)
    }
}
