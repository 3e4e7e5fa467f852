//! One run of one seed: a broker on a folder of its own, a crowd of clients, what is done to the
//! broker, and at the end, when all is calm, the check.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fmt, fs, thread};

use fastrand::Rng;
use skein_protocol::{Packet, QoS, ReasonCode, Version};
use tempfile::TempDir;

use crate::broker::{Broker, Start};
use crate::client::{Client, Plan};
use crate::crowd;
use crate::history::{Anomaly, KEPT, Message, Operation, anomalies, lost};
use crate::peer::{Peer, subscribe};
use crate::scene::{Act, Moment, Scene};

/// How long nothing may happen before what is missing counts as lost.
const SILENCE_MAX: Duration = Duration::from_secs(8);
/// How long all may take together; clients that never finish do something all the time.
const DRAIN_MAX: Duration = Duration::from_secs(60);
/// How long nothing has to happen until all is calm: what comes twice would have come.
const CALM: Duration = Duration::from_millis(300);
/// The longest time that a trap may wait for its moment, or a failpoint for its record.
const TRAP_MAX: Duration = Duration::from_secs(20);
/// How long any stop may take, on a machine as busy as it likes.
const STOP_MAX: Duration = Duration::from_secs(10);
/// Anomalies that are shown.
const SHOWN: usize = 10;

/// What happens to the broker.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// It works for so long.
    Work(Duration),
    /// SIGKILL, and another one is started.
    Kill,
    /// Killed by a client for whom this comes, the so-many-th time; another one is started.
    KillAt(Moment, u32),
    /// It ends by itself, at a failpoint, and is started again without any.
    Fall,
    /// SIGSTOP for so long.
    Pause(Duration),
    /// SIGTERM, and another one is started.
    Terminate,
    /// The same while this file is there, and has been for so long. It is gone before the next start.
    TerminateWith(PathBuf, Duration),
    /// This file is there for so long, and goes again.
    Mark(PathBuf, Duration),
    /// This file has this text from now on.
    Write(PathBuf, String),
}

/// A run that is to be.
pub(crate) struct Round {
    pub(crate) seed: u64,
    /// How the broker is started, the first time and after each end but a fall.
    pub(crate) start: Start,
    /// How it is started after a fall, and for the end.
    pub(crate) restart: Start,
    pub(crate) plans: Vec<Plan>,
    pub(crate) steps: Vec<Step>,
}

/// A run of a crowd that is drawn, on a folder that goes with it.
pub(crate) struct Drawn {
    pub(crate) round: Round,
    pub(crate) rng: Rng,
    /// Where it takes place.
    pub(crate) folder: TempDir,
}

/// What came of one.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) kills: usize,
    pub(crate) published: usize,
    pub(crate) acknowledged: usize,
    pub(crate) delivered: usize,
    /// How often a message was refused for each reason.
    pub(crate) refusals: BTreeMap<ReasonCode, usize>,
    /// How often DISCONNECT has come with each reason.
    pub(crate) goodbyes: BTreeMap<ReasonCode, usize>,
    /// Connections of MQTT 5 that ended without it.
    pub(crate) silent_ends: usize,
    /// How long each stop has taken.
    pub(crate) stops: Vec<Duration>,
    pub(crate) took: Duration,
}

/// A run in progress.
struct Run {
    round: Round,
    scene: Arc<Scene>,
    broker: Broker,
    kills: usize,
    stops: Vec<Duration>,
}

impl Drawn {
    /// One with so many publishers and subscribers, to which nothing is done yet.
    pub(crate) fn new(seed: u64, publishers: usize, subscribers: usize) -> Self {
        let folder = tempfile::tempdir().expect("there is room for temporary files");
        let mut rng = Rng::with_seed(seed);
        let mut start = Start::new(&folder.path().join("data"), rng.usize(1..=4));
        // Every other time so little fits into a segment that there are many, and compactions.
        start.settings = match rng.bool() {
            true => "[store]\n".to_owned(),
            false => "[store]\nsegment_bytes = 65536\ncompaction_bytes_min = 65536\n".to_owned(),
        };
        let plans = crowd::draw(&mut rng, publishers, subscribers);
        let round = Round { seed, restart: start.clone(), start, plans, steps: Vec::new() };
        Self { round, rng, folder }
    }

