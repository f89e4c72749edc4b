//! Reads a recording: lines in, steps in their order out, or all wrong lines with their numbers. Pure.

use std::{collections::HashMap, net::SocketAddr};

use serde_json::{Map, Value};

use super::{Framing, fields::Fields, http};
use crate::flow::Direction;

/// Most wrong lines named.
const MAX_PROBLEMS: usize = 100;

/// One step of a recording.
pub(super) struct Step {
    /// When, milliseconds after the beginning.
    pub at_ms: u64,
    /// Number of the flow in the recording.
    pub flow: u64,
    /// What happens.
    pub event: Event,
}

/// What happens on a flow. Holds clear text, so it has no `Debug`.
pub(super) enum Event {
    /// A process opens a connection.
    Open(Box<Open>),
    /// Plaintext.
    Data(Direction, Vec<u8>),
    /// So many bytes pass that nobody sees.
    Gap(Direction, u64),
    /// The connection ends.
    End,
}

/// Who opens a connection to whom.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Open {
    /// Process id.
    pub pid: u32,
    /// Parent; 0 when not known.
    pub parent_pid: u32,
    /// Start of the process, ns after boot.
    pub start_ns: u64,
    /// User id.
    pub uid: u32,
    /// User who logged in, where known.
    pub login_uid: Option<u32>,
    /// Name of the user; may be empty.
    pub user: String,
    /// Command name.
    pub comm: String,
    /// Path of the executable; may be empty.
    pub executable: String,
    /// Names of the ancestors.
    pub ancestry: Vec<String>,
    /// Container; may be empty.
    pub container_id: String,
    /// Name in the TLS handshake.
    pub server_name: Option<String>,
    /// Peer of the socket, where known.
    pub peer: Option<SocketAddr>,
}

/// A line number and what is wrong there.
pub(super) type Problem = (usize, String);

const LINE_KEYS: [&str; 11] = [
    "flow",
    "at_ms",
    "process",
    "server_name",
    "peer",
    "sent",
    "received",
    "sent_base64",
    "received_base64",
    "gap",
    "end",
];

const PROCESS_KEYS: [&str; 10] = [
    "pid",
    "uid",
    "comm",
    "executable",
    "start_ns",
    "parent_pid",
    "user",
    "login_uid",
    "ancestry",
    "container_id",
];

/// Reads all lines; empty ones and those that begin with `#` say nothing.
///
/// # Errors
/// All wrong lines, at most [`MAX_PROBLEMS`].
pub(super) fn parse(text: &[u8], framing: Framing) -> Result<Vec<Step>, Vec<Problem>> {
    let mut reader = Reader {
        framing,
        ..Reader::default()
    };
    for (number, line) in (1..).zip(text.split(|b| *b == b'\n')) {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        reader.line(number, line);
        if reader.problems.len() >= MAX_PROBLEMS {
            reader
                .problems
                .push((number, "more wrong lines than are named".to_owned()));
            break;
        }
    }
    if reader.problems.is_empty() {
        Ok(reader.steps)
    } else {
        Err(reader.problems)
    }
}

#[derive(Default)]
struct Reader {
    steps: Vec<Step>,
    problems: Vec<Problem>,
    now_ms: u64,
    /// Flows seen, and whether they are open.
    open: HashMap<u64, bool>,
    /// Number for the next whole call; counts down so as not to meet the numbers of a person.
    calls: u64,
    framing: Framing,
}

impl Reader {
    fn line(&mut self, number: usize, line: &[u8]) {
        let result = match serde_json::from_slice::<Value>(line) {
            Ok(Value::Object(map)) if map.contains_key("method") && !map.contains_key("flow") => {
                self.call(&map)
            }
            Ok(Value::Object(map)) => self.step(&map),
            Ok(_) => Err(vec!["not a JSON object".to_owned()]),
            // The parser's own message can quote the text.
            Err(error) => Err(vec![format!("not valid JSON at column {}", error.column())]),
        };
        if let Err(messages) = result {
            self.problems
                .extend(messages.into_iter().map(|message| (number, message)));
        }
    }

