//! Every state of [`ByteGuide`] in, a table out: a state and a byte give the next state in one look-up.

use rustc_hash::FxHashMap;

use super::byte_guide::ByteGuide;

/// Number of a state.
pub(super) type State = u16;
/// No text of the grammar goes on so.
pub(super) const DEAD: State = State::MAX;
/// Where a text starts.
pub(super) const START: State = 0;

/// The states that some text leads to, and what each byte makes of them.
#[derive(Debug)]
pub(super) struct ByteTable {
    states: Vec<ByteGuide>,
    next: Vec<[State; 256]>,
}

impl ByteTable {
    /// Every state, found from the start byte by byte; they are some hundreds.
    pub fn new() -> Self {
        let mut states = vec![ByteGuide::default()];
        let mut numbers = FxHashMap::from_iter([(ByteGuide::default(), START)]);
        let mut next: Vec<[State; 256]> = Vec::new();
        while let Some(&state) = states.get(next.len()) {
            let mut row = [DEAD; 256];
            for (byte, to) in (0..=u8::MAX).zip(&mut row) {
                if let Some(guide) = state.next(byte) {
                    *to = *numbers.entry(guide).or_insert_with(|| {
                        states.push(guide);
                        (states.len() - 1) as State
                    });
                }
            }
            next.push(row);
        }
        Self { states, next }
    }

    /// The state behind `state` and `byte`; [`DEAD`] where there is none.
    pub fn next(&self, state: State, byte: u8) -> State {
        self.next[usize::from(state)][usize::from(byte)]
    }

    /// The state behind `state` and `bytes`.
    pub fn after(&self, state: State, bytes: &[u8]) -> State {
        bytes.iter().fold(state, |state, &byte| if state == DEAD { DEAD } else { self.next(state, byte) })
    }

    /// What a state is.
    pub fn guide(&self, state: State) -> ByteGuide {
        self.states[usize::from(state)]
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.states.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar::parse;

    /// So every start of an accepted text is live, and nothing else is: the shortest way in and the shortest way out of each
    /// state are a text of the grammar.
    #[test]
    fn each_state_lies_on_the_way_to_a_text_that_parses() {
        let table = ByteTable::new();
        assert!((300..600).contains(&table.len()), "{} states", table.len());
        let numbers = || 0..table.len() as State;
        let mut ways_in: Vec<Option<Vec<u8>>> = vec![None; table.len()];
        ways_in[0] = Some(Vec::new());
        for state in numbers() {
            let way = ways_in[usize::from(state)].clone().expect("states are numbered as they are found");
            for byte in 0..=u8::MAX {
                let next = table.next(state, byte);
                if next != DEAD && ways_in[usize::from(next)].is_none() {
                    ways_in[usize::from(next)] = Some([way.as_slice(), &[byte]].concat());
                }
            }
        }
        let mut ways_out: Vec<Option<Vec<u8>>> =
            numbers().map(|state| table.guide(state).is_done().then(Vec::new)).collect();
        while ways_out.iter().any(Option::is_none) {
            let before = ways_out.iter().flatten().count();
            for state in numbers().filter(|s| ways_out[usize::from(*s)].is_none()).collect::<Vec<_>>() {
                let found = (0..=u8::MAX).find_map(|byte| {
                    let next = table.next(state, byte);
                    let rest = ways_out.get(usize::from(next))?.as_ref()?;
                    Some([&[byte], rest.as_slice()].concat())
                });
                ways_out[usize::from(state)] = found;
            }
            assert!(ways_out.iter().flatten().count() > before, "states that never end");
        }
        for (way_in, way_out) in ways_in.iter().zip(&ways_out) {
            let text = String::from_utf8([way_in.clone().unwrap(), way_out.clone().unwrap()].concat()).unwrap();
            assert!(parse(&text).is_ok(), "{text:?}");
        }
    }
}
