//! The helper process itself: loads libssl as programs do, and makes calls when it is told to.
//!
//! Protocol: it says `ready PATH`, or `none WHY` and ends. A line `PORT NONCE` is an order; it answers `ok` or what failed.
//! The end of its standard input, which is the daemon's end, is its own.

use std::{
    ffi::{CString, c_char, c_int, c_long, c_void},
    io::{BufRead, Write},
    net::{Ipv4Addr, TcpStream},
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};

use rustix::thread::CapabilitySet;

use super::{Call, SERVER_NAME};
use crate::privilege;

/// Names under which the loader finds it.
const NAMES: [&str; 2] = ["libssl.so.3", "libssl.so.1.1"];

/// Where it is in the host's own root, for a daemon in a container without one.
const HOST_ROOT: &str = "/proc/1/root";
const FOLDERS: [&str; 6] = [
    "usr/lib/x86_64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
    "usr/lib64",
    "usr/lib",
    "lib64",
    "lib",
];

/// Longest time for one step of a call.
const STEP: Duration = Duration::from_secs(2);

/// `SSL_CTRL_SET_TLSEXT_HOSTNAME` and `TLSEXT_NAMETYPE_host_name` of `openssl/tls1.h`.
const SET_HOST_NAME: c_int = 55;
const HOST_NAME: c_long = 0;

type Pointer = *mut c_void;

/// The functions of libssl (`openssl/ssl.h`, the same in 1.1 and 3) that a client needs.
struct Api {
    new: unsafe extern "C" fn(Pointer) -> Pointer,
    free: unsafe extern "C" fn(Pointer),
    set_fd: unsafe extern "C" fn(Pointer, c_int) -> c_int,
    ctrl: unsafe extern "C" fn(Pointer, c_int, c_long, *mut c_void) -> c_long,
    connect: unsafe extern "C" fn(Pointer) -> c_int,
    write: unsafe extern "C" fn(Pointer, *const c_void, c_int) -> c_int,
    read: unsafe extern "C" fn(Pointer, *mut c_void, c_int) -> c_int,
    shutdown: unsafe extern "C" fn(Pointer) -> c_int,
    /// `SSL_CTX *`, for all calls.
    context: Pointer,
    /// Never unloaded: OpenSSL has handlers for the end of the process.
    _library: std::mem::ManuallyDrop<Library>,
}

/// The helper's whole life. Ends when its input does.
///
/// # Errors
/// When it cannot read or write its own pipes.
pub fn run(library: Option<&Path>, orders: impl BufRead, mut says: impl Write) -> std::io::Result<()> {
    let mut say = |line: &str| {
        writeln!(says, "{line}")?;
        says.flush()
    };
    let (api, path) = match load(library) {
        Ok(loaded) => loaded,
        Err(error) => return say(&format!("none {error:#}")),
    };
    // The library may have come through another process's root, which takes a capability; the calls take none.
    privilege::confine(Some(CapabilitySet::empty()), None);
    say(&format!("ready {path}"))?;
    for order in orders.lines() {
        match call(&api, &order?) {
            Ok(()) => say("ok")?,
            Err(error) => say(&format!("{error:#}"))?,
        }
    }
    Ok(())
}

fn load(library: Option<&Path>) -> anyhow::Result<(Api, String)> {
    let mut tried = String::from("no libssl that can be used on this host");
    for (path, crypto) in candidates(library) {
        match open(&path, crypto.as_deref()) {
            Ok(api) => return Ok((api, path.display().to_string())),
            Err(error) => tried = format!("{}: {error:#}", path.display()).replace('\n', " "),
        }
    }
    bail!(tried)
}

/// Files to try, with the libcrypto that has to be loaded before where the loader would not find it.
fn candidates(library: Option<&Path>) -> Vec<(PathBuf, Option<PathBuf>)> {
    if let Some(path) = library {
        return vec![(path.to_owned(), None)];
    }
    let mut all: Vec<(PathBuf, Option<PathBuf>)> = NAMES.map(|name| (name.into(), None)).into();
    for folder in FOLDERS {
        let folder = Path::new(HOST_ROOT).join(folder);
        for name in NAMES {
            let crypto = folder.join(name.replace("ssl", "crypto"));
            if folder.join(name).exists() {
                all.push((folder.join(name), Some(crypto)));
            }
        }
    }
    all
}