    /// A whole call is a flow of its own.
    fn call(&mut self, map: &Map<String, Value>) -> Result<(), Vec<String>> {
        let call = http::read(map, self.framing, self.calls)?;
        let flow = u64::MAX - self.calls;
        self.calls += 1;
        let events = [
            Event::Open(Box::new(call.open)),
            Event::Data(Direction::Sent, call.request),
            Event::Data(Direction::Received, call.response),
            Event::End,
        ];
        let at_ms = self.now_ms;
        self.steps
            .extend(events.into_iter().map(|event| Step { at_ms, flow, event }));
        Ok(())
    }

    fn step(&mut self, map: &Map<String, Value>) -> Result<(), Vec<String>> {
        let mut fields = Fields::new(map, "", Some(&LINE_KEYS));
        let flow: u64 = fields.required_number("flow");
        let at_ms = fields.number("at_ms").unwrap_or(self.now_ms);
        if at_ms < self.now_ms {
            fields.problems.push(format!(
                "`at_ms` goes back: the line before is at {}",
                self.now_ms
            ));
        }
        self.now_ms = self.now_ms.max(at_ms);
        let event = event(&mut fields);
        let is_open = self.open.get(&flow).copied();
        match (&event, is_open) {
            (Some(Event::Open(_)), Some(true)) => {
                fields.problems.push(format!("flow {flow} is open already"));
            }
            (Some(Event::Open(_)), _) | (_, Some(true)) | (None, _) => {}
            (Some(_), Some(false)) => fields.problems.push(format!("flow {flow} has ended")),
            (Some(_), None) => fields
                .problems
                .push(format!("flow {flow} was not opened by a line with `process`")),
        }
        // A flow whose line is wrong counts as open: its other lines are not to blame.
        self.open.insert(flow, !matches!(event, Some(Event::End)));
        match event {
            Some(event) if fields.problems.is_empty() => {
                self.steps.push(Step { at_ms, flow, event });
                Ok(())
            }
            _ => Err(fields.problems),
        }
    }
}

/// The one thing that a line says. `None` with a problem when it is none or several.
fn event(fields: &mut Fields<'_>) -> Option<Event> {
    const SAYS: [&str; 7] = [
        "process",
        "sent",
        "received",
        "sent_base64",
        "received_base64",
        "gap",
        "end",
    ];
    let said: Vec<&str> = SAYS.into_iter().filter(|key| fields.get(key).is_some()).collect();
    let [key] = said[..] else {
        fields.problems.push(format!(
            "needs one of {}, and has {}",
            SAYS.join(", "),
            said.len()
        ));
        return None;
    };
    if key != "process" && (fields.get("server_name").is_some() || fields.get("peer").is_some()) {
        fields
            .problems
            .push("`server_name` and `peer` stand beside `process`".to_owned());
    }
    match key {
        "process" => open(fields).map(|open| Event::Open(Box::new(open))),
        "gap" => gap(fields),
        "end" if fields.flag("end") => Some(Event::End),
        "end" => {
            fields.problems.push("`end` must be true".to_owned());
            None
        }
        _ => {
            let direction = if key.starts_with("sent") {
                Direction::Sent
            } else {
                Direction::Received
            };
            fields
                .bytes(key, key.ends_with("base64"))
                .map(|bytes| Event::Data(direction, bytes))
        }
    }
}

fn gap(fields: &mut Fields<'_>) -> Option<Event> {
    let mut inner = Fields::new(fields.object("gap")?, "gap.", Some(&["direction", "bytes"]));
    let direction = match inner.text("direction") {
        Some("sent") => Direction::Sent,
        Some("received") => Direction::Received,
        _ => {
            inner
                .problems
                .push("`gap.direction` must be sent or received".to_owned());
            Direction::Sent
        }
    };
    // Offsets are 64 bit wide; a sum of such gaps stays far below.
    let bytes: u32 = inner.required_number("bytes");
    let event = inner
        .problems
        .is_empty()
        .then_some(Event::Gap(direction, bytes.into()));
    fields.problems.append(&mut inner.problems);
    event
}

