//! Follows conversations, so that their turns can be read in order.
//!
//! Where neither body nor head nor path names a conversation, a request belongs to that of the response it goes on from, and otherwise to that
//! of the longest request before it (of the same user and container) whose turns it begins with. What begins alike is one conversation
//! until it goes on differently; what no request before begins with is a new one, named by a keyed hash of its turns.

use std::{
    collections::HashMap,
    hash::{Hash, Hasher},
    sync::Arc,
};

use super::Rulebook;
use crate::{dialect::Turn, exchange::Exchange, identity::Identity};

/// Requests after which the older half of what is remembered goes.
pub(super) const MAX_REMEMBERED: usize = 16_384;
/// What a name that Observer gave begins with.
pub(super) const GIVEN: &str = "turns-";
/// Operations (`gen_ai.operation.name`) that have turns.
const WITH_TURNS: &[&str] = &["chat", "generate_content", "invoke_agent", "text_completion"];

/// What a later request can be recognised by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Sign {
    /// Whose, and what was said.
    Said(Whose, Turn),
    /// The response that it goes on from.
    Response(Box<str>),
}

/// User and container: others who say the same are in another conversation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Whose {
    uid: u32,
    container: u64,
}

/// A map of at most twice `most` entries that forgets what was not used for longest, half of it at a time.
pub(super) struct Recent<K, V> {
    most: usize,
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Eq + Hash + Clone, V: Clone> Recent<K, V> {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            young: HashMap::new(),
            old: HashMap::new(),
        }
    }

    pub(super) fn put(&mut self, key: K, value: V) {
        if self.young.len() >= self.most && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    pub(super) fn get(&mut self, key: &K) -> Option<V> {
        if let Some(value) = self.young.get(key) {
            return Some(value.clone());
        }
        let value = self.old.remove(key)?;
        self.put(key.clone(), value.clone());
        Some(value)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

/// See the module.
pub(super) struct Conversations {
    known: Recent<Sign, Arc<str>>,
}

impl Default for Conversations {
    fn default() -> Self {
        Self {
            known: Recent::new(MAX_REMEMBERED),
        }
    }
}

impl Conversations {
    /// The conversation of an exchange of this process; empty where it has none.
    pub(super) fn take(&mut self, process: &Identity, exchange: &Exchange, book: &Rulebook) -> Arc<str> {
        let whose = Whose::of(process);
        let turns = if WITH_TURNS.contains(&exchange.operation) {
            exchange.ties.turns.as_slice()
        } else {
            &[]
        };
        let stated = exchange.conversation_id.as_deref();
        let id = match (stated, exchange.previous_response_id.as_deref()) {
            (Some(stated), _) => stated.into(),
            (None, Some(previous)) => self
                .known
                .get(&Sign::Response(previous.into()))
                .unwrap_or_else(|| previous.into()),
            (None, None) => self
                .begun_with(&whose, turns)
                .unwrap_or_else(|| given(&whose, turns, book)),
        };
        if id.is_empty() {
            return id;
        }
        if let Some(all) = turns.last().filter(|_| stated.is_none()) {
            self.known.put(Sign::Said(whose, *all), Arc::clone(&id));
        }
        if let Some(response) = &exchange.response_id {
            self.known
                .put(Sign::Response(response.as_str().into()), Arc::clone(&id));
        }
        id
    }

    /// The conversation of the longest request before that this one begins with.
    fn begun_with(&mut self, whose: &Whose, turns: &[Turn]) -> Option<Arc<str>> {
        let mut longest_first = turns.iter().rev();
        longest_first.find_map(|turn| self.known.get(&Sign::Said(whose.clone(), *turn)))
    }
}

impl Whose {
    fn of(process: &Identity) -> Self {
        let mut hash = twox_hash::XxHash64::with_seed(0);
        hash.write(process.container_id.as_bytes());
        Self {
            uid: process.uid,
            container: hash.finish(),
        }
    }
}

/// Name of a conversation that begins here.
fn given(whose: &Whose, turns: &[Turn], book: &Rulebook) -> Arc<str> {
    let Some(all) = turns.last() else {
        return Arc::default();
    };
    let mut of = all.to_vec();
    of.extend(whose.uid.to_le_bytes());
    of.extend(whose.container.to_le_bytes());
    of.extend(book.host_name.as_bytes());
    format!("{GIVEN}{}", hex::encode(book.key.tagged("conversation", &of))).into()
}
