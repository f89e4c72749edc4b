//! Tool calls and tool results of a body: names and sizes. Arguments and results themselves are texts like others.

use std::collections::{BTreeMap, HashMap};

use crate::exchange::{ToolUse, ToolUses};

/// Most tool calls whose names a request's results are looked up by.
const MAX_CALLS: usize = 1024;
/// Most streamed tool calls that are put together; fragments of further ones are counted with the last.
const MAX_STREAMED: usize = 256;

/// Size of a value that is JSON below a place, in bytes as JSON without blanks and with escapes undone. The value may also
/// be JSON written as one string; then it is the size of that.
#[derive(Debug, Default)]
pub(super) struct TreeSize {
    depth: usize,
}

impl TreeSize {
    /// A container begins; `first`: it is the first item around it.
    pub(super) fn begin(&mut self, first: bool) -> u64 {
        self.depth += 1;
        1 + u64::from(self.depth > 1 && !first)
    }

    /// It ends.
    pub(super) fn end(&mut self) -> u64 {
        let inside = self.depth > 0;
        self.depth = self.depth.saturating_sub(1);
        u64::from(inside)
    }

    /// A key of this length.
    pub(super) fn key(&self, len: usize) -> u64 {
        if self.depth > 0 { len as u64 + 3 } else { 0 }
    }

    /// A string is over: what is around its text.
    pub(super) fn string_end(&self, first: bool) -> u64 {
        if self.depth > 0 { 2 + u64::from(!first) } else { 0 }
    }

    /// A number or a word of this length.
    pub(super) fn word(&self, len: usize, first: bool) -> u64 {
        len as u64 + u64::from(self.depth > 0 && !first)
    }

    /// The document broke off.
    pub(super) fn reset(&mut self) {
        self.depth = 0;
    }
}

/// An object of a request that may be a tool call or a result.
#[derive(Debug, Default)]
struct Item {
    /// Number of the call that it is.
    call: Option<String>,
    /// Number of the call that it answers.
    answers: Option<String>,
    name: Option<String>,
    /// Its type says that it is a result.
    output: bool,
    /// Bytes of text, and bytes that are known to be a result.
    text: u64,
    result: u64,
}

/// Tool results of a request, each found by its object.
#[derive(Debug, Default)]
pub(super) struct RequestTools {
    open: Vec<Item>,
    /// Names of the calls of earlier turns.
    names: HashMap<String, String>,
    pub(super) results: ToolUses,
    pub(super) size: TreeSize,
    /// Bytes of arguments outside of messages: those of the call that the request itself is (MCP).
    pub(super) arguments: u64,
}

impl RequestTools {
    /// An object begins that may be one.
    pub(super) fn begin(&mut self) {
        self.open.push(Item::default());
    }

    /// The innermost one ends.
    pub(super) fn end(&mut self) {
        let Some(item) = self.open.pop() else { return };
        let is_result = item.answers.is_some() || item.output || (item.result > 0 && item.name.is_some());
        if is_result {
            let name = item
                .name
                .or_else(|| self.names.get(&item.answers.or(item.call)?).cloned());
            let bytes = item.text + item.result;
            let name = name.unwrap_or_default();
            self.results.push(ToolUse { name, bytes });
            return;
        }
        if let (Some(call), Some(name)) = (item.call, item.name) {
            if self.names.len() < MAX_CALLS {
                self.names.insert(call, name);
            }
            return;
        }
        // Parts of a message: what they hold is the message's.
        match self.open.last_mut() {
            Some(around) => {
                around.text += item.text;
                around.result += item.result;
            }
            None if item.result > 0 => {
                let bytes = item.result;
                self.results.push(ToolUse {
                    name: String::new(),
                    bytes,
                });
            }
            None => {}
        }
    }

    pub(super) fn call(&mut self, id: String) {
        if let Some(item) = self.open.last_mut() {
            item.call = Some(id);
        }
    }

    pub(super) fn answers(&mut self, id: String) {
        if let Some(item) = self.open.last_mut() {
            item.answers = Some(id);
        }
    }

    pub(super) fn name(&mut self, name: String) {
        if let Some(item) = self.open.last_mut() {
            item.name = Some(name);
        }
    }

    /// `type` of the innermost object.
    pub(super) fn kind(&mut self, kind: &str) {
        if let Some(item) = self.open.last_mut() {
            item.output = kind.ends_with("_output");
        }
    }

    /// Text of a message.
    pub(super) fn text(&mut self, bytes: u64) {
        if let Some(item) = self.open.last_mut() {
            item.text += bytes;
        }
    }

    /// Text of a result.
    pub(super) fn result(&mut self, bytes: u64) {
        if let Some(item) = self.open.last_mut() {
            item.result += bytes;
        }
    }

    /// Bytes of JSON: of a result, else of arguments.
    pub(super) fn tree(&mut self, result: bool, bytes: u64) {
        if result {
            self.result(bytes);
        } else if self.open.is_empty() {
            self.arguments += bytes;
        }
    }

    /// The document broke off.
    pub(super) fn broken(&mut self) {
        self.open.clear();
        self.size.reset();
    }
}

/// How calls stand in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// One object is one call.
    Whole,
    /// One object is one call, and what came before may have been the same in pieces.
    Repeated,
}

