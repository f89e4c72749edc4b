//! What a guest's serial line and the rows it stored come to. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use super::boot::Said;
use super::guest::Setup;
use super::packages::Kernel;

/// Rows of one guest, as the store has them.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) interactions: Vec<Value>,
    pub(super) connections: Vec<Value>,
    pub(super) seals: Vec<Value>,
}

/// What the guest prints, each of which has to end well.
const SECTIONS: [&str; 5] = ["doctor", "tls_call", "plain_call", "metrics", "log"];

/// Model that the guest's calls name.
const MODEL: &str = "gpt-4o-mini";

/// How it went with one kernel.
#[derive(Debug, serde::Serialize)]
pub(super) struct Outcome {
    pub(super) kernel: String,
    pub(super) release: String,
    /// `capture.function_probes` of the run.
    pub(super) asked: String,
    /// How functions are probed; what the doctor says.
    pub(super) means: String,
    pub(super) read: Vec<String>,
    /// What this kernel does not let be read; in the words of the doctor.
    pub(super) not_read: Vec<String>,
    pub(super) boot_seconds: Option<f64>,
    pub(super) seconds: f64,
    /// What is not as it has to be; empty: all is well.
    pub(super) faults: Vec<String>,
}

/// What a kernel lets be seen of sockets.
#[derive(Debug, Clone, Copy)]
struct Sees {
    /// Bytes of connections, and which connection a TLS handle belongs to.
    bytes: bool,
    /// What crosses them without TLS.
    clear: bool,
}

/// Judges a run.
pub(super) fn judge(kernel: &Kernel, setup: &Setup, said: &Said, rows: &Rows) -> Outcome {
    let mut sections = sections(&said.lines);
    // A second report is made only where the one with enforcement has a failure.
    if !sections.contains_key("doctor")
        && let Some(report) = sections.get("enforcement").cloned()
    {
        sections.insert("doctor".to_owned(), report);
    }
    let checks = checks(&sections, "doctor");
    let mut outcome = Outcome {
        kernel: kernel.series.clone(),
        release: kernel.release.clone(),
        asked: setup.function_probes.to_owned(),
        means: means(&checks).unwrap_or("not loaded").to_owned(),
        read: Vec::new(),
        not_read: Vec::new(),
        boot_seconds: said.boot.map(|time| time.as_secs_f64()),
        seconds: said.life.as_secs_f64(),
        faults: Vec::new(),
    };
    outcome.of_the_guest(said, &sections, setup.doctor);
    let mut sees = Sees {
        bytes: true,
        clear: version(&kernel.release) >= (6, 3),
    };
    if setup.doctor {
        outcome.of_the_doctor(&checks);
        let is_ok = |program: &str| {
            named(&checks, &format!("hook {program}")).is_some_and(|check| check["state"] == "ok")
        };
        sees.clear = is_ok("socket_send");
        sees.bytes = sees.clear || is_ok("exit_inet_send");
        outcome.of_enforcement(&self::checks(&sections, "enforcement"));
    } else {
        outcome.of_the_log(&sections);
    }
    outcome.of_the_calls(&sections, sees, rows);
    outcome.of_the_ledger(&rows.seals);
    outcome
}

impl Outcome {
    fn fault(&mut self, text: impl Into<String>) {
        self.faults.push(text.into());
    }

    fn of_the_guest(&mut self, said: &Said, sections: &BTreeMap<String, Section>, doctor: bool) {
        if !said.ended || !said.lines.iter().any(|line| line == "@@ off") {
            let last: Vec<&str> = said.lines.iter().rev().take(8).map(String::as_str).collect();
            self.fault(format!(
                "the guest did not come to its end; its last lines, newest first: {last:?}"
            ));
        }
        let wanted = SECTIONS.into_iter().filter(|name| doctor || *name != "doctor");
        for name in wanted {
            match sections.get(name) {
                None => self.fault(format!("the guest did not get to `{name}`")),
                Some(section) if section.status != 0 => {
                    self.fault(format!(
                        "`{name}` ended with {}: {}",
                        section.status,
                        section.tail()
                    ));
                }
                Some(_) => {}
            }
        }
    }

