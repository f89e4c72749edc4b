//! `observer man`: manual pages of all commands, for packages. Hidden: the package has them already.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::CommandFactory;

use super::Failure;

const AFTER_HELP: &str = "\
Example:
  observer man /usr/share/man/man1";

/// Write the manual pages of all commands into a directory.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// The directory; made when missing.
    directory: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let shown = args.directory.display();
    fs::create_dir_all(&args.directory).with_context(|| format!("cannot make {shown}"))?;
    clap_mangen::generate_to(super::Args::command(), &args.directory)
        .with_context(|| format!("cannot write into {shown}"))?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_that_is_shown_has_a_page_with_its_examples() {
        let dir = tempfile::tempdir().unwrap();
        let args = Args {
            directory: dir.path().join("man1"),
        };
        assert!(run(&args).is_ok());
        for command in super::super::Args::command().get_subcommands() {
            let file = args.directory.join(format!("observer-{}.1", command.get_name()));
            assert_eq!(file.exists(), !command.is_hide_set(), "{}", file.display());
        }
        let page = fs::read_to_string(args.directory.join("observer-doctor.1")).unwrap();
        assert!(
            page.contains(".TH") && page.contains("observer doctor \\-\\-processes"),
            "{page}"
        );
    }
}
