//! Hubs of models and data sets (Hugging Face and its mirrors, Ollama's registry, ModelScope): which repository a request is for.

/// Longest name of a repository.
const MAX_NAME: usize = 128;
/// What stands behind the name of a repository when something of it is asked for.
const PARTS: &[&str] = &[
    "resolve",
    "raw",
    "blob",
    "tree",
    "info",
    "manifests",
    "blobs",
    "revision",
    "repo",
    "paths-info",
    "xet-read-token",
    "commits",
    "refs",
    "resolve-cache",
];
/// What stands before it in interfaces: `api/models/openai/whisper-tiny`, `api/v1/datasets/…`, `v2/library/llama3/manifests/latest`.
const MODELS: &[&[&str]] = &[&["api", "models"], &["api", "v1", "models"], &["models"], &["v2"]];
const DATA_SETS: &[&[&str]] = &[&["api", "datasets"], &["api", "v1", "datasets"], &["datasets"]];

/// Repository in the path of a request: `openai/whisper-tiny`, or `datasets/squad` as the hubs write data sets. `None` where the
/// path names none, which pages of the hub do not.
pub(super) fn repository(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let behind = |heads: &[&[&str]]| {
        let head = heads.iter().find(|head| parts.starts_with(head))?;
        Some(parts.get(head.len()..)?.to_vec())
    };
    if let Some(rest) = behind(DATA_SETS) {
        return name(&rest, true).map(|name| format!("datasets/{name}"));
    }
    if let Some(rest) = behind(MODELS) {
        return name(&rest, true);
    }
    name(&parts, false)
}

/// Name of the repository at the front of a path; `alone`: nothing else needs to stand behind it.
fn name(parts: &[&str], alone: bool) -> Option<String> {
    let at = parts
        .iter()
        .position(|part| PARTS.contains(part) || part.ends_with(".git"));
    let len = match at {
        // git: `openai/whisper-tiny.git/info/refs`.
        Some(at) if parts[at].ends_with(".git") => at + 1,
        Some(at) => at,
        None if alone => parts.len(),
        None => return None,
    };
    let name = parts.get(..len)?.join("/");
    let name = name.strip_suffix(".git").unwrap_or(&name);
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./".contains(&b);
    let fits = (1..=2).contains(&len) && name.len() <= MAX_NAME && name.bytes().all(plain);
    fits.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_of_the_hubs() {
        for (path, wanted) in [
            (
                "/openai/whisper-tiny/resolve/main/model.safetensors",
                "openai/whisper-tiny",
            ),
            ("/gpt2/resolve/main/config.json", "gpt2"),
            (
                "/api/models/openai/whisper-tiny/revision/main",
                "openai/whisper-tiny",
            ),
            ("/api/models/gpt2", "gpt2"),
            (
                "/datasets/rajpurkar/squad/resolve/main/a.parquet",
                "datasets/rajpurkar/squad",
            ),
            ("/api/datasets/rajpurkar/squad", "datasets/rajpurkar/squad"),
            ("/openai/whisper-tiny.git/info/refs", "openai/whisper-tiny"),
            ("/v2/library/llama3.2/manifests/latest", "library/llama3.2"),
            ("/v2/library/llama3.2/blobs/sha256:ab", "library/llama3.2"),
            ("/api/v1/models/qwen/Qwen2-7B/repo", "qwen/Qwen2-7B"),
            (
                "/models/qwen/Qwen2-7B/resolve/master/config.json",
                "qwen/Qwen2-7B",
            ),
        ] {
            assert_eq!(repository(path).as_deref(), Some(wanted), "{path}");
        }
    }

    #[test]
    fn pages_and_what_is_no_name_are_no_repository() {
        let long = format!("/{}/resolve/main/a", "x".repeat(MAX_NAME + 1));
        for path in [
            "",
            "/",
            "/docs/hub/index",
            "/login",
            "/openai",
            "/a/b/c/resolve/main/x",
            "/api/models",
            "/who%40me/x/resolve/main/a",
            "/v2/",
            &long,
        ] {
            assert_eq!(repository(path), None, "{path}");
        }
    }
}
