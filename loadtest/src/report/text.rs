//! The summary on the terminal. No figure stands without its unit: published/s, delivered/s, MB/s.

use std::fmt::{self, Write};

use super::{
    BrokerProcess, Generator, Mode, Report, Surge, SurgeLine, Traffic, Verification,
    format::{bytes, count, counted, microseconds, number},
    latency::Latency,
};

/// The whole summary, with a line break at its end.
pub(crate) fn summary(report: &Report) -> String {
    let mut text = String::new();
    write(report, &mut text).expect("a string takes all text");
    text
}

fn write(report: &Report, out: &mut String) -> fmt::Result {
    writeln!(out, "{}", report.scenario.conditions())?;
    if report.scenario.mode != Mode::Storm || report.traffic.published > 0 {
        write_traffic(report, out)?;
    }
    if let Some(surge) = &report.surge {
        write_surge(surge, out)?;
    }
    if let Some(broker) = &report.broker {
        line(out, "broker", &describe_broker(report, broker))?;
        line(out, "", &describe_process(broker))?;
    }
    if report.generator != Generator::default() {
        line(out, "generator", &describe_generator(report))?;
    }
    for verification in &report.verification {
        line(out, "verification", &describe_verification(verification))?;
    }
    write_latencies(&report.latencies, out)?;
    write_masses(report, out)?;
    line(out, "verdict", &report.verdict.sentence())?;
    let remarks = report.environment.remarks();
    remarks.iter().chain(&report.notes).try_for_each(|note| line(out, "note", note))
}

fn line(out: &mut String, label: &str, text: &str) -> fmt::Result {
    writeln!(out, "  {label:<14} {text}")
}

fn write_traffic(report: &Report, out: &mut String) -> fmt::Result {
    let Traffic { published_per_s, delivered_per_s, megabytes_out_per_s, .. } = report.traffic;
    let rates = format!(
        "{} published/s, {} delivered/s, {} MB/s out",
        number(published_per_s),
        number(delivered_per_s),
        number(megabytes_out_per_s)
    );
    let floor = report.floor.as_ref().and_then(|floor| floor.delivered_per_s);
    line(out, "throughput", &(rates + &times_floor(delivered_per_s, floor)))?;
    let traffic = &report.traffic;
    let mut counts =
        format!("{} published, {} delivered, ", count(traffic.published), count(traffic.delivered));
    if report.scenario.publish_qos > 0 {
        write!(counts, "{} acknowledged, ", count(traffic.acknowledged))?;
    }
    write!(counts, "in {} s", number(traffic.seconds))?;
    if traffic.connections_lost > 0 {
        write!(counts, "; {} lost", counted(traffic.connections_lost, "connection"))?;
    }
    line(out, "", &counts)
}

/// ` (1.2 × floor)` if the floor's figure is known.
fn times_floor(figure: f64, floor: Option<f64>) -> String {
    match floor {
        Some(floor) if floor > 0.0 => format!(" ({} × floor)", number(figure / floor)),
        _ => String::new(),
    }
}

fn write_surge(surge: &Surge, out: &mut String) -> fmt::Result {
    let describe = |surge: &SurgeLine| {
        format!(
            "{} messages in {} ns = {}/s",
            count(surge.messages),
            count(surge.nanoseconds),
            number(surge.per_s)
        )
    };
    line(out, "surge sent", &describe(&surge.sent))?;
    line(out, "surge received", &describe(&surge.received))?;
    match &surge.cut_off {
        Some(reason) => line(out, "", &format!("CUT OFF: {reason}")),
        None => Ok(()),
    }
}

fn describe_broker(report: &Report, broker: &BrokerProcess) -> String {
    let mut parts = Vec::new();
    if let Some(nanoseconds) = broker.ns_per_delivery {
        let floor = report.floor.as_ref().and_then(|floor| floor.ns_per_delivery);
        let times = times_floor(nanoseconds, floor);
        parts.push(format!("{} ns CPU per delivery{times}", number(nanoseconds)));
    }
    if report.traffic.seconds > 0.0 {
        parts.push(format!("{} cores busy", number(broker.cpu_s() / report.traffic.seconds)));
    }
    parts.join("; ")
}

