//! Signs that a model runs inside a process, where no connection shows it: files of models and devices for computing among its
//! mappings. Pure. Signs only: a program may map a model to convert it, and draw on a graphics device.

use crate::coverage::OpaqueReason;

/// What was found, with the word for the column `runtime`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sign {
    /// A file with a model: `gguf`, `safetensors`.
    ModelFile(&'static str),
    /// A device for computing: `nvidia`, `amd`, `drm` (a render node, of any maker).
    GpuDevice(&'static str),
}

impl Sign {
    /// The sign that a mapped path is, as `/proc/PID/maps` writes it.
    pub fn of(path: &str) -> Option<Self> {
        let path = path.strip_suffix(" (deleted)").unwrap_or(path);
        if let Some(device) = path.strip_prefix("/dev/") {
            return device_maker(device).map(Self::GpuDevice);
        }
        let name = path.rsplit('/').next()?;
        let format = ["gguf", "safetensors"].into_iter().find(|format| {
            let stem = name.len().checked_sub(format.len() + 1);
            stem.is_some_and(|at| {
                name.as_bytes()[at] == b'.'
                    && name.as_bytes()[at + 1..].eq_ignore_ascii_case(format.as_bytes())
            })
        });
        format.map(Self::ModelFile)
    }

    /// Code of the row in `blind_spots`.
    pub fn reason(self) -> OpaqueReason {
        match self {
            Self::ModelFile(_) => OpaqueReason::ModelFile,
            Self::GpuDevice(_) => OpaqueReason::GpuDevice,
        }
    }

    /// Word of `runtime` there.
    pub fn runtime(self) -> &'static str {
        match self {
            Self::ModelFile(word) | Self::GpuDevice(word) => word,
        }
    }
}

/// Maker of a device below `/dev`; `None` where it is no device for computing.
fn device_maker(device: &str) -> Option<&'static str> {
    if device == "kfd" {
        Some("amd")
    } else if device.starts_with("nvidia") {
        Some("nvidia")
    } else {
        device.starts_with("dri/renderD").then_some("drm")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_and_devices_are_signs_and_names_like_them_are_not() {
        for (path, wanted) in [
            ("/models/llama-3.gguf", Some(Sign::ModelFile("gguf"))),
            ("/models/A B.GGUF (deleted)", Some(Sign::ModelFile("gguf"))),
            (
                "/x/model-00001-of-00002.safetensors",
                Some(Sign::ModelFile("safetensors")),
            ),
            ("/dev/nvidia0", Some(Sign::GpuDevice("nvidia"))),
            ("/dev/nvidia-uvm", Some(Sign::GpuDevice("nvidia"))),
            ("/dev/kfd", Some(Sign::GpuDevice("amd"))),
            ("/dev/dri/renderD128", Some(Sign::GpuDevice("drm"))),
            ("/dev/dri/card0", None),
            ("/dev/zero (deleted)", None),
            ("/x/gguf", None),
            ("/x/notgguf", None),
            ("/x.gguf/y", None),
            ("/x/.gguf.txt", None),
            ("/x/ü", None),
            ("[heap]", None),
            ("", None),
        ] {
            assert_eq!(Sign::of(path), wanted, "{path}");
        }
    }
}
