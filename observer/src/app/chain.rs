//! The chain of this start: which key signs, and where it hangs. The head of the chain is on disk before a seal goes anywhere else: the
//! spool writes it.

use std::{path::Path, time::Duration};

use tokio::sync::watch;

use crate::{
    config::Config,
    evidence::{KeyRow, Sequencer, keys::ROLE_HOST},
    identity::Host,
    state::{CHAIN_DIR, Head, HeadFile, KEYS_DIR, Keyring},
};

/// Looks whether keys and head can be used, before anything else is started. Makes and changes nothing.
///
/// # Errors
/// As [`Chain::open`].
pub(super) fn check(state_dir: &Path) -> anyhow::Result<()> {
    Keyring::look(&state_dir.join(KEYS_DIR), ROLE_HOST).map(drop)
}

/// What the pipeline thread needs to sign and to link seals.
pub(super) struct Chain {
    keys: Keyring,
    /// Age at which the key is replaced.
    rotate: Option<Duration>,
    /// Words for the next seal.
    notes: Vec<&'static str>,
    /// Certificates that the store should have.
    certificates: watch::Sender<Vec<KeyRow>>,
}

impl Chain {
    /// Opens keys and head of `state_dir` and begins the epoch. `newest` is the newest seal in the spool, `now_ns` the wall clock.
    /// Gives the file for the heads of this epoch, too.
    ///
    /// # Errors
    /// What is wrong with the files there, and what to do.
    pub(super) fn open(
        config: &Config,
        host: &Host,
        newest: Option<&Head>,
        now_ns: i64,
    ) -> anyhow::Result<(Self, Sequencer, HeadFile)> {
        let state_dir = &config.state_dir;
        let head = HeadFile::open(&state_dir.join(CHAIN_DIR))?;
        let (keys, key_notes) = Keyring::open(
            &state_dir.join(KEYS_DIR),
            ROLE_HOST,
            &host.id,
            host.machine,
            now_ns,
        )?;
        // A key that is older than this start: there must have been seals.
        let known_before = keys
            .certificates()
            .iter()
            .any(|c| c.host_id == host.id && c.valid_from < now_ns);
        let begin = head.begin(&host.id, host.boot_id, now_ns, known_before, newest)?;
        let mut notes = begin.notes;
        notes.extend(key_notes.into_iter().map(|note| note.name()));
        if host.machine.is_none() {
            notes.push("machine_without_id");
        }
        for note in &notes {
            tracing::warn!(
                note,
                "the chain of evidence begins with a remark (docs/evidence.md)"
            );
        }
        let mut sequencer = Sequencer::new(&host.id, host.boot_id, begin.epoch).opened(begin.opening);
        sequencer.sign_with(keys.signer().clone());
        let reason = begin.opening.reason.name();
        tracing::info!(
            key = keys.signer().id(),
            epoch = begin.epoch,
            reason,
            "chain of evidence opened"
        );
        let certificates = watch::Sender::new(own_certificates(&keys));
        let chain = Self {
            keys,
            rotate: config.rotate_keys,
            notes,
            certificates,
        };
        Ok((chain, sequencer, head))
    }

    /// Certificates of this host's keys, now and whenever there is a new one.
    pub(super) fn certificates(&self) -> watch::Receiver<Vec<KeyRow>> {
        self.certificates.subscribe()
    }

    /// The next seal shall say this word.
    pub(super) fn note(&mut self, word: &'static str) {
        self.notes.push(word);
    }

    /// To be called before each seal, with the wall clock: takes over or makes a new key, and gives the words for the seal.
    pub(super) fn before_seal(&mut self, sequencer: &mut Sequencer, now_ns: i64) -> Vec<&'static str> {
        match self.keys.reload() {
            Ok(false) => {}
            Ok(true) => self.changed_key(sequencer),
            Err(error) => {
                tracing::error!(
                    error = format!("{error:#}"),
                    "the key in force stays the one of before"
                );
                self.notes.push("key_file_unusable");
            }
        }
        self.rotate_when_due(sequencer, now_ns);
        std::mem::take(&mut self.notes)
    }

    fn rotate_when_due(&mut self, sequencer: &mut Sequencer, now_ns: i64) {
        let since = self.keys.certificate().map_or(now_ns, |c| c.valid_from);
        let age = u64::try_from(now_ns.saturating_sub(since)).unwrap_or(0);
        let is_due = self
            .rotate
            .is_some_and(|limit| Duration::from_nanos(age) >= limit);
        if !is_due {
            return;
        }
        match self.keys.rotate(now_ns) {
            Ok(()) => self.changed_key(sequencer),
            Err(error) => {
                tracing::error!(
                    error = format!("{error:#}"),
                    "the key could not be replaced by a new one"
                );
                self.notes.push("key_not_rotated");
            }
        }
    }

    fn changed_key(&mut self, sequencer: &mut Sequencer) {
        sequencer.sign_with(self.keys.signer().clone());
        self.certificates.send_replace(own_certificates(&self.keys));
        tracing::info!(key = self.keys.signer().id(), "seals are signed with a new key");
    }
}

fn own_certificates(keys: &Keyring) -> Vec<KeyRow> {
    let own = keys.certificates().iter().filter(|c| c.host_id == keys.owner());
    own.cloned().collect()
}
