//! The way of alerts out (shell). One task, one alert at a time. An alert that cannot be sent is tried again until it can, while others
//! wait behind it and, once the queue is full, are counted instead.

use std::{
    io::{self, SeekFrom, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    fs::{File, OpenOptions},
    io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket, UnixDatagram},
    sync::{mpsc, oneshot},
};

use super::{Alert, Counts, Way, syslog};
use crate::config::Outlet;

/// How long connecting, and writing one alert, may take.
const TIME: Duration = Duration::from_secs(10);
/// Pause after the first failure; doubled after each further one.
const PAUSE: Duration = Duration::from_millis(500);
/// Longest pause.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// See the module.
pub struct Sender {
    outlet: Outlet,
    host: String,
    queue: mpsc::Receiver<Alert>,
    counts: Arc<Counts>,
    link: Option<Link>,
    pause: Duration,
    /// One was taken out of the queue and is not out yet.
    under_way: bool,
}

/// What is open.
enum Link {
    Stdout(mpsc::Sender<Job>),
    /// With its device and number: the file can be renamed, and another one made.
    File(File, (u64, u64)),
    Unix(UnixDatagram),
    Udp(UdpSocket),
    Tcp(TcpStream),
}

impl Sender {
    pub(super) fn new(outlet: Outlet, host: &str, queue: mpsc::Receiver<Alert>, counts: Arc<Counts>) -> Self {
        Self {
            outlet,
            host: host.to_owned(),
            queue,
            counts,
            link: None,
            pause: PAUSE,
            under_way: false,
        }
    }

    /// Alerts that wait.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Runs until no row can come any more and all alerts are out. To be ended by [`Self::run_until`] where that takes too long.
    async fn run(&mut self) {
        while let Some(alert) = self.queue.recv().await {
            let Some(event) = alert.event() else { continue };
            self.under_way = true;
            let text = self.text(&alert, &event.to_string());
            loop {
                match self.send(text.as_bytes()).await {
                    Ok(()) => {
                        self.counts.count(Way::Sent, 1);
                        self.well();
                        break;
                    }
                    Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => {
                        self.counts.count(Way::TooLong, 1);
                        break;
                    }
                    Err(error) => self.failed(&error).await,
                }
            }
            self.under_way = false;
        }
    }

    /// Runs until all alerts are out, at most `rest` after `end`. What is left then is counted.
    pub async fn run_until(mut self, end: impl Future<Output = ()>, rest: Duration) {
        let over = async {
            end.await;
            tokio::time::sleep(rest).await;
        };
        let is_done = tokio::select! {
            () = self.run() => true,
            () = over => false,
        };
        if !is_done {
            let left = self.queue.len() as u64 + u64::from(self.under_way);
            self.counts.count(Way::AtTheEnd, left);
            if left > 0 {
                tracing::warn!(left, "alerts were not sent");
            }
        }
    }

