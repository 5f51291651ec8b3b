//! What a rule looks at: whether its answer can be kept, and which arguments it names.

use std::collections::BTreeSet;
use std::sync::Arc;

use cedar_policy::pst::{BinaryOp, Clause, Effect, Expr, Literal, Policy as Tree, StaticPolicy, UnaryOp, Var};

/// What of a call a rule looks at, beside who calls what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Uses {
    /// Members of the context that change from call to call.
    pub facts: BTreeSet<String>,
    /// Arguments, by the entity that holds them.
    pub keys: BTreeSet<(String, String)>,
    /// What cannot be told before a call comes.
    pub unclear: Option<&'static str>,
}

impl Uses {
    /// Whether the answer is the same at every moment.
    pub(crate) fn is_settled(&self) -> bool {
        self.facts.is_empty()
    }

    /// Both together.
    pub(crate) fn and(mut self, other: Self) -> Self {
        self.facts.extend(other.facts);
        self.keys.extend(other.keys);
        self.unclear = self.unclear.or(other.unclear);
        self
    }

    fn fact(name: &str) -> Self {
        // The environment is that of the gateway, which does not change while it runs.
        let facts = (name != "environment").then(|| name.to_owned());
        Self { facts: facts.into_iter().collect(), ..Self::default() }
    }

    fn unclear(why: &'static str) -> Option<Self> {
        Some(Self { unclear: Some(why), ..Self::default() })
    }

    fn of(expr: &Expr) -> Self {
        expr.reduce(&Self::of_node, &Self::and, Self::default())
    }

    /// What stands at one place of a condition, where that is already known there.
    fn of_node(expr: &Expr) -> Option<Self> {
        match expr {
            Expr::GetAttr { expr, attr } if is_context(expr) && is_arguments(attr) => {
                Self::unclear("arguments are looked at with `hasTag(\"name\")` and `getTag(\"name\")`, the name written out")
            }
            Expr::GetAttr { expr, attr } if is_context(expr) => Some(Self::fact(attr)),
            Expr::HasAttr { expr, attrs } if is_context(expr) => Some(Self::fact(&attrs.head)),
            Expr::BinaryOp { op: op @ (BinaryOp::HasTag | BinaryOp::GetTag), .. } => {
                let (holder, key) = argument(expr, *op)?;
                let mut found = Self::fact(holder);
                found.keys.insert((holder.to_owned(), key.to_owned()));
                Some(found)
            }
            Expr::Var(Var::Context) => Self::unclear("`context` alone: name the member"),
            // By its name it would be looked at before the moment, when it holds nothing.
            Expr::Literal(Literal::EntityUID(named)) if matches!(named.ty.to_string().as_str(), "Arguments" | "Numbers" | "Lists") => {
                Self::unclear(
                    "arguments by the name of what holds them: they are looked at with `context.arguments`, `context.numbers` and `context.lists`",
                )
            }
            _ => None,
        }
    }
}

/// The argument that an operator is applied to, with the entity that holds it.
pub(crate) fn argument(expr: &Expr, wanted: BinaryOp) -> Option<(&str, &str)> {
    let Expr::BinaryOp { op, left, right } = expr else { return None };
    let Expr::GetAttr { expr, attr } = &**left else { return None };
    let Expr::Literal(Literal::String(key)) = &**right else { return None };
    (*op == wanted && is_context(expr) && is_arguments(attr)).then_some((attr, key))
}

fn is_context(expr: &Expr) -> bool {
    matches!(expr, Expr::Var(Var::Context))
}

fn is_arguments(name: &str) -> bool {
    matches!(name, "arguments" | "numbers" | "lists")
}

/// The conditions of a rule that must all hold, in the order in which they are looked at.
#[must_use]
pub fn conjuncts(rule: &Tree) -> Vec<Arc<Expr>> {
    fn split(expr: &Arc<Expr>, into: &mut Vec<Arc<Expr>>) {
        match &**expr {
            Expr::BinaryOp { op: BinaryOp::And, left, right } => {
                split(left, into);
                split(right, into);
            }
            _ => into.push(expr.clone()),
        }
    }
    let mut all = Vec::new();
    for clause in rule.body().clauses() {
        match clause {
            Clause::When(expr) => split(expr, &mut all),
            Clause::Unless(expr) => all.push(Arc::new(Expr::UnaryOp { op: UnaryOp::Not, expr: expr.clone() })),
        }
    }
    all
}

/// Everything that a rule looks at.
pub(crate) fn uses(rule: &Tree) -> Uses {
    conjuncts(rule).iter().map(|expr| Uses::of(expr)).fold(Uses::default(), Uses::and)
}

/// The conditions of a rule that depend on the moment, from the first on.
pub(crate) fn unsettled(rule: &Tree) -> Vec<Arc<Expr>> {
    conjuncts(rule).into_iter().skip_while(is_settled).collect()
}

fn is_settled(expr: &Arc<Expr>) -> bool {
    Uses::of(expr).is_settled()
}

/// Which of a rule's settled conditions count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Those that stand before any other: when they do not hold, nothing else is looked at, and nothing fails.
    Leading,
    /// All of them: when one does not hold, the rule cannot match.
    All,
}

/// A rule without the conditions that depend on the moment. Whatever it was, it permits: only whether it
/// matches is asked.
pub(crate) fn settled(rule: &Tree, part: Part) -> Result<cedar_policy::Policy, String> {
    let all = conjuncts(rule);
    let kept: Vec<Clause> = match part {
        Part::Leading => all.into_iter().take_while(is_settled).map(Clause::When).collect(),
        Part::All => all.into_iter().filter(is_settled).map(Clause::When).collect(),
    };
    let mut body = rule.body().clone().try_with_clauses(kept).map_err(|error| error.to_string())?;
    body.effect = Effect::Permit;
    let body = StaticPolicy::try_from(body).map_err(|error| error.to_string())?;
    cedar_policy::Policy::from_pst(body.into()).map_err(|error| error.to_string())
}