    /// It works for a while, at most so long.
    pub(crate) fn work(&mut self, milliseconds_max: u64) {
        let during = Duration::from_millis(self.rng.u64(..milliseconds_max));
        self.round.steps.push(Step::Work(during));
    }

    /// So many kills at random points.
    pub(crate) fn kill_at_random(&mut self, kills: usize) {
        for _ in 0..kills {
            // As often within the first milliseconds of a start as long after it.
            let most = [20, 150, 600][self.rng.usize(..3)];
            self.work(most);
            self.round.steps.push(Step::Kill);
        }
    }
}

impl Round {
    /// Plays it and says what came of it.
    ///
    /// # Panics
    /// A promise was not kept.
    pub(crate) fn pass(self, name: &str) -> Outcome {
        let seed = self.seed;
        match self.play() {
            Ok(outcome) => {
                println!("{name}, seed {seed}: {outcome}");
                outcome
            }
            Err(why) => panic!("{name}, seed {seed}: {why}"),
        }
    }

    /// Plays it.
    ///
    /// # Errors
    /// What was wrong, with the log of the broker.
    pub(crate) fn play(self) -> Result<Outcome, String> {
        let began = Instant::now();
        let scene = Arc::new(Scene::new());
        let broker = Broker::start(&self.start)?;
        scene.set_address(Some(broker.address));
        let clients: Vec<_> =
            self.plans.iter().map(|plan| Client::start(plan.clone(), &scene)).collect();
        let (kills, stops) = (0, Vec::new());
        let mut run = Run { scene: Arc::clone(&scene), broker, kills, stops, round: self };
        let mut played = run.play();
        scene.begin(Act::Ended);
        for client in clients {
            client.join().map_err(|_| "a client has panicked".to_owned())?;
        }
        played = played.and_then(|()| run.end());
        played.map_err(|why| format!("{why}\nthe broker's log:\n{}", run.broker.log()))?;
        let mut outcome = Outcome::of(&scene.history.operations());
        (outcome.kills, outcome.took) = (run.kills, began.elapsed());
        (outcome.refusals, outcome.goodbyes) = (scene.refusals(), scene.goodbyes());
        (outcome.silent_ends, outcome.stops) = (scene.silent_ends(), run.stops);
        Ok(outcome)
    }
}

