//! An agent is created, waited for and heard.
