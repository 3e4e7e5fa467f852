use super::*;

fn connected(receive_maximum: u16) -> Sender<&'static str> {
    let mut sender = Sender::new();
    sender.begin_connection(receive_maximum);
    sender
}

#[test]
fn a_sender_is_small_and_without_a_connection_sends_nothing() {
    assert!(size_of::<Sender<[u8; 64]>>() <= 64);
    let mut sender = Sender::new();
    assert_eq!(sender.send(QoS::AtLeastOnce, "a"), Err("a"));
    sender.begin_connection(1);
    assert_eq!(sender.send(QoS::AtMostOnce, "a"), Err("a"));
    assert!(sender.send(QoS::AtLeastOnce, "a").is_ok());
}

/// [MQTT-2.2.1-3] [MQTT-4.9.0-2]
#[test]
fn a_chosen_id_is_taken_unless_it_is_in_use() {
    let id = PacketId::new(7).expect("not 0");
    let mut sender = connected(2);
    assert_eq!(sender.send_as(id, QoS::AtMostOnce, "a"), Err("a"));
    assert_eq!(sender.send_as(id, QoS::AtLeastOnce, "a"), Ok(()));
    assert_eq!(sender.send_as(id, QoS::ExactlyOnce, "b"), Err("b"));
    assert_eq!(sender.on_puback(id), Ok("a"));
    assert_eq!(sender.send_as(id, QoS::ExactlyOnce, "b"), Ok(()));
    assert_eq!(sender.quota(), 1);
    sender.begin_connection(2);
    assert_eq!(sender.next_resend(), Some(Resend::Publish(id, &"b")));
}

