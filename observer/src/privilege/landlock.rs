//! Landlock (Linux 5.13): the places below which a thread may write. Reading is not restricted.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use landlock::{
    ABI, AccessFs, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetStatus,
};

use crate::state::make_dir;

/// The newest version of which rights are asked for. What an older kernel does not know is left out.
const NEWEST: ABI = ABI::V5;

/// Every program opens it, for the standard input of another.
const NOTHING: &str = "/dev/null";

/// A fence around a thread. Whoever enters does not get out, and what it starts is inside, too.
pub struct Fence(RulesetCreated);

impl Fence {
    /// A fence with these directories inside. Those that are missing are made; one that cannot be made stays outside, and the others are
    /// fenced all the same: nothing can be written there anyway.
    ///
    /// # Errors
    /// When the kernel has no Landlock or refuses it.
    pub fn new(writable: &[PathBuf]) -> anyhow::Result<Self> {
        if supported().is_none() {
            bail!("the kernel has no Landlock, or it is switched off (lsm= on its command line)");
        }
        let rights = AccessFs::from_write(NEWEST);
        let mut rules = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(rights)
            .and_then(Ruleset::create)
            .context("landlock")?;
        for directory in writable {
            match make_dir(directory, 0o700) {
                Ok(()) => rules = allow(rules, directory, rights)?,
                Err(error) => tracing::warn!(
                    error = format!("{error:#}"),
                    "landlock: nothing will be written there (with systemd: ReadWritePaths=, docs/install.md)"
                ),
            }
        }
        let rules = allow(rules, Path::new(NOTHING), AccessFs::WriteFile)?;
        Ok(Self(rules))
    }

    /// Puts this thread inside, for good.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn enter(&self) -> anyhow::Result<()> {
        let rules = self.0.try_clone().context("landlock")?;
        let status = rules.restrict_self().context("landlock")?;
        if status.ruleset == RulesetStatus::NotEnforced {
            bail!("landlock: not enforced");
        }
        Ok(())
    }
}

fn allow(
    rules: RulesetCreated,
    path: &Path,
    rights: impl Into<landlock::BitFlags<AccessFs>>,
) -> anyhow::Result<RulesetCreated> {
    let place = || format!("landlock: {}", path.display());
    let file = PathFd::new(path).with_context(place)?;
    rules.add_rule(PathBeneath::new(file, rights)).with_context(place)
}

/// Version of Landlock that this kernel has; `None`: it has none.
pub fn supported() -> Option<u32> {
    const VERSION: libc::c_uint = 1;
    // SAFETY: with this flag the kernel reads nothing and only answers a number.
    let version = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<u8>(),
            0usize,
            VERSION,
        )
    };
    u32::try_from(version).ok().filter(|version| *version > 0)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_directory_that_cannot_be_made_takes_the_fence_from_no_other() {
        if supported().is_none() {
            println!("SKIP: this kernel has no Landlock");
            return;
        }
        let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let never = outside.path().join("file");
        fs::write(&never, "").unwrap();
        let fence = Fence::new(&[never.join("below"), inside.path().to_path_buf()]).unwrap();
        let (here, there) = (inside.path().join("x"), outside.path().join("x"));
        let seen = std::thread::spawn(move || {
            fence.enter().unwrap();
            (fs::write(here, "1"), fs::write(there, "2"))
        });
        let (here, there) = seen.join().unwrap();
        here.unwrap();
        assert_eq!(there.unwrap_err().raw_os_error(), Some(libc::EACCES));
    }

    #[test]
    fn inside_the_fence_only_its_directories_can_be_written() {
        if supported().is_none() {
            println!("SKIP: this kernel has no Landlock");
            return;
        }
        let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let deep = inside.path().join("a/b");
        let fence = Fence::new(std::slice::from_ref(&deep)).unwrap();
        let (here, there) = (deep.join("x"), outside.path().join("x"));
        fs::write(&there, "before").unwrap();
        let seen = std::thread::spawn(move || {
            fence.enter().unwrap();
            let moved = fs::write(&here, "1").and_then(|()| fs::rename(&here, here.with_extension("y")));
            let refused = [
                fs::write(&there, "2"),
                fs::remove_file(&there),
                fs::write(there.with_extension("y"), "3"),
            ];
            (
                moved,
                refused,
                fs::read_to_string(&there),
                fs::write(NOTHING, "4"),
            )
        });
        let (moved, refused, read, nothing) = seen.join().unwrap();
        moved.unwrap();
        nothing.unwrap();
        assert_eq!(read.unwrap(), "before");
        for result in refused {
            assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EACCES));
        }
    }
}
