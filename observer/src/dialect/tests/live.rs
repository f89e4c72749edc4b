//! Live sessions over a WebSocket: OpenAI realtime and Gemini live.

use super::*;
use crate::protocol::websocket::testing::frame;

const KEY: Option<[u8; 4]> = Some([1, 2, 3, 4]);
const ACCEPTED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";

fn handshake(path: &str, host: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nAuthorization: Bearer k\r\n\r\n")
        .into_bytes()
}

fn texts_of(messages: &[&str], key: Option<[u8; 4]>) -> Vec<u8> {
    messages
        .iter()
        .flat_map(|message| frame(0x81, key, message.as_bytes()))
        .collect()
}

/// A session in which the sides speak in turns.
fn session(handshake: &[u8], turns: &[(Side, Vec<u8>)], piece: usize) -> Hooks {
    let mut sides = vec![(Side::Request, handshake), (Side::Response, ACCEPTED)];
    sides.extend(turns.iter().map(|(side, bytes)| (*side, bytes.as_slice())));
    run(&catalog(), None, &sides, piece)
}

fn realtime() -> Vec<(Side, Vec<u8>)> {
    let audio = "A".repeat(600);
    let heard = format!(r#"{{"type":"input_audio_buffer.append","audio":"{audio}"}}"#);
    let said = format!(
        r#"{{"type":"response.output_audio.delta","output_index":0,"content_index":0,"delta":"{audio}"}}"#
    );
    let done = |id: &str, output: u64| {
        format!(
            r#"{{"type":"response.done","response":{{"object":"realtime.response","id":"{id}","status":"completed","output":[{{"type":"message","content":[{{"type":"output_audio","transcript":"Hello there"}}]}}],"usage":{{"total_tokens":30,"input_tokens":20,"output_tokens":{output},"input_token_details":{{"cached_tokens":4,"text_tokens":5,"audio_tokens":15}},"output_token_details":{{"text_tokens":3,"audio_tokens":7}}}}}}}}"#
        )
    };
    vec![
        (
            Side::Response,
            texts_of(
                &[
                    r#"{"type":"session.created","session":{"id":"sess_1","model":"gpt-realtime-2025","instructions":"default"}}"#,
                ],
                None,
            ),
        ),
        (
            Side::Request,
            texts_of(
                &[
                    r#"{"type":"session.update","session":{"instructions":"Be kind."}}"#,
                    &heard,
                ],
                KEY,
            ),
        ),
        // The server heard the end of a sentence and answers by itself.
        (
            Side::Response,
            texts_of(
                &[
                    r#"{"type":"conversation.item.input_audio_transcription.completed","transcript":"my question"}"#,
                    r#"{"type":"response.created","response":{"object":"realtime.response","id":"resp_1","status":"in_progress"}}"#,
                    &said,
                    r#"{"type":"response.output_audio_transcript.delta","output_index":0,"content_index":0,"delta":"Hello "}"#,
                    r#"{"type":"response.output_audio_transcript.delta","output_index":0,"content_index":0,"delta":"there"}"#,
                    r#"{"type":"response.output_audio_transcript.done","output_index":0,"content_index":0,"transcript":"Hello there"}"#,
                    &done("resp_1", 10),
                ],
                None,
            ),
        ),
        (
            Side::Request,
            texts_of(
                &[
                    r#"{"type":"conversation.item.create","item":{"type":"message","role":"user","content":[{"type":"input_text","text":"and in writing"}]}}"#,
                    r#"{"type":"response.create"}"#,
                ],
                KEY,
            ),
        ),
        (Side::Response, texts_of(&[&done("resp_2", 11)], None)),
        (Side::Request, frame(0x88, KEY, b"")),
        (Side::Response, frame(0x88, None, b"")),
    ]
}

#[test]
fn each_response_of_a_realtime_session_is_an_exchange() {
    let handshake = handshake("/v1/realtime?model=gpt-realtime", "api.openai.com");
    for piece in [1, 7, 100_000] {
        let hooks = session(&handshake, &realtime(), piece);
        assert_eq!(hooks.finished.len(), 2, "{:?} {:?}", hooks.not_ai, hooks.lost);
        for ((number, facts), (id, output)) in hooks.finished.iter().zip([("resp_1", 10), ("resp_2", 11)]) {
            assert_eq!(
                (facts.dialect.name(), facts.provider.as_str(), facts.operation),
                ("openai-realtime", "openai", "chat")
            );
            assert_eq!(facts.request_model.as_deref(), Some("gpt-realtime"));
            assert_eq!(facts.response_model.as_deref(), Some("gpt-realtime-2025"));
            assert_eq!(facts.response_id.as_deref(), Some(id));
            let usage = facts.usage;
            assert_eq!(
                (
                    usage.input_tokens,
                    usage.output_tokens,
                    usage.cache_read_input_tokens
                ),
                (Some(20), Some(output), Some(4))
            );
            assert_eq!(
                (usage.input_audio_tokens, usage.output_audio_tokens),
                (Some(15), Some(7))
            );
            assert_eq!(
                (facts.request_incomplete, facts.response_incomplete),
                (None, None)
            );
            assert!(hooks.texts[number].all_ended());
        }
        let first = &hooks.texts[&hooks.finished[0].0];
        assert_eq!(first.with(TextRole::Prompt), ["my question"]);
        assert_eq!(first.with(TextRole::System), ["Be kind."]);
        assert_eq!(first.with(TextRole::Answer), ["Hello there"]);
        assert!(hooks.finished[0].1.binary_bytes >= 1_200);
        assert_eq!(hooks.finished[0].1.conversation_id.as_deref(), Some("sess_1"));
        let second = &hooks.texts[&hooks.finished[1].0];
        assert_eq!(second.with(TextRole::Prompt), ["and in writing"]);
    }
}

/// A realtime session in which the server says this, as one exchange.
fn told(messages: &[&str], piece: usize) -> (Exchange, Texts) {
    let handshake = handshake("/v1/realtime?model=gpt-realtime", "api.openai.com");
    let turns = [
        (Side::Request, texts_of(&[r#"{"type":"response.create"}"#], KEY)),
        (Side::Response, texts_of(messages, None)),
    ];
    let mut hooks = session(&handshake, &turns, piece);
    assert_eq!(hooks.finished.len(), 1, "{:?}", hooks.not_ai);
    let (number, facts) = hooks.finished.remove(0);
    (facts, hooks.texts.remove(&number).unwrap_or_default())
}

#[test]
fn how_a_realtime_response_came_to_its_end() {
    let done = |status: &str, details: &str| {
        let message = format!(
            r#"{{"type":"response.done","response":{{"object":"realtime.response","id":"r","status":"{status}","status_details":{details}}}}}"#
        );
        let (facts, _) = told(&[&message], 9);
        let reasons: Vec<String> = facts.finish_reasons.into_iter().collect();
        (facts.error_type, facts.error_class, reasons.join(","))
    };
    let failed = r#"{"type":"failed","error":{"type":"server_error","code":"rate_limit_exceeded","message":"Slow down."}}"#;
    assert_eq!(
        done("failed", failed),
        ("server_error".to_owned(), "rate_limited", "failed".to_owned())
    );
    for (status, reason) in [
        ("incomplete", "max_output_tokens"),
        ("cancelled", "turn_detected"),
    ] {
        let details = format!(r#"{{"type":"{status}","reason":"{reason}"}}"#);
        assert_eq!(
            done(status, &details),
            (String::new(), "", reason.to_owned()),
            "{status}"
        );
    }
    assert_eq!(done("completed", "null").2, "completed");
}

#[test]
fn what_the_user_said_is_a_prompt_and_no_call_of_a_tool() {
    let heard = |kind: &str, member: &str, text: &str| {
        format!(
            r#"{{"type":"conversation.item.input_audio_transcription.{kind}","item_id":"i","content_index":0,"{member}":"{text}"}}"#
        )
    };
    let [first, second] = [heard("delta", "delta", "my "), heard("delta", "delta", "words")];
    let (whole, next) = (
        heard("completed", "transcript", "my words"),
        heard("completed", "transcript", "more"),
    );
    let messages = [
        &first[..],
        &second,
        &whole,
        &next,
        r#"{"type":"response.output_item.added","output_index":0,"item":{"type":"function_call","name":"look","arguments":""}}"#,
        r#"{"type":"response.function_call_arguments.delta","output_index":0,"content_index":0,"delta":"{\"a\":1}"}"#,
        r#"{"type":"response.done","response":{"object":"realtime.response","id":"r","status":"completed"}}"#,
    ];
    for piece in [1, 100_000] {
        let (facts, texts) = told(&messages, piece);
        assert_eq!(texts.with(TextRole::Prompt), ["my words", "more"], "once each");
        assert_eq!(texts.with(TextRole::ToolArguments).len(), 1);
        let calls = facts.tool_calls.unwrap();
        let sizes: Vec<_> = calls.first.iter().map(|c| (c.name.as_str(), c.bytes)).collect();
        assert_eq!(sizes, [("look", 7)]);
    }
    // What was heard is nothing that the model said; that it was heard is enough for a row.
    let (facts, texts) = told(&messages[..2], 100_000);
    assert_eq!(facts.first_chunk_ns, None);
    assert_eq!(texts.with(TextRole::Prompt), ["my words"]);
}

#[test]
fn a_session_at_a_service_of_speech_is_one_exchange() {
    let heard = handshake("/v1/listen?model=nova-3", "api.deepgram.com");
    let turns = [
        (Side::Request, frame(0x82, KEY, &[0xff; 900])),
        (
            Side::Response,
            texts_of(
                &[r#"{"type":"Results","channel":{"alternatives":[{"transcript":"a small step"}]}}"#],
                None,
            ),
        ),
        (
            Side::Request,
            [
                frame(0x82, KEY, &[0xfe; 100]),
                texts_of(&[r#"{"type":"CloseStream"}"#], KEY),
            ]
            .concat(),
        ),
        (Side::Response, frame(0x88, None, b"\x03\xe8")),
        (Side::Request, frame(0x88, KEY, b"\x03\xe8")),
    ];
    for piece in [1, 100_000] {
        let hooks = session(&heard, &turns, piece);
        assert_eq!(hooks.finished.len(), 1, "{:?} {:?}", hooks.not_ai, hooks.lost);
        let (number, facts) = &hooks.finished[0];
        assert_eq!(
            (facts.dialect.name(), facts.operation, facts.provider.as_str()),
            ("deepgram-listen", "transcription", "deepgram")
        );
        assert_eq!(
            (facts.request_model.as_deref(), facts.binary_bytes),
            (Some("nova-3"), 1_000)
        );
        assert_eq!(
            (facts.request_incomplete, facts.response_incomplete),
            (None, None)
        );
        assert_eq!(hooks.texts[number].with(TextRole::Answer), ["a small step"]);
    }
    // In a form that is nobody else's, the host says what it is.
    let spoken = handshake("/tts/websocket", "api.cartesia.ai");
    let audio = format!(r#"{{"type":"chunk","data":"{}","done":false}}"#, "A".repeat(600));
    let turns = [
        (
            Side::Request,
            texts_of(&[r#"{"model_id":"sonic-2","transcript":"say this"}"#], KEY),
        ),
        (
            Side::Response,
            texts_of(&[&audio, r#"{"type":"done","done":true}"#], None),
        ),
    ];
    let hooks = session(&spoken, &turns, 33);
    let (number, facts) = &hooks.finished[0];
    assert_eq!((facts.dialect.name(), facts.operation), ("native", "speech"));
    assert_eq!(
        (facts.request_model.as_deref(), facts.binary_bytes),
        (Some("sonic-2"), 600)
    );
    assert_eq!(hooks.texts[number].with(TextRole::Prompt), ["say this"]);
}

#[test]
fn a_session_in_which_nothing_is_said_is_no_exchange_and_one_that_breaks_off_is_partial() {
    let handshake = handshake("/v1/realtime?model=gpt-realtime", "api.openai.com");
    let turns = realtime();
    let silent = session(&handshake, &turns[..2], 50);
    assert_eq!((silent.finished.len(), silent.not_ai.len()), (0, 1));
    let mut broken = turns[..3].to_vec();
    let cut = broken[2].1.len() - 200;
    broken[2].1.truncate(cut);
    let broken = session(&handshake, &broken, 50);
    assert_eq!(broken.finished.len(), 1);
    assert_eq!(broken.finished[0].1.response_incomplete, Some(Incomplete::Closed));
    // Every cut: at most as many exchanges, no panic, and none without an answer.
    let whole: Vec<u8> = turns[2].1.clone();
    for at in (0..whole.len()).step_by(11) {
        let mut cut = turns[..2].to_vec();
        cut.push((Side::Response, whole[..at].to_vec()));
        let hooks = session(&handshake, &cut, 4096);
        assert!(hooks.finished.len() + hooks.not_ai.len() == 1, "{at}");
    }
}

#[test]
fn a_realtime_session_with_nobody_known_is_told_by_its_answers() {
    let handshake = handshake("/v1/realtime", "voice.corp.example");
    let hooks = session(&handshake, &realtime(), 99);
    assert_eq!(hooks.finished.len(), 2, "{:?}", hooks.not_ai);
    assert_eq!(hooks.finished[0].1.evidence.name(), "path_suffix");
    assert_eq!(hooks.finished[0].1.provider, "unknown");
}

#[test]
fn each_turn_of_a_gemini_live_session_is_an_exchange() {
    let path = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent?key=k";
    let handshake = handshake(path, "generativelanguage.googleapis.com");
    let turn = |text: &str| {
        texts_of(
            &[&format!(
                r#"{{"clientContent":{{"turns":[{{"role":"user","parts":[{{"text":"{text}"}}]}}],"turnComplete":true}}}}"#
            )],
            KEY,
        )
    };
    // The server sends JSON in binary messages.
    let answer: Vec<u8> = [
        r#"{"serverContent":{"modelTurn":{"parts":[{"text":"an "}]}}}"#,
        r#"{"serverContent":{"modelTurn":{"parts":[{"text":"answer"}]}}}"#,
        r#"{"serverContent":{"turnComplete":true},"usageMetadata":{"promptTokenCount":5,"responseTokenCount":2,"totalTokenCount":7}}"#,
    ]
    .iter()
    .flat_map(|message| frame(0x82, None, message.as_bytes()))
    .collect();
    let turns = [
        (
            Side::Request,
            texts_of(&[r#"{"setup":{"model":"models/gemini-live"}}"#], KEY),
        ),
        (Side::Response, frame(0x82, None, br#"{"setupComplete":{}}"#)),
        (Side::Request, turn("first")),
        (Side::Response, answer.clone()),
        (Side::Request, turn("second")),
        (Side::Response, answer),
    ];
    for piece in [1, 1000] {
        let hooks = session(&handshake, &turns, piece);
        assert_eq!(hooks.finished.len(), 2, "{:?}", hooks.not_ai);
        for ((number, facts), text) in hooks.finished.iter().zip(["first", "second"]) {
            assert_eq!(
                (facts.dialect.name(), facts.provider.as_str()),
                ("gemini-live", "gcp.gemini")
            );
            assert_eq!(facts.request_model.as_deref(), Some("gemini-live"));
            assert_eq!(
                (facts.usage.input_tokens, facts.usage.output_tokens),
                (Some(5), Some(2))
            );
            assert_eq!(hooks.texts[number].with(TextRole::Prompt), [text]);
            assert_eq!(hooks.texts[number].with(TextRole::Answer), ["an answer"]);
        }
    }
}
