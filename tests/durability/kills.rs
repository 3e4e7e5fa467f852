//! The process is killed, in every way and at every point.

use std::time::Duration;

use skein_protocol::{PacketType, ReasonCode};

use crate::broker::debug_binary;
use crate::options;
use crate::round::{Drawn, Step};
use crate::scene::Moment;

/// Kills of one run; then there is a new folder, and a check.
const KILLS_PER_ROUND: usize = 20;

/// The records at which the exchanges of QoS 1 and 2 can be torn.
const RECORDS: [&str; 8] =
    ["connected", "subscribed", "held", "queued", "sent", "received", "released", "finished"];

/// That the clients and the check see something: a broker in memory keeps every promise as long as
/// it lives, and no longer.
#[test]
fn a_broker_without_a_store_is_found_out_by_the_first_kill() {
    for (is_killed, plays_well) in [(false, true), (true, false)] {
        let mut drawn = Drawn::new(options::seed(), 20, 6);
        drawn.round.start.is_durable = false;
        drawn.round.steps.push(Step::Work(Duration::from_millis(1_500)));
        drawn.round.steps.extend(is_killed.then_some(Step::Kill));
        let played = drawn.round.play();
        assert_eq!(played.is_ok(), plays_well, "{played:?}");
        if let Err(why) = played {
            println!("in memory and killed: {}", why.lines().next().unwrap_or_default());
        }
    }
}

/// K1.
#[test]
fn nothing_acknowledged_is_lost_when_the_process_is_killed_under_fifty_publishers() {
    let mut left = options::kills();
    let mut seed = options::seed();
    while left > 0 {
        let kills = left.min(KILLS_PER_ROUND);
        let mut drawn = Drawn::new(seed, 50, 8);
        drawn.kill_at_random(kills);
        drawn.round.pass("kills at random");
        (left, seed) = (left - kills, seed + 1);
    }
}

/// K2: a client kills the broker at each point of the handshakes that it can see.
#[test]
fn each_step_of_a_handshake_survives_a_kill_right_behind_it() {
    let moments = [
        Moment::Came(PacketType::PubAck),
        Moment::Came(PacketType::PubRec),
        Moment::Sent(PacketType::PubRel),
        Moment::Came(PacketType::PubComp),
        Moment::Sent(PacketType::PubAck),
        Moment::Sent(PacketType::PubRec),
        Moment::Came(PacketType::PubRel),
        Moment::Sent(PacketType::PubComp),
    ];
    for (place, moment) in moments.into_iter().enumerate() {
        let mut drawn = Drawn::new(options::seed() + place as u64, 6, 6);
        for _ in 0..kills_per_point() {
            let count = drawn.rng.u32(1..40);
            drawn.round.steps.push(Step::KillAt(moment, count));
        }
        drawn.round.pass(&format!("killed when {moment:?}"));
    }
}

/// K2: the seven points at which an exchange of QoS 2 can be torn, and those of its session, before
/// and after they are durable.
#[test]
fn each_record_of_an_exchange_survives_a_kill_before_and_after_it_is_durable() {
    let mut seed = options::seed();
    for record in RECORDS {
        for moment in ["appended", "written", "synced"] {
            seed += 1;
            let mut drawn = Drawn::new(seed, 6, 6);
            for start in [&mut drawn.round.start, &mut drawn.round.restart] {
                // Only a debug build has failpoints.
                start.binary = debug_binary();
            }
            let point = format!("{moment}-{record}:{}", drawn.rng.usize(1..10));
            let start = drawn.round.start.clone();
            drawn.round.start = start.with("SKEIN_FAILPOINT", &point);
            drawn.round.steps.push(Step::Fall);
            drawn.work(100);
            drawn.round.pass(&format!("failpoint {point}"));
        }
    }
}

/// K9.
#[test]
fn a_stop_under_load_is_quick_and_loses_nothing() {
    let mut drawn = Drawn::new(options::seed(), 20, 6);
    for _ in 0..5 {
        drawn.work(600);
        drawn.round.steps.push(Step::Terminate);
    }
    let outcome = drawn.round.pass("stops");
    let mut stops = outcome.stops;
    stops.sort();
    println!("stops took {stops:?}");
    assert!(stops[stops.len() / 2] < Duration::from_secs(2), "{stops:?}");
    // The kernel forgets what it could not hand over when a socket is closed into which its client
    // is writing: a few may not hear it.
    let told = outcome.goodbyes.get(&ReasonCode::ServerShuttingDown).copied().unwrap_or(0);
    assert!(told > 10 * outcome.silent_ends, "{told} told, {} not", outcome.silent_ends);
}

/// How often the broker is killed at each point.
fn kills_per_point() -> usize {
    (options::kills() / 4).clamp(1, 125)
}
