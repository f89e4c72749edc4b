//! Enforcement's part of the pipeline thread: the kernel's tables follow the pipeline, and connections are cut.

use std::{env, io, net::IpAddr, sync::Arc};

use crate::{
    config::{Allowed, Config, EnforcementMode},
    enforce::Settings,
    kernel::{
        cut::{Cut, Cutter},
        enforce::{Change, Enforcer},
    },
    kubernetes::SERVICE_HOST,
    pipeline::Pipeline,
};
use observer_common::wire::Connect;

/// A connection and the rule that cuts it.
type Tag = (u64, Arc<str>);

/// See the module.
pub(super) struct Enforcement {
    enforcer: Enforcer,
    cutter: Cutter<Tag>,
}

impl Enforcement {
    /// Nothing without the kernel's tables.
    ///
    /// # Errors
    /// When there can be no thread.
    pub(super) fn start(enforcer: Option<Enforcer>) -> io::Result<Option<Self>> {
        let start = |enforcer| {
            Ok(Self {
                enforcer,
                cutter: Cutter::start()?,
            })
        };
        enforcer.map(start).transpose()
    }

    /// Gives the daemon's word again while the pipeline enforces, and takes what was cut to the pipeline.
    pub(super) fn tick(&mut self, now_ns: u64, pipeline: &mut Pipeline) {
        if pipeline.enforces() {
            self.enforcer.renew(now_ns);
        }
        while let Some(((connection_id, rule_id), result)) = self.cutter.done() {
            if let Err(error) = &result {
                tracing::warn!(
                    rule = &*rule_id,
                    error = format!("{error:#}"),
                    "a connection could not be cut"
                );
            }
            pipeline.was_cut(connection_id, rule_id, result.is_ok());
        }
    }

    pub(super) fn change(&mut self, change: Change) {
        self.enforcer.change(change);
    }

    /// Has a connection cut; gives it back when too many wait.
    pub(super) fn cut(&self, pid: u32, connect: Connect, tag: Tag) -> Result<(), Tag> {
        self.cutter.want(Cut { pid, connect, tag })
    }

    /// Opens everything, until the next word.
    pub(super) fn release(&mut self) {
        self.enforcer.release();
    }
}

/// What the pipeline enforces; nothing where the configuration switches it off.
pub(super) fn settings(config: &Config) -> Option<Settings> {
    let enforcement = &config.enforcement;
    (enforcement.mode != EnforcementMode::Off).then(|| Settings {
        mode: enforcement.mode,
        allow: [
            own_needs(config),
            cluster(|name| env::var(name).ok()),
            enforcement.allow.clone(),
        ]
        .concat(),
    })
}

/// Name servers, the store, and the addresses at which the daemon itself answers.
fn own_needs(config: &Config) -> Vec<Allowed> {
    /// Of name servers (RFC 1035 section 4.2).
    const DNS: u16 = 53;
    let mut allow = vec![Allowed::port(DNS)];
    match &config.store.url {
        Some(url) => allow.extend(host_of(url)),
        None => {
            let listen = config.store.embedded.listen;
            allow.push(Allowed::address(listen.ip(), Some(listen.port())));
        }
    }
    let metrics = config.metrics_listen;
    allow.extend(metrics.map(|listen| Allowed::address(listen.ip(), Some(listen.port()))));
    allow
}

/// The host of a URL that the configuration accepted, at all ports.
fn host_of(url: &str) -> Option<Allowed> {
    let rest = url.split_once("://")?.1;
    let authority = rest.split(['/', '?', '#']).next()?;
    let end = authority.rfind(']').map_or(0, |at| at + 1);
    let host = authority[end..]
        .find(':')
        .map_or(authority, |colon| &authority[..end + colon]);
    Allowed::host(host, None).ok()
}

/// The API of the cluster, as Kubernetes tells each container, and its names.
fn cluster(variable: impl Fn(&str) -> Option<String>) -> Vec<Allowed> {
    let address = variable(SERVICE_HOST).and_then(|host| host.parse::<IpAddr>().ok());
    let names = [
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.*",
    ];
    let names = names
        .into_iter()
        .filter_map(|name| Allowed::host(name, None).ok());
    names
        .chain(address.map(|address| Allowed::address(address, None)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::mapped;

    fn has(allow: &[Allowed], address: &str, port: u16) -> bool {
        let address = mapped(address.parse().unwrap());
        allow
            .iter()
            .any(|a| a.has_address(address) && a.port.is_none_or(|open| open == port))
    }

    fn config(text: &str) -> Config {
        Config::parse(text, "/x/observer.yaml").unwrap()
    }

    #[test]
    fn what_the_daemon_and_the_cluster_need_is_always_open() {
        assert_eq!(settings(&Config::default()), None);
        let on = settings(&config("enforcement: {mode: on, allow: [\"192.0.2.0/24\"]}")).unwrap();
        assert!(has(&on.allow, "198.51.100.1", 53) && !has(&on.allow, "198.51.100.1", 443));
        assert!(has(&on.allow, "127.0.0.1", 8123) && has(&on.allow, "127.0.0.1", 9464));
        assert!(has(&on.allow, "192.0.2.9", 443));
        let of = |url: &str| {
            settings(&config(&format!(
                "enforcement: {{mode: dry_run}}\nstore: {{url: \"{url}\"}}"
            )))
            .unwrap()
        };
        assert!(has(&of("https://198.51.100.7:8443").allow, "198.51.100.7", 8443));
        assert!(has(&of("http://[2001:db8::7]:8123/x").allow, "2001:db8::7", 8123));
        let named = of("https://clickhouse.example:8443");
        assert!(named.allow.iter().any(|a| a.has_name("clickhouse.example")));
        let cluster = cluster(|name| (name == SERVICE_HOST).then(|| "10.96.0.1".to_owned()));
        assert!(
            has(&cluster, "10.96.0.1", 443)
                && cluster
                    .iter()
                    .any(|a| a.has_name("kubernetes.default.svc.cluster.local"))
        );
    }
}
