//! Quality of service: the levels, the packet identifiers and the handshakes.

mod packet_id;
mod receiver;
mod sender;

use std::fmt;

use crate::Error;

pub use packet_id::PacketId;
pub use receiver::{Arrival, ArrivalError, Receiver};
pub use sender::{AckError, IN_FLIGHT_MAX, Received, Resend, Sender};

/// How often a message may arrive (4.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum QoS {
    /// QoS 0: sent once, never acknowledged.
    #[default]
    AtMostOnce = 0,
    /// QoS 1: sent again until PUBACK.
    AtLeastOnce = 1,
    /// QoS 2: PUBREC, PUBREL, PUBCOMP.
    ExactlyOnce = 2,
}

impl TryFrom<u8> for QoS {
    type Error = Error;

    /// The level with this number; 3 and above are [`Error::QoSReserved`].
    #[inline]
    fn try_from(level: u8) -> Result<Self, Error> {
        match level {
            0 => Ok(Self::AtMostOnce),
            1 => Ok(Self::AtLeastOnce),
            2 => Ok(Self::ExactlyOnce),
            _ => Err(Error::QoSReserved),
        }
    }
}

impl fmt::Display for QoS {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", *self as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_three_levels_exist() {
        let levels = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
        for (number, level) in levels.into_iter().enumerate() {
            assert_eq!(QoS::try_from(number as u8), Ok(level));
            assert_eq!(level.to_string(), number.to_string());
        }
        assert_eq!(QoS::try_from(3), Err(Error::QoSReserved));
        assert!(QoS::AtMostOnce < QoS::AtLeastOnce && QoS::AtLeastOnce < QoS::ExactlyOnce);
    }
}
