//! `skein completions` and `skein man`: what shells and `man` want to know of the command line.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;

use super::output;

/// Print what a shell needs to complete the options of skein.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  skein completions bash > /etc/bash_completion.d/skein
  skein completions zsh > ~/.zfunc/_skein
  skein completions fish > ~/.config/fish/completions/skein.fish")]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

/// Print the manual page of skein, or write all of them.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  skein man | man -l -
  skein man pub | man -l -
  skein man --folder /usr/local/share/man/man1")]
pub(super) struct ManPages {
    /// The subcommand; skein itself without it
    subcommand: Option<String>,

    /// Write a page for skein and for each subcommand into this folder
    #[arg(long, visible_alias = "out", value_name = "FOLDER", conflicts_with = "subcommand")]
    folder: Option<PathBuf>,
}

impl Completions {
    pub(super) fn run(&self, mut command: Command) -> ExitCode {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut command, "skein", &mut text);
        output::conclude(&text)
    }
}

impl ManPages {
    pub(super) fn run(&self, command: Command) -> ExitCode {
        let pages = match pages(command) {
            Ok(pages) => pages,
            Err(error) => return fail(&error.to_string()),
        };
        if let Some(folder) = &self.folder {
            return write_all(&pages, folder);
        }
        let name =
            self.subcommand.as_ref().map_or("skein".to_owned(), |name| format!("skein-{name}"));
        match pages.iter().find(|(page, _)| *page == name) {
            Some((_, text)) => output::conclude(text),
            None => fail(&format!("{name}: there is no such subcommand; skein --help lists them")),
        }
    }
}

/// The name and the text of each page.
fn pages(mut command: Command) -> io::Result<Vec<(String, Vec<u8>)>> {
    command.build();
    let mut pages = Vec::new();
    let subcommands = command.get_subcommands().filter(|it| it.get_name() != "help").cloned();
    let named = subcommands.map(|it| {
        let name = format!("skein-{}", it.get_name());
        (name.clone(), it.display_name(name))
    });
    for (name, command) in [("skein".to_owned(), command.clone())].into_iter().chain(named) {
        let mut text = Vec::new();
        Man::new(command).render(&mut text)?;
        pages.push((name, text));
    }
    Ok(pages)
}

fn write_all(pages: &[(String, Vec<u8>)], folder: &Path) -> ExitCode {
    if let Err(error) = fs::create_dir_all(folder) {
        return fail(&format!("{}: {error}", folder.display()));
    }
    for (name, text) in pages {
        let file = folder.join(format!("{name}.1"));
        if let Err(error) = fs::write(&file, text) {
            return fail(&format!("{}: {error}", file.display()));
        }
    }
    ExitCode::SUCCESS
}

fn fail(why: &str) -> ExitCode {
    eprintln!("Error: {why}");
    ExitCode::FAILURE
}
