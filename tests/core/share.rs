//! Shared subscriptions: each message to one member, and nothing lost by who leaves (4.8.2).

use skein::shard::DropReason;

use crate::{
    broker::{Broker, Peer},
    packets::{
        lasting, puback, publish, publish2, pubrec, retained, subscribe, subscribe_with,
        unsubscribe, v5, with_receive_maximum,
    },
};

const FILTER: &str = "$share/group/a";

fn join(broker: &mut Broker, shard: usize, name: &str) -> Peer {
    let member = broker.connect(shard, lasting(name, 60));
    broker.ask(member, subscribe(1, FILTER, 1), ["SUBACK #1 0x01"]);
    member
}

/// The payloads a client has received since it was last asked.
fn payloads(broker: &mut Broker, peer: Peer) -> Vec<String> {
    let lines = broker.hear(peer);
    let words = lines.iter().filter(|line| line.starts_with("PUBLISH"));
    words.filter_map(|line| line.split(' ').nth(2)).map(str::to_owned).collect()
}

#[test]
fn each_message_goes_to_one_member_wherever_it_is() {
    for shard in 0..3 {
        let mut broker = Broker::new(3);
        let members = [0, 1, 1, 2].map(|shard| (shard, ()));
        let names = ["w", "x", "y", "z"];
        let members: Vec<Peer> = members
            .iter()
            .zip(names)
            .map(|((shard, ()), name)| join(&mut broker, *shard, name))
            .collect();
        let publisher = broker.connect(shard, v5("publisher"));
        for number in 0..40 {
            broker.send(publisher, publish(0, "a", &number.to_string()));
        }
        let shares: Vec<Vec<String>> = members.iter().map(|m| payloads(&mut broker, *m)).collect();
        assert!(shares.iter().all(|share| share.len() == 10), "in turn: {shares:?}");
        let mut all: Vec<u32> = shares.concat().iter().filter_map(|p| p.parse().ok()).collect();
        all.sort_unstable();
        assert_eq!(all, (0..40).collect::<Vec<_>>());
    }
}

/// The publisher's shard does not know yet that the member has left.
#[test]
fn a_pick_for_a_member_that_has_left_goes_to_another_shard() {
    let mut broker = Broker::new(3);
    let publisher = broker.connect(0, v5("publisher"));
    let leaving = join(&mut broker, 1, "leaving");
    let staying = join(&mut broker, 2, "staying");
    broker.hold(1, 0);
    broker.ask(leaving, unsubscribe(2, FILTER), ["UNSUBACK #2 0x00"]);
    for number in 0..4 {
        broker.send(publisher, publish(0, "a", &number.to_string()));
    }
    broker.release(1, 0);
    assert_eq!(payloads(&mut broker, staying).len(), 4);
    assert_eq!(payloads(&mut broker, leaving).len(), 0);
}

/// The publisher's shard still knows a share that was forgotten and begun anew meanwhile.
#[test]
fn a_pick_for_a_share_that_began_anew_is_not_lost() {
    let mut broker = Broker::new(3);
    let publisher = broker.connect(0, v5("publisher"));
    let leaving = join(&mut broker, 1, "leaving");
    broker.hold(1, 0);
    broker.ask(leaving, unsubscribe(2, FILTER), ["UNSUBACK #2 0x00"]);
    let joining = join(&mut broker, 2, "joining");
    for number in 0..4 {
        broker.send(publisher, publish(0, "a", &number.to_string()));
    }
    assert_eq!(payloads(&mut broker, joining), ["0", "1", "2", "3"]);
}

/// The last member has left, and with it the share: late picks find nothing and are counted.
#[test]
fn a_pick_for_a_share_that_is_gone_is_counted() {
    let mut broker = Broker::new(2);
    let publisher = broker.connect(0, v5("publisher"));
    let member = join(&mut broker, 1, "member");
    broker.hold(1, 0);
    broker.ask(member, unsubscribe(2, FILTER), ["UNSUBACK #2 0x00"]);
    broker.send(publisher, publish(0, "a", "x"));
    assert_eq!(broker.metrics(1).drops_for(DropReason::NoMemberLeft), 1);
}

