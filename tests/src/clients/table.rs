//! What describes a client: where it comes from, how it is started and what it should do. Nothing here is a result.

/// Where a client comes from, and so how it is installed and how its version is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A Debian package (or the same program from elsewhere, when `program` is in the path already).
    Debian {
        /// Package to install.
        package: &'static str,
        /// Program that shows that it is there.
        program: &'static str,
    },
    /// A package of `requirements.txt`; an empty name is Python itself.
    Pypi(&'static str),
    /// A package of `package.json`.
    Npm(&'static str),
    /// A package of `older/package.json`: another version, under a name of its own.
    OlderNpm(&'static str),
    /// The program under `go/`, built by the Go of this folder with these flags.
    Go {
        /// Root of the Go installation; the Debian package that brings it, when it is not there.
        root: &'static str,
        /// See `root`; empty when no package does.
        package: &'static str,
        /// Name of the built file.
        file: &'static str,
        /// Flags of `go build`.
        flags: &'static [&'static str],
    },
    /// The program under `rust/`, built with this feature.
    Rust {
        /// Feature, which is a TLS stack.
        feature: &'static str,
        /// Without its symbols.
        stripped: bool,
    },
}

/// One row of the matrix.
#[derive(Debug, Clone, Copy)]
pub struct Client {
    /// Name in the table and on the command line.
    pub name: &'static str,
    /// Where it comes from.
    pub source: Source,
    /// TLS stack that it is built with, by its makers' sources (design/tls-stacks.md); what Observer found is a result.
    pub stack: &'static str,
    /// Program and arguments. `{venv}`, `{node}`, `{older}`, `{bin}` and `{scripts}` stand for folders.
    pub command: &'static [&'static str],
    /// AI calls that it makes at least; the endpoint must see them, else the client did not run well.
    pub calls: usize,
    /// Further environment, `NAME=value`; `NAME` alone takes a variable away.
    pub environment: &'static [&'static str],
    /// Whether the endpoint offers WebSockets.
    pub web_sockets: bool,
    /// Ends with an error although all went well, as a package index without the package.
    pub may_fail: bool,
}

impl Client {
    /// The client ends with an error although all went well.
    pub(super) const fn failing(mut self) -> Self {
        self.may_fail = true;
        self
    }
}

/// Names that lead to the endpoint in the sandbox: the services, and what the tools ask beside them.
pub(super) const HOSTS: &[&str] = &[
    "api.openai.com",
    "api.anthropic.com",
    "generativelanguage.googleapis.com",
    "api.mistral.ai",
    "api.githubcopilot.com",
    "chatgpt.com",
    "api.github.com",
    "registry.npmjs.org",
    "cloudcode-pa.googleapis.com",
];
