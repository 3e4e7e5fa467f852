//! Questions in, answers out, in the world of threads and sockets.

use std::io::{Read, Write};
use std::net::TcpListener;

use super::*;
use crate::access::password::{PasswordFile, PasswordHash, Scheme};
use crate::access::provider::{Decision, HttpHook, Provider, Providers};
use crate::access::{Credentials, Secret};
use crate::net::{Consumer, Doorbell, lane};
use crate::session::ListenerId;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Workers for one shard, played by the test.
struct Scene {
    workers: LoginWorkers,
    requests: SyncSender<LoginRequest>,
    answers: Consumer<LoginAnswer>,
    rung: Receiver<()>,
    was_rung: bool,
    chain: Vec<Provider>,
}

impl Scene {
    fn new(settings: &config::Access, chain: Vec<Provider>, web: Option<Web>) -> Self {
        let (requests, queue) = sync_channel(16);
        let (producer, answers) = lane(16);
        let (ring, rung) = std::sync::mpsc::channel();
        let doorbell = Arc::new(Doorbell::new(move || ring.send(()).unwrap_or_default()));
        // Asleep for ever, so that each answer wakes it.
        doorbell.prepare_to_sleep(false);
        let desk = LoginDesk { answers: producer, doorbell };
        let workers = LoginWorkers::start(settings, queue, vec![desk], web, Instant::now());
        Self {
            workers: workers.expect("a few threads"),
            requests,
            answers,
            rung,
            was_rung: false,
            chain,
        }
    }

    fn ask(&self, connection: u64, user_name: &str, password: &str) {
        let providers = Providers::new(self.chain.clone(), 60_000, [0; 32]);
        let credentials = Credentials {
            client_id: "client".into(),
            user_name: Some(user_name.into()),
            password: Some(Secret::new(password.as_bytes())),
            certificate: None,
            address: Some(IpAddr::from([192, 0, 2, 1])),
        };
        let Decision::Later(work) = providers.decide(credentials) else { panic!("it is slow") };
        let connection = ConnectionId::from_u64(connection);
        let login = Login { connection, listener: ListenerId(0), work };
        let request = LoginRequest { shard: ShardId::new(0), login };
        self.requests.send(request).expect("the workers are there");
    }

    fn answer(&mut self) -> LoginAnswer {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(answer) = self.answers.pop() {
                return answer;
            }
            assert!(Instant::now() < deadline, "no answer has come");
            self.was_rung |= self.rung.recv_timeout(Duration::from_millis(5)).is_ok();
        }
    }
}

fn settings() -> config::Access {
    config::Access { login_delay_ms: 0, login_failures_max: 3, ..config::Access::default() }
}

fn alice() -> Vec<Provider> {
    let hash = PasswordHash::make(Scheme::Sha512, b"right", &[1; 12]).expect("it costs nothing");
    let file = PasswordFile::parse(format!("alice:{hash}\n").as_bytes(), "passwords");
    vec![Provider::Password(Arc::new(file.expect("it was written here")))]
}

#[test]
fn answers_come_to_the_connection_that_asked_and_wake_its_shard() {
    let mut scene = Scene::new(&settings(), alice(), None);
    scene.ask(5, "alice", "right");
    let answer = scene.answer();
    assert_eq!(answer.connection, ConnectionId::from_u64(5));
    assert!(answer.outcome.result.is_ok() && answer.expires_at.is_none());
    assert!(scene.was_rung || scene.rung.recv_timeout(PATIENCE).is_ok());
}

/// G18: who fails too often is not even looked at, with the right password as well; and a wrong
/// password is no other denial than an unknown user.
#[test]
fn g18_who_fails_too_often_is_banned() {
    let mut scene = Scene::new(&settings(), alice(), None);
    let mut denials = Vec::new();
    for (user_name, password) in
        [("alice", "wrong"), ("nobody", "wrong"), ("bob", "wrong"), ("alice", "right")]
    {
        scene.ask(0, user_name, password);
        denials.push(scene.answer().outcome.result.expect_err("it is refused"));
    }
    assert_eq!(denials[..3], [Denial::WrongPassword, Denial::WrongPassword, Denial::WrongPassword]);
    assert!(matches!(denials[3], Denial::Throttled(Throttled { is_ban: true, .. })));
}

