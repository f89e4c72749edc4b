//! Writes records as the kernel would, for the tests of the pipeline (this file is also part of `tests/properties.rs`).

use std::sync::{Arc, LazyLock};

use super::imports::*;

/// CLOCK_BOOTTIME at which tests begin, ns.
pub(crate) const START_NS: u64 = 5_000_000_000;
/// Wall clock minus CLOCK_BOOTTIME, ns.
pub(crate) const WALL_OFFSET_NS: i64 = 1_700_000_000_000_000_000;
/// Longer than a connection waits for its last plaintext, ns.
pub(crate) const GRACE_NS: u64 = 500_000_000;

const POLICY: &str = "id: lab\nversion: \"7\"\ndefault: unsanctioned\nrules:\n  - id: alice-openai\n    verdict: sanctioned\n    provider: [openai]\n    user: [alice]\n";

static RULES: LazyLock<Rules> = LazyLock::new(|| Rules::builtin().expect("built-in rules"));
static CATALOG: LazyLock<Arc<Catalog>> = LazyLock::new(|| Arc::new(Catalog::builtin()));

/// A pipeline with what came out of it.
pub(crate) struct Bed {
    pub(crate) pipeline: Pipeline,
    pub(crate) now_ns: u64,
    pub(crate) outputs: Vec<Output>,
}

/// A TLS flow of a process, as the kernel numbers it.
#[derive(Clone)]
pub(crate) struct TestFlow {
    pub(crate) id: u64,
    pub(crate) handle: u64,
    pub(crate) connection_id: u64,
    pub(crate) process: Arc<Identity>,
    pub(crate) class: u32,
    pub(crate) tie: u8,
    pub(crate) stack: u8,
    /// Next offset, by direction.
    pub(crate) offset: [u64; 2],
}

/// A process of `alice` with this id.
pub(crate) fn process(pid: u32) -> Arc<Identity> {
    Arc::new(Identity {
        key: ProcessKey {
            pid,
            start_ns: u64::from(pid) * 1_000_000,
        },
        parent_pid: 11,
        comm: "client".to_owned(),
        executable: "/usr/bin/client".to_owned(),
        uid: 1000,
        login_uid: 1001,
        user: "alice".to_owned(),
        ancestry: ["bash", "sshd"]
            .map(|comm| Ancestor {
                pid: 1,
                start_ticks: 1,
                comm: comm.to_owned(),
            })
            .to_vec(),
        container_id: "c0ffee".to_owned(),
        ..Identity::default()
    })
}

/// A flow with this number, on the connection with the same number.
pub(crate) fn flow(id: u64, process: &Arc<Identity>) -> TestFlow {
    TestFlow {
        id,
        handle: 0x7f00_0000 + id,
        connection_id: id,
        process: Arc::clone(process),
        class: CLASS_UNDECIDED,
        tie: TIE_IN_CALL,
        stack: STACK_OPENSSL,
        offset: [0; 2],
    }
}

/// The rules that tests judge by.
pub(crate) fn book() -> Rulebook {
    Rulebook {
        catalog: Arc::clone(&CATALOG),
        judge: Arc::new(Judge {
            policy: Policy::parse(POLICY, "policy.yaml").expect("policy"),
            register: None,
        }),
        engine: Engine::new(&RULES).expect("engine"),
        rules_version: RULES.version().to_owned(),
        rules_digest: RULES.digest(),
        key: HmacKey::from_bytes([3; 32]),
        exclude_executables: vec![Glob::new("/opt/secret/*", false).expect("glob")],
        served_calls: true,
        host_name: "lab-1".to_owned(),
    }
}

impl TestFlow {
    pub(crate) fn header(&self, now_ns: u64) -> Header {
        Header {
            kind: 0,
            flags: 0,
            cpu: 0,
            time_ns: now_ns,
            process_start_ns: self.process.key.start_ns,
            flow_id: self.id,
            connection_id: self.connection_id,
            cgroup_id: 1,
            pid: self.process.key.pid,
            tid: self.process.key.pid,
            uid: self.process.uid,
            parent_pid: 0,
            comm: [0; 16],
        }
    }

