//! Users and processes that policy cannot tell apart.

use std::collections::HashMap;

use observer_common::enforce::CLASS_NOT_SEEN;

/// Members of classes, and one of each class to stand for all.
#[derive(Debug)]
pub(super) struct Classes<T> {
    by_signature: HashMap<Vec<bool>, u32>,
    /// The class with number n is at n - 1.
    first: Vec<T>,
    most: usize,
}

impl<T> Classes<T> {
    /// At most so many classes. Whoever would need another one counts as not seen.
    pub(super) fn new(most: usize) -> Self {
        Self {
            by_signature: HashMap::new(),
            first: Vec::new(),
            most,
        }
    }

    /// Class of a member with this signature, and whether it is new. An empty signature needs no class: nobody is told apart.
    pub(super) fn of(&mut self, signature: Vec<bool>, member: impl FnOnce() -> T) -> (u32, bool) {
        if signature.is_empty() {
            return (CLASS_NOT_SEEN, false);
        }
        if let Some(class) = self.by_signature.get(&signature) {
            return (*class, false);
        }
        if self.first.len() >= self.most {
            return (CLASS_NOT_SEEN, false);
        }
        self.first.push(member());
        let class = u32::try_from(self.first.len()).unwrap_or(CLASS_NOT_SEEN);
        self.by_signature.insert(signature, class);
        (class, true)
    }

    /// All classes with one member of each; `None` is whoever was not seen.
    pub(super) fn all(&self) -> impl Iterator<Item = (u32, Option<&T>)> {
        let seen = (1..).zip(self.first.iter().map(Some));
        std::iter::once((CLASS_NOT_SEEN, None)).chain(seen)
    }

    pub(super) fn clear(&mut self) {
        self.by_signature.clear();
        self.first.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_are_told_apart_have_classes_within_the_limit() {
        let mut classes = Classes::new(2);
        assert_eq!(classes.of(vec![], || "x"), (CLASS_NOT_SEEN, false));
        assert_eq!(classes.of(vec![true], || "a"), (1, true));
        assert_eq!(classes.of(vec![false], || "b"), (2, true));
        assert_eq!(classes.of(vec![true], || "c"), (1, false));
        assert_eq!(
            classes.of(vec![true, true], || "d"),
            (CLASS_NOT_SEEN, false),
            "no more room"
        );
        let all: Vec<_> = classes.all().collect();
        assert_eq!(all, [(0, None), (1, Some(&"a")), (2, Some(&"b"))]);
    }
}
