//! What a queue does with what does not fit, and with what expires.

use std::rc::Rc;

use skein_protocol::qos::QoS;

use super::{
    super::{Application, ApplicationRef, Payload},
    *,
};

fn delivery(payload: &[u8]) -> Delivery {
    let message = ApplicationRef {
        topic: "t",
        properties: &[],
        payload: Payload::Inline(payload),
        qos: QoS::AtLeastOnce,
        retain: false,
        expires_at: None,
    };
    Delivery::new(Rc::new(message.to_owned()), QoS::AtLeastOnce)
}

fn payloads(queue: &mut Queue) -> Vec<Vec<u8>> {
    queue.drain().map(|d| d.message.borrow().payload.as_slice().to_vec()).collect()
}

const TWO: QueueLimits = QueueLimits { messages_max: 2, bytes_max: 10_000 };

#[test]
fn drop_newest_keeps_what_waits() {
    let mut queue = Queue::default();
    for payload in [b"1", b"2"] {
        assert!(matches!(queue.push(delivery(payload), TWO, Overflow::DropNewest), Pushed::Queued));
    }
    let pushed = queue.push(delivery(b"3"), TWO, Overflow::DropNewest);
    assert!(matches!(pushed, Pushed::DroppedNewest(_)));
    assert_eq!(payloads(&mut queue), [b"1", b"2"]);
}

#[test]
fn drop_oldest_makes_room_for_the_newest() {
    let mut queue = Queue::default();
    for payload in [b"1", b"2", b"3"] {
        queue.push(delivery(payload), TWO, Overflow::DropOldest);
    }
    assert_eq!(payloads(&mut queue), [b"2", b"3"]);
}

#[test]
fn drop_oldest_never_empties_the_queue_for_what_can_not_fit() {
    let limits = QueueLimits { messages_max: 9, bytes_max: Application::OVERHEAD_BYTES + 10 };
    let mut queue = Queue::default();
    queue.push(delivery(b"1"), limits, Overflow::DropOldest);
    let pushed = queue.push(delivery(&[0; 100]), limits, Overflow::DropOldest);
    assert!(matches!(pushed, Pushed::DroppedNewest(_)));
    assert_eq!(queue.len(), 1);
}

/// [MQTT-3.3.2-5]
#[test]
fn what_has_expired_is_taken_out_and_the_rest_keeps_its_order() {
    let mut queue = Queue::default();
    for (payload, at) in [(b"1", None), (b"2", Some(5)), (b"3", Some(9)), (b"4", None)] {
        let mut delivery = delivery(payload);
        let mut message = delivery.message.borrow();
        message.expires_at = at.map(Time::from_millis);
        delivery.message = Rc::new(message.to_owned());
        queue.push_unbounded(delivery);
    }
    assert!(queue.take_expired(Time::from_millis(4)).is_empty());
    assert_eq!(queue.take_expired(Time::from_millis(5)).len(), 1);
    assert_eq!(queue.expires_from(), Some(Time::from_millis(9)));
    assert_eq!(payloads(&mut queue), [b"1", b"3", b"4"]);
    assert_eq!((queue.bytes(), queue.expires_from()), (0, None));
}

#[test]
fn bytes_come_back_to_zero() {
    let mut queue = Queue::default();
    queue.push(delivery(b"1"), TWO, Overflow::Disconnect);
    queue.push(delivery(b"22"), TWO, Overflow::Disconnect);
    assert!(matches!(queue.push(delivery(b"3"), TWO, Overflow::Disconnect), Pushed::Overflowed(_)));
    while queue.pop().is_some() {}
    assert_eq!(queue.bytes(), 0);
}
