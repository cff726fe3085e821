//! `$regex` and `$options`: patterns that match in time linear in the text, or are refused.
//!
//! A pattern is compiled to an NFA, and matched by a lazy DFA: its states are made of the NFA as texts need them. While
//! the states that a text needs fit into their cache, it is matched at memory speed. If they do not, the NFA itself is
//! simulated (`nfa`), where each byte may reach every state.

mod beginning;
mod nfa;

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};

use regex_automata::hybrid::dfa::{self, DFA};
use regex_automata::nfa::thompson::{NFA, WhichCaptures};
use regex_automata::util::prefilter::Prefilter;
use regex_automata::util::syntax;
use regex_automata::{Input, MatchError, MatchKind};

use super::memory::FilterBytes;
use super::verdict::Verdict;
use crate::limits;
use crate::value::{Invalid, Steps, TooCostly, Value, expect_text, join};

/// Bytes of text that one step matches, about, where the DFA's states are cached.
const BYTES_PER_STEP: usize = 8;

/// Bytes of DFA states that one step makes, about.
const STATE_BYTES_PER_STEP: usize = 8;

/// A text that needs a new DFA state more often than once in so many bytes, for each state of the NFA, is matched by
/// the NFA.
const BYTES_PER_STATE: usize = 1;

/// A compiled `$regex`. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Pattern {
    compiled: Arc<Compiled>,
}

struct Compiled {
    key: PatternKey,
    dfa: DFA,
    /// The states of the DFA made so far. A match that finds them in use makes its own.
    cache: Mutex<Option<Box<dfa::Cache>>>,
    bytes: FilterBytes,
}

/// A pattern as it was written, and the letters of its options, sorted.
type PatternKey = (String, String);

/// The compiled pattern of every live filter, so that equal patterns are compiled once.
static INTERNED: Mutex<BTreeMap<PatternKey, Weak<Compiled>>> = Mutex::new(BTreeMap::new());

/// The DFA gave the text up: it needed too many states.
struct GaveUp;

impl Pattern {
    /// Parses the operands of `$regex` and `$options` of the field at the path `at`.
    ///
    /// # Errors
    /// What a linear-time engine cannot match (look-around, back-references), and patterns that are too long or need
    /// too much memory.
    pub(super) fn parse(
        pattern: &Value,
        options: Option<&Value>,
        at: &str,
    ) -> Result<Self, Invalid> {
        let pattern_at = join(at, "$regex");
        let text = expect_text(pattern, &pattern_at)?;
        if text.len() > limits::REGEX_BYTES_MAX {
            let most = limits::REGEX_BYTES_MAX;
            let reason = format!("a pattern must not exceed {most} bytes");
            return Err(Invalid::new(pattern_at, reason));
        }
        let letters = match options {
            Some(options) => letters(options, &join(at, "$options"))?,
            None => String::new(),
        };
        let key = (text.to_owned(), letters);
        let interned = interned().get(&key).and_then(Weak::upgrade);
        let compiled = match interned {
            Some(compiled) => compiled,
            None => {
                let compiled = Compiled::new(key);
                let compiled = compiled.map_err(|reason| Invalid::new(pattern_at, reason))?;
                compiled.intern()
            }
        };
        Ok(Self { compiled })
    }

    /// Roughly the bytes it takes in memory, with a full cache of states.
    pub(super) fn approx_bytes(&self) -> usize {
        self.compiled.bytes.bytes()
    }

    /// What every text that it matches begins with, if the pattern says so; perhaps less than it says.
    pub(crate) fn beginning(&self) -> Option<String> {
        let (pattern, letters) = &self.compiled.key;
        match letters.contains(['i', 'm', 'x']) {
            true => None,
            false => beginning::beginning(pattern),
        }
    }

    /// Whether it matches anywhere in the text.
    ///
    /// # Errors
    /// If the steps run out before.
    pub(super) fn is_match(&self, text: &str, steps: &Steps) -> Verdict {
        self.compiled.is_match(text, steps)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.compiled.key.fmt(formatter)
    }
}

fn interned() -> MutexGuard<'static, BTreeMap<PatternKey, Weak<Compiled>>> {
    INTERNED.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Compiled {
    fn drop(&mut self) {
        let mut interned = interned();
        // A filter may have compiled the same pattern anew meanwhile.
        if interned
            .get(&self.key)
            .is_some_and(|compiled| compiled.strong_count() == 0)
        {
            interned.remove(&self.key);
        }
    }
}

