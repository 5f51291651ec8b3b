//! `bartizan completions` and `bartizan man`: what shells and manuals want to know.

use std::io::{self, Write as _};

use clap::CommandFactory as _;

use crate::exit::Exit;

/// Print a completion script for a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bartizan completions bash > ~/.local/share/bash-completion/completions/bartizan")]
pub(crate) struct Completions {
    /// The shell.
    shell: clap_complete::Shell,
}

/// Print the manual page of the program or of one command.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  bartizan man | man -l -\n  bartizan man approve > bartizan-approve.1")]
pub(crate) struct Manual {
    /// The command.
    command: Option<String>,
}

/// Prints a completion script.
pub(crate) fn completions(args: &Completions) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut crate::Cli::command(), "bartizan", &mut script);
    print(&script)
}

/// Prints a manual page.
pub(crate) fn manual(args: &Manual) -> Exit {
    let mut program = crate::Cli::command();
    program.build();
    let page = match &args.command {
        None => program,
        Some(name) => match program.find_subcommand(name).filter(|found| !found.is_hide_set()) {
            Some(command) => command.clone(),
            None => return Exit::usage(&format!("there is no command {name:?}; `bartizan --help` shows them")),
        },
    };
    let mut text = Vec::new();
    match clap_mangen::Man::new(page).render(&mut text) {
        Ok(()) => print(&text),
        Err(error) => Exit::output(&error),
    }
}

fn print(text: &[u8]) -> Exit {
    match io::stdout().lock().write_all(text) {
        Ok(()) => Exit::Done,
        Err(error) => Exit::output(&error),
    }
}
