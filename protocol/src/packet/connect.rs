//! CONNECT (3.1): who the client is and what it wants.

use std::fmt;
use std::num::{NonZeroU16, NonZeroU32};

use super::{ByteCount, Quoted, Will};
use crate::properties::{UserProperties, properties};
use crate::wire::{Reader, put_binary, put_string, put_u16};
use crate::{Error, Frame, PacketType, QoS, Version};

/// The first packet of a connection.
#[derive(Clone, PartialEq)]
pub struct Connect<'a> {
    /// The version it is written in, and all that follows with it.
    pub version: Version,
    /// Whether an earlier session is to be forgotten ("clean session" before MQTT 5.0).
    pub clean_start: bool,
    /// The longest silence the client intends, in seconds; 0 turns the check off.
    pub keep_alive_s: u16,
    /// The client identifier; empty asks the server to choose.
    pub client_id: &'a str,
    /// What is to be published when the connection breaks.
    pub will: Option<Will<'a>>,
    /// The user name.
    pub user_name: Option<&'a str>,
    /// The password. It is printed neither by `Display` nor by `Debug`.
    pub password: Option<&'a [u8]>,
    /// The properties; empty before MQTT 5.0.
    pub properties: ConnectProperties<'a>,
}

properties! {
    /// Properties of CONNECT (3.1.2.11).
    pub struct ConnectProperties<'a> {
        /// Session Expiry Interval in seconds; 0xFFFFFFFF is never.
        session_expiry_s: Option<u32> = SessionExpiryInterval,
        /// How many QoS 1 and 2 messages the client takes at once.
        receive_maximum: Option<NonZeroU16> = ReceiveMaximum,
        /// The longest packet the client takes, in bytes.
        maximum_packet_size: Option<NonZeroU32> = MaximumPacketSize,
        /// The highest topic alias the client takes.
        topic_alias_maximum: Option<u16> = TopicAliasMaximum,
        /// Whether the client asks for Response Information.
        request_response_information: Option<bool> = RequestResponseInformation,
        /// Whether reason strings and user properties may be sent about failures.
        request_problem_information: Option<bool> = RequestProblemInformation,
        /// Authentication Method.
        authentication_method: Option<&'a str> = AuthenticationMethod,
        /// Authentication Data.
        authentication_data: Option<&'a [u8]> = AuthenticationData,
        /// User Properties.
        user_properties: UserProperties<'a> = UserProperty,
    }
}

const FLAG_RESERVED: u8 = 0x01;
const FLAG_CLEAN_START: u8 = 0x02;
const FLAG_WILL: u8 = 0x04;
const WILL_QOS_SHIFT: u8 = 3;
const FLAG_WILL_RETAIN: u8 = 0x20;
const FLAG_PASSWORD: u8 = 0x40;
const FLAG_USER_NAME: u8 = 0x80;

impl<'a> Connect<'a> {
    /// The version a CONNECT is written in, even if the rest of it is broken: a server needs it to
    /// answer.
    ///
    /// # Errors
    /// A name or level this crate does not know, or a packet too short to have them.
    pub fn peek_version(frame: Frame<'a>) -> Result<Version, Error> {
        read_version(&mut Reader::new(frame.body))
    }

    /// Parses the frame of a CONNECT.
    ///
    /// # Errors
    /// The first rule the bytes break.
    pub fn decode(frame: Frame<'a>) -> Result<Self, Error> {
        if frame.flags() != 0 {
            return Err(Error::ReservedFlags(PacketType::Connect));
        }
        let mut reader = Reader::new(frame.body);
        let version = read_version(&mut reader)?;
        frame.check_length(version)?;
        let flags = Flags::decode(reader.u8()?, version)?;
        let keep_alive_s = reader.u16()?;
        let properties = match version {
            Version::V5 => read_properties(&mut reader)?,
            Version::V3_1 | Version::V3_1_1 => ConnectProperties::default(),
        };
        let client_id = reader.string()?;
        let will = match flags.will {
            Some((qos, retain)) => Some(Will::read(&mut reader, version, qos, retain)?),
            None => None,
        };
        let user_name = flags.read_user_name(&mut reader, version)?;
        let password = flags.read_password(&mut reader, version)?;
        reader.finish()?;
        let clean_start = flags.clean_start;
        Ok(Self {
            version,
            clean_start,
            keep_alive_s,
            client_id,
            will,
            user_name,
            password,
            properties,
        })
    }

    pub(super) fn body_len(&self) -> usize {
        let fixed = 2 + self.version.protocol_name().len() + 1 + 1 + 2;
        let properties = if self.version == Version::V5 { self.properties.len() } else { 0 };
        let will = self.will.as_ref().map_or(0, |will| will.len(self.version));
        let user_name = self.user_name.map_or(0, |user_name| 2 + user_name.len());
        let password = self.password.map_or(0, |password| 2 + password.len());
        fixed + properties + 2 + self.client_id.len() + will + user_name + password
    }

    pub(super) fn write_body(&self, out: &mut Vec<u8>) {
        put_string(out, self.version.protocol_name());
        out.push(self.version.level());
        out.push(self.flags());
        put_u16(out, self.keep_alive_s);
        if self.version == Version::V5 {
            self.properties.write(out);
        }
        put_string(out, self.client_id);
        if let Some(will) = &self.will {
            will.write(self.version, out);
        }
        if let Some(user_name) = self.user_name {
            put_string(out, user_name);
        }
        if let Some(password) = self.password {
            put_binary(out, password);
        }
    }

