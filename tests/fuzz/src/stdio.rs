//! MCP over standard input and output: both directions of one server.

use std::sync::{Arc, LazyLock};

use observer::{
    catalog::Catalog,
    dialect::StdioReader,
    exchange::Exchange,
    protocol::Side,
};

use crate::{
    connection::Hooks,
    input::{Input, pieces},
};

static CATALOG: LazyLock<Arc<Catalog>> = LazyLock::new(|| Arc::new(Catalog::builtin()));

/// Messages that a script puts in whole or in part.
pub const MESSAGES: &[&str] = &[
    "{\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"2025-06-18\",\"clientInfo\":{\"name\":\"c\"}},\"jsonrpc\":\"2.0\",\"id\":0}\n",
    "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{\"protocolVersion\":\"2025-06-18\",\"serverInfo\":{\"name\":\"s\",\"version\":\"1\"}}}\n",
    "{\"method\":\"tools/call\",\"params\":{\"name\":\"t\",\"arguments\":{\"a\":[1,\"\\\"\"]}},\"jsonrpc\":\"2.0\",\"id\":1}\n",
    "{\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"r\"}]},\"jsonrpc\":\"2.0\",\"id\":1}\n",
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"sampling/createMessage\",\"params\":{}}\n",
    "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n",
    "[{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"ping\"},{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":1}}]\n",
    "[INFO] listening\n",
];

/// What a script does.
enum Step<'a> {
    Push(Side, &'a [u8]),
    Gap(Side),
}

/// First byte: how pushes are cut the second time. Then steps: a byte that says what and where, and bytes for it.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let seed = input.byte();
    let mut steps = Vec::new();
    while !input.is_empty() {
        let op = input.byte();
        let side = if op & 1 == 0 { Side::Request } else { Side::Response };
        steps.push(match (op >> 1) % 4 {
            0 => Step::Push(side, input.bytes(usize::from(op >> 3))),
            1 => Step::Gap(side),
            _ => {
                let message = MESSAGES[usize::from(op >> 3) % MESSAGES.len()].as_bytes();
                let to = if op & 0x80 == 0 { message.len() } else { input.short().min(message.len()) };
                Step::Push(side, &message[..to])
            }
        });
    }
    let whole = read(&steps, |bytes| vec![bytes]);
    let cut = read(&steps, |bytes| pieces(bytes, seed));
    assert!(whole == cut, "another cut gives other exchanges");
}

fn read<'a>(steps: &[Step<'a>], cut: impl Fn(&'a [u8]) -> Vec<&'a [u8]>) -> (Vec<(u64, Exchange)>, u64) {
    let (mut reader, mut hooks) = (StdioReader::new(Arc::clone(&CATALOG)), Hooks::default());
    for (now, step) in (1..).zip(steps) {
        match step {
            Step::Push(side, bytes) => {
                for piece in cut(bytes) {
                    reader.push(*side, piece, now, &mut hooks);
                    let _ = reader.scope();
                }
            }
            Step::Gap(side) => reader.gap(*side, now, &mut hooks),
        }
    }
    reader.close(steps.len() as u64 + 1, &mut hooks);
    (hooks.finished, hooks.lost)
}
