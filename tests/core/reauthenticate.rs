//! A client proves again who it is on a live connection (4.12.1), and tokens end.

use std::sync::Arc;

use skein::access::{
    Denial, Identity, ListenerAccess, PermissionSource, Permissions, Voucher,
    provider::{HttpHook, Outcome, Provider, Providers},
};
use skein_protocol::ReasonCode::{ContinueAuthentication, ReAuthenticate, Success};

use crate::{
    authenticate::question,
    broker::{Broker, Peer},
    packets::{auth, lasting, publish, subscribe, with_method},
    scram::{self, METHOD},
};

fn rules(names: &[&str], salt: u8) -> Vec<ListenerAccess> {
    let providers = Providers::new(vec![scram::provider(names, salt)], 0, [7; 32]);
    vec![ListenerAccess::of_providers(providers)]
}

/// A client that has come in by SCRAM, and a broker that looks at no further login.
fn connected(shards: usize, identity_ms: Option<u64>) -> (Broker, Peer) {
    let mut broker = Broker::with_rules(shards, rules(&["ann", "bob"], 1));
    broker.logins.identity_ms = identity_ms;
    let data = scram::first("ann");
    let peer = broker.dial(0, with_method(lasting("client", 60), METHOD, &data));
    let data = scram::answer("ann", &question(&mut broker, peer));
    broker.send(peer, auth(ContinueAuthentication, METHOD, &data));
    assert!(broker.hear(peer)[0].starts_with("CONNACK v="));
    broker.logins.are_held = true;
    (broker, peer)
}

/// Begins again, and answers the question.
fn prove(broker: &mut Broker, peer: Peer, name: &str) {
    broker.send(peer, auth(ReAuthenticate, METHOD, &scram::first(name)));
    let data = scram::answer(name, &question(broker, peer));
    broker.send(peer, auth(ContinueAuthentication, METHOD, &data));
}

/// [MQTT-4.12.1-1]: packets go on flowing meanwhile.
#[test]
fn a_client_proves_again_who_it_is_while_packets_flow() {
    for shards in [1, 3] {
        let (mut broker, peer) = connected(shards, None);
        prove(&mut broker, peer, "ann");
        broker.ask(peer, subscribe(1, "a", 1), ["SUBACK #1 0x01"]);
        broker.ask(peer, publish(2, "a", "x"), ["PUBACK #2", "PUBLISH a x q1 #1"]);
        broker.answer_login();
        broker.settle();
        let heard = broker.hear(peer);
        assert!(heard.len() == 1 && heard[0].starts_with("AUTH 0x00 SCRAM-SHA-256 v="));
        prove(&mut broker, peer, "ann");
        broker.answer_login();
        broker.settle();
        assert_eq!(broker.hear(peer).len(), 1, "any number of times");
    }
}

/// [MQTT-4.12.1-2]: a failure closes, and so does another user.
#[test]
fn a_proof_that_fails_ends_the_connection() {
    let (mut broker, peer) = connected(1, None);
    broker.send(peer, auth(ReAuthenticate, METHOD, &scram::first("ann")));
    question(&mut broker, peer);
    broker.send(peer, auth(ContinueAuthentication, METHOD, "c=biws,r=abc,p=AAAA"));
    broker.answer_login();
    broker.settle();
    broker.expect(peer, ["DISCONNECT 0x87"]);

    let (mut broker, peer) = connected(1, None);
    prove(&mut broker, peer, "bob");
    broker.answer_login();
    broker.settle();
    broker.expect(peer, ["DISCONNECT 0x87"]);
    assert!(broker.is_closed(peer));

    let (mut broker, peer) = connected(1, None);
    broker.ask(peer, auth(ReAuthenticate, METHOD, "nonsense"), ["DISCONNECT 0x87"]);

    let (mut broker, peer) = connected(1, None);
    prove(&mut broker, peer, "ann");
    broker.answer_login_with(Outcome::denied(Denial::Overloaded));
    broker.expect(peer, ["DISCONNECT 0x89"]);
}

