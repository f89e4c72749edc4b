//! Policy stage: who may use which AI. An exchange's facts in, a verdict out, with the rule that gave it.
//!
//! A policy is a list of rules; the first that fits decides. A rule fits when each condition it names fits; a
//! condition names several values, any of which will do. Observing only: nothing is ever blocked.

use sha2::{Digest, Sha256};

use crate::config::glob::Glob;
use crate::config::yaml::{self, At, Map, Node, Position, Problem, Reader, shown, unknown_word};

/// Most rules in one policy.
pub const MAX_RULES: usize = 10_000;

/// What a policy says about an exchange; the words of `policy_verdict`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    /// Allowed.
    Sanctioned,
    /// Not allowed: shadow AI.
    Unsanctioned,
    /// The policy does not say, or there is none.
    Unknown,
}

impl Verdict {
    /// All words, in the order of the variants.
    pub const NAMES: [&'static str; 3] = ["sanctioned", "unsanctioned", "unknown"];
    const ALL: [Self; 3] = [Self::Sanctioned, Self::Unsanctioned, Self::Unknown];

    /// Name as stored.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// The facts that a policy is asked about. Whatever is not known is `None` or empty and fits no condition.
#[derive(Debug, Clone, Copy, Default)]
pub struct Subject<'a> {
    /// `gen_ai.provider.name`.
    pub provider: &'a str,
    /// Host name of the request, without port.
    pub host: &'a str,
    /// Numeric user.
    pub uid: Option<u32>,
    /// Name of that user.
    pub user: &'a str,
    /// Path of the executable.
    pub executable: &'a str,
    /// Kubernetes namespace; empty where there is none.
    pub namespace: &'a str,
}

/// A verdict and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judgement<'a> {
    /// The verdict.
    pub verdict: Verdict,
    /// The rule that fitted; empty where none did and the default holds.
    pub rule_id: &'a str,
    /// Version of the policy; empty without one.
    pub policy_version: &'a str,
}

/// A policy, valid as used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    id: String,
    version: String,
    default: Verdict,
    rules: Vec<Rule>,
    digest: [u8; 32],
    warnings: Vec<Problem>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    id: String,
    verdict: Verdict,
    /// One list per condition of [`CONDITIONS`], empty for "any".
    conditions: [Vec<Glob>; CONDITIONS.len()],
}

const CONDITIONS: [&str; 5] = ["provider", "host", "user", "executable", "namespace"];
const RULE_KEYS: [&str; 7] = [
    "id",
    "verdict",
    "provider",
    "host",
    "user",
    "executable",
    "namespace",
];

impl Policy {
    /// No policy: every verdict is unknown. Its identifier is `none`.
    pub fn none() -> Self {
        Self {
            id: "none".to_owned(),
            version: String::new(),
            default: Verdict::Unknown,
            rules: Vec::new(),
            digest: Sha256::digest(b"").into(),
            warnings: Vec::new(),
        }
    }

    /// Reads a policy. All problems are reported at once, each with file and line.
    pub fn parse(text: &str, file_name: &str) -> Result<Self, Vec<Problem>> {
        let mut reader = Reader::new(file_name);
        let policy = match yaml::parse(file_name, text) {
            Ok(root) => read_policy(&mut reader, root.as_ref()),
            Err(problem) => {
                reader.add(problem);
                None
            }
        };
        match policy {
            Some(mut policy) if reader.is_clean() => {
                policy.digest = Sha256::digest(text.as_bytes()).into();
                for warning in &mut policy.warnings {
                    file_name.clone_into(&mut warning.file);
                }
                Ok(policy)
            }
            _ => Err(reader.finish()),
        }
    }

    /// The verdict on `subject`.
    pub fn evaluate(&self, subject: &Subject<'_>) -> Judgement<'_> {
        let rule = self.rules.iter().find(|rule| rule.fits(subject));
        Judgement {
            verdict: rule.map_or(self.default, |rule| rule.verdict),
            rule_id: rule.map_or("", |rule| &rule.id),
            policy_version: &self.version,
        }
    }

    /// Identifier as stored in `policy_id`: the file's `id`, `default` where it names none, `none` without a policy.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Version as written in the file; empty without a policy.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// SHA-256 of the file's text.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// What is valid but cannot be meant, for example a rule that no exchange can reach.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }
}

impl Rule {
    fn fits(&self, subject: &Subject<'_>) -> bool {
        let uid = subject.uid.map(|uid| uid.to_string()).unwrap_or_default();
        let facts: [[&str; 2]; CONDITIONS.len()] = [
            [subject.provider, ""],
            [subject.host, ""],
            [subject.user, &uid],
            [subject.executable, ""],
            [subject.namespace, ""],
        ];
        let known =
            |facts: [&str; 2], glob: &Glob| facts.iter().any(|fact| !fact.is_empty() && glob.matches(fact));
        self.conditions
            .iter()
            .zip(facts)
            .all(|(globs, facts)| globs.is_empty() || globs.iter().any(|glob| known(facts, glob)))
    }

