//! The table behind [`Sender`](super::Sender): packet ids in use, findable by id, linked in order.

use super::PacketId;

/// Fewest slots that are allocated, and the most that an empty table keeps.
const SLOTS_MIN: usize = 8;

/// The end of a list. Never a position: fewer ids than this can be in use.
const NONE: u16 = u16::MAX;

/// What a packet id stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// QoS 1, no PUBACK yet.
    AtLeastOnce,
    /// QoS 2, no PUBREC yet.
    ExactlyOnce,
    /// QoS 2 after PUBREC: PUBREL is owed or sent, no PUBCOMP yet.
    Released,
    /// Lent to a SUBSCRIBE or UNSUBSCRIBE; not in the order.
    Reserved,
}

/// One packet id in use, and beside it the head of one chain.
#[derive(Debug)]
pub(super) struct Slot<T> {
    /// The first of the ids that belong to this place (id modulo capacity).
    head: u16,
    /// 0: the slot is free.
    id: u16,
    /// The next slot of the same chain, or of the free list.
    chain: u16,
    /// The neighbours in the order of first sending.
    previous: u16,
    next: u16,
    pub(super) state: State,
    /// Its PUBLISH left on the present connection and uses up quota.
    pub(super) counted: bool,
    pub(super) value: Option<T>,
}

/// Where an id stands in the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place(u16);

/// Packet ids in use: a hash table with chains, and the id itself as the hash. Ids given out in
/// sequence never share a chain. A peer that chooses which ones stay behind cannot make a chain
/// longer than 256: of 65,536 numbers no more have the same remainder once a table has 256 slots.
#[derive(Debug)]
pub(super) struct Window<T> {
    /// A power of two, or empty before the first use.
    slots: Box<[Slot<T>]>,
    /// The last freed slot; its chain leads to the other free ones.
    free: u16,
    used: u16,
    first: u16,
    last: u16,
}

impl<T> Window<T> {
    pub(super) fn new() -> Self {
        Self::with_capacity(0)
    }

    /// How many ids are in use.
    pub(super) fn len(&self) -> usize {
        usize::from(self.used)
    }

    pub(super) fn find(&self, id: PacketId) -> Option<&Slot<T>> {
        self.position(id).map(|position| self.slot(position))
    }

    pub(super) fn find_mut(&mut self, id: PacketId) -> Option<&mut Slot<T>> {
        self.position(id).map(|position| self.slot_mut(position))
    }

    /// The exchange that was sent first.
    pub(super) fn first(&self) -> Option<PacketId> {
        self.id_at(self.first)
    }

    /// The exchange that was sent after this one.
    pub(super) fn next(&self, id: PacketId) -> Option<PacketId> {
        self.find(id).and_then(|slot| self.id_at(slot.next))
    }

    /// Every exchange in the order of first sending.
    pub(super) fn iter(&self) -> impl Iterator<Item = (PacketId, &Slot<T>)> {
        let mut position = self.first;
        std::iter::from_fn(move || {
            let id = self.id_at(position)?;
            let slot = self.slot(position);
            position = slot.next;
            Some((id, slot))
        })
    }

    /// Puts a new exchange behind all others. The id must not be in use.
    pub(super) fn push(
        &mut self,
        id: PacketId,
        state: State,
        counted: bool,
        value: Option<T>,
    ) -> &mut Slot<T> {
        let position = self.occupy(id);
        let previous = std::mem::replace(&mut self.last, position);
        match previous {
            NONE => self.first = position,
            _ => self.slot_mut(previous).next = position,
        }
        let slot = self.slot_mut(position);
        slot.previous = previous;
        slot.state = state;
        slot.counted = counted;
        slot.value = value;
        slot
    }

    /// Takes an id out of use without an exchange. The id must not be in use.
    pub(super) fn reserve(&mut self, id: PacketId) {
        let position = self.occupy(id);
        self.slot_mut(position).state = State::Reserved;
    }

    /// Where an id in use stands, until an id is taken into use or out of it.
    pub(super) fn place(&self, id: PacketId) -> Option<Place> {
        self.position(id).map(Place)
    }

    pub(super) fn state_at(&self, place: Place) -> State {
        self.slot(place.0).state
    }

    /// Frees an id and gives back what it stood for; None if it was not in use.
    pub(super) fn remove(&mut self, id: PacketId) -> Option<(State, bool, Option<T>)> {
        let place = self.place(id)?;
        Some(self.remove_at(id, place))
    }

    /// Frees an id that stands there, and gives back what it stood for.
    pub(super) fn remove_at(
        &mut self,
        id: PacketId,
        Place(position): Place,
    ) -> (State, bool, Option<T>) {
        self.unchain(id, position);
        let free = std::mem::replace(&mut self.free, position);
        let slot = self.slot_mut(position);
        slot.id = 0;
        slot.chain = free;
        let removed = (slot.state, slot.counted, slot.value.take());
        let (previous, next) = (slot.previous, slot.next);
        if removed.0 != State::Reserved {
            self.unlink(previous, next);
        }
        self.used -= 1;
        if self.slots.len() > SLOTS_MIN && self.len() < self.slots.len() / 8 {
            self.resize((self.slots.len() / 4).max(SLOTS_MIN));
        }
        removed
    }

    /// Frees every reserved id, counts nothing, and keeps no memory that is not needed.
    pub(super) fn begin_connection(&mut self) {
        let mut reserved = Vec::new();
        for slot in &mut self.slots {
            slot.counted = false;
            if slot.state == State::Reserved {
                reserved.extend(PacketId::new(slot.id));
            }
        }
        for id in reserved {
            self.remove(id);
        }
        if self.used == 0 {
            *self = Self::new();
        }
    }

