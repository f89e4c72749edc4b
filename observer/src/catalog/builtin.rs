//! The catalogue files built into the program, by theme.

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../catalog/", $name)))),*]
    };
}

/// Name and text of each file.
pub(super) const FILES: &[(&str, &str)] = files![
    "services.yaml",
    "makers.yaml",
    "clouds.yaml",
    "inference.yaml",
    "gateways.yaml",
    "china.yaml",
    "regional.yaml",
    "embeddings.yaml",
    "speech.yaml",
    "media.yaml",
    "coding.yaml",
    "apps.yaml",
    "agents.yaml",
    "observability.yaml",
    "local.yaml",
];
