//! What a rule asks of the arguments first, where it is plain: it answers without asking Cedar that a rule cannot match.
//!
//! Most rules are about one argument, and most calls have nothing to do with them; asking Cedar takes a microsecond for
//! every rule, and a copy of every argument that rules name. A rule that a sieve holds back neither matches nor fails,
//! for Cedar reads conditions from left to right and goes on only while they hold, and here is answered only what one
//! argument and a literal decide. What is let through, Cedar is asked about.

use std::borrow::Cow;
use std::sync::Arc;

use cedar_policy::pst::{BinaryOp, Expr, Literal, PatternElem, UnaryOp};

use crate::scan::argument;

/// The conditions that a rule begins with, as far as they are plain. They must all hold.
#[derive(Debug, Clone, Default)]
pub struct Sieve(Vec<Plain>);

/// An argument, as rules see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held<'v> {
    /// It is not there, or not among the arguments of its kind.
    Absent,
    /// As text.
    Text(Cow<'v, str>),
    /// As a whole number.
    Number(i64),
    /// The texts of its items.
    List(Vec<Cow<'v, str>>),
}

/// The arguments of a call that rules name: the numbers of their keys (`Rules::key`), in order, and what they hold.
pub type Arguments<'v> = [(usize, Held<'v>)];

/// Longer lists are left to Cedar.
const LONG: usize = 64;

#[derive(Debug, Clone)]
enum Plain {
    Not(Box<Plain>),
    And(Box<Plain>, Box<Plain>),
    Or(Box<Plain>, Box<Plain>),
    /// The argument is there.
    Has(usize),
    /// It is there, and compares like this.
    Is(usize, Test),
}

#[derive(Debug, Clone)]
enum Test {
    /// A text that is one of these.
    Among(Vec<String>),
    /// A text that is like this: the parts between the wildcards.
    Like(Vec<String>),
    /// A number for which the operator holds, with this one at its right.
    Number(BinaryOp, i64),
    /// A list that contains this.
    Contains(String),
}

impl Sieve {
    /// Of a rule's conditions, those from the first that depends on the moment up to the first that is not plain.
    /// `number` knows the number of a key.
    pub(crate) fn of(conditions: &[Arc<Expr>], number: &impl Fn(&str, &str) -> Option<usize>) -> Self {
        Self(conditions.iter().map_while(|expr| Plain::read(expr, number)).collect())
    }

    /// Whether the rule may match, or fail.
    #[must_use]
    pub fn lets_through(&self, arguments: &Arguments<'_>) -> bool {
        // Not after one that cannot be answered: it may fail.
        self.0.iter().map_while(|plain| plain.holds(arguments)).all(|holds| holds)
    }
}

impl Plain {
    fn read(expr: &Expr, number: &impl Fn(&str, &str) -> Option<usize>) -> Option<Self> {
        let read = |expr: &Expr| Self::read(expr, number).map(Box::new);
        let (holder, key, test) = match expr {
            Expr::UnaryOp { op: UnaryOp::Not, expr } => return Some(Self::Not(read(expr)?)),
            Expr::BinaryOp { op: BinaryOp::And, left, right } => return Some(Self::And(read(left)?, read(right)?)),
            Expr::BinaryOp { op: BinaryOp::Or, left, right } => return Some(Self::Or(read(left)?, read(right)?)),
            Expr::BinaryOp { op: BinaryOp::HasTag, .. } => return key(expr, BinaryOp::HasTag, number).map(|(_, key)| Self::Has(key)),
            Expr::Like { expr, pattern } => {
                let (holder, key) = key(expr, BinaryOp::GetTag, number)?;
                (holder, key, Test::Like(parts(pattern)))
            }
            Expr::BinaryOp { op: BinaryOp::Contains, left, right } => match (&**left, &**right) {
                (Expr::Set(items), value) => {
                    let (holder, key) = key(value, BinaryOp::GetTag, number)?;
                    (holder, key, Test::Among(items.iter().map(|item| text(item)).collect::<Option<_>>()?))
                }
                (value, item) => {
                    let (holder, key) = key(value, BinaryOp::GetTag, number)?;
                    (holder, key, Test::Contains(text(item)?))
                }
            },
            Expr::BinaryOp { op: BinaryOp::NotEq, left, right } => {
                let equal = Expr::BinaryOp { op: BinaryOp::Eq, left: left.clone(), right: right.clone() };
                return Some(Self::Not(read(&equal)?));
            }
            Expr::BinaryOp { op, left, right } => {
                let (holder, key) = key(left, BinaryOp::GetTag, number)?;
                match (&**right, op) {
                    (Expr::Literal(Literal::Long(right)), _) => (holder, key, Test::Number(*op, *right)),
                    (right, BinaryOp::Eq) => (holder, key, Test::Among(vec![text(right)?])),
                    _ => return None,
                }
            }
            _ => return None,
        };
        let fits = match test {
            Test::Among(_) | Test::Like(_) => holder == "arguments",
            Test::Number(op, _) => {
                use BinaryOp::{Eq, Greater, GreaterEq, Less, LessEq};
                holder == "numbers" && matches!(op, Eq | Less | LessEq | Greater | GreaterEq)
            }
            Test::Contains(_) => holder == "lists",
        };
        fits.then_some(Self::Is(key, test))
    }