    fn with_capacity(capacity: usize) -> Self {
        let free_slot = |position: usize| Slot {
            head: NONE,
            id: 0,
            // The position after the last one is no position: NONE, or never reached, as the
            // table grows before it is full.
            chain: u16::try_from(position + 1).unwrap_or(NONE),
            previous: NONE,
            next: NONE,
            state: State::Reserved,
            counted: false,
            value: None,
        };
        let slots = (0..capacity).map(free_slot).collect();
        Self { slots, free: 0, used: 0, first: NONE, last: NONE }
    }

    fn slot(&self, position: u16) -> &Slot<T> {
        &self.slots[usize::from(position)]
    }

    fn slot_mut(&mut self, position: u16) -> &mut Slot<T> {
        &mut self.slots[usize::from(position)]
    }

    fn id_at(&self, position: u16) -> Option<PacketId> {
        self.slots.get(usize::from(position)).and_then(|slot| PacketId::new(slot.id))
    }

    /// Where the chain of an id begins. The table must not be empty.
    fn head_mut(&mut self, id: PacketId) -> &mut u16 {
        let place = usize::from(id.get()) & (self.slots.len() - 1);
        &mut self.slots[place].head
    }

    fn position(&self, id: PacketId) -> Option<u16> {
        let place = usize::from(id.get()) & self.slots.len().wrapping_sub(1);
        let mut position = self.slots.get(place)?.head;
        while position != NONE {
            let slot = self.slot(position);
            if slot.id == id.get() {
                return Some(position);
            }
            position = slot.chain;
        }
        None
    }

    /// Gives an id a slot, in front of its chain and outside the order.
    fn occupy(&mut self, id: PacketId) -> u16 {
        if self.len() == self.slots.len() {
            // A window that empties and fills again moves few exchanges for it: small ones grow
            // in large steps, and whatever shrinks does.
            let factor = if self.slots.len() < 128 { 4 } else { 2 };
            self.resize((self.slots.len() * factor).max(SLOTS_MIN));
        }
        self.used += 1;
        let position = self.free;
        self.free = self.slot(position).chain;
        let chain = std::mem::replace(self.head_mut(id), position);
        let slot = self.slot_mut(position);
        slot.id = id.get();
        slot.chain = chain;
        slot.previous = NONE;
        slot.next = NONE;
        position
    }

    /// Takes the slot at a position out of the chain of its id.
    fn unchain(&mut self, id: PacketId, position: u16) {
        let behind = self.slot(position).chain;
        let head = self.head_mut(id);
        if *head == position {
            *head = behind;
            return;
        }
        let mut before = *head;
        while self.slot(before).chain != position {
            before = self.slot(before).chain;
        }
        self.slot_mut(before).chain = behind;
    }

    /// Joins the neighbours of what leaves the order.
    fn unlink(&mut self, previous: u16, next: u16) {
        match previous {
            NONE => self.first = next,
            _ => self.slot_mut(previous).next = next,
        }
        match next {
            NONE => self.last = previous,
            _ => self.slot_mut(next).previous = previous,
        }
    }

    fn resize(&mut self, capacity: usize) {
        let mut old = std::mem::replace(self, Self::with_capacity(capacity));
        for slot in &old.slots {
            if let (State::Reserved, Some(id)) = (slot.state, PacketId::new(slot.id)) {
                self.reserve(id);
            }
        }
        let mut position = old.first;
        while let Some(id) = old.id_at(position) {
            let slot = old.slot_mut(position);
            position = slot.next;
            self.push(id, slot.state, slot.counted, slot.value.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u16) -> PacketId {
        PacketId::new(number).expect("tests use ids above 0")
    }

    fn push(window: &mut Window<u16>, number: u16) {
        window.push(id(number), State::AtLeastOnce, true, Some(number));
    }

    #[test]
    fn ids_of_one_chain_are_found_and_removed_apart() {
        let mut window = Window::new();
        for number in [1, 9, 17, 2, 25] {
            push(&mut window, number);
        }
        for removed in [9, 25, 1] {
            assert_eq!(window.remove(id(removed)), Some((State::AtLeastOnce, true, Some(removed))));
            assert!(window.find(id(removed)).is_none() && window.remove(id(removed)).is_none());
        }
        push(&mut window, 9);
        for number in [17, 2, 9] {
            assert_eq!(window.find(id(number)).and_then(|slot| slot.value), Some(number));
        }
        let order: Vec<_> = window.iter().map(|(id, _)| id.get()).collect();
        assert_eq!(order, [17, 2, 9]);
    }

    #[test]
    fn growing_keeps_order_and_reserved_ids_and_an_emptied_window_keeps_few_slots() {
        let mut window = Window::new();
        window.reserve(id(u16::MAX));
        for number in (1..u16::MAX).rev() {
            push(&mut window, number);
        }
        assert_eq!((window.len(), window.slots.len()), (65_535, 65_536));
        assert!(window.iter().map(|(id, _)| id.get()).eq((1..u16::MAX).rev()));
        for number in 1..=u16::MAX {
            assert!(window.remove(id(number)).is_some());
        }
        assert_eq!((window.len(), window.slots.len()), (0, SLOTS_MIN));
        window.begin_connection();
        assert!(window.slots.is_empty());
    }

    #[test]
    fn one_exchange_that_stays_behind_pins_no_more_than_the_least() {
        let mut window = Window::new();
        push(&mut window, 1);
        for number in 2..=u16::MAX {
            push(&mut window, number);
            window.remove(id(number));
        }
        assert_eq!((window.len(), window.slots.len()), (1, SLOTS_MIN));
    }
}
