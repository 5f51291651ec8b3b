//! The rules: read, validated, and laid out so that a question meets only those that can answer it.

use std::collections::{BTreeSet, HashMap};
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use cedar_policy::pst::{ActionConstraint, EntityOrSlot, Policy as Tree, PrincipalConstraint, ResourceConstraint};
use cedar_policy::{Effect, EntityId, EntityTypeName, EntityUid, Policy, PolicyId, PolicySet, Schema, ValidationMode, Validator};

use crate::scan::{Part, Uses, settled, unsettled, uses};
use crate::sieve::Sieve;
use crate::step::Steps;

/// The schema that rules are validated against.
pub const SCHEMA: &str = include_str!("policy.cedarschema");

/// The rules when nobody writes any.
pub const DEFAULT: &str = include_str!("policy.default.cedar");

/// Everything that is decided, by the name of its action.
pub const ACTIONS: [&str; 9] = ["call", "follow", "get", "read", "subscribe", "complete", "ask-sample", "ask-elicit", "ask-roots"];

/// How many rules there may be: reading and validating more would hold up a start for too long.
pub const MAX_RULES: usize = 10_000;

/// A text with rules, and what it is called.
#[derive(Debug, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The name of the file, as places are told.
    pub name: String,
    /// What stands in it.
    pub text: String,
}

/// One rule.
#[derive(Debug)]
pub struct Rule {
    /// What it is called in the record: its `@id`, else its place.
    pub name: Arc<str>,
    /// File and line.
    pub place: String,
    /// The rule itself.
    pub policy: Policy,
    /// What would satisfy it, where its author says so.
    pub steps: Steps,
    /// What it looks at beside who calls what.
    pub uses: Uses,
    /// The numbers of the arguments among that, as `Rules::keys` has them.
    pub keys: Vec<usize>,
    /// What tells at its moment that it cannot match.
    pub sieve: Arc<Sieve>,
}

impl Rule {
    /// Whether it permits; otherwise it forbids.
    #[must_use]
    pub fn permits(&self) -> bool {
        self.policy.effect() == Effect::Permit
    }

    /// Whether it is about an action.
    #[must_use]
    pub fn is_about(&self, action: &str) -> bool {
        match self.policy.action_constraint() {
            cedar_policy::ActionConstraint::Any => true,
            cedar_policy::ActionConstraint::Eq(one) => one.id().unescaped() == action,
            cedar_policy::ActionConstraint::In(some) => some.iter().any(|one| one.id().unescaped() == action),
        }
    }
}

/// Rules about one action, one caller or group, and one resource, or about all of them.
#[derive(Debug, Default)]
pub struct Shelf {
    /// Those whose answer is the same at every moment.
    pub settled: PolicySet,
    /// The others, without what depends on the moment from there on: who does not match cannot match.
    pub leading: PolicySet,
    /// Those of the others that permit, without anything that depends on the moment.
    pub possible: PolicySet,
}

/// The arguments that rules name, by the entity that holds them, each with a number.
#[derive(Debug, Default)]
struct Keys {
    names: Vec<(String, String)>,
    numbers: HashMap<(String, String), usize>,
}

impl Keys {
    fn add(&mut self, key: &(String, String)) -> usize {
        let Self { names, numbers } = self;
        *numbers.entry(key.clone()).or_insert_with(|| {
            names.push(key.clone());
            names.len().saturating_sub(1)
        })
    }

    fn number(&self, holder: &str, key: &str) -> Option<usize> {
        self.numbers.get(&(holder.to_owned(), key.to_owned())).copied()
    }
}

/// Rules that can be asked.
#[derive(Debug, Default)]
pub struct Rules {
    all: HashMap<PolicyId, Rule>,
    order: Vec<PolicyId>,
    shelves: HashMap<(&'static str, [Option<EntityUid>; 2]), Shelf>,
    keys: Keys,
    /// What would satisfy some rule that permits.
    pub permit_steps: Steps,
}

impl Rules {
    /// Reads and validates. The error names file and line.
    pub fn load(sources: &[Source]) -> Result<Self, String> {
        let schema = || Schema::from_cedarschema_str(SCHEMA).map(|(schema, _)| schema).map_err(|error| error.to_string());
        // Beside the rules, where there may be another thread: it takes as long as reading a few hundred of them.
        std::thread::scope(|scope| match std::thread::Builder::new().spawn_scoped(scope, schema) {
            Ok(beside) => Self::read(sources, || beside.join().unwrap_or_else(|_| Err("the schema cannot be read".to_owned()))),
            Err(_) => Self::read(sources, schema),
        })
    }

