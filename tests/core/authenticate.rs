//! Who a client is: logins that take time, and enhanced authentication (3.1.4, 4.12).

use skein::access::{
    Denial, Identity, ListenerAccess, Voucher,
    provider::{Outcome, Providers},
};
use skein_protocol::{Packet, ReasonCode, Version};

use crate::{
    broker::{
        Broker, Peer,
        logins::{passwords, users_without_list},
    },
    packets::{
        as_user, auth, disconnect, lasting, publish, subscribe, v3, v5, with_method,
        with_packet_bytes_max, with_will,
    },
    scram::{self, METHOD},
};

fn broker(shards: usize) -> Broker {
    Broker::with_rules(shards, vec![users_without_list(&["ann", "bob"])])
}

/// Passwords and SCRAM, each where it is asked for.
fn scram_rules(names: &[&str], salt: u8) -> Vec<ListenerAccess> {
    let chain = vec![passwords(names), scram::provider(names, salt)];
    let providers = Providers::new(chain, 0, [7; 32]);
    vec![ListenerAccess::of_providers(providers)]
}

#[test]
fn a_login_is_answered_with_connack_and_nothing_is_read_before() {
    for shard in 0..3 {
        let mut broker = broker(3);
        broker.logins.are_held = true;
        let peer = broker.dial(shard, as_user(v5("client"), "ann"));
        broker.send(peer, subscribe(1, "a", 0));
        broker.expect_nothing(peer);
        assert!(!broker.is_read(peer) && broker.logins_waiting() == 1);
        broker.answer_login();
        broker.settle();
        broker.expect(peer, ["CONNACK 0x00", "SUBACK #1 0x00"]);
    }
}

#[test]
fn who_is_not_known_is_told_so_and_the_log_says_why() {
    let mut broker = broker(1);
    for (connect, code) in [
        (v5("client"), "CONNACK 0x86"),
        (as_user(v5("client"), "eve"), "CONNACK 0x86"),
        (as_user(v3("client", true), "eve"), "CONNACK 0x86"),
    ] {
        let peer = broker.dial(0, connect);
        broker.expect(peer, [code]);
        assert!(broker.is_closed(peer));
    }
    let noted = broker.noted("login-refused");
    assert!(noted[0].starts_with("it proves nothing") && noted[1].starts_with("wrong password"));
    assert_eq!((noted.len(), broker.metrics(0).logins_refused), (3, 3));
    broker.expect_empty();
}

#[test]
fn an_answer_for_a_connection_that_has_gone_is_counted_and_ignored() {
    let mut broker = broker(2);
    broker.logins.are_held = true;
    let peer = broker.dial(0, as_user(v5("client"), "ann"));
    broker.cut(peer);
    broker.answer_login();
    broker.settle();
    assert_eq!(broker.metrics(0).late_replies, 1);
    broker.expect_empty();
}

#[test]
fn the_connect_timeout_goes_on_while_a_login_is_looked_at() {
    let mut broker = broker(1);
    broker.logins.are_held = true;
    let peer = broker.dial(0, as_user(v5("client"), "ann"));
    broker.wait_ms(9_999);
    assert!(!broker.is_closed(peer));
    broker.wait_ms(1);
    assert!(broker.is_closed(peer));
    broker.answer_login();
    broker.expect_empty();
}

#[test]
fn overload_is_told() {
    let mut broker = broker(1);
    broker.logins.are_held = true;
    let peer = broker.dial(0, as_user(v5("client"), "ann"));
    broker.answer_login_with(Outcome::denied(Denial::Overloaded));
    broker.expect(peer, ["CONNACK 0x89"]);
}

#[test]
fn at_shut_down_no_login_is_finished() {
    let mut broker = broker(1);
    broker.logins.are_held = true;
    let peer = broker.dial(0, as_user(v5("client"), "ann"));
    broker.shut_down();
    broker.answer_login();
    broker.expect_nothing(peer);
    broker.expect_empty();
}

/// H10, 5.4.2: nobody else gets the session of a user, nor ends it, wherever it lives.
#[test]
fn h10_a_session_belongs_to_the_user_who_made_it() {
    for version in [Version::V5, Version::V3_1_1] {
        for (home, other) in [(0, 0), (0, 1), (1, 2)] {
            let mut broker = broker(3);
            let owner = broker.connect(home, as_user(lasting("client", 60), "ann"));
            broker.ask(owner, subscribe(1, "a", 1), ["SUBACK #1 0x01"]);
            for clean_start in [true, false] {
                let mut connect = as_user(v5("client"), "bob");
                (connect.version, connect.clean_start) = (version, clean_start);
                let thief = broker.dial(other, connect);
                broker.expect(thief, ["CONNACK 0x87"]);
                broker.expect_nothing(owner);
            }
            broker.cut(owner);
            let thief = broker.dial(other, as_user(v5("client"), "bob"));
            broker.expect(thief, ["CONNACK 0x87"]);
            let owner = broker.dial(other, as_user(lasting("client", 60), "ann"));
            broker.expect(owner, ["CONNACK present 0x00"]);
        }
    }
}

