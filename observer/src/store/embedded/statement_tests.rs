use super::*;

fn is(text: &str) -> Statement {
    match look(text.as_bytes(), true, false) {
        Ok(Look::Is(statement)) => statement,
        other => panic!("{text}: {other:?}"),
    }
}

/// Head, format and data of an INSERT.
fn insert(text: &[u8]) -> (String, String, Vec<u8>) {
    match look(text, true, false) {
        Ok(Look::Is(Statement::Insert { head, format, data })) => (
            String::from_utf8_lossy(&text[..head]).trim().to_owned(),
            format,
            text[data..].to_vec(),
        ),
        other => panic!("{}: {other:?}", String::from_utf8_lossy(text)),
    }
}

fn refused(text: &str) -> u32 {
    look(text.as_bytes(), true, false).expect_err(text).code
}

#[test]
fn inserts_are_cut_before_their_data() {
    let cases: [(&[u8], &str, &str, &[u8]); 11] = [
        (b"INSERT INTO t VALUES (1)", "INSERT INTO t", "Values", b" (1)"),
        (
            b"insert into t(a, b) format TSV\n1\t2",
            "insert into t(a, b)",
            "TSV",
            b"1\t2",
        ),
        (
            b"INSERT INTO t FORMAT RowBinary\n\n\x0a",
            "INSERT INTO t",
            "RowBinary",
            b"\n\x0a",
        ),
        (
            b"INSERT INTO t FORMAT RowBinary \t\r\n \x00",
            "INSERT INTO t",
            "RowBinary",
            b" \x00",
        ),
        (
            b"INSERT INTO t FORMAT JSONEachRow{\"a\":1}",
            "INSERT INTO t",
            "JSONEachRow",
            b"{\"a\":1}",
        ),
        (b"INSERT INTO t FORMAT TSV", "INSERT INTO t", "TSV", b""),
        (b"INSERT t VALUES(1);", "INSERT t", "Values", b"(1);"),
        (
            b"INSERT INTO format FORMAT TSV x",
            "INSERT INTO format",
            "TSV",
            b"x",
        ),
        (
            b"INSERT INTO `a``b`.\"values\" VALUES (2)",
            "INSERT INTO `a``b`.\"values\"",
            "Values",
            b" (2)",
        ),
        (
            b"/* x */ INSERT INTO TABLE d.t (* EXCEPT(b)) SETTINGS a = 'FORMAT;', b=1 FORMAT CSV 1",
            "/* x */ INSERT INTO TABLE d.t (* EXCEPT(b)) SETTINGS a = 'FORMAT;', b=1",
            "CSV",
            b"1",
        ),
        (
            b"INSERT INTO t -- FORMAT x\n FORMAT JSONEachRow {\"a\":1}\n\ndrop table t",
            "INSERT INTO t -- FORMAT x",
            "JSONEachRow",
            b"{\"a\":1}\n\ndrop table t",
        ),
    ];
    for (text, head, format, data) in cases {
        assert_eq!(insert(text), (head.to_owned(), format.to_owned(), data.to_vec()));
    }
}

#[test]
fn every_split_gives_the_same_or_asks_for_more() {
    let texts: [&[u8]; 5] = [
        b"INSERT INTO `d`.t(`a`, b) SETTINGS x = '1' FORMAT RowBinary\n\x01\n\n\x02",
        b"insert into t /* c */ values (1, 'a;b'), (2, '')",
        b"INSERT INTO t FORMAT CSV \r\n1,2\r\n",
        b"INSERT INTO t (a) SELECT 1 -- ;",
        b"SELECT 'FORMAT x' FROM t FORMAT JSON;",
    ];
    for text in texts {
        let Ok(Look::Is(whole)) = look(text, true, false) else {
            panic!("fits")
        };
        for cut in 0..=text.len() {
            match look(&text[..cut], false, false) {
                Ok(Look::More) => {}
                Ok(Look::Is(part)) => assert_eq!(part, whole, "cut at {cut}"),
                Err(error) => panic!("cut at {cut}: {error}"),
            }
        }
    }
}

#[test]
fn a_url_query_without_format_means_values_in_the_body() {
    let text = b"INSERT INTO t (a)\n";
    let expected = Statement::Insert {
        head: text.len(),
        format: "Values".into(),
        data: text.len(),
    };
    assert_eq!(look(text, true, true), Ok(Look::Is(expected)));
    assert_eq!(refused("INSERT INTO t (a)"), 62);
}