    fn read(sources: &[Source], schema: impl FnOnce() -> Result<Schema, String>) -> Result<Self, String> {
        let mut rules = Self::default();
        // Before any is read: that takes longer than counting.
        if sources.iter().map(|source| pieces(&source.text).len()).sum::<usize>() > MAX_RULES {
            return Err(format!("there are more than {MAX_RULES} rules; write fewer about more, with groups, servers and effects"));
        }
        let mut trees = Vec::new();
        for source in sources {
            let pieces = pieces(&source.text);
            // Beginning to parse costs more than most rules do, so all of a file are parsed at once. When that fails they
            // are parsed one by one, to find the place.
            let mut parsed = together(&source.text, pieces.len()).into_iter().flatten();
            let (mut last, mut beside) = (0_usize, 0_usize);
            for (line, text) in pieces {
                // Several rules may stand on one line.
                beside = if line == last { beside.saturating_add(1) } else { 1 };
                last = line;
                let more = if beside > 1 { format!("#{beside}") } else { String::new() };
                let place = format!("{}:{line}{more}", source.name);
                let policy = parsed.next().map_or_else(|| Policy::parse(None, text).map_err(|error| format!("{place}: {error}")), Ok)?;
                trees.push(rules.add(&place, policy)?);
            }
        }
        rules.validate(schema()?)?;
        trees.iter().try_for_each(|(id, tree)| rules.lay_out(id, tree))?;
        Ok(rules)
    }

    /// One rule alone: a part of a rule that was loaded, to see what of it holds. It was validated there.
    pub fn of(policy: Policy) -> Result<Self, String> {
        let tree = policy.to_pst().map_err(|error| error.to_string())?;
        let id = policy.id().clone();
        let (mut rules, name) = (Self::default(), id.to_string().into());
        rules.keep(
            Rule {
                name,
                place: String::new(),
                policy,
                steps: Steps::default(),
                uses: uses(&tree),
                keys: Vec::new(),
                sieve: Arc::default(),
            },
            &tree,
        );
        rules.lay_out(&id, &tree)?;
        Ok(rules)
    }

    fn add(&mut self, place: &str, policy: Policy) -> Result<(PolicyId, Tree), String> {
        let bad = |what: &dyn std::fmt::Display| format!("{place}: {what}");
        let own = policy.annotation("id").map(str::to_owned);
        if own.as_deref().is_some_and(|id| id.is_empty() || id.len() > 128 || id.chars().any(char::is_control)) {
            return Err(bad(&"an @id is 1 to 128 characters that can be seen"));
        }
        let name = own.unwrap_or_else(|| place.to_owned());
        let id = PolicyId::new(&name);
        if let Some(other) = self.all.get(&id) {
            return Err(bad(&format!("another rule is called {name:?} as well, at {}; give them different names with @id", other.place)));
        }
        let policy = policy.new_id(id.clone());
        let tree = policy.to_pst().map_err(|error| bad(&error))?;
        let uses = uses(&tree);
        if let Some(unclear) = uses.unclear.map(str::to_owned).or_else(|| uses.keys.iter().find_map(|(_, key)| broken(key))) {
            return Err(bad(&unclear));
        }
        let steps = Steps::read(&policy).map_err(|what| bad(&what))?;
        let rule = Rule { name: name.into(), place: place.to_owned(), policy, steps, uses, keys: Vec::new(), sieve: Arc::default() };
        if rule.permits() {
            self.permit_steps.add(&rule.steps);
        }
        self.keep(rule, &tree);
        Ok((id, tree))
    }

    /// Adds a rule, and gives what it names among the arguments numbers.
    fn keep(&mut self, rule: Rule, tree: &Tree) {
        let keys = rule.uses.keys.iter().map(|key| self.keys.add(key)).collect();
        let sieve = Sieve::of(&unsettled(tree), &|holder, key| self.keys.number(holder, key));
        let id = rule.policy.id().clone();
        self.order.push(id.clone());
        self.all.insert(id, Rule { keys, sieve: Arc::new(sieve), ..rule });
    }

    fn validate(&self, schema: Schema) -> Result<(), String> {
        let set = PolicySet::from_policies(self.iter().map(|rule| rule.policy.clone())).map_err(|error| error.to_string())?;
        let checked = Validator::new(schema).validate(&set, ValidationMode::Strict);
        let errors = checked.validation_errors().map(|error| (error.policy_id(), error.to_string()));
        let warnings = checked.validation_warnings().map(|warning| (warning.policy_id(), warning.to_string()));
        let place = |id: &PolicyId| self.all.get(id).map_or("", |rule| rule.place.as_str());
        let problems: BTreeSet<String> = errors.chain(warnings).map(|(id, what)| format!("{}: {what}", place(id))).take(20).collect();
        if problems.is_empty() { Ok(()) } else { Err(problems.into_iter().collect::<Vec<_>>().join("; ")) }
    }

