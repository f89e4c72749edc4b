//! Turns of one conversation have one name.

use std::sync::Arc;

use super::super::conversations::{GIVEN, MAX_REMEMBERED};
use super::testbed::*;
use crate::identity::Identity;

/// A chat request with these messages, as role and content.
fn messages(said: &[(&str, &str)]) -> Vec<u8> {
    let said: Vec<String> = said
        .iter()
        .map(|(role, content)| format!(r#"{{"role":"{role}","content":"{content}"}}"#))
        .collect();
    let body = format!(r#"{{"model":"gpt-4o","messages":[{}]}}"#, said.join(","));
    post("/v1/chat/completions", "api.openai.com", &body)
}

fn user_says(words: &str) -> Vec<u8> {
    messages(&[("user", words)])
}

/// Calls of one process, each answered before the next; the conversations of their rows.
fn ask(bed: &mut Bed, number: u64, process: &Arc<Identity>, calls: &[(Vec<u8>, Vec<u8>)]) -> Vec<String> {
    let before = bed.interactions().len();
    let mut flow = flow(number, process);
    bed.connect(&flow);
    bed.name(&flow, "api.openai.com");
    for (request, answer) in calls {
        bed.sent(&mut flow, request);
        bed.received(&mut flow, answer);
    }
    let rows = bed.interactions();
    rows[before..]
        .iter()
        .map(|row| row.gen_ai_conversation_id.clone())
        .collect()
}

fn answered(requests: &[Vec<u8>]) -> Vec<(Vec<u8>, Vec<u8>)> {
    requests.iter().map(|r| (r.clone(), answer("4"))).collect()
}

#[test]
fn requests_that_go_on_from_one_another_are_one_conversation() {
    let mut bed = Bed::new();
    let ids = ask(
        &mut bed,
        1,
        &process(70),
        &answered(&[
            messages(&[("system", "It is 10:01."), ("user", "2+2?")]),
            // Another question to the same model, in between.
            user_says("a poem"),
            messages(&[
                ("system", "It is 10:02."),
                ("user", "2+2?"),
                ("assistant", "4"),
                ("user", "3+3?"),
            ]),
            // A second try at the same turn, then one that went on otherwise.
            messages(&[("user", "2+2?"), ("assistant", "4"), ("user", "3+3?")]),
            messages(&[("user", "2+2?"), ("assistant", "5"), ("user", "3+3?")]),
            messages(&[("user", "3+3?")]),
        ]),
    );
    assert!(
        ids[0].starts_with(GIVEN) && ids[0].len() == GIVEN.len() + 32,
        "{ids:?}"
    );
    assert_eq!([&ids[2], &ids[3], &ids[4]], [&ids[0]; 3]);
    assert!(ids[1].starts_with(GIVEN) && ids[1] != ids[0]);
    assert!(ids[5] != ids[0] && ids[5] != ids[1]);
    let row = bed.interactions()[0];
    assert!(!row.hmac_key_id.is_empty(), "the key of the hash is named");
}

#[test]
fn others_who_say_the_same_are_in_another_conversation() {
    let mut bed = Bed::new();
    let of = |pid: u32, uid: u32, container: &str| {
        let mut identity = Identity::clone(&process(pid));
        (identity.uid, identity.container_id) = (uid, container.to_owned());
        Arc::new(identity)
    };
    let mut says = |number: u64, process: Arc<Identity>, words: Vec<u8>| {
        ask(&mut bed, number, &process, &answered(&[words])).remove(0)
    };
    let first = says(1, of(70, 1000, ""), user_says("hello"));
    // The same user in another process goes on.
    let next = messages(&[("user", "hello"), ("assistant", "4"), ("user", "more")]);
    assert_eq!(says(2, of(71, 1000, ""), next), first);
    assert_ne!(says(3, of(71, 1001, ""), user_says("hello")), first);
    assert_ne!(says(4, of(71, 1000, "c0ffee"), user_says("hello")), first);
}

#[test]
fn responses_that_go_on_from_one_another_are_one_conversation() {
    let request = |previous: &str| {
        let body = format!(r#"{{"model":"gpt-5","input":"more","previous_response_id":{previous}}}"#);
        post("/v1/responses", "api.openai.com", &body)
    };
    let response = |id: &str| {
        let body = format!(
            r#"{{"id":"{id}","object":"response","model":"gpt-5","status":"completed","output":[],"usage":{{"input_tokens":1,"output_tokens":1}}}}"#
        );
        let length = body.len();
        format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}")
            .into_bytes()
    };
    let ids = ask(
        &mut Bed::new(),
        1,
        &process(70),
        &[
            (request("null"), response("resp_1")),
            (request("\"resp_1\""), response("resp_2")),
            (request("\"resp_2\""), response("resp_3")),
            (request("\"resp_of_yesterday\""), response("resp_9")),
            (request("\"resp_9\""), response("resp_10")),
        ],
    );
    assert!(ids[0].starts_with(GIVEN), "{ids:?}");
    assert_eq!([&ids[1], &ids[2]], [&ids[0]; 2]);
    assert_eq!([&ids[3], &ids[4]], ["resp_of_yesterday"; 2]);
}

#[test]
fn what_the_client_names_is_taken_as_it_is() {
    let mut bed = Bed::new();
    let request = String::from_utf8(user_says("hello")).unwrap();
    let named = request.replacen("Host:", "x-conversation-id: mine\r\nHost:", 1);
    let ids = ask(
        &mut bed,
        1,
        &process(70),
        &[
            (named.into_bytes(), answer("hi")),
            (user_says("hello"), answer("hi")),
        ],
    );
    assert_eq!(ids[0], "mine");
    assert!(ids[1].starts_with(GIVEN));
}

#[test]
fn no_more_is_remembered_than_there_is_room_for() {
    let mut recent = super::super::conversations::Recent::new(4);
    for n in 0..100 {
        recent.put(n, n);
        assert_eq!(recent.get(&0), Some(0), "what is used stays");
    }
    assert!(recent.len() <= 8 && MAX_REMEMBERED > 4);
    assert_eq!((recent.get(&99), recent.get(&50)), (Some(99), None));
}