impl Run {
    fn play(&mut self) -> Result<(), String> {
        for step in self.round.steps.clone() {
            self.step(&step)?;
        }
        let drained = self.drain();
        self.read_retained();
        let history = self.scene.history.operations();
        show_anomalies(&anomalies(&history), &history)?;
        drained
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Work(during) => thread::sleep(*during),
            Step::Pause(during) => self.broker.pause(*during),
            Step::Write(file, text) => write(file, text)?,
            Step::Mark(file, during) => {
                write(file, "")?;
                thread::sleep(*during);
                remove(file)?;
            }
            Step::TerminateWith(file, during) => {
                write(file, "")?;
                thread::sleep(*during);
                self.terminate()?;
                remove(file)?;
                return self.start_again(false);
            }
            Step::Kill => {
                self.broker.kill();
                return self.start_again(false);
            }
            Step::KillAt(moment, count) => {
                self.scene.set_trap(*moment, *count, self.broker.pid());
                self.wait_for_end(&format!("{moment:?} did not come {count} times"))?;
                return self.start_again(false);
            }
            Step::Fall => {
                self.wait_for_end("the failpoint was not reached")?;
                return self.start_again(true);
            }
            Step::Terminate => {
                self.terminate()?;
                return self.start_again(false);
            }
        }
        match self.broker.has_ended() {
            true => Err("the broker has ended by itself".to_owned()),
            false => Ok(()),
        }
    }

    fn terminate(&mut self) -> Result<(), String> {
        let (status, took) = self.broker.terminate();
        self.stops.push(took);
        match status.success() && took < STOP_MAX {
            true => Ok(()),
            false => Err(format!("SIGTERM: {status} after {took:?}")),
        }
    }

    /// Nobody is connected any more: the broker stops, and leaves files that hold.
    fn end(&mut self) -> Result<(), String> {
        self.terminate()?;
        if !self.round.start.is_durable {
            return Ok(());
        }
        let mut command = Command::new(&self.round.start.binary);
        let output = command.args(["store", "check"]).arg(&self.round.start.data_dir).output();
        let output = output.map_err(|error| error.to_string())?;
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    fn wait_for_end(&mut self, otherwise: &str) -> Result<(), String> {
        let began = Instant::now();
        while !self.broker.has_ended() {
            if began.elapsed() > TRAP_MAX {
                self.scene.take_trap();
                return Err(otherwise.to_owned());
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn start_again(&mut self, has_fallen: bool) -> Result<(), String> {
        self.kills += 1;
        self.scene.set_address(None);
        let start = if has_fallen { &self.round.restart } else { &self.round.start };
        self.broker = Broker::start(start)?;
        self.scene.set_address(Some(self.broker.address));
        Ok(())
    }

    /// Nobody publishes any more; waits until all that is promised has come, or nothing comes.
    ///
    /// # Errors
    /// Something is left to do for some clients, and it does not get done.
    fn drain(&self) -> Result<(), String> {
        self.scene.begin(Act::Draining);
        let began = Instant::now();
        let (mut count, mut since) = (0, began);
        loop {
            let now = self.scene.history.len();
            if now != count {
                (count, since) = (now, Instant::now());
            }
            let are_done = self.scene.done() == self.round.plans.len();
            let is_calm = are_done
                && since.elapsed() > CALM
                && lost(&self.scene.history.operations()).is_empty();
            if is_calm || since.elapsed() > SILENCE_MAX || began.elapsed() > DRAIN_MAX {
                let (done, all) = (self.scene.done(), self.round.plans.len());
                let stuck = format!("only {done} of {all} clients can finish their exchanges");
                return if are_done { Ok(()) } else { Err(stuck) };
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Run {
    /// Takes down what the topics retain.
    fn read_retained(&self) {
        let (mut reader, _) = Peer::connect(&self.broker, "reader", Version::V5);
        let filter = format!("{KEPT}#");
        reader.say(&Packet::Subscribe(subscribe(QoS::AtMostOnce, 1, &filter)));
        let read = |packet: &Packet<'_>| match packet {
            Packet::Publish(publish) => {
                let topic = publish.topic.map_or_else(String::new, |it| it.as_str().to_owned());
                Message::of(publish.payload).map(|message| Operation::Retained { message, topic })
            }
            _ => None,
        };
        while let Some(read) = reader.hear_within(CALM, read) {
            read.into_iter().for_each(|operation| self.scene.history.record(operation));
        }
    }
}

fn write(file: &Path, text: &str) -> Result<(), String> {
    fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
}

fn remove(file: &Path) -> Result<(), String> {
    fs::remove_file(file).map_err(|error| format!("{}: {error}", file.display()))
}

fn show_anomalies(anomalies: &[Anomaly], history: &[Operation]) -> Result<(), String> {
    if anomalies.is_empty() {
        return Ok(());
    }
    let shown: Vec<String> = anomalies.iter().take(SHOWN).map(Anomaly::to_string).collect();
    let seen = anomalies.first().map_or_else(String::new, |first| first.context(history));
    Err(format!("{} anomalies:\n  {}\n{seen}", anomalies.len(), shown.join("\n  ")))
}

impl Outcome {
    fn of(history: &[Operation]) -> Self {
        let mut outcome = Self::default();
        for operation in history {
            match operation {
                Operation::Published { .. } => outcome.published += 1,
                Operation::Acknowledged { .. } => outcome.acknowledged += 1,
                Operation::Delivered { .. } => outcome.delivered += 1,
                _ => {}
            }
        }
        outcome
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kills, published, acknowledged, delivered, took, .. } = self;
        write!(
            f,
            "{kills} ends, {published} published, {acknowledged} acknowledged, {delivered} \
             delivered, no anomaly, {:.1} s",
            took.as_secs_f64()
        )
    }
}
