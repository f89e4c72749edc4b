//! The packs that come with the program, one per theme, loaded together.

macro_rules! packs {
    ($($name:literal),* $(,)?) => {
        &[$((
            concat!("rules/", $name, ".yaml (built in)"),
            include_str!(concat!("../../../rules/", $name, ".yaml")),
        )),*]
    };
}

/// Name in messages, and text, of each built-in pack, in the order in which they are loaded.
pub const BUILTIN: &[(&str, &str)] = packs![
    "cloud",
    "ai",
    "hosting",
    "code",
    "ci",
    "registries",
    "messaging",
    "finance",
    "databases",
    "monitoring",
    "identity",
    "business",
    "services",
    "payment",
    "keys",
    "files",
    "generic",
    "infrastructure",
    "pii",
    "national-ids",
    "content",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pack_in_the_tree_is_built_in() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/rules");
        let mut there: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .map(|name| format!("rules/{name} (built in)"))
            .collect();
        there.sort();
        let mut named: Vec<&str> = BUILTIN.iter().map(|(name, _)| *name).collect();
        named.sort_unstable();
        assert_eq!(there, named);
    }
}
