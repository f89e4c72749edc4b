//! What is done with all rights, before the daemon gives up those that it does not need any more: the lock against a second
//! one, keys, spool, kernel programs.

use std::{fs::File, sync::Arc};

use rustix::thread::CapabilitySet;

use super::{chain, files};
use crate::{
    alerts,
    cli::setup::Loaded,
    config::{Config, EnforcementMode},
    identity::Host,
    kernel::{
        load::{self, LoadOptions},
        written::Written,
    },
    privilege::{Plan, capabilities},
    sensitive::HmacKey,
    spool::{Spool, SpoolOptions},
    state::{Head, owned_by_us},
};

/// What is there before there is a second thread.
pub(super) struct Prepared {
    /// Held until the daemon ends.
    pub lock: File,
    pub key: HmacKey,
    pub host: Host,
    pub spool: Arc<Spool>,
    /// The newest seal in the spool.
    pub newest: Option<Head>,
    pub kernel: load::Loaded,
    /// News of programs that are written; none where the kernel gives none.
    pub written: Option<Written>,
}

impl Prepared {
    /// # Errors
    /// What keeps the daemon from starting, with what to do.
    pub(super) fn new(loaded: &Loaded) -> anyhow::Result<Self> {
        let config = &loaded.config;
        load::check_privilege()?;
        let lock = files::lock_pid_file(&config.run_dir)?;
        let key = files::hmac_key(&config.state_dir)?;
        let host = Host::read(&config.host.id, &config.host.name);
        chain::check(&config.state_dir)?;
        let (spool, newest) = Spool::open(spool_options(config))?;
        let kernel = load::load(&load_options(config, loaded))?;
        let written = Written::start()
            .inspect_err(|error| tracing::info!(%error, "programs are examined when they run, not when they are written"))
            .ok();
        Ok(Self {
            lock,
            key,
            host,
            spool: Arc::new(spool),
            newest,
            kernel,
            written,
        })
    }

    /// What the daemon goes on to need.
    pub(super) fn plan(&self, config: &Config) -> Plan {
        let writable = writable(config);
        let mut keep = capabilities::needed(config, self.kernel.programs.on_perf_events());
        let foreign = writable.iter().find(|path| path.exists() && !owned_by_us(path));
        if let Some(path) = foreign {
            tracing::warn!(
                directory = %path.display(),
                "belongs to another user, so the daemon keeps CAP_DAC_OVERRIDE to write there: chown it to the daemon's user"
            );
            keep |= CapabilitySet::DAC_OVERRIDE;
        }
        Plan {
            wishes: config.privilege,
            keep,
            writable,
            other_networks: config.enforcement.mode == EnforcementMode::On,
        }
    }
}

/// Directories that the daemon and the programs that it starts write to.
fn writable(config: &Config) -> Vec<std::path::PathBuf> {
    let mut all = vec![
        config.state_dir.clone(),
        config.run_dir.clone(),
        config.spool.directory.clone(),
        config.anchor.directory.clone(),
    ];
    all.extend(config.alerts.to.as_ref().and_then(alerts::directory));
    if config.store.url.is_none() {
        all.push(config.store.embedded.data_dir.clone());
    }
    all
}

fn load_options(config: &Config, loaded: &Loaded) -> LoadOptions {
    use crate::catalog::HostPattern;
    let patterns = loaded.catalog.kernel_patterns();
    let hosts = patterns.into_iter().flat_map(|pattern| match pattern {
        HostPattern::Exact(name) => vec![(name, false)],
        HostPattern::Suffix(name) => vec![(name.clone(), false), (name, true)],
    });
    LoadOptions {
        enforcement: config.enforcement.mode != EnforcementMode::Off,
        ..LoadOptions::new(&config.capture, hosts.collect())
    }
}

fn spool_options(config: &Config) -> SpoolOptions {
    SpoolOptions {
        directory: Some(config.spool.directory.clone()),
        max_bytes: config.spool.max_bytes,
        fsync: config.spool.fsync,
        memory_bytes: usize::try_from(config.store.buffer_bytes).unwrap_or(usize::MAX),
        segment_rows: config.store.batch_rows as usize,
        segment_age: config.store.batch_interval,
        ..SpoolOptions::default()
    }
}