impl Compiled {
    fn new(key: PatternKey) -> Result<Self, String> {
        let (text, letters) = &key;
        let unsupported =
            |error: &dyn Error| format!("the pattern is not supported: {}", last_line(error));
        let parsed =
            syntax::parse_with(text, &options(letters)).map_err(|error| unsupported(&error))?;
        let config = NFA::config()
            .nfa_size_limit(Some(limits::REGEX_COMPILED_BYTES_MAX))
            .which_captures(WhichCaptures::None);
        let nfa = NFA::compiler().configure(config).build_from_hir(&parsed);
        let nfa = nfa.map_err(|error| match error.size_limit() {
            Some(_) => TOO_LARGE.to_owned(),
            None => unsupported(&error),
        })?;
        let config = DFA::config()
            .prefilter(Prefilter::from_hir_prefix(
                MatchKind::LeftmostFirst,
                &parsed,
            ))
            .unicode_word_boundary(true)
            .cache_capacity(limits::REGEX_STATES_BYTES_MAX)
            .skip_cache_capacity_check(true)
            .minimum_cache_clear_count(Some(0))
            .minimum_bytes_per_state(Some(8 + BYTES_PER_STATE * nfa.states().len()));
        let dfa = DFA::builder().configure(config).build_from_nfa(nfa.clone());
        let dfa = dfa.map_err(|error| unsupported(&error))?;
        let cache = dfa.get_config().get_minimum_cache_capacity(&nfa);
        let cache = cache.map_or(0, |least| least.max(limits::REGEX_STATES_BYTES_MAX));
        let bytes = FilterBytes::new(nfa.memory_usage() + cache);
        Ok(Self {
            key,
            dfa,
            cache: Mutex::default(),
            bytes,
        })
    }

    /// The compiled pattern that all equal ones share: this one, unless another was faster.
    fn intern(self) -> Arc<Self> {
        let new = Arc::new(self);
        let mut interned = interned();
        let entry = interned.entry(new.key.clone()).or_default();
        match entry.upgrade() {
            Some(earlier) => {
                // Before `new` is dropped, which locks it again.
                drop(interned);
                earlier
            }
            None => {
                *entry = Arc::downgrade(&new);
                new
            }
        }
    }

    fn is_match(&self, text: &str, steps: &Steps) -> Verdict {
        steps.take(1 + (text.len() / BYTES_PER_STEP) as u64)?;
        match self.is_match_by_dfa(text, steps)? {
            Ok(matches) => Ok(matches),
            Err(GaveUp) => nfa::is_match(self.dfa.get_nfa(), text, steps),
        }
    }

    fn is_match_by_dfa(
        &self,
        text: &str,
        steps: &Steps,
    ) -> Result<Result<bool, GaveUp>, TooCostly> {
        let mut shared = match self.cache.try_lock() {
            Ok(cache) => Some(cache),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        let taken = shared.as_mut().and_then(|cache| cache.take());
        let mut cache = taken.unwrap_or_else(|| Box::new(self.dfa.create_cache()));
        let (clears, bytes) = (cache.clear_count(), cache.memory_usage());
        let result = self
            .dfa
            .try_search_fwd(&mut cache, &Input::new(text).earliest(true));
        let made = match cache.clear_count() - clears {
            0 => cache.memory_usage().saturating_sub(bytes),
            again => again * limits::REGEX_STATES_BYTES_MAX,
        };
        // States that did not help with this text would not help with the next.
        if let (Ok(_), Some(shared)) = (&result, &mut shared) {
            **shared = Some(cache);
        }
        steps.take((made / STATE_BYTES_PER_STEP) as u64)?;
        Ok(result
            .map(|end| end.is_some())
            .map_err(|_: MatchError| GaveUp))
    }
}

const TOO_LARGE: &str = "the pattern needs too much memory";

/// The letters of the options, each once and in order.
fn letters(options: &Value, at: &str) -> Result<String, Invalid> {
    let text = expect_text(options, at)?;
    if text.chars().any(|letter| !"imsx".contains(letter)) {
        return Err(Invalid::new(at, "expected only the letters i, m, s and x"));
    }
    Ok("imsx"
        .chars()
        .filter(|letter| text.contains(*letter))
        .collect())
}

fn options(letters: &str) -> syntax::Config {
    let has = |letter: char| letters.contains(letter);
    syntax::Config::new()
        .case_insensitive(has('i'))
        .multi_line(has('m'))
        .dot_matches_new_line(has('s'))
        .ignore_whitespace(has('x'))
}

/// The last line of the engine's message: those before draw the pattern with a pointer below it.
fn last_line(error: &dyn Error) -> String {
    let text = error
        .source()
        .map_or_else(|| error.to_string(), ToString::to_string);
    let last = text.lines().last().unwrap_or_default();
    last.strip_prefix("error: ").unwrap_or(last).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pattern: &str, options: Option<&str>) -> Result<Pattern, Invalid> {
        let options = options.map(Value::from);
        Pattern::parse(&pattern.into(), options.as_ref(), "f")
    }

    fn refused(pattern: &str, options: Option<&str>) -> Invalid {
        parse(pattern, options).expect_err("it is refused")
    }