    /// Failures are faults; what the kernel lacks is said by warnings.
    fn of_the_doctor(&mut self, checks: &[Value]) {
        for check in checks {
            let text = format!("{}: {}", word(check, "name"), word(check, "found"));
            match check["state"].as_str() {
                Some("failure") => self.fault(text),
                Some("warning") if text.starts_with("hook ") => self.not_read.push(word(check, "advice")),
                Some("warning") if text.starts_with("TLS library ") => self.fault(text),
                _ => {}
            }
        }
        let wanted = match (self.asked.as_str(), has_links(&self.release)) {
            ("auto", true) => "uprobe multi links",
            _ => "perf events",
        };
        if self.means != wanted {
            self.fault(format!("function probes on {}, expected on {wanted}", self.means));
        }
    }

    /// Without a report of the doctor the daemon's log says what the kernel refused.
    fn of_the_log(&mut self, sections: &BTreeMap<String, Section>) {
        let log = sections.get("log").map(|section| section.lines.as_slice());
        let lines = log.unwrap_or_default().iter();
        for line in lines.filter(|line| line.contains("the kernel refused a program")) {
            self.fault(line);
        }
    }

    /// The call over TLS has to be there, and what this kernel lets be seen of sockets.
    fn of_the_calls(&mut self, sections: &BTreeMap<String, Section>, sees: Sees, rows: &Rows) {
        let of = |name: &str, value: &str| {
            rows.interactions
                .iter()
                .filter(|row| row[name] == value)
                .collect()
        };
        let tls: Vec<&Value> = of("server_address", "api.openai.com");
        if tls.len() == 1 && tls[0]["gen_ai_provider_name"] != "openai" {
            self.fault(format!("TLS call: provider {}", tls[0]["gen_ai_provider_name"]));
        }
        if sees.bytes && tls.len() == 1 && tls[0]["tie"] != "in_call" {
            self.fault(format!("TLS call: tie {}", tls[0]["tie"]));
        }
        self.one_call("TLS call", sections.get("tls_call"), &tls);
        if sees.clear {
            let plain: Vec<&Value> = of("tls_stack", "none");
            self.one_call("HTTP without TLS", sections.get("plain_call"), &plain);
        }
        if !sees.bytes {
            return;
        }
        let mut ours = rows.connections.iter().filter(|row| row["server_port"] == 4443);
        let (first, second) = (ours.next(), ours.next());
        match first {
            Some(row)
                if second.is_none()
                    && row["visibility"] == "decoded"
                    && row["bytes_sent"].as_u64() > Some(0)
                    && row["bytes_received"].as_u64() > Some(0) =>
            {
                self.read.push("connections with their bytes".to_owned());
            }
            _ => self.fault(format!(
                "no one good row of the TLS connection: {:?}",
                rows.connections
            )),
        }
    }

    /// One call, one row, and what it says is what the client got.
    fn one_call(&mut self, what: &str, answer: Option<&Section>, rows: &[&Value]) {
        let answer = answer.map(Section::json).unwrap_or_default();
        let [row] = rows else {
            self.fault(format!("{what}: {} rows", rows.len()));
            return;
        };
        let usage = &answer["usage"];
        let model = Value::from(MODEL);
        let decoded = Value::from("decoded");
        let wanted = [
            ("gen_ai_request_model", &model),
            ("gen_ai_response_id", &answer["id"]),
            ("gen_ai_usage_input_tokens", &usage["prompt_tokens"]),
            ("gen_ai_usage_output_tokens", &usage["completion_tokens"]),
            ("visibility", &decoded),
        ];
        for (column, value) in wanted {
            if row[column] != *value || value.is_null() {
                self.faults
                    .push(format!("{what}: {column} is {}, not {value}", row[column]));
            }
        }
        self.read.push(what.to_owned());
    }

    /// Whether connections can be denied here. What cannot be is said, and is no fault.
    fn of_enforcement(&mut self, checks: &[Value]) {
        match named(checks, "kernel programs") {
            Some(check) if check["state"] == "ok" => self.read.push("enforcement loads".to_owned()),
            Some(check) => self
                .not_read
                .push(format!("no enforcement: {}", word(check, "found"))),
            None => self.fault("no word about enforcement"),
        }
    }