    fn text(&self, alert: &Alert, event: &str) -> String {
        let head = syslog::Head {
            severity: alert.severity(),
            ts: alert.ts(),
            host: &self.host,
            pid: std::process::id(),
            kind: alert.kind(),
        };
        match self.outlet {
            Outlet::Stdout | Outlet::File(_) => format!("{event}\n"),
            Outlet::Unix(_) | Outlet::Udp(_) => syslog::message(&head, event),
            Outlet::Tcp(_) => syslog::framed(&syslog::message(&head, event)),
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !self.link.as_ref().is_some_and(|link| link.is_whole(&self.outlet)) {
            self.link = Some(in_time(open(&self.outlet)).await?);
        }
        let Some(link) = &mut self.link else { return Ok(()) };
        // A reader of standard output that stopped reading may take all the time: there is no other way there.
        let done = match link {
            Link::Stdout(_) => link.write(bytes).await,
            _ => in_time(link.write(bytes)).await,
        };
        if done.is_err() {
            self.link = None;
        }
        done
    }

    fn well(&mut self) {
        if self.pause > PAUSE {
            tracing::info!("alerts are sent again");
        }
        self.pause = PAUSE;
    }

    /// Told once, and again when it went well in between.
    async fn failed(&mut self, error: &io::Error) {
        if self.pause == PAUSE {
            tracing::warn!(%error, to = %self.outlet, "alerts cannot be sent; they wait");
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(MAX_PAUSE);
    }
}

impl Link {
    /// Whether it still leads to where it was opened.
    fn is_whole(&self, outlet: &Outlet) -> bool {
        match (self, outlet) {
            (Self::File(_, opened), Outlet::File(path)) => identity(path).is_ok_and(|now| now == *opened),
            // Nobody answers over it: what can be read is its end.
            (Self::Tcp(stream), _) => {
                let mut answer = [0; 64];
                match stream.try_read(&mut answer) {
                    Ok(0) => false,
                    Ok(_) => true,
                    Err(error) => error.kind() == io::ErrorKind::WouldBlock,
                }
            }
            _ => true,
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Stdout(jobs) => {
                let (done, result) = oneshot::channel();
                let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
                let job = (bytes.to_vec(), done);
                jobs.send(job).await.map_err(|_| gone())?;
                result.await.map_err(|_| gone())?
            }
            Self::File(file, _) => {
                file.write_all(bytes).await?;
                file.flush().await
            }
            Self::Unix(socket) => socket.send(bytes).await.map(drop),
            Self::Udp(socket) => socket.send(bytes).await.map(drop),
            Self::Tcp(stream) => stream.write_all(bytes).await,
        }
    }
}

/// Bytes for standard output, and who waits for what came of it.
type Job = (Vec<u8>, oneshot::Sender<io::Result<()>>);

/// Standard output, in a thread that nobody waits for: a reader that stopped reading would hold up the end of the daemon.
fn stdout() -> io::Result<mpsc::Sender<Job>> {
    let (sender, mut jobs) = mpsc::channel::<Job>(1);
    std::thread::Builder::new().name("alerts".into()).spawn(move || {
        while let Some((bytes, done)) = jobs.blocking_recv() {
            let mut out = io::stdout().lock();
            let _ = done.send(out.write_all(&bytes).and_then(|()| out.flush()));
        }
    })?;
    Ok(sender)
}

async fn in_time<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match tokio::time::timeout(TIME, work).await {
        Ok(result) => result,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

async fn open(outlet: &Outlet) -> io::Result<Link> {
    Ok(match outlet {
        Outlet::Stdout => Link::Stdout(stdout()?),
        Outlet::File(path) => file(path).await?,
        Outlet::Unix(path) => {
            let socket = UnixDatagram::unbound()?;
            socket.connect(path)?;
            Link::Unix(socket)
        }
        Outlet::Udp(address) => {
            let peer = tokio::net::lookup_host(address.as_str()).await?.next();
            let peer = peer.ok_or(io::ErrorKind::NotFound)?;
            let any: std::net::IpAddr = if peer.is_ipv4() {
                std::net::Ipv4Addr::UNSPECIFIED.into()
            } else {
                std::net::Ipv6Addr::UNSPECIFIED.into()
            };
            let socket = UdpSocket::bind((any, 0)).await?;
            socket.connect(peer).await?;
            Link::Udp(socket)
        }
        Outlet::Tcp(address) => Link::Tcp(TcpStream::connect(address.as_str()).await?),
    })
}

/// A file to append to. What was left there in the middle of a line, when the disk was full, gets its end: else the next alert would be lost in it.
async fn file(path: &Path) -> io::Result<Link> {
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600);
    // A pipe without a reader must not hold us up before it is refused.
    let mut file = options.custom_flags(libc::O_NONBLOCK).open(path).await?;
    let meta = file.metadata().await?;
    if !meta.is_file() {
        return Err(io::Error::other("not a plain file"));
    }
    if meta.len() > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1)).await?;
        file.read_exact(&mut last).await?;
        if last != *b"\n" {
            file.write_all(b"\n").await?;
            file.flush().await?;
        }
    }
    Ok(Link::File(file, (meta.dev(), meta.ino())))
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let meta = std::fs::metadata::<&Path>(path)?;
    Ok((meta.dev(), meta.ino()))
}

