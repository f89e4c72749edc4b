//! The clients as data: where each comes from, how it is started and what it should do. Nothing here is a result.

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
    /// Program and arguments. `{venv}`, `{node}`, `{bin}` and `{scripts}` stand for folders.
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

const PYTHON_SSL: &str = "OpenSSL of Debian (libssl.so.3, Python's ssl)";
const NODE_SSL: &str = "OpenSSL in the node executable";
const BUN_SSL: &str = "BoringSSL in the executable (Bun), stripped";
const GO_OLD: &str = "/usr/lib/go-1.19";
const GO_NEW: &str = "/usr/local/go";
const STRIP: &[&str] = &["-ldflags=-s -w"];
const PIE: &[&str] = &["-ldflags=-s -w", "-buildmode=pie"];
const URL: &str = "https://api.openai.com/v1/chat/completions";
const BODY: &str =
    r#"{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "What is the answer?"}]}"#;
const JSON: &str = "Content-Type: application/json";
const ASK: &str = "What is the answer?";

const fn debian(
    name: &'static str,
    package: &'static str,
    program: &'static str,
    stack: &'static str,
    command: &'static [&'static str],
) -> Client {
    Client {
        name,
        source: Source::Debian { package, program },
        stack,
        command,
        calls: 1,
        environment: &[],
        web_sockets: true,
        may_fail: false,
    }
}

macro_rules! python {
    ($name:literal, $package:literal, $stack:expr, $call:literal) => {
        Client {
            name: $name,
            source: Source::Pypi($package),
            stack: $stack,
            command: &["{venv}/bin/python", "{scripts}/python_client.py", $call],
            calls: 1,
            environment: &[],
            web_sockets: true,
            may_fail: false,
        }
    };
}

macro_rules! node {
    ($name:literal, $source:expr, $call:literal) => {
        Client {
            name: $name,
            source: $source,
            stack: NODE_SSL,
            command: &["node", "{scripts}/node_client.mjs", $call],
            calls: 1,
            environment: &[],
            web_sockets: true,
            may_fail: false,
        }
    };
}

const fn npm(
    name: &'static str,
    package: &'static str,
    stack: &'static str,
    command: &'static [&'static str],
    environment: &'static [&'static str],
) -> Client {
    Client {
        name,
        source: Source::Npm(package),
        stack,
        command,
        calls: 1,
        environment,
        web_sockets: true,
        may_fail: false,
    }
}

macro_rules! go {
    ($name:literal, $root:expr, $package:literal, $file:literal, $flags:expr $(, $argument:literal)*) => {
        Client {
            name: $name,
            source: Source::Go { root: $root, package: $package, file: $file, flags: $flags },
            stack: "Go crypto/tls",
            command: &[concat!("{bin}/", $file) $(, $argument)*],
            calls: 1,
            environment: &[],
            web_sockets: true,
            may_fail: false,
        }
    };
}

macro_rules! rust {
    ($name:literal, $feature:literal, $stripped:literal, $file:literal, $stack:expr) => {
        Client {
            name: $name,
            source: Source::Rust {
                feature: $feature,
                stripped: $stripped,
            },
            stack: $stack,
            command: &[concat!("{bin}/", $file)],
            calls: 1,
            environment: &[],
            web_sockets: true,
            may_fail: false,
        }
    };
}

const CODEX: &[&str] = &[
    "{node}/node_modules/.bin/codex",
    "exec",
    "--skip-git-repo-check",
    "-m",
    "gpt-5.1-codex",
    ASK,
];
const COPILOT: &[&str] = &["{node}/node_modules/.bin/copilot", "-p", ASK];
const JAVA: &str = "keytool -importcert -noprompt -alias test -file \"$OBSERVER_CA\" -keystore \"$HOME/trust\" \
     -storepass changeit; exec java -Djavax.net.ssl.trustStore=\"$HOME/trust\" \"$1\"";
const FIREFOX: &str = "mkdir -p \"$HOME/profile\"; certutil -N -d \"sql:$HOME/profile\" --empty-password; \
     certutil -A -n test -t C,, -i \"$OBSERVER_CA\" -d \"sql:$HOME/profile\"; \
     exec firefox-esr --headless --profile \"$HOME/profile\" --screenshot \"$HOME/page.png\" https://api.openai.com/page";

