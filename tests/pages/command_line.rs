//! `docs/command-line.md`, made from the options themselves.

use std::fmt::Write;

use clap::{Arg, ArgAction, Command};

use crate::assert_up_to_date;

const HEAD: &str = "\
# The command line

<!-- Made from src/cli: cargo xtask pages -->

`skein --help` lists the subcommands, `skein SUBCOMMAND --help` their options and examples;
`skein man SUBCOMMAND | man -l -` is the same as a manual page, and `skein completions SHELL` what a
shell wants to know. Every flag `--name` can be given as `SKEIN_NAME` in the environment; what stands
on the command line goes before it, also where both could not be given at once. Passwords are best given as `SKEIN_PASSWORD` or in a file
(`--password-file`), where others on the machine do not see them.

## In the place of Mosquitto's programs

`skein pub`, `skein sub` and `skein rr` take the options of `mosquitto_pub`, `mosquitto_sub` and
`mosquitto_rr`, print the same and end with the same exit codes. They speak MQTT 5.0, and 3.1.1 where
that is refused; and a message that the broker refuses is an error. Under the names of those programs
the binary behaves as they do, MQTT 3.1.1 and `~/.config/mosquitto_pub` included:

```sh
cd /usr/local/bin
for name in pub sub rr; do ln -s skein mosquitto_$name; done
skein man --folder /usr/local/share/man/man1
skein completions bash > /etc/bash_completion.d/skein
```

The image of the Dockerfile has these links: `docker run --entrypoint mosquitto_sub skein -h broker -t '#'`.

What is different: `--psk`, `--ciphers`, `--tls-engine` and `-S` are refused with the reason, and so are
numbers and properties that are none, where Mosquitto takes 0; what is wrong with an option is said in
other words, with exit code 1 all the same; `-q1`, `--qos=1` and the options of `skein` work, too; JSON
is as Mosquitto 2.1 writes it, and has `payload_base64` where a payload is no text; messages that `-C`
leaves out are not acknowledged, so a session keeps them; who is taken over by another client with the
same identifier stops instead of taking it back. Where Mosquitto 2.0 does otherwise than its manual
says we do what that says: `--random-filter 100` is everything, and `rr` sends what `-f` and `-s` read.

`-o FILE` (`--options-file`) takes options from a file, one a line with its value behind a space.

What takes long says on a terminal how far it is (`retained`, `store`, `conn --connections`); with
`--quiet`, and where standard error is no terminal, it does not.

## Exit codes

| Code | When |
|---|---|
| 0 | all is well |
| 1 | the options make no sense, or there is no broker |
| 1 to 5 | the broker refused the connection, before MQTT 5.0 |
| 7 | the connection was lost |
| 8 | TLS failed |
| 14 | what is printed cannot be written: the disk of `--out`, `--out-dir` or standard output is full |
| 19 | the broker was silent for too long |
| 25 | the message is longer than the broker takes |
| 27 | the time of `-W` or `--timeout` is over |
| 128 and above | the broker's reason code, MQTT 5.0 |

## Formats

`-F` prints messages by a format: `%`, then perhaps `-` (to the left), `0` (zeros), a width, `.` and a
precision, a separator for hexadecimal digits, and one of these:

| | |
|---|---|
| `%t` `%p` `%q` `%r` `%m` `%l` | topic, payload, QoS, RETAIN as 0 or 1, packet id, bytes of the payload |
| `%x` `%X` | the payload in hexadecimal; `%.2:x` puts a `:` after two digits |
| `%f` `%d` | a payload of 4 or 8 bytes as a floating-point number |
| `%j` `%J` | all as JSON, the payload as a string or as the JSON it is; `--pretty` spreads it over lines |
| `%A` `%C` `%D` `%E` `%F` `%P` `%R` `%S` | topic alias, content type, correlation data, expiry, payload format, user properties, response topic, subscription identifier |
| `%I` `%U` | the time: ISO 8601, seconds since 1970 |
| `@C` | what strftime has for `%C`, and `@N` nanoseconds |
| `%%` `@@` `\\\\` `\\0` `\\a` `\\e` `\\n` `\\r` `\\t` `\\v` | one character |

