//! Whose task it is. A task's id says nothing about that, so it is remembered from the call that began it.

use bartizan_monitor::case::ReplyForm;
use bartizan_monitor::catalog::Owner;
use bartizan_monitor::stages::{Released, ReleasedKind};
use bartizan_monitor::wire::json::{Json, View};
use bartizan_monitor::wire::method::Method;

use crate::session::Talk;

/// The server whose task a message is about, and the tool that began it.
pub(super) fn owner(talk: &Talk, method: Method, params: Option<&Json>) -> Option<Owner> {
    if method == Method::TasksList {
        // Tasks of several servers cannot be told apart in one list.
        return talk.endpoint.sole().map(|server| Owner { server: server.name().clone(), tool: None });
    }
    let id = params?.view().get("taskId").and_then(View::as_str)?;
    talk.task_owner(&id)
}

/// Remembers the task that an answer announces (2025-11-25: `task.taskId`; tasks extension: `taskId`).
///
/// Only a call begins a task: a server could claim the tasks of another in any other answer.
pub(super) fn learn(talk: &Talk, begun: Option<Owner>, released: &Released) {
    let Some(owner) = begun.filter(|_| released.kind() == ReleasedKind::Reply(ReplyForm::Result)) else { return };
    let body = released.body().view();
    let task = body.at(&["task", "taskId"]).or_else(|| body.get("taskId")).and_then(View::as_str);
    let Some(task) = task else { return };
    match talk.task_owner(&task) {
        None => talk.remember_task(task.into_owned(), owner),
        Some(known) if known == owner => {}
        // Two tools claim one task: as which of them it should be judged cannot be known, so it is nobody's.
        Some(_) => talk.disown_task(&task),
    }
}
