//! From the configuration as written to the one in use: ranges, forms, and what does not go together.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::allow::Allowed;
use super::glob::Glob;
use super::raw::{Raw, RawKubernetes, RawStore, Text};
use super::yaml::{At, Reader, shown};
use super::{
    Alerts, ApiServer, Config, Enforcement, EnforcementMode, ExtraHost, FunctionProbes, Kubernetes,
    LogFormat, LogLevel, Outlet, Privilege, Retention, Store, Wish, is_node_name,
};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

/// Notes in `reader` what is wrong; a value that is wrong keeps its default so that the rest can be checked.
pub(super) fn validate(reader: &mut Reader, directory: &Path, raw: Raw) -> Config {
    let mut config = Config::default();
    let mut v = Validator { reader, directory };
    v.name(raw.host_id, "host.id", &mut config.host.id);
    v.name(raw.host_name, "host.name", &mut config.host.name);
    config.kubernetes = v.kubernetes(raw.kubernetes);
    config.policy_file = v.optional_path(raw.policy_file, "policy.file");
    config.register_file = v.optional_path(raw.register_file, "policy.register");
    config.enforcement = v.enforcement(raw.enforcement_mode, raw.enforcement_allow);
    config.extra_hosts = v.extra_hosts(raw.extra_hosts);
    config.catalog_files = raw
        .catalog_files
        .into_iter()
        .filter_map(|f| v.path(f, "catalog.files"))
        .collect();
    config.rules.files = raw
        .rules_files
        .into_iter()
        .filter_map(|f| v.path(f, "rules.files"))
        .collect();
    config.rules.disable = raw.rules_disable.into_iter().map(|id| id.value).collect();
    let capture = &mut config.capture;
    v.size32(
        raw.undecided_prefix_bytes,
        "undecided_prefix_bytes",
        (4 * KIB, 16 * MIB),
        &mut capture.undecided_prefix_bytes,
    );
    let ring = raw.ring_buffer_bytes.clone();
    v.size32(
        raw.ring_buffer_bytes,
        "ring_buffer_bytes",
        (MIB, 256 * MIB),
        &mut capture.ring_buffer_bytes,
    );
    if let Some(ring) = ring.filter(|_| !capture.ring_buffer_bytes.is_power_of_two()) {
        let message = format!(
            "`ring_buffer_bytes` must be a power of two, such as 16MiB, not `{}`",
            shown(&ring.value)
        );
        v.reader.problem(ring.at, message);
    }
    capture.function_probes = raw
        .function_probes
        .map_or(capture.function_probes, |i| FunctionProbes::ALL[i]);
    capture.mcp_stdio = raw.mcp_stdio.unwrap_or(0) == 0;
    capture.served_calls = raw.served_calls == Some(0);
    capture.exclude_executables = v.executables(raw.exclude_executables);
    if let Some(path) = raw.state_dir.and_then(|d| v.path(d, "state_dir")) {
        config.store.embedded.data_dir = path.join("store");
        config.anchor.directory = path.join("anchors");
        config.spool.directory = path.join("spool");
        config.state_dir = path;
    }
    v.set_path(raw.run_dir, "run_dir", &mut config.run_dir);
    v.set_path(raw.spool_dir, "spool.dir", &mut config.spool.directory);
    if let Some(bytes) = raw.spool_max_bytes {
        let bytes = v.size(&bytes, "max_bytes", (MIB, 1024 * GIB));
        config.spool.max_bytes = bytes.unwrap_or(config.spool.max_bytes);
    }
    config.spool.fsync = raw.spool_fsync.unwrap_or(0) == 0;
    v.store(raw.store, &config.state_dir, &mut config.store);
    let words = (raw.alerts_findings, raw.alerts_unsanctioned);
    v.alerts(raw.alerts_to, words, &mut config.alerts);
    v.metrics(raw.metrics_listen, &mut config.metrics_listen);
    v.seconds(
        raw.seal_interval_seconds,
        "seal.interval_seconds",
        (1.0, 3600.0),
        &mut config.seal_interval,
    );
    // `on` is the first word.
    config.selftest = raw.selftest.unwrap_or(0) == 0;
    config.selftest_library = v.optional_path(raw.selftest_library, "seal.selftest_library");
    if let Some(hours) = v.optional_count(raw.rotate_hours, "rotate_hours", (0, 8760)) {
        config.rotate_keys = (hours > 0).then(|| Duration::from_secs(u64::from(hours) * 3600));
    }
    // A server has the chains of many hosts: one notary for all, not one on each.
    if config.store.url.is_some() {
        config.anchor.every = None;
    }
    if let Some(minutes) = v.optional_count(raw.anchor_minutes, "every_minutes", (0, 1440)) {
        config.anchor.every = (minutes > 0).then(|| Duration::from_secs(u64::from(minutes) * 60));
    }
    v.set_path(
        raw.anchor_directory,
        "anchor.directory",
        &mut config.anchor.directory,
    );
    v.name(raw.notary, "anchor.notary", &mut config.anchor.notary);
    config.privilege = privilege(raw.privilege);
    config.log.level = raw.log_level.map_or(config.log.level, |i| LogLevel::ALL[i]);
    config.log.format = raw.log_format.map_or(config.log.format, |i| LogFormat::ALL[i]);
    config
}

