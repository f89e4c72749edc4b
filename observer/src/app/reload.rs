//! Policy and register while the daemon runs: read again when a file changes or at SIGHUP. One that is wrong changes
//! nothing: the one in force stays, and log and evidence say so.

use std::{fs, os::unix::fs::MetadataExt, path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, watch},
    time::{MissedTickBehavior, interval},
};

use crate::{cli::setup, config::Config, policy::Judge};

/// How often the files are looked at. One that changed is read when it did not change for so long.
const LOOK: Duration = Duration::from_secs(1);
/// Changes that the pipeline has not taken yet.
const WAITING: usize = 16;

/// What came of reading the files again; with the word for the next seal.
pub(super) enum Change {
    /// From now on this judges.
    Judge(Arc<Judge>, &'static str),
    /// The one in force stays.
    Refused(&'static str),
    /// The policy's file is gone, or there again: it judges on, and stops nothing meanwhile.
    Lost(bool),
}

/// Watches from now on. Gives the judge in force, for the store, and the changes, for the pipeline.
///
/// # Errors
/// When the signal cannot be caught.
pub(super) fn start(
    config: &Config,
    judge: Arc<Judge>,
) -> anyhow::Result<(watch::Receiver<Arc<Judge>>, mpsc::Receiver<Change>)> {
    // Caught before anything else: an uncaught SIGHUP ends the daemon.
    let hangup = signal(SignalKind::hangup())?;
    let (in_force, judges) = watch::channel(judge);
    let (sender, changes) = mpsc::channel(WAITING);
    let files = [&config.policy_file, &config.register_file];
    let watcher = Watcher {
        config: config.clone(),
        files: files.into_iter().flatten().cloned().collect(),
        in_force,
        changes: sender,
    };
    tokio::spawn(watcher.run(hangup));
    Ok((judges, changes))
}

/// What tells that a file was changed, also by a rename over it.
type Stamp = Option<(u64, u64, i64, i64)>;

struct Watcher {
    config: Config,
    files: Vec<PathBuf>,
    in_force: watch::Sender<Arc<Judge>>,
    changes: mpsc::Sender<Change>,
}

impl Watcher {
    async fn run(self, mut hangup: Signal) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // What was read before this began is not known: the first look reads again, and finds the same or not.
        let (mut read, mut last) = (None, self.stamps());
        let mut lost = false;
        loop {
            let asked = tokio::select! {
                got = hangup.recv() => got.is_some(),
                _ = looks.tick() => false,
            };
            let now = self.stamps();
            // A file that is being written is not read before it rests.
            let rests = now == last;
            // Files that are renamed over are never gone; one that rests in being gone is.
            let is_lost = self.config.policy_file.is_some() && now.first() == Some(&None);
            if rests && is_lost != lost {
                lost = is_lost;
                if self.changes.send(Change::Lost(lost)).await.is_err() {
                    return;
                }
            }
            last.clone_from(&now);
            if asked || (rests && read.as_ref() != Some(&now)) {
                read = Some(now);
                if !self.reload(asked).await {
                    return;
                }
            }
        }
    }

    fn stamps(&self) -> Vec<Stamp> {
        let stamp = |path: &PathBuf| {
            let meta = fs::metadata(path).ok()?;
            let modified = meta
                .mtime()
                .saturating_mul(1_000_000_000)
                .saturating_add(meta.mtime_nsec());
            Some((
                meta.dev(),
                meta.ino(),
                modified,
                i64::try_from(meta.size()).unwrap_or(i64::MAX),
            ))
        };
        self.files.iter().map(stamp).collect()
    }

    /// Reads the files; `false` when nobody takes changes any more.
    async fn reload(&self, asked: bool) -> bool {
        let config = self.config.clone();
        let loaded = tokio::task::spawn_blocking(move || setup::load_judge(&config)).await;
        let Ok(loaded) = loaded else { return true };
        let change = match loaded {
            Err(problems) => {
                for problem in &problems {
                    tracing::error!(%problem, "policy or register");
                }
                tracing::error!("policy and register in force stay as they are: the new files have mistakes");
                Change::Refused("policy_refused")
            }
            Ok(judge) => {
                let judge = Arc::new(judge);
                let Some(note) = self.difference(&judge) else {
                    if asked {
                        tracing::info!("policy and register are as they were");
                    }
                    return true;
                };
                for warning in judge.warnings() {
                    tracing::warn!("{warning}");
                }
                let (policy, register) = (
                    hex::encode(judge.policy.digest()),
                    hex::encode(judge.register_digest()),
                );
                tracing::info!(
                    policy,
                    register,
                    version = judge.policy.version(),
                    "new policy or register in force"
                );
                self.in_force.send_replace(Arc::clone(&judge));
                Change::Judge(judge, note)
            }
        };
        self.changes.send(change).await.is_ok()
    }

    /// What is new in `judge`, as the word for the seal.
    fn difference(&self, judge: &Judge) -> Option<&'static str> {
        let old = self.in_force.borrow();
        let policy = old.policy.digest() != judge.policy.digest();
        let register = old.register_digest() != judge.register_digest();
        match (policy, register) {
            (false, false) => None,
            (true, false) => Some("policy_changed"),
            (false, true) => Some("register_changed"),
            (true, true) => Some("policy_and_register_changed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = "version: '1'\ndefault: unsanctioned\nrules: []\n";

    fn config(dir: &std::path::Path) -> Config {
        Config {
            policy_file: Some(dir.join("policy.yaml")),
            ..Config::default()
        }
    }

    #[tokio::test]
    async fn a_new_file_comes_into_force_and_a_wrong_one_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("policy.yaml");
        fs::write(&path, POLICY).unwrap();
        let config = config(dir.path());
        let first = Arc::new(setup::load_judge(&config).unwrap());
        let (judges, mut changes) = start(&config, Arc::clone(&first)).unwrap();
        fs::write(&path, POLICY.replace("unsanctioned", "unknown")).unwrap();
        let Some(Change::Judge(new, note)) = changes.recv().await else {
            panic!("no change")
        };
        assert_eq!(
            (note, new.policy.digest() == first.policy.digest()),
            ("policy_changed", false)
        );
        fs::write(&path, "version: '1'\ndefault: mabye\n").unwrap();
        let Some(Change::Refused(note)) = changes.recv().await else {
            panic!("not refused")
        };
        assert_eq!(note, "policy_refused");
        assert_eq!(judges.borrow().policy.digest(), new.policy.digest());
        fs::remove_file(&path).unwrap();
        assert!(
            matches!(changes.recv().await, Some(Change::Lost(true))),
            "nothing is stopped by a policy that is gone"
        );
        assert!(
            matches!(changes.recv().await, Some(Change::Refused(_))),
            "a file that is gone is a mistake"
        );
        // Renamed over, as Kubernetes and editors do.
        fs::write(dir.path().join("next"), POLICY).unwrap();
        fs::rename(dir.path().join("next"), &path).unwrap();
        assert!(matches!(changes.recv().await, Some(Change::Lost(false))));
        let Some(Change::Judge(again, _)) = changes.recv().await else {
            panic!("no change")
        };
        assert_eq!(again.policy.digest(), first.policy.digest());
    }
}