    /// Whether every exchange fits.
    fn takes_all(&self) -> bool {
        self.conditions.iter().all(Vec::is_empty)
    }

    /// Whether every exchange that fits `other` fits this rule too, judged by the words alone.
    fn covers(&self, other: &Self) -> bool {
        self.conditions
            .iter()
            .zip(&other.conditions)
            .all(|(mine, theirs)| {
                mine.is_empty() || (!theirs.is_empty() && theirs.iter().all(|glob| mine.contains(glob)))
            })
    }
}

fn read_policy(reader: &mut Reader, root: Option<&Node>) -> Option<Policy> {
    let Some(root) = root else {
        reader.problem(
            Position::default(),
            "an empty policy; it needs `version`, `default` and `rules`",
        );
        return None;
    };
    let map = reader.mapping(root, "a policy", &["id", "version", "default", "rules"])?;
    let id = reader
        .text_of(&map, "id")
        .map_or_else(|| "default".to_owned(), |id| id.value);
    let version = reader.required_text(&map, "a policy", "version");
    let default = required_verdict(reader, &map, "a policy", "default");
    let mut rules: Vec<(At<()>, Rule)> = Vec::new();
    let list = map.get("rules").and_then(|node| reader.sequence(node, "`rules`"));
    for node in list.unwrap_or_default() {
        if rules.len() >= MAX_RULES {
            reader.problem(node.at, format!("more than {MAX_RULES} rules"));
            break;
        }
        let Some(rule) = read_rule(reader, node) else {
            continue;
        };
        if rules.iter().any(|(_, r)| r.id == rule.id) {
            reader.problem(node.at, format!("rule `{}` stands twice", shown(&rule.id)));
        }
        rules.push((
            At {
                at: node.at,
                value: (),
            },
            rule,
        ));
    }
    let warnings = unreachable_rules(&rules);
    let rules = rules.into_iter().map(|(_, rule)| rule).collect();
    Some(Policy {
        id,
        version: version?.value,
        default: default?,
        rules,
        digest: [0; 32],
        warnings,
    })
}

fn required_verdict(reader: &mut Reader, map: &Map<'_>, what: &str, key: &str) -> Option<Verdict> {
    if map.get(key).is_none() {
        reader.problem(
            map.at,
            format!("{what} needs `{key}`, one of {}", Verdict::NAMES.join(", ")),
        );
    }
    reader
        .word_of(map, key, &Verdict::NAMES)
        .map(|index| Verdict::ALL[index])
}

fn read_rule(reader: &mut Reader, node: &Node) -> Option<Rule> {
    let map = reader.mapping(node, "a rule", &RULE_KEYS)?;
    let id = reader.required_text(&map, "a rule", "id");
    let what = id.as_ref().map_or_else(
        || "a rule".to_owned(),
        |id| format!("rule `{}`", shown(&id.value)),
    );
    let verdict = required_verdict(reader, &map, &what, "verdict");
    let conditions = CONDITIONS.map(|key| read_condition(reader, &map, &what, key));
    Some(Rule {
        id: id?.value,
        verdict: verdict?,
        conditions,
    })
}

fn read_condition(reader: &mut Reader, map: &Map<'_>, what: &str, key: &str) -> Vec<Glob> {
    let texts = reader.texts_of(map, key);
    let empty_list =
        matches!(map.get(key).map(|n| &n.value), Some(yaml::Value::Sequence(items)) if items.is_empty());
    if empty_list {
        let message =
            format!("{what}: `{key}` is an empty list, which nothing fits; leave it out for any {key}");
        reader.problem(map.get(key).map(|n| n.at).unwrap_or_default(), message);
    }
    let mut globs = Vec::new();
    for text in texts {
        let fault = match key {
            "host" => host_fault(&text.value),
            "executable" if !text.value.starts_with(['/', '*', '?']) => {
                Some("must be a full path, beginning with / or *".to_owned())
            }
            "provider" if text.value.contains(char::is_uppercase) => Some(unknown_word(
                "provider",
                &text.value,
                "`provider`",
                &[&text.value.to_lowercase()],
            )),
            _ => None,
        };
        if let Some(fault) = fault {
            reader.problem(
                text.at,
                format!("{what}: `{}` in `{key}` {fault}", shown(&text.value)),
            );
            continue;
        }
        // Host names know no case; everything else does.
        let pattern = if key == "host" {
            text.value.to_ascii_lowercase()
        } else {
            text.value
        };
        match Glob::new(&pattern, key == "host") {
            Ok(glob) => globs.push(glob),
            Err(fault) => reader.problem(
                text.at,
                format!("{what}: `{}` in `{key}` {fault}", shown(&pattern)),
            ),
        }
    }
    globs
}

fn host_fault(host: &str) -> Option<String> {
    let fault = if host.contains("://") || host.contains('/') {
        "must be a host name, without scheme and path"
    } else if host
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()))
        && !host.contains("::")
    {
        "must be a host name, without a port"
    } else {
        return None;
    };
    Some(fault.to_owned())
}