/// H10: anonymous clients are nobody's owner, and own no session of a user.
#[test]
fn h10_anonymous_is_an_owner_of_its_own() {
    let everybody = ListenerAccess::without_providers(&skein::config::Access::default());
    let mut broker = Broker::with_rules(1, vec![everybody, users_without_list(&["ann"])]);
    let anonymous = broker.connect(0, v5("nobody's"));
    broker.listener = 1;
    let owner = broker.connect(0, as_user(v5("ann's"), "ann"));
    let thief = broker.dial(0, as_user(v5("nobody's"), "ann"));
    broker.expect(thief, ["CONNACK 0x87"]);
    broker.listener = 0;
    let thief = broker.dial(0, v5("ann's"));
    broker.expect(thief, ["CONNACK 0x87"]);
    assert!(!broker.is_closed(anonymous) && !broker.is_closed(owner));
    let why = broker.noted("login-refused");
    assert!(why[0].contains("was made without a user name"), "{why:?}");
    assert!(why[1].contains("belongs to another user"), "{why:?}");
    let newer = broker.dial(0, v5("nobody's"));
    broker.expect(newer, ["CONNACK 0x00"]);
    broker.expect(anonymous, ["DISCONNECT 0x8E"]);
}

#[test]
fn a_listener_without_providers_takes_everybody_for_anonymous() {
    let mut broker = Broker::new(1);
    broker.connect(0, as_user(v5("one"), "anything"));
    let mut broker = Broker::with(1, |settings| settings.access.anonymous = false);
    let peer = broker.dial(0, v5("two"));
    broker.expect(peer, ["CONNACK 0x86"]);
}

/// Sends CONNECT with SCRAM; what the broker asks.
fn begin(broker: &mut Broker, shard: usize, client_id: &str, name: &str) -> (Peer, String) {
    let data = scram::first(name);
    let peer = broker.dial(shard, with_method(lasting(client_id, 60), METHOD, &data));
    (peer, question(broker, peer))
}

pub(crate) fn question(broker: &mut Broker, peer: Peer) -> String {
    let heard = broker.hear(peer);
    let [line] = &heard[..] else { panic!("one AUTH is expected, not {heard:?}") };
    let question = line.strip_prefix("AUTH 0x18 SCRAM-SHA-256 ");
    question.unwrap_or_else(|| panic!("a question is expected, not {line}")).to_owned()
}

/// [MQTT-4.12.0-2], [MQTT-4.12.0-3], [MQTT-4.12.0-5]
#[test]
fn scram_is_asked_and_answered_by_auth() {
    for shard in 0..3 {
        let mut broker = Broker::with_rules(3, scram_rules(&["ann"], 1));
        let (peer, question) = begin(&mut broker, shard, "client", "ann");
        let data = scram::answer("ann", &question);
        broker.send(peer, auth(ReasonCode::ContinueAuthentication, METHOD, &data));
        let heard = broker.hear(peer);
        assert!(heard.len() == 1 && heard[0].starts_with("CONNACK v="), "{heard:?}");
        broker.ask(peer, publish(1, "a", "x"), ["PUBACK #1 0x10"]);
    }
}

/// [MQTT-4.12.0-4]
#[test]
fn a_wrong_proof_is_refused_in_connack() {
    let mut broker = Broker::with_rules(1, scram_rules(&["ann", "bob"], 1));
    for (name, password) in [("ann", "bob"), ("eve", "eve")] {
        let (peer, question) = begin(&mut broker, 0, "client", name);
        let data = scram::answer(password, &question).replace(password, name);
        broker.ask(peer, auth(ReasonCode::ContinueAuthentication, METHOD, &data), ["CONNACK 0x86"]);
        assert!(broker.is_closed(peer));
    }
    broker.expect_empty();
}

/// [MQTT-4.12.0-1]: a method that is not offered, also where there are passwords.
#[test]
fn a_method_that_is_not_offered_is_refused() {
    let mut broker = Broker::with_rules(1, scram_rules(&["ann"], 1));
    let connect = with_method(as_user(v5("client"), "ann"), "GSSAPI", "");
    let peer = broker.dial(0, connect);
    broker.expect(peer, ["CONNACK 0x8C"]);
    let mut plain = Broker::new(1);
    let peer = plain.dial(0, with_method(v5("client"), METHOD, &scram::first("ann")));
    plain.expect(peer, ["CONNACK 0x8C"]);
    assert!(plain.is_closed(peer));
}

