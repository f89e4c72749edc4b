//! Who calls: the account of a request and the program, as they say themselves.

/// A credential in clear. Its `Debug` shows nothing and it has no `Display` or `Serialize`.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential(pub Vec<u8>);

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credential(..)")
    }
}

/// What kind of credential or account a request uses; the words of `account_kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AccountKind {
    /// A key that was made for programs.
    ApiKey,
    /// A token that was issued for a time and tells nothing about itself.
    OauthToken,
    /// A JSON web token.
    Jwt,
    /// Access key id of AWS; the request is signed with its secret.
    AwsAccessKey,
    /// User name and password.
    Basic,
    /// An account of ChatGPT, named beside the token.
    ChatgptAccount,
    /// An account of GitHub Copilot, named in its token.
    CopilotAccount,
}

impl AccountKind {
    /// Name as stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::ApiKey => "api_key",
            Self::OauthToken => "oauth_token",
            Self::Jwt => "jwt",
            Self::AwsAccessKey => "aws_access_key",
            Self::Basic => "basic",
            Self::ChatgptAccount => "chatgpt_account",
            Self::CopilotAccount => "copilot_account",
        }
    }
}

/// Who says what an account is called; the words of `account_organization_source`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClaimSource {
    /// The client, in a field or in a token that nobody verified here.
    Client,
    /// The service, in the head of its answer.
    Service,
    /// The address that was called is the customer's own.
    Address,
}

impl ClaimSource {
    /// Name as stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "claimed",
            Self::Service => "service",
            Self::Address => "address",
        }
    }
}

/// A name and who says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The name.
    pub value: String,
    /// Who says it.
    pub source: ClaimSource,
}

/// Whose account a request uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// Kind of the credential, or of the account that was named.
    pub kind: Option<AccountKind>,
    /// What names the account while tokens change, for a keyed hash only. A claim. `None`: the credential itself does.
    pub stable_id: Option<Credential>,
    /// Organisation, tenant or resource.
    pub organization: Option<Claim>,
    /// Project or deployment.
    pub project: Option<Claim>,
    /// Issuer of the token, claimed.
    pub issuer: Option<String>,
    /// Subject of the token, claimed; not kept where it is a mail address.
    pub subject: Option<String>,
    /// Plan or seat that the token names, claimed.
    pub plan: Option<String>,
}

/// What kind of program calls; the words of `client_kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClientKind {
    /// Library of a provider, or one generated for it.
    Sdk,
    /// Library over several providers.
    Framework,
    /// A program that works on code by itself and starts other programs.
    CodingAgent,
}

impl ClientKind {
    /// Name as stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sdk => "sdk",
            Self::Framework => "framework",
            Self::CodingAgent => "coding_agent",
        }
    }
}

/// The program that calls, as it says itself. What is not known is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Client {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Kind.
    pub kind: Option<ClientKind>,
    /// SDK below it.
    pub sdk: String,
    /// Version of the SDK.
    pub sdk_version: String,
}