/// Rules that can never decide, because an earlier one takes all that they would take.
fn unreachable_rules(rules: &[(At<()>, Rule)]) -> Vec<Problem> {
    let mut warnings = Vec::new();
    for (index, (at, rule)) in rules.iter().enumerate().take(1_000) {
        let Some((_, earlier)) = rules[..index].iter().find(|(_, earlier)| earlier.covers(rule)) else {
            continue;
        };
        let why = if earlier.takes_all() {
            "takes every exchange"
        } else {
            "takes all that it would take"
        };
        let message = format!(
            "warning: rule `{}` is never reached, because rule `{}` before it {why}",
            shown(&rule.id),
            shown(&earlier.id)
        );
        warnings.push(Problem {
            file: String::new(),
            line: at.at.line,
            column: at.at.column,
            message,
        });
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = r#"
version: "2026-11-24"
default: unsanctioned
rules:
  - id: openai-for-everyone
    verdict: sanctioned
    provider: [openai, azure.ai.openai]
    host: ["api.openai.com", "*.openai.azure.com"]
  - id: root-may-not
    verdict: unsanctioned
    user: [root]
  - id: python-of-1000
    verdict: sanctioned
    user: ["1000"]
    executable: ["/usr/bin/curl", "/usr/lib/python3*"]
  - id: research
    verdict: unknown
    namespace: ["research-*"]
"#;

    fn judge<'p>(policy: &'p Policy, subject: &Subject<'_>) -> (&'static str, &'p str) {
        let judgement = policy.evaluate(subject);
        (judgement.verdict.name(), judgement.rule_id)
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let policy = Policy::parse(POLICY, "p.yaml").unwrap();
        assert_eq!(
            (policy.version(), policy.id(), policy.warnings().len()),
            ("2026-11-24", "default", 0)
        );
        let base = Subject {
            provider: "openai",
            host: "api.openai.com",
            ..Subject::default()
        };
        let cases: [(&str, Subject<'_>, (&str, &str)); 11] = [
            ("named host", base, ("sanctioned", "openai-for-everyone")),
            (
                "before another",
                Subject {
                    user: "root",
                    uid: Some(0),
                    ..base
                },
                ("sanctioned", "openai-for-everyone"),
            ),
            (
                "pattern",
                Subject {
                    host: "x.OpenAI.azure.com",
                    ..base
                },
                ("sanctioned", "openai-for-everyone"),
            ),
            (
                "not the bare domain",
                Subject {
                    host: "openai.azure.com",
                    ..base
                },
                ("unsanctioned", ""),
            ),
            (
                "not as a suffix",
                Subject {
                    host: "evil-api.openai.com",
                    ..base
                },
                ("unsanctioned", ""),
            ),
            (
                "other provider",
                Subject {
                    provider: "groq",
                    ..base
                },
                ("unsanctioned", ""),
            ),
            (
                "by name",
                Subject {
                    provider: "groq",
                    user: "root",
                    ..base
                },
                ("unsanctioned", "root-may-not"),
            ),
            (
                "by number and path",
                Subject {
                    provider: "groq",
                    uid: Some(1000),
                    executable: "/usr/lib/python3.11/bin/x",
                    ..base
                },
                ("sanctioned", "python-of-1000"),
            ),
            (
                "all conditions must fit",
                Subject {
                    provider: "groq",
                    uid: Some(1001),
                    executable: "/usr/bin/curl",
                    ..base
                },
                ("unsanctioned", ""),
            ),
            (
                "namespace",
                Subject {
                    provider: "groq",
                    namespace: "research-a",
                    ..base
                },
                ("unknown", "research"),
            ),
            ("nothing known", Subject::default(), ("unsanctioned", "")),
        ];
        for (name, subject, wanted) in cases {
            assert_eq!(judge(&policy, &subject), wanted, "{name}");
        }
    }

    #[test]
    fn unknown_facts_fit_no_condition() {
        let policy = Policy::parse(
            "version: '1'\ndefault: unknown\nrules: [{id: a, verdict: sanctioned, user: ['*'], namespace: ['*']}]",
            "p",
        )
        .unwrap();
        assert_eq!(
            judge(
                &policy,
                &Subject {
                    user: "x",
                    ..Subject::default()
                }
            ),
            ("unknown", "")
        );
        assert_eq!(
            judge(
                &policy,
                &Subject {
                    user: "x",
                    namespace: "n",
                    ..Subject::default()
                }
            ),
            ("sanctioned", "a")
        );
    }

    #[test]
    fn without_a_policy_nothing_is_judged() {
        let policy = Policy::none();
        let judgement = policy.evaluate(&Subject {
            provider: "openai",
            ..Subject::default()
        });
        assert_eq!(
            judgement,
            Judgement {
                verdict: Verdict::Unknown,
                rule_id: "",
                policy_version: ""
            }
        );
        assert_eq!(policy.id(), "none");
    }

    #[test]
    fn the_digest_is_that_of_the_text() {
        let policy = Policy::parse(POLICY, "p.yaml").unwrap();
        assert_eq!(
            policy.digest(),
            <[u8; 32]>::from(Sha256::digest(POLICY.as_bytes()))
        );
        assert_ne!(
            policy.digest(),
            Policy::parse(&format!("{POLICY}# x"), "p").unwrap().digest()
        );
    }

    #[test]
    fn all_errors_at_once() {
        let text = "\
default: forbidden
owner: me
rules:
  - id: a
    verdict: sanctionned
    host: [\"https://api.openai.com/v1\", \"api.openai.com:443\"]
  - verdict: sanctioned
    provider: openai
  - id: a
    verdict: unknown
    executable: [curl]
    users: [root]
  - id: b
    verdict: unknown
    namespace: []
  - just text
";
        let problems = Policy::parse(text, "policy.yaml").unwrap_err();
        let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let wanted = [
            "policy.yaml:1:1: a policy needs `version`",
            "policy.yaml:1:10: unknown value `forbidden` in `default`; allowed: sanctioned, unsanctioned, unknown",
            "policy.yaml:2:1: unknown key `owner` in a policy; allowed: id, version, default, rules",
            "policy.yaml:5:14: unknown value `sanctionned` in `verdict`; did you mean `sanctioned`?",
            "policy.yaml:6:12: rule `a`: `https://api.openai.com/v1` in `host` must be a host name",
            "policy.yaml:6:41: rule `a`: `api.openai.com:443` in `host` must be a host name, without a port",
            "policy.yaml:7:5: a rule needs `id`",
            "policy.yaml:8:15: `provider` must be a list; this is a single value",
            "policy.yaml:11:18: rule `a`: `curl` in `executable` must be a full path",
            "policy.yaml:12:5: unknown key `users` in a rule; did you mean `user`?",
            "policy.yaml:15:16: rule `b`: `namespace` is an empty list",
            "policy.yaml:16:5: a rule must be a mapping",
        ];
        for line in wanted {
            assert!(
                shown.iter().any(|s| s.starts_with(line)),
                "{line}\nnot in {shown:#?}"
            );
        }
        assert_eq!(shown.len(), wanted.len(), "{shown:#?}");
    }

    #[test]
    fn a_rule_twice_is_an_error_and_files_without_sense_are_refused() {
        let twice =
            "version: '1'\ndefault: unknown\nrules: [{id: a, verdict: unknown}, {id: a, verdict: unknown}]";
        assert!(
            Policy::parse(twice, "p").unwrap_err()[0]
                .to_string()
                .contains("stands twice")
        );
        for text in [
            "",
            "- a\n",
            "version: [1]\ndefault: unknown\n",
            "a: b: c\n",
            "x: &a [*a, *a]\n",
        ] {
            assert!(!Policy::parse(text, "p").unwrap_err().is_empty(), "{text:?}");
        }
    }

    #[test]
    fn rules_that_cannot_be_reached_are_named() {
        let text = "\
version: '1'
default: unknown
rules:
  - {id: one, verdict: sanctioned, provider: [openai, groq]}
  - {id: two, verdict: sanctioned, provider: [groq], user: [root]}
  - {id: all, verdict: unsanctioned}
  - {id: late, verdict: sanctioned, provider: [cohere]}
";
        let policy = Policy::parse(text, "p.yaml").unwrap();
        let warnings: Vec<String> = policy.warnings().iter().map(ToString::to_string).collect();
        assert_eq!(
            warnings,
            [
                "p.yaml:5:5: warning: rule `two` is never reached, because rule `one` before it takes all that it would take",
                "p.yaml:7:5: warning: rule `late` is never reached, because rule `one` before it takes every exchange"
                    .replace("`one`", "`all`")
                    .as_str(),
            ]
        );
    }
}