    #[test]
    fn what_the_linear_engine_cannot_take_is_refused_in_one_line() {
        let invalid = refused("(?=a)b", None);
        assert_eq!(invalid.path, "f.$regex");
        assert_eq!(
            invalid.reason,
            "the pattern is not supported: look-around, including look-ahead and look-behind, is not supported"
        );
        assert!(refused(r"(a)\1", None).reason.contains("backreferences"));
        assert!(refused("(", None).reason.contains("unclosed group"));
    }

    #[test]
    fn a_pattern_is_bounded_in_bytes_and_in_memory() {
        let pattern = |bytes: usize| "a".repeat(bytes);
        assert!(parse(&pattern(limits::REGEX_BYTES_MAX), None).is_ok());
        assert!(parse(&pattern(limits::REGEX_BYTES_MAX + 1), None).is_err());
        assert_eq!(
            refused(r"\w{1000}", None).reason,
            "the pattern needs too much memory"
        );
    }

    #[test]
    fn a_pattern_is_compiled_once_for_all_and_forgotten_with_the_last() {
        let text = "of_this_test_alone[a-z]+";
        let (one, other) = (parse(text, Some("mi")), parse(text, Some("im")));
        let (one, other) = (one.expect("good"), other.expect("good"));
        assert!(Arc::ptr_eq(&one.compiled, &other.compiled));
        let plain = parse(text, None).expect("good");
        assert!(!Arc::ptr_eq(&one.compiled, &plain.compiled));
        drop((one, other, plain));
        assert!(!interned().keys().any(|(known, _)| known == text));
    }

    #[test]
    fn options_are_letters_that_are_known() {
        assert_eq!(refused("a", Some("iu")).path, "f.$options");
        let every = parse("^ A.b $", Some("imsx")).expect("known letters");
        assert_eq!(every.is_match("x\na\nb\n", &Steps::unbounded()), Ok(true));
    }

    /// Patterns of few and of many states, and texts that each can be made to take long over.
    const COSTLY: &[(&str, &str)] = &[
        ("ab", "a"),
        ("(a|b)*a(a|b){60}x", "ab"),
        ("(.*a.{20}|.*b.{20})x", "ab"),
        (r"(\w+\s+){3}é", "word ßord "),
        (r"(?i)(\pL|\d){4}!$", "äbc DEF-"),
        ("(x+x+)+y", "x"),
        (r"\b(foo|bár)+\b.{0,80}z$", "foobár "),
        ("[a-q][^u-z]{13}x", "abcdefxz"),
    ];

    /// Pieces of text as if diced, so that a state helps but once.
    fn diced(piece: &str, count: usize) -> String {
        let pieces: Vec<char> = piece.chars().collect();
        let mut dice = 7_u64;
        let mut next = || {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            pieces[usize::try_from(dice >> 33).expect("31 bits") % pieces.len()]
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn both_automata_match_what_the_regex_crate_matches() {
        let more = [
            (r"^\Bb", "ab é"),
            (r"\b\w\b", "a é,"),
            (r"\B", "aé"),
            ("", "a"),
            ("^$", "a\n"),
            ("(?m)^a$", "a\n"),
            ("(?i)É{2}|x$", "éÉex"),
        ];
        for (pattern, piece) in COSTLY.iter().chain(&more) {
            let compiled = parse(pattern, None).expect("a good pattern");
            let known = regex::Regex::new(pattern).expect("a good pattern");
            for count in (0..60).chain([500]) {
                let text = diced(piece, count);
                let expected = Ok(known.is_match(&text));
                let steps = Steps::unbounded();
                assert_eq!(
                    compiled.is_match(&text, &steps),
                    expected,
                    "{pattern} {text:?}"
                );
                let nfa = compiled.compiled.dfa.get_nfa();
                let simulated = nfa::is_match(nfa, &text, &steps);
                assert_eq!(simulated, expected, "simulated: {pattern} {text:?}");
            }
        }
    }

    #[test]
    fn a_match_takes_as_many_steps_as_it_looks_at_states() {
        let taken = |pattern: &str, piece: &str| {
            let steps = Steps::new(100_000);
            let compiled = parse(pattern, None).expect("a good pattern");
            let matches = compiled.is_match(&diced(piece, 10_000), &steps);
            matches.map(|_| steps.taken())
        };
        assert!(taken("ab", "a").is_ok_and(|taken| (1_250..2_000).contains(&taken)));
        assert!(taken("(x+x+)+y", "x").is_ok_and(|taken| taken < 2_000));
        assert_eq!(taken("(a|b)*a(a|b){60}x", "ab"), Err(TooCostly));
        assert_eq!(taken("(.*a.{20}|.*b.{20})x", "ab"), Err(TooCostly));
    }
}