fn open(path: &Path, crypto: Option<&Path>) -> anyhow::Result<Api> {
    if let Some(crypto) = crypto {
        // SAFETY: loading libcrypto runs its initialisers, which are made to be run in any program.
        let crypto = unsafe { Library::open(Some(crypto), RTLD_NOW | RTLD_GLOBAL) }?;
        std::mem::forget(crypto);
    }
    // SAFETY: as above, of libssl.
    let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_GLOBAL) }?;
    macro_rules! function {
        ($name:literal) => {
            // SAFETY: the types are those of `openssl/ssl.h`.
            *unsafe { library.get(concat!($name, "\0").as_bytes()) }.context($name)?
        };
    }
    let method: unsafe extern "C" fn() -> Pointer = function!("TLS_client_method");
    let new_context: unsafe extern "C" fn(Pointer) -> Pointer = function!("SSL_CTX_new");
    // SAFETY: a client's context does not verify its server unless told to; the method is static data of the library.
    let context = unsafe { new_context(method()) };
    if context.is_null() {
        bail!("SSL_CTX_new failed");
    }
    Ok(Api {
        new: function!("SSL_new"),
        free: function!("SSL_free"),
        set_fd: function!("SSL_set_fd"),
        ctrl: function!("SSL_ctrl"),
        connect: function!("SSL_connect"),
        write: function!("SSL_write"),
        read: function!("SSL_read"),
        shutdown: function!("SSL_shutdown"),
        context,
        _library: std::mem::ManuallyDrop::new(library),
    })
}

fn call(api: &Api, order: &str) -> anyhow::Result<()> {
    let (port, nonce) = order.split_once(' ').context("an order is a port and a nonce")?;
    let nonce = hex::decode(nonce).ok().and_then(|n| n.try_into().ok());
    let call = Call::new(nonce.context("the nonce is not 16 bytes")?);
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port.parse()?)).context("connect")?;
    stream.set_read_timeout(Some(STEP))?;
    stream.set_write_timeout(Some(STEP))?;
    stream.set_nodelay(true)?;
    // SAFETY: the context is valid for the life of the process; the result is checked.
    let session = unsafe { (api.new)(api.context) };
    if session.is_null() {
        bail!("SSL_new failed");
    }
    let done = exchange(api, session, &stream, &call);
    // SAFETY: the session is ours and not used after this.
    unsafe { (api.free)(session) };
    done
}

/// One call on a fresh session.
fn exchange(api: &Api, session: Pointer, stream: &TcpStream, call: &Call) -> anyhow::Result<()> {
    let name = CString::new(SERVER_NAME)?;
    let name: *const c_char = name.as_ptr();
    // SAFETY: the session is valid; the descriptor is open and the name (which is copied) lives until all calls here are
    // done.
    unsafe {
        if (api.set_fd)(session, stream.as_raw_fd()) != 1 {
            bail!("SSL_set_fd failed");
        }
        (api.ctrl)(session, SET_HOST_NAME, HOST_NAME, name.cast_mut().cast());
        if (api.connect)(session) != 1 {
            bail!("SSL_connect failed");
        }
    }
    let request = call.request();
    let length = c_int::try_from(request.len())?;
    // SAFETY: the buffer has this length.
    if unsafe { (api.write)(session, request.as_ptr().cast(), length) } != length {
        bail!("SSL_write failed");
    }
    let expected = call.answer();
    let mut answer = Vec::new();
    let mut buffer = [0u8; 512];
    while answer.len() < expected.len() {
        // SAFETY: the buffer has this length.
        let count = unsafe { (api.read)(session, buffer.as_mut_ptr().cast(), 512) };
        let Some(some) = usize::try_from(count).ok().filter(|n| *n > 0) else {
            bail!("SSL_read failed");
        };
        answer.extend_from_slice(&buffer[..some]);
    }
    // SAFETY: the session is valid.
    unsafe { (api.shutdown)(session) };
    if answer != expected {
        bail!("another answer than expected");
    }
    Ok(())
}