/// "A member's unacknowledged messages are not lost when it leaves": QoS 1, and what is queued.
/// [MQTT-4.8.2-5]: QoS 2 that has left belongs to one session.
#[test]
fn what_a_member_leaves_behind_goes_to_another() {
    for shard in 0..2 {
        let mut broker = Broker::new(2);
        let connect = with_receive_maximum(lasting("leaving", 60), 2);
        let leaving = broker.connect(0, connect);
        broker.ask(leaving, subscribe(1, FILTER, 2), ["SUBACK #1 0x02"]);
        let publisher = broker.connect(1, v5("publisher"));
        broker.send(publisher, publish(1, "a", "unacknowledged"));
        broker.send(publisher, publish2(2, "a", "exactly-once"));
        broker.send(publisher, publish(3, "a", "queued"));
        broker.cut(leaving);
        let staying = join(&mut broker, shard, "staying");
        broker.wait_ms(60_000);
        assert_eq!(payloads(&mut broker, staying), ["unacknowledged", "queued"]);
        broker.send(staying, puback(1));
        broker.send(staying, puback(2));
        assert_eq!(broker.audit(0).memory_bytes + broker.audit(1).memory_bytes, 0);
    }
}

#[test]
fn members_without_connection_get_a_message_only_when_all_are_without() {
    let mut broker = Broker::new(2);
    let publisher = broker.connect(0, v5("publisher"));
    let absent = join(&mut broker, 0, "absent");
    let present = join(&mut broker, 1, "present");
    broker.cut(absent);
    for number in 1..=4 {
        broker.send(publisher, publish(number, "a", &number.to_string()));
        broker.send(present, puback(number));
    }
    assert_eq!(payloads(&mut broker, present), ["1", "2", "3", "4"]);
    broker.send(present, unsubscribe(2, FILTER));
    broker.send(publisher, publish(5, "a", "5"));
    let back = broker.connect(0, lasting("absent", 60));
    assert_eq!(payloads(&mut broker, back), ["5"]);
}

/// Law 5, for the first member of a share.
#[test]
fn law_5_suback_waits_until_all_know_of_the_share() {
    let mut broker = Broker::new(3);
    let member = broker.connect(0, v5("member"));
    let second = broker.connect(0, v5("second"));
    broker.hold(0, 2);
    broker.send(member, subscribe(1, FILTER, 1));
    broker.send(second, subscribe(1, FILTER, 1));
    broker.expect_nothing(member);
    broker.expect_nothing(second);
    broker.release(0, 2);
    broker.expect(member, ["SUBACK #1 0x01"]);
    broker.expect(second, ["SUBACK #1 0x01"]);
}

/// MQTT 5, 4.8.2; [MQTT-3.8.3-4]
#[test]
fn a_shared_subscription_gets_no_retained_messages_and_is_never_no_local() {
    let mut broker = Broker::new(2);
    let publisher = broker.connect(0, v5("publisher"));
    broker.send(publisher, retained("a", "x"));
    let member = broker.connect(1, v5("member"));
    broker.ask(member, subscribe(1, FILTER, 1), ["SUBACK #1 0x01"]);
    broker.expect_nothing(member);
    let no_local = subscribe_with(2, FILTER, 1, |options| options.no_local = true);
    broker.ask(member, no_local, ["DISCONNECT 0x82"]);
}

#[test]
fn a_share_and_a_subscription_of_ones_own_are_two() {
    let mut broker = Broker::new(2);
    let member = broker.connect(0, v5("member"));
    broker.ask(member, subscribe(1, FILTER, 1), ["SUBACK #1 0x01"]);
    broker.ask(member, subscribe(2, "a", 0), ["SUBACK #2 0x00"]);
    let publisher = broker.connect(1, v5("publisher"));
    broker.send(publisher, publish(1, "a", "x"));
    let mut heard = broker.hear(member);
    heard.sort();
    assert_eq!(heard, ["PUBLISH a x", "PUBLISH a x q1 #1"]);
    broker.ask(member, unsubscribe(3, "a"), ["UNSUBACK #3 0x00"]);
    broker.send(publisher, publish(2, "a", "y"));
    broker.expect(member, ["PUBLISH a y q1 #2"]);
}

/// A member that leaves in the middle of QoS 2 keeps its exchange.
#[test]
fn a_qos_2_exchange_of_a_share_stays_with_its_session() {
    let mut broker = Broker::new(2);
    let publisher = broker.connect(0, v5("publisher"));
    let member = broker.connect(1, lasting("member", 60));
    broker.ask(member, subscribe(1, FILTER, 2), ["SUBACK #1 0x02"]);
    broker.send(publisher, publish2(1, "a", "x"));
    broker.expect(member, ["PUBLISH a x q2 #1"]);
    broker.send(member, unsubscribe(2, FILTER));
    broker.cut(member);
    let member = broker.dial(0, lasting("member", 60));
    broker.expect(member, ["CONNACK present 0x00", "PUBLISH a x q2 #1 dup"]);
    broker.ask(member, pubrec(1), ["PUBREL #1"]);
}