/// [MQTT-4.9.0-2]
#[test]
fn quota_comes_back_with_puback_pubcomp_and_a_refusing_pubrec() {
    let mut sender = connected(1);
    for round in 0..3 {
        let qos = if round == 0 { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
        let id = sender.send(qos, "a").expect("quota is 1");
        assert_eq!((sender.quota(), sender.send(qos, "b")), (0, Err("b")));
        match round {
            0 => assert_eq!(sender.on_puback(id), Ok("a")),
            1 => assert_eq!(sender.on_pubrec(id, true), Ok(Received::Refused("a"))),
            _ => {
                assert_eq!(sender.on_pubrec(id, false), Ok(Received::Release("a")));
                assert_eq!(sender.quota(), 0);
                assert_eq!(sender.on_pubrec(id, false), Ok(Received::Again));
                assert_eq!(sender.on_pubcomp(id), Ok(()));
            }
        }
        assert_eq!((sender.quota(), sender.is_empty()), (1, true));
    }
}

/// [MQTT-4.3.3-8]
#[test]
fn an_acknowledgement_of_the_other_flow_changes_nothing() {
    let mut sender = connected(9);
    let once = sender.send(QoS::AtLeastOnce, "1").expect("quota");
    let exactly = sender.send(QoS::ExactlyOnce, "2").expect("quota");
    assert_eq!(sender.on_puback(exactly), Err(AckError::Mismatched));
    assert_eq!(sender.on_pubcomp(exactly), Err(AckError::Mismatched));
    assert_eq!(sender.on_pubrec(once, false), Err(AckError::Mismatched));
    assert_eq!(sender.on_pubrec(once, true), Err(AckError::Mismatched));
    assert_eq!(sender.on_pubcomp(once), Err(AckError::Mismatched));
    assert_eq!(sender.values().map(|(_, value)| *value).collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(sender.on_puback(once), Ok("1"));
    assert_eq!(sender.on_puback(once), Err(AckError::Unknown));
}

/// [MQTT-4.4.0-1], [MQTT-4.6.0-1]
#[test]
fn resends_keep_order_ids_and_the_new_receive_maximum() {
    let mut sender = connected(9);
    let ids: Vec<_> =
        ["a", "b", "c"].map(|value| sender.send(QoS::ExactlyOnce, value).expect("quota")).into();
    sender.on_pubrec(ids[1], false).expect("b is in flight");
    sender.begin_connection(1);
    assert_eq!(sender.quota(), 0);
    assert_eq!(sender.next_resend(), Some(Resend::Publish(ids[0], &"a")));
    assert_eq!(sender.next_resend(), Some(Resend::PubRel(ids[1])));
    assert_eq!(sender.next_resend(), None);
    assert_eq!(sender.send(QoS::AtLeastOnce, "d"), Err("d"));
    // The PUBLISH of b left on another connection: its PUBCOMP gives nothing back here.
    sender.on_pubcomp(ids[1]).expect("b was released");
    assert_eq!(sender.next_resend(), None);
    sender.on_pubrec(ids[0], true).expect("a is in flight");
    assert_eq!(sender.next_resend(), Some(Resend::Publish(ids[2], &"c")));
    assert!(sender.next_resend().is_none() && sender.quota() == 0);
}

#[test]
fn a_full_window_of_another_connection_can_be_resent() {
    let mut sender = connected(u16::MAX);
    while sender.send(QoS::AtLeastOnce, "a").is_ok() {}
    assert_eq!(sender.in_flight(), usize::from(IN_FLIGHT_MAX));
    sender.begin_connection(u16::MAX);
    let resent = std::iter::from_fn(|| sender.next_resend().map(drop)).count();
    assert_eq!((resent, sender.quota()), (usize::from(IN_FLIGHT_MAX), 0));
}

#[test]
fn drain_gives_back_what_nobody_owns_and_leaves_nothing() {
    let mut sender = connected(9);
    let released = sender.send(QoS::ExactlyOnce, "a").expect("quota");
    let kept = [(QoS::AtLeastOnce, "b"), (QoS::ExactlyOnce, "c"), (QoS::AtLeastOnce, "d")];
    for (qos, value) in kept {
        sender.send(qos, value).expect("quota");
    }
    sender.on_pubrec(released, false).expect("a is in flight");
    assert_eq!(sender.drain().take(2).collect::<Vec<_>>(), kept[..2]);
    assert!(sender.is_empty() && sender.values().next().is_none());
    assert_eq!(sender.quota(), 5, "four PUBLISH of this connection are unanswered");
    sender.begin_connection(9);
    assert!(sender.next_resend().is_none() && sender.quota() == 9);
}

/// [MQTT-2.2.1-3]
#[test]
fn an_id_in_use_is_passed_over_and_never_zero() {
    let mut sender = connected(9);
    let stuck = sender.send(QoS::AtLeastOnce, "stuck").expect("quota");
    let reserved = sender.reserve().expect("an id is free");
    for _ in 0..200_000 {
        let id = sender.send(QoS::AtLeastOnce, "a").expect("quota");
        assert!(id != stuck && id != reserved);
        sender.on_puback(id).expect("in flight");
    }
    assert_eq!(sender.on_puback(reserved), Err(AckError::Unknown));
    assert!(sender.release(reserved) && !sender.release(reserved) && !sender.release(stuck));
}

#[test]
fn every_id_can_be_reserved_and_a_new_connection_frees_them() {
    let mut sender = connected(9);
    sender.send(QoS::ExactlyOnce, "a").expect("quota");
    assert_eq!(std::iter::from_fn(|| sender.reserve()).count(), usize::from(u16::MAX) - 1);
    assert_eq!(sender.send(QoS::AtLeastOnce, "b"), Err("b"));
    sender.begin_connection(9);
    assert!(sender.next_resend().is_some() && sender.send(QoS::AtLeastOnce, "b").is_ok());
}

/// [MQTT-2.2.1-3]: who may send has an id to send with.
#[test]
fn there_is_no_quota_while_no_id_is_free() {
    let mut sender = Sender::with_ids_up_to(2);
    sender.begin_connection(9);
    assert_eq!(sender.quota(), 1, "half of the ids are for exchanges");
    let [first, _] = [sender.reserve(), sender.reserve()];
    assert_eq!((sender.quota(), sender.send(QoS::AtLeastOnce, "a")), (0, Err("a")));
    assert!(sender.release(first.expect("an id is free")));
    assert_eq!(sender.quota(), 1);
    assert!(sender.send(QoS::AtLeastOnce, "a").is_ok());
}

#[test]
fn ids_can_be_limited_while_higher_ones_are_in_use() {
    let mut sender = connected(9);
    let high = PacketId::new(1000).expect("not 0");
    assert!(sender.restore(high, QoS::ExactlyOnce, Some("high")) && sender.is_in_use(high));
    sender.limit_ids(8);
    sender.begin_connection(9);
    assert!(matches!(sender.next_resend(), Some(Resend::Publish(id, _)) if id == high));
    let low: Vec<u16> = std::iter::from_fn(|| sender.send(QoS::AtLeastOnce, "low").ok())
        .map(PacketId::get)
        .collect();
    assert_eq!(low, [1, 2, 3], "half of eight, of which one is in flight already");
    sender.limit_ids(2);
    assert_eq!((sender.quota(), sender.reserve()), (0, None));
}

/// [MQTT-2.2.1-3]
#[test]
fn a_reserved_id_is_no_exchange_and_is_none_that_the_caller_knows_to_be_in_use() {
    let mut sender = connected(9);
    let reserved = sender.reserve_unless(|id| id.get() < 5).expect("an id is free");
    assert_eq!(reserved.get(), 5);
    assert!(sender.is_in_use(reserved) && !sender.has_exchange(reserved));
    let sent = sender.send(QoS::AtLeastOnce, "a").expect("quota");
    assert!(sender.has_exchange(sent));
    assert_eq!(sender.reserve_unless(|_| true), None);
}
