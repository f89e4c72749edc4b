//! Debian's kernels as files: which package is a series' newest, downloaded with lists of our own (the machine's sources stay as they
//! are), and of it the image and the modules that the guest's network needs.

use std::cmp::Reverse;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::run::{check, output};

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Address and suite of a source.
pub(super) type Source = (&'static str, &'static str);

/// Where kernels are.
pub(super) const SOURCES: [Source; 6] = [
    ("http://deb.debian.org/debian", "bullseye"),
    ("http://deb.debian.org/debian-security", "bullseye-security"),
    ("http://deb.debian.org/debian-security", "bookworm-security"),
    ("http://deb.debian.org/debian", "trixie"),
    ("http://deb.debian.org/debian-security", "trixie-security"),
    ("http://deb.debian.org/debian", "trixie-backports"),
];

/// The one with long-term kernels of which each is kept for years, 6.1 and 6.12.
pub(super) const LASTING: [Source; 1] = [SOURCES[2]];

/// A mirror that does not answer is asked again so often, after a pause.
const TRIES: u64 = 3;
const PAUSE: Duration = Duration::from_secs(10);

/// Name of the newest kernel, whatever its number.
pub(super) const NEWEST: &str = "newest";

/// What the guest's network card needs, in the order in which modules need each other; what is not there is built in.
const MODULES: [&str; 8] = [
    "virtio",
    "virtio_ring",
    "virtio_pci_modern_dev",
    "virtio_pci_legacy_dev",
    "virtio_pci",
    "failover",
    "net_failover",
    "virtio_net",
];

/// A kernel that can be booted.
#[derive(Debug, Clone)]
pub(super) struct Kernel {
    /// As it was asked for: `6.12`, or `newest`.
    pub(super) series: String,
    /// As `uname -r` says.
    pub(super) release: String,
    pub(super) image: PathBuf,
    /// In the order in which they are to be loaded.
    pub(super) modules: Vec<PathBuf>,
}

/// Folder of kernels and of package lists.
pub(super) struct Packages {
    dir: PathBuf,
    sources: &'static [Source],
    /// All kernels that the sources have; empty until somebody asks for one that is not here yet.
    releases: Vec<String>,
}

impl Packages {
    pub(super) fn new(dir: PathBuf, sources: &'static [Source]) -> Self {
        Self {
            dir,
            sources,
            releases: Vec::new(),
        }
    }

    /// The kernel of a series, from the folder or the network. `None` when no source has the series.
    pub(super) fn kernel(&mut self, series: &str) -> Result<Option<Kernel>> {
        let place = self.dir.join(series);
        if !place.join("release").exists() {
            if self.releases.is_empty() {
                self.update()?;
            }
            let Some(release) = newest_of(&self.releases, series) else {
                return Ok(None);
            };
            self.fetch(release, &place)?;
        }
        Kernel::at(series, &place).map(Some)
    }

    /// Reads the lists of all sources.
    fn update(&mut self) -> Result<()> {
        let lists: String = self
            .sources
            .iter()
            .map(|(address, suite)| format!("deb [signed-by={KEYRING}] {address} {suite} main\n"))
            .collect();
        for folder in ["apt/lists/partial", "apt/cache/archives/partial"] {
            std::fs::create_dir_all(self.dir.join(folder))?;
        }
        std::fs::write(self.dir.join("apt/sources.list"), lists)?;
        // A suite that a mirror has no more makes it fail; what the others have is there all the same.
        let updated = again(|| check(self.apt("apt-get").args(["update", "-q"])));
        let names = output(self.apt("apt-cache").args([
            "search",
            "--names-only",
            "^linux-(image|binary)-[0-9].*-cloud-amd64$",
        ]))
        .context("apt-cache search failed")?;
        self.releases = names.lines().filter_map(release_of).map(str::to_owned).collect();
        if self.releases.is_empty() {
            updated.context("Debian's package lists")?;
            bail!("no kernel in Debian's package lists");
        }
        Ok(())
    }

    /// Downloads and unpacks a kernel; its folder is there only when it is whole.
    fn fetch(&self, release: &str, place: &Path) -> Result<()> {
        let unpacked = self.dir.join("unpacked");
        for folder in [unpacked.as_path(), place] {
            if folder.exists() {
                std::fs::remove_dir_all(folder)?;
            }
            std::fs::create_dir_all(folder)?;
        }
        for package in self.packages_of(release)? {
            again(|| {
                check(
                    self.apt("apt-get")
                        .current_dir(&unpacked)
                        .args(["download", "-q", &package]),
                )
            })?;
        }
        for package in files_below(&unpacked)? {
            check(
                Command::new("dpkg-deb")
                    .arg("--extract")
                    .args([package.as_path(), unpacked.as_path()]),
            )?;
        }
        keep(&unpacked, place)?;
        std::fs::remove_dir_all(&unpacked)?;
        std::fs::write(place.join("release"), release).context("cannot write the kernel's release")
    }

    /// From 7.1 on the image is a package of its own, and `linux-image-*` names it.
    fn packages_of(&self, release: &str) -> Result<Vec<String>> {
        let known = |name: &str| {
            output(self.apt("apt-cache").args(["show", name])).is_some_and(|text| !text.is_empty())
        };
        let parts = ["binary", "modules"].map(|part| format!("linux-{part}-{release}"));
        if parts.iter().all(|name| known(name)) {
            return Ok(parts.into());
        }
        let whole = format!("linux-image-{release}");
        if !known(&whole) {
            bail!("no package {whole}");
        }
        Ok(vec![whole])
    }