#[test]
fn workers_work_at_the_same_time() {
    let url = server("");
    let web = Web::new(&url, None).expect("without TLS nothing is needed");
    let hook = HttpHook { url: url.into(), timeout_ms: 1_000, cache_ms: 0 };
    let settings = config::Access { login_workers: 4, ..settings() };
    let mut scene = Scene::new(&settings, vec![Provider::Http(Arc::new(hook))], Some(web));
    let started = Instant::now();
    for connection in 0..4 {
        scene.ask(connection, "alice", "right");
    }
    for _ in 0..4 {
        assert!(scene.answer().outcome.result.is_err());
    }
    let took = started.elapsed();
    assert!(took < Duration::from_millis(2_500), "one after the other: {took:?}");
}

/// G18: a hook that does not answer keeps nobody waiting whom it is not asked about.
#[test]
fn g18_a_silent_hook_does_not_delay_passwords() {
    let url = server("");
    let web = Web::new(&url, None).expect("without TLS nothing is needed");
    let hook = HttpHook { url: url.into(), timeout_ms: 10_000, cache_ms: 0 };
    let settings = config::Access { login_workers: 1, logins_waiting_max: 2, ..settings() };
    let mut scene = Scene::new(&settings, vec![Provider::Http(Arc::new(hook))], Some(web));
    // The one thread asks, two wait, and the fourth or the third is too many: it may or may not
    // have begun to ask meanwhile.
    for connection in 0..4 {
        scene.ask(connection, "alice", "right");
    }
    let refused = scene.answer();
    assert_eq!(refused.outcome.result.expect_err("too many"), Denial::Overloaded);
    scene.chain = alice();
    scene.ask(9, "alice", "right");
    let started = Instant::now();
    while scene.answer().connection != ConnectionId::from_u64(9) {}
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn after_a_reload_nobody_is_known() {
    let mut scene = Scene::new(&settings(), alice(), None);
    scene.ask(0, "alice", "right");
    assert!(scene.answer().outcome.result.is_ok());
    let hash = PasswordHash::make(Scheme::Sha512, b"new", &[1; 12]).expect("it costs nothing");
    let file = PasswordFile::parse(format!("alice:{hash}\n").as_bytes(), "passwords");
    scene.chain = vec![Provider::Password(Arc::new(file.expect("it was written here")))];
    scene.workers.on_reload(None);
    scene.ask(0, "alice", "right");
    assert_eq!(scene.answer().outcome.result.expect_err("changed"), Denial::WrongPassword);
}

/// Answers each question with these bytes; with none, never.
fn server(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/auth", listener.local_addr().expect("it is bound"));
    thread::spawn(move || {
        let mut silent = Vec::new();
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            if answer.is_empty() {
                silent.push(stream);
                continue;
            }
            let mut question = [0; 4_096];
            let _ = stream.read(&mut question);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    url
}

/// H16: what is no answer denies.
#[test]
fn h16_the_hook_is_asked_and_silence_denies() {
    let ask = |answer| {
        let url = server(answer);
        let web = Web::new(&url, None).expect("without TLS nothing is needed");
        let hook = HttpHook { url: url.into(), timeout_ms: 300, cache_ms: 0 };
        let chain = vec![Provider::Http(Arc::new(hook))];
        let mut scene = Scene::new(&settings(), chain, Some(web));
        scene.ask(0, "alice", "right");
        scene.answer()
    };
    let allowed = "HTTP/1.1 200 OK\r\nContent-Length: 46\r\nConnection: close\r\n\r\n\
                   {\"result\":\"allow\",\"expires_at\":99999999999999}";
    let answer = ask(allowed);
    let identity = answer.outcome.result.expect("it is allowed");
    assert_eq!(identity.user_name.as_deref(), Some("alice"));
    assert!(answer.expires_at.is_some());
    let denied = ask("HTTP/1.1 403 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    assert_eq!(denied.outcome.result.expect_err("it is denied"), Denial::Refused);
    for nothing in [
        "",
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nyes!",
        "nonsense\r\n\r\n",
    ] {
        let denial = ask(nothing).outcome.result.expect_err("it is denied");
        assert!(matches!(denial, Denial::NoAnswer(_)), "{nothing}: {denial}");
    }
}