fn open(fields: &mut Fields<'_>) -> Option<Open> {
    let mut process = Fields::new(fields.object("process")?, "process.", Some(&PROCESS_KEYS));
    let owned = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let open = Open {
        pid: process.required_number("pid"),
        parent_pid: process.number("parent_pid").unwrap_or(0),
        start_ns: process.number("start_ns").unwrap_or(1),
        uid: process.required_number("uid"),
        login_uid: process.number("login_uid"),
        user: owned(process.text("user")),
        comm: owned(process.text("comm")),
        executable: owned(process.text("executable")),
        ancestry: process.texts("ancestry"),
        container_id: owned(process.text("container_id")),
        server_name: fields.text("server_name").map(str::to_owned),
        peer: None,
    };
    fields.problems.append(&mut process.problems);
    let peer = fields.text("peer").map(str::parse);
    if matches!(peer, Some(Err(_))) {
        fields
            .problems
            .push("`peer` must be an address with a port, such as 192.0.2.1:443".to_owned());
    }
    Some(Open {
        peer: peer.and_then(Result::ok),
        ..open
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<Problem> {
        parse(text.as_bytes(), Framing::Http1).err().unwrap_or_default()
    }

    const OPEN: &str =
        r#"{"flow": 1, "process": {"pid": 10, "uid": 0, "comm": "curl"}, "server_name": "h.example"}"#;

    #[test]
    fn lines_become_steps_in_their_order() {
        let text = format!(
            "# a comment\n{OPEN}\n\n{}\n{}\n{}\n{}\n{OPEN}\n",
            r#"{"flow": 1, "at_ms": 5, "sent": "GET"}"#,
            r#"{"flow": 1, "received_base64": "AAE="}"#,
            r#"{"flow": 1, "gap": {"direction": "received", "bytes": 10}}"#,
            r#"{"flow": 1, "at_ms": 7, "end": true}"#,
        );
        let steps = parse(text.as_bytes(), Framing::Http1)
            .map_err(|p| p[0].clone())
            .unwrap();
        let times: Vec<u64> = steps.iter().map(|s| s.at_ms).collect();
        assert_eq!(times, [0, 5, 5, 5, 7, 7]);
        assert!(matches!(&steps[0].event, Event::Open(o) if o.pid == 10 && o.login_uid.is_none()));
        assert!(matches!(&steps[1].event, Event::Data(Direction::Sent, b) if b == b"GET"));
        assert!(matches!(&steps[2].event, Event::Data(Direction::Received, b) if b == &[0, 1]));
        assert!(matches!(steps[3].event, Event::Gap(Direction::Received, 10)));
        assert!(matches!(steps[4].event, Event::End));
    }

    #[test]
    fn all_wrong_lines_are_named() {
        let text = format!(
            "{OPEN}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n",
            "{not json",
            r#"{"flow": 2, "sent": "x"}"#,
            r#"{"flow": 1, "sent": "x", "received": "y"}"#,
            r#"{"flow": 1, "at_ms": 9, "gap": {"direction": "up"}}"#,
            r#"{"flow": 1, "at_ms": 3, "end": true, "colour": 1}"#,
            r#"{"flow": 1, "sent": "x"}"#,
            r#"["flow"]"#,
        );
        let found = problems(&text);
        let lines: Vec<usize> = found.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [2, 3, 4, 5, 5, 6, 6, 7, 8], "{found:?}");
    }

    #[test]
    fn clear_text_is_in_no_message() {
        let line = r#"{"flow": "hidden", "process": {"pid": "hidden", "uid": []}, "peer": "hidden"}"#;
        let found = problems(&format!("{line}\n{{\"sent\": \"hidden\" hidden}}\n"));
        assert!(found.len() >= 5, "{found:?}");
        assert!(!format!("{found:?}").contains("hidden"), "{found:?}");
    }

    #[test]
    fn a_file_of_something_else_is_not_repeated_line_by_line() {
        let found = problems(&"nonsense\n".repeat(5000));
        assert_eq!(found.len(), MAX_PROBLEMS + 1);
    }
}
