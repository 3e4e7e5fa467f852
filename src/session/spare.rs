//! When a table that grows with the number of clients is to give memory back.

/// Tables that never held more than this give nothing back: it would not be noticed.
const CAPACITY_MIN: usize = 256;

/// Whether a table that has just lost an item, and holds `len` now, has so much more room that it
/// is worth its while to be made smaller. True seldom enough that, however costly that is, it costs
/// each item that was ever taken out no more than a few steps.
pub fn has_much_spare(len: usize, capacity: usize) -> bool {
    capacity >= CAPACITY_MIN && len <= capacity / 4 && (len.is_power_of_two() || len == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_empties_is_made_smaller_a_few_times_and_never_while_it_is_used() {
        let times = (0..10_000).rev().filter(|len| has_much_spare(*len, 10_000)).count();
        assert_eq!(times, 13);
        assert!((2_501..10_000).all(|len| !has_much_spare(len, 10_000)));
        assert!(!has_much_spare(1, CAPACITY_MIN - 1));
    }
}
