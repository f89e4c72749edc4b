use super::envelope::MAX_ID;
use super::*;

/// Messages with how they ended, and skipped bytes (of lines, behind holes).
type Seen = (Vec<(Vec<u8>, u64, Option<Incomplete>)>, [u64; 2]);

/// `None` among the pieces is a hole.
fn seen(pieces: &[Option<&[u8]>]) -> Seen {
    let mut decoder = Messages::default();
    let (mut all, mut skipped, mut open) = (Vec::new(), [0; 2], None);
    let mut out = |event: Event<'_>| match event {
        Event::Begin => assert!(open.replace(Vec::new()).is_none()),
        Event::Data(data) => open.as_mut().expect("a message").extend_from_slice(data),
        Event::End { bytes, incomplete } => {
            let text = open.take().expect("a message");
            assert_eq!(text.len() as u64, bytes);
            all.push((text, bytes, incomplete));
        }
        Event::Skipped { bytes, behind_hole } => skipped[usize::from(behind_hole)] += bytes,
    };
    for piece in pieces {
        match piece {
            Some(data) => decoder.push(data, &mut out),
            None => decoder.gap(&mut out),
        }
    }
    decoder.close(&mut out);
    (all, skipped)
}

fn texts(seen: &Seen) -> Vec<&str> {
    seen.0
        .iter()
        .map(|(text, ..)| std::str::from_utf8(text).expect("text"))
        .collect()
}

const TALK: &[u8] = b"Server running on stdio\n{\"a\":\"}\\\"{\",\"b\":[{}]}\r\n[{\"c\":1},{\"d\":2}]\n\n[INFO] ready\n {\"e\":\"\xc3\xbc\\\\\"}\n";

#[test]
fn every_split_gives_the_same_messages() {
    let whole = seen(&[Some(TALK)]);
    assert_eq!(
        texts(&whole),
        [
            "{\"a\":\"}\\\"{\",\"b\":[{}]}",
            "{\"c\":1}",
            "{\"d\":2}",
            "{\"e\":\"\u{fc}\\\\\"}"
        ]
    );
    assert!(whole.0.iter().all(|(.., incomplete)| incomplete.is_none()));
    assert_eq!(
        whole.1,
        [("Server running on stdio".len() + "INFO] ready".len()) as u64, 0]
    );
    for at in 0..TALK.len() {
        let (front, back) = TALK.split_at(at);
        assert_eq!(seen(&[Some(front), Some(back)]), whole, "split at {at}");
    }
    let bytes: Vec<_> = TALK.chunks(1).map(Some).collect();
    assert_eq!(seen(&bytes), whole);
}

#[test]
fn a_line_ends_a_message_that_is_not_whole() {
    let cut = seen(&[Some(b"{\"a\":\"b\\\n{\"c\":{\n{\"d\":1}\n{\"e\"")]);
    assert_eq!(texts(&cut), ["{\"a\":\"b\\", "{\"c\":{", "{\"d\":1}", "{\"e\""]);
    let ends: Vec<_> = cut.0.iter().map(|(.., incomplete)| *incomplete).collect();
    let (bad, closed) = (Some(Incomplete::Malformed), Some(Incomplete::Closed));
    assert_eq!(ends, [bad, bad, None, closed]);
}

#[test]
fn behind_a_hole_the_next_line_counts() {
    let holed = seen(&[Some(b"{\"a\":"), None, Some(b"1}{\"b\":2}\n{\"c\":3}\n"), None]);
    assert_eq!(texts(&holed), ["{\"a\":", "{\"c\":3}"]);
    assert_eq!(holed.0[0].2, Some(Incomplete::Gap));
    assert_eq!(holed.1, [0, "1}{\"b\":2}".len() as u64]);
}

fn envelope(text: &str) -> Envelope {
    let mut envelope = Envelope::default();
    text.as_bytes().chunks(3).for_each(|piece| envelope.push(piece));
    envelope
}

#[test]
fn envelopes_tell_requests_notifications_and_answers() {
    let request =
        envelope(r#"{"method":"tools/call","params":{"id":9,"jsonrpc":"1.0"},"jsonrpc":"2.0","id":1}"#);
    assert!(request.is_rpc() && request.kind() == Kind::Request);
    let answer = envelope(r#"{"jsonrpc":"2.0","id":1,"result":{"method":"x"}}"#);
    assert!(answer.is_rpc() && answer.kind() == Kind::Answer);
    assert!(request.id().is_some() && request.id() == answer.id());
    let text = envelope(r#"{"jsonrpc":"2.0","id":"1","error":null}"#);
    assert!(text.id() != answer.id(), "a string is no number");
    let notification = envelope(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    assert!(notification.id().is_none() && notification.kind() == Kind::Request);
    let other = envelope(r#"{"level":"info","id":null,"jsonrpc":"1.0"}"#);
    assert!(!other.is_rpc() && other.id().is_none() && other.kind() == Kind::Unknown);
}

#[test]
fn an_identifier_beyond_its_budget_is_none() {
    let of = |len: usize| envelope(&format!(r#"{{"id":"{}"}}"#, "a".repeat(len)));
    assert!(of(MAX_ID).id().is_some());
    assert!(of(MAX_ID + 1).id().is_none());
}
