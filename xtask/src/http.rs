//! The two HTTP requests that the demo makes, without a dependency: HTTP/1.0, so that the answer ends with the
//! connection and is never chunked.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Status and body of a GET.
pub(crate) fn get(address: SocketAddr, path: &str) -> Result<(u16, Vec<u8>)> {
    exchange(
        address,
        &format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n"),
        "",
    )
}

/// Rows of a query, over ClickHouse's HTTP interface. Numbers come as numbers, whatever their width.
pub(crate) fn query(address: SocketAddr, sql: &str) -> Result<Vec<Value>> {
    query_as(address, "", sql)
}

/// As [`query`], of a store with a password.
pub(crate) fn query_as(address: SocketAddr, password: &str, sql: &str) -> Result<Vec<Value>> {
    let settings = "output_format_json_quote_64bit_integers=0";
    let head = format!(
        "POST /?default_format=JSONEachRow&{settings} HTTP/1.0\r\nHost: {address}\r\nX-ClickHouse-Key: {password}\r\nContent-Length: {}\r\n\r\n",
        sql.len()
    );
    let (status, body) = exchange(address, &head, sql)?;
    let text = String::from_utf8_lossy(&body);
    if status != 200 {
        bail!(
            "the store answered {status}: {}",
            text.lines().next().unwrap_or_default()
        );
    }
    text.lines()
        .map(|line| serde_json::from_str(line).context("the store's answer is not JSON"))
        .collect()
}

/// All columns of a table under their names; digests, which are raw bytes, as hexadecimal text.
pub(crate) fn table(address: SocketAddr, database: &str, table: &str, order: &str) -> Result<Vec<Value>> {
    let columns = query(
        address,
        &format!(
            "SELECT name, type FROM system.columns WHERE database = '{database}' AND table = '{table}' ORDER BY position"
        ),
    )?;
    let list: Vec<String> = columns.iter().map(readable).collect();
    query(
        address,
        &format!(
            "SELECT {} FROM {database}.{table} ORDER BY {order}",
            list.join(", ")
        ),
    )
}

fn readable(column: &Value) -> String {
    let name = column["name"].as_str().unwrap_or_default();
    let kind = column["type"].as_str().unwrap_or_default();
    if kind.starts_with("FixedString") {
        format!("lower(hex({name})) AS {name}")
    } else if kind.starts_with("Array(FixedString") {
        format!("arrayMap(value -> lower(hex(value)), {name}) AS {name}")
    } else {
        name.to_owned()
    }
}

fn exchange(address: SocketAddr, head: &str, body: &str) -> Result<(u16, Vec<u8>)> {
    let mut stream =
        TcpStream::connect_timeout(&address, TIMEOUT).with_context(|| format!("cannot reach {address}"))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    let mut answer = Vec::new();
    stream
        .read_to_end(&mut answer)
        .with_context(|| format!("{address} did not answer"))?;
    parse(&answer).with_context(|| format!("{address} did not answer in HTTP"))
}

fn parse(answer: &[u8]) -> Option<(u16, Vec<u8>)> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer[end + 4..].to_vec()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn status_and_body_are_found() {
        let parsed = parse(b"HTTP/1.0 404 Not Found\r\ncontent-length: 2\r\n\r\nno");
        assert_eq!(parsed, Some((404, b"no".to_vec())));
    }

    #[test]
    fn what_is_not_http_is_refused() {
        assert_eq!(parse(b""), None);
        assert_eq!(parse(b"SSH-2.0-x\r\n\r\n"), None);
        assert_eq!(parse(b"HTTP/1.0 200 OK\r\n"), None);
    }

    #[test]
    fn digests_are_read_as_hexadecimal() {
        assert_eq!(readable(&json!({"name": "a", "type": "UInt64"})), "a");
        assert_eq!(
            readable(&json!({"name": "h", "type": "FixedString(32)"})),
            "lower(hex(h)) AS h"
        );
        assert!(readable(&json!({"name": "v", "type": "Array(FixedString(16))"})).ends_with(" AS v"));
    }
}
