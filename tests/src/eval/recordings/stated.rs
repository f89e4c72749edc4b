//! What an answer states, as text: an independent look at bytes about which product and label disagree.

/// The member that names a count of this field and has this value, if the body has one.
pub(super) fn count(body: &[u8], field: &str, value: u64) -> Option<String> {
    let text = String::from_utf8_lossy(body);
    members(&text)
        .find(|(name, number)| *number == value && names(field, &name.to_ascii_lowercase()))
        .map(|(name, _)| name.to_owned())
}

/// The field of the head that names a count of this field and has this value, if there is one.
pub(super) fn in_head(headers: &[(String, String)], field: &str, value: u64) -> Option<String> {
    let says = |(name, stated): &&(String, String)| {
        names(field, &name.to_ascii_lowercase()) && stated.trim().parse() == Ok(value)
    };
    headers.iter().find(says).map(|(name, _)| name.clone())
}

fn names(field: &str, name: &str) -> bool {
    let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
    match field {
        "cache_read_tokens" => has(&["cache"]) && !has(&["creat", "writ", "miss"]),
        "cache_write_tokens" => has(&["cache"]) && has(&["creat", "writ"]),
        "reasoning_tokens" => has(&["reason", "thought", "thinking"]),
        "input_tokens" => has(&["token"]) && has(&["input", "prompt"]) && !has(&["cache"]),
        "output_tokens" => has(&["token"]) && has(&["output", "completion", "generated"]),
        _ => false,
    }
}

/// Members of JSON objects whose value is a whole number.
fn members(text: &str) -> impl Iterator<Item = (&str, u64)> {
    text.match_indices('"').filter_map(move |(end, _)| {
        let rest = text.get(end + 1..)?.trim_start().strip_prefix(':')?.trim_start();
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number = rest.get(..digits)?.parse().ok()?;
        let before = text.get(..end)?;
        Some((before.get(before.rfind('"')? + 1..)?, number))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_by_name_and_value() {
        let body = br#"data: {"usage": {"cached_tokens" : 7, "cache_write_tokens":0, "prompt_tokens": 9}}"#;
        assert_eq!(
            count(body, "cache_read_tokens", 7).as_deref(),
            Some("cached_tokens")
        );
        assert_eq!(count(body, "cache_read_tokens", 0), None);
        assert_eq!(
            count(body, "cache_write_tokens", 0).as_deref(),
            Some("cache_write_tokens")
        );
        assert_eq!(count(body, "input_tokens", 9).as_deref(), Some("prompt_tokens"));
        assert_eq!(count(body, "output_tokens", 9), None);
        let head = [("X-Prompt-Tokens".to_owned(), "16".to_owned())];
        assert_eq!(
            in_head(&head, "input_tokens", 16).as_deref(),
            Some("X-Prompt-Tokens")
        );
        assert_eq!(in_head(&head, "input_tokens", 17), None);
        assert_eq!(in_head(&head, "output_tokens", 16), None);
    }
}
