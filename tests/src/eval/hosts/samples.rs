//! Examples for what a row leaves open: regions, tenants, names in paths.

/// What stands for a `*` that is a label of its own, in the middle of a name: a region.
const REGIONS: &[&str] = &["eu-central-1", "us-south", "cn-hangzhou"];
/// What stands for a `*` at the beginning of a name: a tenant.
const TENANT: &str = "acme-prod";

/// Hosts for a pattern.
pub(super) fn hosts(pattern: &str) -> Vec<String> {
    let pattern = pattern.trim().to_ascii_lowercase();
    let (first, rest) = match pattern.strip_prefix("*.") {
        Some(rest) => (true, rest.to_owned()),
        None => (false, pattern),
    };
    let middles: Vec<String> = match rest.contains('*') {
        true => REGIONS.iter().map(|region| rest.replace('*', region)).collect(),
        false => vec![rest],
    };
    match first {
        false => middles,
        true => middles.iter().map(|rest| format!("{TENANT}.{rest}")).collect(),
    }
}

/// Paths of a cell: separated by `;`, names in braces and stars filled, queries left out.
pub(super) fn paths(cell: &str) -> Vec<String> {
    cell.split(';')
        .map(str::trim)
        .filter(|path| path.starts_with('/'))
        .map(path)
        .collect()
}

fn path(template: &str) -> String {
    let mut text = String::new();
    let mut depth = 0usize;
    for c in template.split(['?', '[']).next().unwrap_or_default().chars() {
        match c {
            '{' => depth += 1,
            '}' => {
                depth = depth.saturating_sub(1);
                text.push_str("example-1");
            }
            '*' if depth == 0 => text.push_str("example-1"),
            c if depth == 0 => text.push(c),
            _ => {}
        }
    }
    text.replace("...", "example-1")
}

/// These paths, or the root where there are none.
pub(super) fn or_root(paths: &[String]) -> Vec<String> {
    match paths.is_empty() {
        true => vec!["/".to_owned()],
        false => paths.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_parts_are_filled() {
        assert_eq!(hosts("API.x.ai"), ["api.x.ai"]);
        assert_eq!(hosts("*.x.ai"), ["acme-prod.x.ai"]);
        assert_eq!(hosts("a.*.b.com")[0], "a.eu-central-1.b.com");
        assert_eq!(hosts("*-a.b.com")[1], "us-south-a.b.com");
        let cell = "/v1/models/{m}:generate[?alt=sse];oauth; /api/...;/copilot/*";
        assert_eq!(
            paths(cell),
            [
                "/v1/models/example-1:generate",
                "/api/example-1",
                "/copilot/example-1"
            ]
        );
        assert_eq!(or_root(&[]), ["/"]);
    }
}
