//! Names of providers and their other spellings.

use std::collections::HashMap;
use std::sync::Arc;

/// Providers by the spellings of their names. A name that a company uses for all it does (`google`) may stand for more
/// than one provider.
#[derive(Debug, Clone, Default)]
pub(super) struct Names(HashMap<String, Vec<Arc<str>>>);

impl Names {
    /// Takes `spelling` for a name of `provider`.
    pub(super) fn add(&mut self, spelling: &str, provider: &Arc<str>) {
        let providers = self.0.entry(key(spelling)).or_default();
        if !providers.contains(provider) {
            providers.push(Arc::clone(provider));
        }
    }

    /// Whether `spelling` is a name of `provider`.
    pub(super) fn is_name_of(&self, spelling: &str, provider: &str) -> bool {
        let spelled = key(spelling);
        let of = |key: &str| {
            let providers = self.0.get(key).map(Vec::as_slice).unwrap_or_default();
            providers.iter().any(|known| known.as_ref() == provider)
        };
        of(&spelled) || of(short(&spelled)) || short(&spelled) == short(&key(provider))
    }
}

/// A name without what differs between spellings of it: case and signs.
fn key(name: &str) -> String {
    name.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

/// A name without the ending that many leave out.
fn short(key: &str) -> &str {
    ["ai", "labs", "io"]
        .iter()
        .find_map(|ending| key.strip_suffix(ending))
        .filter(|rest| rest.len() > 2)
        .unwrap_or(key)
}
