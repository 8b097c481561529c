//! The bytes of a vocabulary's tokens in; out, the tokens that the grammar allows in a state, found by looking at each start
//! that several tokens share only once, and at nothing behind a start that the grammar refuses.

use super::byte_table::{ByteTable, DEAD, State};

/// A start that tokens share.
#[derive(Debug, Clone, Copy)]
struct Node {
    /// Its last byte.
    byte: u8,
    /// Its bytes.
    depth: u32,
    /// The first node behind all that begin with it.
    behind: u32,
    /// The first of [`TokenTrie::ids`] that is this start or follows it.
    first: u32,
    /// Tokens that are just this start.
    count: u32,
}

/// A vocabulary, sorted: nodes in the order of their bytes, each before those that begin with it.
#[derive(Debug)]
pub(super) struct TokenTrie {
    nodes: Vec<Node>,
    /// Tokens in the order of their bytes.
    ids: Vec<u32>,
    /// Bytes of the longest token.
    longest: usize,
}

impl TokenTrie {
    /// Of tokens with their bytes; those without bytes are left out.
    pub fn new<'a>(tokens: impl Iterator<Item = (u32, &'a [u8])>) -> Self {
        let mut sorted: Vec<(&[u8], u32)> =
            tokens.filter(|(_, bytes)| !bytes.is_empty()).map(|(id, bytes)| (bytes, id)).collect();
        sorted.sort_unstable();
        let mut nodes: Vec<Node> = Vec::new();
        // the nodes of the starts of the token before
        let mut open: Vec<usize> = Vec::new();
        let mut before: &[u8] = &[];
        for (i, (bytes, _)) in sorted.iter().enumerate() {
            let shared = before.iter().zip(*bytes).take_while(|(a, b)| a == b).count();
            let end = nodes.len() as u32;
            open.drain(shared..).for_each(|node| nodes[node].behind = end);
            for (depth, &byte) in bytes.iter().enumerate().skip(shared) {
                open.push(nodes.len());
                nodes.push(Node { byte, depth: depth as u32 + 1, behind: 0, first: i as u32, count: 0 });
            }
            if let Some(&node) = open.last() {
                nodes[node].count += 1;
            }
            before = bytes;
        }
        let end = nodes.len() as u32;
        open.into_iter().for_each(|node| nodes[node].behind = end);
        let longest = sorted.iter().map(|(bytes, _)| bytes.len()).max().unwrap_or(0);
        Self { nodes, ids: sorted.into_iter().map(|(_, id)| id).collect(), longest }
    }

    /// Starts that it holds.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Gives `found` the tokens that the grammar allows in `state`, with the state behind them; all tokens of equal bytes at once.
    pub fn walk(&self, table: &ByteTable, state: State, found: &mut dyn FnMut(&[u32], State)) {
        let mut states = vec![state; self.longest + 1];
        let mut at = 0;
        while let Some(node) = self.nodes.get(at) {
            let depth = node.depth as usize;
            let next = table.next(states[depth - 1], node.byte);
            if next == DEAD {
                at = node.behind as usize;
                continue;
            }
            states[depth] = next;
            if node.count > 0 {
                found(&self.ids[node.first as usize..(node.first + node.count) as usize], next);
            }
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::byte_table::START;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_walk_finds_what_trying_each_token_finds(
            tokens in proptest::collection::vec("[<>/thinkobj1, ax\u{e4}]{0,5}|<think>[<obj>1,]{0,6}", 0..60),
            start in "(<think>)?[xt<]{0,2}(<obj>1)?",
        ) {
            let table = ByteTable::new();
            let state = table.after(START, start.as_bytes());
            prop_assume!(state != DEAD);
            let numbered = || tokens.iter().enumerate().map(|(id, text)| (id as u32, text.as_bytes()));
            let mut found = Vec::new();
            TokenTrie::new(numbered()).walk(&table, state, &mut |ids, next| found.extend(ids.iter().map(|&id| (id, next))));
            found.sort_unstable();
            let tried: Vec<(u32, State)> = numbered()
                .filter(|(_, bytes)| !bytes.is_empty())
                .map(|(id, bytes)| (id, table.after(state, bytes)))
                .filter(|(_, next)| *next != DEAD)
                .collect();
            prop_assert_eq!(found, tried);
        }
    }
}
