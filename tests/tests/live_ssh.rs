//! Live kernel: a call from a real ssh session names who logged in, the session, the terminal and where the session came from.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use observer_tests::harness::{Host, Options, Process, free_address, live, skip};
use serde_json::Value;

const SSHD: &str = "/usr/sbin/sshd";
const PRIVSEP: &str = "/run/sshd";

fn text<'r>(row: &'r Value, column: &str) -> &'r str {
    row[column].as_str().unwrap_or_default()
}

fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| format!("cannot start {program}"))?;
    ensure!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// A user of this host, for as long as the test runs.
struct User(String);

impl User {
    fn make() -> Result<Self> {
        let name = format!("obstest{}", std::process::id());
        run("useradd", &["--create-home", "--shell", "/bin/sh", &name])?;
        Ok(Self(name))
    }

    fn id(&self) -> Result<u64> {
        let output = Command::new("id").args(["-u", &self.0]).output()?;
        String::from_utf8_lossy(&output.stdout)
            .trim()
            .parse()
            .context("no user id")
    }
}

impl Drop for User {
    fn drop(&mut self) {
        // What is left of its sessions ends with the daemon of ssh, a moment before.
        for _ in 0..50 {
            if run("userdel", &["--remove", &self.0]).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }
}

/// The directory that sshd wants, made where it is not there.
struct Privsep(bool);

impl Privsep {
    fn make() -> Result<Self> {
        let is_new = !Path::new(PRIVSEP).exists();
        if is_new {
            fs::create_dir(PRIVSEP)?;
            fs::set_permissions(PRIVSEP, Permissions::from_mode(0o755))?;
        }
        Ok(Self(is_new))
    }
}

impl Drop for Privsep {
    fn drop(&mut self) {
        if self.0 {
            let _ = fs::remove_dir(PRIVSEP);
        }
    }
}

/// A daemon of ssh with keys and configuration of its own. Fields are dropped in this order.
struct Sshd {
    _daemon: Process,
    user: User,
    _privsep: Privsep,
    port: u16,
    key: PathBuf,
}

impl Sshd {
    fn start(folder: &Path) -> Result<Self> {
        let (privsep, user) = (Privsep::make()?, User::make()?);
        let (host_key, key) = (folder.join("ssh_host_key"), folder.join("ssh_key"));
        for file in [&host_key, &key] {
            let path = file.to_str().context("path")?;
            run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", path])?;
        }
        let authorized = folder.join("authorized_keys");
        fs::copy(key.with_extension("pub"), &authorized)?;
        let port = free_address()?.port();
        let config = folder.join("sshd_config");
        fs::write(
            &config,
            format!(
                "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nUsePAM yes\n\
                 PasswordAuthentication no\nKbdInteractiveAuthentication no\nStrictModes no\nAllowUsers {}\nUseDNS no\n",
                host_key.display(),
                authorized.display(),
                user.0
            ),
        )?;
        let mut command = Command::new(SSHD);
        command.args(["-D", "-e", "-f"]).arg(&config);
        let mut daemon = Process::start("sshd", folder, &mut command)?;
        daemon.wait_for("it listens", std::time::Duration::from_secs(20), || {
            std::net::TcpStream::connect(("127.0.0.1", port)).ok()
        })?;
        Ok(Self {
            _daemon: daemon,
            user,
            _privsep: privsep,
            port,
            key,
        })
    }

    /// Runs a command in a session, with a terminal or without.
    fn session(&self, terminal: bool, command: &str) -> Result<()> {
        let (port, key) = (self.port.to_string(), self.key.to_str().context("path")?);
        let target = format!("{}@127.0.0.1", self.user.0);
        let mut arguments = vec!["-i", key, "-p", &port, "-o", "StrictHostKeyChecking=no"];
        arguments.extend([
            "-o",
            "UserKnownHostsFile=/dev/null",
            "-o",
            "BatchMode=yes",
            "-F",
            "none",
        ]);
        if terminal {
            arguments.push("-tt");
        }
        arguments.extend([target.as_str(), command]);
        run("ssh", &arguments)
    }
}

#[test]
fn a_call_from_an_ssh_session_names_login_session_and_source() -> Result<()> {
    let Some(_live) = live() else { return Ok(()) };
    if !Path::new(SSHD).exists() {
        skip("no sshd (Debian: openssh-server)");
        return Ok(());
    }
    let host = Host::start(Options::default())?;
    fs::set_permissions(host.dir(), Permissions::from_mode(0o755))?;
    let sshd = Sshd::start(host.dir())?;
    let curl = |model: &str| {
        format!(
            "curl --silent --show-error --max-time 60 --cacert {} --connect-to ::127.0.0.1:{} --header 'Content-Type: application/json' \
             --data '{{\"model\":\"{model}\",\"messages\":[{{\"role\":\"user\",\"content\":\"hi\"}}]}}' https://api.openai.com/v1/chat/completions; true",
            host.dir().join("ca.pem").display(),
            host.endpoint.port()
        )
    };
    sshd.session(false, &curl("without-terminal"))?;
    sshd.session(true, &curl("with-terminal"))?;
    let user = (sshd.user.0.clone(), sshd.user.id()?);
    drop(sshd);
    let record = host.finish(2)?;
    let of = |model: &str| {
        let mut rows = record.interactions.iter();
        rows.find(|row| text(row, "gen_ai_request_model") == model)
            .with_context(|| format!("no row of {model}"))
    };
    let (plain, terminal) = (of("without-terminal")?, of("with-terminal")?);
    for row in [plain, terminal] {
        assert_eq!(
            [
                text(row, "user_name"),
                text(row, "login_user_name"),
                text(row, "ssh_client_address")
            ],
            [&user.0, &user.0, "127.0.0.1"],
            "{row}"
        );
        assert_eq!([&row["user_id"], &row["login_uid"]], [&Value::from(user.1); 2]);
        ensure!(row["audit_session_id"] != u32::MAX, "{row}");
        let above = row["process_ancestry"].as_array().context("no ancestry")?;
        ensure!(above.iter().any(|name| name == "sshd"), "{above:?}");
    }
    assert_eq!(text(plain, "process_tty"), "");
    ensure!(text(terminal, "process_tty").starts_with("pts/"), "{terminal}");
    assert_ne!(
        plain["audit_session_id"], terminal["audit_session_id"],
        "two sessions"
    );
    Ok(())
}