fn describe_process(broker: &BrokerProcess) -> String {
    let [start, peak, end] = [broker.rss_start_bytes, broker.rss_peak_bytes, broker.rss_end_bytes]
        .map(|value| bytes(value as f64));
    format!(
        "memory {start} before, {peak} at most, {end} after; {}, {}; waited {} ×, interrupted {} ×",
        counted(broker.threads, "thread"),
        counted(broker.files, "file"),
        count(broker.switches_voluntary),
        count(broker.switches_involuntary)
    )
}

fn describe_generator(report: &Report) -> String {
    let generator = &report.generator;
    let cpu_s = generator.cpu_user_s + generator.cpu_system_s;
    let mut text = format!("{} s CPU", number(cpu_s));
    if report.traffic.seconds > 0.0 {
        let cores = number(cpu_s / report.traffic.seconds);
        let each = number(generator.ns_per_message);
        text = format!("{each} ns CPU per message; {cores} cores busy");
    }
    for thread in &generator.threads {
        text += &format!(
            "; {}: {} s CPU, longest turn {}, blocked {} s",
            thread.name,
            number(thread.cpu_s),
            microseconds(thread.turn_max_us),
            number(thread.blocked_s)
        );
    }
    text
}

fn describe_verification(verification: &Verification) -> String {
    let judgement = match verification.violations {
        0 => String::from("kept"),
        violations => format!("VIOLATED {} ×", count(violations)),
    };
    let seen = verification.counts().into_iter().filter(|(_, value)| *value > 0);
    let seen: Vec<_> = seen.map(|(name, value)| format!("{name} {}", count(value))).collect();
    let seen = match seen.is_empty() {
        true => String::from("nothing missing, duplicate, reordered, corrupt or unexpected"),
        false => seen.join(", "),
    };
    let checked = count(verification.checked);
    let (title, rule) = (verification.title(), verification.rule());
    format!("{title} ({rule}): {judgement}; of {checked} checked: {seen}")
}

fn write_latencies(latencies: &[Latency], out: &mut String) -> fmt::Result {
    if latencies.is_empty() {
        return Ok(());
    }
    let width = latencies.iter().map(|latency| latency.clock.title().chars().count()).max();
    let width = width.unwrap_or(0);
    let heads = ["count", "min", "mean", "p50", "p90", "p99", "p99.9", "p99.99", "max"];
    let heads = heads.map(|head| format!("{head:>10}")).concat();
    writeln!(out, "  {:<width$} {heads}", "latency")?;
    for latency in latencies {
        let mut figures = format!("{:>10}", count(latency.count));
        for value in latency.figures_us() {
            write!(figures, "{:>10}", microseconds(value))?;
        }
        writeln!(out, "  {:<width$} {figures}", latency.clock.title())?;
    }
    Ok(())
}

fn write_masses(report: &Report, out: &mut String) -> fmt::Result {
    for storm in &report.storms {
        let cpu = storm.broker_cpu_us_per_connection;
        let cpu = cpu.map_or(String::new(), |cpu| {
            format!(", broker {} CPU per connection", microseconds(cpu))
        });
        let rate = number(storm.connections_per_s);
        let (connections, failed) = (count(storm.connections), count(storm.failed));
        let text = format!("{}: {rate} connections/s{cpu}", storm.kind);
        line(out, "storm", &format!("{text}; {connections} accepted, {failed} failed"))?;
    }
    for idle in &report.idle {
        let each = bytes(idle.bytes_per_connection);
        let (connections, rss) = (count(idle.connections), bytes(idle.rss_bytes as f64));
        let subscriptions = counted(idle.subscriptions, "subscription");
        let with = format!("{connections} connections with {subscriptions}");
        line(out, "idle", &format!("{each} per connection ({with} each, {rss} resident)"))?;
    }
    for figure in &report.figures {
        let value = number(figure.value);
        line(out, "figure", &format!("{}: {value} {}", figure.name, figure.unit))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::{assert_golden, sample, storm};

    #[test]
    fn the_summary_of_a_run_is_as_stored() {
        assert_golden("report.txt", &summary(&sample()));
    }

    #[test]
    fn the_summary_of_a_storm_has_no_rates_of_messages() {
        let text = summary(&storm());
        assert_golden("storm.txt", &text);
        assert!(!text.contains("published/s"));
    }
}