    /// A program of apt that knows our sources only, and reads no more of them than names of packages.
    fn apt(&self, program: &str) -> Command {
        let apt = self.dir.join("apt");
        let mut command = Command::new(program);
        for (name, value) in [
            (
                "Dir::Etc::sourcelist",
                apt.join("sources.list").display().to_string(),
            ),
            ("Dir::Etc::sourceparts", "-".to_owned()),
            ("Dir::State::lists", apt.join("lists").display().to_string()),
            ("Dir::Cache", apt.join("cache").display().to_string()),
            ("Acquire::Languages", "none".to_owned()),
            (
                "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled",
                "false".to_owned(),
            ),
            ("APT::Sandbox::User", "root".to_owned()),
            ("Acquire::Retries", "3".to_owned()),
            ("Acquire::http::Timeout", "30".to_owned()),
        ] {
            command.arg("-o").arg(format!("{name}={value}"));
        }
        command
    }
}

/// Does something that depends on the network, again when it fails.
fn again(mut work: impl FnMut() -> Result<()>) -> Result<()> {
    for _ in 1..TRIES {
        if work().is_ok() {
            return Ok(());
        }
        std::thread::sleep(PAUSE);
    }
    work()
}

impl Kernel {
    fn at(series: &str, place: &Path) -> Result<Self> {
        let file = place.join("release");
        let release =
            std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        Ok(Self {
            series: series.to_owned(),
            release: release.trim().to_owned(),
            image: place.join("vmlinuz"),
            modules: MODULES
                .iter()
                .map(|name| place.join(format!("{name}.ko")))
                .filter(|file| file.exists())
                .collect(),
        })
    }
}

/// Copies image and modules out of an unpacked package.
fn keep(unpacked: &Path, place: &Path) -> Result<()> {
    let files = files_below(unpacked)?;
    let named = |wanted: &dyn Fn(&str) -> bool| {
        files.iter().find(|file| {
            file.file_name()
                .and_then(|name| name.to_str())
                .is_some_and(wanted)
        })
    };
    let image = named(&|name| name.starts_with("vmlinuz")).context("the package has no kernel image")?;
    std::fs::copy(image, place.join("vmlinuz"))?;
    for module in MODULES {
        let (plain, packed) = (format!("{module}.ko"), format!("{module}.ko.xz"));
        if let Some(file) = named(&|name| name == plain) {
            std::fs::copy(file, place.join(&plain))?;
        } else if let Some(file) = named(&|name| name == packed) {
            std::fs::copy(file, place.join(&packed))?;
            check(Command::new("xz").arg("--decompress").arg(place.join(&packed)))?;
        }
    }
    Ok(())
}

fn files_below(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in
            std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?
        {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() {
                files.push(entry.path());
            }
        }
    }
    Ok(files)
}

/// The release that a line of `apt-cache search` names.
fn release_of(line: &str) -> Option<&str> {
    let name = line.split(' ').next()?;
    name.strip_prefix("linux-image-")
        .or_else(|| name.strip_prefix("linux-binary-"))
}

/// The newest release of a series, `5.10` or [`NEWEST`].
fn newest_of<'a>(releases: &'a [String], series: &str) -> Option<&'a str> {
    let wanted = numbers(series);
    let of_series =
        |release: &&String| series == NEWEST || (wanted.len() == 2 && numbers(release).starts_with(&wanted));
    // The lists also name metapackages (`6.1-cloud-amd64`): a release has three numbers.
    let mut all: Vec<&String> = releases
        .iter()
        .filter(|release| numbers(release).len() >= 3)
        .filter(of_series)
        .collect();
    all.sort_by_key(|release| Reverse(numbers(release)));
    all.first().map(|release| release.as_str())
}

/// The numbers in a release, without those of the architecture's name.
fn numbers(release: &str) -> Vec<u64> {
    let release = release.split("-cloud").next().unwrap_or(release);
    release
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|word| word.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_release_of_a_series_goes_by_numbers() {
        let releases = [
            "6.1.0-9-cloud-amd64",
            "6.1.0-57-cloud-amd64",
            "6.1.0-0.deb11.52-cloud-amd64",
            "6.1-cloud-amd64",
            "6.12.9+deb13-cloud-amd64",
            "6.12.118+deb13-cloud-amd64",
            "7.3.4+deb13-cloud-amd64",
        ]
        .map(str::to_owned);
        assert_eq!(newest_of(&releases, "6.1"), Some("6.1.0-57-cloud-amd64"));
        assert_eq!(newest_of(&releases, "6.12"), Some("6.12.118+deb13-cloud-amd64"));
        assert_eq!(newest_of(&releases, NEWEST), Some("7.3.4+deb13-cloud-amd64"));
        assert_eq!(newest_of(&releases, "5.15"), None);
        assert_eq!(newest_of(&releases, "nonsense"), None);
    }

    #[test]
    fn a_search_names_releases() {
        assert_eq!(
            release_of("linux-binary-7.3.4+deb13-cloud-amd64 - Linux 7.3.4 (kernel image)"),
            Some("7.3.4+deb13-cloud-amd64")
        );
        assert_eq!(release_of("linux-headers-6.1 - headers"), None);
    }
}
