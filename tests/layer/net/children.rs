//! Programs that a guest starts.

use super::{calls, handoff, shrug};
use crate::scripted_proxy::ScriptedProxy;

fn session() -> ScriptedProxy {
    ScriptedProxy::start(&handoff(|_, _| {}), |question, _| shrug(question))
}

#[test]
fn a_child_with_an_environment_of_its_own_is_a_guest() {
    let session = session();
    for call in ["execve", "execv", "execvp", "spawn"] {
        assert_eq!(calls(&session, &format!("{call} -")), "target", "{call}");
    }
    assert_eq!(calls(&session, "system"), "target\n0");
}

#[test]
fn a_child_that_is_to_load_nothing_loads_nothing() {
    let own = nix::unistd::gethostname().unwrap().into_string().unwrap();
    assert_eq!(calls(&session(), "execve dont-load"), own);
}
