//! Bridges between real brokers: skein and skein, skein and Debian's Mosquitto. Where Mosquitto is
//! missing its tests are ignored, loudly, and with `CI=true` they fail.

mod broker;
mod carrying;
mod changes;
mod circles;
mod cutter;
mod peer;
mod restarts;
mod scripted;
mod secure;

use std::process::{Command, ExitCode, Stdio};

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::broker::Kind;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for (kind, name) in [(Kind::Skein, "skein"), (Kind::Mosquitto, "mosquitto")] {
        let mut trial = |what: &str, test: fn(Kind)| {
            let name = format!("{what}_{name}");
            trials.push(Trial::ignorable_test(name.clone(), move || run(&name, kind, test)));
        };
        trial("both_directions_every_qos_and_prefixes_with", carrying::both_directions);
        trial("mqtt_3_1_1_with", carrying::before_v5);
        trial("retained_messages_stay_retained_with", carrying::retained);
        trial("the_state_is_told_to", carrying::state);
        trial("certificates_prove_who_is_who_to", secure::tls);
        trial("a_clean_start_forgets_what_waits_at", secure::clean_start);
        trial("one_bridge_for_both_directions_carries_once_with", circles::one_bridge);
        trial("broken_links_lose_nothing_under_load_with", restarts::broken_links);
        trial("an_end_of_the_other_one_is_survived_outward_with", restarts::outward);
        trial("an_end_of_the_other_one_is_survived_inward_with", restarts::inward);
        trial("an_end_of_ones_own_loses_nothing_outward_with", restarts::own_outward);
        trial("an_end_of_ones_own_loses_nothing_inward_with", restarts::own_inward);
        trial("to_be_killed_loses_and_doubles_nothing_outward_with", restarts::own_killed_outward);
        trial("to_be_killed_loses_and_doubles_nothing_inward_with", restarts::own_killed_inward);
        trial("a_changed_bridge_loses_nothing_under_load_with", changes::changed_under_load);
    }
    let mut trial = |name: &'static str, kind, test: fn(Kind)| {
        trials.push(Trial::ignorable_test(name, move || run(name, kind, test)));
    };
    trial(
        "what_waits_at_the_other_broker_is_there_after_a_restart",
        Kind::Mosquitto,
        restarts::own,
    );
    trial("a_bridge_of_mosquitto_comes_in", Kind::Mosquitto, carrying::of_mosquitto);
    trial("a_configuration_of_mosquitto_has_its_bridge", Kind::Mosquitto, carrying::configured);
    trial(
        "another_one_that_is_killed_loses_and_doubles_nothing",
        Kind::Skein,
        restarts::other_killed,
    );
    trial("what_waits_for_a_bridge_has_its_own_limits", Kind::Skein, restarts::limits);
    trial("a_bridge_may_do_what_its_local_user_may", Kind::Skein, secure::rights);
    trial("two_bridges_towards_each_other_end", Kind::Skein, circles::two_bridges);
    trial("bridges_are_added_and_removed_by_a_reload", Kind::Skein, changes::reload);
    trial("what_is_wrong_is_named_by_file_line_and_key", Kind::Skein, changes::wrong);
    trial("a_broker_without_room_is_asked_again_after_a_pause", Kind::Skein, scripted::no_room);
    trial(
        "a_bridge_that_is_removed_while_something_is_on_its_way_says_so",
        Kind::Skein,
        scripted::removed_while_busy,
    );
    trial(
        "the_last_reload_decides_whether_the_sessions_of_a_bridge_end",
        Kind::Skein,
        scripted::changed_and_removed,
    );
    trial("a_bridge_with_another_name_loses_nothing_under_load", Kind::Skein, changes::renamed);
    trial("the_next_address_is_tried", Kind::Skein, carrying::addresses);
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn run(name: &str, kind: Kind, test: fn(Kind)) -> Result<Completion, Failed> {
    if kind == Kind::Mosquitto {
        // It leaves with a failure after showing its help; only that it starts matters.
        let mut command = Command::new("mosquitto");
        let quiet = command.arg("-h").stdout(Stdio::null()).stderr(Stdio::null());
        if let Err(error) = quiet.status() {
            let reason = format!("mosquitto ({error}): apt-get install mosquitto");
            if std::env::var("CI").is_ok_and(|value| value == "true") {
                return Err(Failed::from(reason));
            }
            eprintln!("bridge: {name} CANNOT RUN: {reason}");
            return Ok(Completion::ignored_with(reason));
        }
    }
    test(kind);
    Ok(Completion::Completed)
}

/// The binary under test; `SKEIN_BIN` names another one.
fn skein() -> std::ffi::OsString {
    std::env::var_os("SKEIN_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_skein").into())
}