/// Directory that the daemon must go on writing to, where alerts go to a file.
pub(crate) fn directory(outlet: &Outlet) -> Option<PathBuf> {
    match outlet {
        Outlet::File(path) => path.parent().map(Path::to_path_buf),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, future};

    use tokio::net::TcpListener;

    use super::*;
    use crate::{
        alerts::Alerts,
        config,
        evidence::{FindingRow, InteractionRow, Severity},
    };

    /// Starts a sender to `outlet`; gives the door, and the task that ends when the door is dropped.
    fn start(outlet: Outlet) -> (Alerts, tokio::task::JoinHandle<()>) {
        let config = config::Alerts {
            to: Some(outlet),
            findings: Some(1),
            unsanctioned: false,
        };
        let (alerts, sender) = Alerts::new(&config, "web-1");
        let task = sender.unwrap().run_until(future::pending(), Duration::ZERO);
        (alerts, tokio::spawn(task))
    }

    fn alert(alerts: &Alerts, rule: &str) {
        let mut row = FindingRow::unknown();
        (row.severity, row.rule_id) = (Severity::High, rule.to_owned());
        let mut call = InteractionRow::unknown();
        call.process_comm = "client".into();
        alerts.finding(&row, &call);
    }

    fn rules(text: &str) -> Vec<String> {
        let events = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        events
            .map(|event| {
                event["data_security"]["detection_pattern"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect()
    }

    #[tokio::test]
    async fn a_file_gets_a_line_for_each_and_a_new_file_after_a_rename() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("alerts.jsonl");
        let (alerts, task) = start(Outlet::File(path.clone()));
        let counts = alerts.counts();
        let sent = || counts.all().next().unwrap().1;
        alert(&alerts, "one");
        while sent() < 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let old = dir.path().join("alerts.jsonl.1");
        fs::rename(&path, &old).unwrap();
        alert(&alerts, "two");
        alert(&alerts, "three");
        drop(alerts);
        task.await.unwrap();
        assert_eq!(rules(&fs::read_to_string(old).unwrap()), ["one"]);
        assert_eq!(rules(&fs::read_to_string(&path).unwrap()), ["two", "three"]);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn half_a_line_of_before_costs_no_alert() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("alerts.jsonl");
        fs::write(&path, "{\"half").unwrap();
        let (alerts, task) = start(Outlet::File(path.clone()));
        alert(&alerts, "one");
        drop(alerts);
        task.await.unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let (half, whole) = text.split_once('\n').unwrap();
        assert_eq!((half, rules(whole)), ("{\"half", vec!["one".to_owned()]));
    }

    #[tokio::test]
    async fn what_is_no_plain_file_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        for path in [pipe, "/dev/null".into()] {
            assert!(
                open(&Outlet::File(path.clone())).await.is_err(),
                "{}",
                path.display()
            );
        }
    }

    #[tokio::test]
    async fn datagrams_carry_a_message_each() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let (unix, udp) = (
            UnixDatagram::bind(&path).unwrap(),
            UdpSocket::bind("127.0.0.1:0").await.unwrap(),
        );
        let address = udp.local_addr().unwrap().to_string();
        for outlet in [Outlet::Unix(path), Outlet::Udp(address)] {
            let is_unix = matches!(outlet, Outlet::Unix(_));
            let (alerts, _task) = start(outlet);
            alert(&alerts, "key");
            let mut message = vec![0; 65536];
            let length = if is_unix {
                unix.recv(&mut message).await.unwrap()
            } else {
                udp.recv(&mut message).await.unwrap()
            };
            let text = String::from_utf8_lossy(&message[..length]).into_owned();
            let (head, event) = text.split_once(" - ").unwrap();
            assert!(head.starts_with("<107>1 ") && head.ends_with("finding"), "{head}");
            assert_eq!(rules(event), ["key"]);
            assert!(event.contains("\"name\":\"client\""), "with its caller: {event}");
        }
    }

    #[tokio::test]
    async fn a_server_that_goes_away_gets_the_alerts_when_it_is_back() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (alerts, _task) = start(Outlet::Tcp(address.to_string()));
        alert(&alerts, "one");
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut first = vec![0; 8];
        stream.read_exact(&mut first).await.unwrap();
        drop((stream, listener));
        // The end is seen before the next alert is written into nowhere.
        tokio::time::sleep(Duration::from_millis(50)).await;
        alert(&alerts, "two");
        tokio::time::sleep(Duration::from_millis(50)).await;
        let listener = TcpListener::bind(address).await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        drop(alerts);
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let (length, message) = text.split_once(' ').unwrap();
        assert_eq!(length.parse::<usize>().unwrap(), message.len());
        assert!(
            message.contains("\"two\"") && !message.contains("\"one\""),
            "{message}"
        );
    }

    #[tokio::test]
    async fn what_nobody_takes_is_counted_at_the_end() {
        let config = config::Alerts {
            to: Some(Outlet::Unix("/nowhere/log".into())),
            findings: Some(1),
            unsanctioned: false,
        };
        let (alerts, sender) = Alerts::new(&config, "h");
        for _ in 0..3 {
            alert(&alerts, "x");
        }
        sender
            .unwrap()
            .run_until(future::ready(()), Duration::from_millis(20))
            .await;
        assert_eq!(alerts.counts().all().collect::<Vec<_>>()[3], ("daemon_ended", 3));
    }
}
