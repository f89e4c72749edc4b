//! The images that the node runs: Observer's own, and one with curl for everything else. As archives, since there is no registry.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};

use super::{AREA, cache};
use crate::run::{check, output, step};
use crate::{build, image};

/// Repository and tag of Observer's image.
pub(super) const OBSERVER: (&str, &str) = ("localhost/observer-cluster/observer", "test");
/// A Debian with curl: the pods that call, and the pause container.
pub(super) const CLIENT: &str = "localhost/observer-cluster/client:test";

/// All archives, to be brought to containerd.
pub(super) fn archives() -> [PathBuf; 2] {
    ["observer", "client"].map(|name| cache().join("images").join(format!("{name}.tar")))
}

/// Makes what is not there yet, or older than the daemon.
pub(super) fn build() -> Result<()> {
    let [observer, client] = archives();
    std::fs::create_dir_all(cache().join("images")).context("cannot make the folder of the images")?;
    if is_older(&observer, &build::daemon()) {
        let (repository, tag) = OBSERVER;
        let name = format!("{repository}:{tag}");
        image::run(&image::Args::prebuilt_on_debootstrap(&name))?;
        save(&name, &observer)?;
    }
    if !client.exists() {
        step(AREA, "image of the client", make_client)?;
        save(CLIENT, &client)?;
    }
    Ok(())
}

fn make_client() -> Result<()> {
    let container =
        output(image::buildah().args(["from", image::LOCAL_BASE])).context("buildah from failed")?;
    let install = "apt-get update -q && apt-get install -q -y --no-install-recommends curl ca-certificates";
    check(
        image::buildah()
            .args([
                "run",
                "--isolation",
                "chroot",
                "--network",
                "host",
                &container,
                "--",
            ])
            .args(["sh", "-c", install]),
    )?;
    check(image::buildah().args([
        "config",
        "--env",
        "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
        "--entrypoint",
        "[\"sleep\", \"infinity\"]",
        "--cmd",
        "",
        &container,
    ]))?;
    check(image::buildah().args(["commit", "--quiet", "--rm", &container, CLIENT]))
}

fn save(name: &str, archive: &Path) -> Result<()> {
    if archive.exists() {
        std::fs::remove_file(archive)?;
    }
    step(AREA, &format!("save {name}"), || {
        check(
            image::buildah()
                .args(["push", "--quiet", name])
                .arg(format!("docker-archive:{}:{name}", archive.display())),
        )
    })
}

fn is_older(file: &Path, than: &Path) -> bool {
    let time = |path: &Path| {
        path.metadata()
            .and_then(|data| data.modified())
            .unwrap_or(SystemTime::UNIX_EPOCH)
    };
    time(file) <= time(than)
}