    /// Each book of each seal balances, and the last seal is that of an end in order.
    fn of_the_ledger(&mut self, seals: &[Value]) {
        let mut unbalanced = 0;
        for seal in seals {
            let number = |column: &str, n: usize| seal[column][n].as_u64().unwrap_or(0);
            let stages = seal["books_stage"].as_array().map_or(0, Vec::len);
            let balances = |n: &usize| {
                number("books_seen", *n)
                    == number("books_delivered", *n) + number("books_lost", *n) + number("books_held", *n)
            };
            if stages == 0 || !(0..stages).all(|n| balances(&n)) {
                unbalanced += 1;
            }
        }
        if unbalanced > 0 {
            self.fault(format!("{unbalanced} of {} seals do not balance", seals.len()));
        }
        match seals.last() {
            Some(seal) if seal["seal_kind"] == "close" => {}
            Some(seal) => self.fault(format!("the last seal is {}", seal["seal_kind"])),
            None => self.fault("no seals"),
        }
        let kernel_lost: u64 = seals
            .iter()
            .filter_map(|seal| seal["events_lost_ring"].as_u64())
            .sum();
        if kernel_lost > 0 {
            self.fault(format!("{kernel_lost} records lost in the ring"));
        }
        if seals.iter().any(|seal| seal["selftest"] == "ok") {
            self.read.push("self-test".to_owned());
        } else {
            self.fault("no self-test came through");
        }
    }
}

/// What stood between two marks of the serial line.
#[derive(Debug, Default, Clone)]
struct Section {
    lines: Vec<String>,
    status: i64,
}

impl Section {
    fn json(&self) -> Value {
        serde_json::from_str(&self.lines.join("\n")).unwrap_or_default()
    }

    fn tail(&self) -> String {
        let from = self.lines.len().saturating_sub(30);
        self.lines[from..].join("\n")
    }
}

fn sections(lines: &[String]) -> BTreeMap<String, Section> {
    let mut all = BTreeMap::new();
    let mut open: Option<(String, Section)> = None;
    for line in lines {
        if let Some(name) = line.strip_prefix("@@ begin ") {
            open = Some((name.to_owned(), Section::default()));
        } else if let Some((before, end)) = line.split_once("@@ end ") {
            // A text without a line break at its end has the mark on its last line.
            let Some((name, mut section)) = open.take() else {
                continue;
            };
            section
                .lines
                .extend((!before.is_empty()).then(|| before.to_owned()));
            section.status = end
                .rsplit(' ')
                .next()
                .and_then(|word| word.parse().ok())
                .unwrap_or(-1);
            all.insert(name, section);
        } else if let Some((_, section)) = &mut open {
            section.lines.push(line.clone());
        }
    }
    all
}

/// The lines of a report of the doctor.
fn checks(sections: &BTreeMap<String, Section>, name: &str) -> Vec<Value> {
    let report = sections.get(name).map(Section::json).unwrap_or_default();
    report["checks"].as_array().cloned().unwrap_or_default()
}

fn named<'a>(checks: &'a [Value], name: &str) -> Option<&'a Value> {
    checks.iter().find(|check| check["name"] == name)
}

fn word(check: &Value, name: &str) -> String {
    check[name].as_str().unwrap_or_default().to_owned()
}

fn means(checks: &[Value]) -> Option<&str> {
    named(checks, "kernel programs")?["found"]
        .as_str()?
        .strip_prefix("loaded; function probes on ")
}

/// Whether a kernel has uprobe multi links.
pub(super) fn has_links(release: &str) -> bool {
    version(release) >= (6, 6)
}