    /// Puts a rule where the questions that it can answer will look.
    fn lay_out(&mut self, id: &PolicyId, tree: &Tree) -> Result<(), String> {
        let Some(rule) = self.all.get(id) else { return Ok(()) };
        let principal = match &tree.body().principal {
            PrincipalConstraint::Eq(EntityOrSlot::Entity(one))
            | PrincipalConstraint::In(EntityOrSlot::Entity(one))
            | PrincipalConstraint::IsIn(_, EntityOrSlot::Entity(one)) => Some(uid(&one.ty.to_string(), &one.eid)?),
            _ => None,
        };
        let resource = match &tree.body().resource {
            ResourceConstraint::Eq(EntityOrSlot::Entity(one))
            | ResourceConstraint::In(EntityOrSlot::Entity(one))
            | ResourceConstraint::IsIn(_, EntityOrSlot::Entity(one)) => Some(uid(&one.ty.to_string(), &one.eid)?),
            _ => None,
        };
        let named = |action: &'static str| match &tree.body().action {
            ActionConstraint::Any => true,
            ActionConstraint::Eq(one) => one.eid == action,
            ActionConstraint::In(some) => some.iter().any(|one| one.eid == action),
        };
        for action in ACTIONS.into_iter().filter(|action| named(action)) {
            let shelf = self.shelves.entry((action, [principal.clone(), resource.clone()])).or_default();
            let put = |set: &mut PolicySet, policy| set.add(policy).map_err(|error| error.to_string());
            if rule.uses.is_settled() {
                put(&mut shelf.settled, rule.policy.clone())?;
                continue;
            }
            put(&mut shelf.leading, settled(tree, Part::Leading)?)?;
            if rule.permits() {
                put(&mut shelf.possible, settled(tree, Part::All)?)?;
            }
        }
        Ok(())
    }

    /// The rules that can answer a question: those about everybody or one of `who`, and everything or one of `what`.
    #[must_use]
    pub fn shelves(&self, action: &'static str, who: &[EntityUid], what: &[EntityUid]) -> Vec<&Shelf> {
        let or_any = |names: &[EntityUid]| std::iter::once(None).chain(names.iter().cloned().map(Some)).collect::<Vec<_>>();
        let what = or_any(what);
        let each = |who: Option<EntityUid>| what.iter().map(move |what| (action, [who.clone(), what.clone()]));
        or_any(who).into_iter().flat_map(each).filter_map(|key| self.shelves.get(&key)).collect()
    }

    /// Every rule, in the order in which they are written.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.order.iter().filter_map(|id| self.all.get(id))
    }

    /// An argument that rules name, and the entity that holds it, by its number.
    #[must_use]
    pub fn key(&self, number: usize) -> Option<(&str, &str)> {
        self.keys.names.get(number).map(|(holder, key)| (holder.as_str(), key.as_str()))
    }

    /// One rule.
    #[must_use]
    pub fn get(&self, id: &PolicyId) -> Option<&Rule> {
        self.all.get(id)
    }
}

/// The kinds of entities that calls are asked about: reading a name costs more than many rules.
static KINDS: LazyLock<HashMap<&str, EntityTypeName>> = LazyLock::new(|| {
    let names = ["Client", "Group", "Server", "Tool", "Prompt", "Resource", "Action", "Arguments", "Numbers", "Lists"];
    names.into_iter().filter_map(|name| Some((name, EntityTypeName::from_str(name).ok()?))).collect()
});

/// An entity's name.
pub fn uid(kind: &str, id: &str) -> Result<EntityUid, String> {
    let known = KINDS.get(kind).cloned();
    let kind = known.map_or_else(|| EntityTypeName::from_str(kind).map_err(|error| error.to_string()), Ok)?;
    Ok(EntityUid::from_type_name_and_id(kind, EntityId::new(id)))
}

/// The rules of a text in their order, if it is made of so many and of nothing else.
fn together(text: &str, count: usize) -> Option<Vec<Policy>> {
    let set = PolicySet::from_str(text).ok().filter(|set| set.num_of_policies() == count)?;
    // Cedar numbers them from the first to the last.
    (0..count).map(|number| set.policy(&PolicyId::new(format!("policy{number}"))).cloned()).collect()
}

/// Why a key of an argument names nothing, if it does (RFC 6901, section 3).
fn broken(key: &str) -> Option<String> {
    let escapes = || key.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    (key.starts_with('/') && !escapes()).then(|| format!("{key:?} is no JSON Pointer"))
}

