//! The inventory as a text: a host on each line. Pure.

use std::collections::BTreeMap;

use super::Machine;

/// Longest id, name and reason.
const MAX_TEXT: usize = 255;

/// Reads `ID [NAME [REASON...]]` lines; with a reason the host is out of scope. `#` begins a comment, empty lines are none.
///
/// # Errors
/// All mistakes, with file and line.
pub fn parse(file: &str, text: &str) -> Result<Vec<Machine>, Vec<String>> {
    let (mut machines, mut problems) = (Vec::new(), Vec::new());
    let mut lines = BTreeMap::<&str, usize>::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let mut words = line.split_whitespace();
        let id = words.next().unwrap_or_default();
        let name = words.next().unwrap_or_default();
        let reason = words.collect::<Vec<_>>().join(" ");
        if [id, name, &reason]
            .iter()
            .any(|text| text.len() > MAX_TEXT || text.chars().any(char::is_control))
        {
            problems.push(format!(
                "{file}:{number}: id, name and reason must be at most {MAX_TEXT} bytes without control characters"
            ));
        } else if let Some(first) = lines.insert(id, number) {
            problems.push(format!("{file}:{number}: this id stands on line {first} already"));
        } else {
            machines.push(Machine {
                host_id: id.to_owned(),
                name: name.to_owned(),
                since_ms: None,
                excluded: (!reason.is_empty()).then_some(reason),
            });
        }
    }
    if machines.is_empty() && problems.is_empty() {
        problems.push(format!(
            "{file}: names no host; a line is `ID [NAME [REASON...]]`, ID as in /etc/machine-id"
        ));
    }
    if problems.is_empty() {
        Ok(machines)
    } else {
        Err(problems)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_hosts_and_a_reason_takes_one_out() {
        let machines = parse(
            "h",
            "# id name\n\n 0a1b web-1 # here\n0a1c\n0a1d lab no people work there\n",
        )
        .unwrap();
        let found: Vec<_> = machines
            .iter()
            .map(|m| (m.host_id.as_str(), m.name.as_str(), m.excluded.as_deref()))
            .collect();
        assert_eq!(
            found,
            [
                ("0a1b", "web-1", None),
                ("0a1c", "", None),
                ("0a1d", "lab", Some("no people work there"))
            ]
        );
    }

    #[test]
    fn all_mistakes_are_told_with_their_lines() {
        let long = "x".repeat(MAX_TEXT + 1);
        let problems = parse("hosts", &format!("a\nb\na again\n{long}\n")).unwrap_err();
        assert!(
            problems[0].starts_with("hosts:3: this id stands on line 1"),
            "{problems:?}"
        );
        assert!(
            problems[1].starts_with("hosts:4: ") && problems.len() == 2,
            "{problems:?}"
        );
        assert!(parse("hosts", "# nothing\n").unwrap_err()[0].contains("names no host"));
    }
}