/// By the places of the words as written.
fn privilege(words: [Option<usize>; 3]) -> Privilege {
    let [capabilities, seccomp, landlock] = words.map(|word| word.map_or(Wish::Auto, |i| Wish::ALL[i]));
    Privilege {
        capabilities,
        seccomp,
        landlock,
    }
}

struct Validator<'a> {
    reader: &'a mut Reader,
    directory: &'a Path,
}

impl Validator<'_> {
    fn kubernetes(&mut self, raw: RawKubernetes) -> Kubernetes {
        let mut kubernetes = Kubernetes::default();
        if let Some(api) = raw.api {
            kubernetes.api = match api.value.as_str() {
                "auto" => ApiServer::Auto,
                "off" => ApiServer::Off,
                // The token of the service account goes there.
                url if url.starts_with("https://") => {
                    self.url(api, "`api`").map_or(ApiServer::Off, ApiServer::At)
                }
                _ => {
                    let got = shown(&api.value);
                    let message = format!(
                        "`api` must be auto, off, or an address that begins with https://, not `{got}`"
                    );
                    self.reader.problem(api.at, message);
                    ApiServer::Off
                }
            };
        }
        if let Some(node) = raw.node {
            if !is_node_name(&node.value) {
                let got = shown(&node.value);
                let message =
                    format!("`node` must be the name of a node: lower case, digits, - and ., not `{got}`");
                self.reader.problem(node.at, message);
            }
            kubernetes.node = Some(node.value);
        }
        self.name(raw.cluster, "kubernetes.cluster", &mut kubernetes.cluster);
        kubernetes.token_file = self.optional_path(raw.token_file, "kubernetes.token_file");
        kubernetes.ca_file = self.optional_path(raw.ca_file, "kubernetes.ca_file");
        kubernetes
    }

    fn store(&mut self, raw: RawStore, state_dir: &Path, store: &mut Store) {
        let https = raw
            .url
            .as_ref()
            .is_some_and(|url| url.value.starts_with("https://"));
        store.url = raw.url.and_then(|url| self.url(url, "`url`"));
        if let Some(ca) = raw.ca_file.as_ref().filter(|_| !https) {
            self.reader
                .problem(ca.at, "`ca_file` needs a `url` that begins with https://");
        }
        if let Some(database) = raw.database {
            let letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if database.value.is_empty() || database.value.len() > 64 || !database.value.chars().all(letter) {
                let got = shown(&database.value);
                let message =
                    format!("`database` must be 1 to 64 letters, digits and underscores, not `{got}`");
                self.reader.problem(database.at, message);
            }
            store.database = database.value;
        }
        self.name(raw.user, "store.user", &mut store.user);
        store.password_file = self.optional_path(raw.password_file, "store.password_file");
        store.ca_file = self.optional_path(raw.ca_file, "store.ca_file");
        self.set_path(
            raw.data_dir,
            "store.embedded.data_dir",
            &mut store.embedded.data_dir,
        );
        store.embedded.library = self.optional_path(raw.library, "store.embedded.library");
        if let Some(listen) = raw.listen.and_then(|l| self.address(&l, "store.embedded.listen")) {
            store.embedded.listen = listen;
        }
        self.store_user(raw.store_user, state_dir, store);
        self.count(
            raw.batch_rows,
            "batch_rows",
            (1, 1_000_000),
            &mut store.batch_rows,
        );
        self.seconds(
            raw.batch_seconds,
            "batch_seconds",
            (0.1, 60.0),
            &mut store.batch_interval,
        );
        if let Some(bytes) = raw
            .buffer_bytes
            .and_then(|b| self.size(&b, "buffer_bytes", (MIB, 4 * GIB)))
        {
            store.buffer_bytes = bytes;
        }
        let given = [&raw.records_days, &raw.seals_days, &raw.payloads_days];
        let at = given.into_iter().flatten().map(|text| text.at).next();
        let mut days = |text, key| self.optional_count(text, key, (1, 36_500));
        store.retention = Retention {
            records: days(raw.records_days, "records_days"),
            seals: days(raw.seals_days, "seals_days"),
            payloads: days(raw.payloads_days, "payloads_days"),
        };
        if let (Some(at), Some(mistake)) = (at, store.retention.mistake()) {
            self.reader.problem(at, format!("`retention`: {mistake}"));
        }
    }

    /// Another user reaches nothing in the state directory, which is the daemon's alone.
    fn store_user(&mut self, user: Text, state_dir: &Path, store: &mut Store) {
        let Some(user) = user else { return };
        if user.value.is_empty() || user.value.contains([':', '/', '\0', '\n']) {
            self.reader
                .problem(user.at, "`store.embedded.user` must be the name of a user");
        } else if store.embedded.data_dir.starts_with(state_dir) {
            let message = format!(
                "`store.embedded.user` needs a `data_dir` outside of {}, which only the daemon may enter, such as \
                 /var/lib/observer-store",
                state_dir.display()
            );
            self.reader.problem(user.at, message);
        }
        store.embedded.user = Some(user.value);
    }

    fn name(&mut self, text: Option<At<String>>, key: &str, target: &mut String) {
        let Some(text) = text else { return };
        if text.value.len() > 255 || text.value.chars().any(char::is_control) {
            self.reader.problem(
                text.at,
                format!("`{key}` must be at most 255 bytes without control characters"),
            );
        }
        *target = text.value;
    }

    fn path(&mut self, text: At<String>, key: &str) -> Option<PathBuf> {
        if text.value.is_empty() || text.value.contains('\0') {
            self.reader.problem(text.at, format!("`{key}` must be a path"));
            return None;
        }
        Some(self.directory.join(text.value))
    }

    fn optional_path(&mut self, text: Option<At<String>>, key: &str) -> Option<PathBuf> {
        text.and_then(|text| self.path(text, key))
    }

    fn set_path(&mut self, text: Option<At<String>>, key: &str, target: &mut PathBuf) {
        if let Some(path) = self.optional_path(text, key) {
            *target = path;
        }
    }

    /// `words`: places of the least severity and of the switch, as written.
    fn alerts(
        &mut self,
        to: Text,
        (findings, unsanctioned): (Option<usize>, Option<usize>),
        alerts: &mut Alerts,
    ) {
        alerts.to = to.and_then(|to| self.outlet(&to));
        if let Some(severity) = findings {
            // `off` is the first word.
            alerts.findings = i8::try_from(severity).ok().filter(|number| *number > 0);
        }
        alerts.unsanctioned = unsanctioned.unwrap_or(0) == 0;
    }

    fn metrics(&mut self, listen: Text, target: &mut Option<SocketAddr>) {
        let Some(listen) = listen else { return };
        *target = if listen.value == "off" {
            None
        } else {
            self.address(&listen, "metrics.listen")
        };
    }

    /// Where alerts go.
    fn outlet(&mut self, to: &At<String>) -> Option<Outlet> {
        let absolute = |path: &str| path.starts_with('/') && path.len() > 1 && !path.contains('\0');
        let address = |text: &str| {
            let (host, port) = text.rsplit_once(':')?;
            let fits = !host.is_empty()
                && !host.contains(['/', '@', ' '])
                && port.parse().is_ok_and(|port: u16| port > 0);
            fits.then(|| text.to_owned())
        };
        let outlet = match to.value.split_once(':') {
            None if to.value == "off" => return None,
            None if to.value == "stdout" => Some(Outlet::Stdout),
            Some(("file", path)) if absolute(path) => Some(Outlet::File(path.into())),
            Some(("unix", path)) if absolute(path) => Some(Outlet::Unix(path.into())),
            Some(("udp", rest)) => rest.strip_prefix("//").and_then(address).map(Outlet::Udp),
            Some(("tcp", rest)) => rest.strip_prefix("//").and_then(address).map(Outlet::Tcp),
            _ => None,
        };
        if outlet.is_none() {
            let got = shown(&to.value);
            let message = format!(
                "`to` must be off, stdout, file:/path, unix:/path, udp://host:port or tcp://host:port, not `{got}`"
            );
            self.reader.problem(to.at, message);
        }
        outlet
    }

    fn address(&mut self, text: &At<String>, key: &str) -> Option<SocketAddr> {
        let address = text.value.parse();
        if address.is_err() {
            let off = if key == "metrics.listen" { ", or off" } else { "" };
            let got = shown(&text.value);
            let message =
                format!("`{key}` must be an address with a port, such as 127.0.0.1:8123{off}, not `{got}`");
            self.reader.problem(text.at, message);
        }
        address.ok()
    }

    fn url(&mut self, url: At<String>, key: &str) -> Option<String> {
        let rest = url
            .value
            .strip_prefix("http://")
            .or_else(|| url.value.strip_prefix("https://"));
        let host = rest
            .and_then(|rest| rest.split(['/', '?', '#']).next())
            .unwrap_or_default();
        if host.is_empty() || url.value.contains(char::is_whitespace) {
            let message = format!("{key} must be an address such as https://clickhouse.example:8443");
            self.reader.problem(url.at, message);
            return None;
        }
        // The text is not shown: what stands before the @ is a password.
        if host.contains('@') {
            let message = format!("{key} must not hold a user or password; use a file for these");
            self.reader.problem(url.at, message);
            return None;
        }
        Some(url.value.trim_end_matches('/').to_owned())
    }

    fn extra_hosts(&mut self, raw: Vec<(Text, Text)>) -> Vec<ExtraHost> {
        let mut hosts: Vec<ExtraHost> = Vec::new();
        for (host, provider) in raw {
            let (Some(host), Some(provider)) = (host, provider) else {
                continue;
            };
            let name = host.value.to_ascii_lowercase();
            let letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
            let bare = name.strip_prefix("*.").unwrap_or(&name);
            if bare.is_empty() || bare.len() > 253 || !bare.bytes().all(letter) {
                let got = shown(&host.value);
                let message =
                    format!("`host` must be a host name, without scheme, port and path, not `{got}`");
                self.reader.problem(host.at, message);
            } else if hosts.iter().any(|h| h.host == name) {
                self.reader
                    .problem(host.at, format!("`{name}` stands twice in `extra_hosts`"));
            }
            hosts.push(ExtraHost {
                host: name,
                provider: provider.value,
            });
        }
        hosts
    }

    fn enforcement(&mut self, mode: Option<usize>, allow: Vec<At<String>>) -> Enforcement {
        Enforcement {
            mode: mode.map_or(EnforcementMode::Off, |i| EnforcementMode::ALL[i]),
            allow: self.allowed(allow),
        }
    }

    fn allowed(&mut self, raw: Vec<At<String>>) -> Vec<Allowed> {
        let mut allowed = Vec::new();
        for text in raw {
            match Allowed::parse(&text.value) {
                Ok(place) => allowed.push(place),
                Err(fault) => {
                    let message = format!("`{}` in `enforcement.allow` {fault}", shown(&text.value));
                    self.reader.problem(text.at, message);
                }
            }
        }
        allowed
    }

    fn executables(&mut self, raw: Vec<At<String>>) -> Vec<Glob> {
        let mut globs = Vec::new();
        for text in raw {
            let got = shown(&text.value);
            match Glob::new(&text.value, false) {
                Ok(glob) if text.value.starts_with(['/', '*', '?']) => globs.push(glob),
                Ok(_) => {
                    let message = format!(
                        "`{got}` in `exclude_executables` must be a full path, beginning with / or *"
                    );
                    self.reader.problem(text.at, message);
                }
                Err(fault) => self
                    .reader
                    .problem(text.at, format!("`{got}` in `exclude_executables` {fault}")),
            }
        }
        globs
    }

    fn size(&mut self, text: &At<String>, key: &str, (low, high): (u64, u64)) -> Option<u64> {
        let bytes = parse_size(&text.value).filter(|bytes| (low..=high).contains(bytes));
        if bytes.is_none() {
            let (low, high, got) = (show_size(low), show_size(high), shown(&text.value));
            self.reader.problem(
                text.at,
                format!("`{key}` must be a size from {low} to {high}, not `{got}`"),
            );
        }
        bytes
    }

    fn size32(&mut self, text: Option<At<String>>, key: &str, range: (u64, u64), target: &mut u32) {
        let bytes = text
            .and_then(|text| self.size(&text, key, range))
            .and_then(|bytes| u32::try_from(bytes).ok());
        *target = bytes.unwrap_or(*target);
    }

    fn count(&mut self, text: Option<At<String>>, key: &str, (low, high): (u32, u32), target: &mut u32) {
        let Some(text) = text else { return };
        match text.value.parse() {
            Ok(count) if (low..=high).contains(&count) => *target = count,
            _ => {
                let got = shown(&text.value);
                let message = format!("`{key}` must be a whole number from {low} to {high}, not `{got}`");
                self.reader.problem(text.at, message);
            }
        }
    }

    fn optional_count(&mut self, text: Option<At<String>>, key: &str, range: (u32, u32)) -> Option<u32> {
        let mut count = u32::MAX;
        self.count(text, key, range, &mut count);
        (count != u32::MAX).then_some(count)
    }

    fn seconds(
        &mut self,
        text: Option<At<String>>,
        key: &str,
        (low, high): (f64, f64),
        target: &mut Duration,
    ) {
        let Some(text) = text else { return };
        match text.value.parse::<f64>() {
            Ok(seconds) if seconds >= low && seconds <= high => *target = Duration::from_secs_f64(seconds),
            _ => {
                let got = shown(&text.value);
                let message =
                    format!("`{key}` must be a number of seconds from {low} to {high}, not `{got}`");
                self.reader.problem(text.at, message);
            }
        }
    }
}