    /// Whether it holds; nothing where an argument is asked for that is not there, which fails.
    fn holds(&self, arguments: &Arguments<'_>) -> Option<bool> {
        match self {
            Self::Not(one) => one.holds(arguments).map(|holds| !holds),
            Self::And(left, right) => {
                if left.holds(arguments)? {
                    right.holds(arguments)
                } else {
                    Some(false)
                }
            }
            Self::Or(left, right) => {
                if left.holds(arguments)? {
                    Some(true)
                } else {
                    right.holds(arguments)
                }
            }
            Self::Has(key) => Some(!matches!(at(arguments, *key)?, Held::Absent)),
            Self::Is(key, test) => test.holds(at(arguments, *key)?),
        }
    }
}

impl Test {
    fn holds(&self, held: &Held<'_>) -> Option<bool> {
        match (self, held) {
            (Self::Among(some), Held::Text(text)) => Some(some.iter().any(|one| one == text)),
            (Self::Like(parts), Held::Text(text)) => Some(is_like(parts, text)),
            (Self::Number(op, right), Held::Number(left)) => match op {
                BinaryOp::Eq => Some(left == right),
                BinaryOp::Less => Some(left < right),
                BinaryOp::LessEq => Some(left <= right),
                BinaryOp::Greater => Some(left > right),
                BinaryOp::GreaterEq => Some(left >= right),
                _ => None,
            },
            // Cedar looks a long one up by hash, for all rules together.
            (Self::Contains(item), Held::List(items)) if items.len() <= LONG => Some(items.iter().any(|one| one == item)),
            _ => None,
        }
    }
}

fn at<'a, 'v>(arguments: &'a Arguments<'v>, key: usize) -> Option<&'a Held<'v>> {
    let place = arguments.binary_search_by_key(&key, |(key, _)| *key).ok()?;
    arguments.get(place).map(|(_, held)| held)
}

/// The argument that an operator is applied to: what holds it, and its number.
fn key<'e>(expr: &'e Expr, op: BinaryOp, number: &impl Fn(&str, &str) -> Option<usize>) -> Option<(&'e str, usize)> {
    let (holder, key) = argument(expr, op)?;
    Some((holder, number(holder, key)?))
}

fn text(expr: &Expr) -> Option<String> {
    let Expr::Literal(Literal::String(text)) = expr else { return None };
    Some(text.to_string())
}

/// What stands between the wildcards of a pattern: one part more than there are wildcards.
fn parts(pattern: &[PatternElem]) -> Vec<String> {
    let literal = |elem: &PatternElem| match elem {
        PatternElem::Char(c) => Some(*c),
        PatternElem::Wildcard => None,
    };
    pattern.split(|elem| matches!(elem, PatternElem::Wildcard)).map(|part| part.iter().filter_map(literal).collect()).collect()
}

