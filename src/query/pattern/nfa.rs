//! NFA simulation: runs a pattern over a text with all active states at once.
//!
//! Every state that is visited takes a step, so the match is bounded while it runs. No engine of `regex_automata` can
//! do that.

use regex_automata::nfa::thompson::{NFA, State};
use regex_automata::util::primitives::StateID;

use crate::query::verdict::Verdict;
use crate::value::{Steps, TooCostly};

/// Whether the pattern matches anywhere in the text.
pub(super) fn is_match(nfa: &NFA, text: &str, steps: &Steps) -> Verdict {
    let mut now = ActiveStates::new(nfa);
    let mut next = ActiveStates::new(nfa);
    for at in 0..=text.len() {
        // A match may begin anywhere but inside a character.
        if text.is_char_boundary(at) {
            now.reach(nfa, nfa.start_anchored(), (text, at), steps)?;
        }
        let byte = text.as_bytes().get(at).copied();
        for id in &now.states {
            let target = match (nfa.state(*id), byte) {
                (State::Match { .. }, _) => return Ok(true),
                (State::ByteRange { trans }, Some(byte)) if trans.matches_byte(byte) => {
                    Some(trans.next)
                }
                (State::Sparse(transitions), Some(byte)) => transitions.matches_byte(byte),
                (State::Dense(transitions), Some(byte)) => transitions.matches_byte(byte),
                _ => None,
            };
            if let Some(target) = target {
                next.reach(nfa, target, (text, at + 1), steps)?;
            }
        }
        std::mem::swap(&mut now, &mut next);
        next.clear();
    }
    Ok(false)
}

/// The states that are active at one index of the text.
struct ActiveStates {
    /// Those that consume a byte, or match.
    states: Vec<StateID>,
    /// The round in which each was reached last, those without a byte too: so each is visited once a round.
    round: Vec<usize>,
    current: usize,
    /// Still to be visited in this round.
    stack: Vec<StateID>,
}

impl ActiveStates {
    fn new(nfa: &NFA) -> Self {
        Self {
            states: Vec::new(),
            round: vec![0; nfa.states().len()],
            current: 1,
            stack: Vec::new(),
        }
    }

    fn clear(&mut self) {
        self.states.clear();
        self.current += 1;
    }

    /// Adds a state, and those that it reaches without consuming a byte.
    fn reach(
        &mut self,
        nfa: &NFA,
        id: StateID,
        (text, at): (&str, usize),
        steps: &Steps,
    ) -> Result<(), TooCostly> {
        self.stack.push(id);
        while let Some(id) = self.stack.pop() {
            steps.take(1)?;
            let round = &mut self.round[id.as_usize()];
            if std::mem::replace(round, self.current) == self.current {
                continue;
            }
            match nfa.state(id) {
                State::Look { look, next } => {
                    if nfa.look_matcher().matches(*look, text.as_bytes(), at) {
                        self.stack.push(*next);
                    }
                }
                State::Union { alternates } => self.stack.extend(alternates.iter().rev()),
                State::BinaryUnion { alt1, alt2 } => self.stack.extend([*alt2, *alt1]),
                State::Capture { next, .. } => self.stack.push(*next),
                State::Fail => {}
                State::ByteRange { .. }
                | State::Sparse(_)
                | State::Dense(_)
                | State::Match { .. } => self.states.push(id),
            }
        }
        Ok(())
    }
}
