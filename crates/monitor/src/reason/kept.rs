//! Reasons that the gateway gives for what it keeps of answers.

use super::Class;

reasons! {
    KEPT_UNKNOWN = "kept.unknown", Class::Denied,
        "There is nothing to read on under this handle, or not any more. Call the tool itself again.",
        "The handle was read to its end, was altered, belongs to another client or session, or is of a gateway that was restarted, which forgets what it kept; the answer is the same for all. So is it when the tool's reviewed definition changed meanwhile.",
        "Nothing to do: the client calls the tool again. If it repeats, look for a client that uses the handles of another.";
    KEPT_EXPIRED = "kept.expired", Class::Denied,
        "What was kept under this handle is not there any more, because nobody read it in time. Call the tool itself again.",
        "The rest of a long answer is kept for `limits.kept_for`, and what is quarantined for `limits.quarantined_for`.",
        "Nothing to do, or raise the limit.";
    KEPT_EVICTED = "kept.evicted", Class::Denied,
        "What was kept under this handle had to make room for what came later. Call the tool itself again, and read on sooner.",
        "What is kept of answers is bounded (`limits.kept_bytes`; one client has a quarter of it). The oldest makes room.",
        "Raise `limits.kept_bytes`, or ask tools for less.";
    KEPT_WAITS = "kept.waits", Class::Denied,
        "No person has let these texts go. Tell the user; you cannot do it yourself.",
        "The texts read like orders to a model and are quarantined (`[controls.injection]` says `quarantine` for this tool). Only a person on the gateway's machine can release them, and silence is no.",
        "`bartizan quarantine show` shows them; `release` or `drop` decides.";
    KEPT_DROPPED = "kept.dropped", Class::Denied,
        "A person looked at these texts and threw them away. Do not ask for them again.",
        "Somebody ran `bartizan quarantine drop`.",
        "The journal says who. The tool can be called again, and what it answers is judged anew.";
}