fn version(release: &str) -> (u32, u32) {
    let mut numbers = release
        .split(|c: char| !c.is_ascii_digit())
        .map(|word| word.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn kernel(release: &str) -> Kernel {
        Kernel {
            series: "x".to_owned(),
            release: release.to_owned(),
            image: PathBuf::new(),
            modules: Vec::new(),
        }
    }

    fn setup(probes: &'static str) -> Setup {
        Setup {
            host: "h".to_owned(),
            store_port: 1,
            password: String::new(),
            function_probes: probes,
            doctor: true,
        }
    }

    fn said(means: &str) -> Said {
        let doctor = json!({"checks": [
            {"name": "kernel programs", "state": "ok", "found": format!("loaded; function probes on {means}")},
            {"name": "hook socket_send", "state": "ok", "found": ""},
            {"name": "hook socket_receive", "state": "warning", "found": "gone", "advice": "without it less"},
        ]});
        let call = json!({"id": "c-1", "usage": {"prompt_tokens": 3, "completion_tokens": 5}});
        let sections = [
            ("doctor", doctor.to_string()),
            (
                "enforcement",
                json!({"checks": [{"name": "kernel programs", "state": "ok"}]}).to_string(),
            ),
            ("tls_call", call.to_string()),
            ("plain_call", call.to_string()),
            ("metrics", String::new()),
            ("log", String::new()),
        ];
        let mut lines = vec!["@@ up".to_owned()];
        for (name, text) in sections {
            // The text ends without a line break, as curl's does.
            lines.extend([format!("@@ begin {name}"), format!("{text}@@ end {name} 0")]);
        }
        lines.push("@@ off".to_owned());
        Said {
            lines,
            times: Vec::new(),
            boot: Some(Duration::from_secs(1)),
            life: Duration::from_secs(2),
            ended: true,
        }
    }

    fn rows() -> Rows {
        let call = |address: &str, stack: &str| {
            json!({"server_address": address, "tls_stack": stack, "tie": "in_call", "gen_ai_provider_name": "openai", "gen_ai_request_model": MODEL,
                "gen_ai_response_id": "c-1", "gen_ai_usage_input_tokens": 3, "gen_ai_usage_output_tokens": 5, "visibility": "decoded"})
        };
        let seal = |kind: &str| {
            json!({"seal_kind": kind, "selftest": "ok", "events_lost_ring": 0, "books_stage": ["kernel"], "books_seen": [9],
                "books_delivered": [8], "books_lost": [0], "books_held": [1]})
        };
        Rows {
            interactions: vec![call("api.openai.com", "openssl"), call("127.0.0.1", "none")],
            connections: vec![
                json!({"server_port": 4443, "visibility": "decoded", "bytes_sent": 9, "bytes_received": 9}),
            ],
            seals: vec![seal("open"), seal("close")],
        }
    }

    #[test]
    fn a_good_run_has_no_faults_and_says_what_is_missing() {
        let outcome = judge(
            &kernel("5.10.0-46"),
            &setup("auto"),
            &said("perf events"),
            &rows(),
        );
        assert_eq!(outcome.faults, Vec::<String>::new());
        assert_eq!(outcome.not_read, ["without it less"]);
        assert_eq!(outcome.means, "perf events");
        assert_eq!(outcome.read.len(), 5, "{:?}", outcome.read);
    }

    #[test]
    fn a_kernel_that_can_do_better_has_to() {
        let outcome = judge(&kernel("6.12.1"), &setup("auto"), &said("perf events"), &rows());
        assert_eq!(
            outcome.faults,
            ["function probes on perf events, expected on uprobe multi links"]
        );
        let asked = judge(
            &kernel("6.12.1"),
            &setup("perf_events"),
            &said("perf events"),
            &rows(),
        );
        assert_eq!(asked.faults, Vec::<String>::new());
    }

    #[test]
    fn without_the_doctor_calls_and_log_are_judged() {
        let fast = Setup {
            doctor: false,
            ..setup("auto")
        };
        let mut heard = said("perf events");
        heard
            .lines
            .retain(|line| !line.contains("doctor") && !line.contains("enforcement"));
        let outcome = judge(&kernel("6.12.1"), &fast, &heard, &rows());
        assert_eq!(outcome.faults, Vec::<String>::new());
        // Before Linux 6.3 nobody can see the call without TLS.
        let mut older = rows();
        older.interactions.pop();
        assert_eq!(
            judge(&kernel("6.1.0"), &fast, &heard, &older).faults,
            Vec::<String>::new()
        );
        assert_eq!(judge(&kernel("6.12.1"), &fast, &heard, &older).faults.len(), 1);
        let refusal = "@@ begin log\nthe kernel refused a program\n@@ end log 0";
        heard.lines.extend(refusal.lines().map(str::to_owned));
        assert_eq!(judge(&kernel("6.1.0"), &fast, &heard, &older).faults.len(), 1);
    }

    #[test]
    fn whatever_is_not_right_is_a_fault() {
        let faults =
            |said: &Said, rows: &Rows| judge(&kernel("6.1.0"), &setup("auto"), said, rows).faults.len();
        let good = said("perf events");
        let mut wrong = rows();
        wrong.interactions[0]["gen_ai_usage_output_tokens"] = json!(4);
        assert_eq!(faults(&good, &wrong), 1);
        let mut twice = rows();
        twice.interactions.push(twice.interactions[0].clone());
        assert_eq!(faults(&good, &twice), 1);
        let mut unbalanced = rows();
        unbalanced.seals[0]["books_delivered"] = json!([9]);
        assert_eq!(faults(&good, &unbalanced), 1);
        let mut open = rows();
        open.seals.pop();
        assert_eq!(faults(&good, &open), 1);
        let mut bytes = rows();
        bytes.connections[0]["bytes_sent"] = Value::Null;
        assert_eq!(faults(&good, &bytes), 1);
        assert!(faults(&good, &Rows::default()) >= 4);
        let mut cut = said("perf events");
        cut.lines.truncate(5);
        cut.ended = false;
        assert!(faults(&cut, &rows()) >= 4);
    }
}
