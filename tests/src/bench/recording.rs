//! Records as the kernel writes them, made in memory: a client with one keep-alive connection to an AI service.

use std::fmt::Write;
use std::ops::Range;

use observer_common::wire::{
    CLASS_AI, COMM_LEN, DIRECTION_RECEIVED, DIRECTION_SENT, Header, KIND_TLS_DATA, KIND_TLS_NAME, MAX_CHUNK,
    STACK_OPENSSL, TIE_IN_CALL, TlsData, TlsName,
};
use serde_json::json;

const HANDLE: u64 = 0x5000;
const FLOW: u64 = 77;
const HOST: &str = "api.openai.com";

/// Records one after the other, as in the ring buffer.
pub(super) struct Recording {
    bytes: Vec<u8>,
    records: Vec<Range<usize>>,
    /// Calls in it.
    pub(super) exchanges: u64,
    /// Plaintext in it, both directions.
    pub(super) plaintext: u64,
    /// Text as it stands decoded in the bodies: what a scan has to look at.
    pub(super) text: Vec<u8>,
    offset: [u64; 2],
    time_ns: u64,
}

impl Recording {
    fn new() -> Self {
        let mut recording = Self {
            bytes: Vec::new(),
            records: Vec::new(),
            exchanges: 0,
            plaintext: 0,
            text: Vec::new(),
            offset: [0; 2],
            time_ns: 1_000_000_000,
        };
        let name = TlsName {
            handle: HANDLE,
            len: HOST.len() as u32,
            class: CLASS_AI,
        };
        let mut body = Vec::new();
        name.write(&mut body);
        body.extend(HOST.as_bytes());
        recording.record(KIND_TLS_NAME, &body);
        recording
    }

    /// Prompts of 1 MiB in records of 16 KiB, answers of a few words.
    pub(super) fn large_prompts(count: usize) -> Self {
        let mut recording = Self::new();
        let prose = prose(1 << 20);
        for _ in 0..count {
            recording.request(&prose, false);
            recording.answer("Yes.");
        }
        recording
    }

    /// Prompts of 2 KiB, answers of half a KiB: the usual call.
    pub(super) fn small_exchanges(count: usize) -> Self {
        let mut recording = Self::new();
        let (question, answer) = (prose(2048), prose(512));
        for _ in 0..count {
            recording.request(&question, false);
            recording.answer(&answer);
        }
        recording
    }

    /// Answers streamed as events of a word each, every event in a TLS record of its own.
    pub(super) fn streamed(count: usize, events: usize) -> Self {
        let mut recording = Self::new();
        let words = prose(events * 8);
        for _ in 0..count {
            recording.request("Tell me a story.", true);
            recording.stream(words.split_inclusive(' ').cycle().take(events));
        }
        recording
    }

