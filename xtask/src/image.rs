//! `cargo xtask image`: the container image of `deploy/Dockerfile`, built with buildah, and a look into what came out.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::run::{check, in_path, is_root, output, root, say, step, work_dir};
use crate::{build, sbom};

const AREA: &str = "image";
const SUITE: &str = "bookworm";
const MIRROR: &str = "http://deb.debian.org/debian";
const SECURITY: &str = "http://deb.debian.org/debian-security";
pub(crate) const LOCAL_BASE: &str = "localhost/observer-base:bookworm";

/// What is asked for.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the image
    #[arg(long, default_value = "localhost/observer:dev")]
    tag: String,
    /// Image to build on; without it the official Debian image
    #[arg(long, value_name = "IMAGE", conflicts_with = "debootstrap")]
    base: Option<String>,
    /// Make the image to build on with debootstrap (root), with this machine's own certificate authorities
    #[arg(long)]
    debootstrap: bool,
    /// Put in the daemon that `cargo xtask build` made here, instead of building it in the image
    #[arg(long)]
    prebuilt: bool,
    /// Also write the image as an OCI archive
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Args {
    /// The daemon that was built here, on a Debian made here.
    pub(crate) fn prebuilt_on_debootstrap(tag: &str) -> Self {
        Self {
            tag: tag.to_owned(),
            base: None,
            debootstrap: true,
            prebuilt: true,
            out: None,
        }
    }
}

/// SBOM, base, image.
pub(crate) fn run(args: &Args) -> Result<()> {
    if !in_path("buildah") {
        bail!("buildah is missing: apt-get install --no-install-recommends buildah");
    }
    sbom::run(&sbom::file())?;
    if args.debootstrap {
        make_base()?;
    }
    let base = if args.debootstrap {
        Some(LOCAL_BASE)
    } else {
        args.base.as_deref()
    };
    let mut command = buildah();
    command.args(["bud", "--layers", "--isolation", "chroot", "--network", "host"]);
    command.args(["--file", "deploy/Dockerfile", "--tag", &args.tag]);
    if let Some(base) = base {
        command.args(["--build-arg", &format!("BUILD_BASE={base}")]);
    }
    if args.prebuilt {
        let binary = root().join("deploy/image/observer");
        std::fs::copy(build::daemon(), &binary).context("no daemon: run `cargo xtask build` first")?;
        command.args(["--build-arg", "PREBUILT=deploy/image/observer"]);
    }
    step(AREA, &format!("buildah bud {}", args.tag), || {
        check(command.arg("."))
    })?;
    look(&args.tag)?;
    if let Some(out) = &args.out {
        let target = format!("oci-archive:{}:{}", out.display(), args.tag);
        step(AREA, &target, || {
            check(buildah().args(["push", &args.tag, &target]))
        })?;
    }
    Ok(())
}

/// Images are kept where Git ignores them, apart from the machine's own.
pub(crate) fn buildah() -> Command {
    let mut command = Command::new("buildah");
    command.current_dir(root());
    command.arg("--root").arg(work_dir().join("images"));
    command.arg("--runroot").arg(work_dir().join("images-run"));
    command.args(["--storage-driver", "overlay"]);
    command
}

/// A minimal Debian with its security updates, as an image.
fn make_base() -> Result<()> {
    if output(buildah().args(["inspect", "--type", "image", LOCAL_BASE])).is_some() {
        return Ok(());
    }
    if !is_root() || !in_path("debootstrap") {
        bail!("--debootstrap needs root and debootstrap (apt-get install debootstrap)");
    }
    let folder = work_dir().join("base");
    if !folder.join("etc/debian_version").exists() {
        step(AREA, "debootstrap (about half a minute)", || {
            check(
                Command::new("debootstrap")
                    .args(["--variant=minbase", SUITE])
                    .arg(&folder)
                    .arg(MIRROR),
            )
        })?;
    }
    let sources = format!(
        "deb {MIRROR} {SUITE} main\ndeb {MIRROR} {SUITE}-updates main\ndeb {SECURITY} {SUITE}-security main\n"
    );
    std::fs::write(folder.join("etc/apt/sources.list"), sources)?;
    own_authorities(&folder)?;
    step(AREA, "base image", || {
        let container = output(buildah().args(["from", "scratch"])).context("buildah from scratch failed")?;
        check(
            buildah()
                .args(["add", "--quiet", &container])
                .arg(&folder)
                .arg("/"),
        )?;
        check(buildah().args(["commit", "--quiet", "--rm", &container, LOCAL_BASE]))
    })
}

/// Authorities that this machine was told to trust, for downloads in the build. The image's own list is Debian's alone.
fn own_authorities(base: &Path) -> Result<()> {
    const FOLDER: &str = "usr/local/share/ca-certificates";
    let target = base.join(FOLDER);
    std::fs::create_dir_all(&target)?;
    let Ok(entries) = std::fs::read_dir(Path::new("/").join(FOLDER)) else {
        return Ok(());
    };
    for entry in entries {
        let path = entry?.path();
        if let Some(name) = path.file_name().filter(|_| path.is_file()) {
            std::fs::copy(&path, target.join(name))?;
        }
    }
    Ok(())
}

/// Says what is in the image, and fails where it holds more than it should.
fn look(tag: &str) -> Result<()> {
    let container = output(buildah().args(["from", "--pull-never", tag])).context("buildah from failed")?;
    let mounted = output(buildah().args(["mount", &container]));
    let judged = mounted
        .as_deref()
        .context("buildah mount failed")
        .and_then(|path| judge(Path::new(path)));
    let _ = output(buildah().args(["rm", &container]));
    judged
}

fn judge(mounted: &Path) -> Result<()> {
    let mut files = Vec::new();
    walk(mounted, &mut files)?;
    let bytes: u64 = files.iter().map(|(_, size)| size).sum();
    say(AREA, &format!("{} files, {} MB", files.len(), bytes / 1_000_000));
    for (path, _) in &files {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if ["sh", "bash", "dash", "busybox", "apt", "dpkg"].contains(&name.as_ref()) {
            bail!("the image holds {}, which it does not need", path.display());
        }
    }
    Ok(())
}

fn walk(folder: &Path, files: &mut Vec<(PathBuf, u64)>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.path().symlink_metadata()?;
        if metadata.is_dir() {
            walk(&entry.path(), files)?;
        } else {
            files.push((entry.path(), metadata.len()));
        }
    }
    Ok(())
}
