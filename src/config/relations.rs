//! What must hold between settings that are each within their own range.

use super::error::Problem;
use super::identity;
use super::limits::Limits;
use super::reader::Source;
use super::table::Settings;

/// Reports every relation that does not hold.
pub(super) fn check(settings: &Settings, source: &mut Source<'_>) {
    source.problems.extend(identity::problems(settings));
    let limits = &settings.limits;
    for relation in relations(limits) {
        if !relation.holds() {
            relation.report(source);
        }
    }
    if !limits.lane_slots.is_power_of_two() {
        let above = limits.lane_slots.next_power_of_two();
        let text = format!(
            "lane_slots ({}) must be a power of two; write {} or {above}",
            limits.lane_slots,
            above / 2
        );
        report(source, &["lane_slots"], text);
    }
}

/// `small + spare <= large`, by key and value.
struct Relation {
    small: (&'static str, usize),
    large: (&'static str, usize),
    /// How much `large` must be above `small`, and the key that asks for it, if one does.
    spare: (Option<&'static str>, usize),
    because: &'static str,
}

#[rustfmt::skip] // One relation a line.
fn relations(limits: &Limits) -> Vec<Relation> {
    macro_rules! at_most {
        ($small:ident, $large:ident, $spare:expr, $because:literal) => {
            Relation {
                small: (stringify!($small), limits.$small),
                large: (stringify!($large), limits.$large),
                spare: $spare,
                because: $because,
            }
        };
    }
    let none = (None, 0);
    let one = (None, 1);
    let packet = (Some("packet_bytes_max"), limits.packet_bytes_max);
    let mut relations = vec![
        at_most!(outbox_low_water_bytes, outbox_high_water_bytes, one, "publishers pause at the one and go on at the other"),
        at_most!(outbox_high_water_bytes, outbox_bytes_max, packet, "the packet that reaches the mark must still fit"),
        at_most!(packet_bytes_max, queue_bytes_max, none, "a longer message could never be queued"),
    ];
    if limits.retain_available && limits.retained_messages_max > 0 && limits.retained_bytes_max > 0 {
        relations.push(at_most!(packet_bytes_max, retained_bytes_max, none, "a longer message could never be retained"));
    }
    relations
}

impl Relation {
    fn holds(&self) -> bool {
        self.small.1 + self.spare.1 <= self.large.1
    }

    fn report(&self, source: &mut Source<'_>) {
        let (small, is) = self.small;
        let (large, bound) = self.large;
        let least = is + self.spare.1;
        let advice = match bound.checked_sub(self.spare.1) {
            Some(most) => format!("write {small} = {most} or less, or {large} = {least} or more"),
            None => format!("write {large} = {least} or more"),
        };
        let relation = match self.spare {
            (Some(key), value) => {
                format!(
                    "{small} ({is}) and {key} ({value}) together must be at most {large} ({bound})"
                )
            }
            (None, 0) => format!("{small} ({is}) must be at most {large} ({bound})"),
            (None, _) => format!("{small} ({is}) must be below {large} ({bound})"),
        };
        let text = format!("{relation}, because {}; {advice}", self.because);
        let keys: Vec<&'static str> = [small, large].into_iter().chain(self.spare.0).collect();
        report(source, &keys, text);
    }
}

/// A broken relation stands on the last line that sets one of its keys: defaults keep them all.
fn report(source: &mut Source<'_>, keys: &[&'static str], text: String) {
    let line = keys.iter().filter_map(|key| source.line_of("limits", key)).max();
    source.problems.push(Problem { line, text });
}