/// Every client, in the order in which they run. A client whose file came up before is "known" to the daemon then, as on
/// a host in use.
pub const CLIENTS: &[Client] = &[
    debian(
        "curl, HTTP/1.1",
        "curl",
        "curl",
        "OpenSSL of Debian (libssl.so.3)",
        &["curl", "-sS", "--http1.1", "-H", JSON, "-d", BODY, URL],
    ),
    debian(
        "curl, HTTP/2",
        "curl",
        "curl",
        "OpenSSL of Debian (libssl.so.3)",
        &["curl", "-sS", "--http2", "-H", JSON, "-d", BODY, URL],
    ),
    debian(
        "curl, HTTP/2, compressed",
        "curl",
        "curl",
        "OpenSSL of Debian (libssl.so.3)",
        &["curl", "-sS", "--compressed", "-H", JSON, "-d", BODY, URL],
    ),
    debian(
        "curl, plain HTTP to Ollama",
        "curl",
        "curl",
        "none (plain HTTP)",
        &["curl", "-sS", "-d", BODY, "http://127.0.0.1:11434/api/chat"],
    ),
    debian(
        "wget",
        "wget",
        "wget",
        "GnuTLS of Debian (libgnutls.so.30)",
        &["wget", "-q", "-O-", "--header", JSON, "--post-data", BODY, URL],
    ),
    Client {
        calls: 0,
        ..debian(
            "git, list of an AI host",
            "git",
            "git",
            "GnuTLS of Debian, by libcurl-gnutls",
            &["git", "ls-remote", "https://api.openai.com/repository"],
        )
    }
    .failing(),
    Client {
        calls: 0,
        ..debian(
            "aria2, file of an AI host",
            "aria2",
            "aria2c",
            "GnuTLS of Debian (libgnutls.so.30)",
            &[
                "aria2c",
                "-q",
                "--async-dns=false",
                "--ca-certificate=/etc/ssl/certs/ca-certificates.crt",
                "https://api.openai.com/v1/models",
            ],
        )
    },
    python!("python urllib", "", PYTHON_SSL, "urllib"),
    python!("requests", "requests", PYTHON_SSL, "requests"),
    python!("httpx", "httpx", PYTHON_SSL, "httpx"),
    python!("httpx, HTTP/2", "httpx", PYTHON_SSL, "httpx_h2"),
    Client {
        calls: 3,
        ..python!(
            "httpx async, HTTP/2, 3 at once",
            "httpx",
            PYTHON_SSL,
            "httpx_async_h2"
        )
    },
    python!("aiohttp", "aiohttp", PYTHON_SSL, "aiohttp"),
    python!("openai (Python)", "openai", PYTHON_SSL, "openai_chat"),
    python!("openai (Python), stream", "openai", PYTHON_SSL, "openai_stream"),
    python!(
        "openai (Python), responses",
        "openai",
        PYTHON_SSL,
        "openai_responses"
    ),
    python!(
        "openai (Python), embeddings",
        "openai",
        PYTHON_SSL,
        "openai_embeddings"
    ),
    python!("openai (Python), async", "openai", PYTHON_SSL, "openai_async"),
    python!("anthropic (Python)", "anthropic", PYTHON_SSL, "anthropic_message"),
    python!(
        "anthropic (Python), stream",
        "anthropic",
        PYTHON_SSL,
        "anthropic_stream"
    ),
    python!(
        "anthropic (Python), async",
        "anthropic",
        PYTHON_SSL,
        "anthropic_async"
    ),
    python!("google-genai", "google-genai", PYTHON_SSL, "genai"),
    python!("google-genai, stream", "google-genai", PYTHON_SSL, "genai_stream"),
    python!("google-genai, async", "google-genai", PYTHON_SSL, "genai_async"),
    python!("mistralai", "mistralai", PYTHON_SSL, "mistral"),
    python!("mistralai, stream", "mistralai", PYTHON_SSL, "mistral_stream"),
    python!("litellm, OpenAI", "litellm", PYTHON_SSL, "litellm_openai"),
    python!(
        "litellm async, Anthropic",
        "litellm",
        PYTHON_SSL,
        "litellm_anthropic"
    ),
    python!("websockets, responses", "websockets", PYTHON_SSL, "websockets"),
    python!(
        "ollama (Python), plain HTTP",
        "ollama",
        "none (plain HTTP)",
        "ollama"
    ),
    python!(
        "ollama (Python), stream, plain HTTP",
        "ollama",
        "none (plain HTTP)",
        "ollama_stream"
    ),
    python!(
        "pycurl wheel",
        "pycurl",
        "OpenSSL in the wheel (libssl-<hash>.so.3)",
        "pycurl"
    ),
    python!(
        "curl_cffi wheel",
        "curl_cffi",
        "BoringSSL in the wheel, with symbols",
        "curl_cffi"
    ),
    Client {
        calls: 0,
        ..python!(
            "grpcio wheel, gRPC to Gemini's host",
            "grpcio",
            "BoringSSL in the wheel, stripped",
            "grpc"
        )
    },
    python!(
        "pyOpenSSL",
        "cryptography",
        "OpenSSL in the wheel of cryptography (_rust.abi3.so)",
        "pyopenssl"
    ),
    Client {
        calls: 0,
        may_fail: true,
        ..CLIENT_UV
    },
    node!("node fetch", NODE, "fetch"),
    node!("node https", NODE, "https"),
    node!("node http2", NODE, "http2"),
    Client {
        calls: 3,
        ..node!("node http2, 3 at once", NODE, "http2_three")
    },
    Client {
        calls: 2,
        ..node!("node worker_threads", NODE, "worker")
    },
    node!("openai (JavaScript)", Source::Npm("openai"), "openai"),
    node!(
        "openai (JavaScript), stream",
        Source::Npm("openai"),
        "openai_stream"
    ),
    node!("@anthropic-ai/sdk", Source::Npm("@anthropic-ai/sdk"), "anthropic"),
    node!("@google/genai", Source::Npm("@google/genai"), "genai"),
    Client {
        stack: "none (plain HTTP)",
        ..node!("ollama (JavaScript), plain HTTP", Source::Npm("ollama"), "ollama")
    },
    npm(
        "gemini-cli",
        "@google/gemini-cli",
        NODE_SSL,
        &["{node}/node_modules/.bin/gemini", "-p", ASK],
        &["GEMINI_API_KEY=made-up", "GEMINI_CLI_TRUST_WORKSPACE=true"],
    ),
    npm(
        "claude-code",
        "@anthropic-ai/claude-code",
        BUN_SSL,
        &["{node}/node_modules/.bin/claude", "-p", ASK],
        &[
            "ANTHROPIC_API_KEY=made-up",
            "DISABLE_AUTOUPDATER=1",
            "IS_SANDBOX=1",
        ],
    ),
    npm(
        "opencode, Anthropic",
        "opencode-ai",
        BUN_SSL,
        &[
            "{node}/node_modules/.bin/opencode",
            "run",
            "-m",
            "anthropic/claude-sonnet-4-5",
            ASK,
        ],
        &["ANTHROPIC_API_KEY=made-up", "OPENCODE_DISABLE_AUTOUPDATE=1"],
    ),
    npm(
        "opencode, OpenAI",
        "opencode-ai",
        BUN_SSL,
        &[
            "{node}/node_modules/.bin/opencode",
            "run",
            "-m",
            "openai/gpt-5.1",
            ASK,
        ],
        &["OPENAI_API_KEY=made-up", "OPENCODE_DISABLE_AUTOUPDATE=1"],
    ),
    npm(
        "bun fetch",
        "bun",
        BUN_SSL,
        &[
            "{node}/node_modules/.bin/bun",
            "{scripts}/node_client.mjs",
            "fetch",
        ],
        &[],
    ),
    npm(
        "bun, openai (JavaScript)",
        "bun",
        BUN_SSL,
        &[
            "{node}/node_modules/.bin/bun",
            "{scripts}/node_client.mjs",
            "openai_stream",
        ],
        &[],
    ),
    npm(
        "deno fetch",
        "deno",
        "rustls with aws-lc, stripped",
        &[
            "{node}/node_modules/.bin/deno",
            "run",
            "-A",
            "{scripts}/node_client.mjs",
            "fetch",
        ],
        &[],
    ),
    Client {
        web_sockets: false,
        ..npm(
            "codex, HTTP by its OpenSSL",
            "@openai/codex",
            "OpenSSL in the executable, stripped (rustls beside it)",
            CODEX,
            &["CODEX_API_KEY=made-up", "SSL_CERT_FILE"],
        )
    },
    Client {
        web_sockets: false,
        ..npm(
            "codex, HTTP by rustls",
            "@openai/codex",
            "rustls with aws-lc, stripped",
            CODEX,
            &["CODEX_API_KEY=made-up"],
        )
    },
    npm(
        "codex, WebSocket",
        "@openai/codex",
        "rustls with aws-lc, stripped",
        CODEX,
        &["CODEX_API_KEY=made-up"],
    ),
    npm(
        "copilot CLI, own key",
        "@github/copilot",
        "OpenSSL in runtime.node, stripped, unpacked at the first start",
        COPILOT,
        &[
            "COPILOT_OFFLINE=true",
            "COPILOT_PROVIDER_BASE_URL=https://api.openai.com/v1",
            "COPILOT_PROVIDER_API_KEY=made-up",
            "COPILOT_MODEL=gpt-5.1",
        ],
    ),
    go!("Go net/http, new", GO_NEW, "", "go-new", &[]),
    go!("Go net/http, new, HTTP/1.1", GO_NEW, "", "go-new", &[], "h1"),
    go!("Go net/http, new, stripped", GO_NEW, "", "go-new-stripped", STRIP),
    go!("Go net/http, new, stripped PIE", GO_NEW, "", "go-new-pie", PIE),
    go!("Go net/http, 1.19", GO_OLD, "golang-1.19-go", "go-old", &[]),
    go!(
        "Go net/http, 1.19, stripped",
        GO_OLD,
        "golang-1.19-go",
        "go-old-stripped",
        STRIP
    ),
    go!(
        "Go net/http, 1.19, stripped PIE",
        GO_OLD,
        "golang-1.19-go",
        "go-old-pie",
        PIE
    ),
    Client {
        environment: &["GH_TOKEN=made-up"],
        ..debian(
            "gh",
            "gh",
            "gh",
            "Go crypto/tls, stripped",
            &["gh", "api", "-X", "POST", URL, "-f", "model=gpt-4o-mini"],
        )
    },
    rust!(
        "reqwest, rustls with aws-lc",
        "aws-lc",
        false,
        "reqwest-aws-lc",
        "rustls with aws-lc"
    ),
    rust!(
        "reqwest, rustls with aws-lc, stripped",
        "aws-lc",
        true,
        "reqwest-aws-lc-stripped",
        "rustls with aws-lc, stripped"
    ),
    rust!(
        "reqwest, rustls with ring",
        "ring",
        false,
        "reqwest-ring",
        "rustls with ring"
    ),
    rust!(
        "reqwest, rustls with ring, stripped",
        "ring",
        true,
        "reqwest-ring-stripped",
        "rustls with ring, stripped"
    ),
    rust!(
        "reqwest, native-tls",
        "native",
        false,
        "reqwest-native",
        "OpenSSL of Debian, by rust-openssl"
    ),
    rust!(
        "reqwest, native-tls, stripped",
        "native",
        true,
        "reqwest-native-stripped",
        "OpenSSL of Debian, by rust-openssl"
    ),
    debian(
        "Java HttpClient",
        "openjdk-17-jdk-headless",
        "java",
        "JSSE, compiled as it runs",
        &["sh", "-c", JAVA, "java", "{scripts}/java/Client.java"],
    ),
    debian(
        "Chromium, headless",
        "chromium-headless-shell",
        "chromium-headless-shell",
        "BoringSSL in the executable, stripped",
        &[
            "chromium-headless-shell",
            "--no-sandbox",
            "--disable-gpu",
            "--user-data-dir=profile",
            "--ignore-certificate-errors",
            "--virtual-time-budget=8000",
            "--dump-dom",
            "https://api.openai.com/page",
        ],
    ),
    debian(
        "Firefox, headless",
        "firefox-esr",
        "firefox-esr",
        "NSS of Firefox (libssl3.so)",
        &["sh", "-c", FIREFOX],
    ),
];

const NODE: Source = Source::Debian {
    package: "nodejs",
    program: "node",
};

const CLIENT_UV: Client = Client {
    name: "uv, index on an AI host",
    source: Source::Pypi("uv"),
    stack: "rustls with aws-lc, stripped",
    command: &[
        "{venv}/bin/uv",
        "pip",
        "install",
        "--no-cache",
        "--target",
        "packages",
        "--index-url",
        "https://api.openai.com/simple",
        "no-such-package",
    ],
    calls: 0,
    environment: &[],
    web_sockets: true,
    may_fail: true,
};

impl Client {
    const fn failing(mut self) -> Self {
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
    "statsig.anthropic.com",
    "cloudcode-pa.googleapis.com",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn at_least_thirty_clients_each_with_a_name_of_its_own() {
        let names: BTreeSet<&str> = CLIENTS.iter().map(|client| client.name).collect();
        assert_eq!(names.len(), CLIENTS.len());
        assert!(names.len() >= 30);
        assert!(CLIENTS.iter().all(|client| !client.command.is_empty()));
    }
}
