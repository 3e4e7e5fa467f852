//! `cargo xtask mutants`: plants bugs in a copy of the code, one at a time, and demands that the
//! simulator finds each. What a simulator has not been seen to find, nobody knows it can find.

mod copy;
mod laboratory;
mod list;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use self::laboratory::{Laboratory, Outcome};
use self::list::Mutation;

/// What is to be tried.
pub(crate) struct Choice {
    /// Names of mutations; all if none is given.
    pub(crate) only: Vec<String>,
    /// Only so many of them, others each day.
    pub(crate) sample: Option<usize>,
    /// Picks the sample instead of the day.
    pub(crate) seed: Option<u64>,
    /// Seeds of the simulator within which a mutation must be caught.
    pub(crate) seeds: u64,
}

/// Tries the chosen mutations and says what came of each. True when every one was caught.
///
/// # Errors
/// The list is wrong, the code cannot be copied, or it does not build without a mutation.
pub(crate) fn run(choice: &Choice) -> Result<bool, String> {
    let mutations = chosen(list::read()?, choice)?;
    let laboratory = Laboratory::new(choice.seeds)?;
    let mut failing = BTreeMap::new();
    for test in mutations.iter().map(Mutation::test).collect::<BTreeSet<_>>() {
        let seeds = laboratory.failing_unmutated(test, &mutations)?;
        if !seeds.is_empty() {
            println!("not counted in {test}, as they fail without a mutation: seeds {seeds:?}");
        }
        failing.insert(test, seeds);
    }
    let mut passed = 0;
    for mutation in &mutations {
        let name = &mutation.name;
        match laboratory.try_out(mutation, &failing[mutation.test()])? {
            Outcome::Caught { seed, promise } => {
                passed += 1;
                println!("caught {name} by seed {seed}: {promise}");
            }
            Outcome::Survived => println!("NOT CAUGHT {name}: {}", mutation.what),
            Outcome::Broken(why) => println!("BROKEN {name}: {why}"),
        }
    }
    println!("{passed} passed, {} failed", mutations.len() - passed);
    Ok(passed == mutations.len())
}

fn chosen(all: Vec<Mutation>, choice: &Choice) -> Result<Vec<Mutation>, String> {
    let is_known = |name: &&String| all.iter().any(|mutation| mutation.name == **name);
    if let Some(unknown) = choice.only.iter().find(|name| !is_known(name)) {
        return Err(format!("no mutation \"{unknown}\" in {}", list::PATH));
    }
    let is_named = |m: &Mutation| choice.only.is_empty() || choice.only.contains(&m.name);
    let mut named: Vec<Mutation> = all.into_iter().filter(is_named).collect();
    if let Some(count) = choice.sample
        && count < named.len()
    {
        let begin = rotation(choice.seed.unwrap_or_else(today), count, named.len());
        named.rotate_left(begin);
        named.truncate(count);
    }
    Ok(named)
}

/// Where the sample of a turn begins: each turn goes on where the one before ended, so that all
/// have had theirs as soon as possible.
fn rotation(turn: u64, count: usize, of: usize) -> usize {
    let (turn, count, of) = (u128::from(turn), count as u128, of as u128);
    usize::try_from(turn * count % of).expect("a remainder is below the number of mutations")
}

/// The number of this day.
fn today() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs() / (24 * 60 * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(only: &[&str], sample: Option<usize>, seed: u64) -> Result<Vec<String>, String> {
        let all = ["a", "b", "c", "d", "e"].map(Mutation::named).to_vec();
        let only = only.iter().map(|name| (*name).to_owned()).collect();
        let choice = Choice { only, sample, seed: Some(seed), seeds: 1 };
        Ok(chosen(all, &choice)?.into_iter().map(|mutation| mutation.name).collect())
    }

    #[test]
    fn samples_go_round_through_all() {
        assert_eq!(names(&[], Some(2), 0), Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(names(&[], Some(2), 1), Ok(vec!["c".to_owned(), "d".to_owned()]));
        assert_eq!(names(&[], Some(2), 2), Ok(vec!["e".to_owned(), "a".to_owned()]));
        assert_eq!(names(&[], Some(2), u64::MAX).map(|names| names.len()), Ok(2));
        assert_eq!(names(&[], Some(9), 3).map(|names| names.len()), Ok(5));
    }

    #[test]
    fn a_name_that_is_not_in_the_list_is_an_error() {
        assert_eq!(names(&["d"], None, 0), Ok(vec!["d".to_owned()]));
        assert!(names(&["d", "x"], None, 0).is_err());
    }
}
