//! Runs a program with a deadline, handing on its lines as they come.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How a program ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Well,
    /// As its exit status says.
    Badly(String),
    /// It was still running at the deadline and has been killed, with all it had started.
    Late,
}

/// Runs `command` without input until it ends or the deadline passes. Each line of its output and
/// of its errors is given to `on_line`.
pub(crate) fn run(
    command: &mut Command,
    deadline: Instant,
    mut on_line: impl FnMut(&str),
) -> std::io::Result<Ended> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let lines = lines_of(&mut child);
    let ended = loop {
        match lines.recv_timeout(Duration::from_millis(50)) {
            Ok(line) => on_line(&line),
            Err(RecvTimeoutError::Disconnected) => break wait(&mut child, deadline)?,
            // It may have ended while something that it started still holds its output open.
            Err(RecvTimeoutError::Timeout) => {
                if let Some(status) = child.try_wait()? {
                    break judge(status);
                }
            }
        }
        if Instant::now() >= deadline {
            kill_with_children(&mut child);
            break Ended::Late;
        }
    };
    take_rest(&lines, on_line);
    Ok(ended)
}

/// Takes what was printed before the end and not read yet. What is printed by something that was
/// left running is not waited for.
fn take_rest(lines: &Receiver<String>, mut on_line: impl FnMut(&str)) {
    let deadline = Instant::now() + Duration::from_secs(1);
    let left = || deadline.saturating_duration_since(Instant::now());
    while let Ok(line) = lines.recv_timeout(left()) {
        on_line(&line);
    }
}

fn lines_of(child: &mut Child) -> Receiver<String> {
    let (sender, lines) = channel();
    if let Some(output) = child.stdout.take() {
        read_lines(output, sender.clone());
    }
    if let Some(errors) = child.stderr.take() {
        read_lines(errors, sender);
    }
    lines
}

fn read_lines(from: impl Read + Send + 'static, to: Sender<String>) {
    thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            line.clear();
            if to.send(text).is_err() {
                break;
            }
        }
    });
}

fn wait(child: &mut Child, deadline: Instant) -> std::io::Result<Ended> {
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait()? {
            return Ok(judge(status));
        }
        thread::sleep(Duration::from_millis(20));
    }
    kill_with_children(child);
    Ok(Ended::Late)
}

fn judge(status: std::process::ExitStatus) -> Ended {
    if status.success() { Ended::Well } else { Ended::Badly(status.to_string()) }
}

/// Kills a program and everything it started: Cargo's tests would otherwise go on without it.
fn kill_with_children(child: &mut Child) {
    let mut doomed = vec![child.id()];
    let mut at = 0;
    while at < doomed.len() {
        doomed.extend(children_of(doomed[at]));
        at += 1;
    }
    for id in doomed.iter().skip(1) {
        // Without the program `kill` only the child itself is ended.
        let _ = Command::new("kill").arg("-KILL").arg(id.to_string()).status();
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// The processes whose parent this is, where the system lists them in `/proc`.
fn children_of(parent: u32) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let ids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|id| parent_of(*id) == Some(parent)).collect()
}

fn parent_of(id: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name of the program stands in parentheses and may hold spaces: state and parent follow.
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, seconds: u64) -> (Ended, Vec<String>) {
        let mut lines = Vec::new();
        let deadline = Instant::now() + Duration::from_secs(seconds);
        let mut command = Command::new("sh");
        let ended = run(command.args(["-c", script]), deadline, |line| lines.push(line.to_owned()))
            .expect("the shell can be started");
        lines.sort();
        (ended, lines)
    }

    #[test]
    fn output_and_errors_are_handed_on() {
        let (ended, lines) = shell("echo out; echo err >&2", 60);
        assert_eq!((ended, lines), (Ended::Well, vec!["err".to_owned(), "out".to_owned()]));
    }

    #[test]
    fn the_last_lines_are_not_lost() {
        let (_, lines) = shell("sleep 0.1; seq 1 5000", 60);
        assert_eq!(lines.len(), 5000);
    }

    #[test]
    fn a_bad_end_is_told() {
        assert!(matches!(shell("exit 3", 60).0, Ended::Badly(how) if how.contains('3')));
    }

    #[test]
    fn the_deadline_ends_grandchildren_too() {
        let begun = Instant::now();
        let (ended, lines) = shell("sh -c 'echo $$; sleep 600; true'; true", 1);
        assert_eq!(ended, Ended::Late);
        assert!(begun.elapsed() < Duration::from_secs(30));
        let grandchild: u32 = lines[0].parse().expect("it said its id");
        let gone = || parent_of(grandchild).is_none_or(|parent| parent == 1);
        while !gone() && begun.elapsed() < Duration::from_secs(30) {
            thread::sleep(Duration::from_millis(20));
        }
        assert!(gone());
    }

    #[test]
    fn a_leftover_that_holds_the_output_does_not_hold_the_run() {
        let begun = Instant::now();
        assert_eq!(shell("sleep 20 & echo done", 60).0, Ended::Well);
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
}