/// A call that comes in pieces.
#[derive(Debug, Default)]
struct Streamed {
    name: String,
    /// Bytes of arguments in pieces.
    pieces: u64,
    /// Bytes of arguments beside them: all of them, or a repetition.
    aside: u64,
}

impl Streamed {
    fn whole(&self) -> ToolUse {
        let bytes = if self.pieces > 0 { self.pieces } else { self.aside };
        ToolUse {
            name: self.name.clone(),
            bytes,
        }
    }
}

/// Tool calls of an answer: whole ones as they come, streamed ones by their numbers.
#[derive(Debug, Default)]
pub(super) struct ResponseTools {
    open: Option<(ToolUse, Form)>,
    whole: ToolUses,
    repeated: ToolUses,
    streamed: BTreeMap<(u64, u64), Streamed>,
    /// Streamed calls for which there was no room.
    beyond: u32,
    /// Bytes of arguments in the current document outside of whole calls.
    pub(super) aside: u64,
    pub(super) size: TreeSize,
    /// Bytes of the result that the answer itself is (MCP): as text, and as JSON.
    pub(super) result: [u64; 2],
}

impl ResponseTools {
    /// An object begins that may be a call.
    pub(super) fn begin(&mut self, form: Form) {
        self.open = Some((ToolUse::default(), form));
    }

    /// It ends; it was a call if it had a name.
    pub(super) fn end(&mut self) {
        match self.open.take() {
            Some((call, _)) if call.name.is_empty() => {}
            Some((call, Form::Whole)) => self.whole.push(call),
            Some((call, Form::Repeated)) => self.repeated.push(call),
            None => {}
        }
    }

    /// The name of the open call; `false` when none is open.
    pub(super) fn name(&mut self, name: &str) -> bool {
        let open = self.open.as_mut();
        open.map(|(call, _)| name.clone_into(&mut call.name)).is_some()
    }

    /// Bytes of arguments.
    pub(super) fn arguments(&mut self, bytes: u64) {
        match &mut self.open {
            Some((call, _)) => call.bytes += bytes,
            None => self.aside += bytes,
        }
    }

    /// A streamed call with this number, if there is room.
    fn numbered(&mut self, number: (u64, u64)) -> Option<&mut Streamed> {
        if self.streamed.len() >= MAX_STREAMED && !self.streamed.contains_key(&number) {
            return None;
        }
        Some(self.streamed.entry(number).or_default())
    }

    /// The name of a streamed call.
    pub(super) fn streamed_name(&mut self, number: (u64, u64), name: String) {
        match self.numbered(number) {
            Some(call) => call.name = name,
            None => self.beyond = self.beyond.saturating_add(1),
        }
    }

    /// A fragment of the arguments of a streamed call.
    pub(super) fn streamed_arguments(&mut self, number: (u64, u64), bytes: u64) {
        if let Some(call) = self.numbered(number) {
            call.pieces += bytes;
        }
    }

    /// The document is over. What stood aside in it belongs to the call with this number, unless its pieces came.
    pub(super) fn document_end(&mut self, number: (u64, u64)) {
        let aside = std::mem::take(&mut self.aside);
        if let Some(call) = self.streamed.get_mut(&number) {
            call.aside = call.aside.max(aside);
        }
        self.open = None;
        self.size.reset();
    }

    /// All calls. `holes`: pieces may be missing, so a repetition says more than they do.
    pub(super) fn all(&self, holes: bool) -> ToolUses {
        let mut all = self.whole.clone();
        let named = self.streamed.values().filter(|call| !call.name.is_empty());
        let streamed: Vec<ToolUse> = named.map(Streamed::whole).collect();
        if self.repeated.count > 0 && (holes || streamed.is_empty()) {
            self.repeated.first.iter().for_each(|call| all.push(call.clone()));
            all.count = all
                .count
                .saturating_add(self.repeated.count - self.repeated.first.len() as u32);
            return all;
        }
        streamed.into_iter().for_each(|call| all.push(call));
        all.count = all.count.saturating_add(self.beyond);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_maps_are_bounded() {
        let mut request = RequestTools::default();
        for n in 0..MAX_CALLS + 10 {
            request.begin();
            request.call(n.to_string());
            request.name("t".to_owned());
            request.end();
            request.begin();
            request.answers(n.to_string());
            request.text(2);
            request.end();
        }
        assert_eq!(request.names.len(), MAX_CALLS);
        assert_eq!(request.results.count as usize, MAX_CALLS + 10);
        assert_eq!(request.results.first.len(), crate::exchange::MAX_TOOL_USES);
        let mut response = ResponseTools::default();
        for n in 0..MAX_STREAMED as u64 + 5 {
            response.streamed_name((0, n), "t".to_owned());
            response.streamed_arguments((0, n), 1);
        }
        assert_eq!(response.streamed.len(), MAX_STREAMED);
        assert_eq!(response.all(false).count as usize, MAX_STREAMED + 5);
    }

    #[test]
    fn parts_without_a_name_belong_to_what_is_around_them() {
        let mut request = RequestTools::default();
        request.begin();
        request.begin();
        request.text(5);
        request.end();
        request.answers("c1".to_owned());
        request.end();
        assert_eq!(request.results.first[0].bytes, 5);
        // Ends without a beginning change nothing.
        request.end();
        assert_eq!(request.results.count, 1);
    }
}
