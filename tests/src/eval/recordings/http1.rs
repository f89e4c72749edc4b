//! A call as HTTP/1.1 (RFC 9112).

use anyhow::Result;

use super::coding::coded;
use super::connection::{Direction, Turn};
use super::recording::{Message, Recording};
use crate::random::Random;

/// The turns of a call on a connection.
///
/// # Errors
/// As [`coded`].
pub(super) fn turns(call: usize, recording: &Recording, random: &mut Random) -> Result<Vec<Turn>> {
    let line = format!(
        "{} {} HTTP/1.1\r\nHost: {}\r\n",
        recording.method, recording.target, recording.authority
    );
    let asks = !matches!(recording.method.as_str(), "GET" | "HEAD" | "DELETE");
    let request = message(&line, &recording.request, asks, random)?;
    let status = format!("HTTP/1.1 {} \r\n", recording.status);
    // What has no body by its status has no length either (RFC 9110 section 8.6).
    let answers = !matches!(recording.status, 204 | 304) && recording.method != "HEAD";
    let response = message(&status, &recording.response, answers, random)?;
    Ok(vec![
        Turn {
            direction: Direction::Sent,
            begins: Some(call),
            bytes: request,
        },
        Turn {
            direction: Direction::Received,
            begins: None,
            bytes: response,
        },
    ])
}

/// `framed`: a message without content states its length, too.
fn message(line: &str, message: &Message, framed: bool, random: &mut Random) -> Result<Vec<u8>> {
    let mut out = line.as_bytes().to_vec();
    for (name, value) in &message.headers {
        out.extend(format!("{name}: {value}\r\n").bytes());
    }
    let (body, coding) = coded(&message.body, message.coding.as_deref())?;
    if body.is_empty() && !framed {
        out.extend(b"\r\n");
        return Ok(out);
    }
    if let Some(coding) = coding {
        out.extend(format!("Content-Encoding: {coding}\r\n").bytes());
    }
    if message.chunked {
        out.extend(b"Transfer-Encoding: chunked\r\n\r\n");
        for chunk in random.cut(&body, 2_000) {
            let extension = if random.one_in(20) { ";x=1" } else { "" };
            out.extend(format!("{:x}{extension}\r\n", chunk.len()).bytes());
            out.extend_from_slice(chunk);
            out.extend(b"\r\n");
        }
        out.extend(b"0\r\n\r\n");
    } else {
        out.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes());
        out.extend(body);
    }
    Ok(out)
}