    fn flags(&self) -> u8 {
        let will = self.will.as_ref().map_or(0, |will| {
            let retain = if will.retain { FLAG_WILL_RETAIN } else { 0 };
            FLAG_WILL | (will.qos as u8) << WILL_QOS_SHIFT | retain
        });
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        will | flag(self.clean_start, FLAG_CLEAN_START)
            | flag(self.user_name.is_some(), FLAG_USER_NAME)
            | flag(self.password.is_some(), FLAG_PASSWORD)
    }
}

impl fmt::Display for Connect<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "CONNECT version={} client_id={} clean_start={} keep_alive_s={}",
            self.version,
            Quoted(self.client_id),
            self.clean_start,
            self.keep_alive_s
        )?;
        if let Some(user_name) = self.user_name {
            write!(f, " user_name={}", Quoted(user_name))?;
        }
        if self.password.is_some() {
            f.write_str(" password=hidden")?;
        }
        if let Some(will) = &self.will {
            let (topic, payload) = (Quoted(will.topic.as_str()), ByteCount(will.payload.len()));
            let Will { qos, retain, properties, .. } = will;
            write!(
                f,
                " will=(topic={topic} qos={qos} retain={retain} payload={payload}{properties})"
            )?;
        }
        self.properties.fmt(f)
    }
}

/// As `Display`: a password must not reach a log by way of `{:?}` either.
impl fmt::Debug for Connect<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The connect flags (3.1.2.3), checked against each other.
struct Flags {
    clean_start: bool,
    will: Option<(QoS, bool)>,
    user_name: bool,
    password: bool,
}

impl Flags {
    fn decode(byte: u8, version: Version) -> Result<Self, Error> {
        let will = byte & FLAG_WILL != 0;
        let will_qos = byte >> WILL_QOS_SHIFT & 3;
        let will_retain = byte & FLAG_WILL_RETAIN != 0;
        let (user_name, password) = (byte & FLAG_USER_NAME != 0, byte & FLAG_PASSWORD != 0);
        // MQTT 3.1 calls these bits unused; [MQTT-3.1.2-3], -11 and -13 came with 3.1.1.
        let strict = version != Version::V3_1;
        match () {
            () if strict && byte & FLAG_RESERVED != 0 => Err(Error::ConnectFlagReserved),
            () if will && will_qos == 3 => Err(Error::WillQoSReserved),
            () if strict && !will && will_qos != 0 => Err(Error::WillQoSWithoutWill),
            () if strict && !will && will_retain => Err(Error::WillRetainWithoutWill),
            // Since 5.0 a password may stand alone, as a token does (3.1.2.9).
            () if password && !user_name && version != Version::V5 => {
                Err(Error::PasswordWithoutUserName)
            }
            () => Ok(Self {
                clean_start: byte & FLAG_CLEAN_START != 0,
                will: if will { Some((QoS::try_from(will_qos)?, will_retain)) } else { None },
                user_name,
                password,
            }),
        }
    }

    /// [MQTT-3.1.2-16] [MQTT-3.1.2-17]
    fn read_user_name<'a>(
        &self,
        reader: &mut Reader<'a>,
        version: Version,
    ) -> Result<Option<&'a str>, Error> {
        match () {
            () if !self.user_name => Ok(None),
            () if !reader.is_empty() => reader.string().map(Some),
            // MQTT 3.1, 3.1: where the packet ends, the flag does not count.
            () if version == Version::V3_1 => Ok(None),
            () => Err(Error::UserNameMissing),
        }
    }

    /// [MQTT-3.1.2-18] [MQTT-3.1.2-19]
    fn read_password<'a>(
        &self,
        reader: &mut Reader<'a>,
        version: Version,
    ) -> Result<Option<&'a [u8]>, Error> {
        match () {
            () if !self.password => Ok(None),
            () if !reader.is_empty() => reader.binary().map(Some),
            () if version == Version::V3_1 => Ok(None),
            () => Err(Error::PasswordMissing),
        }
    }
}

/// [MQTT-3.1.2-1] [MQTT-3.1.2-2]
fn read_version(reader: &mut Reader<'_>) -> Result<Version, Error> {
    let name = reader.binary()?;
    if !Version::ALL.iter().any(|version| version.protocol_name().as_bytes() == name) {
        return Err(Error::ProtocolNameInvalid);
    }
    let level = reader.u8()?;
    Version::ALL
        .into_iter()
        .find(|version| (version.protocol_name().as_bytes(), version.level()) == (name, level))
        .ok_or(Error::ProtocolVersionUnsupported(level))
}

fn read_properties<'a>(reader: &mut Reader<'a>) -> Result<ConnectProperties<'a>, Error> {
    let properties = ConnectProperties::read(reader)?;
    if properties.authentication_data.is_some() && properties.authentication_method.is_none() {
        return Err(Error::AuthDataWithoutMethod);
    }
    Ok(properties)
}

#[cfg(test)]
#[path = "connect_tests.rs"]
mod tests;
