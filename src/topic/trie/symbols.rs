//! Texts of topic levels as numbers.

use ahash::RandomState;
use hashbrown::HashTable;
use slab::Slab;

use crate::session::has_much_spare;

/// The text of a level, by number.
pub(super) type Symbol = u32;

/// Each text that is in use once, with the count of its uses.
#[derive(Debug)]
pub(super) struct Symbols {
    texts: Slab<Text>,
    /// Finds the symbol of a text. It holds numbers only: the texts are in `texts`.
    table: HashTable<Symbol>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Text {
    text: Box<str>,
    uses: u32,
}

impl Symbols {
    pub(super) fn new(hasher: RandomState) -> Self {
        Self { texts: Slab::new(), table: HashTable::new(), hasher }
    }

    /// The symbol of a text that is in use.
    pub(super) fn find(&self, text: &str) -> Option<Symbol> {
        let hash = self.hasher.hash_one(text);
        self.table.find(hash, |symbol| self.text(*symbol) == text).copied()
    }

    /// The symbol of a text, which is used once more from now on.
    pub(super) fn acquire(&mut self, text: &str) -> Symbol {
        if let Some(symbol) = self.find(text) {
            self.texts[symbol as usize].uses += 1;
            return symbol;
        }
        let index = self.texts.insert(Text { text: text.into(), uses: 1 });
        let symbol = Symbol::try_from(index).expect("fewer texts than nodes");
        let Self { texts, table, hasher } = self;
        let hash_of = |symbol: &Symbol| hasher.hash_one(&*texts[*symbol as usize].text);
        table.insert_unique(hasher.hash_one(text), symbol, hash_of);
        symbol
    }

    /// One use is over; after the last one the text is forgotten.
    pub(super) fn release(&mut self, symbol: Symbol) {
        let Self { texts, table, hasher } = self;
        let entry = &mut texts[symbol as usize];
        entry.uses -= 1;
        if entry.uses > 0 {
            return;
        }
        if let Ok(found) = table.find_entry(hasher.hash_one(&*entry.text), |at| *at == symbol) {
            found.remove();
        }
        texts.remove(symbol as usize);
        if texts.is_empty() {
            (*texts, *table) = (Slab::new(), HashTable::new());
        }
        if has_much_spare(texts.len(), texts.capacity()) {
            texts.shrink_to_fit();
        }
        if has_much_spare(table.len(), table.capacity()) {
            let hash_of = |symbol: &Symbol| hasher.hash_one(&*texts[*symbol as usize].text);
            table.shrink_to(2 * table.len(), hash_of);
        }
    }

    /// The text of a symbol in use.
    pub(super) fn text(&self, symbol: Symbol) -> &str {
        &self.texts[symbol as usize].text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_one_symbol_until_its_last_use_is_over() {
        let mut symbols = Symbols::new(RandomState::with_seeds(1, 2, 3, 4));
        let (first, other) = (symbols.acquire("a"), symbols.acquire(""));
        assert_eq!(symbols.acquire("a"), first);
        assert_eq!((symbols.text(first), symbols.text(other)), ("a", ""));
        symbols.release(first);
        assert_eq!(symbols.find("a"), Some(first));
        symbols.release(first);
        assert_eq!((symbols.find("a"), symbols.find("")), (None, Some(other)));
        symbols.release(other);
        assert_eq!(symbols.texts.capacity() + symbols.table.capacity(), 0);
    }
}
