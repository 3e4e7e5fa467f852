//! `skein pub`, `sub` and `rr` beside mosquitto_pub, mosquitto_sub and mosquitto_rr: both are run on
//! the same traffic, and what they print, what they send and how they end is compared. Debian's
//! package brings the programs; where it is missing the tests are ignored, loudly, and with `CI=true`
//! they fail.

mod broker;
mod connecting;
mod ending;
mod extras;
mod full;
mod own;
mod printing;
mod program;
mod progress;
mod proxies;
mod publishing;
mod regressions;
mod server;
mod sniffing;
mod tools;
mod transports;
mod watching;

use std::process::{Command, ExitCode, Stdio};

use libtest_mimic::{Arguments, Completion, Failed, Trial};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let beside =
        |name, test: fn()| Trial::ignorable_test(name, move || run_beside(name, &CLIENTS, test));
    let beside_broker = |name, test: fn()| {
        Trial::ignorable_test(name, move || run_beside(name, &["mosquitto"], test))
    };
    let alone = |name, test: fn()| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    };
    let trials = vec![
        beside("connect_is_the_same", connecting::connect_is_the_same),
        beside("connect_of_5_is_the_same", connecting::connect_of_5_is_the_same),
        beside("a_file_of_options_means_the_same", connecting::a_file_means_the_same),
        beside("messages_are_the_same", publishing::messages_are_the_same),
        beside("subscriptions_are_the_same", publishing::subscriptions_are_the_same),
        beside("printing_is_the_same", printing::printing_is_the_same),
        beside("formats_are_the_same", printing::formats_are_the_same),
        beside("json_is_the_same", printing::json_is_the_same),
        beside("what_is_retained_is_the_same", printing::what_is_retained_is_the_same),
        beside("packets_are_told_the_same", printing::packets_are_told_the_same),
        beside("responses_are_the_same", printing::responses_are_the_same),
        beside("transports_are_the_same", transports::transports_are_the_same),
        beside("a_proxy_is_used_the_same", proxies::a_proxy_is_used_the_same),
        beside("refusals_end_the_same", ending::refusals_end_the_same),
        beside("options_that_make_no_sense_end_the_same", ending::bad_options_end_the_same),
        beside("time_that_is_over_ends_the_same", ending::timeouts_end_the_same),
        beside("signals_end_the_same", ending::signals_end_the_same),
        alone("no_input_is_no_hang", regressions::no_input_is_no_hang),
        alone("a_last_line_without_its_end_is_sent", regressions::a_last_line_is_sent),
        alone(
            "what_comes_before_a_wrong_line_is_published",
            regressions::what_comes_before_a_wrong_line_is_published,
        ),
        alone("input_waits_for_a_broker_that_restarts", regressions::input_waits),
        alone("a_bad_password_ends_a_pipe", regressions::a_bad_password_ends_a_pipe),
        alone("success_means_acknowledged", regressions::success_means_acknowledged),
        alone("a_binary_payload_is_printed_whole", regressions::a_binary_payload_is_whole),
        alone("a_large_message_arrives_before_the_goodbye", regressions::a_large_message_arrives),
        alone("a_count_that_is_reached_takes_no_more", regressions::a_count_takes_no_more),
        alone("a_refused_message_is_an_error", own::a_refused_message_is_an_error),
        alone("the_environment_takes_the_place_of_flags", own::the_environment_is_read),
        alone("an_old_broker_is_spoken_to_in_its_version", own::an_old_broker_is_understood),
        alone("a_lost_broker_is_looked_for_again", own::a_lost_broker_is_looked_for),
        alone("payloads_are_written_as_asked", extras::payloads_are_written_as_asked),
        alone("messages_go_into_files", extras::messages_go_into_files),
        alone("a_command_is_run_for_each_message", extras::a_command_is_run_for_each_message),
        alone("a_filter_has_a_qos_of_its_own", extras::a_filter_has_a_qos_of_its_own),
        alone("payloads_are_made_from_a_template", extras::payloads_are_made_from_a_template),
        alone("statistics_are_told_at_the_end", extras::statistics_are_told_at_the_end),
        alone("a_password_is_taken_from_a_variable", extras::a_password_is_taken_from_a_variable),
        alone("many_connections_are_held", extras::many_connections_are_held),
        alone("progress_is_for_terminals", progress::progress_is_for_terminals),
        alone("errors_say_what_to_do", extras::errors_say_what_to_do),
        alone("conn_prints_the_terms_of_the_broker", tools::conn_prints_the_terms),
        alone("what_is_retained_is_listed_removed_and_brought_back", tools::retained_goes_round),
        alone("probe_finds_what_a_broker_has", tools::probe_finds_what_a_broker_has),
        alone("bench_says_where_the_load_test_is", tools::bench_says_where_it_is),
        alone("a_full_output_is_an_error", full::a_full_output_is_an_error),
        alone("shells_and_man_are_told_of_every_option", tools::shells_and_man_are_told),
        alone("top_names_the_slow_client", watching::top_names_the_slow_client),
        alone("top_says_why_there_is_nothing", watching::top_says_why_there_is_nothing),
        alone("sys_is_read_as_it_is_of_mosquitto", watching::sys_is_read_as_it_is_of_mosquitto),
        beside_broker("top_understands_mosquitto", watching::top_understands_mosquitto),
        beside("sniff_tells_what_passes", sniffing::sniff_tells_what_passes),
        alone(
            "sniff_names_what_is_malformed",
            sniffing::sniff_names_what_is_malformed_and_passes_it_on,
        ),
        alone(
            "sniff_tells_of_connections_with_the_packets_that_are_asked_for",
            sniffing::sniff_tells_of_connections_with_the_packets_that_are_asked_for,
        ),
        alone("sniff_passes_bytes_unchanged", sniffing::sniff_passes_bytes_unchanged),
        alone("sniff_speaks_tls_to_the_broker", sniffing::sniff_speaks_tls_to_the_broker),
        alone(
            "sniff_lets_nobody_wait_for_ever_without_open_files",
            sniffing::sniff_lets_nobody_wait_for_ever_without_open_files,
        ),
        alone(
            "sniff_takes_as_many_open_files_as_it_may",
            sniffing::sniff_takes_as_many_open_files_as_it_may,
        ),
        alone("sniff_says_what_it_lacks", sniffing::sniff_says_what_it_lacks),
        alone("sniff_reads_recordings", sniffing::sniff_reads_recordings),
    ];
    let conclusion = libtest_mimic::run(&arguments, trials);
    program::remove_links();
    conclusion.exit_code()
}

/// Mosquitto's clients.
const CLIENTS: [&str; 3] = ["mosquitto_pub", "mosquitto_sub", "mosquitto_rr"];

fn run_beside(name: &str, programs: &[&str], test: fn()) -> Result<Completion, Failed> {
    for program in programs {
        // It leaves with a failure after showing its help; only that it starts matters.
        let mut command = Command::new(program);
        let quiet = command.arg("-h").stdout(Stdio::null()).stderr(Stdio::null());
        if let Err(error) = quiet.status() {
            let reason =
                format!("{program} ({error}): apt-get install mosquitto mosquitto-clients");
            if std::env::var("CI").is_ok_and(|value| value == "true") {
                return Err(Failed::from(reason));
            }
            eprintln!("command_line: {name} CANNOT RUN: {reason}");
            return Ok(Completion::ignored_with(reason));
        }
    }
    test();
    Ok(Completion::Completed)
}
