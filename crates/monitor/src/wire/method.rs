//! Methods: a closed list. What is not in it, or not in the version spoken, is refused.

use std::fmt;

use super::version::Version;

/// Who sends a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// The side that asks for tools.
    Client,
    /// The side that offers them.
    Server,
}

/// Whether a message waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Has an id, gets exactly one response.
    Request,
    /// Has none, gets none.
    Notification,
}

/// Who may send a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Client,
    Server,
    Both,
}

struct Row {
    method: Method,
    name: &'static str,
    form: Form,
    by: By,
    first: Version,
    last: Version,
}

macro_rules! methods {
    ($($(#[$doc:meta])* $variant:ident $name:literal $form:ident $by:ident $first:ident $last:ident;)+) => {
        /// Every method of every protocol version that is spoken here.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Method { $(#[doc = $name] $(#[$doc])* $variant),+ }

        const ROWS: &[Row] = &[$(Row {
            method: Method::$variant, name: $name, form: Form::$form, by: By::$by,
            first: Version::$first, last: Version::$last,
        }),+];
    };
}

methods! {
    Initialize "initialize" Request Client V2024_11_05 V2025_11_25;
    Ping "ping" Request Both V2024_11_05 V2025_11_25;
    Discover "server/discover" Request Client V2026_07_28 V2026_07_28;
    ToolsList "tools/list" Request Client V2024_11_05 V2026_07_28;
    ToolsCall "tools/call" Request Client V2024_11_05 V2026_07_28;
    PromptsList "prompts/list" Request Client V2024_11_05 V2026_07_28;
    PromptsGet "prompts/get" Request Client V2024_11_05 V2026_07_28;
    ResourcesList "resources/list" Request Client V2024_11_05 V2026_07_28;
    TemplatesList "resources/templates/list" Request Client V2024_11_05 V2026_07_28;
    ResourcesRead "resources/read" Request Client V2024_11_05 V2026_07_28;
    Subscribe "resources/subscribe" Request Client V2024_11_05 V2025_11_25;
    Unsubscribe "resources/unsubscribe" Request Client V2024_11_05 V2025_11_25;
    Complete "completion/complete" Request Client V2024_11_05 V2026_07_28;
    SetLevel "logging/setLevel" Request Client V2024_11_05 V2025_11_25;
    Listen "subscriptions/listen" Request Client V2026_07_28 V2026_07_28;
    TasksGet "tasks/get" Request Client V2025_11_25 V2026_07_28;
    TasksResult "tasks/result" Request Client V2025_11_25 V2025_11_25;
    TasksList "tasks/list" Request Client V2025_11_25 V2025_11_25;
    TasksCancel "tasks/cancel" Request Client V2025_11_25 V2026_07_28;
    TasksUpdate "tasks/update" Request Client V2026_07_28 V2026_07_28;
    Sampling "sampling/createMessage" Request Server V2024_11_05 V2025_11_25;
    Elicitation "elicitation/create" Request Server V2025_06_18 V2025_11_25;
    RootsList "roots/list" Request Server V2024_11_05 V2025_11_25;
    Initialized "notifications/initialized" Notification Client V2024_11_05 V2025_11_25;
    RootsChanged "notifications/roots/list_changed" Notification Client V2024_11_05 V2025_11_25;
    Cancelled "notifications/cancelled" Notification Both V2024_11_05 V2026_07_28;
    Progress "notifications/progress" Notification Both V2024_11_05 V2026_07_28;
    Message "notifications/message" Notification Server V2024_11_05 V2026_07_28;
    ToolsChanged "notifications/tools/list_changed" Notification Server V2024_11_05 V2026_07_28;
    PromptsChanged "notifications/prompts/list_changed" Notification Server V2024_11_05 V2026_07_28;
    ResourcesChanged "notifications/resources/list_changed" Notification Server V2024_11_05 V2026_07_28;
    ResourceUpdated "notifications/resources/updated" Notification Server V2024_11_05 V2026_07_28;
    ElicitationComplete "notifications/elicitation/complete" Notification Server V2025_11_25 V2025_11_25;
    TaskStatus "notifications/tasks/status" Notification Server V2025_11_25 V2025_11_25;
    TaskChanged "notifications/tasks" Notification Server V2026_07_28 V2026_07_28;
    Acknowledged "notifications/subscriptions/acknowledged" Notification Server V2026_07_28 V2026_07_28;
}

impl Method {
    fn row(self) -> &'static Row {
        // INVARIANT: the macro makes a row for every variant, in the order of the variants.
        ROWS.get(self as usize).unwrap_or(&UNREACHABLE)
    }

    /// Reads a method name, exactly.
    #[must_use]
    pub fn read(name: &str) -> Option<Self> {
        ROWS.iter().find(|row| row.name == name).map(|row| row.method)
    }

    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Whether it is a request or a notification.
    #[must_use]
    pub fn form(self) -> Form {
        self.row().form
    }

    /// Whether `sender` may send it in `version`.
    #[must_use]
    pub fn allowed(self, sender: Sender, version: Version) -> bool {
        let row = self.row();
        let by = match row.by {
            By::Both => true,
            By::Client => sender == Sender::Client,
            By::Server => sender == Sender::Server,
        };
        by && (row.first..=row.last).contains(&version)
    }

    /// All methods.
    pub fn all() -> impl Iterator<Item = Self> {
        ROWS.iter().map(|row| row.method)
    }
}

static UNREACHABLE: Row =
    Row { method: Method::Ping, name: "", form: Form::Request, by: By::Client, first: Version::V2026_07_28, last: Version::V2024_11_05 };

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variant_has_its_own_row() {
        for row in ROWS {
            assert_eq!(row.method.name(), row.name);
            assert_eq!(Method::read(row.name), Some(row.method));
        }
    }

    #[test]
    fn removed_methods_are_not_in_the_modern_era() {
        for name in ["ping", "initialize", "logging/setLevel", "resources/subscribe", "sampling/createMessage"] {
            let method = Method::read(name).expect(name);
            assert!(!method.allowed(Sender::Client, Version::NEWEST) && !method.allowed(Sender::Server, Version::NEWEST), "{name}");
        }
    }

    #[test]
    fn servers_do_not_call_tools() {
        assert!(!Method::ToolsCall.allowed(Sender::Server, Version::V2025_11_25));
    }
}
