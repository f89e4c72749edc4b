//! What the guest boots into: an archive with busybox, the daemon, a client, a server and the libraries that these need.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::packages::Kernel;
use crate::build;
use crate::run::{check, output};

const INIT: &str = include_str!("init.sh");

/// The store of the host is at the address that QEMU's user network has for it, and answers under names of its own loopback only.
const HOSTS: &str = "10.0.2.2 localhost\n";

/// How the daemon of a guest is set up.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    /// Identifier of the guest in every row.
    pub(super) host: String,
    /// Port of the store, on this machine's loopback.
    pub(super) store_port: u16,
    /// And its password: without one it answers its own machine only.
    pub(super) password: String,
    /// `capture.function_probes`.
    pub(super) function_probes: &'static str,
    /// Asks the doctor first, which takes as long as the rest: the kernel verifies everything once more.
    pub(super) doctor: bool,
}

/// Writes the part of the archive that all guests share.
pub(super) fn common(dir: &Path) -> Result<PathBuf> {
    let tree = dir.join("tree");
    if tree.exists() {
        std::fs::remove_dir_all(&tree)?;
    }
    let programs = [
        (build::daemon(), "observer"),
        (build::endpoint(), "ai-endpoint"),
        (found("curl")?, "curl"),
    ];
    let mut libraries = BTreeSet::new();
    for (file, name) in &programs {
        libraries.extend(libraries_of(file)?);
        copy(file, &tree.join("usr/bin").join(name))?;
    }
    for library in libraries {
        copy(&library, &tree.join(library.strip_prefix("/")?))?;
    }
    // Line tables are no use in there, and half of the bytes.
    for name in ["observer", "ai-endpoint"] {
        check(Command::new("strip").arg(tree.join("usr/bin").join(name)))?;
    }
    copy(&found("busybox")?, &tree.join("bin/busybox"))?;
    write(&tree.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n")?;
    write(&tree.join("etc/hosts"), HOSTS)?;
    write(&tree.join("init"), INIT)?;
    std::fs::set_permissions(tree.join("init"), PermissionsExt::from_mode(0o755))?;
    let archive = dir.join("common.cpio");
    pack(&tree, &archive)?;
    Ok(archive)
}

/// The whole archive of one guest, in a folder of its own: the common part, modules and configuration behind it.
pub(super) fn archive(dir: &Path, common: &Path, kernel: &Kernel, setup: &Setup) -> Result<PathBuf> {
    let tree = dir.join("own");
    if tree.exists() {
        std::fs::remove_dir_all(&tree)?;
    }
    let mut names = String::new();
    for module in &kernel.modules {
        let name = module.file_name().context("a module without a name")?;
        copy(module, &tree.join("modules").join(name))?;
        names.push_str(&format!("{}\n", name.to_string_lossy()));
    }
    write(&tree.join("modules.list"), &names)?;
    let configuration = configuration(setup);
    write(&tree.join("etc/observer/observer.yaml"), &configuration)?;
    let secret = tree.join("etc/observer/password");
    write(&secret, &setup.password)?;
    std::fs::set_permissions(secret, PermissionsExt::from_mode(0o600))?;
    if setup.doctor {
        let enforced = configuration + "enforcement:\n  mode: dry_run\n";
        write(&tree.join("etc/observer/enforced.yaml"), &enforced)?;
    }
    let (own, whole) = (dir.join("own.cpio"), dir.join("guest.cpio"));
    pack(&tree, &own)?;
    std::fs::copy(common, &whole)?;
    let mut file = File::options().append(true).open(&whole)?;
    std::io::copy(&mut File::open(&own)?, &mut file)?;
    Ok(whole)
}

fn configuration(setup: &Setup) -> String {
    format!(
        "host:\n  id: {host}\n  name: {host}\nstore:\n  url: http://localhost:{port}\n  password_file: password\n  batch_seconds: 0.5\nseal:\n  interval_seconds: 1\n\
         capture:\n  function_probes: {probes}\n  ring_buffer_bytes: 4MiB\nspool:\n  max_bytes: 64MiB\n",
        host = setup.host,
        port = setup.store_port,
        probes = setup.function_probes,
    )
}

/// Libraries that the loader maps for a program, itself included; none for one that is linked statically.
fn libraries_of(program: &Path) -> Result<Vec<PathBuf>> {
    let listed = output(Command::new("ldd").arg(program)).unwrap_or_default();
    if listed.contains("not found") {
        bail!("libraries of {} are missing: {listed}", program.display());
    }
    Ok(paths_in(&listed))
}

fn paths_in(listed: &str) -> Vec<PathBuf> {
    listed
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
        .map(PathBuf::from)
        .collect()
}

fn found(program: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .with_context(|| format!("{program} is missing"))
}

/// Copies what a name stands for, under that name.
fn copy(from: &Path, to: &Path) -> Result<()> {
    make_folder_of(to)?;
    std::fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
    Ok(())
}

fn write(file: &Path, text: &str) -> Result<()> {
    make_folder_of(file)?;
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

fn make_folder_of(file: &Path) -> Result<()> {
    std::fs::create_dir_all(file.parent().context("a file without a folder")?).context("cannot make a folder")
}

/// Packs a folder as the kernel unpacks it (cpio, newc), all of it root's.
fn pack(tree: &Path, archive: &Path) -> Result<()> {
    let names = output(Command::new("find").current_dir(tree).arg(".")).context("find failed")?;
    let mut child = Command::new("cpio")
        .current_dir(tree)
        .args(["--create", "--quiet", "--format=newc", "--owner=0:0"])
        .stdin(Stdio::piped())
        .stdout(File::create(archive)?)
        .spawn()
        .context("cannot start cpio")?;
    let mut input = child.stdin.take().context("cpio takes no names")?;
    writeln!(input, "{names}")?;
    drop(input);
    let status = child.wait()?;
    if !status.success() {
        bail!("cpio ended with {status}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_from_what_ldd_lists() {
        let listed = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f)\n\
                      \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let paths = ["/lib/x86_64-linux-gnu/libm.so.6", "/lib64/ld-linux-x86-64.so.2"].map(PathBuf::from);
        assert_eq!(paths_in(listed), paths);
        assert_eq!(paths_in("\tstatically linked\n"), Vec::<PathBuf>::new());
    }
}
