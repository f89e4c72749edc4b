//! The chain of this start: which key signs, where it hangs, and the head on disk before a seal goes anywhere.

use std::{path::Path, time::Duration};

use tokio::sync::watch;

use crate::{
    config::Config,
    evidence::{KeyRow, SealRow, Sequencer, keys::ROLE_HOST},
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
    head: HeadFile,
    /// Words for the next seal.
    notes: Vec<&'static str>,
    /// Certificates that the store should have.
    certificates: watch::Sender<Vec<KeyRow>>,
}

impl Chain {
    /// Opens keys and head of `state_dir` and begins the epoch. `now_ns` is the wall clock.
    ///
    /// # Errors
    /// What is wrong with the files there, and what to do.
    pub(super) fn open(config: &Config, host: &Host, now_ns: i64) -> anyhow::Result<(Self, Sequencer)> {
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
        let begin = head.begin(&host.id, host.boot_id, now_ns, known_before)?;
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
            head,
            notes,
            certificates,
        };
        Ok((chain, sequencer))
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

    /// To be called with each seal before it goes anywhere.
    pub(super) fn sealed(&mut self, seal: &SealRow) {
        if let Err(error) = self.head.write(&Head::from(seal)) {
            tracing::error!(%error, "the head of the chain could not be put on disk");
            self.notes.push("head_not_on_disk");
        }
    }
}

fn own_certificates(keys: &Keyring) -> Vec<KeyRow> {
    let own = keys.certificates().iter().filter(|c| c.host_id == keys.owner());
    own.cloned().collect()
}