/// [MQTT-4.12.1-1], E09: the method is the one of CONNECT; and each step has its turn.
#[test]
fn e09_another_method_or_a_step_out_of_turn_ends_the_connection() {
    for (reason, method) in [
        (ReAuthenticate, "SCRAM-SHA-512"),
        (ReAuthenticate, ""),
        (ContinueAuthentication, METHOD),
        (Success, METHOD),
    ] {
        let (mut broker, peer) = connected(1, None);
        let data = scram::first("ann");
        broker.ask(peer, auth(reason, method, &data), ["DISCONNECT 0x82"]);
        assert!(broker.is_closed(peer));
    }
    for further in [ReAuthenticate, ContinueAuthentication] {
        let (mut broker, peer) = connected(1, None);
        prove(&mut broker, peer, "ann");
        broker.ask(peer, auth(further, METHOD, "x"), ["DISCONNECT 0x82"]);
        broker.answer_login();
        assert_eq!(broker.metrics(0).late_replies, 1);
    }
}

/// An answer that comes when the connection, or the question, is another one changes nothing.
#[test]
fn a_late_answer_proves_nothing() {
    let (mut broker, peer) = connected(1, None);
    prove(&mut broker, peer, "ann");
    broker.cut(peer);
    broker.answer_login();
    broker.settle();
    assert_eq!(broker.metrics(0).late_replies, 1);
}

#[test]
fn a_connection_ends_with_the_token_and_not_before() {
    let (mut broker, peer) = connected(1, Some(5_000));
    broker.wait_ms(4_999);
    broker.expect_nothing(peer);
    broker.wait_ms(1);
    broker.expect(peer, ["DISCONNECT 0x87"]);
    assert_eq!(broker.metrics(0).identities_expired, 1);
    assert!(broker.noted("identity-expired")[0].starts_with("the login has expired"));
    assert_eq!(broker.audit(0).sessions.len(), 1, "the session lives on");
}

#[test]
fn a_token_that_was_renewed_ends_later() {
    let (mut broker, peer) = connected(2, Some(5_000));
    broker.wait_ms(3_000);
    prove(&mut broker, peer, "ann");
    broker.answer_login();
    broker.settle();
    broker.hear(peer);
    broker.wait_ms(4_999);
    broker.expect_nothing(peer);
    broker.wait_ms(1);
    broker.expect(peer, ["DISCONNECT 0x87"]);
}

#[test]
fn a_token_of_a_connection_that_has_gone_ends_nothing() {
    let (mut broker, peer) = connected(1, Some(5_000));
    broker.cut(peer);
    let data = scram::first("ann");
    broker.logins.identity_ms = None;
    let peer = broker.dial(0, with_method(lasting("client", 60), METHOD, &data));
    let data = scram::answer("ann", &question(&mut broker, peer));
    broker.send(peer, auth(ContinueAuthentication, METHOD, &data));
    broker.answer_login();
    broker.wait_ms(60_000);
    assert!(!broker.is_closed(peer));
}

/// A user whose token allows less than the one before receives less.
#[test]
fn new_permissions_hold_at_once() {
    let (mut broker, peer) = connected(1, None);
    broker.ask(peer, subscribe(1, "a", 1), ["SUBACK #1 0x01"]);
    prove(&mut broker, peer, "ann");
    let source = PermissionSource::Given(Permissions::of_filters(&["a".into()], &[]));
    let url = "http://192.0.2.2".into();
    let hook = Provider::Http(Arc::new(HttpHook { url, timeout_ms: 1, cache_ms: 0 }));
    let providers = Providers::new(vec![scram::provider(&["ann"], 1), hook], 0, [7; 32]);
    broker.change_rules(vec![ListenerAccess::of_providers(providers)]);
    let identity = Identity { source, ..Identity::user("ann", Voucher::Hook) };
    broker.answer_login_with(Outcome { result: Ok(identity), data: None, cache_ms: 0 });
    assert!(broker.hear(peer)[0].starts_with("AUTH 0x00"));
    broker.ask(peer, publish(2, "a", "x"), ["PUBACK #2"]);
}
