//! Subscribing, and taking what comes.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use skein_client::session::{Outcome, Subscribe, Token};
use skein_client::{Error, Message, Publish, QoS, ReasonCode};
use skein_protocol::{TopicFilter, TopicName};

use super::Sub;
use super::sink::{Sink, Taken};
use crate::cli::mqtt::{
    Connection, ConnectionPlan, Exit, Incident, Manner, Properties, Statistics, code,
};
use crate::cli::output::{self, Reader};

/// A subscriber at work.
pub(super) struct Task<'a> {
    pub(super) sub: &'a Sub,
    /// What is subscribed to, with its QoS.
    pub(super) filters: Vec<(String, u8)>,
    pub(super) properties: Properties,
    pub(super) manner: Manner,
    pub(super) is_debug: bool,
    pub(super) sink: Sink,
    /// How many messages count for `-C`.
    pub(super) printed: u32,
    /// Retained messages that are being removed.
    pub(super) clearing: Vec<Token>,
    pub(super) until: Option<Instant>,
    pub(super) statistics: Statistics,
}

/// What a message has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Goes,
    /// No further message is wanted.
    Ends,
}

impl Task<'_> {
    /// Subscribes and takes what comes.
    ///
    /// # Errors
    /// How the program ends where the broker had nothing to do with a goodbye.
    pub(super) fn run(&mut self, plan: ConnectionPlan) -> Result<Exit, Exit> {
        let mut connection = Connection::start(plan)?;
        let failed = |error: io::Error| Exit::with(code::UNKNOWN, format!("Error: {error}"));
        connection.catch_signals().map_err(failed)?;
        self.sink.start(connection.caller()).map_err(failed)?;
        match connection.connect(self.until) {
            // As mosquitto_sub: who never got through is not told that time is over.
            Err(exit) if exit.code == code::TIMED_OUT && self.manner == Manner::Mosquitto => {
                return Err(Exit { code: code::INTERRUPTED, text: None });
            }
            connected => connected.map(drop)?,
        }
        self.statistics = Statistics::new(Instant::now());
        let token = self.subscribe(&mut connection)?;
        let exit = match self.sub.message_rate {
            true => self.count_messages(&mut connection)?,
            false => self.take_messages(&mut connection, token)?,
        };
        let is_told_to = exit.code == code::TIMED_OUT || exit == STOPPED;
        let reason = if is_told_to { ReasonCode::DisconnectWithWill } else { ReasonCode::Success };
        // What was wanted is there: that the link breaks now changes nothing.
        let _ = connection.goodbye(reason);
        Ok(if exit == STOPPED { Exit::SUCCESS } else { self.sink.judge(exit) })
    }

    fn subscribe(&self, connection: &mut Connection) -> Result<Option<Token>, Exit> {
        let mut wish = Subscribe::default().identifier(self.properties.subscription_identifier);
        for (filter, level) in &self.filters {
            wish = wish.filter(filter.as_str(), self.sub.subscription_options(*level));
        }
        for (key, value) in &self.properties.subscribe {
            wish = wish.user_property(key, value);
        }
        let version = connection.version();
        let failed = |error: Error| Exit::failed(&error, version);
        let token = match self.filters.is_empty() {
            true => None,
            false => Some(connection.try_act(|seat| seat.subscribe(wish)).map_err(failed)?),
        };
        for filter in &self.sub.unsubscribe {
            let (filters, pairs) = (vec![Arc::from(filter.as_str())], &self.properties.unsubscribe);
            let asked = connection.try_act(|seat| seat.unsubscribe_with(filters, pairs.clone()));
            asked.map_err(failed)?;
        }
        Ok(token)
    }

    fn take_messages(
        &mut self,
        connection: &mut Connection,
        mut subscribing: Option<Token>,
    ) -> Result<Exit, Exit> {
        let mut next = Next::Goes;
        while next == Next::Goes || !self.clearing.is_empty() || self.sink.is_busy() {
            match connection.next(self.until) {
                Incident::Message(message) if next == Next::Goes => {
                    match self.on_message(connection, &message) {
                        Ok(then) => next = then,
                        Err(exit) => return Ok(exit),
                    }
                }
                Incident::Completed(token, result) if Some(token) == subscribing => {
                    subscribing = None;
                    if let Some(exit) = self.on_subscribed(connection, result) {
                        return Ok(exit);
                    }
                }
                Incident::Completed(_, Ok(Outcome::Unsubscribed(_)))
                    if self.filters.is_empty() && self.sub.exit_after_subscribe =>
                {
                    return Ok(Exit::SUCCESS);
                }
                Incident::Completed(token, _) => self.clearing.retain(|open| *open != token),
                Incident::Ran(is_well) => {
                    if let Some(delivery) = self.sink.on_ran(is_well) {
                        connection.act(|seat| seat.acknowledge(delivery, ReasonCode::Success));
                    }
                }
                Incident::Lost(error) => self.on_lost(connection, &error),
                Incident::Timeout => return Ok(Exit::timed_out()),
                Incident::Signal => return Ok(STOPPED),
                Incident::Over(exit) => return Err(exit),
                _ => {}
            }
        }
        Ok(Exit::SUCCESS)
    }

    /// Prints how many messages came, every second.
    fn count_messages(&mut self, connection: &mut Connection) -> Result<Exit, Exit> {
        let (mut count, mut tick) = (0, Instant::now() + Duration::from_secs(1));
        loop {
            let until = self.until.map_or(tick, |until| until.min(tick));
            match connection.next(Some(until)) {
                Incident::Message(message) => {
                    count += 1;
                    self.statistics.add_message(message.payload().len());
                    acknowledge(connection, &message);
                }
                Incident::Timeout if self.until.is_some_and(|until| Instant::now() >= until) => {
                    return Ok(Exit::timed_out());
                }
                Incident::Timeout => {
                    let said = output::judge(self.sink.say(&format!("{count} msgs/s\n")))?;
                    if said == Reader::HasLeft {
                        return Ok(Exit::SUCCESS);
                    }
                    (count, tick) = (0, tick + Duration::from_secs(1));
                }
                Incident::Signal => return Ok(STOPPED),
                Incident::Over(exit) => return Err(exit),
                _ => {}
            }
        }
    }

    /// The broker has answered; how the program ends, if it does.
    fn on_subscribed(
        &self,
        connection: &Connection,
        result: skein_client::Result<Outcome>,
    ) -> Option<Exit> {
        let results = match result {
            Ok(Outcome::Subscribed(results)) => results,
            Ok(_) => return None,
            Err(error) => return Some(Exit::failed(&error, connection.version())),
        };
        let codes: Vec<u8> = results.iter().map(code_of).collect();
        if self.is_debug {
            let codes = codes.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
            // As with packets: where nobody reads, nobody misses it.
            let _ = output::print(format!("Subscribed (mid: 1): {codes}\n"));
        }
        let are_all_denied = codes.iter().all(|code| *code >= 0x80);
        if are_all_denied {
            let text = "All subscription requests were denied.";
            let code = if self.manner == Manner::Mosquitto { 0 } else { codes[0] };
            return Some(Exit::with(code, text));
        }
        self.sub.exit_after_subscribe.then_some(Exit::SUCCESS)
    }

    /// # Errors
    /// How the program ends because the message could not be written.
    fn on_message(&mut self, connection: &mut Connection, message: &Message) -> Result<Next, Exit> {
        if self.sub.retained_only && !message.is_retained() {
            return Ok(Next::Ends);
        }
        let is_left_out =
            (message.is_retained() && self.sub.no_retained) || self.is_filtered_out(message);
        if is_left_out {
            acknowledge(connection, message);
            return Ok(Next::Goes);
        }
        self.statistics.add_message(message.payload().len());
        if self.sub.remove_retained && message.is_retained() {
            let clear = Publish::new(message.topic(), "").qos(QoS::AtLeastOnce).retain();
            // Without a connection there is nothing to be removed from; the message comes again.
            self.clearing.extend(connection.try_act(|seat| seat.publish(clear)));
        }
        let taken = if self.is_drawn() { self.sink.take(message) } else { Ok(Taken::Whole) };
        match taken {
            Ok(Taken::Whole) => acknowledge(connection, message),
            Ok(Taken::Later) => {}
            // Nobody reads.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Next::Ends),
            Err(error) => return Err(Exit::with(code::SYSTEM, format!("Error: {error}"))),
        }
        self.printed += 1;
        Ok(if self.sub.count == Some(self.printed) { Next::Ends } else { Next::Goes })
    }

    fn is_filtered_out(&self, message: &Message) -> bool {
        let topic = TopicName::assume_valid(message.topic());
        let mut filters = self.sub.filter_out.iter();
        filters.any(|filter| TopicFilter::assume_valid(filter).matches(topic))
    }

    fn is_drawn(&self) -> bool {
        let draw = getrandom::u32().unwrap_or_default();
        self.sub.random_filter >= 100.0
            || f64::from(draw) / f64::from(u32::MAX) * 100.0 < self.sub.random_filter
    }

    fn on_lost(&mut self, connection: &Connection, error: &Error) {
        self.statistics.add_loss();
        if self.manner == Manner::Skein {
            connection.warn(&format!("{error}; trying again"));
        }
    }
}

/// Told to stop by a signal.
const STOPPED: Exit = Exit { code: code::INTERRUPTED, text: None };

/// Acknowledges a message, where it wants that.
pub(in crate::cli) fn acknowledge(connection: &mut Connection, message: &Message) {
    if let Some(delivery) = message.delivery() {
        connection.act(|seat| seat.acknowledge(delivery, ReasonCode::Success));
    }
}

/// What SUBACK says of one filter, as a number.
fn code_of(result: &skein_client::Result<QoS>) -> u8 {
    match result {
        Ok(granted) => *granted as u8,
        Err(error) => error.reason().unwrap_or(ReasonCode::UnspecifiedError) as u8,
    }
}
