//! The clients as data, one flat list.

use super::table::{Client, Source};

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

const fn older(
    name: &'static str,
    package: &'static str,
    stack: &'static str,
    command: &'static [&'static str],
    environment: &'static [&'static str],
) -> Client {
    Client {
        source: Source::OlderNpm(package),
        ..npm(name, package, stack, command, environment)
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
const JAVA: &str = "rm -f \"$HOME/trust\"; keytool -importcert -noprompt -alias test -file \"$OBSERVER_CA\" -keystore \"$HOME/trust\" \
     -storepass changeit; exec java -Djavax.net.ssl.trustStore=\"$HOME/trust\" \
     -Djavax.net.ssl.trustStorePassword=changeit \"$1\"";
const RUBY: &str = r#"answer = Net::HTTP.post(URI("https://api.openai.com/v1/chat/completions"), ARGV[0], "Content-Type" => "application/json")
puts answer.body; exit answer.code == "200""#;
const PERL: &str = r#"my $answer = LWP::UserAgent->new->post("https://api.openai.com/v1/chat/completions",
    "Content-Type" => "application/json", Content => $ARGV[0]); print $answer->decoded_content; exit !$answer->is_success"#;
const PHP: &str = r#"$options = ["method" => "POST", "header" => "Content-Type: application/json", "content" => $argv[1]];
$url = "https://api.openai.com/v1/chat/completions";
$answer = file_get_contents($url, false, stream_context_create(["http" => $options])); echo $answer; exit($answer ? 0 : 1);"#;
const FIREFOX: &str = "rm -rf \"$HOME/profile\"; mkdir -p \"$HOME/profile\"; certutil -N -d \"sql:$HOME/profile\" --empty-password; \
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
    Client {
        stack: "Go crypto/tls (utls) in a library of the wheel",
        ..python!("tls-client wheel", "tls-client", "", "tls_client")
    },
    debian(
        "Ruby Net::HTTP",
        "ruby",
        "ruby",
        "OpenSSL of Debian (libssl.so.3)",
        &["ruby", "-rnet/http", "-e", RUBY, BODY],
    ),
    debian(
        "Perl LWP",
        "liblwp-protocol-https-perl",
        "lwp-request",
        "OpenSSL of Debian, by Net::SSLeay",
        &["perl", "-MLWP::UserAgent", "-e", PERL, BODY],
    ),
    debian(
        "PHP streams",
        "php-cli",
        "php",
        "OpenSSL of Debian (libssl.so.3)",
        &["php", "-r", PHP, BODY],
    ),
    older(
        "node 22 fetch",
        "node-22",
        NODE_SSL,
        &[
            "{older}/node_modules/node-22/bin/node",
            "{scripts}/node_client.mjs",
            "fetch",
        ],
        &[],
    ),
    older(
        "node 24 fetch",
        "node-24",
        NODE_SSL,
        &[
            "{older}/node_modules/node-24/bin/node",
            "{scripts}/node_client.mjs",
            "fetch",
        ],
        &[],
    ),
    older(
        "node 24 http2",
        "node-24",
        NODE_SSL,
        &[
            "{older}/node_modules/node-24/bin/node",
            "{scripts}/node_client.mjs",
            "http2",
        ],
        &[],
    ),
    older(
        "bun 1.1 fetch",
        "bun-1.1",
        BUN_SSL,
        &[
            "{older}/node_modules/.bin/bun",
            "{scripts}/node_client.mjs",
            "fetch",
        ],
        &[],
    ),
    older(
        "deno 2.1 fetch",
        "deno-2.1",
        "rustls with aws-lc or ring, stripped",
        &[
            "{older}/node_modules/.bin/deno",
            "run",
            "-A",
            "{scripts}/node_client.mjs",
            "fetch",
        ],
        &[],
    ),
    older(
        "claude-code 2.0, by node",
        "claude-code-2.0",
        NODE_SSL,
        &["{older}/node_modules/.bin/claude", "-p", ASK],
        &[
            "ANTHROPIC_API_KEY=made-up",
            "DISABLE_AUTOUPDATER=1",
            "IS_SANDBOX=1",
        ],
    ),
    older(
        "codex 0.60",
        "codex-0.60",
        "OpenSSL or rustls in the executable, stripped",
        &[
            "{older}/node_modules/.bin/codex",
            "exec",
            "--skip-git-repo-check",
            "-m",
            "gpt-5.1-codex",
            ASK,
        ],
        &["CODEX_API_KEY=made-up"],
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
