//! Publishing: one message after the other, and what the broker says to each.

use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Zoned;
use skein_client::session::{Outcome, Token};
use skein_client::{Error, Publish, QoS, ReasonCode};

use super::{Source, with_payload};
use crate::cli::mqtt::{
    Connection, ConnectionPlan, ContentEncoding, Exit, Filling, Incident, Manner, Statistics, code,
};

/// What is to be published.
pub(super) struct Job {
    pub(super) source: Source,
    pub(super) encoding: ContentEncoding,
    pub(super) message: Publish,
    pub(super) repeat: u32,
    pub(super) delay: Duration,
    pub(super) until: Option<Instant>,
    pub(super) manner: Manner,
    pub(super) keeps_trying: bool,
    pub(super) statistics: Statistics,
}

/// A message that the broker has not answered yet.
struct Open {
    token: Token,
    number: u32,
    payload_bytes: usize,
    since: Instant,
}

impl Job {
    /// Publishes everything.
    ///
    /// # Errors
    /// How the program ends where it could not.
    pub(super) fn run(&mut self, plan: ConnectionPlan) -> Result<Exit, Exit> {
        let mut connection = Connection::start(plan)?;
        connection.connect(self.until)?;
        self.statistics = Statistics::new(Instant::now());
        let exit = match &self.source {
            Source::Lines(_) => self.publish_lines(&mut connection)?,
            _ => self.publish_repeatedly(&mut connection)?,
        };
        connection.goodbye(ReasonCode::Success)?;
        Ok(exit)
    }

    fn publish_repeatedly(&mut self, connection: &mut Connection) -> Result<Exit, Exit> {
        let mut exit = Exit::SUCCESS;
        for number in 1..=self.repeat {
            let payload = self.payload(number, &Bytes::new())?;
            let open = self.publish(connection, number, payload)?;
            loop {
                match connection.next(self.until) {
                    Incident::Completed(done, result) if done == open.token => {
                        exit = worse(exit, self.judge(connection, &open, result)?);
                        break;
                    }
                    incident => self.check(connection, incident)?,
                }
            }
            if number < self.repeat {
                self.pause(connection)?;
            }
        }
        Ok(exit)
    }

    fn pause(&mut self, connection: &mut Connection) -> Result<(), Exit> {
        let end = Instant::now() + self.delay;
        while Instant::now() < end {
            match connection.next(Some(end)) {
                Incident::Timeout => {}
                incident => self.check(connection, incident)?,
            }
        }
        Ok(())
    }

    /// Reads no further than the broker follows: while it is away, lines stay where they are. A line
    /// that makes no payload is the last one: the broker has those before it when the program ends.
    fn publish_lines(&mut self, connection: &mut Connection) -> Result<Exit, Exit> {
        let mut exit = Exit::SUCCESS;
        connection.read_lines().map_err(|error| Exit::with(code::UNKNOWN, error.to_string()))?;
        let (mut open, mut number, mut has_more) = (Vec::new(), 0, true);
        while has_more || !open.is_empty() {
            match connection.next(self.until) {
                Incident::Line(line) if has_more => {
                    number += 1;
                    match self.payload(number, &line) {
                        Ok(payload) => open.push(self.publish(connection, number, payload)?),
                        Err(wrong) => (exit, has_more) = (worse(exit, wrong), false),
                    }
                }
                Incident::EndOfLines => has_more = false,
                Incident::Completed(token, result) => {
                    if let Some(open) = take(&mut open, token) {
                        exit = worse(exit, self.judge(connection, &open, result)?);
                    }
                }
                // It is looked for again, and nothing is lost.
                Incident::Lost(_) => self.statistics.add_loss(),
                incident => self.check(connection, incident)?,
            }
        }
        Ok(exit)
    }

    fn publish(
        &self,
        connection: &mut Connection,
        number: u32,
        payload: Bytes,
    ) -> Result<Open, Exit> {
        let payload_bytes = payload.len();
        let message = with_payload(&self.message, payload);
        let published = connection.try_act(|seat| seat.publish(message));
        let token = published.map_err(|error| self.failed(&error, connection))?;
        Ok(Open { token, number, payload_bytes, since: Instant::now() })
    }

    fn payload(&self, number: u32, line: &Bytes) -> Result<Bytes, Exit> {
        let (template, given) = match &self.source {
            Source::Whole(payload) => return Ok(payload.clone()),
            Source::Template(template) => (Some(template), Bytes::new()),
            Source::Lines(template) => (template.as_ref(), line.clone()),
        };
        let given = match template {
            None => given,
            Some(template) => Bytes::from(template.fill(&Filling {
                sequence: number,
                topic: self.message.topic(),
                line,
                now: &Zoned::now(),
                random: getrandom::u32().unwrap_or_default(),
            })),
        };
        self.encoding
            .decode(given)
            .map_err(|error| Exit::with(code::USAGE, format!("Error: message {number}: {error}")))
    }

    /// How a message has ended. One that the broker does not take is an error; to mosquitto_pub it
    /// is worth a warning.
    fn judge(
        &mut self,
        connection: &Connection,
        open: &Open,
        result: skein_client::Result<Outcome>,
    ) -> Result<Exit, Exit> {
        match result {
            Ok(_) => {
                self.statistics.add_message(open.payload_bytes);
                if self.message.level() > QoS::AtMostOnce {
                    self.statistics.add_answer(open.since.elapsed());
                }
                Ok(Exit::SUCCESS)
            }
            Err(Error::Rejected { reason, text, .. }) => {
                let number = open.number;
                let name = reason.name();
                let what = if self.manner == Manner::Mosquitto { "Warning" } else { "Error" };
                connection.warn(&format!("{what}: Publish {number} failed: {name}."));
                if let Some(text) = text {
                    connection.warn(&text);
                }
                match self.manner {
                    Manner::Mosquitto => Ok(Exit::SUCCESS),
                    Manner::Skein => Ok(Exit { code: reason as u8, text: None }),
                }
            }
            Err(error) => Err(self.failed(&error, connection)),
        }
    }

    fn check(&mut self, connection: &Connection, incident: Incident) -> Result<(), Exit> {
        if let Incident::Lost(_) = &incident {
            self.statistics.add_loss();
        }
        match incident {
            Incident::Over(exit) => Err(exit),
            Incident::Timeout => Err(Exit::timed_out()),
            Incident::Lost(error) if !self.keeps_trying => {
                Err(Exit::lost(&error, connection.version(), self.manner))
            }
            _ => Ok(()),
        }
    }

    fn failed(&self, error: &Error, connection: &Connection) -> Exit {
        Exit::failed(error, connection.version())
    }
}

fn take(open: &mut Vec<Open>, token: Token) -> Option<Open> {
    let place = open.iter().position(|open| open.token == token)?;
    Some(open.remove(place))
}

/// The first that was not well counts.
fn worse(before: Exit, now: Exit) -> Exit {
    if before.code == 0 { now } else { before }
}
