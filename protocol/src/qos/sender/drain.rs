//! Taking everything out of a [`Sender`].

use super::window::State;
use super::{QoS, Sender};

/// See [`Sender::drain`].
pub(super) struct Drain<'a, T>(pub(super) &'a mut Sender<T>);

impl<T> Iterator for Drain<'_, T> {
    type Item = (QoS, T);

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(id) = self.0.window.first() {
            let (state, _, value) = self.0.window.remove(id)?;
            self.0.in_flight -= 1;
            let qos = match state {
                State::AtLeastOnce => QoS::AtLeastOnce,
                _ => QoS::ExactlyOnce,
            };
            if let Some(value) = value {
                return Some((qos, value));
            }
        }
        None
    }
}

impl<T> Drop for Drain<'_, T> {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}