    fn data(&self, direction: u8, offset: u64, bytes: &[u8]) -> TlsData {
        TlsData {
            handle: self.handle,
            offset,
            call_len: bytes.len() as u64,
            len: u32::try_from(bytes.len()).expect("a record"),
            class: self.class,
            direction,
            tie: self.tie,
            stack: self.stack,
            pad: 0,
            took_us: 0,
        }
    }
}

impl Bed {
    pub(crate) fn new() -> Self {
        Self::by(book())
    }

    /// Calls that processes answer are not wanted.
    pub(crate) fn of_clients_only() -> Self {
        Self::by(Rulebook {
            served_calls: false,
            ..book()
        })
    }

    fn by(book: Rulebook) -> Self {
        let mut pipeline = Pipeline::new(book);
        pipeline.set_wall_offset(WALL_OFFSET_NS);
        Self {
            pipeline,
            now_ns: START_NS,
            outputs: Vec::new(),
        }
    }

    pub(crate) fn record(&mut self, flow: &TestFlow, body: &Body<'_>) {
        self.now_ns += 1_000;
        let header = flow.header(self.now_ns);
        self.pipeline.record(&header, body, &flow.process);
        self.collect();
    }

    fn collect(&mut self) {
        self.outputs.extend(self.pipeline.outputs());
    }

    /// A record with these bytes at their offset, in this direction.
    pub(crate) fn piece(&mut self, flow: &TestFlow, direction: u8, offset: u64, bytes: &[u8]) {
        self.record(flow, &Body::TlsData(flow.data(direction, offset, bytes), bytes));
    }

    /// The next bytes that the process sends.
    pub(crate) fn sent(&mut self, flow: &mut TestFlow, bytes: &[u8]) {
        self.piece(flow, DIRECTION_SENT, flow.offset[0], bytes);
        flow.offset[0] += bytes.len() as u64;
    }

    /// As [`Self::sent`], by a call that was entered so long ago.
    pub(crate) fn sent_within(&mut self, flow: &mut TestFlow, bytes: &[u8], took_us: u32) {
        let data = TlsData {
            took_us,
            ..flow.data(DIRECTION_SENT, flow.offset[0], bytes)
        };
        self.record(flow, &Body::TlsData(data, bytes));
        flow.offset[0] += bytes.len() as u64;
    }

    /// The next bytes that the process receives.
    pub(crate) fn received(&mut self, flow: &mut TestFlow, bytes: &[u8]) {
        self.piece(flow, DIRECTION_RECEIVED, flow.offset[1], bytes);
        flow.offset[1] += bytes.len() as u64;
    }

    pub(crate) fn name(&mut self, flow: &TestFlow, name: &str) {
        let body = TlsName {
            handle: flow.handle,
            len: u32::try_from(name.len()).expect("a name"),
            class: flow.class,
        };
        self.record(flow, &Body::TlsName(body, name.as_bytes()));
    }

    /// The handle is freed; the kernel counted what passed.
    pub(crate) fn free(&mut self, flow: &TestFlow) {
        let [sent, received] = flow.offset;
        let body = TlsFree {
            handle: flow.handle,
            sent,
            received,
            class: flow.class,
            tie: flow.tie.into(),
        };
        self.record(flow, &Body::TlsFree(body));
    }

    pub(crate) fn connect(&mut self, flow: &TestFlow) {
        let mut peer_address = [0; 16];
        peer_address[..4].copy_from_slice(&[192, 0, 2, 9]);
        let body = Connect {
            peer_address,
            local_address: [0; 16],
            family: 2,
            peer_port: 443,
            local_port: 0,
            flags: 0,
            fd: 5,
            transport: TRANSPORT_TCP,
            pad: [0; 3],
            socket: 0xffff_8000_0000_0000 + flow.id,
        };
        self.record(flow, &Body::Connect(body));
    }

