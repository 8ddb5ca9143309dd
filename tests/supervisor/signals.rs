//! Calls that wait can be interrupted, as the guest's handlers want it.

use crate::told;

#[test]
fn an_accept_fails_when_a_handler_does_not_restart_it() {
    let Some(told) = told("interrupted") else { return };
    assert_eq!(told.stdout, "accept 1 Interrupted system call, 1 alarms\n");
}

#[test]
fn an_accept_goes_on_when_a_handler_restarts_it() {
    let Some(told) = told("restarted") else { return };
    assert_eq!(told.stdout, "accept 1, 1 alarms\n");
}
