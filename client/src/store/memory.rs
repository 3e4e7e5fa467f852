//! A store that ends with the process.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::live::Live;
use super::record::Record;
use super::{Contents, Store};
use crate::session::Mark;
use crate::{Publish, Result};

/// A [`Store`] in memory: the next client with a clone of it goes on where the last one was, as
/// long as the process lives. For tests, and for clients that are made anew.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore(Arc<Mutex<Live>>);

impl MemoryStore {
    /// One without messages.
    pub fn new() -> Self {
        Self::default()
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn load(&mut self) -> Result<Contents> {
        Ok(self.live().contents())
    }

    fn append(&mut self, number: u64, publish: &Publish) -> Result<()> {
        self.live().apply(Record::Message(number, publish.clone()));
        Ok(())
    }

    fn strike(&mut self, number: u64) -> Result<()> {
        self.live().apply(Record::Struck(number));
        Ok(())
    }

    fn mark(&mut self, marks: &[Mark<u64>]) -> Result<()> {
        let mut live = self.live();
        marks.iter().for_each(|mark| live.apply(Record::Mark(*mark)));
        Ok(())
    }
}