    /// The records.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.records.iter().map(|range| &self.bytes[range.clone()])
    }

    /// Number of records.
    pub(super) fn len(&self) -> u64 {
        self.records.len() as u64
    }

    fn request(&mut self, prompt: &str, stream: bool) {
        self.text.extend_from_slice(prompt.as_bytes());
        self.exchanges += 1;
        let body = json!({"model": "gpt-4o-mini", "stream": stream, "messages": [
            {"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": prompt}]})
        .to_string();
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: {HOST}\r\nAccept: application/json\r\nAccept-Encoding: gzip, deflate\r\n\
             Connection: keep-alive\r\nContent-Length: {}\r\nContent-Type: application/json\r\nUser-Agent: OpenAI/Python 2.8.1\r\n\
             Authorization: Bearer {}\r\nX-Stainless-Lang: python\r\nX-Stainless-Package-Version: 2.8.1\r\nX-Stainless-OS: Linux\r\n\
             X-Stainless-Arch: x64\r\nX-Stainless-Runtime: CPython\r\nX-Stainless-Async: false\r\n\r\n",
            body.len(),
            "k".repeat(48)
        );
        self.data(DIRECTION_SENT, head.as_bytes());
        self.data(DIRECTION_SENT, body.as_bytes());
    }

    fn answer(&mut self, text: &str) {
        self.text.extend_from_slice(text.as_bytes());
        let number = self.exchanges;
        let body = json!({"id": format!("chatcmpl-{number}"), "object": "chat.completion", "created": 1_764_000_000, "model": "gpt-4o-mini-2024-07-18",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text, "refusal": null}, "logprobs": null, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 400, "completion_tokens": 90, "total_tokens": 490}, "service_tier": "default", "system_fingerprint": "fp_1"})
        .to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\nDate: Tue, 25 Nov 2025 09:00:00 GMT\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: keep-alive\r\nx-request-id: req_{number}\r\nopenai-processing-ms: 400\r\n\r\n",
            body.len()
        );
        self.data(DIRECTION_RECEIVED, format!("{head}{body}").as_bytes());
    }

    fn stream<'a>(&mut self, words: impl Iterator<Item = &'a str>) {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n";
        self.data(DIRECTION_RECEIVED, head.as_bytes());
        for word in words {
            self.text.extend_from_slice(word.as_bytes());
            let number = self.exchanges;
            let event = json!({"id": format!("chatcmpl-{number}"), "object": "chat.completion.chunk", "created": 1_764_000_000, "model": "gpt-4o-mini-2024-07-18",
                "service_tier": "default", "system_fingerprint": "fp_1", "choices": [{"index": 0, "delta": {"content": word}, "logprobs": null, "finish_reason": null}]});
            self.event(&event.to_string());
        }
        let number = self.exchanges;
        let last = json!({"id": format!("chatcmpl-{number}"), "object": "chat.completion.chunk", "model": "gpt-4o-mini-2024-07-18",
            "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
        self.event(&last.to_string());
        self.event("[DONE]");
        self.data(DIRECTION_RECEIVED, b"0\r\n\r\n");
    }

    fn event(&mut self, data: &str) {
        let event = format!("data: {data}\n\n");
        self.data(
            DIRECTION_RECEIVED,
            format!("{:x}\r\n{event}\r\n", event.len()).as_bytes(),
        );
    }

    /// One call of the TLS library, cut as the kernel programs cut it.
    fn data(&mut self, direction: u8, bytes: &[u8]) {
        self.time_ns += 100_000;
        self.plaintext += bytes.len() as u64;
        let mut left = bytes.len();
        for piece in bytes.chunks(MAX_CHUNK) {
            let offset = &mut self.offset[usize::from(direction)];
            let data = TlsData {
                handle: HANDLE,
                offset: *offset,
                call_len: left as u64,
                len: u32::try_from(piece.len()).unwrap_or(u32::MAX),
                class: CLASS_AI,
                direction,
                tie: TIE_IN_CALL,
                stack: STACK_OPENSSL,
                pad: 0,
                took_us: 0,
            };
            *offset += piece.len() as u64;
            left -= piece.len();
            let mut body = Vec::with_capacity(TlsData::SIZE + piece.len());
            data.write(&mut body);
            body.extend(piece);
            self.record(KIND_TLS_DATA, &body);
        }
    }

    fn record(&mut self, kind: u16, body: &[u8]) {
        let start = self.bytes.len();
        let mut comm = [0; COMM_LEN];
        comm[..6].copy_from_slice(b"python");
        let header = Header {
            kind,
            flags: 0,
            cpu: 0,
            time_ns: self.time_ns,
            process_start_ns: 5_000_000_000,
            flow_id: FLOW,
            connection_id: 0,
            cgroup_id: 1,
            pid: 1234,
            tid: 1234,
            uid: 1000,
            parent_pid: 0,
            comm,
        };
        header.write(&mut self.bytes);
        debug_assert_eq!(self.bytes.len() - start, Header::SIZE);
        self.bytes.extend(body);
        self.records.push(start..self.bytes.len());
    }
}

/// Text of this length, the same every time: sentences and lines of code of common words, with the quotes, line ends
/// and tabs that such text has.
pub(super) fn prose(len: usize) -> String {
    const WORDS: &[&str] = &[
        "the",
        "model",
        "returns",
        "a",
        "value",
        "for",
        "each",
        "request",
        "and",
        "then",
        "we",
        "should",
        "check",
        "whether",
        "server",
        "answer",
        "contains",
        "error",
        "because",
        "deployment",
        "of",
        "version",
        "42",
        "failed",
        "with",
        "status",
        "\"not found\"",
        "in",
        "function",
        "parse_config(path)",
        "let",
        "index",
        "=",
        "0;",
        "user",
        "Anna",
        "wrote",
        "on",
        "2024-05-17",
        "that",
        "token",
        "count",
        "key",
        "is",
        "larger",
        "than",
        "expected",
    ];
    let mut text = String::with_capacity(len + 32);
    let (mut state, mut column) = (88_172_645_463_325_252u64, 0);
    while text.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let word = WORDS[usize::try_from(state % WORDS.len() as u64).unwrap_or(0)];
        // Writing to a String cannot fail.
        let _ = write!(text, "{word} ");
        column += word.len() + 1;
        if column > 70 {
            text.push_str(if state.is_multiple_of(3) { "\n\t" } else { ".\n" });
            column = 0;
        }
    }
    text.truncate(len);
    text
}

#[cfg(test)]
mod tests {
    use observer_common::wire::{Body, decode};

    use super::*;

    #[test]
    fn records_are_what_the_daemon_reads() {
        let recording = Recording::large_prompts(1);
        let mut bytes = 0;
        for record in recording.iter() {
            match decode(record) {
                Ok((header, Body::TlsData(data, payload))) => {
                    assert_eq!((header.flow_id, header.pid), (FLOW, 1234));
                    assert_eq!(data.len as usize, payload.len());
                    bytes += payload.len() as u64;
                }
                Ok((_, Body::TlsName(_, name))) => assert_eq!(name, HOST.as_bytes()),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(bytes, recording.plaintext);
        assert!(bytes > 1 << 20);
    }
}