    pub(crate) fn close(&mut self, flow: &TestFlow, sent: u64, received: u64) {
        self.record(
            flow,
            &Body::Close(Close {
                sent,
                received,
                flags: 1,
                local_port: 40_001,
            }),
        );
    }

    pub(crate) fn tick_after(&mut self, passed_ns: u64) {
        self.now_ns += passed_ns;
        self.pipeline.tick(self.now_ns);
        self.collect();
    }

    pub(crate) fn finish(&mut self) {
        self.pipeline.finish(self.now_ns);
        self.collect();
    }

    /// A whole call on a connection of its own, with both ends seen.
    pub(crate) fn call(&mut self, flow: &mut TestFlow, request: &[u8], response: &[u8]) {
        self.connect(flow);
        self.sent(flow, request);
        self.received(flow, response);
        self.free(flow);
        self.close(flow, flow.offset[0] + 700, flow.offset[1] + 4_000);
        self.tick_after(GRACE_NS);
    }

    pub(crate) fn interactions(&self) -> Vec<&InteractionRow> {
        let all = self.outputs.iter();
        all.filter_map(|output| {
            if let Output::Interaction(row, _) = output {
                Some(&**row)
            } else {
                None
            }
        })
        .collect()
    }

    /// Findings with the interaction that they came with.
    pub(crate) fn findings(&self) -> Vec<(&InteractionRow, &FindingRow)> {
        let mut found = Vec::new();
        for output in &self.outputs {
            if let Output::Interaction(row, findings) = output {
                found.extend(findings.iter().map(|finding| (&**row, finding)));
            }
        }
        found
    }

    pub(crate) fn connections(&self) -> Vec<&ConnectionRow> {
        let all = self.outputs.iter();
        all.filter_map(|output| {
            if let Output::Connection(row) = output {
                Some(&**row)
            } else {
                None
            }
        })
        .collect()
    }

    /// What the kernel was told, as (flow, class).
    pub(crate) fn decisions(&self) -> Vec<(u64, u32)> {
        let told = |output: &Output| {
            if let Output::Decide { flow_id, class } = output {
                Some((*flow_id, *class))
            } else {
                None
            }
        };
        self.outputs.iter().filter_map(told).collect()
    }

    /// Flows whose state the kernel can drop.
    pub(crate) fn forgotten(&self) -> Vec<(u64, FlowKey)> {
        let gone = |output: &Output| {
            if let Output::Forget { flow_id, key } = output {
                Some((*flow_id, *key))
            } else {
                None
            }
        };
        self.outputs.iter().filter_map(gone).collect()
    }

    /// Losses booked for this reason, as (events, bytes).
    pub(crate) fn lost(&mut self, stage: Stage, reason: &str) -> (u64, u64) {
        let mut all = self.pipeline.ledger().iter();
        let found = all.find(|(s, r, _)| *s == stage && *r == reason);
        found.map_or((0, 0), |(_, _, loss)| (loss.events, loss.bytes))
    }
}

/// A POST with a JSON body.
pub(crate) fn post(path: &str, host: &str, body: &str) -> Vec<u8> {
    let (length, token) = (body.len(), bearer());
    format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: lab/1\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// A chat request to OpenAI with this prompt.
pub(crate) fn chat(prompt: &str) -> Vec<u8> {
    let body = format!(r#"{{"model":"gpt-4o","messages":[{{"role":"user","content":"{prompt}"}}]}}"#);
    post("/v1/chat/completions", "api.openai.com", &body)
}

/// Its answer.
pub(crate) fn answer(text: &str) -> Vec<u8> {
    let body = format!(
        r#"{{"id":"chatcmpl-1","object":"chat.completion","model":"gpt-4o-2024","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":12,"completion_tokens":34}}}}"#
    );
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// A made-up AWS access key id, put together at run time: no scanner shall take this file for a leak.
pub(crate) fn secret() -> String {
    ["AKIA", "QX7M", "2NPV", "4KDT", "WZ3H"].concat()
}

/// A made-up API token.
pub(crate) fn bearer() -> String {
    ["sk", "-visibly", "-fake", "-0123456789"].concat()
}