/// [MQTT-3.1.2-30]: between CONNECT and CONNACK there is AUTH and DISCONNECT, and E09: no other
/// method.
#[test]
fn what_else_comes_before_connack_ends_the_connection() {
    let go_on = ReasonCode::ContinueAuthentication;
    for (packet, lines) in [
        (publish(0, "a", "x"), &["CONNACK 0x82"][..]),
        (subscribe(1, "a", 0), &["CONNACK 0x82"]),
        (Packet::PingReq, &["CONNACK 0x82"]),
        (Packet::Connect(v5("client")), &["CONNACK 0x82"]),
        (auth(go_on, "SCRAM-SHA-512", "x"), &["CONNACK 0x82"]),
        (auth(ReasonCode::ReAuthenticate, METHOD, "x"), &["CONNACK 0x82"]),
        (auth(go_on, METHOD, "x"), &["CONNACK 0x86"]),
        (disconnect(0, None), &[]),
    ] {
        let mut broker = Broker::with_rules(1, scram_rules(&["ann"], 1));
        let (peer, _) = begin(&mut broker, 0, "client", "ann");
        let sent = packet.to_string();
        broker.send(peer, packet);
        assert_eq!(broker.hear(peer), lines, "{sent}");
        assert!(broker.is_closed(peer));
        broker.expect_empty();
    }
}

#[test]
fn a_client_that_does_not_answer_is_closed_after_connect_timeout_ms() {
    let mut broker = Broker::with_rules(1, scram_rules(&["ann"], 1));
    let (peer, _) = begin(&mut broker, 0, "client", "ann");
    broker.wait_ms(10_000);
    assert!(broker.is_closed(peer));
    broker.expect_empty();
}

/// [MQTT-3.1.2-24]: no question is longer than the client takes.
#[test]
fn an_auth_longer_than_the_client_takes_is_not_sent() {
    let mut broker = Broker::with_rules(1, scram_rules(&["ann"], 1));
    let data = scram::first("ann");
    let connect = with_packet_bytes_max(with_method(v5("client"), METHOD, &data), 40);
    let peer = broker.dial(0, connect);
    broker.expect(peer, ["CONNACK 0x95"]);
}

/// [MQTT-4.12.0-6], [MQTT-4.12.0-7], E01
#[test]
fn without_a_method_there_is_no_auth() {
    let mut broker = Broker::with_rules(1, scram_rules(&["ann"], 1));
    let peer = broker.connect(0, as_user(v5("client"), "ann"));
    broker.expect_nothing(peer);
    let data = scram::first("ann");
    broker.ask(peer, auth(ReasonCode::ReAuthenticate, METHOD, &data), ["DISCONNECT 0x82"]);
}

/// The rules change while a login is looked at: what was found out holds no more.
#[test]
fn h11_a_user_who_is_gone_before_the_answer_does_not_come_in() {
    let mut broker = broker(2);
    broker.logins.are_held = true;
    let peer = broker.dial(0, as_user(v5("client"), "ann"));
    broker.change_rules(vec![users_without_list(&["bob"])]);
    broker.answer_login();
    broker.settle();
    broker.expect(peer, ["CONNACK 0x87"]);
    broker.expect_empty();
}

/// H01: a will on a topic that is denied; with the login or at once.
#[test]
fn h01_a_will_on_a_denied_topic_is_refused() {
    let acl = "topic write all\nuser ann\ntopic write allowed\n";
    let mut broker = Broker::with_rules(1, vec![crate::broker::logins::users(&["ann"], acl)]);
    let peer = broker.dial(0, with_will(as_user(v5("client"), "ann"), "denied", None));
    broker.expect(peer, ["CONNACK 0x87"]);
    broker.connect(0, with_will(as_user(v5("client"), "ann"), "allowed", None));
    let mut broker = Broker::with_rules(1, vec![crate::broker::logins::everybody(acl)]);
    let peer = broker.dial(0, with_will(v3("client", true), "denied", None));
    broker.expect(peer, ["CONNACK 0x87"]);
    broker.connect(0, with_will(v3("client", true), "all", None));
}

#[test]
fn an_identity_that_has_ended_before_it_is_known_does_not_come_in() {
    let mut broker = broker(1);
    broker.logins.identity_ms = Some(0);
    broker.logins.are_held = true;
    let peer = broker.dial(0, as_user(v5("client"), "ann"));
    let identity = Identity::user("ann", Voucher::Token(1));
    broker.answer_login_with(Outcome { result: Ok(identity), data: None, cache_ms: 0 });
    broker.expect(peer, ["CONNACK 0x87"]);
}