/// A size in bytes: a number, or a number with KiB, MiB or GiB.
fn parse_size(text: &str) -> Option<u64> {
    let units = [("KiB", KIB), ("MiB", MIB), ("GiB", GIB), ("", 1)];
    let (number, unit) = units
        .iter()
        .find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))?;
    let number = number.trim_end();
    let plain = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    number.parse::<u64>().ok().filter(|_| plain)?.checked_mul(*unit)
}

fn show_size(bytes: u64) -> String {
    match bytes {
        b if b >= GIB && b % GIB == 0 => format!("{}GiB", b / GIB),
        b if b >= MIB && b % MIB == 0 => format!("{}MiB", b / MIB),
        b if b >= KIB && b % KIB == 0 => format!("{}KiB", b / KIB),
        b => b.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let good = [
            ("0", 0),
            ("4096", 4096),
            ("64KiB", 65536),
            ("16 MiB", 16 * MIB),
            ("2GiB", 2 * GIB),
        ];
        for (text, wanted) in good {
            assert_eq!(parse_size(text), Some(wanted), "{text}");
        }
        for text in [
            "",
            "MiB",
            "-1",
            "+1",
            "1.5MiB",
            "16MB",
            "16mib",
            "99999999999999999999",
            "99999999999999GiB",
        ] {
            assert_eq!(parse_size(text), None, "{text}");
        }
        assert_eq!(
            [show_size(16 * MIB), show_size(4 * KIB), show_size(1000)],
            ["16MiB", "4KiB", "1000"]
        );
    }
}