";

/// The subcommands that have a section, in this order, and the headings of options that are told
/// of once for all.
const SECTIONS: [&str; 8] = ["pub", "sub", "rr", "conn", "probe", "top", "sniff", "bench"];
const SHARED: [(&str, &str); 6] = [
    ("Message", "pub"),
    ("Output", "sub"),
    ("Filter", "sniff"),
    ("Connection", "pub"),
    ("Will", "pub"),
    ("TLS", "pub"),
];

fn page(command: &Command) -> String {
    let mut page = HEAD.to_owned();
    for name in SECTIONS {
        let subcommand = command.find_subcommand(name).expect("there is such a subcommand");
        let about = subcommand.get_about().map(ToString::to_string).unwrap_or_default();
        writeln!(page, "## skein {name}\n\n{about}.\n").expect("a String takes everything");
        append_table(&mut page, subcommand, None);
    }
    let retained = command.find_subcommand("retained").expect("there is such a subcommand");
    page.push_str("## skein retained\n\n| Command | What it does |\n|---|---|\n");
    for command in retained.get_subcommands().filter(|it| it.get_name() != "help") {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        writeln!(page, "| `{}` | {about} |", command.get_name())
            .expect("a String takes everything");
    }
    page.push('\n');
    for (heading, name) in SHARED {
        writeln!(page, "## {heading}\n").expect("a String takes everything");
        let subcommand = command.find_subcommand(name).expect("there is such a subcommand");
        append_table(&mut page, subcommand, Some(heading));
    }
    page.trim_end().to_owned() + "\n"
}

fn append_table(page: &mut String, command: &Command, heading: Option<&str>) {
    let args: Vec<&Arg> =
        command.get_arguments().filter(|arg| arg.get_help_heading() == heading).collect();
    page.push_str("| Option | Meaning |\n|---|---|\n");
    for arg in args.into_iter().filter(|arg| arg.get_id() != "help") {
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let help = help.replace('|', "\\|");
        let defaults = arg.get_default_values().iter().map(|value| value.to_string_lossy());
        let defaults = defaults.collect::<Vec<_>>().join(" ");
        let default = match defaults.as_str() {
            "" | "false" => String::new(),
            defaults => format!(" [default: {defaults}]"),
        };
        writeln!(page, "| {} | {help}{default} |", names(arg)).expect("a String takes everything");
    }
    page.push('\n');
}

fn names(arg: &Arg) -> String {
    let value = match arg.get_action() {
        ArgAction::Set | ArgAction::Append => {
            let names = arg.get_value_names().unwrap_or_default();
            format!(" {}", names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(" "))
        }
        _ => String::new(),
    };
    let short = arg.get_short().map(|short| format!("`-{short}`"));
    let long = arg.get_long().map(|long| format!("`--{long}{value}`"));
    let names: Vec<String> = short.into_iter().chain(long).collect();
    if names.is_empty() { format!("`{}`", value.trim()) } else { names.join(" ") }
}

#[test]
fn the_page_of_the_command_line_is_up_to_date() {
    assert_up_to_date("docs/command-line.md", &page(&command()));
}

/// Nobody finds an option that is told of nowhere.
#[test]
fn every_option_has_a_help() {
    for subcommand in command().get_subcommands().filter(|it| it.get_name() != "help") {
        for arg in subcommand.get_arguments() {
            assert!(arg.get_help().is_some(), "{}: {}", subcommand.get_name(), arg.get_id());
        }
    }
}

/// With what clap adds to each subcommand.
fn command() -> Command {
    let mut command = skein::cli::command();
    command.build();
    command
}
