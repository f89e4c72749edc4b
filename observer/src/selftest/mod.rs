//! The self-test (shell): in each interval a known call through the host's libssl, to a TLS server of our own on loopback.
//!
//! The daemon does not observe itself, so a helper process makes the call (`observer canary`): it loads the host's libssl, as
//! any program does, and waits for orders on its standard input. The server is rustls, in a thread of the daemon, and accepts
//! one connection for each order. Whether the call came through the probes is the pipeline's to say
//! (`pipeline::selftest`); here is only said whether it was made.

pub mod client;
mod helper;
mod server;

use std::{
    path::PathBuf,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    time::Duration,
};

use sha2::{Digest, Sha256};

use helper::Helper;
use server::Server;

/// Server name of the calls. No such name can exist (RFC 6761 section 6.4).
pub const SERVER_NAME: &str = "selftest.observer.invalid";

/// Longest time for one call.
const CALL_TIME: Duration = Duration::from_secs(2);

/// A helper that broke is not started more often than that.
const RESTART: Duration = Duration::from_secs(5);

/// One call, made different from all others by random bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    nonce: String,
}

impl Call {
    /// A call with this nonce.
    pub fn new(nonce: [u8; 16]) -> Self {
        Self {
            nonce: hex::encode(nonce),
        }
    }

    /// What the helper sends.
    pub fn request(&self) -> Vec<u8> {
        format!(
            "GET /selftest/{} HTTP/1.1\r\nHost: {SERVER_NAME}\r\nConnection: close\r\n\r\n",
            self.nonce
        )
        .into_bytes()
    }

    /// What the server answers: it says that the request arrived as it was.
    pub fn answer(&self) -> Vec<u8> {
        let body = hex::encode(Sha256::digest(&self.nonce));
        let length = body.len();
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{body}")
            .into_bytes()
    }
}

/// What the thread has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The helper runs with this process id and has loaded libssl.
    Ready {
        /// Its process id.
        pid: u32,
    },
    /// There is no self-test on this host, and why.
    Unavailable(String),
    /// The call was made, and both ends got what they should.
    Done,
    /// The call could not be made, and why.
    Broken(String),
}

/// The thread that makes calls. It ends, and the helper with it, when this is dropped.
pub struct SelfTester {
    calls: SyncSender<Call>,
    outcomes: Receiver<Outcome>,
}

impl SelfTester {
    /// Starts thread and helper. `library` is the libssl to use; without it the host's is looked for.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(library: Option<PathBuf>) -> std::io::Result<Self> {
        let (calls, orders) = sync_channel(1);
        let (says, outcomes) = sync_channel(16);
        std::thread::Builder::new()
            .name("selftest".into())
            .spawn(move || {
                if let Err(error) = work(library, &orders, &says) {
                    let _ = says.send(Outcome::Unavailable(format!("{error:#}")));
                }
            })?;
        Ok(Self { calls, outcomes })
    }

    /// Orders a call; false when one is still under way or the thread has ended.
    pub fn order(&self, call: Call) -> bool {
        self.calls.try_send(call).is_ok()
    }

    /// What happened since it was last asked.
    pub fn outcome(&self) -> Option<Outcome> {
        self.outcomes.try_recv().ok()
    }
}

/// Until nobody can order any more.
fn work(library: Option<PathBuf>, orders: &Receiver<Call>, says: &SyncSender<Outcome>) -> anyhow::Result<()> {
    let server = Server::new()?;
    let start = || Helper::start(library.as_deref());
    let mut helper = start()?;
    let say = |outcome| says.send(outcome).is_ok();
    if !say(Outcome::Ready { pid: helper.pid() }) {
        return Ok(());
    }
    while let Ok(call) = orders.recv() {
        let outcome = match one(&server, &mut helper, &call) {
            Ok(()) => Outcome::Done,
            Err(error) => Outcome::Broken(format!("{error:#}")),
        };
        let broken = outcome != Outcome::Done;
        if !say(outcome) {
            return Ok(());
        }
        if broken {
            drop(helper);
            std::thread::sleep(RESTART);
            helper = start()?;
            say(Outcome::Ready { pid: helper.pid() });
        }
    }
    Ok(())
}

fn one(server: &Server, helper: &mut Helper, call: &Call) -> anyhow::Result<()> {
    helper.order(server.port(), &call.nonce)?;
    // Both say what they know: the server's half alone does not explain a helper that failed.
    let served = server.serve(call, CALL_TIME);
    let made = helper.answer(CALL_TIME);
    served.and(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_differ_and_the_answer_depends_on_the_request() {
        let (a, b) = (Call::new([1; 16]), Call::new([2; 16]));
        assert_ne!(a.request(), b.request());
        assert_ne!(a.answer(), b.answer());
        assert!(a.request().ends_with(b"\r\n\r\n"));
    }

    /// Orders of the helper, and what it answered, without a process of its own.
    fn helper(orders: String) -> String {
        let mut says = Vec::new();
        client::run(None, orders.as_bytes(), &mut says).unwrap();
        String::from_utf8(says).unwrap()
    }

    #[test]
    fn a_call_through_the_hosts_libssl_is_served() {
        let server = Server::new().unwrap();
        let call = Call::new([7; 16]);
        let order = format!("{} {}\n", server.port(), call.nonce);
        let client = std::thread::spawn(move || helper(order));
        let served = server.serve(&call, CALL_TIME);
        let says = client.join().unwrap();
        if says.starts_with("none ") {
            return println!("SKIP: {says}");
        }
        served.unwrap();
        assert!(says.starts_with("ready libssl.so."), "{says}");
        assert!(says.ends_with("\nok\n"), "{says}");
    }

    #[test]
    fn strangers_get_nothing_and_do_not_keep_the_call_from_being_made() {
        let server = Server::new().unwrap();
        let call = Call::new([7; 16]);
        let other = format!("{} {}\n", server.port(), Call::new([8; 16]).nonce);
        let order = format!("{} {}\n", server.port(), call.nonce);
        let port = server.port();
        let client = std::thread::spawn(move || {
            drop(std::net::TcpStream::connect(("127.0.0.1", port)));
            (helper(other), helper(order))
        });
        let served = server.serve(&call, CALL_TIME);
        let (stranger, own) = client.join().unwrap();
        if own.starts_with("none ") {
            return println!("SKIP: {own}");
        }
        served.unwrap();
        assert!(stranger.ends_with("SSL_read failed\n"), "{stranger}");
        assert!(own.ends_with("\nok\n"), "{own}");
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        let says = helper("1 zz\nnonsense\n".to_owned());
        if says.starts_with("none ") {
            return println!("SKIP: {says}");
        }
        let lines: Vec<&str> = says.lines().collect();
        assert!(
            lines[1].contains("16 bytes") && lines[2].contains("a port and a nonce"),
            "{says}"
        );
        let mut none = Vec::new();
        let missing = std::path::Path::new("/nonexistent/libssl.so.3");
        client::run(Some(missing), &b""[..], &mut none).unwrap();
        let none = String::from_utf8(none).unwrap();
        assert!(
            none.starts_with("none /nonexistent/libssl.so.3: ") && none.lines().count() == 1,
            "{none}"
        );
    }
}
