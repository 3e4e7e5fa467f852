//! The process is killed, in every way and at every point.

use std::time::Duration;

use fastrand::Rng;

use crate::broker::Start;
use crate::round::{Round, Step, random_kills};
use crate::scene::Moment;
use crate::{crowd, options};

/// Kills of one run; then there is a new folder, and a check.
const KILLS_PER_ROUND: usize = 20;

/// Plays a run with this crowd, and says what came of it.
fn play(name: &str, seed: u64, size: (usize, usize), draw: impl FnOnce(&mut Rng) -> Vec<Step>) {
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    let mut rng = Rng::with_seed(seed);
    let start = Start::new(&folder.path().join("data"), rng.usize(1..=4));
    let plans = crowd::draw(&mut rng, size.0, size.1);
    let steps = draw(&mut rng);
    let round = Round { seed, restart: start.clone(), start, plans, steps };
    match round.play() {
        Ok(outcome) => println!("{name}, seed {seed}: {outcome}"),
        Err(why) => panic!("{name}, {why}"),
    }
}

/// That the clients and the check see something: a broker in memory keeps every promise as long as
/// it lives, and no longer.
#[test]
fn a_broker_without_a_store_is_found_out_by_the_first_kill() {
    let folder = tempfile::tempdir().expect("there is room for temporary files");
    let seed = options::seed();
    for (is_killed, plays_well) in [(false, true), (true, false)] {
        let mut rng = Rng::with_seed(seed);
        let mut start = Start::new(&folder.path().join("data"), rng.usize(1..=4));
        start.is_durable = false;
        let plans = crowd::draw(&mut rng, 20, 6);
        let mut steps = vec![Step::Work(Duration::from_millis(1_500))];
        steps.extend(is_killed.then_some(Step::Kill));
        let round = Round { seed, restart: start.clone(), start, plans, steps };
        let outcome = round.play();
        assert_eq!(outcome.is_ok(), plays_well, "{outcome:?}");
        println!("in memory, killed: {is_killed}, seed {seed}: {outcome:.300?}");
    }
}

/// K1.
#[test]
fn nothing_acknowledged_is_lost_when_the_process_is_killed_under_fifty_publishers() {
    let mut left = options::kills();
    let mut seed = options::seed();
    while left > 0 {
        let kills = left.min(KILLS_PER_ROUND);
        play("random kills", seed, (50, 8), |rng| random_kills(rng, kills));
        (left, seed) = (left - kills, seed + 1);
    }
}

/// K2: a client kills the broker at each point of the handshakes that it can see.
#[test]
fn each_step_of_a_handshake_survives_a_kill_right_behind_it() {
    let moments = [
        Moment::PubAckCame,
        Moment::PubRecCame,
        Moment::PubRelSent,
        Moment::PubCompCame,
        Moment::PubAckSent,
        Moment::PubRecSent,
        Moment::PubRelCame,
        Moment::PubCompSent,
    ];
    for (place, moment) in moments.into_iter().enumerate() {
        play(&format!("{moment:?}"), options::seed() + place as u64, (6, 6), |rng| {
            (0..5).map(|_| Step::KillAt(moment, rng.u32(1..40))).collect()
        });
    }
}

/// K9.
#[test]
fn a_stop_under_load_is_quick_and_loses_nothing() {
    play("stops", options::seed(), (20, 6), |rng| {
        let pause = |rng: &mut Rng| Step::Work(Duration::from_millis(rng.u64(..600)));
        (0..5).flat_map(|_| [pause(rng), Step::Terminate]).collect()
    });
}
