//! What policy and register can ask about an exchange, and the answers for one exchange.

use crate::sensitive::Severity;

macro_rules! attributes {
    ($( $(#[$meta:meta])* $name:ident = $key:literal, )*) => {
        /// Something that is known about an exchange. The words are keys of policy and register.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Attribute {
            $( $(#[$meta])* $name, )*
        }

        impl Attribute {
            /// All of them, in the order of their numbers.
            pub const ALL: [Self; Self::COUNT] = [$(Self::$name),*];
            /// How many there are.
            pub const COUNT: usize = [$($key),*].len();
            /// Their keys, in the order of their numbers.
            pub const NAMES: [&'static str; Self::COUNT] = [$($key),*];
        }
    };
}

attributes! {
    /// `gen_ai.provider.name`.
    Provider = "provider",
    /// Host name of the AI service, in lower case, without port.
    Host = "host",
    /// Model asked for, and model that answered.
    Model = "model",
    /// `gen_ai.operation.name`.
    Operation = "operation",
    /// Path of the request as a template.
    Path = "path",
    /// Kubernetes namespace.
    Namespace = "namespace",
    /// Name of the workload.
    Workload = "workload",
    /// Service account of the pod.
    ServiceAccount = "service_account",
    /// Real user: name and number.
    User = "user",
    /// User who logged in, whatever sudo and su did since: name and number.
    LoginUser = "login_user",
    /// Path of the executable.
    Executable = "executable",
    /// SHA-256 of the executable, 64 hexadecimal digits.
    ExecutableSha256 = "executable_sha256",
    /// Name of the observed host.
    Machine = "machine",
    /// Fingerprint of the account whose key was used, or an account that the service itself named.
    Account = "account",
    /// What the client says of its account: organisation, project, subject of a token. Nobody checked it.
    ClaimedAccount = "claimed_account",
    /// Client program by its user agent. Nobody checked it.
    Client = "client",
    /// MCP server by its own word. Nobody checked it.
    McpServer = "mcp_server",
    /// Path of the executable of an MCP server that is called over its standard input and output.
    McpServerExecutable = "mcp_server_executable",
    /// Whether the process asked (`client`) or was asked (`server`).
    Role = "role",
    /// Entry or system of the register that the exchange fell under.
    System = "system",
    /// What the register says: a word of [`super::register::Standing`].
    Register = "register",
}

/// Words of [`Attribute::Role`].
pub const ROLES: [&str; 2] = ["client", "server"];

impl Attribute {
    /// Its key.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// The attribute with this key.
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES
            .iter()
            .position(|key| *key == name)
            .map(|index| Self::ALL[index])
    }

    /// Whether somebody says it of himself and nobody checked it, so that no permission may rest on it.
    pub fn is_claim(self) -> bool {
        matches!(self, Self::ClaimedAccount | Self::Client | Self::McpServer)
    }
}

/// Most values that one attribute has.
const MAX_VALUES: usize = 4;

/// A finding, as policy sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FindingFact<'a> {
    /// Word of `finding_type`.
    pub class: &'a str,
    /// Rule for sensitive data.
    pub rule: &'a str,
    /// How bad it is.
    pub severity: Severity,
    /// Word of `direction`: prompt, response, tool_args or tool_result.
    pub place: &'a str,
}

/// The facts that a policy is asked about. Whatever is not known is absent and fits no condition.
#[derive(Debug, Clone, Default)]
pub struct Subject<'a> {
    values: [[&'a str; MAX_VALUES]; Attribute::COUNT],
    /// Sensitive data in it. Published examples are left out.
    pub findings: &'a [FindingFact<'a>],
    /// When it happened, ns since the Unix epoch: the register is asked for that time.
    pub at_ns: i64,
}

impl<'a> Subject<'a> {
    /// A subject of this time, with these findings and nothing else.
    pub fn at(at_ns: i64, findings: &'a [FindingFact<'a>]) -> Self {
        Self {
            at_ns,
            findings,
            ..Self::default()
        }
    }

    /// Adds a value; empty ones are not known. A value beyond the fourth of its attribute is left out.
    #[must_use]
    pub fn with(mut self, attribute: Attribute, value: &'a str) -> Self {
        self.add(attribute, value);
        self
    }

    /// As [`Self::with`].
    pub fn add(&mut self, attribute: Attribute, value: &'a str) {
        if value.is_empty() {
            return;
        }
        if let Some(free) = self.values[attribute as usize].iter_mut().find(|v| v.is_empty()) {
            *free = value;
        }
    }

    /// Values of an attribute.
    pub fn values(&self, attribute: Attribute) -> impl Iterator<Item = &'a str> + use<'a> {
        self.values[attribute as usize]
            .into_iter()
            .take_while(|v| !v.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_absent() {
        let subject = Subject::default()
            .with(Attribute::User, "")
            .with(Attribute::User, "a");
        assert_eq!(subject.values(Attribute::User).collect::<Vec<_>>(), ["a"]);
        let mut full = Subject::default();
        for name in ["a", "b", "c", "d", "e"] {
            full.add(Attribute::Account, name);
        }
        assert_eq!(full.values(Attribute::Account).count(), MAX_VALUES);
    }

    #[test]
    fn names_lead_back() {
        for attribute in Attribute::ALL {
            assert_eq!(Attribute::named(attribute.name()), Some(attribute));
        }
        assert_eq!(Attribute::named("hots"), None);
    }
}
