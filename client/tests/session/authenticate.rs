//! Enhanced authentication, in simulated time.

use skein_client::session::{Authenticator, Event, Outcome, Session};
use skein_client::test::Harness;
use skein_client::{Error, Options, ReasonCode, Result, Version, Versions};
use skein_protocol::{Auth, AuthProperties, ConnAckProperties, Packet};

use super::{lasting, s};

/// Says which conversation and which step it is, and wants to hear "good".
#[derive(Debug, Default)]
struct Counting {
    conversations: u8,
}

impl Authenticator for Counting {
    fn method(&self) -> &str {
        "COUNT"
    }

    fn begin(&mut self, _entropy: [u8; 32]) -> Result<Vec<u8>> {
        self.conversations += 1;
        Ok(vec![self.conversations; usize::from(self.conversations)])
    }

    fn step(&mut self, challenge: &[u8]) -> Result<Vec<u8>> {
        match challenge {
            b"bad" => Err(Error::Authentication("bad".into())),
            challenge => Ok(vec![0; challenge.len() * 10]),
        }
    }

    fn finish(&mut self, proof: &[u8]) -> Result<()> {
        if proof == b"good" { Ok(()) } else { Err(Error::Authentication("unproved".into())) }
    }
}

fn harness(options: Options) -> Harness {
    let mut session = Session::new(options, 1).unwrap();
    session.set_authenticator(Box::new(Counting::default()));
    Harness::around(session)
}

fn auth(reason: ReasonCode, data: &'static [u8]) -> Packet<'static> {
    let (method, data) = (Some("COUNT"), Some(data));
    Packet::Auth(Auth { reason, properties: AuthProperties { method, data, ..Default::default() } })
}

fn good() -> ConnAckProperties<'static> {
    ConnAckProperties {
        authentication_method: Some("COUNT"),
        authentication_data: Some(b"good"),
        ..Default::default()
    }
}

/// [MQTT-4.12.0-3]: and every connection is a conversation of its own, so that authentication and
/// reconnects go together.
#[test]
fn each_connection_authenticates_afresh() {
    let mut harness = harness(lasting());
    for conversation in 1..=2 {
        harness.open();
        let connect = harness.hear();
        let data =
            format!("authentication_method=\"COUNT\" authentication_data={conversation} bytes");
        assert!(connect[0].contains(&data), "{connect:?}");
        harness.say(&auth(ReasonCode::ContinueAuthentication, b"why"));
        assert_eq!(
            harness.hear(),
            ["AUTH reason=0x18 Continue authentication method=\"COUNT\" data=30 bytes"]
        );
        harness.accept_with(conversation > 1, good());
        assert!(harness.session.is_up());
        harness.cut();
        harness.advance(s(1));
    }
}

/// A server that accepts without proof gets neither messages nor another try.
#[test]
fn a_server_that_proves_nothing_is_left_for_good() {
    for (proof, challenge) in [(&b""[..], &b"why"[..]), (b"evil", b"why"), (b"good", b"bad")] {
        let mut harness = harness(lasting());
        harness.open();
        harness.say(&auth(ReasonCode::ContinueAuthentication, challenge));
        if harness.link.is_open() {
            harness.accept_with(
                false,
                ConnAckProperties { authentication_data: Some(proof), ..good() },
            );
        }
        assert!(harness.session.is_stopped());
        assert_eq!(
            harness.hear().last().map(String::as_str),
            Some("DISCONNECT reason=0x87 Not authorized")
        );
        let last = harness.events.last();
        assert!(matches!(last, Some(Event::GaveUp { why: Error::Authentication(_) })));
    }
}

/// 4.12.1
#[test]
fn a_connection_that_is_up_authenticates_again() {
    let mut harness = harness(lasting());
    harness.open();
    harness.accept_with(false, good());
    let now = harness.now();
    let token = harness.session.reauthenticate([0; 32], now).unwrap();
    assert!(harness.session.reauthenticate([0; 32], now).is_err(), "one at a time");
    harness.settle();
    assert_eq!(harness.hear(), ["AUTH reason=0x19 Re-authenticate method=\"COUNT\" data=2 bytes"]);
    harness.say(&auth(ReasonCode::ContinueAuthentication, b"?"));
    harness.say(&auth(ReasonCode::Success, b"good"));
    assert!(matches!(harness.outcome(token), Some(Ok(Outcome::Authenticated))));
    assert!(harness.session.is_up());
    let token = harness.session.reauthenticate([0; 32], now).unwrap();
    harness.cut();
    assert!(matches!(harness.outcome(token), Some(Err(Error::Lost(_)))));
}

/// [MQTT-4.12.0-7] [MQTT-4.12.1-1]
#[test]
fn auth_where_none_is_due_breaks_the_protocol() {
    let mut plain = Harness::connected(lasting());
    plain.say(&auth(ReasonCode::ContinueAuthentication, b"?"));
    assert_eq!(plain.hear(), ["DISCONNECT reason=0x82 Protocol Error"]);
    let mut harness = harness(lasting());
    harness.open();
    harness.accept_with(false, good());
    harness.say(&auth(ReasonCode::ContinueAuthentication, b"?"));
    assert_eq!(harness.hear(), ["DISCONNECT reason=0x82 Protocol Error"]);
}

/// No version but 5.0 has it, and falling back would be a way around it.
#[test]
fn a_client_that_must_authenticate_does_not_fall_back() {
    let mut harness = harness(lasting());
    harness.open();
    harness.say_bytes(&[0x20, 2, 0, 1]);
    assert!(harness.session.is_stopped());
    let versions = Versions::Only(Version::V3_1_1);
    let mut session = Session::new(Options { versions, ..lasting() }, 1).unwrap();
    session.set_authenticator(Box::new(Counting::default()));
    let mut harness = Harness::around(session);
    harness.open();
    assert!(harness.session.is_stopped());
}