/// The rules of a text, and the lines on which they begin. A semicolon ends a rule and stands nowhere else
/// but in strings and comments.
fn pieces(text: &str) -> Vec<(usize, &str)> {
    let (mut found, mut begin, mut line, mut first) = (Vec::new(), 0, 1, None);
    let mut symbols = text.char_indices().peekable();
    while let Some((at, symbol)) = symbols.next() {
        match symbol {
            '\n' => line += 1,
            '/' if symbols.peek().is_some_and(|(_, next)| *next == '/') => while symbols.next_if(|(_, next)| *next != '\n').is_some() {},
            '"' => {
                first.get_or_insert(line);
                while let Some((_, symbol)) = symbols.next() {
                    match symbol {
                        '"' => break,
                        '\\' => drop(symbols.next()),
                        '\n' => line += 1,
                        _ => {}
                    }
                }
            }
            ';' => {
                let end = at.saturating_add(1);
                found.push((first.take().unwrap_or(line), text.get(begin..end).unwrap_or_default()));
                begin = end;
            }
            _ if !symbol.is_whitespace() => drop(first.get_or_insert(line)),
            _ => {}
        }
    }
    found.extend(first.map(|line| (line, text.get(begin..).unwrap_or_default())));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Rules, String> {
        Rules::load(&[Source { name: "p".to_owned(), text: text.to_owned() }])
    }

    fn error(text: &str) -> String {
        load(text).map(drop).expect_err(text)
    }

    #[test]
    fn the_built_in_policy_is_valid_and_its_rules_have_names() {
        let rules = load(DEFAULT).expect("valid");
        assert!(rules.iter().all(|rule| !rule.name.contains(':')));
        assert!(rules.iter().all(|rule| rule.uses.is_settled()), "its answers can be kept");
    }

    #[test]
    fn policies_are_validated_strictly_and_errors_have_a_place() {
        for text in [
            "permit (principal, action, resource) when { resource.nope == 1 };",
            "permit (",
            "permit (principal, action == Action::\"fly\", resource);",
            "permit (principal == ?principal, action, resource);",
            "permit (principal, action == Action::\"call\", resource) when { context.arguments.getTag(\"a\") == \"b\" };",
            "permit (principal, action == Action::\"call\", resource) when { context.numbers.hasTag(\"a\") && context.numbers.getTag(\"a\") == \"b\" };",
            "permit (principal, action, resource) when { context.arguments.hasTag(\"a\") };",
            "permit (principal, action == Action::\"call\", resource) when { context.arguments.hasTag(resource.name) };",
            "permit (principal, action == Action::\"call\", resource) when { context.arguments.hasTag(\"/a~2\") };",
            "permit (principal, action == Action::\"call\", resource) when { context.arguments == context.arguments };",
            "permit (principal, action, resource) when { context == context };",
            "forbid (principal, action == Action::\"call\", resource) when { Arguments::\"call\".hasTag(\"a\") };",
            "forbid (principal, action == Action::\"call\", resource) when { context.transport == \"http\" && Lists::\"x\" == context.lists };",
            "forbid (principal, action == Action::\"call\", resource) when { [Numbers::\"call\"].contains(context.numbers) };",
            "permit (principal, action, resource) when { principal.certificate == \"x\" };",
            "@stepup(\"luck\") permit (principal, action, resource);",
            "@id(\"\") permit (principal, action, resource);",
        ] {
            let what = error(&format!("permit (principal, action, resource);\n// a comment; with a semicolon\n{text}"));
            assert!(what.starts_with("p:3: "), "{text}: {what}");
        }
        let twice = error("@id(\"a\") permit (principal, action, resource);\n@id(\"a\") permit (principal, action, resource);");
        assert!(twice.contains("p:2") && twice.contains("p:1"), "{twice}");
    }

    #[test]
    fn rules_are_found_between_semicolons_of_strings_and_comments() {
        let text = "// ;\n\n@id(\"a;\\\";\")\npermit (principal, action, resource); permit (principal, action, resource)\n when { \"//;\" == resource.name };\n// the end\n";
        let rules = load(text).expect("loads");
        assert_eq!(rules.iter().map(|rule| (&*rule.name, &*rule.place)).collect::<Vec<_>>(), [("a;\";", "p:3"), ("p:4", "p:4")]);
    }

    #[test]
    fn there_may_be_many_rules_and_not_more() {
        let many = "permit (principal, action == Action::\"get\", resource);\n".repeat(MAX_RULES + 1);
        assert!(error(&many).contains("more than 10000"));
    }
}
