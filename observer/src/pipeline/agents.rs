//! Agent sessions: a program that works by itself and starts others, with all that it started. Their calls are one session.
//!
//! A process is known as an agent by what it says in its own calls, or by its name; then the calls of all below it are of its session.
//! Names and user agents are the program's own word, so a session says how things hang together, not who somebody is.

use std::collections::{HashMap, VecDeque};

use crate::{
    exchange::{Client, ClientKind},
    identity::Identity,
};

/// Most agents remembered; the one known longest goes first.
const MAX_AGENTS: usize = 4_096;

/// Command names of agents, as the kernel keeps them. Those that are a runtime with a script are known by their calls.
const COMMANDS: &[(&str, &str)] = &[
    ("claude", "Claude Code"),
    ("codex", "Codex CLI"),
    ("gemini", "Gemini CLI"),
    ("opencode", "OpenCode"),
    ("crush", "Crush"),
    ("aider", "Aider"),
    ("goose", "Goose"),
    ("cursor-agent", "Cursor"),
    ("copilot", "GitHub Copilot CLI"),
    ("q", "Amazon Q Developer"),
    ("qchat", "Amazon Q Developer"),
    ("kiro-cli", "Kiro"),
    ("amp", "Amp"),
    ("droid", "Factory Droid"),
    ("qwen", "Qwen Code"),
];

/// A process by its id and its start in clock ticks.
type Process = (u32, u64);

/// An agent and the session that it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Session {
    /// Name of the agent.
    pub agent: String,
    /// `pid-start`, unique on one host and boot.
    pub id: String,
}

/// Processes that showed themselves as agents.
#[derive(Debug, Default)]
pub(super) struct Agents {
    known: HashMap<Process, String>,
    order: VecDeque<Process>,
}

impl Agents {
    /// A call of this process says who it is.
    pub(super) fn learn(&mut self, process: &Identity, client: &Client) {
        if client.kind != Some(ClientKind::CodingAgent) {
            return;
        }
        let key = (process.key.pid, process.key.start_ticks());
        if self.known.insert(key, client.name.clone()).is_none() {
            self.order.push_back(key);
        }
        while self.known.len() > MAX_AGENTS {
            let Some(oldest) = self.order.pop_front() else {
                return;
            };
            self.known.remove(&oldest);
        }
    }

    /// The session of this process: that of the outermost agent among itself and its ancestors.
    pub(super) fn session(&self, process: &Identity) -> Option<Session> {
        let own = (process.key.pid, process.key.start_ticks(), process.comm.as_str());
        let above = process
            .ancestry
            .iter()
            .map(|a| (a.pid, a.start_ticks, a.comm.as_str()));
        let mut agents = std::iter::once(own)
            .chain(above)
            .filter_map(|(pid, start, comm)| {
                let by_name = || {
                    COMMANDS
                        .iter()
                        .find(|(command, _)| *command == comm)
                        .map(|(_, name)| *name)
                };
                let name = self
                    .known
                    .get(&(pid, start))
                    .map(String::as_str)
                    .or_else(by_name)?;
                Some(Session {
                    agent: name.to_owned(),
                    id: format!("{pid}-{start}"),
                })
            });
        agents.next_back()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Ancestor, ProcessKey};

    fn process(pid: u32, comm: &str, above: &[(u32, &str)]) -> Identity {
        let ancestor = |(pid, comm): &(u32, &str)| Ancestor {
            pid: *pid,
            start_ticks: u64::from(*pid),
            comm: (*comm).to_owned(),
        };
        Identity {
            key: ProcessKey {
                pid,
                start_ns: u64::from(pid) * 10_000_000,
            },
            comm: comm.to_owned(),
            ancestry: above.iter().map(ancestor).collect(),
            ..Identity::default()
        }
    }

    fn agent(name: &str) -> Client {
        Client {
            name: name.to_owned(),
            kind: Some(ClientKind::CodingAgent),
            ..Client::default()
        }
    }

    #[test]
    fn children_belong_to_the_outermost_agent() {
        let mut agents = Agents::default();
        let session = |agents: &Agents, process: &Identity| agents.session(process).map(|s| (s.agent, s.id));
        let child = process(30, "python3", &[(20, "bash"), (10, "node"), (5, "bash")]);
        assert_eq!(session(&agents, &child), None);
        agents.learn(&process(10, "node", &[]), &Client::default());
        assert_eq!(session(&agents, &child), None, "no agent");
        agents.learn(&process(10, "node", &[]), &agent("Claude Code"));
        let wanted = Some(("Claude Code".to_owned(), "10-10".to_owned()));
        assert_eq!(session(&agents, &child), wanted);
        assert_eq!(
            session(&agents, &process(10, "node", &[(5, "bash")])),
            wanted,
            "itself"
        );
        assert_eq!(
            session(&agents, &process(40, "codex", &[(10, "node")])),
            wanted,
            "an agent of an agent"
        );
        // The id is used again by another process.
        let other = Identity {
            ancestry: vec![Ancestor {
                pid: 10,
                start_ticks: 99,
                comm: "node".into(),
            }],
            ..Identity::default()
        };
        assert_eq!(session(&agents, &other), None);
    }

    #[test]
    fn agents_are_known_by_their_names_too_and_bounded() {
        let mut agents = Agents::default();
        let child = process(30, "curl", &[(10, "codex")]);
        assert_eq!(agents.session(&child).unwrap().agent, "Codex CLI");
        for pid in 0..=u32::try_from(MAX_AGENTS).unwrap() {
            agents.learn(&process(pid, "node", &[]), &agent("x"));
        }
        assert_eq!((agents.known.len(), agents.order.len()), (MAX_AGENTS, MAX_AGENTS));
        assert!(agents.session(&process(0, "node", &[])).is_none());
    }
}
