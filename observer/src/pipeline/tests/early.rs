//! Answers that another thread read before the call that wrote their request returned.

use super::*;

#[test]
fn an_answer_that_overtook_its_request_is_the_answer_to_it() {
    let (mut bed, mut flow) = (Bed::new(), flow(1, &process(42)));
    let (request, response) = (chat("hello"), answer("hi"));
    for round in 1..=3 {
        // In two records, as a long answer comes.
        let (head, rest) = response.split_at(20);
        bed.received(&mut flow, head);
        bed.received(&mut flow, rest);
        bed.sent_within(&mut flow, &request, 40);
        let rows = bed.interactions();
        assert_eq!(rows.len(), round);
        let row = &rows[round - 1];
        assert_eq!(
            (row.visibility.as_str(), row.visibility_reason.as_str()),
            ("decoded", "")
        );
        assert_eq!(row.gen_ai_response_model, "gpt-4o-2024");
        assert!(row.duration_ns > 0, "from the begin of the call");
    }
}

#[test]
fn a_request_in_two_calls_has_its_answer_when_its_head_is_whole() {
    let (mut bed, mut flow) = (Bed::new(), flow(1, &process(42)));
    let (request, response) = (chat("hello"), answer("hi"));
    let (head, rest) = request.split_at(20);
    bed.received(&mut flow, &response);
    bed.sent_within(&mut flow, head, 40);
    assert_eq!(bed.interactions().len(), 0);
    bed.sent_within(&mut flow, rest, 41);
    let rows = bed.interactions();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].visibility, "decoded");
}

#[test]
fn an_answer_to_a_request_before_the_probes_is_not_taken_for_one_to_the_next() {
    let (mut bed, mut flow) = (Bed::new(), flow(1, &process(42)));
    let (request, response) = (chat("hello"), answer("hi"));
    bed.received(&mut flow, &response);
    // Entered after the answer was there.
    bed.sent(&mut flow, &request);
    bed.received(&mut flow, &response);
    let rows = bed.interactions();
    assert_eq!(
        rows.iter().map(|row| row.visibility.as_str()).collect::<Vec<_>>(),
        ["partial", "decoded"]
    );
}

#[test]
fn an_answer_that_no_request_follows_is_read_at_the_end() {
    let (mut bed, mut flow) = (Bed::new(), flow(1, &process(42)));
    bed.received(&mut flow, &answer("hi"));
    assert_eq!(bed.interactions().len(), 0);
    bed.free(&flow);
    let rows = bed.interactions();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].visibility, "partial");
}

#[test]
fn an_answer_that_was_opened_before_the_socket_of_its_request_was_known() {
    let client = process(42);
    let mut bed = Bed::new();
    let of = halves::connection(&mut bed, 1, &client);
    let (mut seals, mut opens) = (halves::key(10, 0, &client), halves::key(11, 1, &client));
    bed.sent(&mut seals, &chat("hello"));
    bed.received(&mut opens, &answer("hi"));
    halves::tie(&mut bed, &mut seals, 1);
    let rows = bed.interactions();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].visibility, "decoded");
    sockets::end(&mut bed, &of, sockets::READABLE);
    assert_eq!(bed.connections()[0].visibility, "decoded");
}