#[test]
fn insert_select_is_run_as_a_whole() {
    for text in [
        "INSERT INTO t SELECT 1",
        "INSERT INTO t (a, b) SELECT (SELECT 1), 2",
        "INSERT INTO t (SELECT 1)",
        "INSERT INTO t ((SELECT 1))",
        "INSERT INTO t WITH x AS (SELECT 1) SELECT * FROM x",
        "INSERT INTO t SETTINGS a = 1 SELECT 1",
    ] {
        assert_eq!(is(text), Statement::InsertSelect, "{text}");
    }
    assert_eq!(
        refused("INSERT INTO t SELECT * FROM input('a Int') FORMAT CSV 1\n\ndrop table t"),
        48
    );
    assert_eq!(refused("INSERT INTO t (SELECT 1) FORMAT CSV 1"), 48);
}

#[test]
fn inserts_that_reach_outside_or_do_not_fit_are_refused() {
    for text in [
        "INSERT INTO FUNCTION file('x') VALUES (1)",
        "INSERT INTO TABLE FUNCTION url('x') SELECT 1",
        "INSERT INTO t FROM INFILE '/etc/passwd' FORMAT CSV",
    ] {
        assert_eq!(refused(text), 344, "{text}");
    }
    for text in [
        "INSERT INTO t; DROP TABLE t FORMAT CSV 1",
        "INSERT INTO t (a; b) FORMAT CSV 1",
        "INSERT INTO t SETTINGS a = 1; DROP TABLE t FORMAT CSV 1",
        "INSERT INTO t SETTINGS a = 1 FROM INFILE 'x' FORMAT CSV",
        "INSERT INTO t FORMAT CSV; 1",
        "INSERT INTO t PARTITION BY a VALUES (1)",
        "INSERT INTO t FORMAT 'CSV' 1",
        "INSERT INTO (a) VALUES (1)",
        "INSERT INTO t.(a) VALUES (1)",
        "INSERT INTO t (a",
        "INSERT",
        "INSERT INTO 't",
    ] {
        assert_eq!(refused(text), 62, "{text}");
    }
    assert_eq!(
        refused("EXPLAIN AST INSERT INTO t FORMAT CSV 1\n\ndrop table t"),
        344
    );
}

#[test]
fn other_statements_tell_verb_and_format() {
    let other = |text: &str| match is(text) {
        Statement::Other {
            verb,
            format,
            format_clause,
            several,
        } => (
            verb,
            format.unwrap_or_default(),
            format_clause.map(|r| text[r].to_owned()).unwrap_or_default(),
            several,
        ),
        statement => panic!("{text}: {statement:?}"),
    };
    let expect = |verb: &str, format: &str, clause: &str, several| {
        (verb.to_owned(), format.to_owned(), clause.to_owned(), several)
    };
    assert_eq!(other("select 1"), expect("SELECT", "", "", false));
    assert_eq!(
        other("SELECT 1 FORMAT JSON ;"),
        expect("SELECT", "JSON", "FORMAT JSON", false)
    );
    assert_eq!(
        other("SELECT 1 format CSV SETTINGS a=1"),
        expect("SELECT", "CSV", "", false)
    );
    assert_eq!(
        other("SELECT (SELECT 1 FORMAT X) -- FORMAT Y"),
        expect("SELECT", "", "", false)
    );
    assert_eq!(other("SELECT 1; DROP TABLE t"), expect("SELECT", "", "", true));
    assert_eq!(other("SELECT ';' ; ; "), expect("SELECT", "", "", false));
    assert_eq!(
        other("(SELECT 1) FORMAT TSV"),
        expect("", "TSV", "FORMAT TSV", false)
    );
    assert_eq!(other("SELECT format FROM t"), expect("SELECT", "", "", false));
    assert_eq!(is(" -- nothing"), Statement::Empty);
}

#[test]
fn a_statement_has_a_largest_size() {
    let long = format!("SELECT '{}'", "x".repeat(MAX_STATEMENT));
    assert_eq!(
        look(long.as_bytes(), false, false).expect_err("too long").code,
        62
    );
}