/// Whether a text begins with the first part, ends with the last, and has the others between them, one after the other.
fn is_like(parts: &[String], text: &str) -> bool {
    let Some((first, rest)) = parts.split_first() else { return false };
    let Some(after) = text.strip_prefix(first.as_str()) else { return false };
    let Some((last, between)) = rest.split_last() else { return after.is_empty() };
    let Some(within) = after.strip_suffix(last.as_str()) else { return false };
    between.iter().try_fold(within, |within, part| within.split_once(part.as_str()).map(|(_, rest)| rest)).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::conjuncts;
    use cedar_policy::Policy;

    /// What of a rule, whose keys are called `0`, `1` and so on, is let through.
    fn lets_through(condition: &str, arguments: &Arguments<'_>) -> bool {
        let rule = Policy::parse(None, format!("forbid (principal, action, resource) when {{ {condition} }};")).expect(condition);
        let number = |_: &str, key: &str| key.parse().ok();
        Sieve::of(&conjuncts(&rule.to_pst().expect("a tree")), &number).lets_through(arguments)
    }

    #[test]
    fn what_cannot_match_is_held_back_and_what_may_is_not() {
        let arguments =
            [(0, Held::Text("/srv/a.txt".into())), (1, Held::Number(5)), (2, Held::List(vec!["x".into(), "y".into()])), (3, Held::Absent)];
        let (text, number, list) = ("context.arguments.getTag(\"0\")", "context.numbers.getTag(\"1\")", "context.lists.getTag(\"2\")");
        for (condition, may) in [
            ("context.arguments.hasTag(\"0\")".to_owned(), true),
            ("context.arguments.hasTag(\"3\")".to_owned(), false),
            (format!("{text} == \"/srv/a.txt\""), true),
            (format!("{text} == \"/srv/b.txt\""), false),
            (format!("{text} != \"/srv/a.txt\""), false),
            (format!("!({text} like \"/srv/*\")"), false),
            (format!("{text} like \"*.txt\" && {text} like \"/tmp/*\""), false),
            (format!("{text} like \"/tmp/*\" || {text} like \"*a*\""), true),
            (format!("[\"a\", \"b\"].contains({text})"), false),
            (format!("[\"a\", \"/srv/a.txt\"].contains({text})"), true),
            (format!("{number} > 5"), false),
            (format!("{number} >= 5"), true),
            (format!("{number} < 5"), false),
            (format!("{number} <= 5 && {number} == 5 && {number} != 6"), true),
            (format!("{list}.contains(\"y\")"), true),
            (format!("{list}.contains(\"z\")"), false),
            // An argument that is not there fails, and so does what follows; neither may be taken for an answer.
            ("context.arguments.getTag(\"3\") == \"a\"".to_owned(), true),
            ("!(context.arguments.getTag(\"3\") == \"a\") && context.arguments.hasTag(\"3\")".to_owned(), true),
            ("context.arguments.hasTag(\"3\") && context.arguments.getTag(\"3\") == \"a\"".to_owned(), false),
            // What is not plain ends it, though what follows is.
            (format!("context.now == context.now && {number} > 5"), true),
            (format!("if {number} > 5 then true else false"), true),
            (format!("{number} + 1 > 7"), true),
            (format!("5 < {number}"), true),
        ] {
            assert_eq!(lets_through(&condition, &arguments), may, "{condition}");
        }
    }

    #[test]
    fn a_long_list_is_left_to_cedar() {
        for (count, may) in [(LONG, false), (LONG + 1, true)] {
            let list = Held::List(vec!["x".into(); count]);
            assert_eq!(lets_through("context.lists.getTag(\"2\").contains(\"z\")", &[(2, list)]), may, "{count}");
        }
    }

    #[test]
    fn patterns_are_read_as_cedar_reads_them() {
        let texts = ["", "a", "b", "ab", "ba", "aa", "aba", "abab", "aab", "äb", "a*b", "ab\n", "*"];
        let patterns = ["", "*", "a", "a*", "*a", "*a*", "a*b", "a*a", "*ab*ab*", "**", "a**b", "ä*", r"a\*b", r"\**", "*b*a*"];
        for pattern in patterns {
            let rule = format!("permit (principal, action, resource) when {{ context.arguments.getTag(\"0\") like \"{pattern}\" }};");
            let rule = Policy::parse(None, rule).expect("a rule").to_pst().expect("a tree");
            let all = conjuncts(&rule);
            let [Expr::Like { pattern: read, .. }] = all.iter().map(|expr| &**expr).collect::<Vec<_>>()[..] else { panic!("{pattern}") };
            for text in texts {
                let asked = format!("permit (principal, action, resource) when {{ {text:?} like \"{pattern}\" }};");
                let set: cedar_policy::PolicySet = asked.parse().expect("a rule");
                let uid = || "A::\"a\"".parse::<cedar_policy::EntityUid>().expect("a name");
                let request = cedar_policy::Request::new(uid(), uid(), uid(), cedar_policy::Context::empty(), None).expect("a request");
                let said = cedar_policy::Authorizer::new().is_authorized(&request, &set, &cedar_policy::Entities::empty());
                assert_eq!(is_like(&parts(read), text), said.decision() == cedar_policy::Decision::Allow, "{text:?} like {pattern:?}");
            }
        }
    }
}
